//! What 1C, the web server before it, or anything in between says instead of rows.
//!
//! Five forms are known: JSON `odata.error`, Atom `m:error`, the application server's `exception`, web pages of 1C and
//! of web servers, and a login or maintenance page with status 200.

use crate::elements::Shape;
use obmen_sdk::http::Answer;
use obmen_sdk::{Error, ErrorKind};
use quick_xml::events::Event;
use serde_json::Value;

/// How much of an error's body is read.
const HEAD: usize = 64 << 10;
/// How much of its text is shown.
const SHOWN: usize = 400;

/// What can be done about a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cure {
    /// Nothing: the request itself is refused.
    Nothing,
    /// A smaller page.
    Smaller,
    /// A smaller page or, if there is none, the same again.
    SmallerOrAgain,
    /// The same again, after a pause.
    Again,
}

/// A failed request and what can be done about it.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// What to report.
    pub(crate) error: Error,
    /// What to try first.
    pub(crate) cure: Cure,
}

/// What was said.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// 1C spoke: its code (`-1` for errors of a configuration's own code, empty where there is none) and text.
    ByOneC { code: String, text: String },
    /// Somebody else spoke, or nobody.
    ByOthers { text: String },
}

impl Trouble {
    /// Of a request without an answer.
    pub(crate) fn of_request(error: Error) -> Self {
        let cure = match error.kind() {
            ErrorKind::Timeout => Cure::SmallerOrAgain,
            ErrorKind::Unavailable => Cure::Again,
            _ => Cure::Nothing,
        };
        Self { error, cure }
    }

    /// Of an answer that broke off or grew too large.
    pub(crate) fn of_body(error: Error) -> Self {
        let cure = match error.kind() {
            ErrorKind::Exhausted => Cure::Smaller,
            ErrorKind::Timeout | ErrorKind::Unavailable => Cure::SmallerOrAgain,
            _ => Cure::Nothing,
        };
        Self { error, cure }
    }

    /// Of something no attempt can mend.
    pub(crate) fn of_us(error: Error) -> Self {
        Self { error, cure: Cure::Nothing }
    }

    /// Of an answer with the status of a failure.
    pub(crate) async fn of_answer(mut answer: Answer) -> Self {
        let body = answer.head(HEAD).await;
        let said = understand(&body);
        let bare = answer.failure();
        let status = answer.status();
        let (kind, message) = match &said {
            Said::ByOneC { code, text } => by_1c(status, code, text, bare.kind()),
            Said::ByOthers { text } => by_others(status, text, &bare),
        };
        let cure = match (status, &said) {
            (429 | 503 | 406, _) => Cure::Again,
            (501 | 505, _) => Cure::Nothing,
            (500..=599, Said::ByOneC { .. }) => Cure::Smaller,
            (500..=599 | 408, Said::ByOthers { .. }) => Cure::SmallerOrAgain,
            _ => Cure::Nothing,
        };
        Self { error: Error::new(kind, message).with("url", answer.url()), cure }
    }

    /// Of an answer with status 200 that holds no rows.
    pub(crate) fn of_shape(shape: Shape, head: &[u8], url: &str) -> Self {
        let (kind, message, cure) = match (shape, understand(head)) {
            (Shape::Markup | Shape::Refusal, Said::ByOneC { code, text }) => {
                let (kind, message) = by_1c(200, &code, &text, ErrorKind::Unavailable);
                (kind, message, Cure::Smaller)
            }
            (Shape::Markup, Said::ByOthers { text }) => {
                let page = if text.is_empty() { String::new() } else { format!(" “{text}”") };
                let message = format!(
                    "a web page{page} came instead of data: a login or maintenance page stands before 1C, or `url` is not the publication"
                );
                (ErrorKind::Unavailable, message, Cure::Again)
            }
            (Shape::Truncated, _) => {
                (ErrorKind::Unavailable, "the answer ended in the middle".to_owned(), Cure::SmallerOrAgain)
            }
            (Shape::Refusal, _) => {
                (ErrorKind::InvalidData, "1C sent an error that cannot be read".to_owned(), Cure::Again)
            }
            (Shape::Wrong(what), _) => {
                let message = format!("the answer is not a list of rows: {what}");
                (ErrorKind::InvalidData, message, Cure::Again)
            }
        };
        Self { error: Error::new(kind, message).with("url", url), cure }
    }
}

