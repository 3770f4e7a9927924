//! What an analyst writes about a connection of this type, its sources and its sinks.

use crate::sql::Name;
use obmen_diagnostics::{Problems, Span, code};
use obmen_sdk::TimeSpan;
use obmen_spec::{Node, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::str::FromStr as _;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// A PostgreSQL database.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The address, like `postgres://exchange@billing.example:5432/billing`; the password stands in `password`. Instead
    /// of it, `host`, `port`, `database` and `user` can be written one by one.
    #[serde(default)]
    pub(crate) url: Option<String>,
    /// The server's name or address, or the folder of its socket, like `/var/run/postgresql`.
    #[serde(default)]
    pub(crate) host: Option<String>,
    /// The server's port, 5432 by default.
    #[serde(default)]
    pub(crate) port: Option<u16>,
    /// The database.
    #[serde(default)]
    pub(crate) database: Option<String>,
    /// The role. To read it needs `SELECT`, nothing more.
    #[serde(default)]
    pub(crate) user: Option<String>,
    /// The role's password, as `${env:NAME}` or `${secret:name}`.
    #[serde(default)]
    pub(crate) password: Option<String>,
    /// `require`: encrypted, and the server's certificate is verified. `prefer` (default): encrypted if the server offers
    /// it; the certificate is verified only if `ca` says by what. `off`: never encrypted.
    #[serde(default)]
    pub(crate) tls: Tls,
    /// A file with certificates (PEM) that the server's is verified by, instead of those the machine trusts. Relative to
    /// `obmen.yaml`.
    #[serde(default)]
    pub(crate) ca: Option<String>,
    /// How long a connection may take to stand.
    #[serde(default = "default::connect_timeout")]
    pub(crate) connect_timeout: TimeSpan,
    /// How long the server may be silent, before and within an answer.
    #[serde(default = "default::timeout")]
    pub(crate) timeout: TimeSpan,
    /// How long one statement may take in all, reading a table to its end included. Without it the server's own limit
    /// holds.
    #[serde(default)]
    pub(crate) statement_timeout: Option<TimeSpan>,
    /// How many rows one load of a sink carries: they are written in one transaction.
    #[serde(default = "default::portion")]
    pub(crate) portion: usize,
    /// The table in which a sink remembers which loads it has committed, like `exchange.obmen_loads`. It is created when
    /// it is not there.
    #[serde(default = "default::loads_table")]
    pub(crate) loads_table: String,
}

/// Whether to encrypt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tls {
    /// Never.
    Off,
    /// If the server offers it.
    #[default]
    Prefer,
    /// Always, with a verified certificate.
    Require,
}

/// Defaults of [`Settings`].
mod default {
    use obmen_sdk::TimeSpan;

    pub(super) const fn connect_timeout() -> TimeSpan {
        TimeSpan::seconds(15)
    }

    pub(super) const fn timeout() -> TimeSpan {
        TimeSpan::seconds(300)
    }

    pub(super) const fn portion() -> usize {
        10_000
    }

    pub(super) fn loads_table() -> String {
        "obmen_loads".to_owned()
    }
}

/// What a source of a PostgreSQL database may say.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceOptions {
    /// A query of PostgreSQL's own SQL, read instead of a table; the entity is then only a name for messages. It runs
    /// in a read-only transaction.
    #[serde(default)]
    pub(crate) query: Option<String>,
}

/// What a sink into a PostgreSQL database may say.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SinkOptions {
    /// A column of type `boolean` that is set to true for rows that are gone (`deletes: mark`), and to false for rows
    /// that are written.
    #[serde(default)]
    pub(crate) deleted_column: Option<String>,
}

/// Where a database is, as settings say it; secrets in it are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// A name, an address, or a folder.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) user: String,
    /// A password that stood in a `url` that came from a secret.
    pub(crate) password: Option<Vec<u8>>,
}

impl Address {
    /// The address settings say. `url` and the others come with their secrets filled in.
    ///
    /// # Errors
    /// What is wrong, as a phrase that begins with the setting and repeats none of its text.
    pub(crate) fn of(settings: &Settings) -> Result<Self, String> {
        let Some(url) = &settings.url else {
            let required = |value: &Option<String>, name: &str| {
                value.clone().ok_or_else(|| format!("`{name}` or `url` is missing"))
            };
            return Ok(Self {
                host: required(&settings.host, "host")?,
                port: settings.port.unwrap_or(5432),
                database: required(&settings.database, "database")?,
                user: required(&settings.user, "user")?,
                password: None,
            });
        };
        for (name, written) in [
            ("host", settings.host.is_some()),
            ("port", settings.port.is_some()),
            ("database", settings.database.is_some()),
        ] {
            if written {
                return Err(format!("`{name}` is said twice: there is a `url` too"));
            }
        }
        Self::parse(url, settings.user.as_deref())
    }

