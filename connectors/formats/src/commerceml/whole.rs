//! Groups, properties, kinds of prices, warehouses: complete lists, written whenever one row changes.

use super::entity::Entity;
use super::items::{self, Children, Item};
use super::layout::TargetLayout;
use super::package::DeleteStyle;
use super::write::Xml;
use arrow::record_batch::RecordBatch;
use obmen_sdk::{Changes, Op, Outcome, RejectClass, RowId};
use std::collections::{BTreeMap, BTreeSet};

/// A complete list under construction: its rows by id, changed and unchanged ones.
#[derive(Debug, Default)]
pub(super) struct Whole {
    rows: BTreeMap<String, Row>,
}

#[derive(Debug)]
struct Row {
    /// `None` for a row that did not change.
    change: Option<RowId>,
    name: String,
    /// Of a group.
    parent: Option<String>,
    /// Of a kind of prices the currency, of a property its kind.
    word: Option<String>,
    /// Of a property its variants: id and value.
    values: Vec<(String, String)>,
}

type Rejected = Vec<(RowId, Outcome)>;

impl Whole {
    /// Adds the rows of a portion, the unchanged ones too. Those that cannot be written are rejected.
    pub(super) fn add(&mut self, target: &TargetLayout, changes: &Changes, rejected: &mut Rejected) {
        for (row, (id, op)) in changes.ids.iter().zip(&changes.ops).enumerate() {
            if *op == Op::Delete {
                let reason = format!("CommerceML cannot delete or mark {}", target.entity);
                rejected.push((*id, Outcome::rejected(RejectClass::Forbidden, reason)));
                continue;
            }
            match read(target, &changes.rows, row, Some(*id)) {
                Ok((key, row)) => {
                    if let Some(Row { change: Some(before), .. }) = self.rows.insert(key, row) {
                        let reason = "the same id stands in the portion twice";
                        rejected.push((before, Outcome::rejected(RejectClass::Data, reason)));
                    }
                }
                Err(reason) => rejected.push((*id, Outcome::rejected(RejectClass::Data, reason))),
            }
        }
        let Some(unchanged) = &changes.unchanged else { return };
        for row in 0..unchanged.num_rows() {
            // An unchanged row that can no longer be written stays out: the shop keeps what it has.
            if let Ok((key, row)) = read(target, unchanged, row, None) {
                self.rows.entry(key).or_insert(row);
            }
        }
    }

    /// The items as XML, and the changed rows that stand in it.
    pub(super) fn finish(mut self, entity: Entity, rejected: &mut Rejected) -> (String, Vec<RowId>) {
        if entity == Entity::Groups {
            self.drop_homeless(rejected);
        }
        let written = self.rows.values().filter_map(|row| row.change).collect();
        let xml = match entity {
            Entity::Groups => self.tree(),
            _ => self.list(entity),
        };
        (xml, written)
    }

    fn list(&self, entity: Entity) -> String {
        let mut xml = Xml::at(3);
        for (id, row) in &self.rows {
            match entity {
                Entity::PriceTypes => items::price_type(&mut xml, id, &row.name, row.word.as_deref()),
                Entity::Properties => property(&mut xml, id, row),
                _ => items::warehouse(&mut xml, id, &row.name),
            }
        }
        xml.take()
    }

