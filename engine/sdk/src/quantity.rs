//! Amounts with units, as settings spell them: times like `30s`, sizes like `32MB`.

use serde::de::{Deserialize, Deserializer, Error as _};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// A length of time in settings: `500ms`, `30s`, `5m`, `2h`, `1d`, or several together, large to small: `1h30m`.
///
/// A number without a unit is refused, so that nobody has to guess it.
///
/// ```
/// use obmen_sdk::TimeSpan;
/// assert_eq!(TimeSpan::parse("1m30s").unwrap().duration().as_secs(), 90);
/// assert_eq!(TimeSpan::parse("30").unwrap_err(), "`30` has no unit, write `30s`");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan(Duration);

/// A size in settings: `800`, `64KB`, `32MB`, `1GB`; a KB is 1024 bytes.
///
/// ```
/// use obmen_sdk::ByteSize;
/// assert_eq!(ByteSize::parse("64KB").unwrap().bytes(), 65_536);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

/// Units of time and their milliseconds, large to small.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// Units of size and their bytes, large to small.
const SIZES: [(&str, u64); 4] = [("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10), ("", 1)];

impl TimeSpan {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    pub const fn milliseconds(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// Reads a text like `30s`.
    ///
    /// # Errors
    /// What is wrong, as a phrase for a diagnostic.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts =
            parts(text).ok_or_else(|| format!("`{text}` is not a time, expected something like `30s` or `5m`"))?;
        let mut total: u64 = 0;
        let mut units = TIMES.iter();
        for (number, unit) in parts {
            if unit.is_empty() {
                return Err(format!("`{text}` has no unit, write `{text}s`"));
            }
            let Some((_, milliseconds)) = units.find(|(name, _)| *name == unit) else {
                return Err(format!("`{text}` is not a time, the units are `d`, `h`, `m`, `s`, `ms`, large to small"));
            };
            let part = number.checked_mul(*milliseconds).and_then(|part| total.checked_add(part));
            total = part.ok_or_else(|| format!("`{text}` is too long a time"))?;
        }
        Ok(Self(Duration::from_millis(total)))
    }

    /// The time itself.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl ByteSize {
    /// So many bytes.
    pub const fn of(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Reads a text like `32MB`.
    ///
    /// # Errors
    /// What is wrong, as a phrase for a diagnostic.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a size, expected something like `64KB`, `32MB` or `1GB`");
        let parts = parts(text).ok_or_else(wrong)?;
        let [(number, unit)] = parts[..] else { return Err(wrong()) };
        let (_, bytes) = SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        number.checked_mul(*bytes).map(Self).ok_or_else(|| format!("`{text}` is too large a size"))
    }

    /// How many bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// Whole numbers and the letters after each; `None` if there is anything else.
fn parts(text: &str) -> Option<Vec<(u64, &str)>> {
    let mut rest = text.trim();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let after = after.trim_start();
        let (unit, next) = after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        parts.push((digits.parse().ok()?, unit));
        rest = next.trim_start();
    }
    (!parts.is_empty()).then_some(parts)
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, milliseconds) in TIMES {
            if rest >= milliseconds {
                write!(f, "{}{unit}", rest / milliseconds)?;
                rest %= milliseconds;
            }
        }
        Ok(())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = SIZES.iter().find(|(_, bytes)| self.0 >= *bytes && self.0.is_multiple_of(*bytes));
        let (unit, bytes) = whole.unwrap_or(&("", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl serde::Serialize for TimeSpan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl serde::Serialize for ByteSize {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl schemars::JsonSchema for TimeSpan {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TimeSpan".into()
    }

    fn json_schema(_generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^( *[0-9]+ *(d|h|m|s|ms))+ *$", "examples": ["30s", "5m"] })
    }
}

impl schemars::JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "integer"], "pattern": "^ *[0-9]+ *(KB|MB|GB)? *$", "examples": ["64KB", "32MB"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written_back() {
        for text in ["0s", "500ms", "30s", "5m", "1h30m", "2d", "1d2h3m4s5ms"] {
            assert_eq!(TimeSpan::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(TimeSpan::parse(" 5 m ").unwrap(), TimeSpan::seconds(300));
        assert_eq!(TimeSpan::parse("90s").unwrap().to_string(), "1m30s");
    }

    #[test]
    fn times_that_cannot_be_are_refused() {
        for text in ["", "s", "5x", "-5s", "1.5s", "5m5m", "30s1m", "99999999999999999999s", "9999999999999999d"] {
            assert!(TimeSpan::parse(text).is_err(), "{text}");
        }
        assert_eq!(TimeSpan::parse("30").unwrap_err(), "`30` has no unit, write `30s`");
    }

    #[test]
    fn sizes_are_read_and_written_back() {
        for text in ["0", "800", "64KB", "32MB", "1GB"] {
            assert_eq!(ByteSize::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(ByteSize::of(1536 * 1024).to_string(), "1536KB");
        for text in ["", "MB", "1TB", "1MB1KB", "99999999999999999GB", "-1"] {
            assert!(ByteSize::parse(text).is_err(), "{text}");
        }
    }
}
