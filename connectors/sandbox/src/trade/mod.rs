//! A 1C that serves `standard.odata` from a folder of CSV files, read only.
//!
//! Every behaviour here is one of `1c-odata.md`; §11.7 of it is the list of refusals.

mod answer;
mod balance;
mod cell;
mod condition;
mod control;
mod filter;
mod lexer;
mod metadata;
mod refusal;
mod render;
mod request;
mod schema;
mod table;
mod view;

pub use control::{TradeControl, TradeFault, TradeMisbehaviour, TradeState};

use crate::auth::Account;
use crate::fault::Faults;
use crate::wire::Peer;
use crate::{control as orders, reply};
use answer::{Answer, Call, JSON, answer};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use obmen_sdk::{Error, Result, Secret};
use refusal::Refusal;
use request::{Format, Options, Resource};
use schema::{Entity, Schema};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use table::{Stamp, Table};
use view::Views;

/// What a 1C is opened with.
#[derive(Clone, Debug)]
pub struct TradeOptions {
    /// The folder with `schema.yaml` and the CSV files.
    pub folder: PathBuf,
    /// The address to listen at. Port 0 takes a free one.
    pub addr: SocketAddr,
    /// The login.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// How long the first request waits. Default: not at all; real ones take 10 to 30 s.
    pub cold_start: Duration,
    /// How long every request waits. Default: not at all.
    pub delay: Duration,
    /// The most entries a page may hold before the server's disk is full (500). Default: no limit.
    pub page_entries: Option<usize>,
    /// The most rows a recorder-bound register may hold to be read without a filter (500). Default: no limit.
    pub register_rows: Option<usize>,
    /// Misbehaviour from the start.
    pub faults: Vec<TradeFault>,
}

/// The 1C. Shared by all requests; the methods here are for tests and for the control page.
#[derive(Debug)]
pub struct Trade {
    account: Account,
    schema: Schema,
    tables: Mutex<HashMap<String, Arc<Table>>>,
    views: Views,
    limits: Limits,
    cold_start: Duration,
    delay: Duration,
    warm: tokio::sync::Mutex<bool>,
    cooled: AtomicBool,
    requests: AtomicUsize,
    versions: AtomicU64,
    faults: Faults<TradeMisbehaviour>,
}

/// Sizes at which a real server gives up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    page_entries: Option<usize>,
    register_rows: Option<usize>,
}

impl TradeOptions {
    /// A 1C at 127.0.0.1:8100 for the user `exchange`, without delays and limits.
    pub fn of(folder: impl Into<PathBuf>, password: &str) -> Self {
        Self {
            folder: folder.into(),
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 8100)),
            user: "exchange".to_owned(),
            password: Secret::new(password),
            cold_start: Duration::ZERO,
            delay: Duration::ZERO,
            page_entries: None,
            register_rows: None,
            faults: Vec::new(),
        }
    }
}

impl Trade {
    /// Opens a folder: reads `schema.yaml` and every file once, so that mistakes are found now.
    ///
    /// # Errors
    /// `NotFound` for a file that is not there, `InvalidData` with place for what cannot be read.
    pub fn open(options: TradeOptions) -> Result<Self> {
        if let Some(mistake) = options.faults.iter().find_map(TradeFault::mistake) {
            return Err(Error::invalid_data(mistake));
        }
        let trade = Self {
            account: Account { user: options.user, password: options.password },
            schema: Schema::open(&options.folder)?,
            tables: Mutex::new(HashMap::new()),
            views: Views::default(),
            limits: Limits { page_entries: options.page_entries, register_rows: options.register_rows },
            cold_start: options.cold_start,
            delay: options.delay,
            warm: tokio::sync::Mutex::new(false),
            cooled: AtomicBool::new(false),
            requests: AtomicUsize::new(0),
            versions: AtomicU64::new(1),
            faults: Faults::new(options.faults),
        };
        for entity in trade.schema.iter() {
            trade.table(entity)?;
        }
        Ok(trade)
    }

    /// Adds one misbehaviour.
    pub fn misbehave(&self, fault: TradeFault) {
        self.faults.add(fault);
    }

