//! What an exchange looks like when all goes well.

use super::load::{connect, deliver, yaml};
use super::shop::{COOKIE, Manners, SESSID, TestShop};
use crate::Commerceml;
use obmen_diagnostics::Problems;
use obmen_sdk::{Connector, Outcome};

async fn all_acked(shop: &TestShop, more: &str) {
    let (connection, _) = connect(&shop.url, more);
    let settled = deliver(&connection).await.unwrap();
    assert!(settled.values().all(|outcome| *outcome == Outcome::acked()), "{settled:?}");
    assert_eq!(shop.seen(|seen| seen.wrong.clone()), Vec::<String>::new());
}

#[tokio::test]
async fn goods_then_offers_each_in_its_file() {
    let shop = TestShop::start(Manners::default()).await;
    all_acked(&shop, "").await;
    assert_eq!(
        shop.log(),
        [
            "checkauth",
            "init",
            "file import0_1.xml",
            "file offers0_1.xml",
            "import import0_1.xml",
            "import offers0_1.xml"
        ]
    );
    assert!(shop.imported("import0_1.xml").contains("<Наименование>Гайка</Наименование>"));
    let offers = shop.imported("offers0_1.xml");
    assert!(offers.contains("ДатаФормирования=\"2026-03-01T10:15:00\""));
    assert!(offers.contains("<ЦенаЗаЕдиницу>12.50</ЦенаЗаЕдиницу>") && offers.contains("<Количество>1</Количество>"));
}

#[tokio::test]
async fn files_are_cut_to_the_limit_and_arrive_whole() {
    let shop = TestShop::start(Manners { init: "file_limit=333\r\nzip=no\r\n".to_owned(), ..Manners::default() }).await;
    all_acked(&shop, "").await;
    assert!(shop.log().iter().filter(|line| *line == "file import0_1.xml").count() > 3);
    let whole = TestShop::start(Manners { init: "zip=no\nfile_limit=0".to_owned(), ..Manners::default() }).await;
    all_acked(&whole, "").await;
    assert_eq!(whole.log().iter().filter(|line| *line == "file import0_1.xml").count(), 1);
    for file in ["import0_1.xml", "offers0_1.xml"] {
        assert_eq!(shop.imported(file), whole.imported(file));
    }
}

#[tokio::test]
async fn an_archive_where_the_shop_wants_one() {
    let zip = || Manners { init: "zip=yes\nfile_limit=200".to_owned(), ..Manners::default() };
    let shop = TestShop::start(zip()).await;
    all_acked(&shop, "").await;
    assert!(shop.imported("import0_1.xml").contains("Гайка"));
    let log = shop.log();
    assert!(log.iter().filter(|line| *line == "file package.zip").count() > 1);
    assert_eq!(log[log.len() - 2..], ["import import0_1.xml", "import offers0_1.xml"]);
    let plain = TestShop::start(zip()).await;
    all_acked(&plain, "zip: never").await;
    assert!(plain.log().contains(&"file import0_1.xml".to_owned()));
}

#[tokio::test]
async fn the_cookie_comes_in_lines_or_in_a_header_or_not_at_all() {
    let header = |set_cookie: Option<&str>, wants_cookie: Option<&str>| Manners {
        door: String::new(),
        set_cookie: set_cookie.map(ToOwned::to_owned),
        wants_cookie: wants_cookie.map(ToOwned::to_owned),
        wants_sessid: None,
        ..Manners::default()
    };
    all_acked(&TestShop::start(header(Some("sid=abc1; path=/; HttpOnly"), Some("sid=abc1"))).await, "").await;
    all_acked(&TestShop::start(header(None, None)).await, "").await;
    let lines = Manners {
        door: format!("key\n{COOKIE}"),
        wants_cookie: Some(format!("key={COOKIE}")),
        wants_sessid: None,
        ..Manners::default()
    };
    all_acked(&TestShop::start(Manners { set_cookie: Some("other=1".to_owned()), ..lines }).await, "").await;
}

#[tokio::test]
async fn the_token_is_left_out_on_request() {
    let shop = TestShop::start(Manners { wants_sessid: None, ..Manners::default() }).await;
    all_acked(&shop, "sessid: never").await;
    let shop = TestShop::start(Manners { wants_sessid: Some(SESSID.to_owned()), ..Manners::default() }).await;
    all_acked(&shop, "sessid: auto").await;
}

#[tokio::test]
async fn an_import_is_asked_again_while_it_goes_on() {
    let shop = TestShop::start(Manners { progress: 12, ..Manners::default() }).await;
    all_acked(&shop, "").await;
    assert_eq!(shop.log().iter().filter(|line| *line == "import import0_1.xml").count(), 13);
}

#[tokio::test]
async fn answers_with_a_bom_or_with_noise_before_them() {
    all_acked(&TestShop::start(Manners { prefix: vec![0xEF, 0xBB, 0xBF], ..Manners::default() }).await, "").await;
    let noisy = Manners { prefix: b"\nNotice: Undefined index in 1c.php\n".to_vec(), ..Manners::default() };
    all_acked(&TestShop::start(noisy).await, "lenient_first_lines: true").await;
}

#[tokio::test]
async fn an_address_with_a_query_keeps_it() {
    let shop = TestShop::start(Manners::default()).await;
    let (connection, _) = connect(&format!("{}?wc1c=exchange", shop.url), "");
    assert_eq!(connection.identity(), shop.url);
    assert!(deliver(&connection).await.unwrap().values().all(|outcome| *outcome == Outcome::acked()));
}

#[tokio::test]
async fn checking_a_connection_only_asks_to_be_let_in() {
    let shop = TestShop::start(Manners::default()).await;
    let (connection, _) = connect(&shop.url, "");
    let text = connection.check().await.unwrap();
    assert!(text.ends_with("lets us in") && !text.contains(COOKIE));
    assert_eq!(shop.log(), ["checkauth"]);
    assert!(connection.entities().await.is_err());
}

#[test]
fn settings_are_checked_with_places() {
    let found = |text: &str| {
        let mut problems = Problems::new();
        Commerceml.check(&yaml(text), &mut problems);
        problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        found("url: 'https://shop.example'\nuser: a\npassword: '${env:P}'\nportion: 500\nnamespace: none"),
        Vec::<String>::new()
    );
    assert_eq!(found("url: '${env:SHOP}'"), Vec::<String>::new());
    assert_eq!(found("url: 'https://a:b@shop.example'\nportion: 0\nversion: 2.07-long").len(), 3);
    assert_eq!(found("url: 'https://shop.example'\nzip: maybe\ndelete_stile: all").len(), 2);
    let mut problems = Problems::new();
    Commerceml.check_source(&yaml("url: x"), "goods", &yaml("{}"), &mut problems);
    assert!(problems.has_errors());
}
