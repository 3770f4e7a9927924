//! One uploaded file, read and applied in one transaction.

use super::apply::Catalogue;
use super::control::DeleteMarks;
use super::element::{Document, Element, Step};
use rusqlite::{Connection, TransactionBehavior};
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

/// What an import goes by.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Goods whose file is refused as a whole.
    pub(crate) refuse: BTreeSet<String>,
    /// Honoured spellings of a delete mark.
    pub(crate) delete_marks: DeleteMarks,
    /// The moment of the import, in seconds since 1970.
    pub(crate) now: i64,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) goods: u64,
    pub(crate) offers: u64,
    pub(crate) ignored: u64,
    pub(crate) deleted: u64,
}

/// What a file says about the whole it belongs to: a catalogue or a package of offers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Whole {
    /// The id of the catalogue.
    pub(crate) catalogue: String,
    /// The name.
    pub(crate) name: String,
    /// `СодержитТолькоИзменения`; absent = a full upload, as Bitrix reads it (`commerceml.md` §2.2).
    pub(crate) changes_only: Option<bool>,
    /// Whether it has a list of its rows at all.
    pub(crate) listed: bool,
    /// It is `ИзмененияПакетаПредложений`: never full.
    pub(crate) quick: bool,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Товаров: {}, предложений: {}, удалено: {}", self.goods, self.offers, self.deleted)
    }
}

/// Reads the file and applies it; either all of it or nothing.
///
/// # Errors
/// The reason, in words for the answer `failure`.
pub(crate) fn run(connection: &mut Connection, file: &Path, rules: &Rules) -> Result<Summary, String> {
    let mut document = Document::open(file).map_err(|error| format!("Файл не читается: {error}"))?;
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|error| error.to_string())?;
    let summary = read(&mut document, Catalogue::begin(&transaction, rules)?)?;
    transaction.commit().map_err(|error| error.to_string())?;
    Ok(summary)
}

fn read(document: &mut Document, mut catalogue: Catalogue<'_>) -> Result<Summary, String> {
    let mut path: Vec<String> = Vec::new();
    let mut whole = Whole::default();
    loop {
        match document.step()? {
            Step::Enter(element) => {
                if path.is_empty() && element.name != "КоммерческаяИнформация" {
                    return Err(format!("Файл не является CommerceML: корневой элемент {}", element.name));
                }
                if is_item(&path, &element.name) {
                    let element = document.whole(element)?;
                    apply(&mut catalogue, &path, &mut whole, &element)?;
                } else {
                    enter(&path, &element, &mut whole);
                    path.push(element.name);
                }
            }
            Step::Leave => {
                let left = path.pop();
                match (left.as_deref(), path.len()) {
                    (Some("Каталог"), 1) => catalogue.finish_goods(&std::mem::take(&mut whole))?,
                    (Some("ПакетПредложений" | "ИзмененияПакетаПредложений"), 1) =>
                    {
                        catalogue.finish_offers(&std::mem::take(&mut whole))?;
                    }
                    _ => {}
                }
            }
            Step::End => return Ok(catalogue.summary()),
        }
    }
}

/// Whether an element at this place is read as one item.
fn is_item(path: &[String], name: &str) -> bool {
    let path: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
    match path.as_slice() {
        ["Каталог" | "ПакетПредложений" | "ИзмененияПакетаПредложений"] =>
        {
            matches!(name, "Ид" | "ИдКаталога" | "Наименование" | "СодержитТолькоИзменения")
        }
        ["Классификатор", "Группы"] => name == "Группа",
        ["Классификатор", "Свойства" | "СвойстваНоменклатуры"] => {
            matches!(name, "Свойство" | "СвойствоНоменклатуры")
        }
        ["Каталог", "Товары"] => name == "Товар",
        ["ПакетПредложений" | "ИзмененияПакетаПредложений", "Предложения"] => {
            name == "Предложение"
        }
        ["Классификатор" | "ПакетПредложений", "ТипыЦен"] => name == "ТипЦены",
        ["Классификатор" | "ПакетПредложений", "Склады"] => name == "Склад",
        _ => false,
    }
}

fn enter(path: &[String], element: &Element, whole: &mut Whole) {
    match (path.len(), element.name.as_str()) {
        (1, "Каталог" | "ПакетПредложений" | "ИзмененияПакетаПредложений") =>
        {
            let flag = element.attribute("СодержитТолькоИзменения").and_then(truth);
            let quick = element.name == "ИзмененияПакетаПредложений";
            *whole = Whole { changes_only: flag, quick, ..Whole::default() };
        }
        (2, "Товары" | "Предложения") => whole.listed = true,
        _ => {}
    }
}

fn apply(catalogue: &mut Catalogue<'_>, path: &[String], whole: &mut Whole, element: &Element) -> Result<(), String> {
    match element.name.as_str() {
        "Группа" => catalogue.group(None, element),
        "Свойство" | "СвойствоНоменклатуры" => catalogue.property(element),
        "ТипЦены" => catalogue.price_type(element),
        "Склад" => catalogue.warehouse(element),
        "Товар" => catalogue.product(whole, element),
        "Предложение" => catalogue.offer(whole, element),
        // In 2.03 the flag is an element, and the last one.
        "СодержитТолькоИзменения" => {
            whole.changes_only = truth(&element.text).or(whole.changes_only);
            Ok(())
        }
        "Наименование" => {
            whole.name.clone_from(&element.text);
            Ok(())
        }
        "Ид" if path.last().is_some_and(|last| last == "Каталог") => {
            whole.catalogue.clone_from(&element.text);
            Ok(())
        }
        "ИдКаталога" => {
            whole.catalogue.clone_from(&element.text);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// `true`, `false`, `1`, `0`.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text.trim() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}
