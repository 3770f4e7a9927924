//! Where an outside system is, without who we are there.

use crate::{Error, Result};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use std::fmt;

/// The address of an outside system: scheme, host, port and path. Never a user, password, query or fragment, so that
/// it can be shown, stored and compared.
///
/// ```
/// use obmen_sdk::http::Address;
/// let address = Address::parse("HTTPS://Shop.example:443/api/").unwrap();
/// assert_eq!(address.to_string(), "https://shop.example/api");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address(Url);

impl Address {
    /// Reads an address; case of the host, default ports and a slash at the end make no difference.
    ///
    /// # Errors
    /// What is wrong, as a phrase that does not repeat the text (it may hold a password).
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut url = Url::parse(text.trim()).map_err(|_| "expected an address like `https://host/base`")?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err("expected an address like `https://host/base`");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the address holds a user or password; write them as `user` and `password`");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("expected an address without `?` and `#`");
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    /// The path, percent-encoded, without a slash at its end.
    pub fn path(&self) -> &str {
        self.0.path().trim_end_matches('/')
    }

    /// The same address with more path, percent-encoded, after it.
    ///
    /// # Errors
    /// `Internal` if the result is no address.
    pub fn extended(&self, path: &str) -> Result<Self> {
        let mut url = self.join(path)?;
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// The address of a request.
    pub(super) fn join(&self, path: &str) -> Result<Url> {
        if path.is_empty() {
            return Ok(self.0.clone());
        }
        let text = if path.starts_with('?') { format!("{self}{path}") } else { format!("{self}/{path}") };
        Url::parse(&text).map_err(|error| Error::internal("a request has an address that cannot be").because(error))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How an address is shown in errors: readable, without user, password, query and fragment.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let bare = url.set_username("").and_then(|()| url.set_password(None));
    if bare.is_err() {
        return "(an address without a host)".to_owned();
    }
    let readable = percent_decode_str(url.as_str()).decode_utf8_lossy().into_owned();
    if readable.contains(char::is_control) { url.to_string() } else { readable }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_leak_or_break_is_refused() {
        for text in [
            "",
            "host/base",
            "ftp://host",
            "https://",
            "http://user@host/",
            "http://u:p@host/",
            "http://h/?a=1",
            "http://h/#x",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn equal_places_are_equal() {
        let plain = Address::parse("http://host/база").unwrap();
        for text in ["http://HOST:80/база/", " http://host/%D0%B1%D0%B0%D0%B7%D0%B0 "] {
            assert_eq!(Address::parse(text).unwrap(), plain);
        }
        assert_ne!(Address::parse("http://host:8080/база").unwrap(), plain);
    }

    #[test]
    fn requests_start_with_the_address() {
        let address = Address::parse("http://host/a").unwrap();
        assert_eq!(address.join("b?c=%20d").unwrap().as_str(), "http://host/a/b?c=%20d");
        assert_eq!(address.join("").unwrap().as_str(), "http://host/a");
        assert_eq!(address.join("?x=1").unwrap().as_str(), "http://host/a?x=1");
        let root = Address::parse("http://host").unwrap();
        assert_eq!(root.join("b").unwrap().as_str(), "http://host/b");
    }

    #[test]
    fn shown_addresses_hold_no_secret_and_are_readable() {
        let url = Url::parse("http://user:word@host/%D0%B1/x?token=1#2").unwrap();
        assert_eq!(shown(&url), "http://host/б/x");
    }
}
