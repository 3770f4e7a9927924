//! Exact decimal numbers ⇄ text.

use std::fmt::Write;

/// Reads a number as a whole number of `10^-scale`. Takes `.` and `,`, a sign, and spaces of any
/// kind between digits (as 1C and Bitrix write them); an exponent is refused.
///
/// # Errors
/// What is wrong, in one phrase: not a number, more digits after the point than `scale` (zeros do
/// not count), more digits than `precision`.
pub(super) fn parse(text: &str, precision: u8, scale: u8) -> Result<i128, String> {
    let not_a_number = || format!("`{}` is not a number", shown(text));
    let mut marks = text.chars().filter(|mark| !mark.is_whitespace()).peekable();
    let negative = marks.next_if(|mark| matches!(mark, '-' | '+')) == Some('-');
    let mut digits = Digits::default();
    for mark in marks {
        match mark {
            '.' | ',' if !digits.fraction => digits.fraction = true,
            _ => digits.push(mark.to_digit(10).ok_or_else(not_a_number)?),
        }
    }
    if !digits.any {
        return Err(not_a_number());
    }
    if digits.after > usize::from(scale) {
        return Err(format!("`{}` has more than {scale} digits after the point", shown(text)));
    }
    if digits.before + usize::from(scale) > usize::from(precision) {
        return Err(format!("`{}` is too large for decimal({precision},{scale})", shown(text)));
    }
    let value = digits.value.saturating_mul(power(usize::from(scale) - digits.after));
    Ok(if negative { -value } else { value })
}

/// The digits of a number that is being read.
#[derive(Default)]
struct Digits {
    /// Whether there are any, and whether the point was there.
    any: bool,
    fraction: bool,
    /// The number without its point, up to the last digit that counts. Nothing, if there are too many.
    value: i128,
    /// Digits before the point, zeros at the front not counted.
    before: usize,
    /// Digits after the point, zeros at the end not counted.
    after: usize,
    /// Zeros after those.
    zeros: usize,
}

impl Digits {
    fn push(&mut self, digit: u32) {
        self.any = true;
        if !self.fraction {
            self.before += usize::from(digit != 0 || self.before > 0);
            self.value = self.value.saturating_mul(10).saturating_add(digit.into());
        } else if digit == 0 {
            self.zeros += 1;
        } else {
            self.value = self.value.saturating_mul(power(self.zeros + 1)).saturating_add(digit.into());
            self.after += self.zeros + 1;
            self.zeros = 0;
        }
    }
}

fn power(digits: usize) -> i128 {
    10_i128.saturating_pow(u32::try_from(digits).unwrap_or(u32::MAX))
}

/// Writes a whole number of `10^-scale` with `.`, without zeros at the end beyond `least` digits
/// after the point.
pub(super) fn write(into: &mut String, value: i128, scale: i8, least: usize) {
    let digits = usize::try_from(scale).unwrap_or(0);
    if value < 0 {
        into.push('-');
    }
    // Writing into a `String` does not fail.
    write!(into, "{:0>width$}", value.unsigned_abs(), width = digits + 1).unwrap_or_default();
    if scale < 0 && value != 0 {
        into.extend(std::iter::repeat_n('0', scale.unsigned_abs().into()));
    }
    let point = into.len() - digits;
    into.insert(point, '.');
    while into.len() > point + 1 + least && into.ends_with('0') {
        into.pop();
    }
    into.extend(std::iter::repeat_n('0', (point + 1 + least).saturating_sub(into.len())));
    if into.ends_with('.') {
        into.pop();
    }
}

/// The same as a text of its own.
pub(super) fn format(value: i128, scale: i8, least: usize) -> String {
    let mut text = String::new();
    write(&mut text, value, scale, least);
    text
}

/// How many digits stand after the point, zeros at the end not counted.
pub(super) fn fraction_digits(mut value: i128, scale: i8) -> usize {
    let mut digits = usize::try_from(scale).unwrap_or(0);
    while digits > 0 && value % 10 == 0 {
        value /= 10;
        digits -= 1;
    }
    digits
}

/// A value in a message: short, in one line.
pub(super) fn shown(text: &str) -> String {
    let line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(40).collect();
    if text.trim().chars().count() > 40 { format!("{line}…") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_they_are_written_in_practice() {
        for (text, value) in [
            ("100", 100_000),
            ("12.5", 12_500),
            ("12,50", 12_500),
            ("-3", -3_000),
            ("1\u{a0}234,5", 1_234_500),
            ("231.7400", 231_740),
            (".5", 500),
            ("007", 7_000),
            (" 0 ", 0),
        ] {
            assert_eq!(parse(text, 15, 3), Ok(value), "{text}");
        }
        for text in ["", ".", "1e3", "12.3.4", "0.0001", "много", "9999999999999", "--1"] {
            assert!(parse(text, 15, 3).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(value: i128, scale in 0_u8..=38, least in 0_usize..4) {
            let value = value % 10_i128.pow(38);
            let text = format(value, i8::try_from(scale).unwrap(), least);
            proptest::prop_assert_eq!(parse(&text, 38, scale), Ok(value));
            let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            proptest::prop_assert_eq!(digits, fraction_digits(value, i8::try_from(scale).unwrap()).max(least));
        }
    }

    #[test]
    fn written_exactly() {
        for (value, scale, least, text) in [
            (1250, 2, 2, "12.50"),
            (1200, 2, 0, "12"),
            (-5, 3, 0, "-0.005"),
            (0, 3, 0, "0"),
            (0, 0, 2, "0.00"),
            (12, -2, 0, "1200"),
            (1, 4, 2, "0.0001"),
            (12, -2, 2, "1200.00"),
            (0, -2, 0, "0"),
            (-100, 2, 1, "-1.0"),
        ] {
            assert_eq!(format(value, scale, least), text);
        }
    }
}
