//! Affected keys: how rows of the sources lead to keys of a relation, and keys to rows.
//!
//! A source that brings a thousand changes must not make us compute ten million rows again. [`Sql::reach`] says, for
//! every place where a relation reads a source (a *scan*), which keys a changed row can touch, and which rows the keys
//! need. It looks at plans alone, never at rows.
//!
//! # What is known of a plan
//!
//! [`trace`] walks the plan from the sources up and keeps two things.
//!
//! *Origins.* A column `c` of a node has the origin `s.x` where the value of `c` is that of column `x` of scan `s`. Let
//! `L(o, s)` be the rows of `s` that a row `o` of the node was made of: one for a join, all those of the group for
//! an aggregate, none where an outer join found nothing. An origin may have two abilities:
//! * it **takes**: every row of `L(o, s)` has `x = o.c`. Rows of `s` can be selected by values of `c`.
//! * it **gives**: if `o.c` is not NULL, `L(o, s)` is not empty and all its rows have `x = o.c`. Rows of `s` know the
//!   values of `c`.
//!
//! | node | origins of its columns | edges |
//! |---|---|---|
//! | scan | its column, takes and gives | |
//! | projection | plain columns keep theirs; computed ones have none | |
//! | filter, inner join | equal columns share theirs: both are the same value and not NULL | both ways |
//! | left, right join | preserved side as it is; the other side no longer takes: its row may be missing | from the preserved side |
//! | semi, anti, mark join | those of the outer side | from the outer side |
//! | aggregate, distinct | plain grouped columns keep theirs: all rows of the group have the value | |
//! | union | those of all branches, which no longer give: the row may come from another branch | |
//!
//! *Edges.* `s.x → t.y` says: a row of `t` is needed beside needed rows of `s` only if its `y` equals the `x` of one of them.
//! Wherever columns `a = b` are compared, every origin that gives `a` has an edge to every origin that takes `b`, and
//! the other way round where the node allows it. Several columns compared at one node are one edge. Equalities are
//! those of plain columns of one type that is not a double; comparisons where NULL equals NULL are left out. **Leaving
//! out an edge or an origin is always right**: it only makes rows needed that are not.
//!
//! # Why the rows are enough
//!
//! Let `W` be wanted keys, and `σ` a selection that is made in some order: scans by the key (`takes` of key columns, or
//! equal to them along edges: `Key`), by rows of scans selected before along an edge (`Rows`), or all (`Whole`).
//!
//! **Claim.** For every state `S'` with `σ ⊆ S' ⊆ S`, the relation has the same rows with keys of `W` in `S'` as in `S`.
//!
//! Take a row `o` with a wanted key, in either state, and the rows of each node it was made of; walk the scans in the
//! order of `σ`. Key columns take: rows of `L(o, s)` have the wanted values. Along an edge `s.x → t.y`:
//! * *inner join, filter*: both rows are there and equal, or `o` is not; so the row of `t` is selected with that of `s`.
//! * *outer join*: the row of the preserved side is selected, and with it every row of the other side that equals it. So
//!   what it matches, and *that it matches nothing*, is the same in both states. The other way there is no edge: a
//!   row of the preserved side needs no partner. Nor is the other side entered in any other way, for it does
//!   not take above the join.
//! * *semi, anti, mark join*: the same; the inner side has no columns above the join.
//! * *aggregate*: from outside it is entered by grouped columns only, whose value all rows of a group share: groups of
//!   `o` are in as a whole, hence have the same result, `HAVING` included. Inside, edges hold for every
//!   row of the input.
//! * *union*: each branch is selected on its own, and rows of `o`'s branch are selected by what holds for all of them.
//!
//! So everything `o` was made of is selected in both states, and `S' ⊆ S` brings nothing that is not in `S`. ∎
//!
//! # Why the keys are enough
//!
//! Let `U` be the rows before and after a change together, `C` those that are in both, and `σ(k)` the selection for
//! one key `k`, made in `U`. It only grows with the rows, so it holds the selections in both states. If no changed row is in
//! `σ(k)`, then `σ(k) ⊆ C`, and by the claim the relation has the same rows with key `k` before, in `C`, and after. So
//! the affected keys are among those whose `σ(k)` holds a changed row: the edges walked backwards from it, in `U`, to a
//! scan that is selected by the whole key. That is [`ToKey`]. It needs one selection for all scans, in which every scan is
//! selected by the whole key or along edges from such scans.
//!
//! Rows whose key is NULL are not found: a sink takes them for invalid, whatever they hold. That there may be new ones is
//! known: a key column that can be NULL has the NULL of a row at the end of some way ([`ToKey::keyless`]).

