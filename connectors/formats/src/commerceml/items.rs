//! One product or offer as XML, in the element order of the XSD.

use super::cell::{self, Number, checked};
use super::entity::Column;
use super::layout::TargetLayout;
use super::package::DeleteStyle;
use super::unit;
use super::write::Xml;
use arrow::array::{Array, ArrayRef, AsArray, StructArray};
use arrow::record_batch::RecordBatch;
use obmen_sdk::Op;
use std::collections::{BTreeMap, BTreeSet};

/// A row to be written.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) target: &'a TargetLayout,
    pub(super) rows: &'a RecordBatch,
    pub(super) old: &'a RecordBatch,
    pub(super) row: usize,
    pub(super) op: Op,
    pub(super) style: DeleteStyle,
}

/// An offer, and what it refers to.
pub(super) struct Offer {
    pub(super) xml: String,
    /// Kinds of prices with the currency they were used with.
    pub(super) price_types: BTreeMap<String, Option<String>>,
    pub(super) warehouses: BTreeSet<String>,
}

/// One item of a child: the texts of its columns, in the order of the entity's description.
type Texts = Vec<Option<String>>;

/// `Товар`.
///
/// # Errors
/// Why the row cannot be written, in one phrase.
pub(super) fn good(item: &Item<'_>) -> Result<String, String> {
    let mut xml = Xml::at(3);
    item.begin(&mut xml, "Товар")?;
    if let Some(group) = item.value("group")? {
        xml.open("Группы", &[]);
        xml.leaf("Ид", &group);
        xml.close("Группы");
    }
    xml.leaf_if("Описание", item.value_or_emptied("description")?.as_deref());
    xml.leaf_if("Страна", item.value_or_emptied("country")?.as_deref());
    if let Some(name) = item.value("manufacturer")? {
        xml.open("Изготовитель", &[]);
        xml.leaf("Наименование", &name);
        xml.leaf("ОфициальноеНаименование", &name);
        xml.close("Изготовитель");
    }
    properties(item, &mut xml)?;
    if let Some(rate) = item.value("vat_rate")? {
        xml.open("СтавкиНалогов", &[]);
        xml.open("СтавкаНалога", &[]);
        xml.leaf("Наименование", "НДС");
        xml.leaf("Ставка", &rate);
        xml.close("СтавкаНалога");
        xml.close("СтавкиНалогов");
    }
    let kind = item.value("kind")?;
    let mut requisites = vec![("ВидНоменклатуры".to_owned(), kind.clone()), ("ТипНоменклатуры".to_owned(), kind)];
    requisites.push(("Полное наименование".to_owned(), item.value_or_emptied("full_name")?));
    requisites.push(("Вес".to_owned(), item.value_or_emptied("weight")?));
    item.requisites(&mut xml, requisites)?;
    xml.close("Товар");
    Ok(xml.finish())
}

fn properties(item: &Item<'_>, xml: &mut Xml) -> Result<(), String> {
    let properties = item.child("properties", item.rows)?;
    if properties.is_empty() {
        return Ok(());
    }
    xml.open("ЗначенияСвойств", &[]);
    for property in properties {
        let [Some(id), value] = property.as_slice() else { continue };
        xml.open("ЗначенияСвойства", &[]);
        xml.leaf("Ид", id);
        xml.leaf("Значение", value.as_deref().unwrap_or(""));
        xml.close("ЗначенияСвойства");
    }
    xml.close("ЗначенияСвойств");
    Ok(())
}

/// `Предложение`: prices and quantity always together.
///
/// # Errors
/// Why the row cannot be written, in one phrase.
pub(super) fn offer(item: &Item<'_>) -> Result<Offer, String> {
    let mut xml = Xml::at(3);
    item.begin(&mut xml, "Предложение")?;
    item.requisites(&mut xml, Vec::new())?;
    let unit = item.value("unit_code")?;
    let price_types = prices(item, &mut xml, unit.as_deref())?;
    let stock = stock(item)?;
    let quantity = match item.column("quantity").and_then(|(array, _)| cell::number(array, item.row)) {
        _ if item.op == Op::Delete => Some(Number { value: 0, scale: 0 }),
        Some(quantity) => Some(quantity),
        None => total(item, &stock)?,
    };
    xml.leaf_if("Количество", quantity.map(Number::text).as_deref());
    for (warehouse, quantity) in &stock {
        let quantity = quantity.text();
        xml.leaf_with("Склад", &[("ИдСклада", warehouse), ("КоличествоНаСкладе", &quantity)], "");
    }
    xml.close("Предложение");
    Ok(Offer { xml: xml.finish(), price_types, warehouses: stock.into_keys().collect() })
}

