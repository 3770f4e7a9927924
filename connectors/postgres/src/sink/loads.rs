//! The table in which committed loads are remembered, in their own transactions.

use crate::server::Session;
use crate::sql::{Name, literal};
use obmen_sdk::{Error, ErrorKind, Result};

/// The table in which committed loads are remembered.
#[derive(Clone, Debug)]
pub(super) struct Loads {
    name: Name,
}

impl Loads {
    pub(super) fn new(name: Name) -> Self {
        Self { name }
    }

    /// Sees to it that the table is there.
    ///
    /// # Errors
    /// `PermissionDenied` with the statement that helps, those of the session.
    pub(super) async fn ensure(&self, session: &Session) -> Result<()> {
        let there = format!("SELECT to_regclass({})", literal(&self.name.sql()));
        let known = session.ask("looking for loads", &there).await?;
        if known.first().and_then(|row| row.first()).is_some_and(Option::is_some) {
            return Ok(());
        }
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {} (load text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), rows bigint NOT NULL)",
            self.name.sql()
        );
        match session.run("creating the table of loads", &create).await {
            Ok(()) => Ok(()),
            // Somebody else has just created it.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            Err(error) => {
                let message = format!(
                    "the table `{}`, in which loads are remembered, is not there and cannot be created; let somebody who \
                     may do it run `{create}` and grant SELECT, INSERT",
                    self.name
                );
                Err(Error::new(error.kind(), message).because(error))
            }
        }
    }

    /// Remembers a load; `false` if it has been committed before. Waits for another transaction that is about to
    /// remember the same one.
    ///
    /// # Errors
    /// Those of the session.
    pub(super) async fn remember(&self, session: &Session, load: &str, rows: usize) -> Result<bool> {
        let sql = format!(
            "INSERT INTO {} (load, rows) VALUES ({}, {rows}) ON CONFLICT DO NOTHING",
            self.name.sql(),
            literal(load)
        );
        Ok(session.count("remembering the load", &sql).await? == 1)
    }
}
