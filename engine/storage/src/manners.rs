//! How requests to a store are made, and what is remembered of those that fail.
//!
//! The client of `object_store` makes and repeats the requests. What it gives back of a failure is text, which may
//! hold parts of a login (S3 repeats the access key in its refusals), and no status. So each request passes through
//! [`Manners`]: it notes what went wrong for [`attempt`], empties the body of a refusal, and waits when the store asks.

use crate::address::StoreOptions;
use async_trait::async_trait;
use base64::Engine as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use obmen_sdk::http::{HeaderMap, HeaderValue, pause};
use obmen_sdk::{Error, ErrorKind, Result, Secret, Stop};
use std::cell::RefCell;
use std::time::Duration;

/// The longest time a store may ask to wait; for longer ones the run does not wait.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// How often a wish to stop is looked for while a request is under way.
const TICK: Duration = Duration::from_millis(100);
/// Characters of a refusal's code at most: `SignatureDoesNotMatch`.
const CODE_LENGTH: usize = 64;

tokio::task_local! {
    static TROUBLE: RefCell<Trouble>;
}

/// What went wrong with the last request of an attempt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble {
    /// The status, if there was an answer.
    pub(crate) status: Option<u16>,
    /// The store's own word for it, like `NoSuchBucket`.
    pub(crate) code: Option<String>,
    /// How long the store asks to wait.
    pub(crate) after: Option<Duration>,
    /// What was between us and the answer, if there was none.
    pub(crate) transport: Option<HttpErrorKind>,
    /// Whether any request may have been carried out though we do not know it.
    pub(crate) doubtful: bool,
}

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The run is to stop; what was under way was given up.
    Stopped,
    /// The store, or something on the way to it.
    Store(object_store::Error, Trouble),
}

/// Does something with a store, noting what goes wrong with its requests. `stop` ends it at once, so only what
/// changes nothing there may be given one.
pub(crate) async fn attempt<T>(
    stop: Option<&Stop>,
    work: impl Future<Output = object_store::Result<T>>,
) -> Result<T, Failed> {
    let noted = async {
        match work.await {
            Ok(value) => Ok(value),
            Err(error) => Err(Failed::Store(error, TROUBLE.with(|trouble| trouble.borrow().clone()))),
        }
    };
    let work = TROUBLE.scope(RefCell::default(), noted);
    let Some(stop) = stop else { return work.await };
    let stopped = async {
        while !stop.is_set() {
            tokio::time::sleep(TICK).await;
        }
    };
    tokio::select! {
        biased;
        () = stopped => Err(Failed::Stopped),
        result = work => result,
    }
}

/// Makes the client all requests go through.
#[derive(Debug)]
pub(crate) struct Manners {
    client: reqwest::Client,
    stop: Stop,
}

impl Manners {
    /// Limits like those of all other connectors: no redirects (a login must not travel), no proxies of the
    /// environment, silence is limited and not the whole of an answer. `login`: it is sent as HTTP says.
    ///
    /// # Errors
    /// `InvalidData` for a login that cannot stand in a header; `Internal` if TLS cannot be set up.
    pub(crate) fn new(options: &StoreOptions, stop: &Stop, login: bool) -> Result<Self> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("obmen/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect_timeout)
            .read_timeout(options.timeout)
            .tcp_keepalive(Duration::from_mins(1))
            .redirect(reqwest::redirect::Policy::none())
            // An answer that is unpacked on the way has another length than the object.
            .no_gzip()
            .no_proxy()
            .default_headers(if login { headers(options)? } else { HeaderMap::new() })
            .build()
            .map_err(|error| Error::internal("cannot set up HTTP").because(error))?;
        Ok(Self { client, stop: stop.clone() })
    }
}

impl HttpConnector for Manners {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service { client: self.client.clone(), stop: self.stop.clone() }))
    }
}

/// Makes one request after the other.
#[derive(Debug)]
struct Service {
    client: reqwest::Client,
    stop: Stop,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = match self.client.call(request).await {
            Ok(response) => response,
            Err(error) => {
                let kind = error.kind();
                note(|trouble| {
                    let doubtful = trouble.doubtful || kind != HttpErrorKind::Connect;
                    *trouble = Trouble { transport: Some(kind), doubtful, ..Trouble::default() };
                });
                return Err(error);
            }
        };
        let status = response.status().as_u16();
        if status < 300 || status == 304 {
            return Ok(response);
        }
        let after = retry_after(response.headers());
        let (parts, body) = response.into_parts();
        let body = body.bytes().await.unwrap_or_default();
        note(|trouble| {
            // 503 is a polite refusal, any other failure inside the store may have come after the deed.
            let doubtful = trouble.doubtful || (status >= 500 && status != 503);
            *trouble = Trouble { status: Some(status), code: code(&body), after, transport: None, doubtful };
        });
        if let (429 | 503, Some(length)) = (status, after)
            && (length > LONGEST_WAIT || pause(&self.stop, length).await.is_err())
        {
            let refused = Error::new(ErrorKind::RateLimited { after: length }, "the store asks to wait");
            return Err(HttpError::new(HttpErrorKind::Unknown, refused));
        }
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::from(String::new())))
    }
}

/// Writes down what went wrong, for the attempt this request belongs to.
fn note(change: impl FnOnce(&mut Trouble)) {
    // Outside an attempt there is nobody to read it.
    TROUBLE.try_with(|trouble| change(&mut trouble.borrow_mut())).ok();
}

/// The word a store has for a refusal: letters between `<Code>` and `</Code>`, and nothing that could be a secret.
fn code(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let good = code.len() <= CODE_LENGTH && code.chars().all(|mark| mark.is_ascii_alphanumeric());
    good.then(|| code.to_owned())
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

fn headers(options: &StoreOptions) -> Result<HeaderMap> {
    let login = &options.login;
    let text = match (&login.user, &login.token) {
        (Some(user), _) => {
            let pair = format!("{}:{}", user.expose(), login.password.as_ref().map_or("", Secret::expose));
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        }
        (None, Some(token)) => format!("Bearer {}", token.expose()),
        (None, None) => return Ok(HeaderMap::new()),
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        Error::invalid_data("the token has a character that no header can have").with("setting", "token")
    })?;
    value.set_sensitive(true);
    Ok(std::iter::once((reqwest::header::AUTHORIZATION, value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_refusal_only_its_code_is_kept() {
        let body = b"<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIA</AWSAccessKeyId></Error>";
        assert_eq!(code(body).as_deref(), Some("SignatureDoesNotMatch"));
        assert_eq!(code(b"<Code>not a word</Code>"), None);
        assert_eq!(code(b"<html>"), None);
    }
}
