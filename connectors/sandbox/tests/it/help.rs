//! What all tests need: systems on free ports, and a client that shows raw answers.

use obmen_sandbox::{Options, Running, Shop, ShopOptions, Trade, TradeOptions, serve};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

pub(crate) const BOLT: &str = "9d5c4222-8c4c-11db-a9b0-00055d49b45e";
pub(crate) const FREE_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

const SCHEMA: &str = r#"
entities:
  Catalog_Номенклатура:
    columns: { Ref_Key: uuid, Parent_Key: uuid, IsFolder: bool, DeletionMark: bool, Code: string, Артикул: string, Description: string, Срок: datetime, Упаковка: long }
    key: [Ref_Key]
    fixed: { Code: 11 }
  InformationRegister_ЦеныНоменклатуры/SliceLast:
    columns: { Номенклатура_Key: uuid, ВидЦены: string, Цена: "decimal(15,2)", Валюта: string }
    key: [Номенклатура_Key, ВидЦены]
  AccumulationRegister_ТоварыНаСкладах/Balance:
    columns: { Номенклатура_Key: uuid, Склад: string, ВНаличииBalance: "decimal(15,3)" }
    key: [Номенклатура_Key, Склад]
  AccumulationRegister_Запасы:
    columns: { Recorder: string, Recorder_Type: string, Period: datetime, LineNumber: long, Active: bool, RecordType: string, Номенклатура_Key: uuid, Количество: "decimal(15,3)" }
    key: [Recorder, Recorder_Type]
  Document_Заказ:
    columns: { Ref_Key: uuid, Number: string, Date: datetime, Основание: string, Основание_Type: string }
    key: [Ref_Key]
"#;

const GOODS: &str = "Ref_Key,Parent_Key,IsFolder,DeletionMark,Code,Артикул,Description,Срок,Упаковка\n\
11111111-0000-0000-0000-000000000001,,true,false,1,,Крепёж,,\n\
9D5C4222-8C4C-11DB-A9B0-00055D49B45E,11111111-0000-0000-0000-000000000001,false,false,2,B-M8,Болт «М8»,2026-12-31,100\n\
11111111-0000-0000-0000-000000000003,11111111-0000-0000-0000-000000000001,false,true,3,D'A,Д'Артаньян,,\n";

const PRICES: &str = "Номенклатура_Key,ВидЦены,Цена,Валюта\n\
9d5c4222-8c4c-11db-a9b0-00055d49b45e,Розничная,129.90,RUB\n\
9d5c4222-8c4c-11db-a9b0-00055d49b45e,Оптовая,100.00,RUB\n\
11111111-0000-0000-0000-000000000003,Розничная,12345678901234.50,RUB\n";

const STOCK: &str = "Номенклатура_Key,Склад,ВНаличииBalance\n\
9d5c4222-8c4c-11db-a9b0-00055d49b45e,Основной,120.500\n\
9d5c4222-8c4c-11db-a9b0-00055d49b45e,Магазин,30\n\
11111111-0000-0000-0000-000000000003,Основной,-1\n";

const MOVES: &str = "Recorder,Recorder_Type,Period,LineNumber,Active,RecordType,Номенклатура_Key,Количество\n\
aaaaaaaa-0000-0000-0000-000000000001,StandardODATA.Document_Заказ,2024-01-10T10:00:00,1,true,Receipt,9d5c4222-8c4c-11db-a9b0-00055d49b45e,5\n\
aaaaaaaa-0000-0000-0000-000000000001,StandardODATA.Document_Заказ,2024-01-10T10:00:00,2,true,Receipt,11111111-0000-0000-0000-000000000003,1.5\n\
aaaaaaaa-0000-0000-0000-000000000002,StandardODATA.Document_Заказ,2024-02-10T10:00:00,1,true,Expense,9d5c4222-8c4c-11db-a9b0-00055d49b45e,2\n";

const ORDERS: &str = "Ref_Key,Number,Date,Основание,Основание_Type\n\
aaaaaaaa-0000-0000-0000-000000000001,000000001,2024-01-10T10:00:00,bbbbbbbb-0000-0000-0000-000000000001,StandardODATA.Document_Счет\n\
aaaaaaaa-0000-0000-0000-000000000002,000000002,2024-02-10T10:00:00,,StandardODATA.Undefined\n";

/// A 1C with its folder.
pub(crate) struct Base {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) running: Running,
    client: reqwest::Client,
}

