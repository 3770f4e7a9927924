//! One product or offer as XML, in the element order of the XSD.

use super::cell::{self, Number, Value, checked};
use super::entity::Column;
use super::layout::{ChildPlace, TargetLayout};
use super::package::DeleteStyle;
use super::unit;
use super::write::Xml;
use arrow::array::{Array, ArrayRef, AsArray, GenericListArray, OffsetSizeTrait, StructArray};
use arrow::record_batch::RecordBatch;
use obmen_sdk::Op;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

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

/// What an offer refers to.
pub(super) struct Offer<'a> {
    /// Kinds of prices with the currency they were used with.
    pub(super) price_types: BTreeMap<Cow<'a, str>, Option<Cow<'a, str>>>,
    /// Quantities by warehouse.
    pub(super) stock: BTreeMap<Cow<'a, str>, Number>,
}

/// The rows of a child at one row of its owner.
pub(super) struct Children<'a> {
    place: ChildPlace<'a>,
    fields: &'a StructArray,
    rows: Range<usize>,
}

/// The values of a child's row, in the order of the entity's description.
type Values<'a, const N: usize> = Result<[Option<Value<'a>>; N], String>;

/// `Товар`.
///
/// # Errors
/// Why the row cannot be written, in one phrase.
pub(super) fn good(item: &Item<'_>, xml: &mut Xml) -> Result<(), String> {
    item.begin(xml, "Товар")?;
    if let Some(group) = item.value("group")? {
        xml.open("Группы", &[]);
        xml.value("Ид", &group);
        xml.close("Группы");
    }
    xml.value_if("Описание", item.value_or_emptied("description")?.as_ref());
    xml.value_if("Страна", item.value_or_emptied("country")?.as_ref());
    if let Some(name) = item.value("manufacturer")? {
        xml.open("Изготовитель", &[]);
        xml.value("Наименование", &name);
        xml.value("ОфициальноеНаименование", &name);
        xml.close("Изготовитель");
    }
    properties(item, xml)?;
    if let Some(rate) = item.value("vat_rate")? {
        xml.open("СтавкиНалогов", &[]);
        xml.open("СтавкаНалога", &[]);
        xml.leaf("Наименование", "НДС");
        xml.value("Ставка", &rate);
        xml.close("СтавкаНалога");
        xml.close("СтавкиНалогов");
    }
    let kind = item.value("kind")?;
    let fixed = [
        ("ВидНоменклатуры", kind.clone()),
        ("ТипНоменклатуры", kind),
        ("Полное наименование", item.value_or_emptied("full_name")?),
        ("Вес", item.value_or_emptied("weight")?),
    ];
    item.requisites(xml, fixed)?;
    xml.close("Товар");
    Ok(())
}

fn properties(item: &Item<'_>, xml: &mut Xml) -> Result<(), String> {
    let Some(properties) = item.child("properties", item.rows) else { return Ok(()) };
    xml.open("ЗначенияСвойств", &[]);
    for property in properties.checked() {
        let [Some(id), value] = property? else { continue };
        xml.open("ЗначенияСвойства", &[]);
        xml.value("Ид", &id);
        xml.value("Значение", &value.unwrap_or(Value::EMPTIED));
        xml.close("ЗначенияСвойства");
    }
    xml.close("ЗначенияСвойств");
    Ok(())
}

/// `Предложение`: prices and quantity always together.
///
/// # Errors
/// Why the row cannot be written, in one phrase.
pub(super) fn offer<'a>(item: &Item<'a>, xml: &mut Xml) -> Result<Offer<'a>, String> {
    item.begin(xml, "Предложение")?;
    item.requisites(xml, [])?;
    let price_types = prices(item, xml)?;
    let stock = stock(item)?;
    let quantity = match item.column("quantity").and_then(|(array, _)| cell::number(array, item.row)) {
        _ if item.op == Op::Delete => Some(Number::ZERO),
        Some(quantity) => Some(quantity),
        None => total(item, &stock)?,
    };
    xml.value_if("Количество", quantity.map(|quantity| Value::Number(quantity, 0)).as_ref());
    let mut text = String::new();
    for (warehouse, quantity) in &stock {
        text.clear();
        quantity.write(&mut text, 0);
        xml.leaf_with("Склад", &[("ИдСклада", warehouse), ("КоличествоНаСкладе", &text)], "");
    }
    xml.close("Предложение");
    Ok(Offer { price_types, stock })
}

