//! PostgreSQL as a source and a sink.
