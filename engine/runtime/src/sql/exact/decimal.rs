//! Exact arithmetic on the digits of decimals.

use arrow::datatypes::i256;

/// Ten to a power, up to 76.
pub(super) fn power(exponent: u32) -> Option<i256> {
    i256::from_i128(10).checked_pow(exponent)
}

/// Whether a number of this many digits holds the value.
pub(super) fn fits(value: i128, precision: u8) -> bool {
    10u128.checked_pow(u32::from(precision)).is_none_or(|limit| value.unsigned_abs() < limit)
}

/// The value as digits of a decimal of this precision.
pub(super) fn narrow(value: i256, precision: u8) -> Option<i128> {
    value.to_i128().filter(|value| fits(*value, precision))
}

/// `value` with `from` digits after the point, with `to` digits after it. Digits that go are rounded,
/// half away from zero; the flag says whether any of them was not zero.
pub(super) fn rescale(value: i256, from: i8, to: i8) -> Option<(i256, bool)> {
    let change = i32::from(to) - i32::from(from);
    let factor = power(change.unsigned_abs())?;
    if change >= 0 {
        return Some((value.checked_mul(factor)?, false));
    }
    let (quotient, rest) = (value.checked_div(factor)?, value.checked_rem(factor)?);
    Some((round(quotient, rest, factor, value.is_negative())?, rest != i256::ZERO))
}

/// `dividend / divisor` with `digits` more digits after the point than the whole quotient, rounded half
/// away from zero. `None` if it leaves 256 bits; the divisor is not zero.
pub(super) fn divide(dividend: i256, divisor: i256, digits: u32) -> Option<i256> {
    let negative = dividend.is_negative() != divisor.is_negative();
    let (dividend, divisor) = (dividend.checked_abs()?, divisor.checked_abs()?);
    let ten = i256::from_i128(10);
    let mut quotient = dividend.checked_div(divisor)?;
    let mut rest = dividend.checked_rem(divisor)?;
    // Digit by digit, as on paper: the dividend with all zeros appended can be longer than 256 bits.
    for _ in 0..digits {
        rest = rest.checked_mul(ten)?;
        quotient = quotient.checked_mul(ten)?.checked_add(rest.checked_div(divisor)?)?;
        rest = rest.checked_rem(divisor)?;
    }
    let quotient = round(quotient, rest, divisor, false)?;
    if negative { quotient.checked_neg() } else { Some(quotient) }
}

fn round(quotient: i256, rest: i256, divisor: i256, negative: bool) -> Option<i256> {
    let twice = rest.checked_abs()?.checked_mul(i256::from_i128(2))?;
    if twice < divisor {
        return Some(quotient);
    }
    let away = if negative { i256::MINUS_ONE } else { i256::ONE };
    quotient.checked_add(away)
}

/// The digits of a text such as `-1 234.50` without the spaces: the value and how many digits follow the point.
/// Understands an exponent. `None` if it is not a number or has more than 76 digits.
pub(in crate::sql) fn read(text: &str) -> Option<(i256, i8)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let scale = i32::try_from(fraction.len()).ok()? - exponent;
    let number = format!("{sign}{}{fraction}", whole.trim_start_matches('0'));
    let value = if number.ends_with(|letter: char| letter.is_ascii_digit()) {
        (number.len() <= 77).then(|| i256::from_string(&number)).flatten()?
    } else {
        i256::ZERO
    };
    if scale >= 0 {
        return Some((value, i8::try_from(scale).ok()?));
    }
    let value = value.checked_mul(power(scale.unsigned_abs())?)?;
    Some((value, 0))
}

/// A number of SQL without its exponent: `1.5e-2` → `0.015`. As it is, if it has too many digits for that.
pub(in crate::sql) fn plain(number: &str) -> String {
    match read(number) {
        Some((value, scale)) if number.contains(['e', 'E']) => show(value, scale),
        _ => number.to_owned(),
    }
}

/// The digits as people write them: `-1234.50`.
pub(in crate::sql) fn show(value: i256, scale: i8) -> String {
    let text = value.to_string();
    let Ok(scale) = usize::try_from(scale) else { return text };
    if scale == 0 {
        return text;
    }
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn big(value: i128) -> i256 {
        i256::from_i128(value)
    }

    #[test]
    fn division_rounds_half_away_from_zero() {
        assert_eq!(divide(big(2), big(3), 4), Some(big(6667)));
        assert_eq!(divide(big(-2), big(3), 4), Some(big(-6667)));
        assert_eq!(divide(big(1), big(8), 2), Some(big(13)));
        let most = 10i128.pow(38) - 1;
        assert_eq!(divide(big(most), big(most), 38), Some(big(10i128.pow(38))));
    }

    #[test]
    fn texts_are_read_digit_by_digit() {
        assert_eq!(read("1234.50"), Some((big(12345), 1)));
        assert_eq!(read("-.5"), Some((big(-5), 1)));
        assert_eq!(read("1e3"), Some((big(1000), 0)));
        assert_eq!(read("15e-1"), Some((big(15), 1)));
        assert_eq!(read("0.000"), Some((big(0), 0)));
        for bad in ["", "-", ".", "1,5", "1 5", "abc", "0x10", "--1", "1e", "1_0"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn digits_are_shown_as_written() {
        assert_eq!(show(big(-5), 2), "-0.05");
        assert_eq!(show(big(123_450), 2), "1234.50");
        assert_eq!(show(big(7), 0), "7");
    }

    #[test]
    fn exponents_are_written_out() {
        assert_eq!(plain("1e3"), "1000");
        assert_eq!(plain("1.5e-2"), "0.015");
        assert_eq!(plain("1.50"), "1.50");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(value in any::<i128>(), scale in 0i8..38) {
            let (read, digits) = read(&show(big(value), scale)).unwrap();
            prop_assert_eq!(rescale(read, digits, scale).unwrap(), (big(value), false));
        }

        #[test]
        fn rounding_is_never_off_by_more_than_half(value in any::<i64>(), digits in 1i8..12) {
            let (rounded, lost) = rescale(big(value.into()), digits, 0).unwrap();
            let factor = 10i128.pow(u32::from(digits.unsigned_abs()));
            let off = i128::from(value) - rounded.to_i128().unwrap() * factor;
            prop_assert!(off.abs() * 2 <= factor);
            prop_assert_eq!(lost, i128::from(value) % factor != 0);
        }
    }
}
