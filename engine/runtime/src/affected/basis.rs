//! What a sink's last plan was made of. While that is known, what changed since says which keys to look at:
//! every key that is not in the plan's file was then as the other side has it.

use crate::hash::hash_rows;
use crate::land::LandedRows;
use crate::sources::{RowsRead, SourceRead};
use crate::state::{ScopeId, State};
use obmen_sdk::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The pipeline and the rows a plan was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Basis {
    /// A hash of the pipeline as it was written, its vars and this program's version.
    pub(super) pipeline: String,
    /// Rows of each source.
    pub(super) sources: BTreeMap<String, Seen>,
}

/// The rows of a source that a plan saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Seen {
    /// Those of a mirror after so many writes.
    Mirror {
        /// The mirror.
        scope: i64,
        /// Its writes.
        seq: i64,
    },
    /// Rows that were read whole, by a hash over all of them in any order.
    Rows(String),
}

impl Basis {
    /// What a plan of now is made of.
    ///
    /// # Errors
    /// Those of the state and the disk.
    pub(super) fn of(pipeline: &str, sources: &[SourceRead], state: &State) -> Result<Self> {
        let seen = |source: &SourceRead| {
            Ok::<_, Error>(match &source.rows {
                RowsRead::Mirrored(scope) => Seen::Mirror { scope: scope.0, seq: state.mirror(*scope)?.seq },
                RowsRead::Landed(rows) => Seen::Rows(digest(rows)?),
            })
        };
        let sources = sources.iter().map(|source| Ok((source.name.clone(), seen(source)?)));
        Ok(Self { pipeline: pipeline.to_owned(), sources: sources.collect::<Result<_>>()? })
    }

    /// The basis of a sink's last plan, and the plan.
    ///
    /// # Errors
    /// Those of the state.
    pub(super) fn last(state: &State, scope: ScopeId) -> Result<Option<(Self, String)>> {
        let Some((plan, text)) = state.basis(scope)? else { return Ok(None) };
        // what another version wrote is not known any more
        Ok(serde_json::from_str(&text).ok().map(|basis| (basis, plan)))
    }

    /// Remembers it for a plan of a sink.
    ///
    /// # Errors
    /// Those of the state.
    pub(super) fn keep(&self, state: &State, scope: ScopeId, plan: &str) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|error| Error::internal(error.to_string()))?;
        state.set_basis(scope, plan, &text)
    }
}

fn digest(rows: &LandedRows) -> Result<String> {
    let (mut sum, mut count) = (0_u128, 0_u64);
    for batch in rows.batches()? {
        let batch = batch?;
        let names: Vec<String> = batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
        count += batch.num_rows() as u64;
        sum = hash_rows(&batch, &names)?.into_iter().fold(sum, u128::wrapping_add);
    }
    Ok(format!("{count}:{sum:032x}"))
}
