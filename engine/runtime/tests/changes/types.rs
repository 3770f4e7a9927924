//! Columns whose type changes between runs: what is equal by value is not sent again, what is not is sent, and what
//! is known is never taken for something else.

use crate::world::{Place, pipeline};

const SQL: &str = "SELECT id, value FROM rows";

/// A column's type, its values, the next type, its values, and what is sent then.
type Case<'a> = (&'a str, &'a [&'a str], &'a str, &'a [&'a str], &'a [&'a str]);

const CASES: &[Case<'_>] = &[
    ("int", &["a 5", "b 6"], "long", &["a 5", "b 7"], &["update b 7"]),
    ("long", &["a 5", "b 6"], "\"decimal(15,2)\"", &["a 5.00", "b 6.40"], &["update b 6.40"]),
    ("\"decimal(15,2)\"", &["a 5.00", "b 6.40"], "\"decimal(18,4)\"", &["a 5", "b 6.4"], &[]),
    // what is known is not rounded to the new type before it is compared
    ("\"decimal(15,2)\"", &["a 5.00", "b 6.40"], "long", &["a 5", "b 6"], &["update b 6"]),
    ("\"decimal(15,3)\"", &["a 0.125", "b ∅"], "\"decimal(15,2)\"", &["a 0.13", "b ∅"], &["update a 0.13"]),
    ("datetime", &["a 2026-01-01T10:30:00", "b ∅"], "date", &["a 2026-01-01", "b ∅"], &["update a 2026-01-01"]),
    // text is no number, and a number no text
    ("string", &["a 5", "b ∅", "c x"], "long", &["a 5", "b ∅", "c 1"], &["update a 5", "update c 1"]),
    ("long", &["a 5", "b ∅"], "string", &["a 5", "b ∅"], &["update a 5"]),
    ("string", &["a true", "b x"], "bool", &["a true", "b false"], &["update a true", "update b false"]),
    (
        "long",
        &["a 9007199254740993", "b 1"],
        "double",
        &["a 9007199254740992", "b 1"],
        &["update a 9007199254740992.0", "update b 1.0"],
    ),
];

fn typed(kind: &str, changes: &str, sql: &str) -> String {
    pipeline(&format!("id: string, value: {kind}, seq: long"), changes, sql)
}

fn give(place: &Place, rows: &[&str], seq: u8) {
    let rows: Vec<String> = rows.iter().map(|row| format!("{row} {seq}")).collect();
    place.table("rows", "id value seq", &rows.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn a_column_of_another_type_is_compared_by_value_and_nothing_is_rounded() {
    for changes in ["changes: full", "changes: { cursor: seq }", "changes: { version: seq }"] {
        for (before, old, after, new, sent) in CASES {
            let place = Place::new(&typed(before, changes, SQL));
            give(&place, old, 1);
            assert_eq!(place.sends().len(), old.len());
            place.write(&typed(after, changes, SQL));
            give(&place, new, 1);
            assert_eq!(place.sends(), *sent, "{changes}: {before} → {after}");
            assert_eq!(place.sends(), [""; 0], "{changes}: {before} → {after}");
        }
    }
}

#[test]
fn a_type_that_comes_back_has_nothing_to_send() {
    for changes in ["changes: full", "changes: { cursor: seq }"] {
        let place = Place::new(&typed("\"decimal(15,2)\"", changes, SQL));
        give(&place, &["a 6.40"], 1);
        place.run();
        place.write(&typed("long", changes, SQL));
        give(&place, &["a 6"], 1);
        place.inside().refused.insert("a".to_owned());
        assert_eq!(place.sends(), ["update a 6"]);
        place.inside().refused.clear();
        place.write(&typed("\"decimal(15,2)\"", changes, SQL));
        give(&place, &["a 6.40"], 1);
        assert_eq!(place.run().sinks[0].unchanged, 1, "{changes}: the other side still has 6.40");
    }
}

#[test]
fn merging_files_of_two_types_keeps_the_values_the_other_side_has() {
    let place = Place::new(&typed("\"decimal(15,2)\"", "changes: full", SQL));
    give(&place, &["a 6.40", "b 1.50"], 1);
    place.run();
    place.write(&typed("long", "changes: full", SQL));
    give(&place, &["a 6", "b 2"], 1);
    place.inside().refused.insert("a".to_owned());
    assert_eq!(place.sends(), ["update a 6", "update b 2"]);
    assert_eq!(place.segments().len(), 2, "they are not merged");
    place.inside().refused.clear();
    place.later(48);
    assert_eq!(place.sends(), ["update a 6"], "it has 6.40 there, whatever the type is now");
}

#[test]
fn a_new_column_beside_one_of_another_type_is_held_for_rows_that_are_equal_by_value() {
    let place = Place::new(&typed("\"decimal(15,2)\"", "changes: full", SQL));
    give(&place, &["a 5.00", "b 6.40"], 1);
    place.run();
    place.write(&typed("long", "changes: full", "SELECT id, value, 'x' AS more FROM rows"));
    give(&place, &["a 5", "b 6"], 1);
    let report = place.run();
    assert_eq!((place.sent(), report.sinks[0].held), (vec!["update b 6|x".to_owned()], 1));
}

#[test]
fn a_key_of_another_number_type_is_the_same_key() {
    for changes in ["changes: full", "changes: { cursor: seq }"] {
        let place = Place::new(&typed("string", changes, SQL).replace("id: string", "id: long"));
        give(&place, &["1 x", "2 y"], 1);
        place.run();
        place.write(&typed("string", changes, SQL).replace("id: string", "id: \"decimal(10,0)\""));
        give(&place, &["1 x", "2 z"], 1);
        assert_eq!(place.sends(), ["update 2 z"], "{changes}");
    }
}

#[test]
fn a_key_that_becomes_text_is_another_key_and_the_old_one_is_deleted_by_its_value() {
    let place = Place::new(&typed("string", "changes: full", SQL).replace("id: string", "id: long"));
    give(&place, &["1 x", "2 y"], 1);
    place.run();
    place.write(&typed("string", "changes: full", SQL));
    give(&place, &["1 x", "b y"], 1);
    assert_eq!(place.sends(), ["create 1 x", "create b y", "delete 1 x", "delete 2 y"]);
}

#[test]
fn a_known_key_that_the_new_type_cannot_say_stops_the_run() {
    let place = Place::new(&typed("string", "changes: full", SQL));
    give(&place, &["a x", "2 y"], 1);
    place.run();
    place.write(&typed("string", "changes: full", SQL).replace("id: string", "id: long"));
    give(&place, &["1 x", "2 y"], 1);
    let report = place.run();
    assert_eq!(place.sent(), [""; 0], "no delete without a key");
    let error = report.error.unwrap();
    assert!(error.contains("`id`") && error.contains("baseline forget"), "{error}");
}

#[test]
fn rows_an_inbox_brought_are_never_rounded_to_a_new_type() {
    let place = Place::new(&typed("\"decimal(15,2)\"", "changes: inbox", SQL));
    give(&place, &["a 5.00", "b 6.40"], 1);
    place.run();
    place.table("rows", "id value seq", &[]);
    place.write(&typed("\"decimal(18,4)\"", "changes: inbox", SQL));
    assert_eq!(place.sends(), [""; 0], "nothing is lost, nothing differs");
    place.write(&typed("long", "changes: inbox", SQL));
    let report = place.run();
    assert_eq!(place.sent(), [""; 0]);
    let error = report.error.unwrap();
    assert!(error.contains("`value`") && error.contains("source rows"), "{error}");
}
