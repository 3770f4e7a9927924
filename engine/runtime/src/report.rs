//! What a run or plan did, as people and programs read it. The JSON is a contract: fields are only added.

use serde::Serialize;
use std::collections::BTreeMap;

/// One execution of one pipeline.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// Its id.
    pub run: String,
    /// The pipeline.
    pub pipeline: String,
    /// The profile.
    pub profile: String,
    /// How it ended.
    pub status: Status,
    /// When it started.
    pub started: String,
    /// When it ended.
    pub finished: String,
    /// The plan it carried out.
    pub plan: Option<String>,
    /// What was read.
    pub sources: Vec<SourceReport>,
    /// What was delivered.
    pub sinks: Vec<SinkReport>,
    /// Rows that failed checks on relations that go to no sink, by check.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, u64>,
    /// Why it ended early, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Things a person should know: deletes that were suspended, and the like.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything that was due arrived.
    Done,
    /// It finished, but rows were rejected, invalid or unknown.
    Rejected,
    /// Changes wait for a person.
    Held,
    /// A source could not be read; nothing was sent.
    SourceUnavailable,
    /// A sink did not answer; what was not sent waits.
    SinkUnavailable,
    /// It stopped for another reason.
    Failed,
    /// A person stopped it; the next run goes on.
    Interrupted,
    /// Nothing was to be sent: `obmen plan`, or `enabled: shadow`.
    Planned,
}

/// What was read of a source.
#[derive(Clone, Debug, Serialize)]
pub struct SourceReport {
    /// Its name.
    pub source: String,
    /// Rows.
    pub rows: u64,
    /// How: `full`, `inbox`, …
    pub mode: String,
    /// Changed rows among them; all of them where everything is read.
    pub changes: u64,
    /// Rows that could not be read.
    pub bad: u64,
    /// The first of them: place and reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bad_rows: Vec<String>,
}

/// What was delivered to a sink. `read = unchanged + invalid + held + due`, `due = sent + pending`,
/// `sent = acked + accepted + rejected + unknown`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SinkReport {
    /// Its name.
    pub sink: String,
    /// Its scope: `all`, or the condition.
    pub scope: String,
    /// Keys looked at.
    pub read: u64,
    /// Known to be so at the other side.
    pub unchanged: u64,
    /// Not sendable: a check failed, or the key is missing or not unique.
    pub invalid: u64,
    /// Deliberately not attempted.
    pub held: u64,
    /// The same by reason.
    pub held_by: BTreeMap<String, u64>,
    /// To be sent.
    pub due: u64,
    /// Sent.
    pub sent: u64,
    /// Due but not attempted.
    pub pending: u64,
    /// Confirmed by the other side.
    pub acked: u64,
    /// Taken; the final word is to come.
    pub accepted: u64,
    /// Refused.
    pub rejected: u64,
    /// Sent, the answer was lost.
    pub unknown: u64,
    /// Due creates.
    pub creates: u64,
    /// Due updates.
    pub updates: u64,
    /// Due deletes.
    pub deletes: u64,
    /// Loads.
    pub loads: u64,
    /// Attempts to send a portion, repeated halves included.
    pub requests: u64,
    /// Rows that wait for the ack of another sink, by that sink.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub waits_for: BTreeMap<String, u64>,
    /// Rows that failed each check, `warn` included.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, u64>,
    /// What was compared: `everything: …` with the reason, or how many affected keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<String>,
    /// The first refusals, invalid and unknown rows: key and reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<RowProblem>,
}

/// A row that did not arrive, and why.
#[derive(Clone, Debug, Serialize)]
pub struct RowProblem {
    /// Its key.
    pub key: serde_json::Value,
    /// `rejected`, `invalid` or `unknown`.
    pub outcome: String,
    /// Why.
    pub reason: String,
}

impl SinkReport {
    /// Whether the counters balance. A run whose counters do not balance has failed.
    pub fn balances(&self) -> bool {
        self.read == self.unchanged + self.invalid + self.held + self.due
            && self.due == self.sent + self.pending
            && self.sent == self.acked + self.accepted + self.rejected + self.unknown
            && self.held == self.held_by.values().sum::<u64>()
    }
}

impl Status {
    /// The exit code of the command line's contract.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Done | Self::Planned => 0,
            Self::Rejected | Self::Failed => 1,
            Self::Held => 5,
            Self::SourceUnavailable => 6,
            Self::SinkUnavailable => 7,
            Self::Interrupted => 130,
        }
    }

    /// The word in JSON and in the list of runs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Rejected => "rejected",
            Self::Held => "held",
            Self::SourceUnavailable => "source_unavailable",
            Self::SinkUnavailable => "sink_unavailable",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Planned => "planned",
        }
    }
}
