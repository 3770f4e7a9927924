//! Rows that are not as they should be: nothing wrong is sent because of them, and what is known stays known.

use crate::world::{Place, pipeline};

/// Rows read whole.
fn whole(rows: &[&str]) -> Place {
    let place = Place::new(&pipeline("id: string, value: long", "changes: full", "SELECT id, value FROM rows"));
    place.table("rows", "id value", rows);
    place
}

/// Rows that come once they changed.
fn followed(rows: &[&str]) -> Place {
    let sql = "SELECT id, value FROM rows";
    let place = Place::new(&pipeline("id: string, value: long, seq: long", "changes: { cursor: seq }", sql));
    place.table("rows", "id value seq", rows);
    place
}

/// `й` as one letter, and as `и` with a breve.
const ONE_FORM: &str = "\u{439}";
const OTHER_FORM: &str = "\u{438}\u{306}";

#[test]
fn a_row_without_its_key_is_invalid_and_others_go() {
    let place = whole(&["a 1", "∅ 2", "b 3", "∅ 4"]);
    let report = place.run();
    assert_eq!((report.sinks[0].read, report.sinks[0].invalid), (4, 2));
    assert_eq!(place.sent(), ["create a 1", "create b 3"]);
    assert_eq!(place.sends(), [""; 0]);
}

#[test]
fn a_key_of_two_columns_with_one_missing_is_no_key() {
    let key = "key: [id, kind]";
    let text = pipeline("id: string, kind: string, value: long", "changes: full", "SELECT id, kind, value FROM rows");
    let place = Place::new(&text.replace("key: [id]", key));
    place.table("rows", "id kind value", &["a x 1", "a ∅ 2", "∅ x 3", "∅ ∅ 4"]);
    let report = place.run();
    assert_eq!((report.sinks[0].read, report.sinks[0].invalid), (4, 3));
    assert_eq!(place.sent(), ["create a|x 1"]);
}

#[test]
fn a_row_without_a_key_that_comes_alone_is_left_out_with_a_word_about_it() {
    let place = followed(&["a 1 1", "∅ 2 2"]);
    let report = place.run();
    assert_eq!(place.sent(), ["create a 1"]);
    assert!(
        report.notes.iter().any(|note| note == "1 row of source `rows` have no key and are left out"),
        "{report:?}"
    );
}

