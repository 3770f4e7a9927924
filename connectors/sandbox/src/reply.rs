//! Small helpers for HTTP answers.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};

/// An answer with a body.
pub(crate) fn text(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// 401 with the realm that browsers and clients look for.
pub(crate) fn unauthorized(realm: &'static str, content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = text(StatusCode::UNAUTHORIZED, content_type, body);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(realm));
    response
}

/// A text safe inside HTML and XML.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Adds to a text. Writing into a `String` cannot fail.
pub(crate) fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    let written = std::fmt::Write::write_fmt(out, what);
    debug_assert!(written.is_ok(), "a String takes everything");
}
