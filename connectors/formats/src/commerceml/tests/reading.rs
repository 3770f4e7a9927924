//! Dialects, bad values and broken files.

use super::{read_all, try_read};
use obmen_sdk::ErrorKind;

fn document(inside: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<КоммерческаяИнформация ВерсияСхемы=\"2.07\">{inside}</КоммерческаяИнформация>"
    )
}

fn offers(inside: &str) -> String {
    document(&format!("<ПакетПредложений><Предложения>{inside}</Предложения></ПакетПредложений>"))
}

#[test]
fn all_spellings_of_stock() {
    let xml = offers(
        "<Предложение><Склад ИдСклада='w1' КоличествоНаСкладе='1'/><Ид>a</Ид></Предложение>
         <Предложение><Ид>b</Ид><Склады ИдСклада=\"w1\" КоличествоНаСкладе=\"2\"/></Предложение>
         <Предложение><Ид>c</Ид><КоличествоНаСкладах><КоличествоНаСкладе><ИдСклада>w1</ИдСклада><Количество>3</Количество></КоличествоНаСкладе></КоличествоНаСкладах></Предложение>
         <Предложение><Ид>d</Ид><Остатки><Остаток><Склад><Ид>w1</Ид><Количество>4,5</Количество></Склад></Остаток></Остатки></Предложение>
         <Предложение><Ид>e</Ид><Остатки><Остаток><Количество>5</Количество></Остаток></Остатки></Предложение>",
    );
    let stock = read_all("stock", xml.as_bytes());
    let lines: Vec<String> = (0..stock.rows.len()).map(|row| stock.line(row)).collect();
    assert_eq!(lines, ["a | w1 | 1", "b | w1 | 2", "c | w1 | 3", "d | w1 | 4.5"]);
    assert_eq!(read_all("offers", xml.as_bytes()).column("offers", "quantity")[4], Some("5"));
}

#[test]
fn quick_update_joins_the_characteristic() {
    let xml = document(
        "<ИзмененияПакетаПредложений><Предложения><Предложение><Ид>g</Ид><ИдХарактеристики>c</ИдХарактеристики>
         <Цены><Цена><ИдТипаЦены>p</ИдТипаЦены><ЦенаЗаЕдиницу>950.00</ЦенаЗаЕдиницу></Цена></Цены></Предложение>
         </Предложения></ИзмененияПакетаПредложений>",
    );
    let prices = read_all("prices", xml.as_bytes());
    assert_eq!((prices.line(0).as_str(), prices.exact), ("g#c | p | 950 | - | - | -", Some(false)));
}

#[test]
fn only_changes_is_no_snapshot_however_it_is_said() {
    for (catalogue, exact) in [
        ("<Каталог СодержитТолькоИзменения=\"true\"><Товары/></Каталог>", Some(false)),
        ("<Каталог><Товары/><СодержитТолькоИзменения>true</СодержитТолькоИзменения></Каталог>", Some(false)),
        ("<Каталог СодержитТолькоИзменения=\"false\"><Товары/></Каталог>", None),
        ("<Каталог><Товары/></Каталог>", None),
    ] {
        assert_eq!(read_all("goods", document(catalogue).as_bytes()).exact, exact, "{catalogue}");
    }
}

#[test]
fn a_value_that_does_not_fit_is_a_bad_row_at_its_place() {
    let xml = offers(
        "\n<Предложение><Ид>a</Ид>\n  <Количество>много</Количество></Предложение>\n<Предложение><Ид>b</Ид><Количество>1</Количество></Предложение><Предложение/>",
    );
    let all = read_all("offers", xml.as_bytes());
    assert_eq!(all.rows.len(), 1);
    let shown: Vec<String> =
        all.bad.iter().map(|bad| format!("{} {:?} {}", bad.place, bad.column, bad.reason)).collect();
    assert_eq!(
        shown,
        ["file.xml:4:3 Some(\"quantity\") `много` is not a number", "file.xml:5:64 Some(\"id\") `id` is missing"]
    );
}

#[test]
fn broken_files_say_where() {
    let fails = |xml: &str| {
        let error = try_read("goods", xml.as_bytes(), 10).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        error.to_string()
    };
    let cut = document("<Каталог><Товары>\n<Товар><Ид>1</Ид>");
    assert!(fails(&cut.replace("</КоммерческаяИнформация>", "")).starts_with("file.xml:3:18: "));
    assert!(fails(&document("<Каталог>\n<Товары></Товар></Каталог>")).starts_with("file.xml:3:9: "));
    assert!(fails("<html/>").contains("this is not CommerceML: the root element is `html`"));
    assert!(fails("").contains("the file is empty"));
    assert!(fails("<!DOCTYPE a [<!ENTITY x \"y\">]><a/>").contains("DTD"));
    assert!(
        fails(&document("<Каталог><Товары><Товар><Ид>&x;</Ид></Товар></Товары></Каталог>"))
            .contains("unknown entity `&x;`")
    );
    assert!(fails(&document(&"<Каталог>".repeat(300))).contains("nested too deeply"));
    assert!(fails(&format!("{}<a/>", document(""))).contains("after the end"));
}

#[test]
fn rows_before_the_broken_place_are_handed_over() {
    let good = "<Товар><Ид>1</Ид><Наименование>a</Наименование></Товар>".repeat(5);
    let xml = format!("<КоммерческаяИнформация><Каталог><Товары>{good}<Товар>");
    let mut rows = 0;
    let result = super::super::read("goods", "f.xml", xml.as_bytes(), 2, &mut |batch| {
        rows += batch.rows.num_rows();
        Ok(())
    });
    assert!(result.is_err());
    assert_eq!(rows, 4);
}

#[test]
fn windows_1251_and_prefixes_and_units() {
    let xml = "<?xml version=\"1.0\" encoding=\"windows-1251\"?>
        <c:КоммерческаяИнформация xmlns:c=\"urn:1C.ru:commerceml_210\"><c:Каталог><c:Товары>
        <c:Товар c:Статус=\"Удален\"><c:Наименование>Болт &#8470; 5 &amp; <![CDATA[<гайка>]]></c:Наименование><c:Ид> 1 </c:Ид><c:БазоваяЕдиница>796</c:БазоваяЕдиница></c:Товар>
        <c:Товар><c:Ид>2</c:Ид><c:ПометкаУдаления>true</c:ПометкаУдаления><c:БазоваяЕдиница Код=\"166 \">кг</c:БазоваяЕдиница></c:Товар>
        </c:Товары></c:Каталог></c:КоммерческаяИнформация>";
    let (bytes, _, _) = encoding_rs::WINDOWS_1251.encode(xml);
    let goods = read_all("goods", &bytes);
    assert_eq!(goods.column("goods", "name")[0], Some("Болт № 5 & <гайка>"));
    assert_eq!(goods.column("goods", "id"), [Some("1"), Some("2")]);
    assert_eq!(goods.column("goods", "unit_code"), [Some("796"), Some("166")]);
    assert_eq!(goods.column("goods", "unit_name"), [None, Some("кг")]);
    assert_eq!(goods.column("goods", "deleted"), [Some("true"), Some("true")]);
}

#[test]
fn an_unknown_relation_is_refused_with_the_list() {
    let error = try_read("orders", b"", 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("goods"));
}