#[cfg(test)]
mod author;
mod graph;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
mod trace;

use super::Sql;
use graph::Graph;
use std::collections::BTreeSet;
use std::fmt;
use trace::Tracer;

/// How rows of the sources lead to keys of a relation, and keys to rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    /// Every place where the relation reads a source, those inside steps included. A source may occur several times.
    pub scans: Vec<ScanReach>,
    /// All scans, in an order in which every [`FromKey::Rows`] refers to an earlier one.
    pub order: Vec<usize>,
}

/// One place where a source is read.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanReach {
    /// The source, or the step whose rows took its place.
    pub relation: String,
    /// The keys a changed row can touch. An error: any key at all; this way is closed if this source changed.
    pub to_key: Result<ToKey, NoReach>,
    /// The rows wanted keys need.
    pub from_key: FromKey,
}

/// The way from changed rows of a scan to keys.
///
/// Start with the changed rows, old and new images alike, and make the hops; in the end `columns` of the rows at hand
/// are the keys. A key with a NULL in it is none, but may be a row without a key. The result may hold keys that did not
/// change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToKey {
    /// Hops from scan to scan, the fewest there are; none if the scan itself has the key.
    pub hops: Vec<Hop>,
    /// Columns of the last scan whose values are the key, in the key's order.
    pub columns: Vec<String>,
    /// Whether a row at hand with a NULL among them may give the relation a row without a key.
    pub keyless: bool,
}

/// Replaces the rows at hand by the rows of another scan that match them: the rows there are now, and the old images of those
/// that changed at the same time. NULL matches nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Columns of the rows at hand.
    pub columns: Vec<String>,
    /// The scan hopped to, its place in [`Reach::scans`].
    pub scan: usize,
    /// Its columns that equal them, in the same order.
    pub to: Vec<String>,
}

/// Which rows of a scan are needed to compute all rows with the wanted keys. More rows do no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromKey {
    /// Rows whose columns equal those of a wanted key.
    Key {
        /// Columns of the key, by place; ascending.
        positions: Vec<usize>,
        /// The scan's columns that equal them, in the same order.
        columns: Vec<String>,
    },
    /// Rows that match a selected row of another scan. NULL matches nothing.
    Rows {
        /// The other scan, its place in [`Reach::scans`].
        scan: usize,
        /// Its columns.
        columns: Vec<String>,
        /// The columns of this scan that equal them, in the same order.
        to: Vec<String>,
    },
    /// All rows: no equality leads there.
    Whole,
}

/// Why affected keys of a relation cannot be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoReach {
    /// One phrase for people: ``step `totals` uses a window function``.
    pub reason: String,
}

impl fmt::Display for NoReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl NoReach {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl Reach {
    /// The sources the relation reads.
    pub fn sources(&self) -> BTreeSet<String> {
        self.scans.iter().map(|scan| scan.relation.clone()).collect()
    }
}

impl Sql {
    /// How rows of the sources lead to keys of a relation, and keys to rows. Steps whose rows took their place are sources.
    ///
    /// What the relation computes must depend on the rows of its sources alone; vars are taken as they were when its
    /// steps were added.
    ///
    /// # Errors
    /// The reason why affected keys of this relation cannot be known.
    pub fn reach(&self, relation: &str, key: &[String]) -> Result<Reach, NoReach> {
        let schema = self.schema(relation).ok_or_else(|| NoReach::new(format!("there is no relation `{relation}`")))?;
        let mut tracer = Tracer::new(self);
        let columns = tracer.relation(relation)?;
        let mut origins = Vec::with_capacity(key.len());
        for name in key {
            let found = schema.index_of(name).ok().and_then(|at| Some((schema.fields().get(at)?, columns.get(at)?)));
            let (field, found) = found.ok_or_else(|| NoReach::new(format!("`{relation}` has no column `{name}`")))?;
            if !trace::is_exact(field.data_type()) {
                return Err(NoReach::new(format!("key column `{name}` has values that are equal only more or less")));
            }
            if found.is_empty() {
                return Err(NoReach::new(format!("key column `{name}` is computed")));
            }
            if !found.iter().any(|origin| origin.takes) {
                let reason = format!("key column `{name}` comes from the side of an outer join that may be missing");
                return Err(NoReach::new(reason));
            }
            origins.push(found.clone());
        }
        tracer.graph().reach(key, &origins)
    }
}
