//! A web shop that speaks `1c_exchange` and keeps its goods in SQLite.
//!
//! The protocol is `commerceml.md` §1 with the behaviour of a Bitrix shop where shops differ; profiles
//! (cookie, sessid, zip, delete marks) turn it into the others of §1.8.

mod answer;
mod apply;
mod control;
mod element;
mod exchange;
mod import;
mod page;
mod session;
mod store;
mod upload;

pub use control::{CookieIn, DeleteMarks, Misbehaviour, Sessid, ShopControl, ShopFault, ShopState};

use crate::auth::Account;
use crate::fault::Faults;
use crate::wire::Peer;
use crate::{control as orders, reply};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Response, StatusCode};
use control::Settings;
use obmen_sdk::{Error, Result, Secret};
use session::Sessions;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Store;
use upload::Area;

/// What a shop is opened with.
#[derive(Clone, Debug)]
pub struct ShopOptions {
    /// The SQLite file; made if it is not there. `None`: a file that vanishes with the shop.
    pub database: Option<PathBuf>,
    /// The address to listen at. Port 0 takes a free one.
    pub addr: SocketAddr,
    /// The login.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// The most bytes one `file` request may carry; 0 = no limit. Default 204800, as Bitrix.
    pub file_limit: u64,
    /// Whether `init` says `zip=yes` and the upload must then be an archive. Default no.
    pub zip: bool,
    /// Where the session cookie is given. Default: body and header, as Bitrix.
    pub cookie: CookieIn,
    /// Whether `sessid` is asked for. Default: after its first use, as Bitrix.
    pub sessid: Sessid,
    /// How many times `import` answers `progress` before the file is applied. Default 3.
    pub steps: u32,
    /// Which spellings of a delete mark are honoured. Default: all.
    pub delete_marks: DeleteMarks,
    /// Whether a wrong password is HTTP 401 instead of `failure` with HTTP 200. Default no, as Bitrix.
    pub wrong_password_is_401: bool,
    /// Misbehaviour from the start.
    pub faults: Vec<ShopFault>,
    /// Goods whose file is refused as a whole.
    pub refuse_products: Vec<String>,
}

/// The shop. Shared by all requests; the methods here are for tests and for the control page.
#[derive(Debug)]
pub struct Shop {
    account: Account,
    store: Arc<Store>,
    settings: Mutex<Settings>,
    refused: Mutex<BTreeSet<String>>,
    faults: Faults<Misbehaviour>,
    sessions: Mutex<Sessions>,
    area: Arc<tokio::sync::Mutex<Area>>,
    wrong_password_is_401: bool,
}

impl ShopOptions {
    /// A shop at 127.0.0.1:8101 for the user `exchange`, kept in a file.
    pub fn of(database: impl Into<PathBuf>, password: &str) -> Self {
        Self { database: Some(database.into()), ..Self::in_memory(password) }
    }

    /// A shop at 127.0.0.1:8101 for the user `exchange` that leaves nothing behind.
    pub fn in_memory(password: &str) -> Self {
        Self {
            database: None,
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 8101)),
            user: "exchange".to_owned(),
            password: Secret::new(password),
            file_limit: 204_800,
            zip: false,
            cookie: CookieIn::default(),
            sessid: Sessid::default(),
            steps: 3,
            delete_marks: DeleteMarks::default(),
            wrong_password_is_401: false,
            faults: Vec::new(),
            refuse_products: Vec::new(),
        }
    }
}

impl Shop {
    /// Opens the database and an upload area beside it.
    ///
    /// # Errors
    /// The file cannot be made or is not a database of this shop; a misbehaviour is set with numbers
    /// that make no sense.
    pub fn open(options: ShopOptions) -> Result<Self> {
        if let Some(mistake) = options.faults.iter().find_map(ShopFault::mistake) {
            return Err(Error::invalid_data(mistake));
        }
        let store = Store::open(options.database.as_deref())?;
        let area = Area::open(&store.upload_folder())?;
        Ok(Self {
            account: Account { user: options.user, password: options.password },
            store: Arc::new(store),
            settings: Mutex::new(Settings {
                file_limit: options.file_limit,
                zip: options.zip,
                cookie: options.cookie,
                sessid: options.sessid,
                steps: options.steps,
                delete_marks: options.delete_marks,
            }),
            refused: Mutex::new(options.refuse_products.into_iter().collect()),
            faults: Faults::new(options.faults),
            sessions: Mutex::new(Sessions::default()),
            area: Arc::new(tokio::sync::Mutex::new(area)),
            wrong_password_is_401: options.wrong_password_is_401,
        })
    }

    /// The SQLite file; its tables are described in the README. May be read while the shop runs.
    pub fn database(&self) -> &Path {
        self.store.path()
    }

    /// Adds one misbehaviour.
    pub fn misbehave(&self, fault: ShopFault) {
        self.faults.add(fault);
    }

    /// Changes what is named; the rest stays.
    ///
    /// # Errors
    /// A misbehaviour with numbers that make no sense; then nothing is changed.
    pub fn control(&self, control: ShopControl) -> Result<(), String> {
        if let Some(mistake) = control.faults.iter().flatten().find_map(ShopFault::mistake) {
            return Err(mistake.to_owned());
        }
        lock(&self.settings).change(&control);
        if let Some(refused) = control.refuse_products {
            *lock(&self.refused) = refused.into_iter().collect();
        }
        if let Some(faults) = control.faults {
            self.faults.set(faults);
        }
        Ok(())
    }

    /// What holds now.
    pub fn state(&self) -> ShopState {
        ShopState {
            settings: self.settings(),
            refuse_products: self.refused().into_iter().collect(),
            faults: self.faults.states(),
        }
    }

    fn settings(&self) -> Settings {
        lock(&self.settings).clone()
    }

    fn refused(&self) -> BTreeSet<String> {
        lock(&self.refused).clone()
    }
}

/// All addresses of the shop.
pub(crate) fn router(shop: Arc<Shop>) -> Router {
    Router::new().fallback(handle).with_state(shop)
}

async fn handle(
    State(shop): State<Arc<Shop>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response<Body> {
    let path = request.uri().path().trim_end_matches('/').to_owned();
    match path.as_str() {
        "" => page::show(&shop).await,
        "/control" => control_page(&shop, request).await,
        "/1c_exchange" | "/bitrix/admin/1c_exchange.php" => exchange::answer(shop, peer, request).await,
        _ => reply::text(StatusCode::NOT_FOUND, "text/html; charset=utf-8", "<h1>404 Not Found</h1>\n"),
    }
}

async fn control_page(shop: &Shop, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if !shop.account.admits(&parts.headers) {
        return reply::unauthorized("Basic realm=\"shop\"", "text/plain; charset=utf-8", "who are you\n");
    }
    orders::answer(&parts.method, body, |control| shop.control(control), || shop.state()).await
}

/// Locks; a panic elsewhere does not spoil what is behind it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
