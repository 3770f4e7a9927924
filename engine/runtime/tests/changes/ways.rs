//! Sources that bring only changes: what each way of finding them sees, and what it does not.

use crate::world::{Moment, Place, pipeline};

const VERSION: &str = "changes: { version: version }";
const WINDOW: &str = "changes: { window: { column: day, last: 7d } }";

/// Rows with versions.
fn versions(rows: &[&str]) -> Place {
    let place = Place::new(&pipeline("id: string, value: long, version: long", VERSION, "SELECT id, value FROM rows"));
    version_rows(&place, rows);
    place
}

fn version_rows(place: &Place, rows: &[&str]) {
    place.table("rows", "id value version", rows);
}

/// Rows with days; it is the first of March, the window begins on the 22nd of February.
fn days(rows: &[&str]) -> Place {
    let place = Place::new(&pipeline("id: string, value: long, day: date", WINDOW, "SELECT id, value FROM rows"));
    day_rows(&place, rows);
    place
}

fn day_rows(place: &Place, rows: &[&str]) {
    place.table("rows", "id value day", rows);
}

#[test]
fn a_version_that_differs_brings_its_row_and_no_other() {
    let place = versions(&["a 1 1", "b 1 1", "c 1 ∅"]);
    assert_eq!(place.sends(), ["create a 1", "create b 1", "create c 1"]);
    version_rows(&place, &["a 2 2", "b 1 1", "c 1 ∅", "d 1 1"]);
    let report = place.run();
    assert_eq!(place.sent(), ["create d 1", "update a 2"]);
    assert_eq!((report.sources[0].mode.as_str(), report.sources[0].changes), ("version", 2));
    assert_eq!(report.sinks[0].compared.as_deref(), Some("2 affected keys of 3"));
    version_rows(&place, &["a 3 1", "b 1 1", "c 2 1", "d 2 ∅"]);
    assert_eq!(
        place.sends(),
        ["update a 3", "update c 2", "update d 2"],
        "a version need not grow, and may be missing"
    );
    assert_eq!(place.sends(), [""; 0]);
}

#[test]
fn a_new_version_of_the_same_values_sends_nothing() {
    let place = versions(&["a 1 1"]);
    place.run();
    version_rows(&place, &["a 1 2"]);
    let report = place.run();
    assert_eq!((report.sources[0].changes, report.sinks[0].unchanged, place.sent().len()), (1, 1, 0));
}

#[test]
fn version_sees_what_is_deleted_and_what_comes_back_with_its_old_version() {
    let place = versions(&["a 1 1", "b 1 7"]);
    place.run();
    version_rows(&place, &["a 1 1"]);
    assert_eq!(place.sends(), ["delete b 1"]);
    assert_eq!(place.sends(), [""; 0]);
    version_rows(&place, &["a 1 1", "b 1 7"]);
    assert_eq!(place.sends(), ["create b 1"]);
    version_rows(&place, &[]);
    assert_eq!(place.sends(), ["delete a 1", "delete b 1"]);
}

#[test]
fn a_value_that_changes_without_its_version_is_seen_by_a_reread_only() {
    let place = versions(&["a 1 1", "b 1 ∅"]);
    place.run();
    version_rows(&place, &["a 2 1", "b 2 ∅"]);
    assert_eq!(place.sends(), [""; 0]);
    place.reread();
    assert_eq!(place.sent(), ["update a 2", "update b 2"]);
    version_rows(&place, &["a 3 2", "b 2 ∅"]);
    assert_eq!(place.sends(), ["update a 3"], "after a reread it goes on as before");
}

