//! Codes with check digits: `inn_valid`, `kpp_valid`, `bik_valid`, `luhn_valid`.
//!
//! Algorithms: the Federal Tax Service's orders as collected in Kholenkov/js-data-validation; the examples
//! of the tests were computed by hand from the published weights.

use super::text::{Output, TextFunction};
use datafusion::logical_expr::ScalarUDF;
use std::sync::Arc;

/// All functions of this file.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![
        TextFunction::udf("inn_valid", Output::Bool(inn_valid)),
        TextFunction::udf("kpp_valid", Output::Bool(kpp_valid)),
        TextFunction::udf("bik_valid", Output::Bool(bik_valid)),
        TextFunction::udf("luhn_valid", Output::Bool(luhn_valid)),
    ]
}

/// The digits of a text that is nothing but digits.
fn digits(text: &str) -> Option<Vec<u32>> {
    text.chars().map(|letter| letter.to_digit(10)).collect()
}

/// Whether the text is a taxpayer's number of Russia: 10 digits of an organisation or 12 of a person, with
/// right check digits and a region that exists. All zeros pass the sums and are refused.
fn inn_valid(text: &str) -> bool {
    const LONG: [u32; 11] = [3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8];
    let Some(digits) = digits(text.trim()) else { return false };
    if digits.starts_with(&[0, 0]) {
        return false;
    }
    let check = |weights: &[u32]| {
        let sum: u32 = digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum();
        digits.get(weights.len()) == Some(&(sum % 11 % 10))
    };
    match digits.len() {
        10 => check(&LONG[2..]),
        12 => check(&LONG[1..]) && check(&LONG),
        _ => false,
    }
}

/// Whether the text looks like a reason code of Russia: four digits, two digits or Latin capitals, three digits.
/// There is no check digit.
fn kpp_valid(text: &str) -> bool {
    let text = text.trim().as_bytes();
    text.len() == 9
        && text
            .iter()
            .enumerate()
            .all(|(at, byte)| byte.is_ascii_digit() || (matches!(at, 4 | 5) && byte.is_ascii_uppercase()))
}

/// Whether the text looks like a bank's code of Russia: nine digits, the first of them zero. There is no check digit.
fn bik_valid(text: &str) -> bool {
    digits(text.trim()).is_some_and(|digits| digits.len() == 9 && digits.first() == Some(&0))
}

/// Whether the digits of the text pass Luhn's check (ISO/IEC 7812-1, annex B). Spaces and hyphens between digits are
/// left out; fewer than two digits do not pass.
fn luhn_valid(text: &str) -> bool {
    let text: String = text.chars().filter(|letter| !matches!(letter, ' ' | '-')).collect();
    let Some(digits) = digits(&text) else { return false };
    let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 =
        digits.iter().rev().enumerate().map(|(at, digit)| if at % 2 == 1 { doubled(*digit) } else { *digit }).sum();
    digits.len() > 1 && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taxpayers_numbers() {
        for good in ["7707083893", "7707080050", "500100732259", " 7701000019 ", "770300000051"] {
            assert!(inn_valid(good), "{good}");
        }
        for bad in ["7707083894", "0000000000", "000000000000", "500100732258", "770708389", "", "0", "77070838９3"] {
            assert!(!inn_valid(bad), "{bad}");
        }
    }

    #[test]
    fn reason_and_bank_codes() {
        assert!(kpp_valid("770101001"));
        assert!(kpp_valid("7701AB001"));
        assert!(!kpp_valid("7701ab001"));
        assert!(!kpp_valid("0"));
        assert!(bik_valid("044525225"));
        assert!(!bik_valid("144525225"));
        assert!(!bik_valid("04452522"));
    }

    #[test]
    fn luhn() {
        assert!(luhn_valid("4111111111111111"));
        assert!(luhn_valid("2200 0000 0000 0004"));
        assert!(!luhn_valid("4111111111111112"));
        assert!(!luhn_valid("4"));
        assert!(!luhn_valid(""));
        assert!(!luhn_valid("4111-x"));
    }
}
