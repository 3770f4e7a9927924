//! Units of measure: ОКЕИ codes, and how files name them.

use super::tree::Tree;

/// A unit of ОКЕИ (code, full name, short name, international abbreviation).
pub(super) struct Unit {
    pub(super) code: &'static str,
    pub(super) full: &'static str,
    pub(super) short: &'static str,
    pub(super) international: &'static str,
}

/// The units that catalogues are full of. Other codes are written without names: a code is opaque.
const UNITS: &[Unit] = &[
    unit("006", "Метр", "м", "MTR"),
    unit("055", "Квадратный метр", "м2", "MTK"),
    unit("112", "Литр", "л", "LTR"),
    unit("113", "Кубический метр", "м3", "MTQ"),
    unit("163", "Грамм", "г", "GRM"),
    unit("166", "Килограмм", "кг", "KGM"),
    unit("168", "Тонна", "т", "TNE"),
    unit("356", "Час", "ч", "HUR"),
    unit("704", "Набор", "набор", "SET"),
    unit("715", "Пара (2 шт.)", "пар", "NPR"),
    unit("736", "Рулон", "рул", "NPL"),
    unit("778", "Упаковка", "упак", "NMP"),
    unit("796", "Штука", "шт", "PCE"),
    unit("797", "Сто штук", "100 шт", "CEN"),
    unit("798", "Тысяча штук", "тыс. шт", "MIL"),
];

const fn unit(code: &'static str, full: &'static str, short: &'static str, international: &'static str) -> Unit {
    Unit { code, full, short, international }
}

/// The unit of a code, if it is one of the usual ones.
pub(super) fn find(code: &str) -> Option<&'static Unit> {
    UNITS.iter().find(|unit| unit.code == code)
}

/// Code and short name in `БазоваяЕдиница`: the code is an attribute, often with spaces at its end,
/// or, in 2.09, the text itself.
pub(super) fn of_item(item: Tree<'_>) -> (Option<&str>, Option<&str>) {
    let Some(unit) = item.child("БазоваяЕдиница") else { return (None, None) };
    let text = unit.value().map(str::trim);
    let is_code = |text: &&str| (3..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let code = unit.attribute("Код");
    match (code, text) {
        (None, Some(text)) if is_code(&text) => (Some(text), None),
        (code, text) => {
            let name = text.or_else(|| unit.attribute("НаименованиеКраткое"));
            (code, name.or_else(|| unit.attribute("НаименованиеПолное")))
        }
    }
}
