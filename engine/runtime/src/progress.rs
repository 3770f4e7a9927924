//! What is going on, for a terminal or a log.

/// Something that happened in a run.
#[derive(Clone, Debug)]
pub enum Event {
    /// A source has brought so many rows so far.
    Reading {
        /// Its name.
        source: String,
        /// Rows so far.
        rows: u64,
    },
    /// A source was read to its end.
    Read {
        /// Its name.
        source: String,
        /// Rows in all.
        rows: u64,
    },
    /// A sink is being compared with what the other side has.
    Comparing {
        /// Its name.
        sink: String,
    },
    /// So many of the due rows of a sink are settled.
    Sending {
        /// Its name.
        sink: String,
        /// Settled.
        done: u64,
        /// Due in all.
        of: u64,
    },
    /// A word for people.
    Note(String),
}

/// Somebody who watches a run.
pub trait Progress: std::fmt::Debug + Send + Sync {
    /// Called for every event, from the run's own thread; must be quick.
    fn event(&self, event: Event);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _event: Event) {}
}
