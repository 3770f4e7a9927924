//! Rows in memory, accounted with all that a join of them takes.

use super::scratch::{Scratch, Writing};
use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::common::utils::memory::RecordBatchMemoryCounter;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use std::sync::Arc;

/// Bytes that DataFusion's join keeps for a row besides the row: 16 for its hash and place, at most twice because tables
/// grow by doubling and are left an eighth empty, a byte to mark the slot, the next row of the same hash, the visited bit.
const ROW_BYTES: usize = 44;

/// Rows of one side that were read so far.
pub(super) struct Held {
    batches: Vec<RecordBatch>,
    /// What is reserved: rows twice, because the join puts them together into one batch, and its table.
    reserved: MemoryReservation,
    /// Bytes that are not asked for.
    free: usize,
    /// Bytes of the rows themselves; buffers that batches share are counted once.
    counter: RecordBatchMemoryCounter,
}

impl Held {
    /// Nothing yet; memory will be reserved in `reserved`, whose first `free` bytes are granted in any case.
    pub(super) fn new(reserved: MemoryReservation, free: usize) -> Self {
        Self { batches: Vec::new(), reserved, free, counter: RecordBatchMemoryCounter::new() }
    }

    /// Reads until the end or until memory is used up; gives whether it was the end.
    pub(super) async fn fill(&mut self, rows: &mut SendableRecordBatchStream) -> Result<bool> {
        while let Some(batch) = rows.next().await.transpose()? {
            let needed = 2 * self.counter.count_batch(&batch) + ROW_BYTES * batch.num_rows();
            self.batches.push(batch);
            if self.reserved.size() + needed <= self.free {
                self.reserved.grow(needed);
            } else if self.reserved.try_grow(needed).is_err() {
                self.reserved.grow(needed);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The rows.
    pub(super) fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// Bytes of the rows, without what a join of them takes.
    pub(super) fn bytes(&self) -> usize {
        self.counter.memory_usage()
    }

    /// The rows and what is reserved for joining them.
    pub(super) fn into_parts(self) -> (Vec<RecordBatch>, MemoryReservation) {
        (self.batches, self.reserved)
    }

    /// Writes the rows to disk and frees their memory.
    pub(super) fn park(self, mut file: Writing) -> Result<Arc<Scratch>> {
        for batch in self.batches {
            file.write(0, &batch)?;
        }
        file.finish()
    }

    /// The rows followed by the rest of them, for reading once. What is reserved is given back bit by bit.
    pub(super) fn followed_by(self, rest: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let (schema, reserved) = (rest.schema(), self.reserved);
        let share = reserved.size() / self.batches.len().max(1);
        let held = stream::iter(self.batches).map(move |batch| {
            reserved.shrink(share);
            Ok(batch)
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, held.chain(rest)))
    }
}