fn prices(item: &Item<'_>, xml: &mut Xml, unit: Option<&str>) -> Result<BTreeMap<String, Option<String>>, String> {
    let mut used = BTreeMap::new();
    let prices = item.child("prices", item.rows)?;
    if prices.is_empty() {
        return Ok(used);
    }
    xml.open("Цены", &[]);
    for price in prices {
        let [Some(kind), Some(sum), currency] = price.as_slice() else { continue };
        xml.open("Цена", &[]);
        xml.leaf("ИдТипаЦены", kind);
        xml.leaf("ЦенаЗаЕдиницу", sum);
        xml.leaf_if("Валюта", currency.as_deref());
        xml.leaf_if("Единица", unit);
        // WooCommerce multiplies the price by the coefficient.
        xml.leaf("Коэффициент", "1");
        xml.close("Цена");
        used.insert(kind.clone(), currency.clone());
    }
    xml.close("Цены");
    Ok(used)
}

/// Quantities by warehouse; 0 where the row was before and is no longer, and everywhere for a delete.
fn stock(item: &Item<'_>) -> Result<BTreeMap<String, Number>, String> {
    let zero = Number { value: 0, scale: 0 };
    // What the other side has was taken by it: its texts are within the limits.
    let mut stock: BTreeMap<String, Number> = item
        .child("stock", item.old)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|place| Some((place.into_iter().next()??, zero)))
        .collect();
    item.child("stock", item.rows)?;
    if let Some(child) = item.target.child("stock")
        && let Some(places) = list_item(item.rows.column(child.column), item.row)
        && let [Some(warehouse), Some(quantity)] = child.fields
    {
        for row in 0..places.len() {
            let Some(warehouse) = cell::text(places.column(*warehouse), row) else { continue };
            let quantity = cell::number(places.column(*quantity), row).filter(|_| item.op != Op::Delete);
            stock.insert(warehouse, quantity.unwrap_or(zero));
        }
    }
    Ok(stock)
}

/// The sum over all warehouses; `None` where stock is not mapped.
fn total(item: &Item<'_>, stock: &BTreeMap<String, Number>) -> Result<Option<Number>, String> {
    if item.target.child("stock").is_none() {
        return Ok(None);
    }
    let zero = Number { value: 0, scale: 0 };
    let sum = stock.values().try_fold(zero, |sum, quantity| sum.plus(*quantity));
    sum.map(Some).ok_or_else(|| "`stock` has a sum of too many digits".to_owned())
}

/// `ТипыЦен` of the names that offers use.
pub(super) fn names_as_price_types(used: &BTreeMap<String, Option<String>>) -> Option<String> {
    let mut xml = Xml::at(3);
    for (name, currency) in used {
        price_type(&mut xml, name, name, currency.as_deref());
    }
    (!used.is_empty()).then(|| xml.finish())
}

/// `Склады` of the names that offers use.
pub(super) fn names_as_warehouses(used: &BTreeSet<String>) -> Option<String> {
    let mut xml = Xml::at(3);
    for name in used {
        warehouse(&mut xml, name, name);
    }
    (!used.is_empty()).then(|| xml.finish())
}

/// `ТипЦены`
pub(super) fn price_type(xml: &mut Xml, id: &str, name: &str, currency: Option<&str>) {
    xml.open("ТипЦены", &[]);
    xml.leaf("Ид", id);
    xml.leaf("Наименование", name);
    xml.leaf_if("Валюта", currency);
    xml.close("ТипЦены");
}

/// `Склад` of the list of warehouses.
pub(super) fn warehouse(xml: &mut Xml, id: &str, name: &str) {
    xml.open("Склад", &[]);
    xml.leaf("Ид", id);
    xml.leaf("Наименование", name);
    xml.close("Склад");
}

