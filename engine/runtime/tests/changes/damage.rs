//! What is known is damaged, missing, older or newer than the program: a run says what to do, or goes on rightly.

use crate::world::{Place, pipeline};
use obmen_runtime::run::RunOptions;
use obmen_runtime::state::is_state_error;
use rusqlite::Connection;

const SQL: &str = "SELECT id, value FROM rows";

/// Two hundred rows that are known, one of which will change.
fn place(changes: &str) -> Place {
    let place = Place::new(&pipeline("id: string, value: long, seq: long", changes, SQL));
    give(&place, 0);
    assert_eq!(place.sends().len(), 200);
    place
}

fn give(place: &Place, changed: usize) {
    let value = |at: usize| if at == 7 { 1000 + changed } else { at };
    let rows: Vec<String> = (0..200).map(|at| format!("k{at} {} {}", value(at), value(at))).collect();
    place.table("rows", "id value seq", &rows.iter().map(String::as_str).collect::<Vec<_>>());
}

/// A run either goes on as if nothing were wrong, or sends nothing and says what to do.
fn sends_rightly_or_says_what_to_do(place: &Place, file: &str, what: &str) -> bool {
    match place.try_run(&RunOptions { plan_only: true, ..RunOptions::default() }) {
        Ok(report) => {
            assert_eq!(report.error, None, "{what}");
            assert_eq!(
                (report.sinks[0].unchanged, report.sinks[0].updates, report.sinks[0].read),
                (199, 1, 200),
                "{what}"
            );
            true
        }
        Err(error) => {
            let text = error.to_string();
            assert!(is_state_error(&error), "{what}: {text}");
            assert!(text.contains(file) && text.contains("`obmen baseline forget`"), "{what}: {text}");
            false
        }
    }
}

#[test]
fn a_flipped_bit_in_what_is_known_never_sends_anything_wrong() {
    for changes in ["changes: full", "changes: { cursor: seq }", "changes: { version: seq }"] {
        let place = place(changes);
        give(&place, 1);
        for path in place.segments() {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let bytes = std::fs::read(&path).unwrap();
            let mut refused = 0;
            for at in (0..bytes.len()).step_by(bytes.len() / 12).chain([bytes.len() - 1]) {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << (at % 8);
                std::fs::write(&path, damaged).unwrap();
                refused +=
                    u8::from(!sends_rightly_or_says_what_to_do(&place, &name, &format!("{changes} {name} {at}")));
            }
            std::fs::write(&path, &bytes).unwrap();
            assert!(refused > 1, "{changes} {name}: {refused}");
        }
        assert_eq!(place.sends(), ["update k7 1001"], "{changes}: once it is restored");
    }
}

#[test]
fn a_missing_file_of_what_is_known_stops_the_run_before_anything_is_sent() {
    for changes in ["changes: full", "changes: { cursor: seq }", "changes: { version: seq }"] {
        let place = place(changes);
        give(&place, 1);
        for path in place.segments() {
            let bytes = std::fs::read(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            let error = place.try_run(&RunOptions::default()).unwrap_err();
            assert!(is_state_error(&error), "{changes}: {error}");
            let text = error.to_string();
            assert!(text.contains("missing") && text.contains("`obmen baseline forget`"), "{changes}: {text}");
            assert_eq!(place.sent(), [""; 0], "{changes}");
            std::fs::write(&path, bytes).unwrap();
        }
        assert_eq!(place.sends(), ["update k7 1001"], "{changes}");
    }
}

#[test]
fn a_state_of_the_first_version_goes_on_where_it_was() {
    let place = place("changes: full");
    let db = Connection::open(place.state().join("state.db")).unwrap();
    // what later versions added is taken away again
    db.execute_batch(
        "ALTER TABLE segments DROP COLUMN bytes; ALTER TABLE segments DROP COLUMN seal;
         DROP TABLE indexes; DROP TABLE live; DROP TABLE mirrors; DROP TABLE deltas; DROP TABLE bases;
         DROP TABLE stored;
         UPDATE meta SET value = '1' WHERE name = 'format';",
    )
    .unwrap();
    drop(db);
    give(&place, 1);
    assert_eq!(place.sends(), ["update k7 1001"]);
    assert_eq!(place.sends(), [""; 0]);
}

#[test]
fn a_state_of_a_newer_version_is_refused_and_left_alone() {
    let place = place("changes: { cursor: seq }");
    give(&place, 1);
    let format = |value: &str| {
        let db = Connection::open(place.state().join("state.db")).unwrap();
        db.execute("UPDATE meta SET value = ?1 WHERE name = 'format'", [value]).unwrap();
    };
    let db = Connection::open(place.state().join("state.db")).unwrap();
    let ours: String = db.query_row("SELECT value FROM meta WHERE name = 'format'", [], |row| row.get(0)).unwrap();
    drop(db);
    format("99");
    let error = place.try_run(&RunOptions::default()).unwrap_err();
    assert!(is_state_error(&error) && error.to_string().contains("format 99"), "{error}");
    assert_eq!(place.sent(), [""; 0]);
    format(&ours);
    assert_eq!(place.sends(), ["update k7 1001"]);
}
