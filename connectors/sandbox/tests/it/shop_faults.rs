//! A shop that misbehaves.

use crate::help::{Client, answer, goods_xml, offer, offers_xml, product};
use obmen_sandbox::{Fault, Misbehaviour as Bad, ShopControl};
use std::time::{Duration, Instant};

async fn ready() -> Client {
    let mut client = Client::open().await;
    client.begin().await;
    client.upload("import0_1.xml", goods_xml(true, &product("p1"))).await;
    client
}

#[tokio::test]
async fn a_lost_answer_was_applied() {
    let client = ready().await;
    client.shop().misbehave(Fault::new(Bad::LoseAnswer).on("import").nth(1));
    assert!(client.call("type=catalog&mode=import&filename=import0_1.xml", None).await.is_err());
    assert_eq!(client.column("SELECT id FROM goods"), ["p1"]);
    assert!(client.import("import0_1.xml").await.starts_with("success\n"), "the same request again is harmless");
}

#[tokio::test]
async fn a_lost_answer_to_a_chunk_was_appended() {
    let mut client = Client::open().await;
    client.begin().await;
    client.shop().misbehave(Fault::new(Bad::LoseAnswer).on("file").nth(1));
    let chunk = client.call("type=catalog&mode=file&filename=import0_1.xml", Some(goods_xml(true, "").into_bytes()));
    assert!(chunk.await.is_err());
    assert!(client.import("import0_1.xml").await.starts_with("success\n"));
}

#[tokio::test]
async fn answers_are_lost_with_a_probability_and_a_seed() {
    let client = Client::open().await;
    client.shop().misbehave(Fault::new(Bad::LoseAnswer).on("checkauth").probability(0.5, 3));
    let mut lost = 0;
    for _ in 0..20 {
        lost += usize::from(client.call("type=catalog&mode=checkauth", None).await.is_err());
    }
    assert!((5..=15).contains(&lost), "{lost}");
}

#[tokio::test]
async fn failures_come_n_times_with_their_text() {
    let client = ready().await;
    client.shop().misbehave(Fault::new(Bad::Failure).on("import").times(2).text("Таблица заблокирована"));
    for _ in 0..2 {
        assert_eq!(client.import("import0_1.xml").await, "failure\nТаблица заблокирована");
    }
    assert!(client.import("import0_1.xml").await.starts_with("success\n"));
}

#[tokio::test]
async fn a_refused_product_rolls_its_whole_file_back() {
    let mut client = Client::open().await;
    let both = goods_xml(true, &(product("p1") + &product("p2")));
    let refuse = |ids: &[&str]| ShopControl {
        refuse_products: Some(ids.iter().map(|id| (*id).to_owned()).collect()),
        ..ShopControl::default()
    };
    client.shop().control(refuse(&["p2"])).unwrap();
    assert_eq!(client.deliver("import0_1.xml", &both).await, "failure\nТовар p2 отвергнут");
    assert_eq!(client.column("SELECT count(*) FROM goods"), ["0"]);
    assert_eq!(client.column("SELECT count(*) FROM groups"), ["0"]);
    client.shop().control(refuse(&[])).unwrap();
    assert!(client.deliver("import0_1.xml", &both).await.starts_with("success\n"));
    client.shop().control(refuse(&["p1"])).unwrap();
    let offers = offers_xml(true, &offer("p1#red", "1", "1"));
    assert_eq!(client.deliver("offers0_1.xml", &offers).await, "failure\nТовар p1 отвергнут");
}

#[tokio::test]
async fn the_connection_drops_inside_a_chunk_and_half_of_it_stays() {
    let mut client = Client::open().await;
    client.begin().await;
    client.shop().misbehave(Fault::new(Bad::DropInChunk).nth(1));
    let xml = goods_xml(true, &product("p1"));
    let query = "type=catalog&mode=file&filename=import0_1.xml";
    assert!(client.call(query, Some(xml.clone().into_bytes())).await.is_err());
    assert_eq!(client.upload("import0_1.xml", xml.clone()).await, "success");
    assert!(client.import("import0_1.xml").await.starts_with("failure\n"), "the half is still there");
    assert!(client.deliver("import0_1.xml", &xml).await.starts_with("success\n"));
}