impl Item<'_> {
    /// What products and offers begin with, delete marks included.
    fn begin(&self, xml: &mut Xml, element: &str) -> Result<(), String> {
        let deleted = self.op == Op::Delete;
        let style = |one| deleted && (self.style == one || self.style == DeleteStyle::All);
        let status: &[(&str, &str)] = if style(DeleteStyle::Attr) { &[("Статус", "Удален")] } else { &[] };
        xml.open(element, status);
        xml.leaf("Ид", &self.id()?);
        if style(DeleteStyle::Flag) {
            xml.leaf("ПометкаУдаления", "true");
        }
        if style(DeleteStyle::Element) {
            xml.leaf("Статус", "Удален");
        }
        xml.leaf_if("Штрихкод", self.value("barcode")?.as_deref());
        xml.leaf_if("Артикул", self.value_or_emptied("sku")?.as_deref());
        xml.leaf_if("Наименование", self.value("name")?.as_deref());
        base_unit(xml, self.value("unit_code")?.as_deref(), self.value("unit_name")?.as_deref());
        Ok(())
    }

    /// The id, whatever its column is called.
    pub(super) fn id(&self) -> Result<String, String> {
        let id =
            cell::text(self.rows.column(self.target.id()), self.row).ok_or("`id` is empty, CommerceML needs it")?;
        cell::fits("id", id, 1, self.target.entity.id_length())
    }

    fn column(&self, name: &str) -> Option<(&ArrayRef, &'static Column)> {
        let (at, column) = self.target.column(name)?;
        Some((self.rows.column(at), column))
    }

    /// The value of a column as it goes into the XML.
    pub(super) fn value(&self, name: &str) -> Result<Option<String>, String> {
        match self.column(name) {
            Some((array, column)) => checked(array, self.row, column),
            None => Ok(None),
        }
    }

    /// The value, or an empty text where the other side still has one.
    fn value_or_emptied(&self, name: &str) -> Result<Option<String>, String> {
        let value = self.value(name)?;
        let had = || self.target.column(name).is_some_and(|(at, _)| self.had(at));
        Ok(value.or_else(|| had().then(String::new)))
    }

    fn had(&self, column: usize) -> bool {
        self.op == Op::Update && cell::text(self.old.column(column), self.row).is_some()
    }

    /// The rows of a child, checked.
    pub(super) fn child(&self, name: &str, batch: &RecordBatch) -> Result<Vec<Texts>, String> {
        let Some(child) = self.target.child(name) else { return Ok(Vec::new()) };
        let Some(rows) = list_item(batch.column(child.column), self.row) else { return Ok(Vec::new()) };
        let texts = |row| {
            let pairs = child.fields.iter().zip(child.columns);
            pairs.map(|(field, column)| field.map_or(Ok(None), |at| checked(rows.column(at), row, column))).collect()
        };
        let rows: Result<_, String> = (0..rows.len()).map(texts).collect();
        rows.map_err(|reason| format!("{name}: {reason}"))
    }

    /// `ЗначенияРеквизитов`: the ones with a fixed meaning, then those the sink names.
    fn requisites(&self, xml: &mut Xml, mut requisites: Vec<(String, Option<String>)>) -> Result<(), String> {
        for (at, name) in &self.target.requisites {
            let value = cell::text(self.rows.column(*at), self.row);
            let value = value.map(|value| cell::fits(name, value, 0, 1000)).transpose()?;
            requisites.push((name.clone(), value.or_else(|| self.had(*at).then(String::new))));
        }
        if requisites.iter().all(|(_, value)| value.is_none()) {
            return Ok(());
        }
        xml.open("ЗначенияРеквизитов", &[]);
        for (name, value) in &requisites {
            if let Some(value) = value {
                xml.open("ЗначениеРеквизита", &[]);
                xml.leaf("Наименование", name);
                xml.leaf("Значение", value);
                xml.close("ЗначениеРеквизита");
            }
        }
        xml.close("ЗначенияРеквизитов");
        Ok(())
    }
}

/// `БазоваяЕдиница`: the XSD wants the element, nobody may invent what is in it.
fn base_unit(xml: &mut Xml, code: Option<&str>, name: Option<&str>) {
    let known = code.and_then(unit::find);
    let mut attributes = Vec::new();
    attributes.extend(code.map(|code| ("Код", code)));
    attributes.extend(known.map(|unit| ("НаименованиеПолное", unit.full)));
    attributes.extend(known.map(|unit| ("МеждународноеСокращение", unit.international)));
    let short = name.or(known.map(|unit| unit.short)).unwrap_or("");
    xml.leaf_with("БазоваяЕдиница", &attributes, short);
}

/// The rows of a list column at a row; `None` for NULL.
fn list_item(array: &ArrayRef, row: usize) -> Option<StructArray> {
    if array.is_null(row) {
        return None;
    }
    let rows = match array.as_list_opt::<i32>() {
        Some(list) => list.value(row),
        None => array.as_list_opt::<i64>()?.value(row),
    };
    rows.as_struct_opt().cloned()
}
