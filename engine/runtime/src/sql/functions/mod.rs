//! Functions a query can call: DataFusion's without those that are inexact, random or about its own
//! types, and ours.

mod clock;
mod codes;
mod text;
mod timestamps;
mod truncate;

use super::exact::aggregate::Exact;
use super::exact::median::Median;
use chrono::{DateTime, Utc};
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, Volatility, WindowUDF};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

/// Functions by name, aliases included. Made once per process.
static SHARED: LazyLock<Shared> = LazyLock::new(Shared::new);

struct Shared {
    scalars: BTreeMap<String, Arc<ScalarUDF>>,
    aggregates: BTreeMap<String, Arc<AggregateUDF>>,
    windows: BTreeMap<String, Arc<WindowUDF>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
}

/// The functions of a run: the shared ones and those that know its clock.
pub(super) struct Functions {
    shared: &'static Shared,
    clock: BTreeMap<String, Arc<ScalarUDF>>,
}

/// Functions that exist and are refused: why, and what to do instead.
const REFUSED: &[(&[&str], &str, &str)] = &[
    (
        &["random", "rand", "uuid", "gen_random_uuid"],
        "gives another result every time",
        "make keys out of the row's own columns, so that the same data gives the same result",
    ),
    (
        &["approx_distinct", "approx_median", "approx_percentile_cont", "approx_percentile_cont_with_weight"],
        "gives a result that depends on the order of the rows",
        "use the exact function: `count(DISTINCT x)`, `median(x)`, `percentile_cont(p) WITHIN GROUP (ORDER BY x)`",
    ),
    (
        &["to_timestamp_nanos"],
        "gives nanoseconds, and times here have microseconds",
        "use `to_timestamp_micros(x / 1000)`",
    ),
];

/// Functions about DataFusion's own types and files; as if they did not exist.
const HIDDEN: &[&str] = &[
    "any_value",
    "array_agg",
    "arrow_cast",
    "arrow_field",
    "arrow_metadata",
    "arrow_try_cast",
    "arrow_typeof",
    "cast_to_type",
    "file_row_index",
    "get_field",
    "input_file_name",
    "named_struct",
    "row",
    "struct",
    "try_cast_to_type",
    "union_extract",
    "union_tag",
    "version",
    "with_metadata",
];

/// Aggregates whose result is the order of the rows unless the call orders them itself.
const ORDERED: &[&str] = &["first_value", "last_value", "nth_value", "string_agg"];

/// All functions by name, each with how it is written, where that is known.
pub(super) fn all() -> Vec<(String, Option<String>)> {
    let functions = Functions::new(DateTime::UNIX_EPOCH);
    let names: BTreeSet<&str> = functions.names().collect();
    names.into_iter().map(|name| (name.to_owned(), syntax(name))).collect()
}

/// How a function is written: `upper(str)`.
pub(super) fn syntax(name: &str) -> Option<String> {
    let documentation = match (SHARED.scalars.get(name), SHARED.aggregates.get(name), SHARED.windows.get(name)) {
        (Some(scalar), ..) => scalar.documentation(),
        (_, Some(aggregate), _) => aggregate.documentation(),
        (.., Some(window)) => window.documentation(),
        _ => None,
    };
    documentation.map(|documentation| documentation.syntax_example.clone()).filter(|syntax| !syntax.contains('\n'))
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Computes one value out of one row.
    Scalar,
    /// Computes one value out of many rows; the flag says whether it needs an `ORDER BY` inside the call.
    Aggregate {
        /// The result is the order of the rows.
        ordered: bool,
    },
    /// Needs `OVER (…)`.
    Window,
    /// Exists and is refused: why and what to do instead.
    Refused(&'static str, &'static str),
}

impl Shared {
    fn new() -> Self {
        let mut scalars = BTreeMap::new();
        let ours = codes::all().into_iter().chain(text::all()).chain(timestamps::all()).chain(truncate::all());
        for function in SessionStateDefaults::default_scalar_functions().into_iter().chain(ours) {
            for name in std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)) {
                scalars.insert(name.to_owned(), Arc::clone(&function));
            }
        }
        let mut aggregates = BTreeMap::new();
        let exact = [Exact::sum().into(), Exact::average().into(), Median::new().into()].map(Arc::<AggregateUDF>::new);
        for function in SessionStateDefaults::default_aggregate_functions().into_iter().chain(exact) {
            for name in std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)) {
                aggregates.insert(name.to_owned(), Arc::clone(&function));
            }
        }
        let mut windows = BTreeMap::new();
        for function in SessionStateDefaults::default_window_functions() {
            for name in std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)) {
                windows.insert(name.to_owned(), Arc::clone(&function));
            }
        }
        let refused = REFUSED.iter().flat_map(|(names, ..)| names.iter());
        for name in HIDDEN.iter().chain(refused) {
            scalars.remove(*name);
            aggregates.remove(*name);
        }
        // A function that a later version of DataFusion makes random must not slip in.
        scalars.retain(|_, function| function.signature().volatility != Volatility::Volatile);
        Self { scalars, aggregates, windows, planners: SessionStateDefaults::default_expr_planners() }
    }
}

impl Functions {
    /// The functions of a run with this clock.
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self { shared: &SHARED, clock: clock::all(now) }
    }

    /// What a name stands for; `None` if nothing is called so.
    pub(super) fn known(&self, name: &str) -> Option<Known> {
        if let Some((_, why, instead)) = REFUSED.iter().find(|(names, ..)| names.contains(&name)) {
            return Some(Known::Refused(why, instead));
        }
        if self.scalar(name).is_some() {
            return Some(Known::Scalar);
        }
        if self.shared.aggregates.contains_key(name) {
            return Some(Known::Aggregate { ordered: ORDERED.contains(&name) });
        }
        self.shared.windows.contains_key(name).then_some(Known::Window)
    }

    /// All names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let shared = self.shared.scalars.keys().chain(self.shared.aggregates.keys()).chain(self.shared.windows.keys());
        shared.chain(self.clock.keys()).map(String::as_str)
    }

    /// The scalar function of a name.
    pub(super) fn scalar(&self, name: &str) -> Option<&Arc<ScalarUDF>> {
        self.clock.get(name).or_else(|| self.shared.scalars.get(name))
    }

    /// The aggregate of a name.
    pub(super) fn aggregate(&self, name: &str) -> Option<&Arc<AggregateUDF>> {
        self.shared.aggregates.get(name)
    }

    /// The window function of a name.
    pub(super) fn window(&self, name: &str) -> Option<&Arc<WindowUDF>> {
        self.shared.windows.get(name)
    }

    /// All aggregates, for plans the optimizer makes of them.
    pub(super) fn aggregates(&self) -> Vec<Arc<AggregateUDF>> {
        self.shared.aggregates.values().cloned().collect()
    }

    /// What turns special syntax (`EXTRACT`, `SUBSTRING`) into calls.
    pub(super) fn planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.shared.planners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_random_or_about_the_engine_is_known() {
        let functions = Functions::new(DateTime::UNIX_EPOCH);
        assert!(matches!(functions.known("random"), Some(Known::Refused(..))));
        assert_eq!(functions.known("arrow_typeof"), None);
        assert_eq!(functions.known("now"), Some(Known::Scalar));
        assert_eq!(functions.known("sum"), Some(Known::Aggregate { ordered: false }));
        assert_eq!(functions.known("row_number"), Some(Known::Window));
        assert!(functions.names().all(|name| functions.known(name).is_some()));
    }
}
