//! Ways to show diagnostics: text for people, JSON for programs, annotations for GitHub, `JUnit` for CI.
//!
//! All of them show the same data; none knows where it comes from. None shows a secret: what stands after a key like
//! `password` in a line that is shown is covered.

mod cover;
mod github;
mod json;
mod junit;
mod text;

pub use github::github;
pub use json::json;
pub use junit::{Case, Outcome, Suite, junit};
pub use text::text;
