//! The whole product, from the command line.

mod architecture;
mod cli;
mod crash;
mod demo;
mod holds;
mod mistakes;
mod sandbox;
mod state;
mod support;
mod ut_export;
