//! How the shop behaves, and what of it can be changed while it runs.

use crate::{Fault, FaultState};
use serde::{Deserialize, Serialize};

/// One misbehaviour of the shop. `on` is a mode: `checkauth init file import`.
pub type ShopFault = Fault<Misbehaviour>;

/// What a shop does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misbehaviour {
    /// Does what was asked, then drops the connection instead of answering.
    LoseAnswer,
    /// Answers `failure` with `text` and does nothing.
    Failure,
    /// Takes half of an upload, then drops the connection.
    DropInChunk,
    /// Waits `delay_ms` before it begins.
    Slow,
    /// Puts a UTF-8 byte order mark before the answer.
    Bom,
    /// Prints a PHP notice (`text`) before the answer.
    PhpNotice,
    /// Answers in windows-1251 and says so, as Bitrix does.
    #[serde(rename = "windows_1251")]
    Windows1251,
    /// Answers 200 with nothing at all and does nothing.
    EmptyBody,
    /// Answers HTTP 503 with a page of the web server and does nothing.
    Unavailable,
    /// `import` answers `progress` for ever.
    EndlessProgress,
}

/// Where the session cookie is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CookieIn {
    /// In lines 2 and 3 of the body and as `Set-Cookie`, as Bitrix.
    #[default]
    Both,
    /// In the body only, as the module for `OpenCart`.
    Body,
    /// As `Set-Cookie` only, as django-cml.
    Header,
}

/// Whether requests must carry `sessid`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sessid {
    /// There is none.
    Never,
    /// Once anybody has sent a valid one, everybody must, for ever: as Bitrix.
    #[default]
    AfterFirstUse,
    /// Always.
    Required,
}

/// Which spellings of a delete mark are honoured (`commerceml.md` §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteMarks {
    /// `<Товар Статус="Удален">`.
    pub attribute: bool,
    /// `<Статус>Удален</Статус>` inside.
    pub status: bool,
    /// `<ПометкаУдаления>true</ПометкаУдаления>` inside.
    pub flag: bool,
}

/// An order for `POST /control`. What is absent stays as it is; `faults` and `refuse_products` replace the whole list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShopControl {
    /// The misbehaviours from now on.
    pub faults: Option<Vec<ShopFault>>,
    /// Goods whose file is refused as a whole.
    pub refuse_products: Option<Vec<String>>,
    /// See [`ShopOptions::file_limit`](crate::ShopOptions::file_limit).
    pub file_limit: Option<u64>,
    /// See [`ShopOptions::zip`](crate::ShopOptions::zip).
    pub zip: Option<bool>,
    /// See [`ShopOptions::cookie`](crate::ShopOptions::cookie).
    pub cookie: Option<CookieIn>,
    /// See [`ShopOptions::sessid`](crate::ShopOptions::sessid).
    pub sessid: Option<Sessid>,
    /// See [`ShopOptions::steps`](crate::ShopOptions::steps).
    pub steps: Option<u32>,
    /// See [`ShopOptions::delete_marks`](crate::ShopOptions::delete_marks).
    pub delete_marks: Option<DeleteMarks>,
}

/// What `GET /control` shows.
#[derive(Clone, Debug, Serialize)]
pub struct ShopState {
    #[serde(flatten)]
    pub(crate) settings: Settings,
    /// Goods whose file is refused as a whole.
    pub refuse_products: Vec<String>,
    /// The misbehaviours and how often they happened.
    pub faults: Vec<FaultState<Misbehaviour>>,
}

/// How the shop behaves when it behaves.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Settings {
    pub(crate) file_limit: u64,
    pub(crate) zip: bool,
    pub(crate) cookie: CookieIn,
    pub(crate) sessid: Sessid,
    pub(crate) steps: u32,
    pub(crate) delete_marks: DeleteMarks,
}

impl Default for DeleteMarks {
    fn default() -> Self {
        Self { attribute: true, status: true, flag: true }
    }
}

impl Settings {
    pub(crate) fn change(&mut self, change: &ShopControl) {
        self.file_limit = change.file_limit.unwrap_or(self.file_limit);
        self.zip = change.zip.unwrap_or(self.zip);
        self.cookie = change.cookie.unwrap_or(self.cookie);
        self.sessid = change.sessid.unwrap_or(self.sessid);
        self.steps = change.steps.unwrap_or(self.steps);
        self.delete_marks = change.delete_marks.unwrap_or(self.delete_marks);
    }
}
