//! Putting files into a store, and what it means for their rows.

use super::bucket::Bucket;
use super::disk::explain as explain_disk;
use obmen_sdk::{Error, ErrorKind, Outcome, RejectClass};
use obmen_storage::Missed;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

impl Bucket {
    /// Puts a file of this machine as an object.
    pub(super) fn publish(&self, draft: &Path, name: &str) -> Outcome {
        let failed = |error| explain_disk(error, "the file cannot be sent").with("file", draft.display());
        let outcome = match File::open(draft).map_err(failed) {
            Ok(mut file) => self.put(name, &mut file),
            Err(error) => refused(&error),
        };
        drop(std::fs::remove_file(draft));
        outcome
    }

    /// Puts the files one after the other: who takes a package looks at them in their order. After one that does not
    /// stand no other is sent.
    pub(super) fn publish_package(&self, draft: &Path, name: &str, files: &[&str]) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(files.len());
        for file in files {
            let outcome = match outcomes.last() {
                Some(before) if *before != Outcome::acked() => {
                    let reason = "not sent: the file of the package before it is not known to stand";
                    Outcome::rejected(RejectClass::Temporary, reason)
                }
                _ => self.publish(&draft.join(file), &format!("{name}/{file}")),
            };
            outcomes.push(outcome);
        }
        outcomes
    }

    fn put(&self, name: &str, input: &mut (impl Read + Seek + Send)) -> Outcome {
        match self.at.put(name, input) {
            // a login that may only write is as good as any: the answer alone is the proof then
            Ok(_) => Outcome::acked(),
            Err(Missed::Refused(error)) => refused(&error),
            Err(Missed::Unknown(error)) => Outcome::Unknown { reason: error.to_string() },
        }
    }
}

/// Nothing stands at the other side; when it is tried again depends on why.
fn refused(error: &Error) -> Outcome {
    let class = match error.kind() {
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => RejectClass::Forbidden,
        _ => RejectClass::Temporary,
    };
    Outcome::rejected(class, error.to_string())
}
