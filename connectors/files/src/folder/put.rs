//! Putting an object into a store, and the proof that it stands there.
//!
//! An object is visible only when it is complete. What proves it: the answer of the store, and a look at what stands
//! there afterwards. When the answer is lost the look decides alone: an object with our length and our hash, which
//! travels with it, is ours; anything else proves nothing, since the request may still be on its way.

use super::bucket::{Bucket, act};
use super::disk::explain as explain_disk;
use super::manners::Failed;
use bytes::Bytes;
use object_store::path::Path as Key;
use object_store::{Attribute, Attributes, MultipartUpload, PutMultipartOptions, PutOptions, PutResult};
use obmen_sdk::{Error, ErrorKind, Outcome, RejectClass, Result};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// Bytes of one request at most. Larger objects go in parts of this size, the smallest that stores take.
const PART: u64 = 5 << 20;

/// The name our hash of the content has among the object's own data. No `-`: Azure takes none.
const HASH: &str = "obmenxxh3";

/// What is put: how long it is, and its xxh3 of 128 bits.
struct Content {
    length: u64,
    hash: String,
}

/// Why an object is not known to stand.
enum Missed {
    /// Nothing of it stands, and nothing will.
    Refused(Error),
    /// The answer was lost.
    Lost(Error),
}

impl Bucket {
    /// Puts a file of this machine as an object.
    pub(super) fn publish(&self, draft: &Path, name: &str) -> Outcome {
        let failed = |error| explain_disk(error, "the file cannot be sent").with("file", draft.display());
        let opened = File::open(draft).and_then(|mut file| Ok((Content::of(&mut file)?, file)));
        let outcome = match opened.map_err(failed) {
            Ok((content, mut file)) => self.put(name, &content, &mut file),
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

    fn put(&self, name: &str, content: &Content, input: &mut (impl Read + Send)) -> Outcome {
        let sent = match self.key(name) {
            Ok(key) if content.length <= PART => self.put_at_once(&key, name, content, input),
            Ok(key) => self.put_in_parts(&key, name, content, input),
            Err(error) => Err(Missed::Refused(error)),
        };
        match sent {
            Ok(answer) => match self.stands(name, content, answer.e_tag.as_deref()) {
                Ok(true) => Outcome::acked(),
                Ok(false) => Outcome::Unknown { reason: format!("another object stands at {}", self.shown(name)) },
                // A login that may only write: the answer alone is the proof.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => Outcome::acked(),
                Err(error) => Outcome::Unknown { reason: format!("the object cannot be looked at: {error}") },
            },
            Err(Missed::Refused(error)) => refused(&error),
            Err(Missed::Lost(error)) => match self.stands(name, content, None) {
                Ok(true) => Outcome::acked(),
                _ => Outcome::Unknown { reason: error.to_string() },
            },
        }
    }

    fn put_at_once(
        &self,
        key: &Key,
        name: &str,
        content: &Content,
        input: &mut impl Read,
    ) -> Result<PutResult, Missed> {
        let bytes = piece(input).map_err(|error| Missed::Refused(Error::from(error)))?;
        let options = PutOptions { attributes: content.attributes(), ..PutOptions::default() };
        let put = self.store.put_opts(key, bytes.into(), options);
        act(put).map_err(|failed| self.missed(name, failed))
    }

    /// Nothing is visible until the parts are put together, so that whatever breaks before refuses the whole. The
    /// parts are cleared away then: stores keep them, unseen and paid for.
    fn put_in_parts(
        &self,
        key: &Key,
        name: &str,
        content: &Content,
        input: &mut impl Read,
    ) -> Result<PutResult, Missed> {
        let refused = |failed| Missed::Refused(self.explained(name, failed));
        let options = PutMultipartOptions { attributes: content.attributes(), ..PutMultipartOptions::default() };
        let mut upload = act(self.store.put_multipart_opts(key, options)).map_err(refused)?;
        let sent = self.put_parts(&mut *upload, name, input).map_err(Missed::Refused).and_then(|()| {
            // The parts are gone after the first request that put them together, so a repetition may find none.
            act(upload.complete()).map_err(|failed| Missed::Lost(self.explained(name, failed)))
        });
        if sent.is_err()
            && let Err(failed) = act(upload.abort())
        {
            let error = self.explained(name, failed);
            tracing::warn!(%error, "parts of an upload that broke off stay in the store; a lifecycle rule clears them");
        }
        sent
    }

    fn put_parts(&self, upload: &mut dyn MultipartUpload, name: &str, input: &mut impl Read) -> Result<()> {
        loop {
            if self.stop.is_set() {
                return Err(self.explained(name, Failed::Stopped));
            }
            let bytes = piece(input)?;
            if bytes.is_empty() {
                return Ok(());
            }
            act(upload.put_part(bytes.into())).map_err(|failed| self.explained(name, failed))?;
        }
    }

    /// Whether the object that stands is the one that was sent: by its length, and by the hash that came with it or
    /// what the store called it.
    fn stands(&self, name: &str, content: &Content, tag: Option<&str>) -> Result<bool> {
        let key = self.key(name)?;
        let options = object_store::GetOptions { head: true, ..object_store::GetOptions::default() };
        // Asked for also when the run should stop: the answer saves a doubt.
        let head = act(self.store.get_opts(&key, options)).map_err(|failed| self.explained(name, failed))?;
        let hash = head.attributes.get(&Attribute::Metadata(HASH.into()));
        let ours = match hash {
            Some(hash) => hash.as_ref() == content.hash,
            None => tag.is_some() && head.meta.e_tag.as_deref() == tag,
        };
        Ok(ours && head.meta.size == content.length)
    }

    /// Whether a put that failed may have been carried out all the same.
    fn missed(&self, name: &str, failed: Failed) -> Missed {
        let doubtful = matches!(&failed, Failed::Store(_, trouble) if trouble.doubtful);
        let error = self.explained(name, failed);
        if doubtful { Missed::Lost(error) } else { Missed::Refused(error) }
    }
}

impl Content {
    /// Reads to the end and back to the beginning.
    fn of(input: &mut (impl Read + io::Seek)) -> io::Result<Self> {
        let (mut hasher, mut buffer, mut length) = (Xxh3::new(), vec![0; 256 << 10], 0);
        loop {
            let count = input.read(&mut buffer)?;
            if count == 0 {
                input.rewind()?;
                return Ok(Self { length, hash: format!("{:032x}", hasher.digest128()) });
            }
            hasher.update(buffer.get(..count).unwrap_or_default());
            length += u64::try_from(count).unwrap_or(u64::MAX);
        }
    }

    fn attributes(&self) -> Attributes {
        Attributes::from_iter([(Attribute::Metadata(HASH.into()), self.hash.clone())])
    }
}

/// The next bytes, at most as many as one request may have; none at the end.
fn piece(input: &mut impl Read) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    input.take(PART).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// Nothing stands at the other side; when it is tried again depends on why.
fn refused(error: &Error) -> Outcome {
    let class = match error.kind() {
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => RejectClass::Forbidden,
        _ => RejectClass::Temporary,
    };
    Outcome::rejected(class, error.to_string())
}