/// A raw answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The values of one field of all entries.
    pub(crate) fn field(&self, name: &str) -> Vec<String> {
        let value = self.json();
        let entries = value["value"].as_array().unwrap_or_else(|| panic!("{self:?}"));
        entries
            .iter()
            .map(|entry| entry[name].as_str().map_or_else(|| entry[name].to_string(), ToOwned::to_owned))
            .collect()
    }

    /// Status, code and text of an OData error.
    pub(crate) fn error(&self) -> (u16, String, String) {
        let value = self.json();
        let error = &value["odata.error"];
        (
            self.status,
            error["code"].as_str().unwrap().to_owned(),
            error["message"]["value"].as_str().unwrap().to_owned(),
        )
    }
}

impl Base {
    pub(crate) async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut TradeOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("schema.yaml", SCHEMA);
        write("Catalog_Номенклатура.csv", GOODS);
        write("InformationRegister_ЦеныНоменклатуры/SliceLast.csv", PRICES);
        write("AccumulationRegister_ТоварыНаСкладах/Balance.csv", STOCK);
        write("AccumulationRegister_Запасы.csv", MOVES);
        write("Document_Заказ.csv", ORDERS);
        Self::serve(folder, change).await
    }

    pub(crate) async fn serve(folder: tempfile::TempDir, change: impl FnOnce(&mut TradeOptions)) -> Self {
        let mut options = TradeOptions { addr: FREE_PORT, ..TradeOptions::of(folder.path(), "secret") };
        change(&mut options);
        let running = serve(Options { trade: Some(options), shop: None }).await.unwrap();
        Self { folder, running, client: reqwest::Client::new() }
    }

    pub(crate) fn trade(&self) -> &Arc<Trade> {
        self.running.trade.as_ref().unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/odata/standard.odata{}", self.running.trade_url.as_ref().unwrap(), escape(path))
    }

    /// A GET of a path below `standard.odata`; spaces and Cyrillic are escaped here.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.client.get(self.url(path)).basic_auth("exchange", Some("secret"))).await.unwrap()
    }

    pub(crate) async fn try_get(&self, path: &str) -> Result<Answer, reqwest::Error> {
        answer(self.client.get(self.url(path)).basic_auth("exchange", Some("secret"))).await
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let header = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    let bytes = response.bytes().await?;
    Ok(Answer { status, content_type: header.unwrap_or_default(), body: String::from_utf8_lossy(&bytes).into_owned() })
}

/// Escapes what is not ASCII, spaces and quotes; leaves the rest as a careful client writes it.
pub(crate) fn escape(path: &str) -> String {
    let mut escaped = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && byte != b'"' {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").unwrap();
        }
    }
    escaped
}

/// A shop and a client of it that behaves.
pub(crate) struct Client {
    pub(crate) running: Running,
    http: reqwest::Client,
    pub(crate) cookie: Option<String>,
    pub(crate) sessid: Option<String>,
}

