//! The requests of an exchange, one by one.

use crate::reply::{Reply, Wishes, decode};
use crate::settings::{Choice, Endpoint, Settings};
use obmen_sdk::http::{Address, Answer, Backoff, Bytes, Client, HeaderName, HeaderValue, Options, Request};
use obmen_sdk::{Error, ErrorKind, Result, Secret, Stop};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::Duration;

/// An answer is a few lines; an HTML page of an error is not much more.
const ANSWER_LIMIT: u64 = 1 << 20;

const COOKIE: HeaderName = HeaderName::from_static("cookie");
const CONTENT_TYPE: HeaderName = HeaderName::from_static("content-type");

/// What stays as it is in a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A shop as we talk to it.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    /// For questions that are answered soon.
    quick: Client,
    /// For imports, which may take minutes.
    patient: Client,
    endpoint: Endpoint,
    password: Secret,
    send_sessid: bool,
    lenient: bool,
    /// However slowly an answer drips, it is over after this.
    deadline: Duration,
}

/// A door the shop has opened for us.
pub(crate) struct Session {
    cookie: Option<HeaderValue>,
    cookie_value: Secret,
    sessid: Option<Secret>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (cookie, sessid) = (self.cookie.is_some(), self.sessid.is_some());
        f.debug_struct("Session").field("cookie", &cookie).field("sessid", &sessid).finish_non_exhaustive()
    }
}

impl Shop {
    /// A shop at an address. Connects to nothing yet.
    pub(crate) fn new(
        settings: &Settings,
        endpoint: Endpoint,
        user: &Secret,
        password: &Secret,
        stop: &Stop,
    ) -> Result<Self> {
        let address = Address::parse(&endpoint.origin).map_err(Error::invalid_data)?;
        let client = |read_timeout| {
            let options = Options {
                connect_timeout: settings.connect_timeout.duration(),
                read_timeout,
                retries: settings.retries,
                first_pause: settings.import_pause.duration().saturating_mul(2),
                body_limit: ANSWER_LIMIT,
                ..Options::default()
            };
            let client = Client::new(address.clone(), options, stop.clone())?;
            let anonymous = user.expose().is_empty() && password.expose().is_empty();
            // Some shops look at the login each time, not only at the cookie.
            Ok::<_, Error>(if anonymous { client } else { client.with_login(user.clone(), password.clone()) })
        };
        Ok(Self {
            quick: client(settings.timeout.duration())?,
            patient: client(settings.import_timeout.duration())?,
            endpoint,
            password: password.clone(),
            send_sessid: settings.sessid == Choice::Auto,
            lenient: settings.lenient_first_lines,
            deadline: settings.import_deadline.duration(),
        })
    }

    /// Pauses between exchanges that are begun anew.
    pub(crate) fn backoff(&self) -> Backoff {
        self.quick.backoff()
    }

    /// `checkauth`: asks to be let in. Touches nothing in the shop.
    pub(crate) async fn check_in(&self) -> Result<Session> {
        let request = self.request("checkauth", None, None);
        let (answer, text) = self.answer(&self.quick, &request, None).await?;
        if matches!(answer.status, 401 | 403) {
            return Err(self.refused(&format!("HTTP {}", answer.status)));
        }
        if let Some(failure) = answer.failure {
            return Err(failure);
        }
        match Reply::read(&text, self.lenient) {
            Reply::Success(lines) => Ok(self.session(&lines, &answer.set_cookies)),
            Reply::Failure(message) => Err(self.refused(&self.scrub(&message, None))),
            Reply::Progress(_) | Reply::Other(_) => Err(self.strange("checkauth", &self.scrub(&text, None))),
        }
    }

    /// `init`: begins an exchange. The shop empties the folder it receives files in.
    pub(crate) async fn init(&self, session: &Session) -> Result<Wishes> {
        let request = self.request("init", None, Some(session));
        let (answer, text) = self.answer(&self.quick, &request, Some(session)).await?;
        if let Some(failure) = answer.failure {
            return Err(failure);
        }
        if let Some(wishes) = Wishes::read(&text) {
            return Ok(wishes);
        }
        match Reply::read(&text, self.lenient) {
            Reply::Failure(message) => {
                let message = self.scrub(&message, Some(session));
                Err(Error::new(ErrorKind::Unavailable, format!("the shop does not begin an exchange: {message}")))
            }
            _ => Err(self.strange("init", &self.scrub(&text, Some(session)))),
        }
    }

    /// `file`: adds a piece to a file in the shop. Never repeated: the shop appends, and nobody can know whether a
    /// piece without an answer was appended.
    pub(crate) async fn file(&self, session: &Session, name: &str, piece: Bytes) -> Result<Reply> {
        let mut request = self.request("file", Some(name), Some(session));
        request.method = obmen_sdk::http::Method::POST;
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        request.body = Some(piece);
        let (answer, text) = self.answer(&self.quick, &request, Some(session)).await?;
        answer.failure.map_or_else(|| Ok(self.reply(&text, session)), Err)
    }

    /// `import`: asks the shop to take a file in; repeated as it is while the answer is `progress`.
    pub(crate) async fn import(&self, session: &Session, name: &str) -> Result<Reply> {
        let request = self.request("import", Some(name), Some(session));
        let (answer, text) = self.answer(&self.patient, &request, Some(session)).await?;
        answer.failure.map_or_else(|| Ok(self.reply(&text, session)), Err)
    }

