//! An object being read: piece by piece from its beginning, or in blocks from anywhere.
//!
//! Every answer must be about the version the object had when it was opened. Each request says so (`If-Match`), and
//! each answer is compared, since not every server heeds it: a change is an error, never a mixture.

use crate::bucket::Bucket;
use crate::refusal::changed;
use crate::version::Version;
use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, GetResult};
use obmen_sdk::http::pause;
use obmen_sdk::{Error, ErrorKind, Result, Retry};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bytes of a block. A page of Parquet has about as many.
const BLOCK: u64 = 1 << 20;
/// Blocks kept at a time: the columns of a row group are read side by side.
const KEPT_BLOCKS: usize = 32;
/// The pause before an answer that broke off is asked for again from there; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

type Pieces = BoxStream<'static, object_store::Result<Bytes>>;

/// What went wrong inside the store while somebody read who knows only input that breaks.
#[derive(Clone, Debug, Default)]
pub struct Failure(Arc<Mutex<Option<Error>>>);

/// One version of an object.
#[derive(Clone)]
struct Content {
    bucket: Bucket,
    name: String,
    key: Key,
    version: Version,
    failure: Failure,
}

/// An object, read from its beginning.
pub struct Object {
    content: Content,
    /// How much was handed over.
    at: u64,
    pieces: Option<Pieces>,
    piece: Bytes,
}

/// An object, read from anywhere.
pub struct Blocks {
    content: Content,
    kept: Arc<Mutex<VecDeque<(u64, Bytes)>>>,
}

/// Blocks from some place on.
#[derive(Debug)]
pub struct BlocksFrom {
    blocks: Blocks,
    at: u64,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({}, {:?})", self.bucket.shown(&self.name), self.version)
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("content", &self.content).field("at", &self.at).finish_non_exhaustive()
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks").field("content", &self.content).finish_non_exhaustive()
    }
}

impl Failure {
    /// The error, once.
    pub fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps the error, and gives what stands for it.
    fn keep(&self, error: Error) -> io::Error {
        let shown = io::Error::other(error.to_string());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        shown
    }
}

impl Content {
    /// Asks for a part of the object. `None`: all of it.
    fn get(&self, range: Option<GetRange>) -> Result<GetResult> {
        // A weak tag never matches (RFC 9110, 13.1.1); the answer is compared all the same.
        let strong = self.version.tag.clone().filter(|tag| !tag.starts_with("W/"));
        let options = GetOptions { range, if_match: strong, ..GetOptions::default() };
        let answer = self.bucket.ask(&self.name, self.bucket.store.get_opts(&self.key, options));
        match answer {
            Ok(answer) if Version::from(&answer.meta) != self.version => Err(self.changed()),
            // It was there when it was opened.
            Err(error) if error.kind() == ErrorKind::NotFound => Err(self.changed()),
            other => other,
        }
    }

    fn changed(&self) -> Error {
        changed().with("file", self.bucket.shown(&self.name))
    }

    /// The bytes of a range, all of them.
    fn bytes(&self, range: Range<u64>) -> Result<Bytes> {
        let (length, mut left) = (range.end - range.start, self.bucket.retries);
        loop {
            let answer = self.get(Some(GetRange::Bounded(range.clone())))?;
            match self.bucket.ask(&self.name, answer.bytes()) {
                Ok(bytes) if u64::try_from(bytes.len()).is_ok_and(|got| got == length) => return Ok(bytes),
                Ok(_) => self.again(self.short(), &mut left)?,
                Err(error) => self.again(error, &mut left)?,
            }
        }
    }

    /// Waits before another try; the error if there is to be none.
    fn again(&self, error: Error, left: &mut u32) -> Result<()> {
        if *left == 0 || error.retry() == Retry::Never {
            return Err(error);
        }
        let tried = self.bucket.retries - *left;
        *left -= 1;
        tracing::debug!(%error, "an answer broke off, it is asked for again");
        let runtime = tokio::runtime::Handle::try_current().map_err(Error::internal)?;
        runtime.block_on(pause(&self.bucket.stop, PAUSE.saturating_mul(1 << tried.min(6))))
    }

