//! What 1C refuses, and what it answers wrongly: `1c-odata.md` §11.7 and the sections it draws on.

use crate::help::{BOLT, Base, answer, escape};

const GOODS: &str = "/Catalog_Номенклатура?$format=json";

#[tokio::test]
async fn a_wrong_password_is_401_with_html() {
    let base = Base::open().await;
    let client = reqwest::Client::new();
    let refused = answer(client.get(base.url(GOODS)).basic_auth("exchange", Some("wrong"))).await.unwrap();
    assert_eq!((refused.status, refused.content_type.as_str()), (401, "text/html; charset=utf-8"));
    assert!(refused.body.contains("Идентификация пользователя не выполнена"));
    assert_eq!(answer(client.get(base.url(GOODS))).await.unwrap().status, 401);
}

#[tokio::test]
async fn an_unknown_entity_is_404_with_html() {
    let base = Base::open().await;
    let refused = base.get("/Catalog_Нет?$format=json").await;
    assert_eq!(refused.status, 404);
    assert!(refused.content_type.starts_with("text/html") && refused.body.starts_with("<!DOCTYPE HTML"), "{refused:?}");
    let outside = reqwest::Client::new().get(base.url("").replace("/trade/", "/other/"));
    assert_eq!(answer(outside.basic_auth("exchange", Some("secret"))).await.unwrap().status, 404);
}

#[tokio::test]
async fn an_unknown_key_is_404_with_code_9_in_the_exact_bytes() {
    let base = Base::open().await;
    let refused = base.get("/Catalog_Номенклатура(guid'00000000-0000-0000-0000-00000000dead')?$format=json").await;
    assert_eq!(refused.status, 404);
    let bytes =
        "{\"odata.error\":{\"code\":\"9\",\"message\":{\"lang\":\"ru\",\"value\":\"Экземпляр сущности не найден\"}}}";
    assert_eq!(refused.body, bytes);
    let atom = base.get("/Catalog_Номенклатура(guid'00000000-0000-0000-0000-00000000dead')").await;
    assert!(atom.body.contains("<m:code>9</m:code>"), "{atom:?}");
}

#[tokio::test]
async fn references_have_no_order() {
    let base = Base::open().await;
    let refused = base.get(&format!("{GOODS}&$filter=Ref_Key gt guid'{BOLT}'")).await;
    assert_eq!((refused.error().0, refused.error().1.as_str()), (500, "-1"));
}

#[tokio::test]
async fn a_plus_in_a_filter_is_400() {
    let base = Base::open().await;
    let refused = base.get(&format!("{GOODS}&$filter=Code+eq+'2'")).await;
    assert_eq!(refused.error(), (400, "14".to_owned(), "Error parsing $filter query option".to_owned()));
}

#[tokio::test]
async fn a_broken_filter_is_400_with_code_14() {
    let base = Base::open().await;
    for filter in
        ["Code eq", "Code = '2'", "length(Code) eq 1", "startwith(Description,'О') eq true", "Упаковка gt 1e3"]
    {
        assert_eq!(base.get(&format!("{GOODS}&$filter={filter}")).await.error().1, "14", "{filter}");
    }
}

#[tokio::test]
async fn unknown_fields_are_400_with_code_6() {
    let base = Base::open().await;
    for query in ["$select=Ref_Key,Нет", "$filter=Нет eq 1", "$orderby=Нет"] {
        let refused = base.get(&format!("{GOODS}&{query}")).await.error();
        assert_eq!(refused, (400, "6".to_owned(), "Сегмент пути Нет не найден".to_owned()), "{query}");
    }
}

#[tokio::test]
async fn an_unknown_option_is_refused_by_name() {
    let base = Base::open().await;
    let refused = base.get(&format!("{GOODS}&$expan=Должность")).await.error();
    assert_eq!(refused, (501, "0".to_owned(), "The $expan parameter is not supported".to_owned()));
}

#[tokio::test]
async fn start_date_is_501() {
    let base = Base::open().await;
    let refused = base
        .get("/AccumulationRegister_ТоварыНаСкладах/Balance()?StartDate=datetime'2024-01-01T00:00:00'&$format=json")
        .await;
    assert_eq!(refused.error(), (501, "21".to_owned(), "Параметр StartDate не поддерживается".to_owned()));
}

