//! The whole product, from the command line.
