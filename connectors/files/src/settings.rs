//! Settings of a connection, a source and a sink.

use obmen_diagnostics::{Problems, Span, code};
use obmen_formats::Format;
use obmen_sdk::{Error, ErrorKind, Result, TimeSpan};
use obmen_spec::{Map, Node, Value, decode};
use obmen_storage::StoreSettings;
use serde::Deserialize;

/// Rows of a load at most, where nothing else is said.
const PORTION_ROWS: usize = 10_000;

/// Settings of a `files` connection, as the manual shows them.
#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "only its schema is used: `Settings` reads its two parts apart, for exact places")]
pub(crate) struct Manual {
    /// The folder with the files, relative to `obmen.yaml`. Sinks create it. For CommerceML it may be a
    /// single file or a pattern like `exchange/import*.xml`. Or a place in an object store: `s3://bucket/folder`,
    /// `az://container/folder`, `gs://bucket/folder`; or on a web server, to be read only: `https://host/folder`.
    path: String,
    /// Rows one file of changes has at most; 10 000 by default.
    portion_rows: Option<usize>,
    #[schemars(flatten)]
    store: StoreSettings,
    #[schemars(flatten)]
    format: Format,
}

/// Settings of a source, as the manual shows them.
#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "only its schema is used: the parts are read apart, for exact places")]
pub(crate) struct SourceManual {
    /// The folder of this source, instead of the connection's; `"$dir"` with a var `dir` lets a run name it.
    /// Relative to `obmen.yaml`, or to the current folder if there is no such folder beside it; in a store, to the
    /// connection's `path`.
    path: Option<String>,
    #[schemars(flatten)]
    format: Format,
}

/// Settings of a sink, as the manual shows them.
#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "only its schema is used: the parts are read apart, for exact places")]
pub(crate) struct SinkManual {
    #[schemars(flatten)]
    format: Format,
    #[schemars(flatten)]
    commerceml: obmen_formats::commerceml::SinkOptions,
}

/// What is said beside the format.
#[derive(Deserialize)]
struct Own {
    path: String,
    portion_rows: Option<usize>,
}

/// Settings of a `files` connection.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The folder or address; may contain `${env:…}`.
    pub(crate) path: String,
    pub(crate) portion_rows: usize,
    pub(crate) store: StoreSettings,
    pub(crate) format: Format,
}

/// How files arrive (`changes: inbox`).
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InboxSettings {
    /// The folder files arrive in, relative to the connection's `path`; that itself by default.
    pub(crate) path: Option<String>,
    /// How long a file must not have changed before it is taken; `5s` by default, in an object store `0s`.
    pub(crate) ready_after: Option<TimeSpan>,
    /// A file that says that another one is complete, like `{name}.ok`: then only files that have one
    /// are taken, at once. `{name}` is the file's name, `{stem}` the name without its extension.
    pub(crate) marker: Option<String>,
    /// Where files go that were taken, relative to the inbox; `done` by default.
    pub(crate) done: Option<String>,
    /// Where files go that cannot be read at all, each with a page that says why; `bad` by default.
    pub(crate) bad: Option<String>,
    /// How long files stay in `done`, like `90d`; for ever by default.
    pub(crate) keep: Option<TimeSpan>,
}

