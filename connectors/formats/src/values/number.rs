//! Numbers written as text: exact, with the marks of the country they were written in.

use super::short::Short;

/// Digits a `decimal` can have at most.
const MAX_DIGITS: usize = 38;

/// How numbers are written in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberStyle {
    /// The mark before the fraction: `.` or `,`.
    pub decimal: char,
    /// What stands between groups of three digits.
    pub thousands: Thousands,
    /// Whether `1.5e3` is understood. Off for CSV: a spreadsheet that writes an exponent has dropped digits.
    pub exponent: bool,
}

/// What stands between groups of three digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
pub enum Thousands {
    /// Nothing: `1234567`.
    #[default]
    #[serde(rename = "none")]
    None,
    /// A space, also a no-break (U+00A0), narrow no-break (U+202F) or thin one (U+2009): `1 234 567`.
    #[serde(rename = "space")]
    Space,
    /// A comma: `1,234,567`.
    #[serde(rename = ",")]
    Comma,
    /// A point: `1.234.567`.
    #[serde(rename = ".")]
    Point,
    /// An apostrophe: `1'234'567`.
    #[serde(rename = "'")]
    Apostrophe,
}

impl NumberStyle {
    /// A point before the fraction, nothing between digits, exponents allowed: JSON and XML.
    pub const fn plain() -> Self {
        Self { decimal: '.', thousands: Thousands::None, exponent: true }
    }
}

impl Thousands {
    fn is(self, mark: char) -> bool {
        match self {
            Self::None => false,
            Self::Space => is_space(mark),
            Self::Comma => mark == ',',
            Self::Point => mark == '.',
            Self::Apostrophe => mark == '\'' || mark == '\u{2019}',
        }
    }
}

/// Reads an exact number as the unscaled value of `decimal(precision, scale)`: `12.5` at scale 2 is 1250.
///
/// Zeros before the number and after its fraction do not count; spaces around it neither.
///
/// # Errors
/// A phrase for a bad row, without the value itself: not a number, digits after the point that
/// `scale` has no room for, more digits than `precision`.
///
/// ```
/// use obmen_formats::values::{NumberStyle, parse_decimal};
/// assert_eq!(parse_decimal("129.900", 15, 2, &NumberStyle::plain()), Ok(12990));
/// assert!(parse_decimal("129.905", 15, 2, &NumberStyle::plain()).is_err());
/// ```
pub fn parse_decimal(text: &str, precision: u8, scale: u8, style: &NumberStyle) -> Result<i128, String> {
    match Short::read(text, style).and_then(|short| short.unscaled(precision, scale)) {
        Some(unscaled) => Ok(unscaled),
        None => Digits::read(text, style)?.unscaled(precision, scale),
    }
}

/// Reads a whole number; a fraction of zeros is no fraction.
///
/// # Errors
/// A phrase for a bad row: not a number, not whole, out of the range of `T`.
pub fn parse_whole<T: TryFrom<i128>>(text: &str, style: &NumberStyle) -> Result<T, String> {
    let short = Short::read(text, style).and_then(|short| short.unscaled(38, 0));
    if let Some(whole) = short.and_then(|whole| T::try_from(whole).ok()) {
        return Ok(whole);
    }
    let digits = Digits::read(text, style)?;
    if digits.fraction_digits() > 0 {
        return Err("is not a whole number".to_owned());
    }
    let out_of_range = || format!("is out of the range of a whole number of {} bits", 8 * size_of::<T>());
    let whole = digits.unscaled(38, 0).map_err(|_| out_of_range())?;
    T::try_from(whole).map_err(|_| out_of_range())
}

