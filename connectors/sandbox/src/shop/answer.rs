//! Answers as bytes, with the dirt shops put around them.

use super::Shop;
use super::control::Misbehaviour;
use crate::reply;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue, SET_COOKIE};
use axum::http::{Response, StatusCode};

/// What the shop has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// `success` and more lines.
    Success(Vec<String>),
    /// `progress` and a message: ask again.
    Progress(String),
    /// `failure` and the reason.
    Failure(String),
    /// Lines without a first word (`init`).
    Lines(Vec<String>),
    /// An XML document.
    Xml(&'static str),
    /// The connection is cut instead.
    Cut,
}

/// An answer and what goes with it.
#[derive(Debug)]
pub(crate) struct Spoken {
    /// The answer.
    pub(crate) answer: Answer,
    /// The cookie to set.
    pub(crate) cookie: Option<String>,
}

impl From<Answer> for Spoken {
    fn from(answer: Answer) -> Self {
        Self { answer, cookie: None }
    }
}

impl Answer {
    /// A refusal.
    pub(crate) fn failure(reason: impl Into<String>) -> Self {
        Self::Failure(reason.into())
    }

    /// The text, lines divided by line feeds, none at the end: UT counts the lines of `init`.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Success(more) if more.is_empty() => "success".to_owned(),
            Self::Success(more) => format!("success\n{}", more.join("\n")),
            Self::Progress(message) => format!("progress\n{message}"),
            Self::Failure(reason) => format!("failure\n{reason}"),
            Self::Lines(lines) => lines.join("\n"),
            Self::Xml(text) => (*text).to_owned(),
            Self::Cut => String::new(),
        }
    }
}

/// The HTTP answer, dirtied as ordered.
pub(crate) fn response(shop: &Shop, mode: &str, spoken: &Spoken) -> Response<Body> {
    let mut text = spoken.answer.text();
    if let Some(fault) = shop.faults.strikes(Misbehaviour::PhpNotice, mode) {
        let notice = fault.text.unwrap_or_else(|| {
            "<br />\n<b>Notice</b>:  Undefined index: IBLOCK_ID in <b>/var/www/html/1c_exchange.php</b> on line <b>42</b><br />"
                .to_owned()
        });
        text = format!("{notice}\n{text}");
    }
    let windows = shop.faults.strikes(Misbehaviour::Windows1251, mode).is_some();
    let (mut bytes, charset) = if windows {
        (encoding_rs::WINDOWS_1251.encode(&text).0.into_owned(), "windows-1251")
    } else {
        (text.into_bytes(), "utf-8")
    };
    if shop.faults.strikes(Misbehaviour::Bom, mode).is_some() {
        bytes.splice(0..0, *b"\xef\xbb\xbf");
    }
    let kind = if matches!(spoken.answer, Answer::Xml(_)) { "application/xml" } else { "text/html" };
    let mut response = reply::text(StatusCode::OK, "text/html", bytes);
    if let Ok(value) = HeaderValue::from_str(&format!("{kind}; charset={charset}")) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    if let Some(cookie) = spoken.cookie.as_ref().and_then(|cookie| HeaderValue::from_str(cookie).ok()) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// A page of the web server in front of a shop that is down.
pub(crate) fn unavailable() -> Response<Body> {
    let page = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n\
        <center><h1>503 Service Temporarily Unavailable</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
    reply::text(StatusCode::SERVICE_UNAVAILABLE, "text/html", page)
}