    fn reply(&self, text: &str, session: &Session) -> Reply {
        match Reply::read(text, self.lenient) {
            Reply::Failure(message) => Reply::Failure(self.scrub(&message, Some(session))),
            Reply::Other(message) => Reply::Other(self.scrub(&message, Some(session))),
            other => other,
        }
    }

    fn request(&self, mode: &str, file: Option<&str>, session: Option<&Session>) -> Request {
        let mut query = self.endpoint.query.clone();
        let mut add = |key: &str, value: &str| {
            let separator = if query.is_empty() { "" } else { "&" };
            query = format!("{query}{separator}{key}={}", utf8_percent_encode(value, PLAIN));
        };
        add("type", "catalog");
        add("mode", mode);
        if let Some(file) = file {
            add("filename", file);
        }
        if let Some(sessid) = session.and_then(|session| session.sessid.as_ref()) {
            add("sessid", sessid.expose());
        }
        let mut request = Request::get(format!("{}?{query}", self.endpoint.path.trim_start_matches('/')));
        if let Some(cookie) = session.and_then(|session| session.cookie.clone()) {
            request = request.header(COOKIE, cookie);
        }
        request
    }

    async fn answer(&self, client: &Client, request: &Request, session: Option<&Session>) -> Result<(Heard, String)> {
        let whole = async {
            let answer = client.send(request).await?;
            let heard = Heard::of(&answer);
            let content_type = answer.header("content-type");
            let bytes = answer.bytes().await?;
            Ok::<_, Error>((heard, decode(&bytes, content_type.as_deref())))
        };
        let late =
            |_| Error::new(ErrorKind::Timeout, format!("no whole answer within {} seconds", self.deadline.as_secs()));
        let (mut heard, text) = tokio::time::timeout(self.deadline, whole).await.map_err(late)??;
        tracing::debug!(status = heard.status, url = %self.endpoint.identity(), "the shop answered");
        if let Some(failure) = heard.failure.take() {
            let said = match Reply::read(&text, self.lenient) {
                Reply::Failure(message) | Reply::Other(message) => self.scrub(&message, session),
                Reply::Success(_) | Reply::Progress(_) => String::new(),
            };
            heard.failure = Some(if said.is_empty() { failure } else { reworded(&failure, &said) });
        }
        Ok((heard, text))
    }

    /// Cookie and token: lines of the answer, or where those are missing the header.
    fn session(&self, lines: &[String], set_cookies: &[String]) -> Session {
        let in_lines = match lines {
            [name, value, ..] if is_cookie_name(name) && !value.is_empty() && !value.contains(';') => {
                Some(format!("{name}={value}"))
            }
            _ => None,
        };
        let pairs: Vec<&str> =
            set_cookies.iter().filter_map(|cookie| cookie.split(';').next()).map(str::trim).collect();
        let in_header = (!pairs.is_empty()).then(|| pairs.join("; "));
        let cookie = in_lines.or(in_header).unwrap_or_default();
        let value = cookie.split_once('=').map_or("", |(_, value)| value).to_owned();
        let header = HeaderValue::from_str(&cookie).ok().filter(|header| !header.is_empty()).map(|mut header| {
            header.set_sensitive(true);
            header
        });
        let sessid = lines.iter().find_map(|line| line.strip_prefix("sessid=")).filter(|token| !token.is_empty());
        let sessid = sessid.filter(|_| self.send_sessid).map(Secret::new);
        Session { cookie: header, cookie_value: Secret::new(value), sessid }
    }

    /// A text of the shop without what must not be shown.
    fn scrub(&self, text: &str, session: Option<&Session>) -> String {
        let session_secrets =
            session.into_iter().flat_map(|session| [Some(&session.cookie_value), session.sessid.as_ref()]);
        let secrets = std::iter::once(Some(&self.password)).chain(session_secrets).flatten();
        secrets
            .map(Secret::expose)
            .filter(|secret| secret.len() >= 4)
            .fold(text.to_owned(), |text, secret| text.replace(secret, "[secret]"))
    }

    fn refused(&self, said: &str) -> Error {
        let message = format!(
            "the shop does not let us in ({said}): the user or password is wrong, or the web server in front of the shop \
             drops the `Authorization` header (FastCGI: `SetEnvIf Authorization \"(.*)\" HTTP_AUTHORIZATION=$1`)"
        );
        Error::new(ErrorKind::Unauthenticated, message).with("url", self.endpoint.identity())
    }

    fn strange(&self, mode: &str, text: &str) -> Error {
        let said = match Reply::read(text, false) {
            Reply::Other(said) if said.is_empty() => "nothing".to_owned(),
            Reply::Other(said) | Reply::Failure(said) | Reply::Progress(said) => format!("`{said}`"),
            Reply::Success(_) => "`success` alone".to_owned(),
        };
        let message = format!("this is no 1c_exchange: the answer to `{mode}` is {said}");
        Error::new(ErrorKind::InvalidData, message).with("url", self.endpoint.identity())
    }
}

/// An answer without its body.
struct Heard {
    status: u16,
    /// What the status alone means, if it is no success.
    failure: Option<Error>,
    set_cookies: Vec<String>,
}

impl Heard {
    fn of(answer: &Answer) -> Self {
        let failure = (!answer.is_success()).then(|| answer.failure());
        Self { status: answer.status(), failure, set_cookies: answer.headers("set-cookie") }
    }
}

fn is_cookie_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.[]%".contains(&byte))
}

fn reworded(failure: &Error, said: &str) -> Error {
    let error = Error::new(failure.kind(), format!("{}: {said}", failure.message()));
    failure.context().iter().fold(error, |error, (key, value)| error.with(key, value))
}
