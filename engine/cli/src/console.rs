//! Where results and talk go: stdout and stderr, colours, a reader who has seen enough.

use crate::arguments::{Colour, Format, Global};
use crate::exit::{Exit, Failure};
use crate::text::put;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use obmen_diagnostics::{Diagnostic, Files, render};
use serde::Serialize;
use std::fmt;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::EnvFilter;

/// Bold: headings.
pub(crate) const STRONG: Style = Style::new().bold();
/// Red: what is wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Green: what is right.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Yellow: what a person should look at.
pub(crate) const LOOK: Style = AnsiColor::Yellow.on_default();
/// Grey: what is beside the point.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Both ends of the terminal. Texts may carry colours: they are taken out where nobody can see them.
#[derive(Clone)]
pub(crate) struct Console(Arc<Inside>);

struct Inside {
    out: Mutex<AutoStream<std::io::Stdout>>,
    err: Mutex<AutoStream<std::io::Stderr>>,
    /// Whoever reads stdout has gone.
    closed: AtomicBool,
    format: Format,
    quiet: bool,
    verbose: bool,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("format", &self.0.format).finish_non_exhaustive()
    }
}

impl Console {
    /// The process's own stdout and stderr.
    pub(crate) fn new(global: &Global) -> Self {
        let choice = match global.color {
            Colour::Auto => ColorChoice::Auto,
            Colour::Always => ColorChoice::Always,
            Colour::Never => ColorChoice::Never,
        };
        Self(Arc::new(Inside {
            out: Mutex::new(AutoStream::new(std::io::stdout(), choice)),
            err: Mutex::new(AutoStream::new(std::io::stderr(), choice)),
            closed: AtomicBool::new(false),
            format: global.output,
            quiet: global.quiet,
            verbose: global.verbose > 0,
        }))
    }

    /// Whether results are to be JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.0.format == Format::Json
    }

    /// Whether a person asked for more than results.
    pub(crate) fn is_verbose(&self) -> bool {
        self.0.verbose
    }

    /// Whether bars may move on stderr: a person watches and nothing else is written there.
    pub(crate) fn is_watched(&self) -> bool {
        !self.0.quiet && !self.0.verbose && std::io::stderr().is_terminal()
    }

    /// Writes a result. A reader that has gone (`obmen journal | head`) is no failure.
    ///
    /// # Errors
    /// Whatever else keeps stdout from being written, a full disk above all.
    pub(crate) fn result(&self, text: &str) -> Result<(), Failure> {
        if self.is_closed() {
            return Ok(());
        }
        let mut out = self.0.out.lock().unwrap_or_else(PoisonError::into_inner);
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.0.closed.store(true, Ordering::SeqCst);
                Ok(())
            }
            Err(error) => Err(Failure::new(Exit::Troubled, format!("the result cannot be written: {error}"))),
        }
    }

    /// Writes a result as one line of JSON.
    ///
    /// # Errors
    /// As for [`result`](Self::result).
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|error| Failure::from(obmen_sdk::Error::internal(error)))?;
        self.result(&(text + "\n"))
    }

    /// Whether nobody reads the results any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::SeqCst)
    }

    /// Says something to the person, unless they asked for quiet.
    pub(crate) fn say(&self, text: &str) {
        if !self.0.quiet {
            self.insist(text);
        }
    }

    /// Says something that must not be missed.
    pub(crate) fn insist(&self, text: &str) {
        let mut err = self.0.err.lock().unwrap_or_else(PoisonError::into_inner);
        let line_break = if text.ends_with('\n') { "" } else { "\n" };
        // There is nowhere to say that nothing can be said.
        err.write_all(format!("{text}{line_break}").as_bytes()).unwrap_or_default();
    }

    /// Shows diagnostics that stop nothing, unless the person asked for quiet.
    pub(crate) fn say_diagnostics(&self, files: &Files, found: &[&Diagnostic]) {
        if !self.0.quiet {
            self.insist_diagnostics(files, found);
        }
    }

    /// Shows diagnostics.
    pub(crate) fn insist_diagnostics(&self, files: &Files, found: &[&Diagnostic]) {
        if !found.is_empty() {
            self.insist(&(render::text(files, found, true) + "\n"));
        }
    }

    /// Says why a command gave up. In JSON the reason is a document on stdout too, so that a program finds one there.
    pub(crate) fn failure(&self, failure: &Failure) {
        let Some(message) = &failure.message else { return };
        let mut text = format!("{BAD}error:{BAD:#} {message}\n");
        for help in &failure.help {
            put!(text, "{STRONG}help:{STRONG:#} {help}\n");
        }
        if let (true, Some(story)) = (self.0.verbose, &failure.story) {
            put!(text, "{FAINT}{}{FAINT:#}\n", story.trim_end());
        }
        self.insist(&text);
        if self.is_json() {
            let document = serde_json::json!({ "error": message, "exit_code": failure.exit.code() });
            // The failure itself is what counts.
            self.json(&document).unwrap_or_default();
        }
    }

    /// Starts the log on stderr: warnings, and with `-v` more. `OBMEN_LOG` says it exactly (`obmen_odata=trace`).
    pub(crate) fn start_log(&self, verbose: u8) {
        let level = match (self.0.quiet, verbose) {
            (true, _) => "error",
            (_, 0) => "warn",
            (_, 1) => {
                "warn,obmen=info,obmen_runtime=info,obmen_sdk=info,obmen_odata=info,obmen_commerceml=info,obmen_files=info"
            }
            (_, 2) => "info,datafusion=warn",
            (_, 3) => "debug",
            _ => "trace",
        };
        let filter = crate::environment::variable("OBMEN_LOG")
            .and_then(|asked| EnvFilter::try_new(asked).ok())
            .unwrap_or_else(|| EnvFilter::new(level));
        let ansi = self.0.err.lock().unwrap_or_else(PoisonError::into_inner).current_choice() != ColorChoice::Never;
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi);
        // A second start within one process (tests) keeps the first log.
        log.try_init().unwrap_or_default();
    }
}
