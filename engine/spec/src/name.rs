//! Names: which ones can be used, and which one was probably meant.

use obmen_diagnostics::{Diagnostic, Problems, Severity, Spanned, code};
use strsim::damerau_levenshtein;

/// Latin letters and the Cyrillic letters that look like them, in both cases.
const LOOK_ALIKE: &[(char, char)] = &[
    ('a', 'а'),
    ('b', 'в'),
    ('c', 'с'),
    ('e', 'е'),
    ('h', 'н'),
    ('i', 'і'),
    ('j', 'ј'),
    ('k', 'к'),
    ('m', 'м'),
    ('o', 'о'),
    ('p', 'р'),
    ('s', 'ѕ'),
    ('t', 'т'),
    ('x', 'х'),
    ('y', 'у'),
];

/// The candidate that was probably meant by `word`: one that differs in case, in letters of another alphabet that look
/// the same, or in a few letters. `None` if nothing is near.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    let length = folded.chars().count();
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .map(|candidate| (damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| {
            let longest = length.max(candidate.chars().count());
            *distance == 0 || (*distance <= longest.div_ceil(4).min(3) && *distance < length.min(longest))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Lower case, hyphens as underscores, and letters that look Latin as Latin.
fn fold(word: &str) -> String {
    word.chars()
        .flat_map(char::to_lowercase)
        .map(|letter| match letter {
            '-' | ' ' => '_',
            _ => LOOK_ALIKE.iter().find(|(_, cyrillic)| *cyrillic == letter).map_or(letter, |(latin, _)| *latin),
        })
        .collect()
}

/// How many letters differ, in any case and with letters that look alike taken as equal.
pub fn distance(one: &str, other: &str) -> usize {
    damerau_levenshtein(&fold(one), &fold(other))
}

/// Words in backticks, with `or` before the last one.
pub fn listed<T: AsRef<str>>(words: &[T]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Letters of the Latin and the Cyrillic alphabet that look the same in print.
const SAME_IN_PRINT: &str = "AaBCcEeHIiJjKkMOoPpSsTXxYyАаВСсЕеНІіЈјКкМОоРрЅѕТХхУу";

/// Which alphabet a letter belongs to, as far as the two that are mixed up are concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alphabet {
    Latin,
    Cyrillic,
}

fn alphabet(letter: char) -> Option<Alphabet> {
    match letter {
        'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' => Some(Alphabet::Latin),
        '\u{400}'..='\u{52f}' => Some(Alphabet::Cyrillic),
        _ => None,
    }
}

/// A sentence that names the letters of the wrong alphabet in a word, if a run of Latin letters inside a Cyrillic word
/// (or the reverse) consists of look-alikes only. A word put together of two, like 1C's `ВНаличииBalance`, is none.
pub fn odd_letters(word: &str) -> Option<String> {
    word.split(|letter: char| !letter.is_alphabetic()).find_map(odd_letters_of_part)
}

fn odd_letters_of_part(part: &str) -> Option<String> {
    let letters = |wanted| part.chars().filter(move |letter| alphabet(*letter) == Some(wanted));
    let (latin, cyrillic) = (letters(Alphabet::Latin).count(), letters(Alphabet::Cyrillic).count());
    if latin == 0 || cyrillic == 0 {
        return None;
    }
    let (fewer, more) =
        if latin < cyrillic { (Alphabet::Latin, Alphabet::Cyrillic) } else { (Alphabet::Cyrillic, Alphabet::Latin) };
    let (odd, run) = [fewer, more].into_iter().find_map(|odd| {
        let runs = part.split(|letter| alphabet(letter) != Some(odd));
        let mut alike = runs.filter(|run| !run.is_empty() && run.chars().all(|letter| SAME_IN_PRINT.contains(letter)));
        alike.next().map(|run| (odd, run))
    })?;
    let (name, others) = match odd {
        Alphabet::Latin => ("Latin", "Cyrillic"),
        Alphabet::Cyrillic => ("Cyrillic", "Latin"),
    };
    let verb = if run.chars().count() == 1 { "is" } else { "are" };
    Some(format!("in `{part}` the `{run}` {verb} {name}, the rest is {others}"))
}

/// Words that SQL keeps for itself: a relation called so could only be read in quotes.
const SQL_WORDS: &[&str] = &[
    "all",
    "and",
    "any",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "cast",
    "create",
    "cross",
    "current_date",
    "current_time",
    "current_timestamp",
    "delete",
    "desc",
    "distinct",
    "drop",
    "else",
    "end",
    "except",
    "exists",
    "false",
    "fetch",
    "for",
    "from",
    "full",
    "group",
    "having",
    "in",
    "inner",
    "insert",
    "intersect",
    "interval",
    "into",
    "is",
    "join",
    "lateral",
    "left",
    "like",
    "limit",
    "natural",
    "not",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "over",
    "partition",
    "qualify",
    "right",
    "select",
    "set",
    "table",
    "tablesample",
    "then",
    "true",
    "union",
    "unnest",
    "update",
    "using",
    "values",
    "when",
    "where",
    "window",
    "with",
];

/// Names that are devices on Windows, with any extension.
const DEVICES: &[&str] = &[
    "aux", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "con", "lpt1", "lpt2", "lpt3",
    "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9", "nul", "prn",
];

/// The longest name, in letters: file names hold 255 bytes, and ours are not alone in them.
const MAX_LETTERS: usize = 60;

/// What keeps a name from being used bare in SQL and as a file's name everywhere, Windows included; with a help line.
pub fn unusable(name: &str) -> Option<(String, String)> {
    let lower = name.to_lowercase();
    let first = name.chars().next();
    let odd = name.chars().find(|letter| !(letter.is_alphanumeric() || *letter == '_'));
    let rename = || "choose another name".to_owned();
    if let Some(odd) = odd {
        let better: String = name.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '_' }).collect();
        let help = format!("write `{}`", better.trim_matches('_'));
        return Some((format!("`{name}` contains `{}`, expected letters, digits and `_`", odd.escape_default()), help));
    }
    if !first.is_some_and(|letter| letter.is_alphabetic() || letter == '_') {
        return Some((format!("`{name}` does not begin with a letter"), format!("write `_{name}`, or a word")));
    }
    if name.chars().count() > MAX_LETTERS {
        return Some((format!("a name has more than {MAX_LETTERS} letters"), "shorten it".to_owned()));
    }
    if SQL_WORDS.contains(&lower.as_str()) {
        return Some((format!("`{name}` is a word of SQL"), rename()));
    }
    if DEVICES.contains(&lower.as_str()) {
        return Some((format!("`{name}` is a device on Windows and cannot be a file's name"), rename()));
    }
    None
}

/// Reports a name that cannot be used, or that mixes alphabets. `what` is what the name is of: `source`.
pub fn check(name: &Spanned<String>, what: &str, problems: &mut Problems) {
    if let Some((message, help)) = unusable(name) {
        problems.error(code::INVALID_NAME, name.span, format!("{what} {message}")).help(help);
    }
    check_alphabet(name, what, Severity::Error, problems);
}

/// Reports a name that mixes Latin and Cyrillic letters that look the same.
pub fn check_alphabet(name: &Spanned<String>, what: &str, severity: Severity, problems: &mut Problems) {
    if let Some(odd) = odd_letters(name) {
        let message = format!("{what} `{}` mixes alphabets: {odd}", name.value);
        let diagnostic = Diagnostic::new(code::MIXED_ALPHABET, severity, name.span, message);
        problems.push(diagnostic).help("type the word again with one keyboard layout");
    }
}
