//! Types a column can be declared with.

use obmen_diagnostics::Spanned;
use std::fmt;

/// A declared column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name, exactly as the other side spells it.
    pub name: Spanned<String>,
    /// Its type.
    pub kind: Spanned<ColumnType>,
}

/// The types of `columns`: `string bool int long decimal(p,s) double date time datetime uuid json binary`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    String,
    /// True or false.
    Bool,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// An exact number: digits in all (1 to 38) and digits after the point (0 to all of them).
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// An inexact number of 64 bits.
    Double,
    /// A day.
    Date,
    /// A time of day, to the microsecond.
    Time,
    /// A day and time without a zone, to the microsecond.
    Datetime,
    /// An identifier, kept as lower-case text with hyphens.
    Uuid,
    /// A JSON value, kept as text.
    Json,
    /// Bytes.
    Binary,
}

impl ColumnType {
    /// Reads a type as an analyst writes it: `decimal(15,2)`.
    ///
    /// # Errors
    /// What is wrong, as a phrase for a diagnostic.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        Ok(match text {
            "string" => Self::String,
            "bool" => Self::Bool,
            "int" => Self::Int,
            "long" => Self::Long,
            "double" => Self::Double,
            "date" => Self::Date,
            "time" => Self::Time,
            "datetime" => Self::Datetime,
            "uuid" => Self::Uuid,
            "json" => Self::Json,
            "binary" => Self::Binary,
            _ => return parse_decimal(text),
        })
    }

    /// The words `parse` understands, for suggestions.
    pub const NAMES: &'static [&'static str] = &[
        "string",
        "bool",
        "int",
        "long",
        "decimal(15,2)",
        "double",
        "date",
        "time",
        "datetime",
        "uuid",
        "json",
        "binary",
    ];
}

fn parse_decimal(text: &str) -> Result<ColumnType, String> {
    let Some(inside) = text.strip_prefix("decimal").map(str::trim) else {
        return Err(format!("unknown type `{text}`"));
    };
    let numbers = inside.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let Some((precision, scale)) = numbers.and_then(|numbers| numbers.split_once(',')) else {
        return Err(format!("`{text}` needs its digits, like `decimal(15,2)`"));
    };
    let (Ok(precision), Ok(scale)) = (precision.trim().parse::<u8>(), scale.trim().parse::<u8>()) else {
        return Err(format!("`{text}` needs whole numbers, like `decimal(15,2)`"));
    };
    if !(1..=38).contains(&precision) {
        return Err(format!("`{text}` has {precision} digits, expected 1 to 38"));
    }
    if scale > precision {
        return Err(format!("`{text}` has more digits after the point than digits"));
    }
    Ok(ColumnType::Decimal { precision, scale })
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String => f.write_str("string"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Long => f.write_str("long"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Double => f.write_str("double"),
            Self::Date => f.write_str("date"),
            Self::Time => f.write_str("time"),
            Self::Datetime => f.write_str("datetime"),
            Self::Uuid => f.write_str("uuid"),
            Self::Json => f.write_str("json"),
            Self::Binary => f.write_str("binary"),
        }
    }
}
