//! Manners of HTTP clients, shared by all connectors: clear errors, pauses that grow between attempts, limits on time
//! and size, and no secret in any text.
//!
//! [`Client::send`] makes one attempt; [`Client::retrying`] repeats whatever is harmless to repeat.
//!
//! ```no_run
//! # async fn example(stop: obmen_sdk::Stop) -> obmen_sdk::Result<()> {
//! use obmen_sdk::http::{Address, Client, Options, Request};
//!
//! let address = Address::parse("https://host/base").map_err(obmen_sdk::Error::invalid_data)?;
//! let client = Client::new(address, Options::default(), stop)?;
//! let request = Request::get("list?limit=10");
//! let body = client.retrying(|| async { client.send(&request).await?.successful()?.bytes().await }).await?;
//! # Ok(()) }
//! ```

mod address;
mod answer;
mod backoff;

pub use address::Address;
pub use answer::Answer;
pub use backoff::{Backoff, pause};
pub use bytes::Bytes;
pub use reqwest::Method;
pub use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::{Error, ErrorKind, Result, Secret, Stop};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A client of one outside system: its address, login, limits and pauses. Cheap to clone; clones share connections.
///
/// Redirects are not followed (the login must not travel to another address, and a person should know that a base
/// moved); proxies of the environment are not used.
#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
    address: Address,
    login: Option<(Secret, Secret)>,
    options: Arc<Options>,
    stop: Stop,
    backoffs: Arc<AtomicU64>,
}

/// Limits of a [`Client`].
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a connection may take to stand. Default: one minute.
    pub connect_timeout: Duration,
    /// How long the other side may be silent, before the answer and within it. Default: five minutes.
    pub read_timeout: Duration,
    /// How often something is tried again that may be tried again. Default: 4.
    pub retries: u32,
    /// The first pause before trying again; each further one is twice as long. Default: one second.
    pub first_pause: Duration,
    /// The longest pause, also of those the other side asks for. Default: five minutes.
    pub longest_pause: Duration,
    /// Bytes an answer may have, after decompression. Default: 256 MB.
    pub body_limit: u64,
    /// What scatters the pauses: equal seeds give equal pauses.
    pub seed: u64,
    /// Certificates (PEM) trusted besides the public ones.
    pub certificates: Option<Vec<u8>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_mins(1),
            read_timeout: Duration::from_mins(5),
            retries: 4,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_mins(5),
            body_limit: 256 << 20,
            seed: 0,
            certificates: None,
        }
    }
}

/// One request, relative to the client's address.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: Method,
    /// What follows the address and a slash: path and query, percent-encoded. Empty: the address itself.
    pub path: String,
    /// Headers besides the login.
    pub headers: HeaderMap,
    /// The body, if any.
    pub body: Option<Bytes>,
}

impl Request {
    /// A `GET` of a path and query, percent-encoded.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), headers: HeaderMap::new(), body: None }
    }

    /// A `POST` of a body to a path and query, percent-encoded.
    pub fn post(path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, path: path.into(), headers: HeaderMap::new(), body: Some(body.into()) }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }
}

impl Client {
    /// A client of an address. Connects to nothing yet.
    ///
    /// # Errors
    /// `InvalidData` for certificates that cannot be read, `Internal` if TLS cannot be set up.
    pub fn new(address: Address, options: Options, stop: Stop) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("obmen/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect_timeout)
            .read_timeout(options.read_timeout)
            .tcp_keepalive(Duration::from_mins(1))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if let Some(pem) = &options.certificates {
            let bad = |error| Error::invalid_data("the certificates cannot be read, PEM is expected").because(error);
            for certificate in reqwest::Certificate::from_pem_bundle(pem).map_err(bad)? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let inner = builder.build().map_err(|error| Error::internal("cannot set up HTTP").because(error))?;
        let backoffs = Arc::new(AtomicU64::new(0));
        Ok(Self { inner, address, login: None, options: Arc::new(options), stop, backoffs })
    }

    /// Sends a user and password (HTTP Basic, UTF-8) with every request.
    #[must_use]
    pub fn with_login(mut self, user: Secret, password: Secret) -> Self {
        self.login = Some((user, password));
        self
    }

    /// The address all requests start with.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The limits.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Sends a request once. Gives the answer whatever its status; see [`Answer::successful`].
    ///
    /// # Errors
    /// `Cancelled` if the run should stop, `Unavailable` if no connection stands or it broke, `Timeout` after silence.
    pub async fn send(&self, request: &Request) -> Result<Answer> {
        if self.stop.is_set() {
            return Err(Error::new(ErrorKind::Cancelled, "stopped before the next request"));
        }
        let url = self.address.join(&request.path)?;
        let shown = address::shown(&url);
        let mut builder = self.inner.request(request.method.clone(), url).headers(request.headers.clone());
        if let Some((user, password)) = &self.login {
            builder = builder.basic_auth(user.expose(), Some(password.expose()));
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        match builder.send().await {
            Ok(response) => Ok(Answer::new(response, shown, self.options.body_limit)),
            Err(error) => Err(answer::transport(error, &self.options).with("url", shown)),
        }
    }

    /// Repeats an action that is harmless to repeat while its error says that trying again can help, with pauses.
    ///
    /// # Errors
    /// The last error, with the number of attempts where there were several; `Cancelled` if the run should stop.
    pub async fn retrying<T, F, Fut>(&self, mut action: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let mut backoff = self.backoff();
        loop {
            match action().await {
                Ok(value) => return Ok(value),
                Err(error) => backoff.wait(error).await?,
            }
        }
    }

    /// Pauses for one series of attempts.
    pub fn backoff(&self) -> Backoff {
        let turn = self.backoffs.fetch_add(1, Ordering::Relaxed);
        Backoff::new(&self.options, self.options.seed.wrapping_add(turn), self.stop.clone())
    }
}

#[cfg(test)]
mod tests;
