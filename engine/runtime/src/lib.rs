//! Plans and runs pipelines: SQL, keyed tables, diff, rules, loads, state, journal.

mod affected;
mod ahead;
mod beside;
mod commit;
mod compile;
pub mod connections;
mod deliver;
mod diff;
mod follow;
pub mod hash;
pub mod journal;
#[doc(hidden)]
pub mod kernels;
mod land;
mod mirror;
mod once;
pub mod operate;
mod plan;
mod plan_file;
mod portions;
mod prepare;
pub mod progress;
mod recipe;
pub mod report;
pub mod run;
pub mod schemas_lock;
pub mod segments;
mod sources;
pub mod sql;
pub mod state;
mod table;
mod target;
pub mod testing;
pub mod validate;
mod value;
pub mod vars;
pub mod workspace;