/// Kind and message of what 1C said. Codes: vendor manual, section 17.4.10.
fn by_1c(status: u16, code: &str, text: &str, by_status: ErrorKind) -> (ErrorKind, String) {
    let kind = match code {
        "8" | "9" => ErrorKind::NotFound,
        "10" | "12" => ErrorKind::SchemaMismatch,
        "20" => ErrorKind::PermissionDenied,
        "0" | "3" | "11" | "21" => ErrorKind::Unsupported,
        _ => by_status,
    };
    let help = match (status, code) {
        (_, "20") => "; the user may not read some of the rows: give it rights to all rows of this object",
        (_, "8") => "; the object is not published: add it to the OData composition of the base",
        (401, _) => UNAUTHENTICATED,
        _ => "",
    };
    let code = if code.is_empty() { String::new() } else { format!(" (1C's code {code})") };
    (kind, format!("1C answered HTTP {status}: {text}{code}{help}"))
}

/// 1C answers 401 to a wrong password and to missing rights alike.
const UNAUTHENTICATED: &str = "; check the user and password, that the user has 1C:Enterprise authentication (that of the operating system does not count), and that it may read this object: 1C answers the same for missing rights";

fn by_others(status: u16, text: &str, bare: &Error) -> (ErrorKind, String) {
    let quoted = if text.is_empty() { String::new() } else { format!(": “{text}”") };
    match status {
        401 => (ErrorKind::Unauthenticated, format!("the login was refused with HTTP 401{quoted}{UNAUTHENTICATED}")),
        404 => {
            let message = format!(
                "the web server has nothing at this address (HTTP 404{quoted}); this is not an answer of 1C: check that `url` is the publication and that OData is on in it"
            );
            (ErrorKind::NotFound, message)
        }
        406 => (
            ErrorKind::Unavailable,
            format!("1C cannot start a session (HTTP 406{quoted}): perhaps no licence is free"),
        ),
        _ => (bare.kind(), format!("{}{quoted}", bare.message())),
    }
}

fn understand(body: &[u8]) -> Said {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with('{') {
        return json(text).unwrap_or(Said::ByOthers { text: String::new() });
    }
    if text.starts_with('<') {
        return atom(text).unwrap_or_else(|| page(text));
    }
    Said::ByOthers { text: one_line(text) }
}

/// `{"odata.error":{"code":"9","message":{"lang":"ru","value":"…"}}}` or `{"exception":{"descr":"…","inner":{…}}}`.
fn json(text: &str) -> Option<Said> {
    let body: Value = serde_json::from_str(text).ok()?;
    if let Some(error) = body.get("odata.error").or_else(|| body.get("error")) {
        let code = match error.get("code") {
            Some(Value::String(code)) => code.clone(),
            Some(Value::Number(code)) => code.to_string(),
            _ => String::new(),
        };
        let message = error.get("message")?;
        let text = message.get("value").unwrap_or(message).as_str()?;
        return Some(Said::ByOneC { code, text: one_line(text) });
    }
    let mut exception = body.get("exception")?;
    let mut texts = Vec::new();
    for _ in 0..8 {
        texts.extend(exception.get("descr").and_then(Value::as_str).filter(|text| !text.trim().is_empty()));
        match exception.get("inner") {
            Some(inner) if inner.is_object() => exception = inner,
            _ => break,
        }
    }
    Some(Said::ByOneC { code: String::new(), text: one_line(&texts.join(": ")) })
}