    fn short(&self) -> Error {
        let message = "the answer ended before the object did";
        Error::new(ErrorKind::Unavailable, message).with("file", self.bucket.shown(&self.name))
    }
}

impl Object {
    /// Opens an object: asks what it looks like. Its content is asked for when it is read.
    ///
    /// # Errors
    /// `NotFound`, those of the store.
    pub fn open(bucket: &Bucket, name: &str) -> Result<Self> {
        let key = bucket.key(name)?;
        let Some(head) = bucket.head(name)? else {
            return Err(Error::new(ErrorKind::NotFound, "the object is not there").with("file", bucket.shown(name)));
        };
        let (version, failure) = (Version::from(&head.meta), Failure::default());
        let content = Content { bucket: bucket.clone(), name: name.to_owned(), key, version, failure };
        Ok(Self { content, at: 0, pieces: None, piece: Bytes::new() })
    }

    /// What it looked like when it was opened.
    pub fn version(&self) -> &Version {
        &self.content.version
    }

    /// What goes wrong while it is read, for who reads through others.
    pub fn failure(&self) -> Failure {
        self.content.failure.clone()
    }

    /// The same object, read from anywhere.
    pub fn blocks(self) -> Blocks {
        Blocks { content: self.content, kept: Arc::default() }
    }

    /// The next piece. An answer that breaks off is asked for again from there; each piece that comes counts as
    /// success, so that a long object may break off often.
    fn next(&mut self) -> Result<Bytes> {
        let mut left = self.content.bucket.retries;
        loop {
            let pieces = if let Some(pieces) = &mut self.pieces {
                pieces
            } else {
                let range = (self.at > 0).then_some(GetRange::Offset(self.at));
                self.pieces.insert(self.content.get(range)?.into_stream())
            };
            let next = self.content.bucket.ask(&self.content.name, async { pieces.next().await.transpose() });
            let error = match next {
                Ok(Some(piece)) if piece.is_empty() => continue,
                Ok(Some(piece)) => return Ok(piece),
                Ok(None) => self.content.short(),
                Err(error) => error,
            };
            self.pieces = None;
            self.content.again(error, &mut left)?;
        }
    }
}

impl Read for Object {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && self.at < self.content.version.length {
            self.piece = self.next().map_err(|error| self.content.failure.keep(error))?;
        }
        let count = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        self.at += u64::try_from(count).unwrap_or(u64::MAX);
        Ok(count)
    }
}

impl Blocks {
    /// The block with this number; the last one may be shorter.
    fn block(&self, number: u64) -> io::Result<Bytes> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = kept.iter().find(|(other, _)| *other == number) {
            return Ok(bytes.clone());
        }
        let start = number * BLOCK;
        let range = start..(start + BLOCK).min(self.content.version.length);
        let bytes = self.content.bytes(range).map_err(|error| self.content.failure.keep(error))?;
        kept.push_back((number, bytes.clone()));
        if kept.len() > KEPT_BLOCKS {
            kept.pop_front();
        }
        Ok(bytes)
    }
}

impl Read for BlocksFrom {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.blocks.content.version.length {
            return Ok(0);
        }
        let mut block = self.blocks.block(self.at / BLOCK)?;
        block.advance(usize::try_from(self.at % BLOCK).unwrap_or(usize::MAX).min(block.len()));
        let count = block.len().min(buffer.len());
        block.copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        self.at += u64::try_from(count).unwrap_or(u64::MAX);
        Ok(count)
    }
}

impl Length for Blocks {
    fn len(&self) -> u64 {
        self.content.version.length
    }
}

impl ChunkReader for Blocks {
    type T = BlocksFrom;

    fn get_read(&self, start: u64) -> Result<BlocksFrom, ParquetError> {
        let blocks = Self { content: self.content.clone(), kept: Arc::clone(&self.kept) };
        Ok(BlocksFrom { blocks, at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let mut bytes = Vec::new();
        let wanted = u64::try_from(length).unwrap_or(u64::MAX);
        self.get_read(start)?.take(wanted).read_to_end(&mut bytes)?;
        if bytes.len() == length {
            return Ok(bytes.into());
        }
        Err(ParquetError::EOF(format!("expected {length} bytes at {start}, there are {}", bytes.len())))
    }
}