fn prices<'a>(item: &Item<'a>, xml: &mut Xml) -> Result<BTreeMap<Cow<'a, str>, Option<Cow<'a, str>>>, String> {
    let unit = item.value("unit_code")?;
    let mut used = BTreeMap::new();
    let Some(prices) = item.child("prices", item.rows) else { return Ok(used) };
    xml.open("Цены", &[]);
    for price in prices.checked() {
        let [Some(kind), Some(sum), currency] = price? else { continue };
        xml.open("Цена", &[]);
        xml.value("ИдТипаЦены", &kind);
        xml.value("ЦенаЗаЕдиницу", &sum);
        xml.value_if("Валюта", currency.as_ref());
        xml.value_if("Единица", unit.as_ref());
        // WooCommerce multiplies the price by the coefficient.
        xml.leaf("Коэффициент", "1");
        xml.close("Цена");
        used.insert(kind.text(), currency.map(Value::text));
    }
    xml.close("Цены");
    Ok(used)
}

/// Quantities by warehouse; 0 where the row was before and is no longer, and everywhere for a delete.
fn stock<'a>(item: &Item<'a>) -> Result<BTreeMap<Cow<'a, str>, Number>, String> {
    let places = |rows| item.child("stock", rows).into_iter().flat_map(Children::checked);
    // What the other side has was taken by it: its texts are within the limits.
    let before: Result<Vec<[Option<Value<'a>>; 2]>, String> = places(item.old).collect();
    let gone =
        before.unwrap_or_default().into_iter().filter_map(|[warehouse, _]| Some((warehouse?.text(), Number::ZERO)));
    let mut stock: BTreeMap<_, _> = gone.collect();
    for place in places(item.rows) {
        let [Some(warehouse), Some(Value::Number(quantity, _))] = place? else { continue };
        stock.insert(warehouse.text(), if item.op == Op::Delete { Number::ZERO } else { quantity });
    }
    Ok(stock)
}

/// The sum over all warehouses; `None` where stock is not mapped.
fn total(item: &Item<'_>, stock: &BTreeMap<Cow<'_, str>, Number>) -> Result<Option<Number>, String> {
    if item.target.child("stock").is_none() {
        return Ok(None);
    }
    let sum = stock.values().try_fold(Number::ZERO, |sum, quantity| sum.plus(*quantity));
    sum.map(Some).ok_or_else(|| "`stock` has a sum of too many digits".to_owned())
}

/// `ТипыЦен` of the names that offers use.
pub(super) fn names_as_price_types(used: &BTreeMap<String, Option<String>>) -> Option<String> {
    let mut xml = Xml::at(3);
    for (name, currency) in used {
        price_type(&mut xml, name, name, currency.as_deref());
    }
    (!used.is_empty()).then(|| xml.take())
}

/// `Склады` of the names that offers use.
pub(super) fn names_as_warehouses(used: &BTreeSet<String>) -> Option<String> {
    let mut xml = Xml::at(3);
    for name in used {
        warehouse(&mut xml, name, name);
    }
    (!used.is_empty()).then(|| xml.take())
}

/// `ТипЦены`
pub(super) fn price_type(xml: &mut Xml, id: &str, name: &str, currency: Option<&str>) {
    xml.open("ТипЦены", &[]);
    xml.leaf("Ид", id);
    xml.leaf("Наименование", name);
    if let Some(currency) = currency {
        xml.leaf("Валюта", currency);
    }
    xml.close("ТипЦены");
}

/// `Склад` of the list of warehouses.
pub(super) fn warehouse(xml: &mut Xml, id: &str, name: &str) {
    xml.open("Склад", &[]);
    xml.leaf("Ид", id);
    xml.leaf("Наименование", name);
    xml.close("Склад");
}

