//! A file → rows of one relation.

use super::relation::{Cell, Rows, schema};
use super::tree::{Item, Tree};
use super::unit;
use super::xml::{Element, Xml};
use obmen_sdk::{Batch, Error, ErrorKind, Result};
use std::borrow::Cow;
use std::io::BufRead;

/// Reads one relation of a file and hands it over batch by batch, in the order of the file.
///
/// `file_name` is what places are called by: a value that does not fit its column becomes a
/// [`BadRow`](obmen_sdk::BadRow) at `file:line:column`. A relation the file has nothing of gives no
/// rows. A package that says it carries only changes (`СодержитТолькоИзменения`, as attribute or,
/// in 2.03, as element; a quick update) is no snapshot: its last batch has `exact: Some(false)`.
///
/// Memory: one item (a product, an offer, a group with its subgroups) and one batch at a time.
///
/// # Errors
/// `Unsupported`: no such relation. `InvalidData`, with `file:line:column`: not CommerceML, broken
/// XML, a DTD, an unknown entity, an item over 128 MB. Whatever `out` gives.
pub fn read(
    relation: &str,
    file_name: &str,
    input: impl BufRead,
    batch_rows: usize,
    out: &mut dyn FnMut(Batch) -> Result<()>,
) -> Result<()> {
    let (Some(schema), Some(part)) = (schema(relation), Part::of(relation)) else {
        let known = super::relations().join(", ");
        return Err(Error::new(ErrorKind::Unsupported, format!("CommerceML has no `{relation}`; it has {known}")));
    };
    let mut xml = Xml::open(file_name, input)?;
    let root = xml.root()?;
    if root.name != "КоммерческаяИнформация" {
        return Err(xml.fail(root.place, format!("this is not CommerceML: the root element is `{}`", root.name)));
    }
    let mut rows = Rows::new(schema, file_name, batch_rows, out);
    let mut item = Item::default();
    let mut only_changes = false;
    xml.children(&mut |xml, section| {
        only_changes |= read_section(xml, section, part, &mut item, &mut rows)?;
        Ok(())
    })?;
    xml.end()?;
    rows.finish(only_changes.then_some(false))
}

/// What is taken out of an item.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Groups,
    Properties,
    PropertyValues,
    Goods,
    GoodsProperties,
    PriceTypes,
    Warehouses,
    Offers,
    Prices,
    Stock,
}

impl Part {
    fn of(relation: &str) -> Option<Self> {
        Some(match relation {
            "groups" => Self::Groups,
            "properties" => Self::Properties,
            "property_values" => Self::PropertyValues,
            "goods" => Self::Goods,
            "goods_properties" => Self::GoodsProperties,
            "price_types" => Self::PriceTypes,
            "warehouses" => Self::Warehouses,
            "offers" => Self::Offers,
            "prices" => Self::Prices,
            "stock" => Self::Stock,
            _ => return None,
        })
    }

    /// The lists an item stands in and the names of the item, old spellings included.
    fn items(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Groups => (&["Группы"], &["Группа"]),
            Self::Properties | Self::PropertyValues => {
                (&["Свойства", "СвойстваНоменклатуры"], &["Свойство", "СвойствоНоменклатуры"])
            }
            Self::Goods | Self::GoodsProperties => (&["Товары"], &["Товар"]),
            Self::PriceTypes => (&["ТипыЦен"], &["ТипЦены"]),
            Self::Warehouses => (&["Склады"], &["Склад"]),
            Self::Offers | Self::Prices | Self::Stock => (&["Предложения"], &["Предложение"]),
        }
    }
}

/// Reads a section of the document; says whether it carries only changes.
fn read_section<R: BufRead>(
    xml: &mut Xml<R>,
    section: &Element,
    part: Part,
    item: &mut Item,
    rows: &mut Rows<'_>,
) -> Result<bool> {
    // `Документ` has `Товары` too: those are lines of orders, not goods.
    let sections = ["Классификатор", "Каталог", "ПакетПредложений", "ИзмененияПакетаПредложений"];
    if !sections.contains(&section.name.as_str()) {
        return Ok(false);
    }
    let flag = section.attributes.iter().find(|(name, _)| name == "СодержитТолькоИзменения");
    let mut only_changes = section.name == "ИзмененияПакетаПредложений" || flag.is_some_and(|(_, value)| truth(value));
    let (lists, items) = part.items();
    xml.children(&mut |xml, list| {
        if list.name == "СодержитТолькоИзменения" {
            xml.item(list, item)?;
            only_changes |= item.root().and_then(Tree::value).is_some_and(truth);
        } else if lists.contains(&list.name.as_str()) {
            xml.children(&mut |xml, element| {
                if !items.contains(&element.name.as_str()) {
                    return Ok(());
                }
                xml.item(element, item)?;
                item.root().map_or(Ok(()), |item| take(part, item, rows))
            })?;
        }
        Ok(())
    })?;
    Ok(only_changes)
}

