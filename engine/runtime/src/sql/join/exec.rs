//! The join as a node of a plan.

use super::Limits;
use super::run::{self, Input, Task};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet, SpillMetrics};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, InputDistributionRequirements,
    PlanProperties, ReplaceChildrenOptions,
};
use std::fmt;
use std::sync::Arc;

/// A hash join that goes on on disk where neither side fits in memory.
///
/// Both sides come divided by their keys, and each partition is joined on its own; a `NOT IN` has one partition,
/// because a NULL on the right concerns all rows. The order of rows is not kept.
#[derive(Debug)]
pub(super) struct SpillingJoinExec {
    /// The join as it would be in memory; says what is joined and how.
    join: Arc<HashJoinExec>,
    properties: Arc<PlanProperties>,
    limits: Limits,
    metrics: ExecutionPlanMetricsSet,
}

impl SpillingJoinExec {
    /// The same join as `join`, with `limits` to what it holds in any case.
    pub(super) fn new(join: &HashJoinExec, limits: Limits) -> Result<Self> {
        let mode = if join.null_aware { PartitionMode::CollectLeft } else { PartitionMode::Partitioned };
        Ok(Self::of(join.builder().with_partition_mode(mode).build()?, limits))
    }

    fn of(join: HashJoinExec, limits: Limits) -> Self {
        let mut known = join.properties().equivalence_properties().clone();
        known.clear_orderings();
        let properties = PlanProperties::clone(join.properties()).with_eq_properties(known);
        let metrics = ExecutionPlanMetricsSet::new();
        Self { join: Arc::new(join), properties: Arc::new(properties), limits, metrics }
    }
}

impl DisplayAs for SpillingJoinExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpillingJoinExec of ")?;
        self.join.fmt_as(t, f)
    }
}

impl ExecutionPlan for SpillingJoinExec {
    fn name(&self) -> &'static str {
        "SpillingJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        if self.join.null_aware {
            return InputDistributionRequirements::new(vec![Distribution::SinglePartition; 2]);
        }
        self.join.input_distribution_requirements()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.join.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.join.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let join = self.join.builder().recompute_properties().with_new_children(children)?.build()?;
        Ok(Arc::new(Self::of(join, self.limits)))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let partitions = |side: &Arc<dyn ExecutionPlan>| side.properties().output_partitioning().partition_count();
        let (left, right) = (self.join.left(), self.join.right());
        if partitions(left) != partitions(right) {
            return internal_err!("sides of a join have {} and {} partitions", partitions(left), partitions(right));
        }
        let left = Input::from(left.execute(partition, Arc::clone(&context))?);
        let right = Input::from(right.execute(partition, Arc::clone(&context))?);
        let spilled = SpillMetrics::new(&self.metrics, partition);
        let task = Task::new(Arc::clone(&self.join), &context, partition, self.limits, spilled);
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), run::join(Arc::new(task), left, right, 0))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    /// The join may take the projection on itself or hand it to its sides, under a projection of what remains.
    fn try_swapping_with_projection(&self, projection: &ProjectionExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(plan) = self.join.try_swapping_with_projection(projection)? else { return Ok(None) };
        if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
            return Ok(Some(Arc::new(Self::new(join, self.limits)?)));
        }
        let below = match plan.children().as_slice() {
            [below] => below.downcast_ref::<HashJoinExec>().map(|join| Self::new(join, self.limits)).transpose()?,
            _ => None,
        };
        let Some(join) = below else { return Ok(None) };
        plan.replace_children(vec![Arc::new(join)], ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
            .map(Some)
    }
}
