//! Secrets that stand in a file for everybody to read, and references to secrets that lead nowhere.

use crate::pipeline::Pipeline;
use crate::{Node, Value};
use obmen_diagnostics::{Problems, code};

/// Parts of keys whose values are secrets.
const SECRET: &[&str] = &["password", "passwd", "passphrase", "token", "secret", "api_key", "apikey", "private_key"];
/// Ends of keys that speak about a secret instead of holding one.
const ABOUT: &[&str] = &["_url", "_file", "_path", "_name", "_field", "_header", "_column", "_lifetime", "_ttl"];

/// Options of sources and sinks.
pub(super) fn check_options(pipeline: &Pipeline, problems: &mut Problems) {
    let sources = pipeline.sources.iter().map(|(_, source)| &source.options);
    sources.chain(pipeline.sinks.iter().map(|(_, sink)| &sink.options)).for_each(|options| check(options, problems));
}

/// Whether the value of a key is a secret: `password`, `client_secret`; not `token_url`.
pub(crate) fn is_secret_key(key: &str) -> bool {
    let key = key.to_lowercase().replace('-', "_");
    SECRET.iter().any(|word| key.contains(word)) && !ABOUT.iter().any(|end| key.ends_with(end))
}

/// Reports secrets in plain text anywhere below a node, and `${…}` that is neither `${env:NAME}` nor `${secret:name}`.
pub(super) fn check(node: &Node, problems: &mut Problems) {
    match &node.value {
        Value::Null => {}
        Value::List(list) => list.iter().for_each(|node| check(node, problems)),
        Value::Map(map) => {
            for (key, value) in &map.entries {
                if let Some(text) = value.as_str()
                    && is_secret_key(key)
                    && !text.is_empty()
                    && !text.contains("${")
                    && !matches!(text, "true" | "false")
                {
                    problems
                        .warning(code::PLAIN_SECRET, key.span, format!("`{}` is written in plain text", key.value))
                        .help(format!("write `{}: \"${{env:NAME}}\"` or `\"${{secret:name}}\"`", key.value));
                }
                check(value, problems);
            }
        }
        Value::Scalar(scalar) => {
            check_references(&scalar.text, node, problems);
            if has_password(&scalar.text) {
                problems
                    .warning(code::PLAIN_SECRET, node.span, "the address contains a password in plain text")
                    .help("take it out, and write it under a key of its own as `${env:NAME}` or `${secret:name}`");
            }
        }
    }
}

fn check_references(text: &str, node: &Node, problems: &mut Problems) {
    for (_, rest) in text.match_indices("${").filter_map(|(at, _)| Some((at, text.get(at + 2..)?))) {
        let inside = rest.split_once('}').map(|(inside, _)| inside);
        let good = inside.and_then(|inside| inside.split_once(':')).is_some_and(|(kind, name)| {
            let letters = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
            matches!(kind, "env" | "secret") && !name.is_empty() && name.chars().all(letters)
        });
        if !good {
            let shown = inside.map_or_else(|| "${".to_owned(), |inside| format!("${{{inside}}}"));
            problems
                .error(code::INVALID_VALUE, node.span, format!("`{shown}` does not say where the value comes from"))
                .help("write `${env:NAME}` for an environment variable, or `${secret:name}` for a secret");
        }
    }
}

/// Whether a text is an address with a password in it: `postgres://user:password@host`.
fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    let Some((user, _)) = authority.rsplit_once('@') else { return false };
    user.split_once(':').is_some_and(|(_, password)| !password.is_empty() && !password.contains("${"))
}