fn take(part: Part, item: Tree<'_>, rows: &mut Rows<'_>) -> Result<()> {
    match part {
        Part::Groups => group(item, None, rows),
        Part::Properties => property(item, rows),
        Part::PropertyValues => property_values(item, rows),
        Part::Goods => good(item, rows),
        Part::GoodsProperties => good_properties(item, rows),
        Part::PriceTypes => {
            let cells = [
                Cell::Key(item.word_of("Ид")),
                Cell::Text(item.text_of("Наименование")),
                Cell::Text(item.word_of("Валюта")),
            ];
            rows.push(item.place(), &cells)
        }
        Part::Warehouses => {
            rows.push(item.place(), &[Cell::Key(item.word_of("Ид")), Cell::Text(item.text_of("Наименование"))])
        }
        Part::Offers => offer(item, rows),
        Part::Prices => prices(item, rows),
        Part::Stock => stock(item, rows),
    }
}

/// A group, then its subgroups: the depth is bounded by the depth of the XML.
fn group(item: Tree<'_>, parent: Option<&str>, rows: &mut Rows<'_>) -> Result<()> {
    let id = item.word_of("Ид");
    rows.push(item.place(), &[Cell::Key(id), Cell::Text(parent), Cell::Text(item.text_of("Наименование"))])?;
    item.items("Группы", "Группа").try_for_each(|child| group(child, id, rows))
}

fn property(item: Tree<'_>, rows: &mut Rows<'_>) -> Result<()> {
    let cells = [
        Cell::Key(item.word_of("Ид")),
        Cell::Text(item.text_of("Наименование")),
        Cell::Text(item.first(&["ТипЗначений", "ТипыЗначений"]).and_then(Tree::value).map(str::trim)),
    ];
    rows.push(item.place(), &cells)
}

fn property_values(item: Tree<'_>, rows: &mut Rows<'_>) -> Result<()> {
    for variant in item.items("ВариантыЗначений", "Справочник") {
        let cells = [
            Cell::Key(item.word_of("Ид")),
            Cell::Key(variant.word_of("ИдЗначения")),
            Cell::Text(variant.text_of("Значение")),
        ];
        rows.push(variant.place(), &cells)?;
    }
    Ok(())
}

fn good(item: Tree<'_>, rows: &mut Rows<'_>) -> Result<()> {
    let (unit_code, unit_name) = unit::of_item(item);
    let kind = item.requisite("ТипНоменклатуры").or_else(|| item.requisite("ВидНоменклатуры"));
    let full_name = item.requisite("Полное наименование").or_else(|| item.first(&["ПолноеНаименование"]));
    let weight = item.requisite("Вес").or_else(|| item.first(&["Вес"]));
    let manufacturer = item.child("Изготовитель");
    let cells = [
        Cell::Key(item.word_of("Ид")),
        Cell::Text(item.text_of("Артикул")),
        Cell::Text(item.first(&["Штрихкод", "ШтрихКод"]).and_then(Tree::value).map(str::trim)),
        Cell::Text(item.text_of("Наименование")),
        Cell::Text(full_name.and_then(Tree::value)),
        Cell::Text(unit_code),
        Cell::Text(unit_name),
        Cell::Text(item.items("Группы", "Ид").find_map(Tree::value).map(str::trim)),
        Cell::Text(item.text_of("Описание")),
        Cell::Text(vat_rate(item)),
        Cell::number(weight),
        Cell::Text(item.text_of("Страна")),
        Cell::Text(manufacturer.and_then(|owner| owner.text_of("Наименование").or_else(|| owner.value()))),
        Cell::Text(kind.and_then(Tree::value)),
        Cell::Bool(is_deleted(item)),
    ];
    rows.push(item.place(), &cells)
}

fn good_properties(item: Tree<'_>, rows: &mut Rows<'_>) -> Result<()> {
    for property in item.items("ЗначенияСвойств", "ЗначенияСвойства") {
        let mut values = property.all("Значение").peekable();
        let none = values.peek().is_none();
        let values = values.map(Tree::value).chain(none.then_some(None));
        for value in values {
            let cells = [Cell::Key(item.word_of("Ид")), Cell::Key(property.word_of("Ид")), Cell::Text(value)];
            rows.push(property.place(), &cells)?;
        }
    }
    Ok(())
}

