//! Values of 1C: how they stand in a CSV, in JSON, and in what order they come.
//!
//! A cell is kept as canonical text: lower-case GUIDs, full date-times, `true`/`false`, numbers with
//! the digits that were written. An empty cell is the empty value of its type, as in 1C, where there
//! is no NULL.

use super::lexer::Literal;
use obmen_spec::ColumnType;

/// The reference to nothing.
pub(crate) const ZERO_GUID: &str = "00000000-0000-0000-0000-000000000000";

/// The empty date.
pub(crate) const EMPTY_DATE: &str = "0001-01-01T00:00:00";

/// How a column is declared in `$metadata` (`1c-odata.md` §8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edm {
    Guid,
    String,
    DateTime,
    Boolean,
    Int32,
    Int64,
    Double,
    Binary,
}

impl Edm {
    /// The Edm type of a declared type. Whole numbers of up to 18 digits are `Int64`, wider and
    /// fractional ones `Double`.
    pub(crate) fn of(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Uuid => Self::Guid,
            ColumnType::String | ColumnType::Json => Self::String,
            ColumnType::Date | ColumnType::Time | ColumnType::Datetime => Self::DateTime,
            ColumnType::Bool => Self::Boolean,
            ColumnType::Int => Self::Int32,
            ColumnType::Long => Self::Int64,
            ColumnType::Decimal { precision, scale: 0 } if precision <= 18 => Self::Int64,
            ColumnType::Decimal { .. } | ColumnType::Double => Self::Double,
            ColumnType::Binary => Self::Binary,
        }
    }

    /// The name in `$metadata`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Guid => "Edm.Guid",
            Self::String => "Edm.String",
            Self::DateTime => "Edm.DateTime",
            Self::Boolean => "Edm.Boolean",
            Self::Int32 => "Edm.Int32",
            Self::Int64 => "Edm.Int64",
            Self::Double => "Edm.Double",
            Self::Binary => "Edm.Binary",
        }
    }

    /// Whether values are numbers.
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Int32 | Self::Int64 | Self::Double)
    }

    /// The canonical text of what stands in a CSV.
    ///
    /// # Errors
    /// What was expected, as a phrase.
    pub(crate) fn canonical(self, text: &str) -> Result<String, &'static str> {
        match self {
            Self::String | Self::Binary => Ok(text.to_owned()),
            Self::Guid if text.is_empty() => Ok(ZERO_GUID.to_owned()),
            Self::Guid => guid(text).ok_or("a GUID like 9d5c4222-8c4c-11db-a9b0-00055d49b45e"),
            Self::DateTime if text.is_empty() => Ok(EMPTY_DATE.to_owned()),
            Self::DateTime => datetime(text).ok_or("a date like 2024-12-26 or 2024-12-26T16:00:52"),
            Self::Boolean => match text {
                "true" | "1" => Ok("true".to_owned()),
                "" | "false" | "0" => Ok("false".to_owned()),
                _ => Err("`true` or `false`"),
            },
            Self::Int32 | Self::Int64 | Self::Double if text.is_empty() => Ok("0".to_owned()),
            Self::Int32 => {
                text.parse::<i32>().map(|number| number.to_string()).map_err(|_| "a whole number of 32 bits")
            }
            Self::Int64 => {
                text.parse::<i64>().map(|number| number.to_string()).map_err(|_| "a whole number of 64 bits")
            }
            Self::Double if is_number(text) => Ok(text.to_owned()),
            Self::Double => Err("a number like 12.50"),
        }
    }

    /// Whether a literal can be a value of a key column of this type.
    pub(crate) fn takes(self, value: &Literal) -> bool {
        match value {
            Literal::Guid(_) => self == Self::Guid,
            Literal::Moment(_) => self == Self::DateTime,
            Literal::Text(_) => self == Self::String,
            Literal::Truth(_) => self == Self::Boolean,
            Literal::Number(_) => self.is_number(),
        }
    }

    /// Adds a cell as JSON: `Int64` as a string, other numbers with their digits, fixed width padded.
    pub(crate) fn write_json(self, cell: &str, width: Option<usize>, out: &mut String) {
        match self {
            Self::Boolean | Self::Int32 | Self::Double => out.push_str(cell),
            Self::Int64 | Self::Guid | Self::DateTime => {
                out.push('"');
                out.push_str(cell);
                out.push('"');
            }
            Self::String | Self::Binary => {
                let padded = width.map_or_else(|| cell.to_owned(), |width| pad(cell, width));
                out.push_str(&serde_json::Value::String(padded).to_string());
            }
        }
    }

    /// Adds bytes that compare as the cells do: text without regard to case, numbers by value,
    /// references *not* in the order of their text.
    pub(crate) fn write_order(self, cell: &str, out: &mut Vec<u8>) {
        match self {
            Self::Int32 | Self::Int64 | Self::Double => number_order(cell, out),
            Self::Guid => out.extend(reference_order(cell)),
            Self::String | Self::Binary => {
                out.extend(cell.trim_end().to_lowercase().bytes());
                out.push(0);
            }
            Self::DateTime | Self::Boolean => out.extend(cell.bytes()),
        }
    }
}