/// Reads an inexact number: the nearest one of 64 bits. `NaN`, `inf` and `-inf` are understood.
///
/// # Errors
/// A phrase for a bad row: not a number, or larger than any of 64 bits.
pub fn parse_double(text: &str, style: &NumberStyle) -> Result<f64, String> {
    match text.trim_matches(is_space) {
        "NaN" => return Ok(f64::NAN),
        "inf" => return Ok(f64::INFINITY),
        "-inf" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    if style.decimal == '.' && Short::read(text, style).is_some() {
        return text.parse().map_err(|_| "is not a number".to_owned());
    }
    let style = NumberStyle { exponent: true, ..style.clone() };
    let digits = Digits::read(text, &style)?;
    let value: f64 = digits.scientific().parse().map_err(|_| "is not a number".to_owned())?;
    if value.is_infinite() { Err("is larger than any number of 64 bits".to_owned()) } else { Ok(value) }
}

/// Writes an unscaled decimal with exactly `scale` digits after the mark.
pub fn show_decimal(unscaled: i128, scale: u8, mark: char) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = unscaled.unsigned_abs().to_string();
    let scale = usize::from(scale);
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}{mark}{fraction}")
}

/// Spaces people and programs put around and inside numbers.
fn is_space(mark: char) -> bool {
    matches!(mark, ' ' | '\t' | '\u{a0}' | '\u{202f}' | '\u{2009}')
}

/// A number as it was written: `0.d1d2d3… × 10^point`, without zeros at either end.
struct Digits {
    negative: bool,
    /// Significant digits, 0 to 9.
    significant: Vec<u8>,
    point: i64,
}

impl Digits {
    fn read(text: &str, style: &NumberStyle) -> Result<Self, String> {
        let text = text.trim_matches(is_space);
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if unsigned.is_empty() {
            return Err("is empty, expected a number".to_owned());
        }
        let (mantissa, exponent) = split_exponent(unsigned, style)?;
        let mut number = Self { negative, significant: Vec::with_capacity(20), point: 0 };
        let mut zeros = 0_usize;
        let (whole, fraction) = match mantissa.split_once(style.decimal) {
            Some((whole, fraction)) => (whole, fraction),
            None => (mantissa, ""),
        };
        check_groups(whole, style.thousands)?;
        let mut seen = false;
        for mark in whole.chars().filter(|mark| !style.thousands.is(*mark)) {
            seen = true;
            number.push(mark, &mut zeros)?;
            if !number.significant.is_empty() {
                number.point += 1;
            }
        }
        for mark in fraction.chars() {
            seen = true;
            number.push(mark, &mut zeros)?;
            if number.significant.is_empty() {
                number.point -= 1;
            }
        }
        if !seen {
            return Err("has no digits".to_owned());
        }
        number.point = number.point.saturating_add(exponent);
        Ok(number)
    }

    /// Takes a digit; zeros wait until a digit that counts follows them.
    fn push(&mut self, mark: char, zeros: &mut usize) -> Result<(), String> {
        let digit = mark.to_digit(10).and_then(|digit| u8::try_from(digit).ok()).ok_or_else(|| not_a_digit(mark))?;
        if digit == 0 {
            *zeros += usize::from(!self.significant.is_empty());
            return Ok(());
        }
        // More digits than any column takes are still counted, not kept, so that a long text costs nothing.
        if self.significant.len() + *zeros > 1_000 {
            return Err("has more than a thousand digits".to_owned());
        }
        self.significant.resize(self.significant.len() + *zeros, 0);
        *zeros = 0;
        self.significant.push(digit);
        Ok(())
    }

    fn fraction_digits(&self) -> i64 {
        let length = i64::try_from(self.significant.len()).unwrap_or(i64::MAX);
        if length == 0 { 0 } else { length.saturating_sub(self.point).max(0) }
    }

    fn unscaled(&self, precision: u8, scale: u8) -> Result<i128, String> {
        if self.significant.is_empty() {
            return Ok(0);
        }
        if self.fraction_digits() > i64::from(scale) {
            return Err(format!(
                "has {} digits after the point, decimal({precision},{scale}) takes {scale}",
                self.fraction_digits()
            ));
        }
        let room = i64::from(precision) - i64::from(scale);
        if self.point > room {
            return Err(format!(
                "has {} digits before the point, decimal({precision},{scale}) takes {room}",
                self.point
            ));
        }
        // point ≤ 38 and every digit is within the scale, so this is at most 38 digits.
        let width = usize::try_from(self.point + i64::from(scale)).unwrap_or(0).min(MAX_DIGITS);
        let mut unscaled = 0_i128;
        for at in 0..width {
            unscaled = unscaled * 10 + i128::from(self.significant.get(at).copied().unwrap_or(0));
        }
        Ok(if self.negative { -unscaled } else { unscaled })
    }

