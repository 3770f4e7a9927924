//! A sink of a pipeline, ready to be compared and delivered.

use crate::state::ScopeId;
use arrow::datatypes::SchemaRef;
use obmen_spec::pipeline::{Deletes, Guard, Limit, Otherwise};
use obmen_spec::{ColumnType, SqlText};

/// A sink with everything that was looked up for it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The sink's name.
    pub(crate) name: String,
    /// The connection's name.
    pub(crate) connection: String,
    /// What its state belongs to.
    pub(crate) scope: ScopeId,
    /// The relation.
    pub(crate) from: String,
    /// Columns of the key.
    pub(crate) key: Vec<String>,
    /// The key, all mapped columns, one list of records per child.
    pub(crate) schema: SchemaRef,
    /// Types the sink declares for columns of its relation.
    pub(crate) casts: Vec<(String, ColumnType)>,
    /// Nested parts.
    pub(crate) children: Vec<ChildTarget>,
    /// Compared columns and children.
    pub(crate) compare: Vec<String>,
    /// The recipe of the compared columns.
    pub(crate) recipe: i64,
    /// What happens to gone keys.
    pub(crate) deletes: Deletes,
    /// Limits of the guard.
    pub(crate) guard: Limits,
    /// The rows this run is about.
    pub(crate) condition: Option<SqlText>,
    /// Checks on the relation.
    pub(crate) checks: Vec<TargetCheck>,
    /// Sinks that must have acked a row's parent.
    pub(crate) after: Vec<ParentLink>,
    /// The other side wants complete trees or lists.
    pub(crate) whole: bool,
    /// Of rows with one key the last one counts; otherwise they are invalid.
    pub(crate) last_wins: bool,
}

/// A nested part of a target's rows.
#[derive(Clone, Debug)]
pub(crate) struct ChildTarget {
    /// Its name: a column of the target.
    pub(crate) name: String,
    /// Its relation.
    pub(crate) from: String,
    /// Columns that equal the owner's key.
    pub(crate) by: Vec<String>,
    /// Columns of its own key.
    pub(crate) key: Vec<String>,
    /// Its columns without `by`: what a part consists of.
    pub(crate) columns: Vec<String>,
    /// Checks on its relation: a part that fails makes its owner invalid.
    pub(crate) checks: Vec<TargetCheck>,
}

/// A check on a target's relation.
#[derive(Clone, Debug)]
pub(crate) struct TargetCheck {
    /// Its name.
    pub(crate) name: String,
    /// What it does.
    pub(crate) otherwise: Otherwise,
    /// Its condition.
    pub(crate) expect: SqlText,
}

/// A sink whose ack a row waits for.
#[derive(Clone, Debug)]
pub(crate) struct ParentLink {
    /// Its name, for people.
    pub(crate) name: String,
    /// What its state belongs to; `None` while it never ran at this target.
    pub(crate) scope: Option<ScopeId>,
    /// Its index among the targets of this run.
    pub(crate) target: Option<usize>,
    /// Our columns that equal its key.
    pub(crate) by: Vec<String>,
}

/// Limits of a guard, defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) deletes: Limit,
    pub(crate) updates: Limit,
    pub(crate) at_least: u64,
}

impl Limits {
    /// The guard as written, with 10 % deletes, 50 % updates, at least 20 rows where nothing is said.
    pub(crate) fn of(guard: Option<&Guard>) -> Self {
        let limit =
            |written: Option<&obmen_diagnostics::Spanned<Limit>>, default| written.map_or(default, |limit| limit.value);
        Self {
            deletes: limit(guard.and_then(|guard| guard.deletes.as_ref()), Limit::Percent(10.0)),
            updates: limit(guard.and_then(|guard| guard.updates.as_ref()), Limit::Percent(50.0)),
            at_least: guard.and_then(|guard| guard.at_least.as_ref()).map_or(20, |rows| rows.value),
        }
    }

    /// Whether `changes` of a baseline of `known` rows must be held.
    pub(crate) fn trips(&self, limit: Limit, changes: u64, known: u64) -> bool {
        if changes <= self.at_least {
            return false;
        }
        match limit {
            Limit::Off => false,
            Limit::Rows(rows) => changes > rows,
            #[expect(clippy::cast_precision_loss, reason = "a share; more than 2^53 rows do not exist")]
            Limit::Percent(percent) => changes as f64 * 100.0 > percent * known as f64,
        }
    }
}

impl Target {
    /// Columns of one row that are neither key nor children.
    pub(crate) fn values(&self) -> impl Iterator<Item = &str> {
        self.schema.fields().iter().map(|field| field.name().as_str()).filter(|name| {
            !self.key.iter().any(|key| key == name) && !self.children.iter().any(|child| child.name == *name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_counts_against_the_baseline_and_never_below_its_floor() {
        let limits = Limits::of(None);
        assert!(!limits.trips(limits.deletes, 20, 20), "at the floor");
        assert!(limits.trips(limits.deletes, 21, 200), "10.5 %");
        assert!(!limits.trips(limits.deletes, 21, 210), "exactly 10 %");
        assert!(!limits.trips(Limit::Off, 1_000, 1_000));
        assert!(limits.trips(Limit::Rows(30), 31, 1_000_000));
    }
}
