//! What a shop's answer says.
//!
//! Answers are text: the first line is the result, the others are for people. Shops put a BOM before it, answer in
//! windows-1251 whatever they say, or print an HTML page of an error with the status 200.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1251};

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Done; the lines after the first.
    Success(Vec<String>),
    /// Not done yet; the message, for people.
    Progress(String),
    /// Refused; the message, for people.
    Failure(String),
    /// None of the three: the beginning of what it says.
    Other(String),
}

/// What a shop wants of an exchange: the answer to `init`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// Everything in one archive.
    pub(crate) zip: bool,
    /// Bytes one request may carry; `None`: any number.
    pub(crate) file_limit: Option<usize>,
}

impl Reply {
    /// Reads an answer.
    pub(crate) fn read(text: &str, lenient: bool) -> Self {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let look = if lenient { 3 } else { 1 };
        let words = ["success", "progress", "failure"];
        let found = lines.iter().take(look).position(|line| words.contains(&line.to_lowercase().as_str()));
        let Some(at) = found else { return Self::Other(summary(text)) };
        let rest = lines.get(at + 1..).unwrap_or_default();
        match lines.get(at).map(|line| line.to_lowercase()).as_deref() {
            Some("success") => Self::Success(rest.iter().map(|line| (*line).to_owned()).collect()),
            Some("progress") => Self::Progress(summary(&rest.join(" "))),
            _ => Self::Failure(summary(&rest.join(" "))),
        }
    }
}

impl Wishes {
    /// Reads the answer to `init`: `key=value` lines in any order, unknown ones ignored; `file_limit` of 0 or none
    /// means that files need not be split. `None` if there is no such line at all.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut wishes = Self::default();
        let mut understood = false;
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key.trim().to_lowercase().as_str() {
                "zip" => wishes.zip = value.trim().eq_ignore_ascii_case("yes"),
                "file_limit" => wishes.file_limit = value.trim().parse().ok().filter(|limit| *limit > 0),
                _ => continue,
            }
            understood = true;
        }
        understood.then_some(wishes)
    }
}

/// The text of an answer: without a BOM, in the charset it says, or in windows-1251 or UTF-8 where that leaves holes.
pub(crate) fn decode(bytes: &[u8], content_type: Option<&str>) -> String {
    let bytes = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(bytes);
    let said = content_type.and_then(charset).unwrap_or(UTF_8);
    [said, UTF_8, WINDOWS_1251]
        .into_iter()
        .find_map(|encoding| encoding.decode_without_bom_handling_and_without_replacement(bytes))
        .map_or_else(|| String::from_utf8_lossy(bytes).into_owned(), std::borrow::Cow::into_owned)
}

fn charset(content_type: &str) -> Option<&'static Encoding> {
    let parameters = content_type.split(';').skip(1).filter_map(|part| part.split_once('='));
    let (_, label) = parameters.into_iter().find(|(key, _)| key.trim().eq_ignore_ascii_case("charset"))?;
    Encoding::for_label(label.trim().trim_matches('"').as_bytes())
}

/// One short line of a text, tags of HTML left out.
fn summary(text: &str) -> String {
    const MOST: usize = 300;
    let mut in_tag = false;
    let without_tags: String = text
        .chars()
        .take(20_000)
        .map(|c| {
            let was_in_tag = in_tag;
            in_tag = c == '<' || (in_tag && c != '>');
            if in_tag || was_in_tag || c.is_control() { ' ' } else { c }
        })
        .collect();
    let line = without_tags.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(MOST).collect();
    if line.chars().count() > MOST { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_real_shops() {
        let read = |text| Reply::read(text, false);
        assert_eq!(read("success\r\nИмпорт завершен\r\n"), Reply::Success(vec!["Импорт завершен".into()]));
        assert_eq!(read("Progress\nВыгружено: 120 из 900"), Reply::Progress("Выгружено: 120 из 900".into()));
        assert_eq!(read("failure\n<b>нет</b>\nправ"), Reply::Failure("нет прав".into()));
        assert_eq!(read("Error: Unknown mode."), Reply::Other("Error: Unknown mode.".into()));
        assert_eq!(read(""), Reply::Other(String::new()));
        let noisy = "\nNotice: Undefined index in a.php\nsuccess\n";
        assert!(matches!(read(noisy), Reply::Other(_)));
        assert_eq!(Reply::read(noisy, true), Reply::Success(Vec::new()));
    }

    #[test]
    fn init_in_any_order_with_anything_else() {
        let wishes = |zip, file_limit| Some(Wishes { zip, file_limit });
        assert_eq!(Wishes::read("zip=yes\nfile_limit=204800"), wishes(true, Some(204_800)));
        assert_eq!(Wishes::read("file_limit=0\r\nversion=3.1\r\nzip=no\r\nsessid=1"), wishes(false, None));
        assert_eq!(Wishes::read("zip=no"), wishes(false, None));
        assert_eq!(Wishes::read("<html>"), None);
    }

    #[test]
    fn bytes_to_text() {
        let (cp1251, _, _) = WINDOWS_1251.encode("progress\nШаг");
        assert_eq!(decode(&cp1251, Some("text/html; charset=windows-1251")), "progress\nШаг");
        assert_eq!(decode(&cp1251, Some("text/html; charset=UTF-8")), "progress\nШаг");
        assert_eq!(decode("\u{feff}success".as_bytes(), None), "success");
    }
}
