//! One database: how to reach it, and one session with it.

use crate::refusal::failed;
use crate::settings::{Address, Settings, Tls};
use crate::tls;
use obmen_sdk::{Context, Error, ErrorKind, Result, Stop};
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How often a wish to stop is looked for while the server is waited for.
const TICK: Duration = Duration::from_millis(200);

/// What every session says first: texts of values must not depend on the role's settings.
const MANNERS: &str = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; \
    SET extra_float_digits = 1; SET bytea_output = 'hex'; SET standard_conforming_strings = on; \
    SET idle_in_transaction_session_timeout = 0;";

/// One database, and how to reach it.
pub(crate) struct Server {
    config: Config,
    tls: MakeRustlsConnect,
    identity: String,
    manners: String,
    connect_timeout: Duration,
    silence: Duration,
    stop: Stop,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Server {
    /// Makes ready to connect; asks nobody yet.
    ///
    /// # Errors
    /// `NotFound` for a secret or file that is not there, `InvalidData` for an address or certificates that are none.
    pub(crate) fn new(settings: &Settings, context: &Context) -> Result<Self> {
        let resolved = |text: &Option<String>| -> Result<Option<String>> {
            text.as_deref().map(|text| Ok(context.secrets.resolve(text)?.expose().to_owned())).transpose()
        };
        let settings = Settings {
            url: resolved(&settings.url)?,
            host: resolved(&settings.host)?,
            database: resolved(&settings.database)?,
            user: resolved(&settings.user)?,
            password: resolved(&settings.password)?,
            ..settings.clone()
        };
        let address = Address::of(&settings).map_err(|phrase| Error::invalid_data(phrase).with("setting", "url"))?;
        let ca: Option<PathBuf> = settings.ca.as_ref().map(|path| context.project.join(path));
        let manners = settings
            .statement_timeout
            .map_or_else(String::new, |time| format!(" SET statement_timeout = {};", time.duration().as_millis()));
        Ok(Self {
            config: config(&settings, &address),
            tls: tls::connector(settings.tls, ca.as_deref())?,
            identity: format!("{}:{}/{}", address.host.to_lowercase(), address.port, address.database),
            manners: format!("{MANNERS}{manners}"),
            connect_timeout: settings.connect_timeout.duration(),
            silence: settings.timeout.duration(),
            stop: context.stop.clone(),
        })
    }

    /// The address without the role: what state belongs to.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// Whether the run should stop.
    pub(crate) fn stopping(&self) -> bool {
        self.stop.is_set()
    }

    /// Begins a session.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout`, `Unauthenticated`, `NotFound` (no such database), `Cancelled`.
    pub(crate) async fn connect(&self) -> Result<Session> {
        self.session().await.map_err(|error| error.with("url", &self.identity))
    }

    async fn session(&self) -> Result<Session> {
        let patience = Patience { silence: self.connect_timeout, stop: Some(self.stop.clone()) };
        let connecting = Box::pin(self.config.connect(self.tls.clone()));
        let connected = patience.wait("connecting", connecting).await;
        let (client, connection) = connected.map_err(|error| match error.kind() {
            ErrorKind::Timeout => Error::new(ErrorKind::Unavailable, error.message().to_owned()).because(error),
            _ => error,
        })?;
        let utf8 = connection.parameter("server_encoding").is_none_or(|encoding| encoding == "UTF8");
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to PostgreSQL ended");
            }
        });
        let patience = Patience { silence: self.silence, stop: Some(self.stop.clone()) };
        let session = Session { client, driver, tls: self.tls.clone(), patience, utf8 };
        session.run("beginning a session", &self.manners).await?;
        Ok(session)
    }
}

fn config(settings: &Settings, address: &Address) -> Config {
    let mut config = Config::new();
    config
        .host(&address.host)
        .port(address.port)
        .dbname(&address.database)
        .user(&address.user)
        .application_name("obmen")
        .connect_timeout(settings.connect_timeout.duration())
        .keepalives_idle(Duration::from_mins(1));
    // A socket of this machine has nothing to encrypt.
    let local = address.host.starts_with('/');
    config.ssl_mode(match settings.tls {
        Tls::Off => SslMode::Disable,
        _ if local => SslMode::Disable,
        Tls::Prefer => SslMode::Prefer,
        Tls::Require => SslMode::Require,
    });
    if let Some(password) = &settings.password {
        config.password(password);
    } else if let Some(password) = &address.password {
        config.password(password);
    }
    config
}

/// How long the other side is waited for.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    silence: Duration,
    stop: Option<Stop>,
}

impl Patience {
    /// Waits for an answer.
    ///
    /// # Errors
    /// `Timeout` if none comes in time, `Cancelled` if the run should stop, and what the answer says.
    pub(crate) async fn wait<T>(
        &self,
        doing: &str,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        let mut answer = std::pin::pin!(answer);
        let mut rest = self.silence;
        loop {
            let step = rest.min(TICK);
            if let Ok(answer) = tokio::time::timeout(step, &mut answer).await {
                return answer.map_err(|error| failed(error, doing));
            }
            rest -= step;
            if self.stop.as_ref().is_some_and(Stop::is_set) {
                return Err(Error::new(ErrorKind::Cancelled, format!("stopped while {doing}")));
            }
            if rest.is_zero() {
                let seconds = self.silence.as_secs_f32();
                let message = format!("PostgreSQL was silent for {seconds} s while {doing}");
                return Err(Error::new(ErrorKind::Timeout, message));
            }
        }
    }

    /// The same, whether the run should stop or not.
    pub(crate) fn to_the_end(&self) -> Self {
        Self { silence: self.silence, stop: None }
    }
}

/// One session. Dropping it ends it: the server rolls back what was not committed.
pub(crate) struct Session {
    /// The driver's client.
    pub(crate) client: Client,
    driver: JoinHandle<()>,
    tls: MakeRustlsConnect,
    /// How long the server may be silent.
    pub(crate) patience: Patience,
    /// Whether the database keeps texts as UTF-8, so that its bytes are ours.
    pub(crate) utf8: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("utf8", &self.utf8).finish_non_exhaustive()
    }
}

impl Session {
    /// Carries out statements that give no rows.
    ///
    /// # Errors
    /// Those of [`Patience::wait`].
    pub(crate) async fn run(&self, doing: &str, sql: &str) -> Result<()> {
        self.patience.wait(doing, self.client.batch_execute(sql)).await
    }

    /// Asks for rows. Every value comes as a text, as PostgreSQL writes it.
    ///
    /// # Errors
    /// Those of [`Patience::wait`].
    pub(crate) async fn ask(&self, doing: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let messages = self.patience.wait(doing, self.client.simple_query(sql)).await?;
        Ok(messages
            .into_iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|at| row.get(at).map(ToOwned::to_owned)).collect())
                }
                _ => None,
            })
            .collect())
    }

    /// Carries out a statement; says how many rows it concerned.
    ///
    /// # Errors
    /// Those of [`Patience::wait`].
    pub(crate) async fn count(&self, doing: &str, sql: &str) -> Result<u64> {
        self.patience.wait(doing, Box::pin(self.client.execute(sql, &[]))).await
    }

    /// Asks the server to give up what it does for this session, and leaves. Nothing is reported: it is a courtesy.
    pub(crate) async fn cancel(self) {
        let token = self.client.cancel_token();
        let asked = token.cancel_query(self.tls.clone());
        if !matches!(tokio::time::timeout(Duration::from_secs(5), asked).await, Ok(Ok(()))) {
            tracing::debug!("a query could not be cancelled");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A connection whose answer nobody waits for would go on reading to the end of it.
        self.driver.abort();
    }
}
