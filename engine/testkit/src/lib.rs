//! Conformance laws: public async functions that say what a source and a sink are.
//!
//! The author of a connector writes a bench (a counterpart that can be filled, or told how to behave)
//! and calls `obey_all` from one test. The laws panic like any test; they are for tests only.
//!
//! [`store`] is an object store that can be told to misbehave, [`moto`] one of somebody else.

pub mod moto;
pub mod sink_laws;
pub mod source_laws;
pub mod store;