fn offer(item: Tree<'_>, rows: &mut Rows<'_>) -> Result<()> {
    let id = offer_id(item);
    let (good, characteristic) = match &id {
        Some(id) => id.split_once('#').map_or((Some(id.as_ref()), None), |(good, rest)| (Some(good), Some(rest))),
        None => (None, None),
    };
    let (unit_code, unit_name) = unit::of_item(item);
    let total = item.first(&["Количество"]);
    // Without warehouses the module for Bitrix writes the total as `Остатки/Остаток/Количество`.
    let total = total.or_else(|| item.items("Остатки", "Остаток").find_map(|rest| rest.first(&["Количество"])));
    let cells = [
        Cell::Key(id.as_deref()),
        Cell::Text(good),
        Cell::Text(characteristic),
        Cell::Text(item.text_of("Артикул")),
        Cell::Text(item.text_of("Наименование")),
        Cell::Text(item.first(&["Штрихкод", "ШтрихКод"]).and_then(Tree::value).map(str::trim)),
        Cell::Text(unit_code),
        Cell::Text(unit_name),
        Cell::number(total),
    ];
    rows.push(item.place(), &cells)
}

fn prices(item: Tree<'_>, rows: &mut Rows<'_>) -> Result<()> {
    let id = offer_id(item);
    for price in item.items("Цены", "Цена") {
        let cells = [
            Cell::Key(id.as_deref()),
            Cell::Key(price.word_of("ИдТипаЦены")),
            Cell::number(price.child("ЦенаЗаЕдиницу")),
            Cell::Text(price.word_of("Валюта")),
            Cell::Text(price.word_of("Единица")),
            Cell::number(price.child("Коэффициент")),
        ];
        rows.push(price.place(), &cells)?;
    }
    Ok(())
}

/// All spellings: `Склад` or `Склады` with attributes (2.07, quick update), `КоличествоНаСкладах`
/// (2.05), `Остатки/Остаток/Склад` (2.09 of the module for Bitrix).
fn stock(item: Tree<'_>, rows: &mut Rows<'_>) -> Result<()> {
    let id = offer_id(item);
    let nested = item.items("Склады", "Склад");
    for place in item.all("Склад").chain(item.all("Склады")).chain(nested) {
        if let Some(warehouse) = place.attribute("ИдСклада") {
            let quantity = place.attribute("КоличествоНаСкладе").map(|text| (text, place.place()));
            rows.push(place.place(), &[Cell::Key(id.as_deref()), Cell::Key(Some(warehouse)), Cell::Number(quantity)])?;
        }
    }
    for place in item.items("КоличествоНаСкладах", "КоличествоНаСкладе") {
        let cells =
            [Cell::Key(id.as_deref()), Cell::Key(place.word_of("ИдСклада")), Cell::number(place.child("Количество"))];
        rows.push(place.place(), &cells)?;
    }
    for place in item.items("Остатки", "Остаток").flat_map(|rest| rest.all("Склад")) {
        let cells = [Cell::Key(id.as_deref()), Cell::Key(place.word_of("Ид")), Cell::number(place.child("Количество"))];
        rows.push(place.place(), &cells)?;
    }
    Ok(())
}

/// `product` or `product#characteristic`; the quick update has the characteristic in its own element.
fn offer_id(item: Tree<'_>) -> Option<Cow<'_, str>> {
    let id = item.word_of("Ид")?;
    match item.word_of("ИдХарактеристики") {
        Some(characteristic) if !id.contains('#') => Some(Cow::Owned(format!("{id}#{characteristic}"))),
        _ => Some(Cow::Borrowed(id)),
    }
}

fn vat_rate(item: Tree<'_>) -> Option<&str> {
    let rates = || item.items("СтавкиНалогов", "СтавкаНалога");
    let vat = rates().find(|rate| rate.word_of("Наименование") == Some("НДС"));
    vat.or_else(|| rates().next()).and_then(|rate| rate.word_of("Ставка"))
}

/// All three ways to say that an item is deleted.
fn is_deleted(item: Tree<'_>) -> bool {
    let status = item.attribute("Статус").or_else(|| item.word_of("Статус"));
    status == Some("Удален") || status == Some("Удалён") || item.word_of("ПометкаУдаления").is_some_and(truth)
}

fn truth(text: &str) -> bool {
    matches!(text.trim(), "true" | "1" | "True" | "TRUE" | "Да" | "да")
}