impl Settings {
    /// Reads settings, reporting every mistake. `None` if anything was wrong.
    pub(crate) fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Some((own, rest)) = decode::split(node, &["path", "portion_rows"]) else {
            problems.error(code::MISSING_FIELD, node.span, "a `files` connection needs its `path`");
            return None;
        };
        let own_node = Node { span: node.span, value: Value::Map(own) };
        let own: Option<Own> = decode::decode(&own_node, problems);
        let (store, rest) = match decode::split(&rest, StoreSettings::KEYS) {
            Some((store, rest)) => (Node { span: node.span, value: Value::Map(store) }, rest),
            None => (Node { span: node.span, value: Value::Map(Map::default()) }, rest),
        };
        let store: Option<StoreSettings> = decode::decode(&store, problems);
        let format = decode_format(&rest, problems);
        let (own, store) = (own?, store?);
        let mut whole = true;
        if own.path.trim().is_empty() {
            problems.error(code::INVALID_SETTING, entry(&own_node, "path"), "`path` is empty, expected a folder");
            whole = false;
        }
        if own.portion_rows == Some(0) {
            let message = "`portion_rows` is 0, expected at least 1";
            problems.error(code::INVALID_SETTING, entry(&own_node, "portion_rows"), message);
            whole = false;
        }
        whole &= store.check(&own.path, node, problems);
        let format = format?;
        whole &= check_format(&format, node, node.span, problems);
        let portion_rows = own.portion_rows.unwrap_or(PORTION_ROWS);
        whole.then_some(Self { path: own.path, portion_rows, store, format })
    }
}

impl InboxSettings {
    /// Reads settings; nothing said means the defaults.
    ///
    /// # Errors
    /// `InvalidData` with every mistake.
    pub(crate) fn decode(node: &Node) -> Result<Self> {
        let mut problems = Problems::new();
        let settings: Self = match &node.value {
            Value::Null => Self::default(),
            Value::Map(map) if map.entries.is_empty() => Self::default(),
            _ => decode::decode(node, &mut problems).ok_or_else(|| as_error(&problems))?,
        };
        if let Some(marker) =
            settings.marker.as_deref().filter(|marker| !marker.contains("{name}") && !marker.contains("{stem}"))
        {
            let message =
                format!("the marker `{marker}` is the same for every file; write `{{name}}` or `{{stem}}` in it");
            return Err(Error::invalid_data(message));
        }
        Ok(settings)
    }
}

/// Reads what is said about the format; nothing said means the defaults.
pub(crate) fn decode_format(node: &Node, problems: &mut Problems) -> Option<Format> {
    match &node.value {
        Value::Null => Some(Format::default()),
        Value::Map(map) if map.entries.is_empty() => Some(Format::default()),
        _ => decode::decode(node, problems),
    }
}

/// Splits the folder of a source's own from its other options.
pub(crate) fn split_path(options: &Node) -> (Option<String>, Node) {
    match decode::split(options, &["path"]) {
        Some((own, rest)) => (own.get("path").and_then(Node::as_str).map(str::to_owned), rest),
        None => (None, options.clone()),
    }
}

/// Splits options of a sink into those of the format and all others.
pub(crate) fn split_format(options: &Node) -> (Node, Node) {
    let empty = |span: Span| Node { span, value: Value::Map(Map::default()) };
    match decode::split(options, Format::KEYS) {
        Some((format, rest)) => (Node { span: options.span, value: Value::Map(format) }, rest),
        None if options.value == Value::Null => (empty(options.span), empty(options.span)),
        None => (options.clone(), empty(options.span)),
    }
}

/// Reports settings that contradict each other. Whether none do.
pub(crate) fn check_format(format: &Format, node: &Node, otherwise: Span, problems: &mut Problems) -> bool {
    let Some(message) = format.contradiction() else { return true };
    let keys = ["thousands", "decimal", "quote", "delimiter"];
    let map = node.as_map();
    let place = keys.iter().find_map(|key| map.and_then(|map| map.get(key))).map_or(otherwise, |node| node.span);
    problems.error(code::INVALID_SETTING, place, message);
    false
}

/// Mistakes as an error, for the rare case that nobody has checked before.
pub(crate) fn as_error(problems: &Problems) -> Error {
    let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    Error::new(ErrorKind::InvalidData, messages.join("; "))
}

/// The place of options, or of the settings where there are none.
pub(crate) fn place(options: &Node, settings: &Node) -> Span {
    if options.span.start == options.span.end { settings.span } else { options.span }
}

fn entry(node: &Node, key: &str) -> Span {
    node.as_map().and_then(|map| map.get(key)).map_or(node.span, |value| value.span)
}
