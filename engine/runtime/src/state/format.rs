//! The version of `state.db`, and how an older one becomes this one.

use super::sql_error;
use obmen_sdk::{Error, ErrorKind, Result};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

/// What each version added, the first first. The last one's number is the version of this program.
/// A step that was released never changes; what is new is a new step.
const STEPS: [&str; 4] = [
    include_str!("schema.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
];

/// The version of a database; 0 if there is nothing in it.
///
/// # Errors
/// `Conflict` if it is damaged or not ours.
pub(super) fn version(db: &Connection) -> Result<usize> {
    let tables: i64 = db
        .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0))
        .map_err(sql_error)?;
    if tables == 0 {
        return Ok(0);
    }
    let ours: i64 = db
        .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'meta'", [], |row| row.get(0))
        .map_err(sql_error)?;
    let said: Option<String> = if ours == 0 {
        None
    } else {
        let sql = "SELECT value FROM meta WHERE name = 'format'";
        db.query_row(sql, [], |row| row.get(0)).optional().map_err(sql_error)?
    };
    let version = said.as_deref().and_then(|said| said.parse().ok()).filter(|version| *version > 0);
    version.ok_or_else(|| {
        let message = "state.db does not say its version: it is not a state of obmen, or damaged; \
                       restore the folder from a backup, or name another one with --state";
        Error::new(ErrorKind::Conflict, message)
    })
}

/// Brings a database to this program's version: all steps or none.
///
/// # Errors
/// `Conflict` if it is of a newer version, damaged or not ours.
pub(super) fn migrate(db: &Connection) -> Result<()> {
    let known = STEPS.len();
    if check(version(db)?)? == known {
        return Ok(());
    }
    let steps = Transaction::new_unchecked(db, TransactionBehavior::Immediate).map_err(sql_error)?;
    // another process may have been faster
    let from = check(version(&steps)?)?;
    for step in STEPS.iter().skip(from) {
        steps.execute_batch(step).map_err(sql_error)?;
    }
    let sql = "INSERT OR REPLACE INTO meta (name, value) VALUES ('format', ?1)";
    steps.execute(sql, [known.to_string()]).map_err(sql_error)?;
    steps.commit().map_err(sql_error)
}

fn check(version: usize) -> Result<usize> {
    let known = STEPS.len();
    if version <= known {
        return Ok(version);
    }
    let message = format!(
        "the state has format {version}, this obmen knows formats up to {known}: use the obmen that wrote it, or \
         another folder with --state"
    );
    Err(Error::new(ErrorKind::Conflict, message))
}

#[cfg(test)]
mod tests {
    use crate::state::{Durability, State, is_state_error};
    use rusqlite::Connection;
    use std::path::Path;

    fn opened(folder: &Path) -> obmen_sdk::Result<State> {
        State::open(folder, Durability::Synced)
    }

    fn version_1(folder: &Path) -> Connection {
        let db = Connection::open(folder.join("state.db")).unwrap();
        db.execute_batch(include_str!("schema.sql")).unwrap();
        db.execute_batch(
            "INSERT INTO meta (name, value) VALUES ('format', '1');
             INSERT INTO scopes (id, pipeline, sink, target) VALUES (7, 'site', 'shop', 'here');
             INSERT INTO segments (scope, file, rows) VALUES (7, 'baseline/7-old.parquet', 3);",
        )
        .unwrap();
        db
    }

    #[test]
    fn an_older_state_becomes_this_version_and_keeps_what_it_knows() {
        for reading in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            drop(version_1(folder.path()));
            let state =
                if reading { State::read(folder.path()).unwrap().unwrap() } else { opened(folder.path()).unwrap() };
            let scope = state.find_scope("site", "shop", "here").unwrap().unwrap();
            let segments = state.segments(scope).unwrap();
            assert_eq!((segments[0].rows, segments[0].mark), (3, None));
            assert_eq!(state.live(scope).unwrap(), None);
            assert_eq!(super::version(&state.db).unwrap(), super::STEPS.len());
            drop(state);
            opened(folder.path()).unwrap();
        }
    }

    #[test]
    fn a_migration_that_is_cut_off_leaves_the_old_version() {
        let folder = tempfile::tempdir().unwrap();
        let db = version_1(folder.path());
        // the second step cannot succeed
        db.execute_batch("CREATE TABLE live (something INTEGER)").unwrap();
        assert!(is_state_error(&opened(folder.path()).unwrap_err()));
        assert_eq!(super::version(&db).unwrap(), 1);
        let columns: i64 =
            db.query_row("SELECT count(*) FROM pragma_table_info('segments')", [], |row| row.get(0)).unwrap();
        assert_eq!(columns, 4);
    }

    #[test]
    fn a_newer_state_is_refused_with_its_version_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        version_1(folder.path()).execute("UPDATE meta SET value = '9'", []).unwrap();
        for error in [opened(folder.path()).unwrap_err(), State::read(folder.path()).unwrap_err()] {
            assert!(error.to_string().contains("format 9"), "{error}");
            assert!(error.to_string().contains("use the obmen that wrote it"), "{error}");
            assert!(is_state_error(&error));
        }
    }

    #[test]
    fn a_damaged_or_foreign_database_is_an_error_of_the_state() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("state.db"), [b'x'; 8192]).unwrap();
        for error in [opened(folder.path()).unwrap_err(), State::read(folder.path()).unwrap_err()] {
            assert!(error.to_string().contains("restore the folder from a backup"), "{error}");
            assert!(is_state_error(&error));
        }
        let folder = tempfile::tempdir().unwrap();
        let db = Connection::open(folder.path().join("state.db")).unwrap();
        db.execute_batch("CREATE TABLE theirs (x INTEGER)").unwrap();
        let error = opened(folder.path()).unwrap_err();
        assert!(is_state_error(&error) && error.to_string().contains("not a state of obmen"), "{error}");
    }

    #[test]
    fn a_database_without_anything_in_it_is_no_state_yet() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("state.db"), b"").unwrap();
        assert!(State::read(folder.path()).unwrap().is_none());
        opened(folder.path()).unwrap();
        assert!(State::read(folder.path()).unwrap().is_some());
    }
}
