//! What the benches of this crate measure. Only for them: it is no API, and changes without notice.

use crate::diff::About;
use crate::hash::Hash;
use crate::land::LandedRows;
use crate::mirror::{Compared, Mirror, Reading};
use crate::sql::Options;
use crate::state::{Durability, ScopeId, State};
use crate::table::Baseline;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use chrono::DateTime;
use obmen_sdk::Result;
use std::path::Path;
use std::sync::Arc;

/// Rows kept by key in a folder, as the mirror of a source has them. Only for benchmarks: nothing is synced.
#[derive(Debug)]
pub struct Kept {
    state: State,
    scope: ScopeId,
    schema: SchemaRef,
    key: Vec<String>,
    table: Baseline,
}

impl Kept {
    /// Keeps rows in a folder that holds nothing yet.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn new(folder: &Path, schema: &SchemaRef, key: &[String], rows: Vec<RecordBatch>) -> Result<Self> {
        let state = State::open(folder, Durability::Scratch)?;
        let scope = state.scope("", "goods", "bench")?;
        let table = Baseline::open(&state, scope)?;
        let mut kept = Self { state, scope, schema: Arc::clone(schema), key: key.to_vec(), table };
        let compared = kept.compared(rows).await?;
        kept.mirror().keep(compared)?;
        kept.table = Baseline::open(&kept.state, scope)?;
        Ok(kept)
    }

    /// Compares the rows there are now with those kept, writes what differs and forgets it; gives how many do.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn compare(&self, rows: Vec<RecordBatch>) -> Result<u64> {
        let compared = self.compared(rows).await?;
        let changes = compared.written.changes;
        compared.discard(&self.state)?;
        Ok(changes)
    }

    /// Looks keys up (ascending, distinct); gives how many are known.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn find(&self, keys: &[Hash]) -> Result<usize> {
        Ok(self.table.find(keys)?.len())
    }

    async fn compared(&self, rows: Vec<RecordBatch>) -> Result<Compared> {
        let reading = Reading {
            rows: &LandedRows::Memory(rows),
            about: About::Everything,
            condition: None,
            deletes_suspended: None,
            position: None,
        };
        let work = self.state.work_folder()?;
        let options = Options {
            memory: 128 << 20,
            spill: work.path().to_owned(),
            now: DateTime::default(),
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            batch_rows: 8192,
        };
        self.mirror().compare(reading, options).await
    }

    fn mirror(&self) -> Mirror<'_> {
        let (state, scope, schema) = (&self.state, self.scope, Arc::clone(&self.schema));
        Mirror { state, scope, name: "goods", key: &self.key, schema }
    }
}
