//! Affected keys: when sources brought only changes, only keys that these can touch are computed again.
//!
//! ```text
//! last plan ─ what did not arrive ────────────────┐
//! changed rows, old and new ─ reach: to keys ─────┴─▶ keys ─ reach: to rows ─▶ the same SQL over these rows ─▶ diff
//! ```
//!
//! Keys that are not among them have the values they had, and those were compared in the last plan. Whatever stands in the
//! way is a reason to compare everything, which is always right; `plan -v` says it.

mod basis;
mod open;
mod relation;

use crate::compile;
use crate::hash::{Hash, hash_keys};
use crate::mirror::Mirror;
use crate::run::Engine;
use crate::sources::{Read, RowsRead, SourceRead};
use crate::sql::{FromKey, Reach, Rows, Sql};
use crate::state::State;
use crate::target::Target;
use crate::vars::Vars;
use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use basis::{Basis, Seen};
use chrono::{DateTime, Utc};
use obmen_diagnostics::Problems;
use obmen_sdk::{Error, Result};
use obmen_spec::pipeline::Pipeline;
use relation::{Relation, RowSet, columns_of, is_whole, named};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Keys that are looked at one by one at most; and at most this share of what is known.
const MOST_KEYS: usize = 200_000;
const SHARE: u64 = 20;
/// Keys that are always worth it.
const FEW_KEYS: usize = 1_000;
/// Rows of a mirror that are read whole.
const SMALL_MIRROR: usize = 100_000;

/// What a sink's comparison has to look at.
pub(crate) enum Look {
    /// Everything, for this reason.
    Everything(String),
    /// Some keys.
    Keys(Box<Affected>),
}

/// Keys to look at, and what is needed for it.
pub(crate) struct Affected {
    /// Hashes of the keys, ascending.
    pub(crate) keys: Arc<Vec<Hash>>,
    /// Rows the other side is known to have.
    pub(crate) known: u64,
    /// The relations, over the rows these keys need.
    pub(crate) sql: Sql,
}

impl std::fmt::Display for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Everything(reason) => write!(f, "everything: {reason}"),
            Self::Keys(affected) => write!(f, "{} affected keys of {}", affected.keys.len(), affected.known),
        }
    }
}

/// What affected keys are found with.
pub(crate) struct Affecting<'a> {
    pub(crate) engine: &'a Engine<'a>,
    pub(crate) state: &'a State,
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) vars: &'a Vars,
    pub(crate) sql: &'a Sql,
    pub(crate) read: &'a Read,
    pub(crate) work: &'a Path,
    pub(crate) now: DateTime<Utc>,
}

/// The bases of a run's plan: what its plan, once written down, was made of.
pub(crate) struct Bases(Option<Basis>);

