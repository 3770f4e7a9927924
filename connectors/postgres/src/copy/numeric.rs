//! PostgreSQL's `numeric` ⇄ whole numbers with a scale.
//!
//! ```text
//! ndigits i16 │ weight i16 │ sign u16 │ dscale i16 │ digits u16…      value = Σ digit[i] · 10000^(weight − i)
//! ```

use super::DIGITS;
use std::borrow::Cow;

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xc000;
const INFINITY: u16 = 0xd000;
const MINUS_INFINITY: u16 = 0xf000;

/// Powers of ten that fit.
const POWERS: [u128; 39] = {
    let mut powers = [1; 39];
    let mut at = 1;
    while at < 39 {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// Reads a value as so many units of `10^-scale`, at most `precision` digits of them.
///
/// # Errors
/// Why it is no such number, as a phrase.
pub(super) fn read(field: &[u8], precision: u8, scale: u8) -> Result<i128, Cow<'static, str>> {
    let broken = Cow::Borrowed("is a numeric that cannot be read");
    let (Some(head), Some(digits)) = (field.first_chunk::<8>(), field.get(8..)) else { return Err(broken) };
    let [n0, n1, w0, w1, s0, s1, _, _] = *head;
    let (count, weight) = (u16::from_be_bytes([n0, n1]), i16::from_be_bytes([w0, w1]));
    let negative = match u16::from_be_bytes([s0, s1]) {
        0 => false,
        NEGATIVE => true,
        NAN => return Err("is NaN, which is no number".into()),
        INFINITY | MINUS_INFINITY => return Err("is infinite".into()),
        _ => return Err(broken),
    };
    if digits.len() != usize::from(count) * 2 {
        return Err(broken);
    }
    let (digits, _) = digits.as_chunks::<2>();
    let most = POWERS.get(usize::from(precision)).copied().unwrap_or(0);
    // Up to four groups are less than 10^16 and go the short way.
    let magnitude = if digits.len() <= 4 {
        let whole = digits.iter().fold(0_u64, |sum, digit| sum * 10_000 + u64::from(u16::from_be_bytes(*digit)));
        let power = 4 * (i32::from(weight) + 1 - i32::from(count)) + i32::from(scale);
        shift(whole, power, scale)?
    } else {
        long(digits, i32::from(weight), scale)?
    };
    if magnitude >= most {
        return Err(too_large(precision, scale));
    }
    // Less than 10^38.
    let value = i128::try_from(magnitude).map_err(|_| too_large(precision, scale))?;
    Ok(if negative { -value } else { value })
}

/// `whole · 10^power`, exactly.
fn shift(whole: u64, power: i32, scale: u8) -> Result<u128, Cow<'static, str>> {
    if whole == 0 {
        return Ok(0);
    }
    let places = usize::try_from(power.unsigned_abs()).unwrap_or(usize::MAX);
    if power >= 0 {
        let scaled = POWERS.get(places).and_then(|factor| u128::from(whole).checked_mul(*factor));
        return scaled.ok_or_else(|| too_large(DIGITS, scale));
    }
    let divisor = POWERS.get(places).and_then(|divisor| u64::try_from(*divisor).ok());
    match divisor {
        Some(divisor) if whole.is_multiple_of(divisor) => Ok(u128::from(whole / divisor)),
        _ => Err(too_fine(scale)),
    }
}

/// The same for any number of groups.
fn long(digits: &[[u8; 2]], weight: i32, scale: u8) -> Result<u128, Cow<'static, str>> {
    let mut value: u128 = 0;
    let mut power = 4 * weight + i32::from(scale);
    for digit in digits {
        let group = u128::from(u16::from_be_bytes(*digit));
        // Digits of this group that are wanted: all, the first of them, or none.
        let wanted = usize::try_from((power + 4).clamp(0, 4)).unwrap_or(0);
        let (Some(factor), Some(divisor)) = (POWERS.get(wanted), POWERS.get(4 - wanted)) else { break };
        if group % divisor != 0 {
            return Err(too_fine(scale));
        }
        let grown = value.checked_mul(*factor).and_then(|value| value.checked_add(group / divisor));
        value = grown.ok_or_else(|| too_large(DIGITS, scale))?;
        power -= 4;
    }
    // After the last group `power` stands at the next one; what is missing are zeros.
    let zeros = usize::try_from((power + 4).max(0)).unwrap_or(0);
    if value == 0 || zeros == 0 {
        return Ok(value);
    }
    let grown = POWERS.get(zeros).and_then(|factor| value.checked_mul(*factor));
    grown.ok_or_else(|| too_large(DIGITS, scale))
}

fn too_fine(scale: u8) -> Cow<'static, str> {
    format!("has more than {scale} digits after the point").into()
}

fn too_large(precision: u8, scale: u8) -> Cow<'static, str> {
    format!("has more than {} digits before the point", precision.saturating_sub(scale)).into()
}