impl<'a> Item<'a> {
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
        xml.value_if("Штрихкод", self.value("barcode")?.as_ref());
        xml.value_if("Артикул", self.value_or_emptied("sku")?.as_ref());
        xml.value_if("Наименование", self.value("name")?.as_ref());
        let (code, name) = (self.value("unit_code")?.map(Value::text), self.value("unit_name")?.map(Value::text));
        base_unit(xml, code.as_deref(), name.as_deref());
        Ok(())
    }

    /// The id, whatever its column is called.
    pub(super) fn id(&self) -> Result<Cow<'a, str>, String> {
        let id =
            cell::text(self.rows.column(self.target.id()), self.row).ok_or("`id` is empty, CommerceML needs it")?;
        cell::fits("id", id, 1, self.target.entity.id_length())
    }

    fn column(&self, name: &str) -> Option<(&'a ArrayRef, &'static Column)> {
        let (at, column) = self.target.column(name)?;
        Some((self.rows.column(at), column))
    }

    /// The value of a column as it goes into the XML.
    pub(super) fn value(&self, name: &str) -> Result<Option<Value<'a>>, String> {
        match self.column(name) {
            Some((array, column)) => checked(array, self.row, column),
            None => Ok(None),
        }
    }

    /// The value, or an empty text where the other side still has one.
    fn value_or_emptied(&self, name: &str) -> Result<Option<Value<'a>>, String> {
        let value = self.value(name)?;
        let had = || self.target.column(name).is_some_and(|(at, _)| self.had(at));
        Ok(value.or_else(|| had().then_some(Value::EMPTIED)))
    }

    fn had(&self, column: usize) -> bool {
        self.op == Op::Update && cell::text(self.old.column(column), self.row).is_some()
    }

    /// The rows of a child; `None` if there are none.
    pub(super) fn child(&self, name: &str, batch: &'a RecordBatch) -> Option<Children<'a>> {
        let place = self.target.child(name)?;
        let (rows, fields) = list_item(batch.column(place.column), self.row)?;
        (!rows.is_empty()).then_some(Children { place, fields, rows })
    }

    /// `ЗначенияРеквизитов`: the ones with a fixed meaning, then those the sink names.
    fn requisites<const N: usize>(&self, xml: &mut Xml, fixed: [(&str, Option<Value<'_>>); N]) -> Result<(), String> {
        let asked = self.target.requisites.iter().map(|(at, name)| {
            let value = cell::text(self.rows.column(*at), self.row);
            let value = value.map(|value| cell::fits(name, value, 0, 1000).map(Value::Text)).transpose()?;
            Ok((name.as_str(), value.or_else(|| self.had(*at).then_some(Value::EMPTIED))))
        });
        let begin = xml.mark();
        xml.open("ЗначенияРеквизитов", &[]);
        let empty = xml.mark();
        for requisite in fixed.into_iter().map(Ok).chain(asked) {
            let (name, value): (&str, Option<Value<'_>>) = requisite.map_err(|reason: String| reason)?;
            if let Some(value) = value {
                xml.open("ЗначениеРеквизита", &[]);
                xml.leaf("Наименование", name);
                xml.value("Значение", &value);
                xml.close("ЗначениеРеквизита");
            }
        }
        if xml.mark() == empty {
            xml.back_to(begin);
        } else {
            xml.close("ЗначенияРеквизитов");
        }
        Ok(())
    }
}

impl<'a> Children<'a> {
    /// The values of each row, within the limits of their columns.
    pub(super) fn checked<const N: usize>(self) -> impl Iterator<Item = Values<'a, N>> {
        self.rows.clone().map(move |row| {
            let mut values = [const { None }; N];
            for ((field, column), value) in self.place.fields.iter().zip(self.place.columns).zip(&mut values) {
                if let Some(field) = field {
                    *value = checked(self.fields.column(*field), row, column)
                        .map_err(|reason| format!("{}: {reason}", self.place.name))?;
                }
            }
            Ok(values)
        })
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

/// Which rows of which table a list column has at a row; `None` for NULL.
fn list_item(array: &ArrayRef, row: usize) -> Option<(Range<usize>, &StructArray)> {
    fn bounds<O: OffsetSizeTrait>(list: &GenericListArray<O>, row: usize) -> Option<(Range<usize>, &ArrayRef)> {
        let &[from, to] = list.value_offsets().get(row..row + 2)? else { return None };
        Some((from.as_usize()..to.as_usize(), list.values()))
    }
    if array.is_null(row) {
        return None;
    }
    let (rows, values) = match array.as_list_opt::<i32>() {
        Some(list) => bounds(list, row)?,
        None => bounds(array.as_list_opt::<i64>()?, row)?,
    };
    Some((rows, values.as_struct_opt()?))
}
