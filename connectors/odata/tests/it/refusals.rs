//! What is said when something is wrong, and that nothing secret is said.

use crate::one_c::{OneC, body, broken, connect, context, list_text, node, refusal, serve};
use crate::reading::{GOODS, goods, read, target};
use obmen_odata::Odata;
use obmen_sdk::{Connector, Error, ErrorKind, Stop};
use std::sync::Arc;

/// One attempt at a page of one row: nothing is tried again and nothing can shrink.
const NO_RETRIES: &str = "retries: 0\nfirst_page_rows: 1\n";

async fn refused(base: &Arc<OneC>) -> Error {
    let error = read(&connect(&serve(base).await, NO_RETRIES), goods()).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("word-of-honour") && !text.contains("обмен") && !text.contains("$select"), "{text}");
    assert!(!error.to_string().contains('\n'));
    error
}

#[tokio::test]
async fn refusals_keep_the_words_of_1c_and_say_what_to_do() {
    let cases = [
        ((401, "20", "Нет прав"), ErrorKind::PermissionDenied, "rights to all rows"),
        ((401, "", "Unauthorized"), ErrorKind::Unauthenticated, "1C answers the same for missing rights"),
        ((400, "6", "Сегмент пути X не найден"), ErrorKind::InvalidData, "Сегмент пути X не найден"),
        ((400, "10", "Свойство не найдено"), ErrorKind::SchemaMismatch, "Свойство не найдено"),
        ((501, "21", "Параметр EndDate не поддерживается"), ErrorKind::Unsupported, "Параметр EndDate"),
        ((500, "-1", "Ошибка при вызове метода"), ErrorKind::Unavailable, "(1C's code -1)"),
    ];
    for ((status, code, said), kind, expected) in cases {
        let base = OneC::new(GOODS, Vec::new(), move |_, ask| (ask.path == GOODS).then(|| refusal(status, code, said)));
        let error = refused(&base).await;
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn web_pages_in_the_place_of_data_are_named() {
    let cases: [(u16, &str, ErrorKind, &str); 4] = [
        (
            200,
            "<html><head><title>Вход в систему</title></head></html>",
            ErrorKind::Unavailable,
            "a web page “Вход в систему” came instead of data",
        ),
        (502, "<html><head><title>502 Bad Gateway</title></head></html>", ErrorKind::Unavailable, "502 Bad Gateway"),
        (403, "no", ErrorKind::PermissionDenied, "HTTP 403: “no”"),
        (
            500,
            "<html>1C:Enterprise 8 application error: by reason:<br>Нет лицензии</html>",
            ErrorKind::Unavailable,
            "Нет лицензии",
        ),
    ];
    for (status, page, kind, expected) in cases {
        let base =
            OneC::new(GOODS, Vec::new(), move |_, ask| (ask.path == GOODS).then(|| body(status, "text/html", page)));
        let error = refused(&base).await;
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn an_address_that_is_no_publication_is_said_to_be_none() {
    let url = serve(&OneC::plain(GOODS, Vec::new())).await;
    let elsewhere = connect(&url.replace("/trade", "/nowhere"), NO_RETRIES);
    for error in [elsewhere.check().await.unwrap_err(), read(&elsewhere, goods()).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("check that `url` is the publication"), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_explained_and_asked_with_once() {
    let base = OneC::plain(GOODS, Vec::new());
    let settings = format!("url: {}\nuser: обмен\npassword: wrong-word\n", serve(&base).await);
    let connection = Odata.open(&node(&settings), &context(&Stop::default())).unwrap();
    let error = connection.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.to_string().contains("1C:Enterprise authentication"), "{error}");
    assert!(!format!("{error:?} {connection:?}").contains("wrong-word"));
}

#[tokio::test]
async fn names_are_checked_before_1c_is_asked_for_rows() {
    let base = OneC::plain(GOODS, Vec::new());
    let connection = connect(&serve(&base).await, "");
    let cases = [
        (target("Catalog_Товар", &[], &[]), ErrorKind::NotFound, "did you mean `Catalog_Товары`?"),
        (target("Catalog_Toвары", &[], &[]), ErrorKind::NotFound, "did you mean `Catalog_Товары`?"),
        (
            target("AccumulationRegister_Запасы/Turnovers", &[], &[]),
            ErrorKind::NotFound,
            "it has `Balance` or `SliceLast`",
        ),
        (target("Catalog_Товары/Balance", &[], &[]), ErrorKind::NotFound, "it has no virtual tables"),
        (
            target(
                GOODS,
                &[("Ref_Key", "int"), ("Артикл", "string"), ("Описание", "string"), ("Картинка", "binary")],
                &[],
            ),
            ErrorKind::SchemaMismatch,
            "`Ref_Key` does not fit its declared type, declare `uuid`; 1C has no `Артикл`; 1C has no `Описание`; `Картинка` does not fit",
        ),
        (target(GOODS, &[("Цeна", "double")], &[]), ErrorKind::SchemaMismatch, "did you mean `Цена`?"),
        (target(GOODS, &[], &["Ref"]), ErrorKind::SchemaMismatch, "the key's `Ref` is not a column"),
    ];
    for (target, kind, expected) in cases {
        let error = connection.source(target).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let mut wrong = target("AccumulationRegister_Запасы/Balance", &[], &[]);
    wrong.options = node("parameters: { EndPeriod: 2024-01-31 }");
    let error = connection.source(wrong).await.unwrap_err();
    assert!(error.to_string().contains("takes no `EndPeriod`; it takes `Condition` or `Period`"), "{error}");
    assert!(base.asked().is_empty());
}

#[tokio::test]
async fn a_large_answer_that_breaks_while_it_flows_is_an_error() {
    let name = "AccumulationRegister_Запасы/Balance()";
    let row = r#"{"Товар_Key":"00000000-0000-0000-0000-000000000001","КоличествоBalance":1}"#.to_owned();
    let text = list_text(&vec![row; 100]);
    let base = OneC::new(name, Vec::new(), move |_, ask| (ask.path == name).then(|| broken(&text, 4000)));
    let connection = connect(&serve(&base).await, "page_bytes: 1KB\n");
    let target = target("AccumulationRegister_Запасы/Balance", &[("КоличествоBalance", "long")], &[]);
    let error = read(&connection, target).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().starts_with("the connection broke inside the answer"), "{error}");
    assert_eq!(base.asked().len(), 1, "rows were given out, so nothing is asked again");
}

#[tokio::test]
async fn broken_metadata_is_asked_for_again_and_an_empty_one_is_explained() {
    let base = OneC::new(GOODS, Vec::new(), |base, ask| {
        let asked = base.log.lock().unwrap().len();
        (ask.path == "$metadata" && asked == 1)
            .then(|| body(200, "application/xml", crate::one_c::METADATA.split_at(3000).0))
    });
    read(&connect(&serve(&base).await, ""), goods()).await.unwrap();
    let empty = r#"<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" Version="1.0"></edmx:Edmx>"#;
    let base = OneC::new(GOODS, Vec::new(), move |_, ask| match ask.path.as_str() {
        "$metadata" => Some(body(200, "application/xml", empty)),
        "" => Some(crate::one_c::list(&[])),
        _ => None,
    });
    let connection = connect(&serve(&base).await, "");
    for error in [read(&connection, goods()).await.unwrap_err(), connection.check().await.unwrap_err()] {
        assert!(error.to_string().contains("publishes nothing"), "{error}");
    }
}

#[tokio::test]
async fn check_says_what_it_found_and_entities_are_listed() {
    let base = OneC::plain(GOODS, vec!["{}".to_owned()]);
    let connection = connect(&serve(&base).await, "");
    assert_eq!(connection.check().await.unwrap(), "1C answers, 6 entities are published; `Catalog_Товары` can be read");
    assert_eq!(connection.entities().await.unwrap().len(), 6);
    assert_eq!(base.asked()[0].number("$top"), Some(1));
}

#[tokio::test]
async fn a_stopped_run_asks_nothing_more() {
    let base = OneC::plain(GOODS, Vec::new());
    let stop = Stop::default();
    let settings = format!("url: {}\nuser: обмен\npassword: word-of-honour\n", serve(&base).await);
    let connection = Odata.open(&node(&settings), &context(&stop)).unwrap();
    let source = connection.source(goods()).await.unwrap();
    stop.set();
    let stream = source.read(obmen_sdk::Scan::default()).await.unwrap();
    let error = futures::TryStreamExt::try_collect::<Vec<_>>(stream).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(base.asked().is_empty());
}