/// Appends a value of so many units of `10^-scale` as a field with its length.
pub(super) fn write(value: i128, scale: u8, out: &mut Vec<u8>) {
    let magnitude = value.unsigned_abs();
    let unit = POWERS.get(usize::from(scale)).copied().unwrap_or(u128::MAX);
    let (mut whole, mut part) = (magnitude / unit, magnitude % unit);
    // At most ten groups on either side of the point.
    let mut groups = [0_u16; 20];
    let mut first = 10;
    while whole > 0 && first > 0 {
        first -= 1;
        if let Some(group) = groups.get_mut(first) {
            *group = u16::try_from(whole % 10_000).unwrap_or(0);
        }
        whole /= 10_000;
    }
    let (mut last, mut left) = (10, usize::from(scale));
    while part > 0 {
        let group = if left >= 4 {
            let divisor = POWERS.get(left - 4).copied().unwrap_or(1);
            let group = part / divisor;
            part %= divisor;
            left -= 4;
            group
        } else {
            let group = part * POWERS.get(4 - left).copied().unwrap_or(1);
            part = 0;
            group
        };
        if let Some(place) = groups.get_mut(last) {
            *place = u16::try_from(group).unwrap_or(0);
        }
        last += 1;
    }
    while first < last && groups.get(first) == Some(&0) {
        first += 1;
    }
    while first < last && groups.get(last - 1) == Some(&0) {
        last -= 1;
    }
    let digits = groups.get(first..last).unwrap_or_default();
    let count = u16::try_from(digits.len()).unwrap_or(0);
    let weight = if digits.is_empty() { 0 } else { 9 - i16::try_from(first).unwrap_or(0) };
    out.extend((8 + 2 * u32::from(count)).to_be_bytes());
    out.extend(count.to_be_bytes());
    out.extend(weight.to_be_bytes());
    out.extend(if value < 0 { NEGATIVE } else { 0 }.to_be_bytes());
    out.extend(u16::from(scale).to_be_bytes());
    for digit in digits {
        out.extend(digit.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(digits: &[u16], weight: i16, sign: u16, scale: u16) -> Vec<u8> {
        let mut field = Vec::new();
        field.extend(u16::try_from(digits.len()).unwrap().to_be_bytes());
        field.extend(weight.to_be_bytes());
        field.extend(sign.to_be_bytes());
        field.extend(scale.to_be_bytes());
        field.extend(digits.iter().flat_map(|digit| digit.to_be_bytes()));
        field
    }

    fn written(value: i128, scale: u8) -> Vec<u8> {
        let mut out = Vec::new();
        write(value, scale, &mut out);
        let (length, field) = out.split_at(4);
        assert_eq!(u32::from_be_bytes(length.try_into().unwrap()), u32::try_from(field.len()).unwrap());
        field.to_vec()
    }

    #[test]
    fn digits_of_postgresql_are_read() {
        assert_eq!(read(&field(&[1234, 5000], 0, 0, 2), 12, 2), Ok(123_450));
        assert_eq!(read(&field(&[1], 2, NEGATIVE, 0), 15, 2), Ok(-10_000_000_000));
        assert_eq!(read(&field(&[50], -1, 0, 4), 10, 4), Ok(50));
        assert_eq!(read(&field(&[], 0, 0, 0), 1, 0), Ok(0));
        assert_eq!(read(&field(&[1], -10, 0, 40), 38, 38).unwrap_err(), "has more than 38 digits after the point");
    }

    #[test]
    fn what_does_not_fit_is_never_rounded() {
        assert_eq!(read(&field(&[1, 2345], 0, 0, 4), 12, 2).unwrap_err(), "has more than 2 digits after the point");
        assert_eq!(read(&field(&[1000], 0, 0, 0), 5, 2).unwrap_err(), "has more than 3 digits before the point");
        assert!(read(&field(&[1], 9, 0, 0), 38, 2).is_err() && read(&field(&[1], 9, 0, 0), 38, 1).is_ok());
        assert!(read(&field(&[1], 20, 0, 0), 38, 0).is_err());
        for sign in [NAN, INFINITY, MINUS_INFINITY, 7] {
            assert!(read(&field(&[], 0, sign, 0), 38, 0).is_err());
        }
        assert!(read(&[0, 1, 0, 0, 0, 0, 0, 0], 38, 0).is_err() && read(&[0, 1], 38, 0).is_err());
    }

    proptest! {
        #[test]
        fn every_decimal_comes_back(value in -(10_i128.pow(38) - 1)..10_i128.pow(38), short in any::<u8>(), scale in 0_u8..=38) {
            let value = value / 10_i128.pow(u32::from(short % 39).min(38));
            prop_assert_eq!(read(&written(value, scale), 38, scale), Ok(value));
        }

        #[test]
        fn more_digits_after_the_point_are_an_error_unless_they_are_zero(value in -10_i128.pow(20)..10_i128.pow(20), scale in 1_u8..=10) {
            let narrower = read(&written(value, scale), 38, scale - 1);
            prop_assert_eq!(narrower.ok(), (value % 10 == 0).then_some(value / 10));
        }
    }
}