/// `<m:error><m:code>9</m:code><m:message>…</m:message></m:error>`.
fn atom(text: &str) -> Option<Said> {
    let mut reader = quick_xml::Reader::from_str(text);
    let (mut code, mut message, mut inside) = (String::new(), String::new(), String::new());
    let mut root = true;
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => {
                if std::mem::take(&mut root) && element.local_name().as_ref() != "error" {
                    return None;
                }
                element.local_name().as_ref().clone_into(&mut inside);
            }
            Event::Text(text) => match inside.as_str() {
                "code" => code.push_str(&text),
                "message" => message.push_str(&text),
                _ => {}
            },
            Event::GeneralRef(name) if inside == "message" => {
                let named = quick_xml::escape::resolve_predefined_entity(&name);
                let character = name.resolve_char_ref().ok().flatten();
                message.extend(character);
                message.push_str(named.unwrap_or(""));
            }
            Event::End(_) => inside.clear(),
            Event::Eof => break,
            _ => {}
        }
    }
    (!message.is_empty()).then(|| Said::ByOneC { code: code.trim().to_owned(), text: one_line(&message) })
}

/// A web page. 1C's own names the reason after "by reason:"; of others the title is enough.
fn page(text: &str) -> Said {
    let plain = without_tags(text);
    for mark in ["by reason:", "по причине:"] {
        if let Some((_, reason)) = plain.split_once(mark) {
            return Said::ByOneC { code: String::new(), text: one_line(reason) };
        }
    }
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|at| {
        let start = at + lower.get(at..)?.find('>')? + 1;
        let end = start + lower.get(start..)?.find("</title")?;
        text.get(start..end)
    });
    Said::ByOthers { text: one_line(title.unwrap_or("")) }
}

fn without_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut tag = false;
    for character in text.chars() {
        match character {
            '<' => tag = true,
            '>' if tag => {
                tag = false;
                plain.push(' ');
            }
            _ if tag => {}
            _ => plain.push(character),
        }
    }
    plain
}

/// One line of bounded length.
fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    let line = line.trim_end_matches('.');
    let mut short: String = line.chars().take(SHOWN).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_one_c(code: &str, text: &str) -> Said {
        Said::ByOneC { code: code.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn all_forms_of_errors_are_understood() {
        let json = r#"{"odata.error":{"code":"9","message":{"lang":"ru","value":"Экземпляр\n сущности не найден."}}}"#;
        assert_eq!(understand(json.as_bytes()), by_one_c("9", "Экземпляр сущности не найден"));
        let atom = r#"<?xml version="1.0"?><m:error xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"><m:code>8</m:code><m:message>Сущность &quot;X&quot; не найдена</m:message></m:error>"#;
        assert_eq!(understand(atom.as_bytes()), by_one_c("8", "Сущность \"X\" не найдена"));
        let exception = r#"{"exception":{"descr":"Ошибка","inner":{"descr":"Недостаточно памяти","inner":null}}}"#;
        assert_eq!(understand(exception.as_bytes()), by_one_c("", "Ошибка: Недостаточно памяти"));
        let page = "<html><body>1C:Enterprise 8 application error:<br/>Something\nby reason:<br/>Не найден <b>файл</b></body></html>";
        assert_eq!(understand(page.as_bytes()), by_one_c("", "Не найден файл"));
        let iis = "<!DOCTYPE html><html><head><title>404 - File or directory not found.</title></head></html>";
        assert_eq!(understand(iis.as_bytes()), Said::ByOthers { text: "404 - File or directory not found".to_owned() });
        assert_eq!(understand(b""), Said::ByOthers { text: String::new() });
    }

    #[test]
    fn the_recorded_errors_are_understood() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/samples/1c-odata/error_responses.json");
        let Ok(text) = std::fs::read_to_string(path) else {
            println!("skipped: no samples beside the checkout");
            return;
        };
        let recorded: Vec<Value> = serde_json::from_str(&text).unwrap();
        let codes: Vec<String> = recorded
            .iter()
            .map(|one| match understand(one["response_body"].to_string().as_bytes()) {
                Said::ByOneC { code, text } if !text.is_empty() => code,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(codes, ["8", "9", "14", "0", "6"]);
    }

    #[test]
    fn a_long_text_is_one_short_line() {
        let line = one_line(&"слово \r\n\t".repeat(500));
        assert!(line.chars().count() == SHOWN + 1 && line.ends_with('…') && !line.contains('\n'));
    }
}
