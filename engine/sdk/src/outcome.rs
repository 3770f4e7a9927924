//! What became of a row that was sent.

/// What became of a row, as far as the other side's answer proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The other side has it now. The baseline moves.
    Acked {
        /// The id the other side gave it, if it gave one.
        remote_id: Option<String>,
    },
    /// The other side took it and will decide later.
    Accepted {
        /// What to ask by.
        ticket: String,
    },
    /// The other side refused it.
    Rejected {
        /// Whether the other side's row may have been changed all the same (a truncated write). It stays in doubt then.
        altered: bool,
        /// Decides when it is tried again.
        class: RejectClass,
        /// Why, in one line, for a person.
        reason: String,
    },
    /// Nobody knows: the answer was lost. It stays in doubt.
    Unknown {
        /// What happened, in one line.
        reason: String,
    },
}

/// Kinds of refusals; decides when a row is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectClass {
    /// The values are wrong; the same values will be refused again. Quarantined after several tries.
    Data,
    /// Something it refers to is not there yet.
    Missing,
    /// Somebody else changed it meanwhile.
    Conflict,
    /// The other side is busy or broken; the row itself may be fine.
    Temporary,
    /// The name we use may not do this.
    Forbidden,
}

impl Outcome {
    /// Acked without a remote id.
    pub fn acked() -> Self {
        Self::Acked { remote_id: None }
    }

    /// Refused without a trace at the other side.
    pub fn rejected(class: RejectClass, reason: impl Into<String>) -> Self {
        Self::Rejected { altered: false, class, reason: reason.into() }
    }
}

impl RejectClass {
    /// `data`, `missing`, `conflict`, `temporary` or `forbidden`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Missing => "missing",
            Self::Conflict => "conflict",
            Self::Temporary => "temporary",
            Self::Forbidden => "forbidden",
        }
    }
}