/// A reason to compare everything, or something that went wrong.
enum Stop {
    Because(String),
    Error(Error),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

fn because<T>(reason: impl Into<String>) -> std::result::Result<T, Stop> {
    Err(Stop::Because(reason.into()))
}

impl Bases {
    /// Remembers what a plan of a target was made of. With rows that have no key it cannot be gone on from.
    ///
    /// # Errors
    /// Those of the state.
    pub(crate) fn keep(&self, state: &State, target: &Target, plan: &str, keyless: u64) -> Result<()> {
        match &self.0 {
            Some(basis) if keyless == 0 => basis.keep(state, target.scope, plan),
            _ => state.forget_basis(target.scope),
        }
    }
}

impl Affecting<'_> {
    /// What the plan of this run is made of.
    ///
    /// # Errors
    /// Those of the state and the disk.
    pub(crate) fn bases(&self) -> Result<Bases> {
        let mirrored = self.read.sources.iter().any(|source| matches!(source.rows, RowsRead::Mirrored(_)));
        if !mirrored {
            return Ok(Bases(None));
        }
        let text = format!("{}\n{:?}\n{:?}", env!("CARGO_PKG_VERSION"), self.vars, self.pipeline);
        let pipeline = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()));
        Ok(Bases(Some(Basis::of(&pipeline, &self.read.sources, self.state)?)))
    }

    /// What the comparison of a target has to look at.
    ///
    /// # Errors
    /// Those of the state, the disk and SQL.
    pub(crate) fn look(&self, target: &Target, bases: &Bases) -> Result<Look> {
        match self.keys(target, bases) {
            Ok(affected) => Ok(Look::Keys(Box::new(affected))),
            Err(Stop::Because(reason)) => Ok(Look::Everything(reason)),
            Err(Stop::Error(error)) => Err(error),
        }
    }

    /// Makes the indexes that affected keys of a target will be found with, so that a run with few changes does not wait
    /// for them.
    ///
    /// # Errors
    /// Those of the state and the disk.
    pub(crate) fn make_ready(&self, target: &Target, bases: &Bases) -> Result<()> {
        if bases.0.is_none() || target.whole || target.condition.is_some() {
            return Ok(());
        }
        let Ok(reaches) = self.reaches(target) else { return Ok(()) };
        let mut wanted: BTreeSet<(&str, &[String])> = BTreeSet::new();
        for reach in &reaches {
            for scan in &reach.scans {
                match &scan.from_key {
                    FromKey::Key { columns, .. } => drop(wanted.insert((&scan.relation, columns))),
                    FromKey::Rows { to, .. } => drop(wanted.insert((&scan.relation, to))),
                    FromKey::Whole => {}
                }
                for hop in scan.to_key.iter().flat_map(|way| &way.hops) {
                    if let Some(other) = reach.scans.get(hop.scan) {
                        wanted.insert((&other.relation, &hop.to));
                    }
                }
            }
        }
        for (relation, columns) in wanted {
            let source = self.read.sources.iter().find(|source| source.name == relation);
            if let Some(source) = source.filter(|source| matches!(source.rows, RowsRead::Mirrored(_))) {
                self.mirror(source)?.index(columns, (self.engine.workspace.memory() / 8, self.work))?;
            }
        }
        Ok(())
    }

    fn keys(&self, target: &Target, bases: &Bases) -> std::result::Result<Affected, Stop> {
        let Some(basis) = &bases.0 else { return because("all sources are read whole") };
        let known = self.may(target)?;
        let Some((last, plan)) = Basis::last(self.state, target.scope)? else {
            return because("nothing is known of an earlier comparison");
        };
        if last.pipeline != basis.pipeline {
            return because("the pipeline or its vars changed since the last plan");
        }
        let relations = self.relations(&last, basis)?;
        let reaches = self.reaches(target)?;
        let most = FEW_KEYS.max(MOST_KEYS.min(usize::try_from(known / SHARE).unwrap_or(usize::MAX)));
        let mut keys = Keys::new(target, most);
        for reach in &reaches {
            Self::touched(reach, &relations, &mut keys)?;
        }
        for batch in open::keys(self.state, target, &plan, most)? {
            let Some(batch) = batch else { return because("the last plan left too much undone") };
            keys.add(&batch)?;
        }
        let (values, hashes) = keys.finish()?;
        let rows = Self::needed(&reaches, &relations, &values)?;
        let sql = self.session(&relations, &rows)?;
        Ok(Affected { keys: Arc::new(hashes), known, sql })
    }

    /// How many rows the other side has, if this target can be compared key by key at all.
    fn may(&self, target: &Target) -> std::result::Result<u64, Stop> {
        if target.whole {
            return because("the other side wants complete lists");
        }
        if target.condition.is_some() {
            return because("the sink has a scope");
        }
        if compile::other_checks(self.pipeline).iter().any(|_| true) {
            return because("a check is about a relation that goes to no sink");
        }
        match self.state.live(target.scope)? {
            Some(known) => Ok(known),
            None => because("it is not known how many rows the other side has"),
        }
    }

    /// The sources, with what changed in each since the last plan.
    fn relations(&self, last: &Basis, now: &Basis) -> std::result::Result<BTreeMap<String, Relation<'_>>, Stop> {
        let mut relations = BTreeMap::new();
        for source in &self.read.sources {
            let name = &source.name;
            let changed = match (last.sources.get(name), now.sources.get(name)) {
                (Some(before), Some(after)) if before == after => None,
                (Some(Seen::Mirror { scope, seq }), Some(Seen::Mirror { scope: same, .. })) if scope == same => {
                    match self.mirror(source)?.changed(*seq)? {
                        Some(changed) => Some(changed),
                        None => return because(format!("what changed in `{name}` since the last plan is not kept")),
                    }
                }
                _ => return because(format!("`{name}` is read whole and changed")),
            };
            let relation = Relation::new(source, self.state, (self.engine.workspace.memory() / 16, self.work), changed);
            relations.insert(name.clone(), relation);
        }
        Ok(relations)
    }

    fn mirror<'m>(&'m self, source: &'m SourceRead) -> Result<Mirror<'m>> {
        let RowsRead::Mirrored(scope) = &source.rows else { return Err(Error::internal("not a mirror")) };
        Ok(Mirror {
            state: self.state,
            scope: *scope,
            name: &source.name,
            key: &source.key,
            schema: Arc::clone(&source.schema),
        })
    }

    fn reaches(&self, target: &Target) -> std::result::Result<Vec<Reach>, Stop> {
        let own = std::iter::once((&target.from, &target.key));
        let children = target.children.iter().map(|child| (&child.from, &child.by));
        own.chain(children)
            .map(|(relation, key)| self.sql.reach(relation, key).map_err(|none| Stop::Because(none.reason)))
            .collect()
    }

    /// The keys that changed rows can touch.
    fn touched(
        reach: &Reach,
        relations: &BTreeMap<String, Relation<'_>>,
        keys: &mut Keys<'_>,
    ) -> std::result::Result<(), Stop> {
        for scan in &reach.scans {
            let relation = find(relations, &scan.relation)?;
            if relation.changed.num_rows() == 0 {
                continue;
            }
            let way = scan.to_key.as_ref().map_err(|none| Stop::Because(none.reason.clone()))?;
            let mut rows = relation.changed.clone();
            for hop in &way.hops {
                let to = find(relations, &reach.scans.get(hop.scan).ok_or_else(lost)?.relation)?;
                let values = columns_of(&rows, &hop.columns)?;
                let found = to.find(&hop.to, &values)?;
                if found.len() > keys.most * 4 {
                    return because(format!(
                        "a change of `{}` touches too many rows of `{}`",
                        relation.name(),
                        to.name()
                    ));
                }
                let batches = [to.rows(&found)?, to.changed_with(&hop.to, &values)?];
                rows = arrow::compute::concat_batches(to.schema(), &batches)?;
            }
            let found = columns_of(&rows, &way.columns)?;
            if way.keyless && !(0..found.num_rows()).all(|row| is_whole(&found, row)) {
                return because(format!("a change of `{}` may have made rows without a key", relation.name()));
            }
            keys.add(&found)?;
        }
        Ok(())
    }

    /// The rows that the keys need, by source.
    fn needed(
        reaches: &[Reach],
        relations: &BTreeMap<String, Relation<'_>>,
        keys: &RecordBatch,
    ) -> std::result::Result<BTreeMap<String, RowSet>, Stop> {
        let mut needed: BTreeMap<String, RowSet> = BTreeMap::new();
        for reach in reaches {
            let mut selected: BTreeMap<usize, RowSet> = BTreeMap::new();
            for index in &reach.order {
                let scan = reach.scans.get(*index).ok_or_else(lost)?;
                let relation = find(relations, &scan.relation)?;
                let rows = match &scan.from_key {
                    FromKey::Key { positions, columns } => relation.find(columns, &keys.project(positions)?)?,
                    FromKey::Rows { scan: other, columns, to } => {
                        let from = find(relations, &reach.scans.get(*other).ok_or_else(lost)?.relation)?;
                        let rows = from.rows(selected.get(other).ok_or_else(lost)?)?;
                        relation.find(to, &columns_of(&rows, columns)?)?
                    }
                    FromKey::Whole => match relation.all(SMALL_MIRROR)? {
                        Some(all) => all,
                        None => return because(format!("nothing leads from a key to rows of `{}`", scan.relation)),
                    },
                };
                needed.entry(scan.relation.clone()).or_insert_with(|| relation.nothing()).extend(rows.clone());
                selected.insert(*index, rows);
            }
        }
        Ok(needed)
    }

    /// The same steps over some rows.
    fn session(&self, relations: &BTreeMap<String, Relation<'_>>, rows: &BTreeMap<String, RowSet>) -> Result<Sql> {
        let mut sql = self.engine.session(self.work, self.now, self.vars)?;
        for name in self.pipeline.sources.names() {
            match (relations.get(name), rows.get(name)) {
                (Some(relation), Some(set)) => {
                    let batch = relation.rows(set)?;
                    let schema = Arc::clone(relation.schema());
                    sql.add_source(name, schema, relation.key(), Rows::Memory(vec![batch]))?;
                }
                _ => sql.add_broken(name),
            }
        }
        let mut problems = Problems::new();
        compile::add_steps(&mut sql, self.pipeline, &mut problems);
        Ok(sql)
    }
}

