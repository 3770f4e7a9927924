//! CSV: text with a delimiter between fields.
//!
//! * An empty field is NULL, whatever the column's type and whether it stands in quotes or not; so is
//!   a word of `nulls` outside quotes. The writer puts `""` for an empty string, so that readers that
//!   do tell both apart can.
//! * A record ends at `\n`, `\r\n` or `\r`; empty lines are passed over.
//! * A row with more or fewer fields than the header is bad. Columns without a name at the end of the
//!   header (trailing delimiters) may be absent.
//! * Without declared columns all named columns are strings.

mod read;
mod records;
mod write;

pub use read::{read, schema};
pub use write::Writer;

use crate::encoding::Encoding;
use crate::values::TextStyle;

/// How a CSV file is written; made of what an analyst says by [`Format::csv`](crate::Format::csv).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvStyle {
    /// How text is stored.
    pub encoding: Encoding,
    /// The byte between fields.
    pub delimiter: u8,
    /// The byte around fields, if quotes mean anything.
    pub quote: Option<u8>,
    /// Whether the first line names the columns.
    pub header: bool,
    /// Lines before the header.
    pub skip_lines: u32,
    /// The writer ends lines with `\r\n`. Readers take any.
    pub windows_lines: bool,
    /// How values are written.
    pub text: TextStyle,
}
