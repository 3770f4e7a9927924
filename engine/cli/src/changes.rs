//! Changes of keys as people read them: `~ A-1  price 129.90 → 134.90`.

use crate::console::{BAD, FAINT, GOOD, LOOK};
use crate::words;
use anstyle::Style;
use obmen_runtime::journal::ChangeRecord;
use serde_json::{Map, Value};

/// Columns and parts of one change that are shown.
const SHOWN: usize = 8;

/// Which columns identify the parts of a child; `None` if it is not known, or no child.
pub(crate) type ChildKey<'a> = &'a dyn Fn(&str) -> Option<Vec<String>>;

/// One change on one line: what is done, the key, old → new.
pub(crate) fn line(record: &ChangeRecord, child_key: ChildKey<'_>) -> String {
    let (sign, style) = sign(&record.op);
    let parts = described(record, child_key);
    let space = if parts.is_empty() { "" } else { "  " };
    format!("{style}{sign}{style:#} {}{space}{parts}", words::key(&record.key))
}

/// `+`, `~` or `-`, and its colour.
fn sign(op: &str) -> (char, Style) {
    match op {
        "create" => ('+', GOOD),
        "delete" => ('-', BAD),
        _ => ('~', LOOK),
    }
}

fn described(record: &ChangeRecord, child_key: ChildKey<'_>) -> String {
    let is_key = |column: &str| record.key.get(column).is_some();
    let mut parts: Vec<String> = Vec::new();
    for (column, [old, new]) in record.columns.iter().filter(|(column, _)| !is_key(column)) {
        match (record.op.as_str(), old, new) {
            (_, Value::Array(_), _) | (_, _, Value::Array(_)) => children(column, old, new, child_key, &mut parts),
            ("create", _, Value::Null) | ("delete", Value::Null, _) => {}
            ("create", _, new) => parts.push(format!("{column} {}", words::value(new))),
            ("delete", old, _) => parts.push(format!("{FAINT}{column} {}{FAINT:#}", words::value(old))),
            (_, old, new) => parts.push(format!("{column} {} → {}", words::value(old), words::value(new))),
        }
    }
    let more = parts.len().saturating_sub(SHOWN);
    parts.truncate(SHOWN);
    if more > 0 {
        parts.push(format!("{FAINT}… {more} more{FAINT:#}"));
    }
    parts.join(", ")
}

/// The parts of a child that differ: `Розничная price 129.90 → 134.90`.
fn children(column: &str, old: &Value, new: &Value, child_key: ChildKey<'_>, parts: &mut Vec<String>) {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (old, new) = (list(old), list(new));
    let Some(key) = child_key(column) else {
        parts.push(format!("{column} {} → {}", words::counted(old.len() as u64, "part", "parts"), new.len()));
        return;
    };
    let find = |parts: &[Value], wanted: &Value| parts.iter().find(|part| same_key(part, wanted, &key)).cloned();
    for part in &new {
        let name = part_name(part, &key);
        match find(&old, part) {
            None => parts.push(format!("{GOOD}+{GOOD:#}{name} {}", values(part, &key))),
            Some(before) if before != *part => parts.push(format!("{name} {}", differences(&before, part, &key))),
            Some(_) => {}
        }
    }
    for part in old.iter().filter(|part| find(&new, part).is_none()) {
        parts.push(format!("{BAD}-{BAD:#}{}", part_name(part, &key)));
    }
}

fn same_key(one: &Value, other: &Value, key: &[String]) -> bool {
    key.iter().all(|column| one.get(column) == other.get(column))
}

fn part_name(part: &Value, key: &[String]) -> String {
    let values = key.iter().map(|column| words::value(part.get(column).unwrap_or(&Value::Null)));
    values.collect::<Vec<_>>().join(" ")
}

/// Columns of a part beside its key and those of its owner, which are the same in all of them.
fn columns<'p>(part: &'p Value, key: &'p [String]) -> impl Iterator<Item = (&'p String, &'p Value)> {
    let columns: Option<&Map<String, Value>> = part.as_object();
    columns.into_iter().flatten().filter(move |(column, _)| !key.contains(column))
}

fn values(part: &Value, key: &[String]) -> String {
    let shown = columns(part, key).filter(|(_, value)| !value.is_null());
    shown.map(|(column, value)| format!("{column} {}", words::value(value))).collect::<Vec<_>>().join(" ")
}

fn differences(old: &Value, new: &Value, key: &[String]) -> String {
    let before = |column: &str| old.get(column).unwrap_or(&Value::Null);
    let changed = columns(new, key).filter(|(column, value)| before(column) != *value);
    let shown =
        changed.map(|(column, value)| format!("{column} {} → {}", words::value(before(column)), words::value(value)));
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn record(op: &str, key: Value, columns: &[(&str, Value, Value)]) -> ChangeRecord {
        let columns: BTreeMap<String, [Value; 2]> =
            columns.iter().map(|(name, old, new)| ((*name).to_owned(), [old.clone(), new.clone()])).collect();
        ChangeRecord {
            pipeline: "site_offers".to_owned(),
            sink: "shop".to_owned(),
            op: op.to_owned(),
            key,
            columns,
            outcome: "due".to_owned(),
            reason: None,
            at: String::new(),
            due: None,
            run: String::new(),
            load: None,
            remote_id: None,
        }
    }

    fn shown(record: &ChangeRecord) -> String {
        let keys = |column: &str| (column == "prices").then(|| vec!["price_type".to_owned()]);
        anstream::adapter::strip_str(&line(record, &keys)).to_string()
    }

    #[test]
    fn changes_read_old_to_new() {
        let id = json!({ "id": "A-1" });
        let update = record("update", id.clone(), &[("price", json!("129.90"), json!("134.90"))]);
        assert_eq!(shown(&update), "~ A-1  price 129.90 → 134.90");
        let columns = [
            ("id", json!(null), json!("A-1")),
            ("name", json!(null), json!("Болт")),
            ("tax", json!(null), json!(null)),
        ];
        assert_eq!(shown(&record("create", id.clone(), &columns)), "+ A-1  name Болт");
        assert_eq!(shown(&record("delete", id, &[])), "- A-1");
    }

    #[test]
    fn parts_are_shown_by_their_key() {
        let part = |kind: &str, price: &str| json!({ "price_type": kind, "price": price });
        let old = json!([part("Оптовая", "100.00"), part("Розничная", "129.90"), part("Старая", "1.00")]);
        let new = json!([part("Оптовая", "100.00"), part("Розничная", "134.90"), part("Новая", "2.00")]);
        let update = record("update", json!({ "id": "A-1" }), &[("prices", old, new)]);
        assert_eq!(shown(&update), "~ A-1  Розничная price 129.90 → 134.90, +Новая price 2.00, -Старая");
    }

    #[test]
    fn parts_of_an_unknown_child_are_counted() {
        let update = record("update", json!({ "id": 1 }), &[("stock", json!([{ "q": 1 }]), json!([]))]);
        assert_eq!(shown(&update), "~ 1  stock 1 part → 0");
    }
}
