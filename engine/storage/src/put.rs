//! Putting an object into a store, and the proof that it stands there.
//!
//! An object is visible only when it is complete. What proves it: the answer of the store, and a look at what stands
//! there afterwards. When the answer is lost the look decides alone: an object with our length and our hash, which
//! travels with it, is ours; anything else proves nothing, since the request may still be on its way.

use crate::bucket::{Bucket, act};
use crate::manners::Failed;
use bytes::Bytes;
use object_store::path::Path as Key;
use object_store::{Attribute, Attributes, MultipartUpload, PutMultipartOptions, PutOptions, PutResult};
use obmen_sdk::{Error, ErrorKind, Result};
use std::io::{self, Read, Seek};
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

/// How it is known that an object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It was looked at afterwards.
    Seen,
    /// The store said so; the login may write and not look.
    Said,
}

/// Why an object is not known to stand.
#[derive(Debug)]
pub enum Missed {
    /// Nothing of it stands, and nothing will.
    Refused(Error),
    /// The answer was lost, or says something else than a look at the object.
    Unknown(Error),
}

impl Bucket {
    /// Puts everything there is to read as one object, and looks whether it stands. An object of this name is replaced.
    ///
    /// # Errors
    /// Why it is not known to stand.
    pub fn put(&self, name: &str, input: &mut (impl Read + Seek + Send)) -> Result<Proof, Missed> {
        let content = Content::of(input).map_err(|error| Missed::Refused(Error::from(error)))?;
        match self.send(name, &content, input) {
            Ok(answer) => match self.stands(name, &content, answer.e_tag.as_deref()) {
                Ok(true) => Ok(Proof::Seen),
                Ok(false) => {
                    let message = format!("another object stands at {}", self.shown(name));
                    Err(Missed::Unknown(Error::new(ErrorKind::Conflict, message)))
                }
                Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Proof::Said),
                Err(error) => {
                    let message = format!("the object cannot be looked at: {error}");
                    Err(Missed::Unknown(Error::new(error.kind(), message)))
                }
            },
            Err(Missed::Unknown(error)) => match self.stands(name, &content, None) {
                Ok(true) => Ok(Proof::Seen),
                _ => Err(Missed::Unknown(error)),
            },
            Err(refused) => Err(refused),
        }
    }

    fn send(&self, name: &str, content: &Content, input: &mut (impl Read + Send)) -> Result<PutResult, Missed> {
        match self.key(name) {
            Ok(key) if content.length <= PART => self.put_at_once(&key, name, content, input),
            Ok(key) => self.put_in_parts(&key, name, content, input),
            Err(error) => Err(Missed::Refused(error)),
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
            act(upload.complete()).map_err(|failed| Missed::Unknown(self.explained(name, failed)))
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
        if doubtful { Missed::Unknown(error) } else { Missed::Refused(error) }
    }
}

impl Content {
    /// Reads to the end and back to the beginning.
    fn of(input: &mut (impl Read + Seek)) -> io::Result<Self> {
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