#[tokio::test]
async fn a_mode_is_slow() {
    let client = ready().await;
    client.shop().misbehave(Fault::new(Bad::Slow).on("import").delay_ms(300));
    let started = Instant::now();
    client.import("import0_1.xml").await;
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_mark_and_a_notice_come_before_the_answer() {
    let client = ready().await;
    client.shop().misbehave(Fault::new(Bad::Bom).times(1));
    assert!(client.import("import0_1.xml").await.starts_with("\u{feff}success\n"));
    client.shop().misbehave(Fault::new(Bad::PhpNotice).times(1));
    let said = client.import("import0_1.xml").await;
    assert!(said.starts_with("<br />\n<b>Notice</b>") && said.contains("\nsuccess\n"), "{said}");
}

#[tokio::test]
async fn answers_come_in_windows_1251() {
    let client = ready().await;
    client.shop().misbehave(Fault::new(Bad::Windows1251));
    let url = format!("{}?type=catalog&mode=init", client.running.shop_url.as_ref().unwrap());
    let response = reqwest::get(url).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/html; charset=windows-1251");
    let bytes = response.bytes().await.unwrap();
    assert!(encoding_rs::WINDOWS_1251.decode(&bytes).0.starts_with("failure\nСессия не найдена"));
}

#[tokio::test]
async fn an_empty_body_and_503_do_nothing() {
    let client = ready().await;
    client.shop().misbehave(Fault::new(Bad::EmptyBody).on("import").times(1));
    assert_eq!(client.import("import0_1.xml").await, "");
    client.shop().misbehave(Fault::new(Bad::Unavailable).on("import").times(1));
    let query = "type=catalog&mode=import&filename=import0_1.xml";
    assert_eq!(client.call(query, None).await.unwrap().status, 503);
    assert_eq!(client.column("SELECT count(*) FROM goods"), ["0"]);
    assert!(client.import("import0_1.xml").await.starts_with("success\n"));
}

#[tokio::test]
async fn progress_never_ends() {
    let client = ready().await;
    client.shop().misbehave(Fault::new(Bad::EndlessProgress));
    for _ in 0..20 {
        assert!(client.import("import0_1.xml").await.starts_with("progress\n"));
    }
    assert_eq!(client.column("SELECT count(*) FROM goods"), ["0"]);
}

#[tokio::test]
async fn control_over_http_is_guarded_checked_and_shown() {
    let client = ready().await;
    let url = format!("{}/control", client.origin());
    let http = reqwest::Client::new();
    assert_eq!(answer(http.get(&url)).await.unwrap().status, 401);
    let order = |body: &'static str| answer(http.post(&url).basic_auth("exchange", Some("secret")).body(body));
    let shown = order(r#"{"faults":[{"do":"failure","on":"import","times":1}],"refuse_products":["p9"],"steps":5,"delete_marks":{"attribute":false,"status":true,"flag":true}}"#).await.unwrap().json();
    assert_eq!((shown["steps"].as_u64(), shown["refuse_products"][0].as_str()), (Some(5), Some("p9")));
    assert!(client.import("import0_1.xml").await.starts_with("failure\n"));
    let shown = answer(http.get(&url).basic_auth("exchange", Some("secret"))).await.unwrap().json();
    assert_eq!(
        (shown["faults"][0]["happened"].as_u64(), shown["faults"][0]["do"].as_str()),
        (Some(1), Some("failure"))
    );
    for bad in [
        r#"{"fault":[]}"#,
        r#"{"faults":[{"do":"explode"}]}"#,
        r#"{"faults":[{"do":"bom","nth":0}]}"#,
        r#"{"faults":[{"do":"bom","probability":2}]}"#,
        "{",
    ] {
        assert_eq!(order(bad).await.unwrap().status, 400, "{bad}");
    }
}