    /// Changes what is named; the rest stays.
    ///
    /// # Errors
    /// A misbehaviour with numbers that make no sense; then nothing is changed.
    pub fn control(&self, control: TradeControl) -> Result<(), String> {
        if let Some(mistake) = control.faults.iter().flatten().find_map(TradeFault::mistake) {
            return Err(mistake.to_owned());
        }
        if let Some(faults) = control.faults {
            self.faults.set(faults);
        }
        if control.cool_down {
            self.cooled.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    /// What holds now.
    pub fn state(&self) -> TradeState {
        TradeState { requests: self.requests.load(Ordering::SeqCst), faults: self.faults.states() }
    }

    /// The rows of an entity as its file is now. A request works with the one it got to its end.
    fn table(&self, entity: &Entity) -> Result<Arc<Table>> {
        let key = format!("{} {:?}", entity.name, entity.file);
        let stamp = entity.file.as_deref().map(Stamp::of).transpose()?;
        let kept = || self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = kept().get(&key).filter(|table| table.stamp == stamp) {
            return Ok(Arc::clone(table));
        }
        let version = self.versions.fetch_add(1, Ordering::SeqCst);
        let table = Arc::new(Table::read(entity, version)?);
        kept().insert(key, Arc::clone(&table));
        Ok(table)
    }

    /// Waits for the cold start, if nobody did yet; who comes meanwhile waits as well.
    async fn warm_up(&self) {
        let mut warm = self.warm.lock().await;
        if self.cooled.swap(false, Ordering::SeqCst) {
            *warm = false;
        }
        if !*warm {
            tokio::time::sleep(self.cold_start).await;
            *warm = true;
        }
    }
}

/// All addresses of the 1C.
pub(crate) fn router(trade: Arc<Trade>) -> Router {
    Router::new().fallback(handle).with_state(trade)
}

const HTML: &str = "text/html; charset=utf-8";

async fn handle(
    State(trade): State<Arc<Trade>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if !trade.account.admits(&parts.headers) {
        return reply::unauthorized("Basic realm=\"1C:Enterprise 8.3\"", HTML, refusal::WHO_ARE_YOU);
    }
    if path == "/control" {
        return orders::answer(&parts.method, body, |control| trade.control(control), || trade.state()).await;
    }
    let Some(path) =
        path.strip_prefix("/trade/odata/standard.odata").filter(|rest| rest.is_empty() || rest.starts_with('/'))
    else {
        return Refusal::no_entity().response(Format::Atom);
    };
    let turn = trade.requests.fetch_add(1, Ordering::SeqCst);
    trade.warm_up().await;
    tokio::time::sleep(trade.delay).await;

    let options = match Options::parse(parts.uri.query().unwrap_or("")) {
        Ok(options) => options,
        Err(refusal) => return refusal.response(Format::Json),
    };
    let format = Format::of(&options, &parts.headers);
    let resource = match Resource::parse(path) {
        Ok(resource) => resource,
        Err(refusal) => return refusal.response(format),
    };
    let on = name_of(&resource);
    if let Some(response) = misbehave(&trade, &on, format).await {
        return response;
    }
    if parts.method != Method::GET {
        let text = format!("Использование метода HTTP {} запрещено", parts.method);
        return Refusal::service(StatusCode::METHOD_NOT_ALLOWED, "19", text).response(format);
    }
    let root = format!("http://{}/trade/odata/standard.odata", host(&parts.headers));
    let empty = trade.faults.strikes(TradeMisbehaviour::Empty, &on).is_some();
    let call = Call { resource, options, format, root, empty, turn };
    let worker = Arc::clone(&trade);
    let answered = tokio::task::spawn_blocking(move || answer(&worker, &call)).await;
    match answered {
        Ok(Ok(answer)) => body_of(&trade, &on, format, answer, &peer),
        Ok(Err(refusal)) => refusal.response(format),
        Err(error) => Refusal::platform(error.to_string()).response(format),
    }
}

/// Misbehaviour that comes instead of an answer.
async fn misbehave(trade: &Trade, on: &str, format: Format) -> Option<Response<Body>> {
    use TradeMisbehaviour as Bad;
    if let Some(slow) = trade.faults.strikes(Bad::Slow, on) {
        tokio::time::sleep(Duration::from_millis(slow.delay_ms.unwrap_or(1000))).await;
    }
    if trade.faults.strikes(Bad::Unavailable, on).is_some() {
        return Some(reply::text(StatusCode::SERVICE_UNAVAILABLE, HTML, refusal::UNAVAILABLE));
    }
    if trade.faults.strikes(Bad::HtmlPage, on).is_some() {
        return Some(reply::text(StatusCode::OK, HTML, refusal::MAINTENANCE));
    }
    if trade.faults.strikes(Bad::AccessDenied, on).is_some() {
        return Some(Refusal::service(StatusCode::UNAUTHORIZED, "20", "Доступ запрещен").response(format));
    }
    if trade.faults.strikes(Bad::Exception, on).is_some() {
        let text = "{\"exception\":{\"descr\":\"Ошибка при выполнении запроса\",\"inner\":{\"descr\":\"Недостаточно памяти\"}}}";
        return Some(reply::text(StatusCode::INTERNAL_SERVER_ERROR, "application/json;charset=utf-8", text));
    }
    let failure = trade.faults.strikes(Bad::Failure, on)?;
    let text = failure.text.unwrap_or_else(|| "Произошла внутренняя ошибка OData сервиса".to_owned());
    Some(Refusal::platform(text).response(format))
}

/// The answer as a body, whole or damaged.
fn body_of(trade: &Trade, on: &str, format: Format, answer: Answer, peer: &Peer) -> Response<Body> {
    let (content_type, pieces): (&'static str, Box<dyn Iterator<Item = Bytes> + Send>) = match answer {
        Answer::Text(content_type, text) => (content_type, Box::new(std::iter::once(Bytes::from(text)))),
        Answer::Page(page) => {
            let content_type = match format {
                Format::Atom => "application/atom+xml;type=feed;charset=utf-8",
                Format::Json => JSON,
                Format::BareJson => "application/json;odata=nometadata;charset=utf-8",
            };
            (content_type, Box::new(page.pieces()))
        }
    };
    let drops = trade.faults.strikes(TradeMisbehaviour::DropConnection, on).is_some();
    let truncates = trade.faults.strikes(TradeMisbehaviour::TruncatedJson, on).is_some();
    let body = if drops || truncates { damaged(pieces, drops, peer) } else { whole(pieces) };
    let mut response = reply::text(StatusCode::OK, content_type, body);
    response.headers_mut().insert("dataserviceversion", HeaderValue::from_static("3.0"));
    response
}

fn whole(mut pieces: Box<dyn Iterator<Item = Bytes> + Send>) -> Body {
    // A short answer has a Content-Length, as 1C's have.
    let first = pieces.next().unwrap_or_default();
    match pieces.next() {
        None => Body::from(first),
        Some(second) => {
            let all = [first, second].into_iter().chain(pieces).map(Ok::<Bytes, io::Error>);
            Body::from_stream(stream::iter(all))
        }
    }
}

/// The first half of the first piece, then nothing: with a good ending, or with a cut connection.
fn damaged(mut pieces: Box<dyn Iterator<Item = Bytes> + Send>, drops: bool, peer: &Peer) -> Body {
    let first = pieces.next().unwrap_or_default();
    let half = Ok(first.slice(..first.len() / 2));
    let peer = peer.clone();
    let end = stream::once(async move {
        // The first half must be on its way before the line is cut.
        tokio::time::sleep(Duration::from_millis(100)).await;
        peer.cut();
        Err::<Bytes, io::Error>(io::Error::new(io::ErrorKind::ConnectionReset, "cut on purpose"))
    });
    let half = stream::iter([half]);
    if drops { Body::from_stream(half.chain(end)) } else { Body::from_stream(half) }
}

/// The name of what is asked for, as misbehaviour is set for it.
fn name_of(resource: &Resource) -> String {
    match resource {
        Resource::Service => String::new(),
        Resource::Metadata => "$metadata".to_owned(),
        Resource::Set { name, tail: Some(tail), .. } if !tail.name.starts_with('$') => format!("{name}/{}", tail.name),
        Resource::Set { name, .. } => name.clone(),
    }
}

fn host(headers: &HeaderMap) -> String {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost").to_owned()
}
