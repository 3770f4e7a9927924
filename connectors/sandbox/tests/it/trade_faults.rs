//! A 1C that misbehaves.

use crate::help::{Base, answer};
use obmen_sandbox::{Fault, TradeMisbehaviour as Bad};
use std::time::{Duration, Instant};

const GOODS: &str = "/Catalog_Номенклатура?$format=json";

#[tokio::test]
async fn an_html_page_comes_with_200() {
    let base = Base::open().await;
    base.trade().misbehave(Fault::new(Bad::HtmlPage).times(1));
    let page = base.get(GOODS).await;
    assert_eq!((page.status, page.content_type.as_str()), (200, "text/html; charset=utf-8"));
    assert!(page.body.contains("1C:Enterprise 8 application error"));
    assert_eq!(base.get(GOODS).await.field("Code").len(), 3);
}

#[tokio::test]
async fn the_connection_drops_in_the_middle_of_the_body() {
    let base = Base::open().await;
    base.trade().misbehave(Fault::new(Bad::DropConnection).on("Catalog_Номенклатура").times(1));
    assert!(base.try_get(GOODS).await.is_err());
    assert_eq!(base.get(GOODS).await.status, 200);
}

#[tokio::test]
async fn json_is_truncated_with_a_good_ending() {
    let base = Base::open().await;
    base.trade().misbehave(Fault::new(Bad::TruncatedJson).times(1));
    let half = base.get(GOODS).await;
    assert_eq!(half.status, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&half.body).is_err() && half.body.starts_with('{'));
}

#[tokio::test]
async fn the_server_is_unavailable_a_few_times() {
    let base = Base::open().await;
    base.trade().misbehave(Fault::new(Bad::Unavailable).times(2));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(base.get(GOODS).await.status);
    }
    assert_eq!(statuses, [503, 503, 200]);
}

#[tokio::test]
async fn the_base_suddenly_serves_nothing() {
    let base = Base::open().await;
    base.trade().misbehave(Fault::new(Bad::Empty));
    assert_eq!(base.get(GOODS).await.field("Code"), Vec::<String>::new());
    assert_eq!(base.get("/Catalog_Номенклатура/$count").await.body, "\u{feff}0");
}

#[tokio::test]
async fn missing_rights_are_401_with_code_20() {
    let base = Base::open().await;
    base.trade().misbehave(Fault::new(Bad::AccessDenied));
    assert_eq!(base.get(GOODS).await.error(), (401, "20".to_owned(), "Доступ запрещен".to_owned()));
}

#[tokio::test]
async fn failures_are_500_with_and_without_an_odata_error() {
    let base = Base::open().await;
    base.trade().misbehave(Fault::new(Bad::Failure).text("Блокировка").times(1));
    assert_eq!(base.get(GOODS).await.error(), (500, "-1".to_owned(), "Блокировка".to_owned()));
    base.trade().misbehave(Fault::new(Bad::Exception).times(1));
    assert!(base.get(GOODS).await.body.starts_with("{\"exception\":"));
}

#[tokio::test]
async fn the_first_request_is_slow_and_the_next_is_not() {
    let base = Base::with(|options| options.cold_start = Duration::from_millis(300)).await;
    let started = Instant::now();
    base.get(GOODS).await;
    assert!(started.elapsed() >= Duration::from_millis(300));
    let started = Instant::now();
    base.get(GOODS).await;
    assert!(started.elapsed() < Duration::from_millis(300));
    base.trade().misbehave(Fault::new(Bad::Slow).delay_ms(200));
    let started = Instant::now();
    base.get(GOODS).await;
    assert!(started.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn misbehaviour_is_set_over_http() {
    let base = Base::open().await;
    let url = base.running.trade_url.as_ref().unwrap().replace("/trade", "/control");
    let client = reqwest::Client::new();
    let order = r#"{"faults":[{"do":"unavailable","on":"Catalog_Номенклатура","times":1}]}"#;
    let request = || client.post(&url).basic_auth("exchange", Some("secret"));
    assert_eq!(answer(request().body(order)).await.unwrap().status, 200);
    assert_eq!(base.get(GOODS).await.status, 503);
    let shown = answer(client.get(&url).basic_auth("exchange", Some("secret"))).await.unwrap();
    assert_eq!(shown.json()["faults"][0]["happened"], 1);
    assert_eq!(answer(request().body(r#"{"fault":[]}"#)).await.unwrap().status, 400);
    assert_eq!(answer(client.get(&url)).await.unwrap().status, 401);
}