    /// Takes out the groups that no path leads to from the top: their parent is missing or below them.
    fn drop_homeless(&mut self, rejected: &mut Rejected) {
        let children = self.children();
        let mut reached = BTreeSet::new();
        let mut waiting: Vec<&str> = children.get(&None).cloned().unwrap_or_default();
        while let Some(id) = waiting.pop() {
            reached.insert(id.to_owned());
            waiting.extend(children.get(&Some(id)).into_iter().flatten());
        }
        let (kept, homeless): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.rows).into_iter().partition(|(id, _)| reached.contains(id));
        for row in homeless.values() {
            let Some(change) = row.change else { continue };
            let parent = row.parent.as_deref().unwrap_or_default();
            let outcome = if homeless.contains_key(parent) {
                Outcome::rejected(RejectClass::Data, circle_or_below(&homeless, row))
            } else {
                Outcome::rejected(RejectClass::Missing, format!("the parent group `{parent}` is not there"))
            };
            rejected.push((change, outcome));
        }
        self.rows = kept;
    }

    fn children(&self) -> BTreeMap<Option<&str>, Vec<&str>> {
        let mut children: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
        for (id, row) in &self.rows {
            children.entry(row.parent.as_deref()).or_default().push(id);
        }
        children
    }

    /// Groups inside their parents, without recursion: a tree may be deep.
    fn tree(&self) -> String {
        enum Step<'a> {
            Open(&'a str),
            Close { inner: bool },
        }
        let children = self.children();
        // The last one on the pile is written first.
        let mut xml = Xml::at(3);
        let mut steps: Vec<Step<'_>> =
            children.get(&None).into_iter().flatten().rev().map(|id| Step::Open(id)).collect();
        while let Some(step) = steps.pop() {
            match step {
                Step::Open(id) => {
                    xml.open("Группа", &[]);
                    xml.leaf("Ид", id);
                    xml.leaf("Наименование", self.rows.get(id).map_or("", |row| &row.name));
                    let inside = children.get(&Some(id));
                    if inside.is_some() {
                        xml.open("Группы", &[]);
                    }
                    steps.push(Step::Close { inner: inside.is_some() });
                    steps.extend(inside.into_iter().flatten().rev().map(|id| Step::Open(id)));
                }
                Step::Close { inner } => {
                    if inner {
                        xml.close("Группы");
                    }
                    xml.close("Группа");
                }
            }
        }
        xml.take()
    }
}

fn circle_or_below(homeless: &BTreeMap<String, Row>, row: &Row) -> String {
    let mut seen = BTreeSet::new();
    let mut at = row.parent.as_deref();
    while let Some(id) = at {
        if !seen.insert(id) {
            return format!("the parents go in a circle at `{id}`");
        }
        match homeless.get(id) {
            Some(parent) => at = parent.parent.as_deref(),
            None => return format!("a group above it, `{id}`, is not there"),
        }
    }
    "a group above it is not there".to_owned()
}

fn property(xml: &mut Xml, id: &str, row: &Row) {
    xml.open("Свойство", &[]);
    xml.leaf("Ид", id);
    xml.leaf("Наименование", &row.name);
    xml.leaf("ТипЗначений", row.word.as_deref().unwrap_or("Строка"));
    if !row.values.is_empty() {
        xml.open("ВариантыЗначений", &[]);
        for (id, value) in &row.values {
            xml.open("Справочник", &[]);
            xml.leaf("ИдЗначения", id);
            xml.leaf("Значение", value);
            xml.close("Справочник");
        }
        xml.close("ВариантыЗначений");
    }
    xml.leaf("ДляТоваров", "true");
    xml.close("Свойство");
}

fn read(target: &TargetLayout, rows: &RecordBatch, row: usize, change: Option<RowId>) -> Result<(String, Row), String> {
    let item = Item { target, rows, old: rows, row, op: Op::Create, style: DeleteStyle::Attr };
    let text = |name| Ok::<_, String>(item.value(name)?.map(|value| value.text().into_owned()));
    let name = text("name")?.unwrap_or_default();
    let parent = text("parent")?;
    let mut values = Vec::new();
    for value in item.child("values", rows).into_iter().flat_map(Children::checked) {
        if let [Some(id), Some(value)] = value? {
            values.push((id.text().into_owned(), value.text().into_owned()));
        }
    }
    let word = if target.entity == Entity::Properties {
        Some(property_kind(text("kind")?, !values.is_empty())?)
    } else {
        text("currency")?
    };
    Ok((item.id()?.into_owned(), Row { change, name, parent, word, values }))
}

fn property_kind(kind: Option<String>, has_values: bool) -> Result<String, String> {
    const KINDS: [&str; 4] = ["Строка", "Число", "Время", "Справочник"];
    match kind {
        None => Ok(if has_values { "Справочник" } else { "Строка" }.to_owned()),
        Some(kind) if has_values && kind != "Справочник" => {
            Err(format!("`kind` is {kind}, a property with `values` is a Справочник"))
        }
        Some(kind) if KINDS.contains(&kind.as_str()) => Ok(kind),
        Some(kind) => Err(format!("`kind` is {kind}, expected {}", KINDS.join(", "))),
    }
}
