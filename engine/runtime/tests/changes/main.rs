//! Only what changed is sent: how changes are found, what bad input does to it, and that no way of finding them sends
//! anything else than comparing everything does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod affected;
#[path = "../../src/sql/reach/author.rs"]
mod author;
mod bad_input;
mod damage;
mod queries;
mod types;
mod ways;
mod world;