#[test]
fn a_key_that_stands_twice_is_invalid_however_far_apart_its_rows_are() {
    let rows: Vec<String> = (0..10_000).map(|at| format!("k{at} {at}")).collect();
    // in one batch, in two that follow each other, and a batch apart; equal rows are two rows as well
    for (first, second, value) in [(0, 1, 0), (8_191, 8_192, 5), (0, 9_999, 0), (0, 9_999, 5)] {
        let mut rows = rows.clone();
        rows[second] = format!("k{first} {}", first + value);
        let place = whole(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        place.inside().portion = 10_000;
        let report = place.run();
        let sink = &report.sinks[0];
        assert_eq!((sink.read, sink.invalid, sink.acked), (9_999, 1, 9_998), "{first} {second} {value}");
        assert_eq!(sink.problems[0].key["id"], format!("k{first}"));
        assert!(!place.inside().shop.contains_key(&format!("k{first}")));
    }
}

#[test]
fn a_key_that_becomes_double_keeps_its_known_value_until_it_is_single_again() {
    let place = whole(&["a 1", "b 1"]);
    place.run();
    place.table("rows", "id value", &["a 2", "b 1", "a 3"]);
    let report = place.run();
    assert_eq!((report.sinks[0].invalid, report.sinks[0].unchanged, place.sent().len()), (1, 1, 0));
    place.table("rows", "id value", &["a 1", "b 1"]);
    let report = place.run();
    assert_eq!((report.sinks[0].invalid, report.sinks[0].unchanged, place.sent().len()), (0, 2, 0));
    place.table("rows", "id value", &["a 1", "a 1", "b 1"]);
    assert_eq!((place.run().sinks[0].invalid, place.sent().len()), (1, 0), "two equal rows are two rows");
    place.table("rows", "id value", &["a 4", "b 1"]);
    assert_eq!(place.sends(), ["update a 4"]);
    place.table("rows", "id value", &["a 5", "a 6", "b 1"]);
    place.run();
    place.table("rows", "id value", &["b 1"]);
    assert_eq!(place.sends(), ["delete a 4"], "what is known is deleted, not what stood there twice");
}

#[test]
fn a_key_that_becomes_double_by_changes_alone_keeps_its_known_value_too() {
    for changes in ["changes: { version: seq }", "changes: { cursor: seq }"] {
        let sql = "SELECT good AS id, value FROM rows WHERE value > 0";
        let place = Place::new(&pipeline("id: long, good: string, value: long, seq: long", changes, sql));
        let rows = |rows: &[&str]| place.table("rows", "id good value seq", rows);
        rows(&["1 a 1 1", "2 b 1 1", "3 c 1 1"]);
        place.run();
        rows(&["1 a 1 1", "2 b 1 1", "3 a 2 2"]);
        let report = place.run();
        assert_eq!(place.sent(), ["delete c 1"], "{changes}");
        assert_eq!((report.sinks[0].invalid, report.sinks[0].unchanged), (1, 1));
        assert_eq!(report.sinks[0].compared.as_deref(), Some("2 affected keys of 3"));
        rows(&["1 a 1 1", "2 b 2 3", "3 a 2 2"]);
        let report = place.run();
        assert_eq!((place.sent(), report.sinks[0].invalid), (vec!["update b 2".to_owned()], 1), "it stays invalid");
        rows(&["1 a 1 1", "2 b 2 3", "3 a 0 4"]);
        let report = place.run();
        assert_eq!((place.sent().len(), report.sinks[0].invalid, report.sinks[0].unchanged), (0, 0, 2), "{changes}");
    }
}

#[test]
fn a_key_that_comes_twice_is_the_row_that_came_last_with_a_word_about_it() {
    for changes in ["changes: { cursor: seq }", "changes: { version: seq }"] {
        let sql = "SELECT id, value FROM rows";
        let place = Place::new(&pipeline("id: string, value: long, seq: long", changes, sql));
        let mut rows: Vec<String> = (0..10_000).map(|at| format!("k{at} {at} 1")).collect();
        rows[9_999] = "k0 7 1".to_owned();
        place.table("rows", "id value seq", &rows.iter().map(String::as_str).collect::<Vec<_>>());
        place.inside().portion = 10_000;
        let report = place.run();
        assert_eq!((report.sinks[0].acked, report.sinks[0].invalid), (9_999, 0), "{changes}");
        assert_eq!(place.inside().shop["k0"], "7", "{changes}");
        let expected = "1 row of source `rows` came with a key that stands in a later row too: the last one counts";
        assert!(report.notes.iter().any(|note| note == expected), "{changes}: {:?}", report.notes);
        assert_eq!(place.sends(), [""; 0], "{changes}");
    }
}

#[test]
fn a_change_that_makes_a_row_without_a_key_is_counted() {
    let sql = "SELECT good AS id, value FROM rows WHERE value > 0";
    for changes in ["changes: { cursor: seq }", "changes: { version: seq }"] {
        let place = Place::new(&pipeline("id: long, good: string, value: long, seq: long", changes, sql));
        let rows = |rows: &[&str]| place.table("rows", "id good value seq", rows);
        rows(&["1 a 1 1", "2 b 1 1"]);
        place.run();
        rows(&["1 a 1 1", "2 ∅ 1 2"]);
        let report = place.run();
        assert_eq!((report.sinks[0].read, report.sinks[0].invalid), (3, 1), "{changes}: {:?}", report.sinks[0]);
        assert_eq!(place.sent(), ["delete b 1"], "{changes}");
        rows(&["1 a 1 1", "2 b 1 3"]);
        assert_eq!(place.sends(), ["create b 1"], "{changes}");
    }
}

#[test]
fn two_forms_of_one_letter_are_one_key() {
    let place = whole(&[&format!("{ONE_FORM} 1"), &format!("{OTHER_FORM} 1"), "b 1"]);
    let report = place.run();
    assert_eq!((report.sinks[0].read, report.sinks[0].invalid), (2, 1));
    assert_eq!(place.sent(), ["create b 1"]);
}

#[test]
fn a_key_that_takes_another_form_is_the_same_row_and_its_values_no_change() {
    let sql = "SELECT id, name FROM rows";
    for changes in ["changes: full", "changes: { cursor: seq }", "changes: { version: seq }"] {
        let place = Place::new(&pipeline("id: string, name: string, seq: long", changes, sql));
        let rows = |key: &str, name: &str, seq: u8| {
            place.table("rows", "id name seq", &[&format!("{key} {name} {seq}"), "b b 1"]);
        };
        rows(OTHER_FORM, OTHER_FORM, 1);
        assert_eq!(place.sends().len(), 2);
        rows(ONE_FORM, ONE_FORM, 2);
        assert_eq!(place.sends(), [""; 0], "{changes}");
        rows(OTHER_FORM, ONE_FORM, 3);
        assert_eq!(place.sends(), [""; 0], "{changes}");
        rows(ONE_FORM, "x", 4);
        assert_eq!(place.sends(), [format!("update {ONE_FORM} x")], "{changes}");
    }
}
