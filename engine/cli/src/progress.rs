//! Bars on a terminal while a run goes on.

use crate::console::Console;
use crate::words;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use obmen_runtime::progress::{Event, Progress};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Shows a run on stderr if a person watches, and says nothing otherwise.
#[derive(Debug)]
pub(crate) struct Watcher {
    console: Console,
    bars: MultiProgress,
    open: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Watcher {
    /// Begins to watch.
    pub(crate) fn new(console: &Console) -> Self {
        let target = if console.is_watched() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self {
            console: console.clone(),
            bars: MultiProgress::with_draw_target(target),
            open: Mutex::new(BTreeMap::new()),
        }
    }

    /// Takes all bars away, so that the result stands alone.
    pub(crate) fn finish(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((_, bar)) = open.pop_first() {
            bar.finish_and_clear();
        }
    }

    /// The bar of a thing, made if it is new.
    fn bar(&self, name: &str, template: &str) -> ProgressBar {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = self.bars.add(ProgressBar::new_spinner().with_style(style.progress_chars("━━ ")));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        };
        open.entry(name.to_owned()).or_insert_with(make).clone()
    }

    fn close(&self, name: &str) {
        let bar = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        bar.inspect(ProgressBar::finish_and_clear);
    }
}

impl Progress for Watcher {
    fn event(&self, event: Event) {
        match event {
            Event::Reading { source, rows } => {
                let bar = self.bar(&format!("source {source}"), "{spinner} {msg}");
                bar.set_message(format!("reading {source}: {}", words::counted(rows, "row", "rows")));
            }
            Event::Read { source, .. } => self.close(&format!("source {source}")),
            Event::Comparing { sink } => {
                let bar = self.bar("comparing", "{spinner} {msg}");
                bar.set_message(format!("comparing with what {sink} has"));
            }
            Event::Sending { sink, done, of } => {
                self.close("comparing");
                let bar = self.bar(&format!("sink {sink}"), "{spinner} {msg} {bar:30} {pos}/{len}");
                bar.set_message(format!("sending to {sink}"));
                bar.set_length(of);
                bar.set_position(done);
            }
            Event::Note(text) => self.bars.suspend(|| self.console.say(&text)),
        }
    }
}
