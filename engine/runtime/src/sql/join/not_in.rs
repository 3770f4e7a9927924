//! `NOT IN`: an anti join that a NULL on the right makes empty.
//!
//! | the right side | rows of the left side that stay |
//! |---|---|
//! | has no rows | all |
//! | has a NULL key | none |
//! | otherwise | those with a key that is not NULL and not on the right |
//!
//! A left side that fits in memory is left to DataFusion's join, which knows this. Otherwise the right side is read
//! first, what it has decides, and an ordinary anti join does the rest.

use super::split::{keys_of, nulls};
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_plan::EmptyRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What was seen of the right side.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    rows: AtomicBool,
    nulls: AtomicBool,
}

impl Seen {
    /// Takes notice of rows of the right side.
    pub(super) fn see(&self, on: &[PhysicalExprRef], rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() > 0 {
            self.0.rows.store(true, Ordering::Relaxed);
        }
        if nulls(&keys_of(on, rows)?).is_some() {
            self.0.nulls.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The same rows, noticed while they pass.
    pub(super) fn watch(&self, on: Vec<PhysicalExprRef>, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let (seen, schema) = (self.clone(), rows.schema());
        let rows = rows.map(move |batch| batch.and_then(|batch| seen.see(&on, &batch).map(|()| batch)));
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }

    /// Rows of the left side that may be in the result, once all of the right side was seen.
    pub(super) fn allowed(
        &self,
        on: Vec<PhysicalExprRef>,
        left: SendableRecordBatchStream,
    ) -> SendableRecordBatchStream {
        let schema = left.schema();
        if self.0.nulls.load(Ordering::Relaxed) {
            return Box::pin(EmptyRecordBatchStream::new(schema));
        }
        if !self.0.rows.load(Ordering::Relaxed) {
            return left;
        }
        let rows = left.map(move |batch| batch.and_then(|batch| with_keys(&on, batch)));
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }
}

/// The rows that have a key.
fn with_keys(on: &[PhysicalExprRef], rows: RecordBatch) -> Result<RecordBatch> {
    match nulls(&keys_of(on, &rows)?) {
        Some(nulls) => Ok(filter_record_batch(&rows, &BooleanArray::new(nulls.into_inner(), None))?),
        None => Ok(rows),
    }
}
