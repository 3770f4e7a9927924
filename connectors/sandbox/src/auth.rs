//! HTTP Basic, as both systems ask for it.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use obmen_sdk::Secret;

/// Who may come in.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// The login.
    pub(crate) user: String,
    /// The password.
    pub(crate) password: Secret,
}

impl Account {
    /// Whether the request carries this login and password.
    ///
    /// Both are compared as UTF-8 bytes: 1C answers 401 to a login in windows-1251 (`1c-odata.md` §7.1).
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes) else { return false };
        let Some((scheme, encoded)) = value.split_first_chunk::<6>() else { return false };
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return false;
        }
        let expected = format!("{}:{}", self.user, self.password.expose());
        let given = base64::engine::general_purpose::STANDARD.decode(encoded.trim_ascii());
        given.is_ok_and(|given| given == expected.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(header: &[u8]) -> bool {
        let account = Account { user: "обмен".to_owned(), password: Secret::new("a:b") };
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(header).unwrap());
        account.admits(&headers)
    }

    fn basic(bytes: &[u8]) -> Vec<u8> {
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(bytes)).into_bytes()
    }

    #[test]
    fn a_cyrillic_login_is_admitted_in_utf8_only() {
        assert!(admits(&basic("обмен:a:b".as_bytes())));
        let (windows, _, _) = encoding_rs::WINDOWS_1251.encode("обмен:a:b");
        assert!(!admits(&basic(&windows)));
    }

    #[test]
    fn other_schemes_and_broken_headers_are_refused() {
        assert!(!admits(b"Bearer abc"));
        assert!(!admits(b"Basic"));
        assert!(!admits(b"Basic %%%"));
    }
}
