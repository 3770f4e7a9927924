//! Numbers as nearly all are written, read without a detour.

use super::NumberStyle;

/// Powers of ten that 128 bits hold.
const POWERS: [i128; 39] = {
    let mut powers = [1; 39];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// A number of few digits, with nothing but a minus and a decimal mark. What is written otherwise
/// takes the long way, which knows everything and says what is wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Short {
    /// The number without its mark.
    value: i64,
    /// Digits after the mark.
    fraction: u8,
}

impl Short {
    pub(super) fn read(text: &str, style: &NumberStyle) -> Option<Self> {
        let decimal = u8::try_from(style.decimal).ok()?;
        let (sign, unsigned) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        // Nineteen digits always fit 64 bits without a sign.
        if unsigned.len() > 19 {
            return None;
        }
        let (mut value, mut digits, mut mark) = (0_u64, 0_u8, None);
        for byte in unsigned.bytes() {
            match byte {
                b'0'..=b'9' => {
                    value = value * 10 + u64::from(byte - b'0');
                    digits += 1;
                }
                _ if byte == decimal && mark.is_none() => mark = Some(digits),
                _ => return None,
            }
        }
        let value = i64::try_from(value).ok().filter(|_| digits > 0)?;
        Some(Self { value: sign * value, fraction: mark.map_or(0, |before| digits - before) })
    }

    /// The unscaled value of a decimal; `None` if it does not fit.
    pub(super) fn unscaled(self, precision: u8, scale: u8) -> Option<i128> {
        let Self { mut value, mut fraction } = self;
        while fraction > scale && value % 10 == 0 {
            value /= 10;
            fraction -= 1;
        }
        let unit = POWERS.get(usize::from(scale.checked_sub(fraction)?))?;
        let value = i128::from(value).checked_mul(*unit)?;
        let limit = POWERS.get(usize::from(precision))?;
        (-limit < value && value < *limit).then_some(value)
    }
}