/// A text padded with spaces to a width in characters.
pub(crate) fn pad(cell: &str, width: usize) -> String {
    let missing = width.saturating_sub(cell.chars().count());
    format!("{cell}{}", " ".repeat(missing))
}

/// A GUID in canonical form; `None` if it is none.
pub(crate) fn guid(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches('{').trim_end_matches('}').to_ascii_lowercase();
    let shape = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    shape.then_some(text)
}

/// A date or date-time in full; `None` if it is none.
pub(crate) fn datetime(text: &str) -> Option<String> {
    let text = text.trim().replace(' ', "T");
    let full = match text.len() {
        10 => format!("{text}T00:00:00"),
        8 => format!("0001-01-01T{text}"),
        _ => text,
    };
    chrono::NaiveDateTime::parse_from_str(&full, "%Y-%m-%dT%H:%M:%S").ok().filter(|_| full.len() == 19).map(|_| full)
}

/// Digits, perhaps a sign, perhaps a point between digits: no exponents, no spaces.
pub(crate) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    // A leading zero would not be JSON.
    all_digits(whole) && all_digits(fraction) && (whole.len() == 1 || !whole.starts_with('0'))
}

fn number_order(number: &str, out: &mut Vec<u8>) {
    let (negative, digits) = number.strip_prefix('-').map_or((false, number), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if whole.is_empty() && fraction.is_empty() {
        out.push(1);
        return;
    }
    let length = u8::try_from(whole.len()).unwrap_or(u8::MAX);
    let magnitude = std::iter::once(length).chain(whole.bytes()).chain(fraction.bytes()).chain([0]);
    if negative {
        out.push(0);
        out.extend(magnitude.map(|byte| !byte));
    } else {
        out.push(2);
        out.extend(magnitude);
    }
}

/// The bytes of a reference with its halves exchanged: repeatable, and not the order of its text.
fn reference_order(guid: &str) -> Vec<u8> {
    let digits: Vec<u8> = guid.bytes().filter(|byte| *byte != b'-').collect();
    let (first, second) = digits.split_at(digits.len() / 2);
    [second, first].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(edm: Edm, cell: &str) -> Vec<u8> {
        let mut out = Vec::new();
        edm.write_order(cell, &mut out);
        out
    }

    #[test]
    fn empty_cells_are_the_empty_values_of_1c() {
        let empty = |edm: Edm| edm.canonical("").unwrap();
        assert_eq!(empty(Edm::Guid), ZERO_GUID);
        assert_eq!(empty(Edm::DateTime), EMPTY_DATE);
        assert_eq!((empty(Edm::Boolean), empty(Edm::Double)), ("false".to_owned(), "0".to_owned()));
        assert_eq!(empty(Edm::String), "");
    }

    #[test]
    fn numbers_keep_their_digits_and_int64_is_a_string() {
        let mut out = String::new();
        Edm::Double.write_json("129.90", None, &mut out);
        Edm::Int64.write_json("9007199254740993", None, &mut out);
        assert_eq!(out, "129.90\"9007199254740993\"");
        for bad in ["", "-", "1.", ".5", "1e3", "1 000", "01", "0x1", "+1", "١"] {
            assert!(!is_number(bad), "{bad}");
        }
    }

    #[test]
    fn dates_are_checked_and_completed() {
        assert_eq!(datetime("2024-02-29").as_deref(), Some("2024-02-29T00:00:00"));
        assert_eq!(datetime("2024-02-29 10:11:12").as_deref(), Some("2024-02-29T10:11:12"));
        for bad in ["2023-02-29", "2024-1-1", "2024-02-29T10:11:12Z", "вчера"] {
            assert_eq!(datetime(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_ordered_by_value(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000, scale in 0_usize..4) {
            let write = |number: i64| {
                let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
                let (whole, fraction) = digits.split_at(digits.len() - scale);
                let sign = if number < 0 { "-" } else { "" };
                if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
            };
            prop_assert_eq!(a.cmp(&b), order(Edm::Double, &write(a)).cmp(&order(Edm::Double, &write(b))));
        }
    }

    #[test]
    fn equal_numbers_of_different_scale_are_equal() {
        assert_eq!(order(Edm::Double, "1.50"), order(Edm::Double, "1.5"));
        assert_eq!(order(Edm::Double, "0.00"), order(Edm::Double, "-0"));
    }
}
