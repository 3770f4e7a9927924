//! What an analyst writes about a connection of this type and about its sources.

use obmen_diagnostics::{Problems, Span, code};
use obmen_sdk::http::Address;
use obmen_sdk::{ByteSize, TimeSpan};
use obmen_spec::{Node, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A base of 1C:Enterprise 8.3 that is published with its standard OData interface.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The address of the publication, as in a browser: `https://server/trade`. `/odata/standard.odata` is added unless
    /// it is there.
    pub(crate) url: String,
    /// A user of the base with 1C:Enterprise authentication (that of the operating system does not count) and the right
    /// to read what the pipelines read.
    pub(crate) user: String,
    /// The user's password, as `${env:NAME}` or `${secret:name}`. Empty if the user has none.
    pub(crate) password: String,
    /// A file with certificates (PEM) to trust besides the public ones, for a server with a certificate of the
    /// company's own. Relative to `obmen.yaml`.
    #[serde(default)]
    pub(crate) certificates: Option<String>,
    /// How long 1C may be silent before and within an answer. A page that takes longer is asked for again with fewer
    /// rows. The first request after a quiet time and totals of registers can take minutes.
    #[serde(default = "default::timeout")]
    pub(crate) timeout: TimeSpan,
    /// How long a connection to the server may take.
    #[serde(default = "default::connect_timeout")]
    pub(crate) connect_timeout: TimeSpan,
    /// How often a failed request is tried again, with growing pauses.
    #[serde(default = "default::retries")]
    pub(crate) retries: u32,
    /// Rows of the first page of a read. It shows how large rows are; further pages have as many rows as fit.
    #[serde(default = "default::first_page_rows")]
    pub(crate) first_page_rows: usize,
    /// Rows a page has at most. What fits into one page is read as one state of the base, so that rows that are gone
    /// can be told; with more pages it cannot.
    #[serde(default = "default::page_rows")]
    pub(crate) page_rows: usize,
    /// How large an answer with one page should be. Larger pages mean fewer requests and more memory and disk used on
    /// 1C's server.
    #[serde(default = "default::page_bytes")]
    pub(crate) page_bytes: ByteSize,
    /// How large an answer with one page may be; a larger one is broken off and asked for again with fewer rows.
    /// Virtual tables, which come in one answer, are not limited: they are never held whole.
    #[serde(default = "default::page_bytes_max")]
    pub(crate) page_bytes_max: ByteSize,
    /// Requests at the same time. Each takes a session of 1C, and maybe a licence.
    #[serde(default = "default::parallel")]
    pub(crate) parallel: usize,
    /// A rest before each request but the first, to leave 1C to its people.
    #[serde(default = "default::pause")]
    pub(crate) pause: TimeSpan,
}

/// Defaults of [`Settings`].
mod default {
    use obmen_sdk::{ByteSize, TimeSpan};

    pub(super) const fn timeout() -> TimeSpan {
        TimeSpan::seconds(300)
    }

    pub(super) const fn connect_timeout() -> TimeSpan {
        TimeSpan::seconds(60)
    }

    pub(super) const fn retries() -> u32 {
        4
    }

    pub(super) const fn first_page_rows() -> usize {
        50
    }

    pub(super) const fn page_rows() -> usize {
        1000
    }

    pub(super) const fn page_bytes() -> ByteSize {
        ByteSize::of(32 << 20)
    }

    pub(super) const fn page_bytes_max() -> ByteSize {
        ByteSize::of(256 << 20)
    }

    pub(super) const fn parallel() -> usize {
        1
    }

    pub(super) const fn pause() -> TimeSpan {
        TimeSpan::seconds(0)
    }
}

/// What a source of a 1C base may say.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceOptions {
    /// What a virtual table is asked for, by the names of 1C: `Period`, `StartPeriod`, `EndPeriod` (like
    /// `2024-01-31T23:59:59`), `Condition` (like `Валюта_Key eq guid'…'`), `Dimensions` (like `Склад,Номенклатура`).
    #[serde(default)]
    pub(crate) parameters: BTreeMap<String, String>,
    /// Where spaces at the end of texts are cut: 1C fills texts of fixed length with them.
    #[serde(default)]
    pub(crate) trim: Trim,
}

