//! `segments` of a profile: the object store that keeps the files of baselines, mirrors and plans.

use obmen_diagnostics::{Problems, code};
use obmen_sdk::{Error, ErrorKind, Result, Secrets, Stop};
use obmen_spec::{Map, Node, Value, decode};
use obmen_storage::{Bucket, Place, Scheme, StoreSettings};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;

/// What errors name as the setting that is wrong. It begins as a reference to a secret does: what is wrong in the text
/// itself `validate` finds, so what is left came through such references, and the configuration is invalid.
pub(crate) const SETTING: &str = "${…} in segments";

/// What `segments` says, as the manual shows it.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used: the two parts are read apart, for exact places")]
struct Manual {
    /// Where the files go: `s3://bucket/folder`, `az://container/folder` or `gs://bucket/folder`. Other files there are
    /// left alone.
    path: String,
    #[schemars(flatten)]
    store: StoreSettings,
}

/// What is said beside how the store is reached.
#[derive(Deserialize)]
struct Own {
    path: String,
}

/// What `segments` says.
#[derive(Clone, Debug)]
pub(crate) struct Segments {
    path: String,
    store: StoreSettings,
}

/// The shape of `segments`, for editors.
pub fn schema() -> Schema {
    schemars::schema_for!(Manual)
}

impl Segments {
    /// Reads settings, reporting every mistake. `None` if anything was wrong.
    pub(crate) fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let (own, rest) = decode::split(node, &["path"])?;
        let at = own.get("path").map_or(node.span, |path| path.span);
        let own: Option<Own> = decode::decode(&Node { span: node.span, value: Value::Map(own) }, problems);
        let store: Option<StoreSettings> = match &rest.value {
            Value::Map(Map { entries }) if entries.is_empty() => Some(StoreSettings::default()),
            _ => decode::decode(&rest, problems),
        };
        let Own { path } = own?;
        let phrase = writable(&path).err();
        if let Some(phrase) = &phrase {
            problems.error(code::INVALID_SETTING, at, phrase.clone()).help(
                "write `s3://bucket/folder`, `az://container/folder` or `gs://bucket/folder`, or leave `segments` out",
            );
        }
        let store = store.filter(|_| phrase.is_none())?;
        store.check(&path, node, problems).then_some(Self { path, store })
    }

    /// The place itself. Connects to nothing yet.
    ///
    /// # Errors
    /// `NotFound` for a secret that is not set, `InvalidData` for an address or login that cannot be.
    pub(crate) fn open(&self, secrets: &dyn Secrets) -> Result<Bucket> {
        let path = secrets.resolve(&self.path)?;
        let options = self.store.resolve(secrets)?;
        let wrong = |phrase: String| {
            Error::new(ErrorKind::InvalidData, format!("`segments`: {phrase}")).with("setting", SETTING)
        };
        writable(path.expose()).map_err(wrong)?;
        let place = Place::parse(path.expose()).map_err(wrong)?;
        let place = place.ok_or_else(|| wrong("it is no store".to_owned()))?;
        // What was acked is written down also when the run is to stop: a wish to stop ends no request here.
        Bucket::open(place, &options, &Stop::default()).map_err(|error| error.with("setting", SETTING))
    }
}

/// Says what is wrong with a path where files are to be kept. One with variables is looked at when they are known.
fn writable(path: &str) -> Result<(), String> {
    if path.contains("${") {
        return Ok(());
    }
    match Scheme::of(path)? {
        Some(Scheme::Http) => Err("a web server can only be read, expected an object store".to_owned()),
        Some(_) => Ok(()),
        None => Err("`path` is a folder of this machine, expected an object store".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use obmen_diagnostics::Files;
    use obmen_spec::yaml;

    fn mistakes(text: &str) -> Vec<String> {
        let mut problems = Problems::new();
        let file = Files::new().add("obmen.yaml", text);
        let node = yaml::parse(file, text, &mut problems).unwrap();
        let read = Segments::decode(&node, &mut problems);
        assert_eq!(read.is_none(), problems.has_errors(), "{problems:?}");
        problems.iter().map(|problem| problem.message.clone()).collect()
    }

    #[test]
    fn stores_that_can_be_written_are_taken() {
        for text in [
            "{ path: 's3://bucket/trade', user: k, password: '${env:WORD}', region: ru-1 }",
            "{ path: 'az://c', user: account, token: '${secret:sas}', timeout: 1m }",
            "{ path: 'gs://b/x', password: '${secret:robot}' }",
            "{ path: '${env:WHERE}' }",
        ] {
            assert_eq!(mistakes(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn what_cannot_keep_files_is_refused_at_once() {
        for (text, expected) in [
            ("{ path: 'https://host/x' }", "a web server can only be read"),
            ("{ path: '../state' }", "is a folder of this machine"),
            ("{ path: 'ftp://host/x' }", "`ftp://` is no store"),
            ("{ path: 's3://' }", "has no bucket"),
            ("{ path: 's3://b', user: k }", "needs `user` and `password` together"),
            ("{ path: 's3://b', user: k, password: hunter2 }", "`password` is written out"),
            ("{ path: 's3://b', endpont: 'https://x' }", "unknown field `endpont`"),
            ("{ path: 's3://b', endpoint: 'http://x' }", "everything travels in the open"),
        ] {
            let found = mistakes(text);
            assert!(found.len() == 1 && found[0].contains(expected), "{text}: {found:?}");
            assert!(!found[0].contains("hunter2"));
        }
    }
}