    fn scientific(&self) -> String {
        let mut text = String::with_capacity(self.significant.len() + 8);
        text.push_str(if self.negative { "-0." } else { "0." });
        text.extend(self.significant.iter().map(|digit| char::from(b'0' + digit)));
        if self.significant.is_empty() {
            text.push('0');
        }
        text.push('e');
        text.push_str(&self.point.to_string());
        text
    }
}

fn split_exponent<'a>(text: &'a str, style: &NumberStyle) -> Result<(&'a str, i64), String> {
    let Some(at) = text.find(['e', 'E']) else { return Ok((text, 0)) };
    if !style.exponent {
        return Err("is written with an exponent, so digits may be lost; export it as a plain number".to_owned());
    }
    let (mantissa, exponent) = text.split_at(at);
    let exponent = exponent.get(1..).unwrap_or("");
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("has a broken exponent".to_owned());
    }
    // An exponent that does not fit is as good as the largest one: no column takes either.
    let value = digits.parse::<i64>().unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
    Ok((mantissa, if exponent.starts_with('-') { -value } else { value }))
}

/// Marks may stand only between groups of three digits: `1 23` is a mistake, not 123.
fn check_groups(whole: &str, thousands: Thousands) -> Result<(), String> {
    if thousands == Thousands::None || !whole.chars().any(|mark| thousands.is(mark)) {
        return Ok(());
    }
    let mut groups = whole.split(|mark| thousands.is(mark)).map(|group| group.chars().count());
    let first = groups.next().unwrap_or(0);
    if (1..=3).contains(&first) && groups.all(|length| length == 3) {
        Ok(())
    } else {
        Err("has thousands marks that do not stand between groups of three digits".to_owned())
    }
}