/// Where spaces at the end of texts are cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Trim {
    /// In the columns of the key.
    #[default]
    Key,
    /// In all columns.
    All,
    /// Nowhere.
    Nothing,
}

/// What 1C calls virtual tables.
pub(crate) const TABLES: [&str; 8] = [
    "SliceLast",
    "SliceFirst",
    "Balance",
    "Turnovers",
    "BalanceAndTurnovers",
    "DrCrTurnovers",
    "RecordsWithExtDimensions",
    "ExtDimensions",
];

/// What virtual tables can be given. `Order` and `Top` of `RecordsWithExtDimensions` are left out: the first is ignored
/// by 1C, the second gives an arbitrary part.
const PARAMETERS: [&str; 9] = [
    "Period",
    "StartPeriod",
    "EndPeriod",
    "Condition",
    "Dimensions",
    "AccountCondition",
    "BalancedAccountCondition",
    "ExtraDimensions",
    "BalancedExtraDimensions",
];

/// What entity sets start with.
const PREFIXES: [&str; 14] = [
    "Catalog_",
    "Document_",
    "DocumentJournal_",
    "Constant_",
    "ExchangePlan_",
    "ChartOfAccounts_",
    "ChartOfCalculationTypes_",
    "ChartOfCharacteristicTypes_",
    "InformationRegister_",
    "AccumulationRegister_",
    "AccountingRegister_",
    "CalculationRegister_",
    "BusinessProcess_",
    "Task_",
];

/// An entity as an analyst writes it: a set, or a virtual table of a register after a slash.
pub(crate) fn split_entity(entity: &str) -> (&str, Option<&str>) {
    match entity.split_once('/') {
        Some((set, table)) => (set, Some(table.strip_suffix("()").unwrap_or(table))),
        None => (entity, None),
    }
}

/// Where OData stands below a publication.
pub(crate) const SUFFIX: &str = "/odata/standard.odata";

/// The address of the publication, without [`SUFFIX`].
///
/// # Errors
/// What is wrong, as a phrase that does not repeat the text.
pub(crate) fn publication(url: &str) -> Result<Address, &'static str> {
    let address = Address::parse(url)?;
    let text = address.to_string();
    match text.strip_suffix(SUFFIX) {
        Some(base) => Address::parse(base),
        None => Ok(address),
    }
}

/// Reports settings that are wrong.
pub(crate) fn check(node: &Node, problems: &mut Problems) {
    let Some(settings) = obmen_spec::decode::decode::<Settings>(node, problems) else { return };
    let mut refuse = |key: &str, message: String| {
        problems.error(code::INVALID_SETTING, span_of(node, key), message);
    };
    let secret = settings.url.contains("${");
    if let (false, Err(phrase)) = (secret, publication(&settings.url)) {
        refuse("url", format!("`url` is wrong: {phrase}"));
    }
    let zero = [
        ("timeout", settings.timeout.duration().is_zero()),
        ("connect_timeout", settings.connect_timeout.duration().is_zero()),
        ("first_page_rows", settings.first_page_rows == 0),
        ("page_rows", settings.page_rows == 0),
        ("page_bytes", settings.page_bytes.bytes() == 0),
        ("parallel", settings.parallel == 0),
    ];
    for (key, _) in zero.iter().filter(|(_, zero)| *zero) {
        refuse(key, format!("`{key}` is nothing, expected more"));
    }
    if settings.parallel > 16 {
        refuse("parallel", format!("`parallel` is {}, expected at most 16", settings.parallel));
    }
    if settings.page_bytes_max < settings.page_bytes {
        let (most, aim) = (settings.page_bytes_max, settings.page_bytes);
        refuse("page_bytes_max", format!("`page_bytes_max` is {most}, expected at least `page_bytes`, {aim}"));
    }
}

