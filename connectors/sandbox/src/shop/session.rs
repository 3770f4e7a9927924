//! Exchange sessions that are alive.

use std::collections::{BTreeMap, HashMap};

/// Sessions kept at a time; the oldest is forgotten first, as a web server forgets them.
const KEPT: usize = 200;

/// Live sessions by their cookie.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    live: HashMap<String, Session>,
}

/// One session, from `checkauth` on.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Its row in the log.
    pub(crate) number: i64,
    /// The CSRF token.
    pub(crate) sessid: String,
    /// `init` was called.
    pub(crate) ready: bool,
    /// `init` said `zip=yes`, and nothing was unpacked since.
    pub(crate) packed: bool,
    /// The file uploaded last.
    pub(crate) last_file: Option<String>,
    /// How many steps of an import are done, by file.
    pub(crate) steps: BTreeMap<String, u32>,
}

impl Sessions {
    /// Begins a session.
    pub(crate) fn begin(&mut self, cookie: String, number: i64, sessid: String) {
        if self.live.len() >= KEPT {
            let oldest = self.live.iter().min_by_key(|(_, session)| session.number).map(|(cookie, _)| cookie.clone());
            oldest.and_then(|cookie| self.live.remove(&cookie));
        }
        let session = Session { number, sessid, ready: false, packed: false, last_file: None, steps: BTreeMap::new() };
        self.live.insert(cookie, session);
    }

    /// The session of a cookie.
    pub(crate) fn get(&mut self, cookie: &str) -> Option<&mut Session> {
        self.live.get_mut(cookie)
    }
}
