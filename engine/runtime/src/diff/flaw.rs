//! Why a row must not be sent.

use super::marks::{FLAWLESS, KEYLESS};
use crate::target::{Target, TargetCheck};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::record_batch::RecordBatch;
use obmen_sdk::{Error, Result};
use obmen_spec::pipeline::Otherwise;

/// What is wrong with a row; children and checks by their number in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The key stands there more than once.
    Repeated,
    /// A check of the relation failed.
    Check(u16),
    /// A part has no key.
    PartKeyless(usize),
    /// Two parts have one key.
    PartRepeated(usize),
    /// A check of the child's relation failed.
    PartCheck(usize, u16),
}

impl Flaw {
    /// The flaw of a row by its mark.
    pub(super) fn of_row(mark: u16) -> Option<Self> {
        if mark == FLAWLESS { None } else { Some(Self::Check(mark - 1)) }
    }

    /// The flaw of a part by its mark.
    pub(super) fn of_part(child: usize, mark: u16) -> Option<Self> {
        match mark {
            FLAWLESS => None,
            KEYLESS => Some(Self::PartKeyless(child)),
            check => Some(Self::PartCheck(child, check - 1)),
        }
    }

    /// For people.
    pub(super) fn text(self, target: &Target) -> String {
        let name = |checks: &[TargetCheck], check: u16| {
            let check = checks.get(usize::from(check)).map_or("", |check| check.name.as_str());
            format!("check `{check}`")
        };
        let child = |index: usize| target.children.get(index);
        let child_name = |index: usize| child(index).map_or("", |child| child.name.as_str());
        let child_key = |index: usize| child(index).map(|child| child.key.join(", ")).unwrap_or_default();
        match self {
            Self::Repeated => "the key is not unique".to_owned(),
            Self::Check(check) => name(&target.checks, check),
            Self::PartKeyless(index) => format!("a part of `{}` has no {}", child_name(index), child_key(index)),
            Self::PartRepeated(index) => {
                format!("two parts of `{}` have the same {}", child_name(index), child_key(index))
            }
            Self::PartCheck(index, check) => {
                let checks = child(index).map_or(&[][..], |child| &child.checks);
                format!("{} (a part of `{}`)", name(checks, check), child_name(index))
            }
        }
    }
}

/// The name of the flag column of a check.
pub(super) fn check_column(index: usize) -> String {
    format!("{}check_{index}", crate::table::OURS)
}

/// Per row, the mark of the first check that rejects it.
pub(super) fn failed_checks(checks: &[TargetCheck], rows: &RecordBatch) -> Result<Vec<u16>> {
    let mut marks = vec![FLAWLESS; rows.num_rows()];
    for (index, check) in checks.iter().enumerate().filter(|(_, check)| check.otherwise == Otherwise::Reject) {
        let mark = u16::try_from(index + 1).map_err(|_| Error::internal("more than 65 534 checks of a relation"))?;
        let passed = rows
            .column_by_name(&check_column(index))
            .and_then(|column| column.as_boolean_opt())
            .ok_or_else(|| Error::internal(format!("no flag for the check `{}`", check.name)))?;
        for (row, found) in marks.iter_mut().enumerate() {
            if *found == FLAWLESS && !(passed.is_valid(row) && passed.value(row)) {
                *found = mark;
            }
        }
    }
    Ok(marks)
}

/// Whether any of some columns is NULL in a row.
pub(super) fn has_null(columns: &[&ArrayRef], row: usize) -> bool {
    columns.iter().any(|column| column.is_null(row))
}
