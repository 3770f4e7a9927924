//! Tree → typed values: every mistake in one go, at its place, in human words.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use obmen_diagnostics::{Files, Problems, Spanned};
use obmen_spec::{decode::decode, yaml};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: Spanned<String>,
    timeout: Option<Seconds>,
    #[serde(default)]
    batch_rows: u32,
    mode: Mode,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    auth: Option<Auth>,
    #[serde(default)]
    retries: Vec<Spanned<u8>>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(try_from = "String")]
struct Seconds(u64);

impl TryFrom<String> for Seconds {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let number = text.strip_suffix('s').and_then(|number| number.parse().ok());
        number.map(Self).ok_or_else(|| format!("expected a time like `30s`, found `{text}`"))
    }
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Full,
    Changes,
    Window { days: u32 },
}

#[derive(Debug, Deserialize, PartialEq)]
struct Auth {
    user: String,
    password: String,
}

fn run<T: serde::de::DeserializeOwned>(text: &str) -> (Option<T>, Vec<String>) {
    let (mut files, mut problems) = (Files::new(), Problems::new());
    let file = files.add("a.yaml", text);
    let node = yaml::parse(file, text, &mut problems).unwrap();
    let value = decode(&node, &mut problems);
    let found = problems
        .iter()
        .map(|found| format!("{} at `{}`: {}", found.code.name, files.slice(found.span().unwrap()), found.message));
    (value, found.collect())
}

#[test]
fn a_whole_value_is_read() {
    let text = "url: http://x\ntimeout: 30s\nmode: {window: {days: 3}}\nheaders: {X: 1.50}\nretries: [1, 2]\n";
    let (value, found) = run::<Settings>(text);
    assert_eq!(found, [""; 0]);
    let value = value.unwrap();
    assert_eq!(value.url.span.range(), 5..13);
    assert_eq!(value.timeout, Some(Seconds(30)));
    assert_eq!(value.mode, Mode::Window { days: 3 });
    assert_eq!(value.headers["X"], "1.50", "digits are kept");
    assert_eq!(value.retries[1].span.start, 85);
}

#[test]
fn all_mistakes_are_found_at_once() {
    let text = "ulr: http://x\ntimeout: скоро\nbatch_rows: many\nmode: ful\nheaders: [a]\nauth: {user: [1], pasword: x, да: 1}\nretries: [1, 300, -1, x]\n";
    let (value, found) = run::<Settings>(text);
    assert!(value.is_none());
    let mut found = found;
    found.sort();
    assert_eq!(
        found,
        [
            "invalid-value at `-1`: `-1` is negative, expected 0 or more",
            "invalid-value at `300`: `300` does not fit, expected 0 to 255",
            "invalid-value at `скоро`: expected a time like `30s`, found `скоро`",
            "unknown-field at `pasword`: unknown field `pasword`",
            "unknown-field at `ulr`: unknown field `ulr`",
            "unknown-field at `да`: unknown field `да`",
            "unknown-word at `ful`: unknown word `ful`, expected `full`, `changes` or `window`",
            "wrong-type at `[1]`: expected a text, found a list",
            "wrong-type at `[a]`: expected a mapping, found a list",
            "wrong-type at `many`: expected a whole number, found `many`",
            "wrong-type at `x`: expected a whole number, found `x`",
        ]
    );
}

#[test]
fn every_missing_field_is_named() {
    let (_, found) = run::<Settings>("batch_rows: 1\nauth: {}\n");
    assert_eq!(
        found,
        [
            "missing-field at `{}`: `user` is missing",
            "missing-field at `{}`: `password` is missing",
            "missing-field at `batch_rows`: `url` is missing",
            "missing-field at `batch_rows`: `mode` is missing",
        ]
    );
}

#[test]
fn the_root_may_be_wrong_too() {
    assert_eq!(run::<Settings>("[1]\n").1, ["wrong-type at `[1]`: expected a mapping with fields, found a list"]);
    assert_eq!(run::<Settings>("").1, ["wrong-type at ``: expected a mapping with fields, found nothing"]);
    assert_eq!(run::<u8>("'5'").1, ["wrong-type at `'5'`: expected a whole number, found the text `5`"]);
    assert_eq!(run::<bool>("yes").1, ["wrong-type at `yes`: expected `true` or `false`, found `yes`"]);
}

#[test]
fn enums_say_what_they_need() {
    let one = |text: &str| run::<Mode>(text).1.join("; ");
    assert_eq!(one("window"), "wrong-type at `window`: `window` needs a value");
    assert_eq!(one("{full: 1}"), "wrong-type at `{full: 1}`: `full` takes no value");
    assert_eq!(one("{window: {days: x}}"), "wrong-type at `x`: expected a whole number, found `x`");
    assert_eq!(one("{window: {}}"), "missing-field at `{}`: `days` is missing");
    assert_eq!(one("[1]"), "wrong-type at `[1]`: expected `full`, `changes` or `window`, found a list");
}

#[test]
fn the_same_mistake_through_two_aliases_is_said_once_per_place() {
    let (_, found) = run::<BTreeMap<String, u8>>("a: &a x\nb: *a\n");
    assert_eq!(found.len(), 2, "{found:?}");
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Tagged {
    One {
        #[expect(dead_code, reason = "only read")]
        size: u32,
    },
}

#[test]
fn buffered_types_end_with_a_place_as_well() {
    let one = |text: &str| run::<Vec<Tagged>>(text).1.join("; ");
    assert_eq!(one("[{kind: one, size: 1}]"), "");
    assert_eq!(one("[{kind: two}]"), "unknown-word at `two`: unknown word `two`, expected `one`");
    assert_eq!(
        one("[{kind: one, size: x}]"),
        "wrong-type at `{kind: one, size: x}`: expected a whole number, found `x`"
    );
    assert_eq!(one("[{kind: one}]"), "missing-field at `kind`: `size` is missing");
    assert_eq!(one("[{size: 1}]"), "missing-field at `size`: `kind` is missing");
}

#[test]
fn any_json_is_read() {
    let (value, found) = run::<serde_json::Value>("{a: [1, -2, true, null, текст, '5', 1.5]}");
    assert_eq!(found, [""; 0]);
    assert_eq!(value.unwrap().to_string(), r#"{"a":[1,-2,true,null,"текст","5",1.5]}"#);
}
