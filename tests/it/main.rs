//! The whole product, from the command line.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

mod architecture;
mod charges;
mod cli;
mod crash;
mod demo;
mod holds;
mod mistakes;
mod sandbox;
mod segments;
mod state;
mod support;
mod ut_export;