fn not_a_digit(mark: char) -> String {
    if is_space(mark) {
        "has a space inside the number; say `thousands: space` if it separates thousands".to_owned()
    } else {
        format!("is not a number: `{}` is not a digit", mark.escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RU: NumberStyle = NumberStyle { decimal: ',', thousands: Thousands::Space, exponent: false };

    fn plain(text: &str) -> Result<i128, String> {
        parse_decimal(text, 15, 2, &NumberStyle::plain())
    }

    #[test]
    fn exact_decimals_are_read() {
        for (text, unscaled) in [
            ("0", 0),
            ("-0", 0),
            ("1", 100),
            ("-1.5", -150),
            ("+1.50", 150),
            ("0.01", 1),
            (".5", 50),
            ("5.", 500),
            ("000012.3400", 1234),
            (" 7 ", 700),
            ("1e2", 10_000),
            ("1.5E-1", 15),
            ("120e-1", 1200),
            ("100", 10_000),
            ("1000.10", 100_010),
            ("9999999999999.99", 999_999_999_999_999),
            ("0.00000", 0),
            ("0e999999999999999999999", 0),
        ] {
            assert_eq!(plain(text), Ok(unscaled), "{text}");
        }
    }

    #[test]
    fn loss_and_nonsense_are_refused() {
        for text in
            ["", "-", ".", "1.005", "10000000000000", "1,5", "1 000", "abc", "1e", "e5", "1e-3", "1e400", "--1", "١"]
        {
            assert!(plain(text).is_err(), "{text}");
        }
    }

    #[test]
    fn russian_spreadsheets_are_read() {
        for (text, unscaled) in
            [("1 234 567,89", 123_456_789), ("1\u{a0}234,5", 123_450), ("-12\u{202f}000", -1_200_000), ("999", 99_900)]
        {
            assert_eq!(parse_decimal(text, 15, 2, &RU), Ok(unscaled), "{text}");
        }
        for text in ["12 34", "1  234", "1 234 56", " ,", "1.5", "1,2 3", "1,23E+15", "1 2345"] {
            assert!(parse_decimal(text, 15, 2, &RU).is_err(), "{text}");
        }
    }

    #[test]
    fn the_largest_decimal_fits_and_one_more_does_not() {
        let largest = "9".repeat(38);
        assert_eq!(parse_decimal(&largest, 38, 0, &NumberStyle::plain()), Ok(10_i128.pow(38) - 1));
        assert!(parse_decimal(&format!("1{}", "0".repeat(38)), 38, 0, &NumberStyle::plain()).is_err());
        assert_eq!(parse_decimal(&format!("-0.{largest}"), 38, 38, &NumberStyle::plain()), Ok(-(10_i128.pow(38) - 1)));
        assert!(parse_decimal(&"1".repeat(100_000), 38, 0, &NumberStyle::plain()).is_err());
    }

    #[test]
    fn whole_numbers_know_their_range() {
        let style = NumberStyle::plain();
        assert_eq!(parse_whole::<i32>("2147483647", &style), Ok(i32::MAX));
        assert_eq!(parse_whole::<i32>("-2147483648.00", &style), Ok(i32::MIN));
        assert_eq!(parse_whole::<i64>("-9223372036854775808", &style), Ok(i64::MIN));
        assert!(parse_whole::<i32>("2147483648", &style).is_err());
        assert!(parse_whole::<i64>("9223372036854775808", &style).is_err());
        assert!(parse_whole::<i64>("1.5", &style).is_err());
    }

    #[test]
    fn doubles_keep_their_nearest_value() {
        let style = NumberStyle::plain();
        for value in [0.1, -2.5e-300, 1e300, f64::MAX, f64::MIN_POSITIVE, 123_456.789] {
            assert_eq!(parse_double(&format!("{value}"), &style).map(f64::to_bits), Ok(value.to_bits()));
            assert_eq!(parse_double(&format!("{value:?}"), &style).map(f64::to_bits), Ok(value.to_bits()));
        }
        assert!(parse_double("1e400", &style).is_err());
        assert!(parse_double("1.2.3", &style).is_err());
    }

    proptest::proptest! {
        #[test]
        fn the_short_way_leads_where_the_long_one_does(text in "-?[0-9]{0,12}[.,]?[0-9]{0,9}", precision in 1_u8..=38, scale in 0_u8..=9, comma: bool) {
            let style = NumberStyle { decimal: if comma { ',' } else { '.' }, ..NumberStyle::plain() };
            let long = Digits::read(&text, &style).and_then(|digits| digits.unscaled(precision, scale.min(precision)));
            proptest::prop_assert_eq!(parse_decimal(&text, precision, scale.min(precision), &style), long);
            let long = Digits::read(&text, &style).map(|digits| digits.scientific().parse::<f64>().unwrap().to_bits());
            proptest::prop_assert_eq!(parse_double(&text, &style).map(f64::to_bits), long);
        }

        #[test]
        fn decimals_survive_writing_and_reading(unscaled: i128, scale in 0_u8..=38) {
            let unscaled = unscaled % 10_i128.pow(38);
            let text = show_decimal(unscaled, scale, ',');
            let style = NumberStyle { decimal: ',', thousands: Thousands::None, exponent: false };
            proptest::prop_assert_eq!(parse_decimal(&text, 38, scale, &style), Ok(unscaled));
        }

        #[test]
        fn decimals_agree_with_long_hand_arithmetic(whole in "[0-9]{1,12}", fraction in "[0-9]{0,6}", scale in 0_u8..6, precision in 7_u8..20) {
            let text = format!("{whole}.{fraction}");
            // The oracle: everything at six digits after the point, then divided, and looked at.
            let at_six: i128 = format!("{whole}{fraction:0<6}").parse().unwrap();
            let unit = 10_i128.pow(u32::from(6 - scale));
            let fits = at_six % unit == 0 && at_six / unit < 10_i128.pow(u32::from(precision));
            let read = parse_decimal(&text, precision, scale, &NumberStyle::plain());
            proptest::prop_assert_eq!(read.ok(), fits.then_some(at_six / unit));
        }
    }
}