#[tokio::test]
async fn a_missing_virtual_table_is_400_with_code_6() {
    let base = Base::open().await;
    for path in ["/InformationRegister_ЦеныНоменклатуры/Slice_Last()", "/AccumulationRegister_Запасы/Balance()"]
    {
        let refused = base.get(&format!("{path}?$format=json")).await.error();
        assert_eq!(refused, (400, "6".to_owned(), "Метод не найден".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_missing_key_part_is_400_with_code_7() {
    let base = Base::open().await;
    let path = format!("/InformationRegister_ЦеныНоменклатуры(Номенклатура_Key=guid'{BOLT}')?$format=json");
    assert_eq!(base.get(&path).await.error().1, "7");
}

#[tokio::test]
async fn a_long_path_segment_is_a_page_of_the_web_server() {
    let base = Base::open().await;
    let condition = "A".repeat(300);
    let refused = base.get(&format!("/InformationRegister_ЦеныНоменклатуры/SliceLast(Condition='{condition}')")).await;
    assert_eq!((refused.status, refused.body.contains("Bad Request - Invalid URL")), (400, true));
}

#[tokio::test]
async fn writing_and_batch_are_refused() {
    let base = Base::open().await;
    let client = reqwest::Client::new();
    let post = client.post(base.url(GOODS)).basic_auth("exchange", Some("secret")).body("{}");
    assert_eq!(answer(post).await.unwrap().error().1, "19");
    assert_eq!(base.get("/$batch").await.status, 501);
}

#[tokio::test]
async fn if_match_is_ignored() {
    let base = Base::open().await;
    let request = reqwest::Client::new().get(base.url(GOODS)).header("If-Match", "AAAAAAAAAAA=");
    assert_eq!(answer(request.basic_auth("exchange", Some("secret"))).await.unwrap().status, 200);
}

#[tokio::test]
async fn record_sets_ignore_any_order() {
    let base = Base::open().await;
    let sets = base.get("/AccumulationRegister_Запасы?$format=json&$orderby=НетТакогоПоля desc").await;
    let recorders = ["aaaaaaaa-0000-0000-0000-000000000001", "aaaaaaaa-0000-0000-0000-000000000002"];
    assert_eq!(sets.field("Recorder"), recorders);
    assert_eq!(sets.json()["value"][0]["RecordSet"].as_array().unwrap().len(), 2);
    let rows = base.get("/AccumulationRegister_Запасы_RecordType?$format=json&$orderby=Количество").await;
    assert_eq!(rows.field("Количество"), ["1.5", "2", "5"]);
}

#[tokio::test]
async fn recorder_comparisons_lie_or_fail() {
    let base = Base::open().await;
    let ask =
        async |filter: &str| base.get(&format!("/AccumulationRegister_Запасы?$format=json&$filter={filter}")).await;
    let recorder = "aaaaaaaa-0000-0000-0000-000000000001";
    assert_eq!(ask(&format!("Recorder eq '{recorder}'")).await.field("Recorder"), Vec::<String>::new());
    let refused = ask(&format!("Recorder eq guid'{recorder}'")).await.error();
    assert!(refused.0 == 500 && refused.2.starts_with("Нельзя сравнивать поля неограниченной длины"), "{refused:?}");
    assert_eq!(ask("Recorder_Type eq 'StandardODATA.Document_Заказ'").await.field("Recorder").len(), 2);
    assert_eq!(
        ask("Period ge datetime'2024-01-01T00:00:00'").await.error(),
        (400, "6".to_owned(), "Сегмент пути Period не найден".to_owned())
    );
    assert_eq!(ask("RecordSet/Period ge datetime'2024-01-01T00:00:00'").await.status, 500);
    let window =
        "RecordSet/any(r: r/Period ge datetime'2024-02-01T00:00:00' and r/Period lt datetime'2024-03-01T00:00:00')";
    assert_eq!(ask(window).await.field("Recorder"), ["aaaaaaaa-0000-0000-0000-000000000002"]);
}

#[tokio::test]
async fn a_composite_attribute_equals_nothing_without_cast() {
    let base = Base::open().await;
    let ask =
        async |filter: &str| base.get(&format!("/Document_Заказ?$format=json&$filter={filter}")).await.field("Number");
    let basis = "guid'bbbbbbbb-0000-0000-0000-000000000001'";
    assert_eq!(ask(&format!("Основание eq {basis}")).await, Vec::<String>::new());
    assert_eq!(ask(&format!("Основание eq cast({basis},'Document_Счет')")).await, ["000000001"]);
    assert_eq!(ask("isof(Основание,'Document_Счет')").await, ["000000001"]);
}

#[tokio::test]
async fn an_unfiltered_register_runs_out_of_memory_at_any_top() {
    let base = Base::with(|options| options.register_rows = Some(2)).await;
    let refused = base.get("/AccumulationRegister_Запасы?$format=json&$top=1").await.error();
    assert!(refused.0 == 500 && refused.2.starts_with("Недостаточно памяти"), "{refused:?}");
    let filtered = "/AccumulationRegister_Запасы?$format=json&$filter=Recorder_Type eq 'StandardODATA.Document_Заказ'";
    assert_eq!(base.get(filtered).await.status, 200);
}

#[tokio::test]
async fn a_page_that_is_too_large_fills_the_disk_of_the_server() {
    let base = Base::with(|options| options.page_entries = Some(2)).await;
    let refused = base.get(GOODS).await.error();
    assert!(refused.0 == 500 && refused.2.starts_with("The device is full"), "{refused:?}");
    assert_eq!(base.get(&format!("{GOODS}&$top=2")).await.status, 200);
}

#[tokio::test]
async fn unescaped_cyrillic_is_taken_and_broken_escapes_are_not() {
    let base = Base::open().await;
    let origin =
        base.running.trade_url.as_ref().unwrap().trim_start_matches("http://").trim_end_matches("/trade").to_owned();
    let raw = |path: &[u8]| {
        let auth = "ZXhjaGFuZ2U6c2VjcmV0";
        let mut bytes = b"GET /trade/odata/standard.odata/".to_vec();
        bytes.extend(path);
        bytes.extend(
            format!(
                "?$format=json HTTP/1.1\r\nHost: {origin}\r\nAuthorization: Basic {auth}\r\nConnection: close\r\n\r\n"
            )
            .bytes(),
        );
        bytes
    };
    let ask = async |bytes: Vec<u8>| {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(origin.as_str()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        String::from_utf8_lossy(&said).into_owned()
    };
    assert!(ask(raw("Catalog_Номенклатура".as_bytes())).await.starts_with("HTTP/1.1 200"));
    assert!(ask(raw(escape("Catalog_Номенклатура").as_bytes())).await.starts_with("HTTP/1.1 200"));
    assert!(ask(raw(b"Catalog_%CD%EE")).await.starts_with("HTTP/1.1 400"));
    assert!(ask(raw(b"Catalog_\xcd\xee")).await.starts_with("HTTP/1.1 400"));
}
