//! The object store that keeps a state's files: a bridge from work that waits to requests that do not.
//!
//! State is read and written by code that waits (SQLite, files); the clients of stores are asynchronous. So a store has
//! a small runtime of its own, and each piece of work a thread inside it: whoever asks waits, whether or not there is a
//! runtime around. A put or a fetch takes milliseconds at least, a thread some microseconds.

use super::{Durability, FileMark};
use crate::segments::{SETTING, Segments};
use crate::table::disk::about_to;
use crate::table::take;
use obmen_diagnostics::Problems;
use obmen_sdk::{Error, ErrorKind, Result, Secrets};
use obmen_spec::project::Profile;
use obmen_storage::{Bucket, Missed, Object, Proof};
use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tokio::runtime::{Builder, Runtime};

/// Where the files of a state stand for good; its folder holds copies of them.
pub struct SegmentStore {
    place: Box<dyn Fn() -> Result<Bucket> + Send + Sync>,
    opened: OnceLock<Opened>,
}

struct Opened {
    bucket: Bucket,
    runtime: Option<Runtime>,
}

/// How fetching a file ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// It is in the folder.
    Here,
    /// The store does not have it.
    Missing,
    /// The store has another one under its name, or not all of it.
    Another,
}

impl fmt::Debug for SegmentStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bucket = self.opened.get().map(|opened| &opened.bucket);
        f.debug_struct("SegmentStore").field("bucket", &bucket).finish_non_exhaustive()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // waiting for it is not allowed inside another runtime, and nothing of ours is under way
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl SegmentStore {
    /// What `segments` of a profile says; `None` if it says nothing. Nothing is read, resolved or connected to before
    /// a file has to be put or fetched.
    pub fn of(profile: &Profile, secrets: Arc<dyn Secrets>) -> Option<Arc<Self>> {
        let node = profile.segments.clone()?;
        let place = move || {
            let mut problems = Problems::new();
            let wrong =
                || Error::invalid_data("`segments` has mistakes: see `obmen validate`").with("setting", SETTING);
            Segments::decode(&node, &mut problems).ok_or_else(wrong)?.open(&*secrets)
        };
        Some(Arc::new(Self { place: Box::new(place), opened: OnceLock::new() }))
    }

    /// A place that is open already.
    pub fn at(bucket: Bucket) -> Arc<Self> {
        Arc::new(Self { place: Box::new(move || Ok(bucket.clone())), opened: OnceLock::new() })
    }

    /// Asks whether the store answers and lets us in, changing nothing there.
    ///
    /// # Errors
    /// Those of the settings and of the store.
    pub fn check(&self) -> Result<String> {
        self.work(|bucket| {
            bucket.version("baseline")?;
            Ok(format!("{} answers", bucket.identity()))
        })
    }

    /// The address without a login.
    ///
    /// # Errors
    /// `NotFound` for a secret that is not set, `InvalidData` for settings that cannot be.
    pub(super) fn identity(&self) -> Result<String> {
        Ok(self.opened()?.bucket.identity())
    }

    /// Puts a file of a state's folder.
    ///
    /// # Errors
    /// Those of the store, as errors of the state, and of the disk.
    pub(super) fn put(&self, folder: &Path, name: &str) -> Result<()> {
        let path = folder.join(name);
        let unread = |error: io::Error| Error::from(error).with("state", path.display());
        about_to("put").map_err(unread)?;
        let mut file = File::open(&path).map_err(unread)?;
        self.work(|bucket| match bucket.put(name, &mut file) {
            Ok(Proof::Seen) => Ok(()),
            // what cannot be read again is not kept
            Ok(Proof::Said) => {
                let error =
                    Error::new(ErrorKind::PermissionDenied, "the login may write and not read; give it the right");
                Err(failed(bucket, name, error))
            }
            Err(Missed::Refused(error) | Missed::Unknown(error)) => Err(failed(bucket, name, error)),
        })
    }

    /// Fetches a file into a state's folder: whole and as it was marked, or not at all.
    ///
    /// # Errors
    /// Those of the store, as errors of the state, and of the disk.
    pub(super) fn fetch(
        &self,
        folder: &Path,
        name: &str,
        mark: Option<FileMark>,
        durability: Durability,
    ) -> Result<Fetched> {
        let mut complete = false;
        let taken = take(folder, name, (mark, durability), |file| {
            self.work(|bucket| read_into(bucket, name, file))?;
            complete = true;
            Ok(())
        });
        match taken {
            Ok(()) => Ok(Fetched::Here),
            Err(error) if !complete && error.kind() == ErrorKind::NotFound => Ok(Fetched::Missing),
            Err(error) if complete && error.kind() == ErrorKind::InvalidData => Ok(Fetched::Another),
            Err(error) => Err(error),
        }
    }

    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    /// Those of the store, as errors of the state.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        about_to("remove object").map_err(Error::from)?;
        self.work(|bucket| bucket.remove(name).map_err(|error| failed(bucket, name, error)))
    }

    fn opened(&self) -> Result<&Opened> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let bucket = (self.place)()?;
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("obmen-segments").enable_all().build();
        let opened = Opened { bucket, runtime: Some(runtime.map_err(Error::from)?) };
        Ok(self.opened.get_or_init(|| opened))
    }

    fn work<T: Send>(&self, work: impl FnOnce(&Bucket) -> Result<T> + Send) -> Result<T> {
        let Opened { bucket, runtime } = self.opened()?;
        let broken = || Error::internal("a thread that works with the store of `segments` broke off");
        let runtime = runtime.as_ref().ok_or_else(broken)?;
        std::thread::scope(|scope| {
            let inside = || {
                let _inside = runtime.enter();
                work(bucket)
            };
            let thread = std::thread::Builder::new().name("obmen-segments".to_owned()).spawn_scoped(scope, inside)?;
            thread.join().unwrap_or_else(|_| Err(broken()))
        })
    }
}

fn read_into(bucket: &Bucket, name: &str, file: &mut File) -> Result<()> {
    let mut object = Object::open(bucket, name).map_err(|error| failed(bucket, name, error))?;
    let failure = object.failure();
    match io::copy(&mut object, file) {
        Ok(_) => Ok(()),
        Err(error) => Err(match failure.take() {
            Some(error) => failed(bucket, name, error),
            None => Error::from(error).with("state", name),
        }),
    }
}

/// A failure of the store as one of the state, and what to do.
fn failed(bucket: &Bucket, name: &str, error: Error) -> Error {
    let advice = match error.kind() {
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::RateLimited { .. } | ErrorKind::Conflict => {
            "nothing is lost, run again when it answers"
        }
        ErrorKind::Internal | ErrorKind::Exhausted => "nothing is lost",
        _ => "nothing is lost, correct `segments` in obmen.yaml",
    };
    let message = format!("the store of `segments` fails: {}; {advice}", error.message());
    Error::new(error.kind(), message).with("state", bucket.shown(name)).because(error)
}