/// Reports source options and an entity that are wrong.
pub(crate) fn check_source(entity: &str, options: &Node, problems: &mut Problems) {
    let (set, table) = split_entity(entity);
    check_set(set, options.span, problems);
    if let Some(table) = table {
        check_table(table, options.span, problems);
    }
    let Some(decoded) = source_options(options, problems) else { return };
    let parameters = options.as_map().and_then(|map| map.get("parameters"));
    for (name, value) in &decoded.parameters {
        let span = parameters.map_or(options.span, |node| span_of(node, name));
        check_parameter(name, value, table.is_some(), span, problems);
    }
}

/// Decodes source options; nothing written means all defaults.
pub(crate) fn source_options(options: &Node, problems: &mut Problems) -> Option<SourceOptions> {
    if options.value == Value::Null {
        return Some(SourceOptions::default());
    }
    obmen_spec::decode::decode(options, problems)
}

fn check_set(set: &str, span: Span, problems: &mut Problems) {
    if PREFIXES.iter().any(|prefix| set.len() > prefix.len() && set.starts_with(prefix)) {
        return;
    }
    let message = format!("`{set}` is not a name of 1C's OData, expected something like `Catalog_Номенклатура`");
    let problem = problems.error(code::UNKNOWN_ENTITY, span, message);
    let start = set.split_inclusive('_').next().unwrap_or(set);
    if let Some(prefix) = obmen_spec::name::suggest(start, PREFIXES) {
        problem.help(format!("did you mean `{prefix}…`?"));
    } else if start == "Enum_" {
        problem.help("enumerations cannot be read; their values come as texts in the columns that use them");
    }
}

fn check_table(table: &str, span: Span, problems: &mut Problems) {
    if TABLES.contains(&table) {
        return;
    }
    let problem = problems.error(code::UNKNOWN_ENTITY, span, format!("`{table}` is not a virtual table of 1C"));
    if table.contains('(') {
        problem.help("write what is in the brackets under `parameters`");
    } else if let Some(meant) = obmen_spec::name::suggest(table, TABLES) {
        problem.help(format!("did you mean `{meant}`?"));
    } else {
        problem.help("a tabular section is an entity of its own, like `Document_Заказ_Товары`");
    }
}

fn check_parameter(name: &str, value: &str, table: bool, span: Span, problems: &mut Problems) {
    if !table {
        let message = format!("`{name}` belongs to a virtual table, and the entity is not one");
        problems
            .error(code::INVALID_SETTING, span, message)
            .help("write the entity like `AccumulationRegister_X/Balance`");
        return;
    }
    if !PARAMETERS.contains(&name) {
        let problem = problems.error(code::UNKNOWN_FIELD, span, format!("virtual tables take no `{name}`"));
        // Found in older clients; 1C answers 501.
        let renamed = match name {
            "StartDate" => Some("StartPeriod"),
            "EndDate" => Some("EndPeriod"),
            _ => obmen_spec::name::suggest(name, PARAMETERS),
        };
        if let Some(meant) = renamed {
            problem.help(format!("did you mean `{meant}`?"));
        }
        return;
    }
    if name.ends_with("Period") && !value.contains("${") && moment(value).is_none() {
        let message = format!("`{value}` is not a date, expected something like `2024-01-31T23:59:59` or `2024-01-31`");
        problems.error(code::INVALID_SETTING, span, message);
    }
}

/// A date of `parameters` as 1C writes it: `2024-01-31` becomes the first second of that day.
pub(crate) fn moment(text: &str) -> Option<String> {
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0));
    let moment = day.or_else(|| chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").ok())?;
    Some(moment.format("%Y-%m-%dT%H:%M:%S").to_string())
}

/// Where the value of a key stands; the whole node without it.
fn span_of(node: &Node, key: &str) -> Span {
    node.as_map().and_then(|map| map.get(key)).map_or(node.span, |value| value.span)
}
