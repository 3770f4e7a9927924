//! A prefix of an object store.

use crate::address::{Place, Scheme, StoreOptions};
use crate::manners::{Failed, attempt};
use crate::refusal::explain;
use crate::version::Version;
use futures::StreamExt as _;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetResult, ObjectStore, ObjectStoreExt as _};
use obmen_sdk::{Error, ErrorKind, Result, Stop};
use std::fmt;
use std::sync::Arc;

/// A prefix of an object store. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Bucket {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Scheme, server and bucket: no login.
    address: Arc<str>,
    /// What all keys begin with, without slashes at its ends.
    prefix: String,
    /// Whether it says which objects it has.
    lists: bool,
    /// How often an answer that broke off is asked for again from there.
    pub(crate) retries: u32,
    pub(crate) stop: Stop,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.identity())
    }
}

impl Bucket {
    /// The prefix of a store. Connects to nothing yet.
    ///
    /// # Errors
    /// `InvalidData` for a login or server that cannot be.
    pub fn open(place: Place, options: &StoreOptions, stop: &Stop) -> Result<Self> {
        Ok(Self {
            store: place.client(options, stop)?,
            address: place.shown(options).into(),
            lists: place.scheme != Scheme::Http,
            prefix: place.prefix,
            retries: options.retries,
            stop: stop.clone(),
        })
    }

    /// A prefix of a store that stands already, shown under `address`: for tests, which keep one in memory.
    pub fn of(store: Arc<dyn ObjectStore>, address: &str, prefix: &str) -> Self {
        let (address, prefix) = (address.into(), prefix.to_owned());
        Self { store, address, prefix, lists: true, retries: 0, stop: Stop::default() }
    }

    /// The address without a login: scheme, server, bucket, prefix.
    pub fn identity(&self) -> String {
        if self.prefix.is_empty() {
            self.address.as_ref().to_owned()
        } else {
            format!("{}/{}", self.address, self.prefix)
        }
    }

    /// How an object is called in messages.
    pub fn shown(&self, name: &str) -> String {
        format!("{}/{name}", self.identity())
    }

    /// Whether it says which objects it has; a web server does not.
    pub fn lists(&self) -> bool {
        self.lists
    }

    /// The prefix at a path below this one.
    #[must_use]
    pub fn below(&self, path: &str) -> Self {
        let mut parts: Vec<&str> = self.prefix.split('/').filter(|part| !part.is_empty()).collect();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        Self { prefix: parts.join("/"), ..self.clone() }
    }

    /// The prefix around this one, and the last part of this one's name; `None` at the top.
    pub fn parent(&self) -> Option<(Self, String)> {
        let (parent, name) = self.prefix.rsplit_once('/').unwrap_or(("", &self.prefix));
        (!name.is_empty()).then(|| (Self { prefix: parent.to_owned(), ..self.clone() }, name.to_owned()))
    }

