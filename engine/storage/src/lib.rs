//! Object stores: addresses, logins, and objects that are put and read.
//!
//! What a connector that reads and writes files and the runtime that keeps its own files share: [`StoreSettings`] are
//! what a person writes, [`Place`] is an address, a [`Bucket`] is a prefix of a store with verbs that wait. All verbs
//! are called on threads that may wait, inside a tokio runtime that has other threads.
//!
//! Failures are told in words of ours: those of stores and their clients may repeat a login.

mod address;
mod bucket;
mod manners;
mod object;
mod put;
mod refusal;
mod settings;
mod version;

pub use address::{Login, Place, Scheme, StoreOptions};
pub use bucket::Bucket;
pub use object::{Blocks, BlocksFrom, Failure, Object};
pub use put::{Missed, Proof};
pub use settings::StoreSettings;
pub use version::Version;
