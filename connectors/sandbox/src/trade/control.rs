//! How the 1C misbehaves, and what of it can be changed while it runs.

use crate::{Fault, FaultState};
use serde::{Deserialize, Serialize};

/// One misbehaviour of the 1C. `on` is an entity as in the URL: `Catalog_Номенклатура`,
/// `InformationRegister_ЦеныНоменклатуры/SliceLast`, `$metadata`.
pub type TradeFault = Fault<TradeMisbehaviour>;

/// What a 1C does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TradeMisbehaviour {
    /// HTTP 200 with an HTML page: a login form, maintenance.
    HtmlPage,
    /// Drops the connection in the middle of the body.
    DropConnection,
    /// HTTP 503 from the web server.
    Unavailable,
    /// JSON that ends in the middle, with a good HTTP ending.
    TruncatedJson,
    /// Every set is suddenly empty.
    Empty,
    /// Waits `delay_ms` before it begins.
    Slow,
    /// HTTP 401 with code 20, as for missing rights: not a wrong password.
    AccessDenied,
    /// HTTP 500 with code -1 and `text`.
    Failure,
    /// HTTP 500 with an application server's exception instead of an OData error.
    Exception,
}

/// An order for `POST /control`; `faults` replaces the whole list, what is absent stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TradeControl {
    /// The misbehaviours from now on.
    pub faults: Option<Vec<TradeFault>>,
    /// Forgets that the 1C is warm: the next request waits for the cold start again.
    #[serde(default)]
    pub cool_down: bool,
}

/// What `GET /control` shows.
#[derive(Clone, Debug, Serialize)]
pub struct TradeState {
    /// Requests so far.
    pub requests: usize,
    /// The misbehaviours and how often they happened.
    pub faults: Vec<FaultState<TradeMisbehaviour>>,
}