impl Client {
    pub(crate) async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ShopOptions)) -> Self {
        let mut options = ShopOptions { addr: FREE_PORT, steps: 0, ..ShopOptions::in_memory("secret") };
        change(&mut options);
        let running = serve(Options { trade: None, shop: Some(options) }).await.unwrap();
        Self { running, http: reqwest::Client::new(), cookie: None, sessid: None }
    }

    pub(crate) fn shop(&self) -> &Arc<Shop> {
        self.running.shop.as_ref().unwrap()
    }

    pub(crate) fn origin(&self) -> String {
        self.running.shop_url.as_ref().unwrap().trim_end_matches("/1c_exchange").to_owned()
    }

    /// One request with a query, with cookie and sessid as they are.
    pub(crate) async fn call(&self, query: &str, body: Option<Vec<u8>>) -> Result<Answer, reqwest::Error> {
        let sessid = self.sessid.as_ref().map(|sessid| format!("&sessid={sessid}")).unwrap_or_default();
        let url = format!("{}?{}{sessid}", self.running.shop_url.as_ref().unwrap(), escape(query));
        let mut request = match body {
            Some(body) => self.http.post(url).body(body),
            None => self.http.get(url),
        };
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", cookie);
        }
        answer(request.basic_auth("exchange", Some("secret"))).await
    }

    pub(crate) async fn get(&self, mode: &str) -> String {
        self.call(&format!("type=catalog&mode={mode}"), None).await.unwrap().body
    }

    /// `checkauth`; keeps cookie and sessid of the body.
    pub(crate) async fn enter(&mut self) {
        (self.cookie, self.sessid) = (None, None);
        let body = self.get("checkauth").await;
        let lines: Vec<&str> = body.lines().collect();
        assert_eq!(lines[0], "success", "{body}");
        self.cookie = Some(format!("{}={}", lines[1], lines[2]));
        self.sessid = lines.get(3).and_then(|line| line.strip_prefix("sessid=")).map(ToOwned::to_owned);
    }

    pub(crate) async fn begin(&mut self) {
        self.enter().await;
        self.get("init").await;
    }

    pub(crate) async fn upload(&self, name: &str, bytes: impl Into<Vec<u8>>) -> String {
        self.call(&format!("type=catalog&mode=file&filename={name}"), Some(bytes.into())).await.unwrap().body
    }

    pub(crate) async fn import(&self, name: &str) -> String {
        self.get(&format!("import&filename={name}")).await
    }

    /// A whole session with one file; the last answer.
    pub(crate) async fn deliver(&mut self, name: &str, xml: &str) -> String {
        self.begin().await;
        assert_eq!(self.upload(name, xml).await, "success");
        loop {
            let said = self.import(name).await;
            if !said.starts_with("progress") {
                return said;
            }
        }
    }

    /// The first column of a query, as text.
    pub(crate) fn column(&self, sql: &str) -> Vec<String> {
        let connection = rusqlite::Connection::open(self.shop().database()).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| {
            Ok(match row.get_ref(0)? {
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                _ => "NULL".to_owned(),
            })
        });
        rows.unwrap().map(Result::unwrap).collect()
    }
}

/// An `import.xml` with these goods inside `Товары`.
pub(crate) fn goods_xml(changes_only: bool, goods: &str) -> String {
    format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<КоммерческаяИнформация xmlns=\"urn:1C.ru:commerceml_2\" ВерсияСхемы=\"2.07\" ДатаФормирования=\"2026-03-01T10:15:00\">\
<Классификатор><Ид>cat</Ид><Наименование>К</Наименование><Группы><Группа><Ид>g1</Ид><Наименование>Крепёж</Наименование>\
<Группы><Группа><Ид>g2</Ид><Наименование>Болты</Наименование></Группа></Группы></Группа></Группы></Классификатор>\
<Каталог СодержитТолькоИзменения=\"{changes_only}\"><Ид>cat</Ид><ИдКлассификатора>cat</ИдКлассификатора><Наименование>Основной</Наименование>\
<Товары>{goods}</Товары></Каталог></КоммерческаяИнформация>"
    )
}

/// A product with a name.
pub(crate) fn product(id: &str) -> String {
    format!(
        "<Товар><Ид>{id}</Ид><Артикул>A-{id}</Артикул><Наименование>Товар {id}</Наименование><Группы><Ид>g2</Ид></Группы></Товар>"
    )
}

/// An `offers.xml` with a price type, two warehouses, and these offers.
pub(crate) fn offers_xml(changes_only: bool, offers: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<КоммерческаяИнформация ВерсияСхемы=\"2.07\" ДатаФормирования=\"2026-03-01T10:15:00\">\
<ПакетПредложений СодержитТолькоИзменения=\"{changes_only}\"><Ид>cat#</Ид><Наименование>П</Наименование><ИдКаталога>cat</ИдКаталога>\
<ТипыЦен><ТипЦены><Ид>retail</Ид><Наименование>Розничная</Наименование><Валюта>RUB</Валюта></ТипЦены></ТипыЦен>\
<Склады><Склад><Ид>main</Ид><Наименование>Основной</Наименование></Склад><Склад><Ид>shop</Ид><Наименование>Магазин</Наименование></Склад></Склады>\
<Предложения>{offers}</Предложения></ПакетПредложений></КоммерческаяИнформация>"
    )
}

/// An offer with one price of `retail` and stock at `main`.
pub(crate) fn offer(id: &str, price: &str, quantity: &str) -> String {
    format!(
        "<Предложение><Ид>{id}</Ид><Наименование>П {id}</Наименование><Цены><Цена><ИдТипаЦены>retail</ИдТипаЦены>\
<ЦенаЗаЕдиницу>{price}</ЦенаЗаЕдиницу><Валюта>RUB</Валюта></Цена></Цены><Количество>{quantity}</Количество>\
<Склад ИдСклада=\"main\" КоличествоНаСкладе=\"{quantity}\"/></Предложение>"
    )
}