    /// The key of a name. Taken as it is: nothing in it is escaped.
    ///
    /// # Errors
    /// `Unsupported` for a name no object can have.
    pub fn key(&self, name: &str) -> Result<Key> {
        let whole =
            [self.prefix.as_str(), name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        Key::parse(whole).map_err(|_| {
            let message = "an object cannot have this name; leave out empty parts, `.`, `..` and control characters";
            Error::new(ErrorKind::Unsupported, message).with("file", self.shown(name))
        })
    }

    /// Asks the store for something, giving up at once when the run should stop. Called on a thread that may wait.
    pub(crate) fn ask<T>(&self, name: &str, work: impl Future<Output = object_store::Result<T>>) -> Result<T> {
        if self.stop.is_set() {
            return Err(self.explained(name, Failed::Stopped));
        }
        let runtime = tokio::runtime::Handle::try_current().map_err(Error::internal)?;
        runtime.block_on(attempt(Some(&self.stop), work)).map_err(|failed| self.explained(name, failed))
    }

    pub(crate) fn explained(&self, name: &str, failed: Failed) -> Error {
        explain(failed).with("file", if name.is_empty() { self.identity() } else { self.shown(name) })
    }

    /// What is said of an object without its content; `None` if it is not there.
    pub(crate) fn head(&self, name: &str) -> Result<Option<GetResult>> {
        let key = self.key(name)?;
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.ask(name, self.store.get_opts(&key, options)) {
            Ok(result) => Ok(Some(result)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What an object looks like now; `None` if it is not there.
    ///
    /// # Errors
    /// Those of the store.
    pub fn version(&self, name: &str) -> Result<Option<Version>> {
        Ok(self.head(name)?.map(|result| Version::from(&result.meta)))
    }

    /// Proves that the store answers and lets us in.
    ///
    /// # Errors
    /// What stands in the way: `NotFound` for a bucket that is not there.
    pub fn answers(&self) -> Result<()> {
        if !self.lists {
            return match self.head("") {
                // A web server need not have anything at the address itself.
                Err(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::Unsupported) => Ok(()),
                other => other.map(drop),
            };
        }
        let prefix = self.key("")?;
        self.ask("", async { self.store.list(Some(&prefix)).next().await.transpose() }).map(drop)
    }

    /// Objects and prefixes directly below a prefix, by name: name relative to this one, and whether it is a prefix. Those
    /// whose name begins with a dot are passed over.
    ///
    /// # Errors
    /// Those of the store; `Unsupported` for a web server.
    pub fn list(&self, prefix: &str) -> Result<Vec<(String, bool)>> {
        if !self.lists {
            let message = "a web server does not say which files it has; name one";
            return Err(Error::new(ErrorKind::Unsupported, message).with("file", self.identity()));
        }
        let folder = self.key(prefix)?;
        let listed = self.ask(prefix, self.store.list_with_delimiter(Some(&folder)))?;
        let name = |key: &Key| {
            let name = key.as_ref().strip_prefix(self.prefix.as_str())?.trim_start_matches('/');
            let last = name.rsplit('/').next().unwrap_or(name);
            (!last.is_empty() && !last.starts_with('.') && *key != folder).then(|| name.to_owned())
        };
        let files = listed.objects.iter().filter_map(|object| Some((name(&object.location)?, false)));
        let folders = listed.common_prefixes.iter().filter_map(|prefix| Some((name(prefix)?, true)));
        let mut names: Vec<(String, bool)> = files.chain(folders).collect();
        names.sort();
        Ok(names)
    }

    /// Removes an object; one that is not there is no error.
    ///
    /// # Errors
    /// Those of the store.
    pub fn remove(&self, name: &str) -> Result<()> {
        let key = self.key(name)?;
        match act(self.store.delete(&key)).map_err(|failed| self.explained(name, failed)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Moves an object: copies, looks at the copy, removes.
    ///
    /// # Errors
    /// Those of the store; `Conflict` if the copy is not what was copied.
    pub fn rename(&self, name: &str, to: &Self, new_name: &str) -> Result<()> {
        let (old, new) = (self.key(name)?, to.key(new_name)?);
        let before = self.version(name)?;
        act(self.store.copy(&old, &new)).map_err(|failed| self.explained(name, failed))?;
        let after = to.version(new_name)?;
        if after.map(|version| version.length) != before.map(|version| version.length) {
            let message = format!("the copy at {} is not what was copied; nothing was removed", to.shown(new_name));
            return Err(Error::new(ErrorKind::Conflict, message).with("file", self.shown(name)));
        }
        self.remove(name)
    }

    /// Puts a short text.
    ///
    /// # Errors
    /// Those of the store.
    pub fn note(&self, name: &str, text: &str) -> Result<()> {
        let key = self.key(name)?;
        let put = act(self.store.put(&key, text.to_owned().into()));
        put.map(drop).map_err(|failed| self.explained(name, failed))
    }
}

/// Changes something in a store: what is under way is brought to its end. Called on a thread that may wait.
pub(crate) fn act<T>(work: impl Future<Output = object_store::Result<T>>) -> Result<T, Failed> {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return Err(Failed::Stopped) };
    runtime.block_on(attempt(None, work))
}
