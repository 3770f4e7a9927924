//! What an analyst writes, understood: YAML text → tree with places → typed pipeline → checks.
//!
//! Pure: no files, no network, no clock, no environment. The caller reads the files and hands over
//! their text; everything here can run in an editor.

pub mod check;
pub mod column;
pub mod decode;
pub mod name;
pub mod node;
pub mod pipeline;
pub mod project;
pub mod schema;
pub mod sql_text;
pub mod test_file;
pub mod yaml;

pub use column::{Column, ColumnType};
pub use node::{Map, Node, Scalar, ScalarStyle, Value};
pub use sql_text::SqlText;