#[test]
fn a_window_brings_what_is_new_changed_or_gone_within_it() {
    let place = days(&["a 1 2026-02-25", "b 1 2026-02-25", "old 1 2026-01-01"]);
    assert_eq!(place.sends(), ["create a 1", "create b 1", "create old 1"]);
    day_rows(&place, &["a 2 2026-02-25", "c 1 2026-02-22", "old 1 2026-01-01"]);
    let report = place.run();
    assert_eq!(place.sent(), ["create c 1", "delete b 1", "update a 2"]);
    assert_eq!((report.sources[0].mode.as_str(), report.sources[0].rows), ("window", 2));
    assert_eq!(report.sinks[0].compared.as_deref(), Some("3 affected keys of 3"));
    day_rows(&place, &["a 2 2026-02-25", "b 5 2026-02-25", "c 1 2026-02-22", "old 1 2026-01-01"]);
    assert_eq!(place.sends(), ["create b 5"], "what is gone may come back");
    assert_eq!(place.sends(), [""; 0]);
}

#[test]
fn what_changes_or_goes_outside_the_window_is_seen_by_a_reread_only() {
    let place = days(&["a 1 2026-02-25", "early 1 2026-02-21", "old 1 2026-01-01", "undated 1 ∅"]);
    place.run();
    day_rows(&place, &["a 1 2026-02-25", "early 2 2026-02-21", "undated 2 ∅"]);
    assert_eq!(place.sends(), [""; 0]);
    place.reread();
    assert_eq!(place.sent(), ["delete old 1", "update early 2", "update undated 2"]);
}

#[test]
fn a_row_that_the_window_has_left_behind_is_not_gone() {
    let place = days(&["a 1 2026-02-25", "b 1 2026-02-28"]);
    place.run();
    place.later(24 * 5);
    assert_eq!(place.sends(), [""; 0], "`a` is outside now");
    day_rows(&place, &["b 1 2026-02-28"]);
    assert_eq!(place.sends(), [""; 0], "that it is deleted is not seen any more");
}

#[test]
fn a_row_whose_date_moves_out_of_the_window_is_changed_and_not_gone() {
    let place = days(&["a 1 2026-02-25", "b 1 2026-02-25", "c 1 2026-02-25"]);
    place.run();
    day_rows(&place, &["a 1 2026-01-31", "b 2 2026-01-31"]);
    assert_eq!(place.sends(), ["delete c 1", "update b 2"]);
    assert_eq!(place.sends(), [""; 0]);
    day_rows(&place, &["a 3 2026-02-26", "b 2 2026-01-31"]);
    assert_eq!(place.sends(), ["update a 3"], "and it may move in again");
}

#[test]
fn a_process_that_dies_between_reading_and_hearing_of_the_delivery_loses_nothing() {
    let cursor = "changes: { cursor: version }";
    for (changes, sees_deletes) in [(cursor, false), (VERSION, true), (WINDOW, true)] {
        for moment in [Moment::Read, Moment::Confirm, Moment::Begin, Moment::Answer] {
            let columns = "id: string, value: long, version: long, day: date";
            let place = Place::new(&pipeline(columns, changes, "SELECT id, value FROM rows"));
            let rows = |rows: &[&str]| place.table("rows", "id value version day", rows);
            rows(&["a 1 1 2026-02-25", "b 1 1 2026-02-25", "c 1 1 2026-02-25"]);
            place.run();
            let confirmed = place.inside().confirmed;
            rows(&["a 2 2 2026-02-25", "b 1 1 2026-02-25", "d 1 2 2026-02-26"]);
            assert!(place.dies_at(moment), "{changes} {moment:?}");
            place.later(1);
            let sent = place.sends();
            let expected = ["create d 1", "delete c 1", "update a 2"];
            let expected = expected.iter().filter(|change| sees_deletes || !change.starts_with("delete"));
            assert!(sent.iter().eq(expected.clone()) || moment == Moment::Answer, "{changes} {moment:?}: {sent:?}");
            assert_eq!(sent.len(), expected.count(), "{changes} {moment:?}: {sent:?}");
            assert_eq!(place.inside().shop.get("a").map(String::as_str), Some("2"));
            assert_eq!(place.inside().shop.contains_key("c"), !sees_deletes);
            assert!(place.inside().confirmed > confirmed, "{changes} {moment:?}");
            assert_eq!(place.sends(), [""; 0], "{changes} {moment:?}");
        }
    }
}
