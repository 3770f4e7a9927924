//! What the command line reads of its surroundings: variables, secrets, the clock. Nothing else in Obmen does.

use crate::arguments::Language;
use chrono::{DateTime, Utc};
use obmen_sdk::{Error, ErrorKind, Result, Secret, Secrets};
use std::path::{Path, PathBuf};

/// The value of a variable; `None` if it is not set or not text.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The time now.
#[expect(clippy::disallowed_methods, reason = "the run's clock is wound here")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The language of messages: as asked, or `OBMEN_LANG`.
pub(crate) fn language(asked: Option<Language>) -> Language {
    let wished = || match variable("OBMEN_LANG").as_deref() {
        Some("ru") => Language::Ru,
        _ => Language::En,
    };
    asked.unwrap_or_else(wished)
}

/// `${env:NAME}`: the environment variable `NAME`. `${secret:name}`: the variable `OBMEN_SECRET_NAME` (the name in capitals,
/// `-` and `.` as `_`), or else the file `name` in the folder `OBMEN_SECRETS` (default: `.secrets` beside `obmen.yaml`),
/// without the line break at its end.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    folder: PathBuf,
    variable: fn(&str) -> Option<String>,
}

impl Environment {
    /// The environment of a project.
    pub(crate) fn of(project: &Path) -> Self {
        let folder = variable("OBMEN_SECRETS").map_or_else(|| project.join(".secrets"), PathBuf::from);
        Self { folder, variable }
    }

    fn lookup(&self, reference: &str) -> Result<String> {
        match reference.split_once(':') {
            Some(("env", name)) => (self.variable)(name)
                .ok_or_else(|| missing(reference, format!("the environment variable {name} is not set"))),
            Some(("secret", name)) => self.secret(reference, name),
            _ => {
                let message = "write `${env:NAME}` for an environment variable, or `${secret:name}` for a secret";
                Err(Error::invalid_data(message).with("setting", format!("${{{reference}}}")))
            }
        }
    }

    fn secret(&self, reference: &str, name: &str) -> Result<String> {
        let letters = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
        if name.is_empty() || name.starts_with('.') || !name.chars().all(letters) {
            let message = "a secret's name has letters, digits, `_`, `-` and `.` only";
            return Err(Error::invalid_data(message).with("setting", format!("${{{reference}}}")));
        }
        let variable = format!("OBMEN_SECRET_{}", name.to_uppercase().replace(['-', '.'], "_"));
        if let Some(value) = (self.variable)(&variable) {
            return Ok(value);
        }
        let file = self.folder.join(name);
        match std::fs::read_to_string(&file) {
            Ok(text) => Ok(text.trim_start_matches('\u{feff}').trim_end_matches(['\n', '\r']).to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let message =
                    format!("there is no secret `{name}`: write it into {}, or set {variable}", file.display());
                Err(missing(reference, message))
            }
            Err(error) => {
                let message = format!("secret `{name}` cannot be read from {}: {error}", file.display());
                Err(Error::new(ErrorKind::PermissionDenied, message).with("setting", format!("${{{reference}}}")))
            }
        }
    }
}

fn missing(reference: &str, message: String) -> Error {
    Error::new(ErrorKind::NotFound, message).with("setting", format!("${{{reference}}}"))
}

impl Secrets for Environment {
    fn resolve(&self, text: &str) -> Result<Secret> {
        let mut whole = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (reference, after) = after
                .split_once('}')
                .ok_or_else(|| Error::invalid_data("a `${` is not closed by `}`").with("setting", "${"))?;
            whole.push_str(before);
            whole.push_str(&self.lookup(reference)?);
            rest = after;
        }
        whole.push_str(rest);
        Ok(Secret::new(whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(folder: &Path) -> Environment {
        let variable = |name: &str| match name {
            "TRADE_PASSWORD" => Some("${env:OTHER}".to_owned()),
            "OBMEN_SECRET_SHOP_MAIN" => Some("from a variable".to_owned()),
            _ => None,
        };
        Environment { folder: folder.to_owned(), variable }
    }

    #[test]
    fn references_are_replaced_once_wherever_they_stand() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("trade"), "\u{feff}пароль \r\n").unwrap();
        let environment = given(folder.path());
        let cases = [
            ("plain", "plain"),
            ("a ${env:TRADE_PASSWORD} b", "a ${env:OTHER} b"),
            ("${secret:trade}", "пароль "),
            ("${secret:shop-main}${secret:shop.main}", "from a variablefrom a variable"),
        ];
        for (text, expected) in cases {
            assert_eq!(environment.resolve(text).unwrap().expose(), expected);
        }
    }

    #[test]
    fn what_is_missing_is_named_and_what_is_there_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let environment = given(folder.path());
        let cases = [
            ("${env:TRADE_PASSWORD} ${env:NOPE}", "NOPE"),
            ("${secret:nope}", "OBMEN_SECRET_NOPE"),
            ("${secret:../passwd}", "letters"),
            ("${secret:.hidden}", "letters"),
            ("${vault:x}", "${env:NAME}"),
            ("${env:TRADE_PASSWORD", "not closed"),
        ];
        for (text, expected) in cases {
            let error = environment.resolve(text).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!format!("{error:?}").contains("OTHER"));
            assert!(error.context().iter().any(|(key, value)| *key == "setting" && value.starts_with("${")));
        }
    }
}
