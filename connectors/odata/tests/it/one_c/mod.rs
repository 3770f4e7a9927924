//! A base of 1C that refuses what 1C refuses, and misbehaves when told to.

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use futures::StreamExt;
use obmen_diagnostics::{Files, Problems};
use obmen_odata::Odata;
use obmen_sdk::{Connection, Connector, Context, Error, Result, Secret, Secrets, Stop};
use obmen_spec::Node;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// `$metadata` of the base.
pub(crate) const METADATA: &str = include_str!("metadata.xml");

/// One request, as 1C understands it.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// The path after `standard.odata`, without the slash, decoded.
    pub(crate) path: String,
    /// The options, decoded.
    pub(crate) options: BTreeMap<String, String>,
    /// Its number among requests for rows, from 0.
    pub(crate) turn: usize,
}

impl Ask {
    /// A whole number among the options.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.options.get(name).map(|text| text.parse().unwrap())
    }
}

/// What may answer instead of the base.
type Hook = Box<dyn Fn(&OneC, &Ask) -> Option<Response> + Send + Sync>;

/// The base.
pub(crate) struct OneC {
    /// Rows by entity set or virtual table, as JSON texts.
    pub(crate) rows: Mutex<HashMap<String, Vec<String>>>,
    /// Requests so far.
    pub(crate) log: Mutex<Vec<Ask>>,
    hook: Hook,
}

impl OneC {
    /// A base with rows of one entity; the hook may answer instead of it.
    pub(crate) fn new(
        entity: &str,
        rows: Vec<String>,
        hook: impl Fn(&Self, &Ask) -> Option<Response> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let rows = Mutex::new(HashMap::from([(entity.to_owned(), rows)]));
        Arc::new(Self { rows, log: Mutex::default(), hook: Box::new(hook) })
    }

    /// A base that behaves.
    pub(crate) fn plain(entity: &str, rows: Vec<String>) -> Arc<Self> {
        Self::new(entity, rows, |_, _| None)
    }

    /// Requests for rows so far.
    pub(crate) fn asked(&self) -> Vec<Ask> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|ask| !ask.path.is_empty() && ask.path != "$metadata").cloned().collect()
    }

    fn answer(&self, ask: &Ask) -> Response {
        if let Some(answer) = (self.hook)(self, ask) {
            return answer;
        }
        if ask.path == "$metadata" {
            return body(200, "application/xml", METADATA);
        }
        if ask.path.is_empty() {
            let names = METADATA.split("<EntitySet Name=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
            let list: Vec<Value> = names.map(|name| serde_json::json!({"name": name, "url": name})).collect();
            return json(&serde_json::json!({"odata.metadata": "http://h/$metadata", "value": list}).to_string());
        }
        self.page(ask)
    }

    /// The rows a request asks for, as 1C cuts them.
    pub(crate) fn page(&self, ask: &Ask) -> Response {
        const KNOWN: [&str; 9] =
            ["$format", "$select", "$orderby", "$top", "$skip", "Period", "Condition", "Dimensions", "allowedOnly"];
        if let Some(unknown) = ask.options.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            return refusal(400, "0", &format!("Параметр {unknown} не поддерживается"));
        }
        assert_eq!(ask.options["$format"], "json");
        let rows = self.rows.lock().unwrap();
        let Some(rows) = rows.get(&ask.path) else {
            return refusal(404, "8", &format!("Сущность \"{}\" не найдена", ask.path));
        };
        let skip = ask.number("$skip").unwrap_or(0);
        let page = rows.iter().skip(skip).take(ask.number("$top").unwrap_or(usize::MAX));
        let page: Vec<String> = page.map(|row| select(row, ask.options.get("$select"))).collect();
        list(&page)
    }
}

/// The selected properties of a row.
fn select(row: &str, wanted: Option<&String>) -> String {
    let Some(wanted) = wanted.filter(|wanted| *wanted != "**") else { return row.to_owned() };
    let row: serde_json::Map<String, Value> = serde_json::from_str(row).unwrap();
    let kept = row.into_iter().filter(|(name, _)| wanted.split(',').any(|one| one == name));
    Value::Object(kept.collect()).to_string()
}

