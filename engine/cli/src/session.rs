//! What one execution of the program has in hand.

use crate::arguments::{Global, STATE};
use crate::console::Console;
use crate::environment;
use crate::exit::Exit;
use crate::sandbox::Sandbox;
use crate::text::put;
use chrono::{DateTime, Utc};
use obmen_sdk::{Registry, Stop};
use std::collections::BTreeMap;
use std::path::Path;

/// What one execution of the program has in hand.
#[derive(Debug)]
pub(crate) struct Session {
    /// What was said for every command.
    pub(crate) global: Global,
    /// Where results and talk go.
    pub(crate) console: Console,
    /// The connectors.
    pub(crate) registry: Registry,
    /// The simulators.
    pub(crate) sandbox: Box<dyn Sandbox>,
    /// The wish to stop, set by Ctrl-C.
    pub(crate) stop: Stop,
}

impl Session {
    /// A session at its beginning.
    pub(crate) fn new(global: Global, console: Console, registry: Registry, sandbox: Box<dyn Sandbox>) -> Self {
        Self { global, console, registry, sandbox, stop: Stop::default() }
    }

    /// The time now, or the one of `--as-of`.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.global.as_of.unwrap_or_else(environment::now)
    }

    /// The vars of `--var`; of one given twice the last.
    pub(crate) fn vars(&self) -> BTreeMap<String, String> {
        self.global.vars.iter().cloned().collect()
    }

    /// How this program is called for the same project, profile and state: the beginning of every command that is proposed.
    pub(crate) fn obmen(&self) -> String {
        let mut words = "obmen".to_owned();
        let quoted = |text: &str| if text.contains(' ') { format!("\"{text}\"") } else { text.to_owned() };
        if let Some(project) = &self.global.project {
            put!(words, " --project {}", quoted(&project.display().to_string()));
        }
        if let Some(profile) = &self.global.profile {
            put!(words, " --profile {}", quoted(profile));
        }
        if self.global.state != Path::new(STATE) {
            put!(words, " --state {}", quoted(&self.global.state.display().to_string()));
        }
        words
    }

    /// From now on the first Ctrl-C asks the work to stop after what is under way, and the second one ends the program.
    pub(crate) fn stop_on_interrupt(&self) {
        let (stop, console) = (self.stop.clone(), self.console.clone());
        tokio::spawn(async move {
            interrupted().await;
            stop.set();
            console.insist("stopping after the request under way; press Ctrl-C again to stop at once");
            interrupted().await;
            // Nothing is waited for: the state survives a crash.
            std::process::exit(i32::from(Exit::Interrupted.code()));
        });
    }
}

/// Waits for Ctrl-C, or for what the system sends to end a program.
pub(crate) async fn interrupted() {
    // A signal that cannot be heard is one that never comes.
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        () = terminated() => {}
        else => std::future::pending().await,
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

#[cfg(windows)]
async fn terminated() {
    use tokio::signal::windows::{ctrl_break, ctrl_close, ctrl_shutdown};
    match (ctrl_break(), ctrl_close(), ctrl_shutdown()) {
        (Ok(mut broken), Ok(mut closed), Ok(mut shut)) => {
            tokio::select! {
                _ = broken.recv() => {}
                _ = closed.recv() => {}
                _ = shut.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}
