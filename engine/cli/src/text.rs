//! Writing into a `String`, which cannot fail.

/// Adds words to a text.
macro_rules! put {
    ($text:expr, $($words:tt)*) => {{
        use std::fmt::Write as _;
        write!($text, $($words)*).unwrap_or_default();
    }};
}

/// Adds a line to a text.
macro_rules! line {
    ($text:expr, $($words:tt)*) => {{
        use std::fmt::Write as _;
        writeln!($text, $($words)*).unwrap_or_default();
    }};
}

pub(crate) use {line, put};
