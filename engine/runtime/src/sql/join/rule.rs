//! Which joins may spill.

use super::Limits;
use super::exec::SpillingJoinExec;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use std::sync::Arc;

/// A left side that is known to be smaller is held in memory, without further ado.
const SMALL_BYTES: usize = 1 << 20;

/// The rule after which build sides do not change any more, and before which nothing relies on the order of rows.
const AFTER: &str = "join_selection";

/// Puts [`SpillingJoinExec`] in the place of hash joins, except those whose left side is known to be small.
#[derive(Debug)]
pub(in crate::sql) struct SpillJoins;

impl SpillJoins {
    /// The rules of DataFusion with this one among them: sides of joins are chosen before it, and rows are distributed
    /// and sorted after it, because a join that spilled does not keep their order.
    pub(in crate::sql) fn among_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
        let mut rules = PhysicalOptimizer::new().rules;
        let at = rules.iter().position(|rule| rule.name() == AFTER).map_or(0, |at| at + 1);
        rules.insert(at, Arc::new(Self));
        rules
    }
}

impl PhysicalOptimizerRule for SpillJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let replaced = plan.transform_up(|node| match node.downcast_ref::<HashJoinExec>() {
            Some(join) if !known_small(join.left().as_ref())? => {
                Ok(Transformed::yes(Arc::new(SpillingJoinExec::new(join, Limits::default())?) as _))
            }
            _ => Ok(Transformed::no(node)),
        });
        replaced.data()
    }

    fn name(&self) -> &'static str {
        "spill_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn known_small(plan: &dyn ExecutionPlan) -> Result<bool> {
    let known = StatisticsContext::new().compute(plan, &StatisticsArgs::new())?;
    Ok(matches!(known.total_byte_size, Precision::Exact(bytes) if bytes <= SMALL_BYTES))
}
