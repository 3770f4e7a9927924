//! The wall clock of the simulated systems.

use chrono::{DateTime, Utc};

/// The present moment, in UTC.
#[expect(clippy::disallowed_methods, reason = "an outside system has a clock of its own, which no run can replay")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}