    fn parse(url: &str, user: Option<&str>) -> Result<Self, String> {
        let wrong = "`url` is not an address like `postgres://user@host:5432/database`";
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(wrong.to_owned());
        }
        if url.contains('?') {
            return Err("`url` has parameters after `?`, write them as settings: `tls`, `timeout`, …".to_owned());
        }
        let config = Config::from_str(url).map_err(|_| wrong.to_owned())?;
        let host = match config.get_hosts() {
            [Host::Tcp(host)] => host.clone(),
            #[cfg(unix)]
            [Host::Unix(folder)] => folder.to_string_lossy().into_owned(),
            _ => return Err("`url` names no host or several, expected one".to_owned()),
        };
        let named = match (config.get_user(), user) {
            (Some(_), Some(_)) => return Err("`user` is said twice: `url` has one too".to_owned()),
            (one, other) => one.or(other),
        };
        Ok(Self {
            host,
            port: config.get_ports().first().copied().unwrap_or(5432),
            database: config.get_dbname().ok_or("`url` names no database")?.to_owned(),
            user: named.ok_or("`user` is missing, in `url` or beside it")?.to_owned(),
            password: config.get_password().map(<[u8]>::to_vec),
        })
    }
}

/// Reports settings that are wrong.
pub(crate) fn check(node: &Node, problems: &mut Problems) {
    let Some(settings) = obmen_spec::decode::decode::<Settings>(node, problems) else { return };
    let mut refuse = |key: &str, message: String| {
        problems.error(code::INVALID_SETTING, span_of(node, key), message);
    };
    let secret = settings.url.as_deref().is_some_and(|url| url.contains("${"));
    if !secret {
        match Address::of(&settings) {
            Err(phrase) => refuse(phrase.split('`').nth(1).unwrap_or("url"), phrase.clone()),
            Ok(Address { password: Some(_), .. }) => {
                refuse("url", "`url` has a password in it, write it as `password`".to_owned());
            }
            Ok(_) => {}
        }
    }
    if let Err(phrase) = Name::parse(&settings.loads_table) {
        refuse("loads_table", format!("`loads_table` is wrong: {phrase}"));
    }
    let zero = [
        ("connect_timeout", settings.connect_timeout.duration().is_zero()),
        ("timeout", settings.timeout.duration().is_zero()),
        ("statement_timeout", settings.statement_timeout.is_some_and(|time| time.duration().is_zero())),
        ("portion", settings.portion == 0),
    ];
    for (key, _) in zero.iter().filter(|(_, zero)| *zero) {
        refuse(key, format!("`{key}` is nothing, expected more"));
    }
    if settings.ca.is_some() && settings.tls == Tls::Off {
        refuse("ca", "`ca` verifies nothing: `tls` is `off`".to_owned());
    }
}

/// Reports source options and an entity that are wrong.
pub(crate) fn check_source(entity: &str, options: &Node, problems: &mut Problems) {
    let Some(decoded) = options_of::<SourceOptions>(options, problems) else { return };
    match decoded.query {
        None => check_entity(entity, options.span, problems),
        Some(query) if trimmed(&query).is_empty() => {
            problems.error(code::INVALID_SETTING, span_of(options, "query"), "`query` is empty");
        }
        Some(_) => {}
    }
}

/// Reports an entity that is no name of a table.
pub(crate) fn check_entity(entity: &str, span: Span, problems: &mut Problems) {
    if let Err(phrase) = Name::parse(entity) {
        problems.error(code::UNKNOWN_ENTITY, span, format!("`{entity}` is no name of a table: {phrase}"));
    }
}

/// Decodes options; nothing written means all defaults.
pub(crate) fn options_of<T: DeserializeOwned + Default>(options: &Node, problems: &mut Problems) -> Option<T> {
    if options.value == Value::Null {
        return Some(T::default());
    }
    obmen_spec::decode::decode(options, problems)
}

/// A query without the semicolon people end it with.
pub(crate) fn trimmed(query: &str) -> &str {
    query.trim().trim_end_matches(';').trim_end()
}

/// Where the value of a key stands; the whole node without it.
fn span_of(node: &Node, key: &str) -> Span {
    node.as_map().and_then(|map| map.get(key)).map_or(node.span, |value| value.span)
}
