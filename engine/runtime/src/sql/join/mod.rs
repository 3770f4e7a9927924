//! Joins whose rows need not fit in memory.
//!
//! DataFusion's hash join holds the whole left side. A rule of the physical optimizer, [`SpillJoins`], puts a
//! [`SpillingJoinExec`] in the place of every one whose left side may be large. Where a side fits, that is the same
//! hash join; where none does, rows go to disk by the hash of their key, and each part is joined on its own:
//!
//! ```text
//! left ──▶ fits? ── yes ──▶ hash join, built of left
//!            │ no: what was read goes to disk
//! right ─▶ fits? ── yes ──▶ hash join, built of right
//!            │ no
//!            ▼
//! both on disk in PARTS parts by the key's hash ──▶ each pair of parts: the same again, other hash, smaller side first
//! ```
//!
//! What a join means stays DataFusion's: rows with equal keys are always in the same pair of parts, so an inner, outer,
//! semi, anti or mark join of the whole is that of the pairs put together. `NOT IN` is the exception, see [`not_in`].
//!
//! Memory: what is held is reserved as memory that can be freed, because it can be put on disk; a little ([`Limits`]) is
//! always granted, so that a join ends even where others hold everything. Scratch files are the session's; they go with the stream.

mod exec;
mod held;
mod not_in;
mod rule;
mod run;
mod scratch;
mod split;
#[cfg(test)]
mod tests;

pub(super) use rule::SpillJoins;
pub(super) use run::OneKey;

/// Parts that rows are split into at a time.
const PARTS: usize = 32;

/// How often rows are split. Each time divides by [`PARTS`], so more means that hashes do not tell keys apart.
const LEVELS: usize = 8;

/// Memory that a join takes in any case.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Bytes of rows that may be held without asking.
    free: usize,
    /// Bytes of rows that are gathered before they are written to their parts, if there is room.
    gathered: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { free: 1 << 20, gathered: 4 << 20 }
    }
}
