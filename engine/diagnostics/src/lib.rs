//! Places in the user's files, what is wrong there, and how to show it.
//!
//! A [`Diagnostic`] says that a file the user wrote is wrong; it is collected in [`Problems`], never
//! thrown, so that one run reports all mistakes. It is plain data: the renderers in [`render`] turn
//! it into text for people, JSON for programs and annotations for GitHub.

pub mod code;
mod diagnostic;
mod place;
pub mod render;

pub use code::{Code, all_codes, find_code};
pub use diagnostic::{Diagnostic, Fix, Label, Problems, Severity};
pub use place::{FileId, Files, LineColumn, SPANNED, SourceFile, Span, Spanned};
