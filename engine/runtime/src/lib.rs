//! Plans and runs pipelines: SQL, keyed tables, diff, rules, loads, state, journal.

mod commit;
mod compile;
pub mod connections;
mod deliver;
mod diff;
pub mod hash;
pub mod journal;
mod land;
mod mirror;
pub mod operate;
mod plan;
mod plan_file;
mod prepare;
pub mod progress;
mod recipe;
pub mod report;
pub mod run;
pub mod schemas_lock;
pub mod sql;
pub mod state;
mod table;
mod target;
pub mod testing;
pub mod validate;
mod value;
pub mod vars;
pub mod workspace;
