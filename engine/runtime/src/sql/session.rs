//! DataFusion as one run uses it: settings, memory, disk.

use super::Options;
use super::functions::Functions;
use super::join::SpillJoins;
use datafusion::common::Result;
use datafusion::execution::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionConfig;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Largest holders of memory named when it runs out.
const HOLDERS: NonZeroUsize = match NonZeroUsize::new(3) {
    Some(three) => three,
    None => NonZeroUsize::MIN,
};

/// A session without tables and analyzer: we look names up and settle types ourselves. Aggregates are for the
/// optimizer, which makes `first_value` out of DISTINCT ON.
pub(super) fn open(options: Options, functions: &Functions) -> Result<SessionState> {
    let config = settings(&options);
    let pool = TrackConsumersPool::new(FairSpillPool::new(options.memory), HOLDERS);
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![options.spill]));
    let environment =
        RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).with_disk_manager_builder(disk).build_arc()?;
    Ok(SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(environment)
        .with_analyzer_rules(Vec::new())
        .with_physical_optimizer_rules(SpillJoins::among_rules())
        .with_aggregate_functions(functions.aggregates())
        .build())
}

fn settings(options: &Options) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false)
        .with_target_partitions(options.threads.max(1))
        .with_batch_size(options.batch_rows.max(1));
    let all = config.options_mut();
    all.sql_parser.enable_ident_normalization = false;
    all.sql_parser.parse_float_as_decimal = true;
    all.sql_parser.collect_spans = true;
    all.sql_parser.map_string_types_to_utf8view = false;
    // Sides of a join are divided by exactly its keys: rows divided by some of them would not meet.
    all.optimizer.subset_repartition_threshold = 0;
    // Sources do not take them.
    all.optimizer.enable_dynamic_filter_pushdown = false;
    all.optimizer.enable_join_dynamic_filter_pushdown = false;
    all.optimizer.enable_topk_dynamic_filter_pushdown = false;
    all.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    // Every sort takes this much beforehand and does not give it back: several in a plan must leave room for the rest.
    all.execution.sort_spill_reservation_bytes = (options.memory / 32).min(10 << 20);
    // A failing rule is a mistake to be reported, not a rule to be left out.
    all.optimizer.skip_failed_rules = false;
    config
}
