//! Exact values in SQL: what overflows, divides by zero or loses digits is an error that names the row.
//!
//! DataFusion wraps whole numbers, keeps decimals of more digits than their type, cuts fractions in
//! casts and divisions. [`make_exact`] rewrites a plan after its types are settled: arithmetic, casts
//! and functions that can fail become [`Guarded`] calls, which know the words of the expression and
//! carry the key of the row for the message; sums and averages are our own aggregates
//! ([`aggregate`]). Names and types of the result stay the same.

pub(super) mod aggregate;
mod arithmetic;
mod cast;
pub(super) mod decimal;
mod fault;
mod guard;
pub(super) mod median;
mod rule;

pub(super) use cast::{Cast, Loss, Target, show};
pub(super) use fault::{Fault, find};
pub(super) use guard::Guarded;
pub(super) use rule::{KEY, Words, make_exact};