fn find<'r, 'a>(
    relations: &'r BTreeMap<String, Relation<'a>>,
    name: &str,
) -> std::result::Result<&'r Relation<'a>, Stop> {
    relations.get(name).ok_or_else(|| Stop::Because(format!("`{name}` is no source")))
}

fn lost() -> Stop {
    Stop::Error(Error::internal("a way to affected keys leads nowhere"))
}

/// Keys that are gathered, each once.
struct Keys<'t> {
    names: &'t [String],
    most: usize,
    seen: BTreeSet<Hash>,
    batches: Vec<RecordBatch>,
}

impl<'t> Keys<'t> {
    fn new(target: &'t Target, most: usize) -> Self {
        Self { names: &target.key, most, seen: BTreeSet::new(), batches: Vec::new() }
    }

    /// Adds keys; the columns are those of the key, in its order. Keys with a NULL are none.
    fn add(&mut self, batch: &RecordBatch) -> std::result::Result<(), Stop> {
        let batch = named(batch, self.names)?;
        let hashes = hash_keys(&batch, self.names)?.into_iter().enumerate();
        let fresh: Vec<u64> = hashes
            .filter(|(row, hash)| is_whole(&batch, *row) && self.seen.insert(*hash))
            .map(|(row, _)| row as u64)
            .collect();
        if self.seen.len() > self.most {
            return because(format!("more than {} keys are affected", self.most));
        }
        self.batches.push(take_record_batch(&batch, &UInt64Array::from(fresh))?);
        Ok(())
    }

    /// The keys, and their hashes, ascending.
    fn finish(self) -> std::result::Result<(RecordBatch, Vec<Hash>), Stop> {
        let Some(first) = self.batches.first() else {
            let none = arrow::datatypes::Schema::empty();
            return Ok((RecordBatch::new_empty(Arc::new(none)), Vec::new()));
        };
        let schema = first.schema();
        let batches =
            self.batches.iter().map(|batch| crate::table::align(batch, &schema)).collect::<Result<Vec<_>>>()?;
        Ok((arrow::compute::concat_batches(&schema, &batches)?, self.seen.into_iter().collect()))
    }
}
