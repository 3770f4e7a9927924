//! The protocol of `commerceml.md` §1.3, §1.4 and the delete rules of §4.3.

use crate::help::{Client, answer, goods_xml, offer, offers_xml, product};
use obmen_sandbox::{CookieIn, DeleteMarks, Sessid, ShopControl, ShopOptions};
use std::io::Write as _;

fn zipped(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[tokio::test]
async fn checkauth_gives_cookie_sessid_and_timestamp() {
    let client = Client::open().await;
    let said = client.get("checkauth").await;
    let lines: Vec<&str> = said.split('\n').collect();
    assert_eq!((lines.len(), lines[0], lines[1], lines[2].len()), (5, "success", "PHPSESSID", 32));
    assert!(lines[3].strip_prefix("sessid=").is_some_and(|token| token.len() == 32));
    assert!(lines[4].strip_prefix("timestamp=").is_some_and(|time| time.parse::<u64>().is_ok()));
    let sale = client.call("type=sale&mode=checkauth", None).await.unwrap().body;
    assert_eq!(sale.lines().count(), 4);
}

#[tokio::test]
async fn a_wrong_password_is_a_failure_or_401() {
    for (is_401, status) in [(false, 200), (true, 401)] {
        let client = Client::with(|options| options.wrong_password_is_401 = is_401).await;
        let url = format!("{}?type=catalog&mode=checkauth", client.running.shop_url.as_ref().unwrap());
        let refused = answer(reqwest::Client::new().get(url).basic_auth("exchange", Some("wrong"))).await.unwrap();
        assert_eq!(refused.status, status);
        assert!(is_401 || refused.body.starts_with("failure\n"), "{refused:?}");
    }
}

#[tokio::test]
async fn the_cookie_comes_in_the_body_only_or_as_a_header_only() {
    for (place, in_body, in_header) in
        [(CookieIn::Body, true, false), (CookieIn::Header, false, true), (CookieIn::Both, true, true)]
    {
        let client = Client::with(|options| options.cookie = place).await;
        let url = format!("{}?type=catalog&mode=checkauth", client.running.shop_url.as_ref().unwrap());
        let response = reqwest::Client::new().get(url).basic_auth("exchange", Some("secret")).send().await.unwrap();
        assert_eq!(response.headers().contains_key("set-cookie"), in_header, "{place:?}");
        let body = response.text().await.unwrap();
        assert_eq!(body.contains("PHPSESSID"), in_body, "{place:?}");
        assert!(place != CookieIn::Header || body == "success");
    }
}

#[tokio::test]
async fn without_a_cookie_everything_fails() {
    let client = Client::open().await;
    assert!(client.get("init").await.starts_with("failure\n"));
}

#[tokio::test]
async fn sessid_is_asked_for_from_its_first_use_on() {
    let mut old = Client::open().await;
    old.enter().await;
    let token = old.sessid.take();
    assert!(old.get("init").await.starts_with("zip=no"));
    old.sessid = token;
    assert!(old.get("init").await.starts_with("zip=no"));
    old.sessid = None;
    assert_eq!(old.get("init").await, "failure\nОшибка проверки источника запроса: неверный sessid");
    let mut strict = Client::with(|options| options.sessid = Sessid::Required).await;
    strict.enter().await;
    strict.sessid = Some("0".repeat(32));
    assert!(strict.get("init").await.starts_with("failure\n"));
    let never = Client::with(|options| options.sessid = Sessid::Never).await;
    assert!(!never.get("checkauth").await.contains("sessid"));
}

#[tokio::test]
async fn init_says_exactly_two_lines_and_wipes_the_uploads() {
    let mut client = Client::open().await;
    client.enter().await;
    assert_eq!(client.get("init").await, "zip=no\nfile_limit=204800");
    assert_eq!(client.upload("import0_1.xml", "<x/>").await, "success");
    client.get("init").await;
    assert_eq!(client.import("import0_1.xml").await, "failure\nФайл import0_1.xml не загружен");
}

#[tokio::test]
async fn the_wrong_order_of_commands_fails() {
    let mut client = Client::open().await;
    client.enter().await;
    assert_eq!(client.upload("import0_1.xml", "<x/>").await, "failure\nОбмен не начат: сначала выполните mode=init");
    assert!(client.import("import0_1.xml").await.starts_with("failure\nОбмен не начат"));
    client.get("init").await;
    assert_eq!(client.import("offers0_1.xml").await, "failure\nФайл offers0_1.xml не загружен");
    assert_eq!(client.get("файл").await, "failure\nНеизвестная команда: файл");
    assert_eq!(client.get("file&filename=a.xml").await, "failure\nФайл передаётся методом POST");
    assert!(client.upload("../a.xml", "<x/>").await.starts_with("failure\nНедопустимое имя"));
    assert!(client.call("type=other&mode=init", None).await.unwrap().body.starts_with("failure\nНеизвестный тип"));
}

#[tokio::test]
async fn chunks_are_appended_and_a_large_one_is_refused() {
    let mut client = Client::with(|options| options.file_limit = 100).await;
    client.begin().await;
    let xml = goods_xml(true, &product("p1"));
    for chunk in xml.as_bytes().chunks(100) {
        assert_eq!(client.upload("import0_1.xml", chunk).await, "success");
    }
    assert!(client.upload("import0_1.xml", vec![b'x'; 101]).await.starts_with("failure\nРазмер части"));
    assert!(client.import("import0_1.xml").await.starts_with("success\n"));
    assert_eq!(client.column("SELECT id FROM goods"), ["p1"]);
}

#[tokio::test]
async fn a_chunk_sent_twice_breaks_the_file() {
    let mut client = Client::open().await;
    client.begin().await;
    let xml = goods_xml(true, &product("p1"));
    client.upload("import0_1.xml", xml.clone()).await;
    client.upload("import0_1.xml", xml).await;
    assert!(client.import("import0_1.xml").await.starts_with("failure\nОшибка чтения XML"));
    assert_eq!(client.column("SELECT count(*) FROM goods"), ["0"]);
}

#[tokio::test]
async fn an_import_goes_in_steps() {
    let mut client = Client::with(|options| options.steps = 2).await;
    client.begin().await;
    client.upload("import0_1.xml", goods_xml(true, &product("p1"))).await;
    assert_eq!(client.import("import0_1.xml").await, "progress\nОбработано шагов: 1 из 3");
    assert_eq!(client.import("import0_1.xml").await, "progress\nОбработано шагов: 2 из 3");
    assert_eq!(client.column("SELECT count(*) FROM goods"), ["0"]);
    let done = "success\nИмпорт успешно завершен.\nТоваров: 1, предложений: 0, удалено: 0";
    assert_eq!(client.import("import0_1.xml").await, done);
}

#[tokio::test]
async fn with_zip_yes_an_archive_is_unpacked_and_plain_xml_fails() {
    let mut client = Client::with(|options| options.zip = true).await;
    client.enter().await;
    assert_eq!(client.get("init").await, "zip=yes\nfile_limit=204800");
    client.upload("import0_1.xml", goods_xml(true, &product("p1"))).await;
    assert!(client.import("import0_1.xml").await.starts_with("failure\nОшибка распаковки архива"));

    client.begin().await;
    let archive = zipped(&[("import0_1.xml", &goods_xml(true, &product("p1"))), ("import_files/7b/a.jpg", "jpg")]);
    client.upload("v8_3B8F_3e.zip", archive).await;
    assert_eq!(client.import("import0_1.xml").await, "progress\nРаспаковка архива завершена.");
    assert!(client.import("import0_1.xml").await.starts_with("success\n"));

    client.begin().await;
    client.upload("evil.zip", zipped(&[("../evil.xml", "x")])).await;
    assert!(client.import("evil.xml").await.starts_with("failure\nОшибка распаковки архива"));
}

#[tokio::test]
async fn changes_only_touches_what_is_there_and_a_full_upload_deletes_the_rest() {
    let mut client = Client::open().await;
    client.deliver("import0_1.xml", &goods_xml(true, &(product("p1") + &product("p2")))).await;
    let partial = "<Товар><Ид>p1</Ид><Наименование>Новое имя</Наименование></Товар>";
    client.deliver("import0_1.xml", &goods_xml(true, partial)).await;
    assert_eq!(client.column("SELECT name || '|' || sku FROM goods ORDER BY id"), ["Новое имя|A-p1", "Товар p2|A-p2"]);
    assert_eq!(client.column("SELECT group_id FROM goods_groups WHERE product = 'p1'"), ["g2"]);
    client.deliver("offers0_1.xml", &offers_xml(true, &(offer("p1", "1", "1") + &offer("p2", "2", "2")))).await;
    client.deliver("import0_1.xml", &goods_xml(false, &product("p2"))).await;
    assert_eq!(client.column("SELECT id FROM goods"), ["p2"]);
    assert_eq!(client.column("SELECT id FROM offers"), ["p2"]);
    assert_eq!(client.column("SELECT offer FROM prices"), ["p2"]);
    client.deliver("offers0_1.xml", &offers_xml(false, "")).await;
    assert_eq!(client.column("SELECT count(*) FROM offers"), ["0"]);
    let old_flag = goods_xml(true, "").replace(" СодержитТолькоИзменения=\"true\"", "");
    let as_element =
        old_flag.replace("</Каталог>", "<СодержитТолькоИзменения>true</СодержитТолькоИзменения></Каталог>");
    client.deliver("import0_1.xml", &as_element).await;
    assert_eq!(client.column("SELECT id FROM goods"), ["p2"]);
    client.deliver("import0_1.xml", &old_flag).await;
    assert_eq!(client.column("SELECT count(*) FROM goods"), ["0"]);
}

#[tokio::test]
async fn an_offer_without_its_product_is_ignored_and_called_a_success() {
    let mut client = Client::open().await;
    let said = client.deliver("offers0_1.xml", &offers_xml(true, &offer("ghost", "1", "1"))).await;
    assert!(said.starts_with("success\n"), "{said}");
    assert_eq!(client.column("SELECT count(*) FROM offers"), ["0"]);
}

#[tokio::test]
async fn prices_and_quantities_are_exact_and_unknown_types_are_ignored() {
    let mut client = Client::open().await;
    client.deliver("import0_1.xml", &goods_xml(true, &product("p1"))).await;
    let stranger = offer("p1", "129.90", "12.500")
        .replace("</Цены>", "<Цена><ИдТипаЦены>ghost</ИдТипаЦены><ЦенаЗаЕдиницу>5</ЦенаЗаЕдиницу></Цена></Цены>");
    client.deliver("offers0_1.xml", &offers_xml(true, &stranger)).await;
    assert_eq!(client.column("SELECT price_type || ' ' || price FROM prices"), ["retail 129.90"]);
    assert_eq!(client.column("SELECT quantity FROM offers"), ["12.500"]);
    assert_eq!(client.column("SELECT warehouse || ' ' || quantity FROM stock"), ["main 12.500"]);
    let said = client.deliver("offers0_1.xml", &offers_xml(true, &offer("p1", "дорого", "1"))).await;
    assert_eq!(said, "failure\nПредложение p1: ЦенаЗаЕдиницу не является числом: дорого");
}

#[tokio::test]
async fn stock_is_read_in_all_spellings() {
    let mut client = Client::open().await;
    client.deliver("import0_1.xml", &goods_xml(true, &product("p1"))).await;
    client.deliver("offers0_1.xml", &offers_xml(true, &offer("p1", "1", "1"))).await;
    let rests = "<Предложение><Ид>p1</Ид><Остатки><Остаток><Склад><Ид>shop</Ид><Количество>7</Количество></Склад></Остаток>\
<Остаток><Склад><Ид>ghost</Ид><Количество>7</Количество></Склад></Остаток></Остатки></Предложение>";
    client.deliver("rests0_1.xml", &offers_xml(true, rests)).await;
    assert_eq!(client.column("SELECT warehouse || ' ' || quantity FROM stock ORDER BY 1"), ["main 1", "shop 7"]);
    assert_eq!(client.column("SELECT price FROM prices"), ["1"]);
    let quick = "<Предложение><Ид>p1</Ид><Склады ИдСклада=\"main\" КоличествоНаСкладе=\"3\"/><Количество>10</Количество></Предложение>";
    let quick = offers_xml(false, quick).replace("ПакетПредложений", "ИзмененияПакетаПредложений");
    client.deliver("offers0_1.xml", &quick).await;
    assert_eq!(client.column("SELECT warehouse || ' ' || quantity FROM stock ORDER BY 1"), ["main 3", "shop 7"]);
}

#[tokio::test]
async fn delete_marks_are_honoured_as_the_profile_says() {
    let marks = [
        ("attribute", "<Товар Статус=\"Удален\"><Ид>p1</Ид><Наименование>Т</Наименование></Товар>"),
        ("status", "<Товар><Ид>p1</Ид><Статус>Удален</Статус><Наименование>Т</Наименование></Товар>"),
        ("flag", "<Товар><Ид>p1</Ид><ПометкаУдаления>true</ПометкаУдаления><Наименование>Т</Наименование></Товар>"),
    ];
    let mut client = Client::open().await;
    for (name, marked) in marks {
        for honoured in [true, false] {
            let all = |own: &str| (own == name) == honoured;
            let marks = DeleteMarks { attribute: all("attribute"), status: all("status"), flag: all("flag") };
            client.shop().control(ShopControl { delete_marks: Some(marks), ..ShopControl::default() }).unwrap();
            client.deliver("import0_1.xml", &goods_xml(true, &product("p1"))).await;
            assert_eq!(client.column("SELECT active FROM goods"), ["1"], "{name}");
            client.deliver("import0_1.xml", &goods_xml(true, marked)).await;
            assert_eq!(client.column("SELECT deleted FROM goods"), [if honoured { "1" } else { "0" }], "{name}");
        }
    }
}

#[tokio::test]
async fn the_same_version_of_a_product_is_skipped() {
    let mut client = Client::open().await;
    let versioned = |version: &str, name: &str| {
        goods_xml(
            true,
            &format!(
                "<Товар><Ид>p1</Ид><НомерВерсии>{version}</НомерВерсии><Наименование>{name}</Наименование></Товар>"
            ),
        )
    };
    client.deliver("import0_1.xml", &versioned("v1", "Первое")).await;
    client.deliver("import0_1.xml", &versioned("v1", "Второе")).await;
    assert_eq!(client.column("SELECT name FROM goods"), ["Первое"]);
    client.deliver("import0_1.xml", &versioned("v2", "Второе")).await;
    assert_eq!(client.column("SELECT name FROM goods"), ["Второе"]);
}

#[tokio::test]
async fn deactivate_needs_a_timestamp_and_complete_succeeds() {
    let mut client = Client::open().await;
    client.deliver("import0_1.xml", &goods_xml(true, &product("p1"))).await;
    assert_eq!(client.get("deactivate").await, "failure\nНе указан timestamp");
    assert_eq!(client.get("deactivate&timestamp=1").await, "success");
    assert_eq!(client.column("SELECT active FROM goods"), ["1"]);
    assert_eq!(client.get("complete").await, "success");
}

#[tokio::test]
async fn orders_are_empty_and_query_is_xml() {
    let mut client = Client::open().await;
    client.enter().await;
    let orders = client.call("type=sale&mode=query", None).await.unwrap();
    assert!(orders.content_type.starts_with("application/xml") && orders.body.starts_with("<?xml"));
    assert_eq!(client.call("type=sale&mode=success", None).await.unwrap().body, "success");
}

#[tokio::test]
async fn what_is_not_commerceml_fails_with_its_reason() {
    let mut client = Client::open().await;
    assert_eq!(
        client.deliver("import0_1.xml", "<html/>").await,
        "failure\nФайл не является CommerceML: корневой элемент html"
    );
    assert!(client.deliver("import0_1.xml", "не xml").await.starts_with("failure\nОшибка чтения XML"));
    let nameless = goods_xml(true, "<Товар><Ид>p1</Ид></Товар>");
    assert_eq!(client.deliver("import0_1.xml", &nameless).await, "failure\nТовар p1: не указано Наименование");
}

#[tokio::test]
async fn a_killed_client_leaves_no_trace_for_the_next() {
    let mut client = Client::open().await;
    client.begin().await;
    let xml = goods_xml(true, &product("p1"));
    let half = xml.as_bytes()[..xml.len() / 2].to_vec();
    client.upload("import0_1.xml", half).await;
    let address = client.origin().trim_start_matches("http://").to_owned();
    let cookie = client.cookie.clone().unwrap();
    let sessid = client.sessid.clone().unwrap();
    {
        use tokio::io::AsyncWriteExt as _;
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let head = format!(
            "POST /1c_exchange?type=catalog&mode=file&filename=import0_1.xml&sessid={sessid} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nContent-Length: 1000\r\n\r\n<?xml"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
    }
    assert!(client.deliver("import0_1.xml", &xml).await.starts_with("success\n"));
    assert_eq!(client.column("SELECT id FROM goods"), ["p1"]);
}

#[tokio::test]
async fn the_shop_remembers_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.sqlite");
    let of = |options: &mut ShopOptions| options.database = Some(path.clone());
    let mut client = Client::with(of).await;
    client.deliver("import0_1.xml", &goods_xml(true, &product("p1"))).await;
    client.running.stop().await;
    let mut again = Client::with(of).await;
    assert_eq!(again.column("SELECT id FROM goods"), ["p1"]);
    again.enter().await;
    again.sessid = None;
    assert!(again.get("init").await.starts_with("failure\n"), "sessid was used before the restart");
}

#[tokio::test]
async fn the_page_shows_counts_and_sessions_without_secrets() {
    let mut client = Client::open().await;
    client.deliver("import0_1.xml", &goods_xml(true, &product("p1"))).await;
    let page = answer(reqwest::Client::new().get(client.origin())).await.unwrap();
    assert!(
        page.content_type.starts_with("text/html") && page.body.contains("<b>1</b><span>Товары</span>"),
        "{}",
        page.body
    );
    assert!(page.body.contains("catalog import"));
    let cookie = client.cookie.as_ref().unwrap().split_once('=').unwrap().1;
    assert!(!page.body.contains(cookie) && !page.body.contains(client.sessid.as_ref().unwrap()));
}