/// A list of rows as 1C writes it.
pub(crate) fn list(rows: &[String]) -> Response {
    json(&list_text(rows))
}

/// The text of a list of rows.
pub(crate) fn list_text(rows: &[String]) -> String {
    format!("{{\r\n\"odata.metadata\": \"http://h/$metadata#X\",\r\n\"value\": [{}]\r\n}}", rows.join(",\r\n"))
}

/// A JSON answer.
pub(crate) fn json(text: &str) -> Response {
    body(200, "application/json;charset=utf-8", text)
}

/// An error of 1C.
pub(crate) fn refusal(status: u16, code: &str, text: &str) -> Response {
    let error = serde_json::json!({"odata.error": {"code": code, "message": {"lang": "ru", "value": text}}});
    body(status, "application/json;charset=utf-8", &error.to_string())
}

/// Any answer.
pub(crate) fn body(status: u16, media: &str, text: &str) -> Response {
    Response::builder().status(status).header("content-type", media).body(Body::from(text.to_owned())).unwrap()
}

/// A good answer whose connection breaks after so many bytes.
pub(crate) fn broken(text: &str, after: usize) -> Response {
    let start = axum::body::Bytes::copy_from_slice(&text.as_bytes()[..after]);
    let pieces = futures::stream::iter([Ok(start), Err(std::io::Error::other("broken"))]);
    // The first piece has to leave before the connection breaks.
    let slow = pieces.then(async |piece| {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        piece
    });
    Response::builder().header("content-type", "application/json").body(Body::from_stream(slow)).unwrap()
}

async fn handle(State(base): State<Arc<OneC>>, uri: Uri, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
    let path = decode(uri.path());
    let Some(path) = path.strip_prefix("/trade/odata/standard.odata") else {
        return body(404, "text/html", "<html><head><title>404 - File or directory not found.</title></head></html>");
    };
    if headers.get("authorization").is_none_or(|login| login != "Basic 0L7QsdC80LXQvTp3b3JkLW9mLWhvbm91cg==") {
        return body(401, "text/html", "<html><head><title>Unauthorized</title></head></html>");
    }
    let query = query.unwrap_or_default();
    if query.contains('+') {
        return refusal(400, "14", "Ошибка разбора опции запроса");
    }
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap());
    let options = pairs.map(|(name, value)| (decode(name), decode(value))).collect();
    let mut ask = Ask { path: path.trim_start_matches('/').to_owned(), options, turn: base.asked().len() };
    if ask.path.is_empty() || ask.path == "$metadata" {
        ask.turn = 0;
    }
    base.log.lock().unwrap().push(ask.clone());
    base.answer(&ask)
}

/// Starts the base and gives the address of its publication.
pub(crate) async fn serve(base: &Arc<OneC>) -> String {
    let router = Router::new().fallback(handle).with_state(Arc::clone(base));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/trade")
}

/// Secrets that are spelled out.
#[derive(Debug)]
struct Plain;

impl Secrets for Plain {
    fn resolve(&self, text: &str) -> Result<Secret> {
        match text {
            "${env:WORD}" => Ok(Secret::new("word-of-honour")),
            text if text.contains("${") => Err(Error::new(obmen_sdk::ErrorKind::NotFound, "not set")),
            text => Ok(Secret::new(text)),
        }
    }
}

/// A node of a YAML text.
pub(crate) fn node(text: &str) -> Node {
    let mut files = Files::new();
    let mut problems = Problems::new();
    let file = files.add("test.yaml", text);
    obmen_spec::yaml::parse(file, text, &mut problems).unwrap_or_else(|| panic!("{problems:?}"))
}

/// What the engine lends.
pub(crate) fn context(stop: &Stop) -> Context {
    Context {
        project: PathBuf::from(env!("CARGO_MANIFEST_DIR")),
        scratch: std::env::temp_dir(),
        now: chrono::DateTime::default(),
        secrets: Arc::new(Plain),
        stop: stop.clone(),
    }
}

/// A connection to an address, with more settings.
pub(crate) fn connect(url: &str, more: &str) -> Arc<dyn Connection> {
    let settings = format!("url: {url}\nuser: обмен\npassword: ${{env:WORD}}\n{more}");
    Odata.open(&node(&settings), &context(&Stop::default())).unwrap()
}
