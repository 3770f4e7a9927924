//! Numbers exactly as they are written: 1C sends up to 38 digits, more than a float holds.

/// The most digits a number may have.
const DIGITS: usize = 38;

/// A number as digits and the place of the point: `mantissa` · 10^-`scale`, without zeros at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exact {
    mantissa: i128,
    scale: i32,
}

impl Exact {
    /// Reads a number as JSON writes it, also with an exponent; `None` for anything else and for more than 38
    /// significant digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (number, exponent) = match rest.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i16>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || (number.contains('.') && fraction.is_empty()) {
            return None;
        }
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let kept = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        let significant = digits.iter().take(kept).skip_while(|digit| **digit == b'0').count();
        if significant > DIGITS {
            return None;
        }
        let mantissa = digits.iter().take(kept).fold(0i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
        if mantissa == 0 {
            return Some(Self { mantissa: 0, scale: 0 });
        }
        let dropped = i32::try_from(digits.len() - kept).ok()?;
        let scale = i32::try_from(fraction.len()).ok()? - dropped - i32::from(exponent);
        Some(Self { mantissa: if negative { -mantissa } else { mantissa }, scale })
    }

    /// The number in units of 10^-`scale`; `None` if digits would be lost or 38 digits are not enough.
    pub(crate) fn at_scale(self, scale: u8) -> Option<i128> {
        if self.mantissa == 0 {
            return Some(0);
        }
        let shift = u32::try_from(i32::from(scale) - self.scale).ok()?;
        let value = self.mantissa.checked_mul(10i128.checked_pow(shift)?)?;
        (value.unsigned_abs() < 10u128.pow(38)).then_some(value)
    }

    /// Whether the nearest float, written with the fewest digits that tell it apart, is this number.
    pub(crate) fn is_float(self, float: f64) -> bool {
        float.is_finite() && Self::parse(&format!("{float:e}")) == Some(self)
    }

    /// Digits after the point, none of them a zero at the end.
    pub(crate) fn fraction_digits(self) -> u32 {
        u32::try_from(self.scale).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str, scale: u8) -> Option<i128> {
        Exact::parse(text)?.at_scale(scale)
    }

    #[test]
    fn numbers_are_exact() {
        assert_eq!(at("129.90", 2), Some(12_990));
        assert_eq!(at("129.9000", 2), Some(12_990));
        assert_eq!(at("-0.01", 2), Some(-1));
        assert_eq!(at("0.000", 0), Some(0));
        assert_eq!(at("9007199254740993", 0), Some(9_007_199_254_740_993));
        assert_eq!(at(&"9".repeat(38), 0), Some(10i128.pow(38) - 1));
        assert_eq!(at("1.5e3", 0), Some(1500));
        assert_eq!(at("15E-1", 1), Some(15));
        assert_eq!(at("1e38", 0), None);
    }

    #[test]
    fn what_would_lose_something_is_refused() {
        assert_eq!(at("1.005", 2), None);
        assert_eq!(at(&"9".repeat(38), 1), None);
        for text in ["", "-", ".5", "5.", "1,5", "+1", " 1", "0x1", "1e", "NaN", "١", "1e99999"] {
            assert_eq!(Exact::parse(text), None, "{text}");
        }
        assert_eq!(Exact::parse(&"9".repeat(39)), None);
    }

    #[test]
    fn a_float_is_told_from_a_number_it_cannot_hold() {
        let is_float = |text: &str| Exact::parse(text).unwrap().is_float(text.parse().unwrap());
        assert!(is_float("0.1") && is_float("-129.90") && is_float("1e21") && is_float("0"));
        assert!(!is_float("9007199254740993") && !is_float("0.12345678901234567890"));
    }

    proptest! {
        #[test]
        fn every_decimal_is_read_back(value in -(10i128.pow(38) - 1)..10i128.pow(38), scale in 0u8..=38) {
            let digits = format!("{:0width$}", value.unsigned_abs(), width = usize::from(scale) + 1);
            let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
            let sign = if value < 0 { "-" } else { "" };
            let text = if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") };
            prop_assert_eq!(at(&text, scale), Some(value));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+0-9.eE]{0,60}") {
            if let Some(exact) = Exact::parse(&text) {
                exact.at_scale(38);
            }
        }
    }
}
