//! Reading ahead: the next items are made on a thread of their own while those before them are worked on.

use obmen_sdk::{Error, Result};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

/// Items that may wait: one more is being made.
const WAITING: usize = 1;

/// An iterator that runs on a thread of its own, two items ahead at most. It ends after the first error. Dropped, it
/// stops that thread.
pub(crate) struct Ahead<T> {
    items: Option<Receiver<Result<T>>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Ahead<T> {
    /// Starts making the items.
    ///
    /// # Errors
    /// `Exhausted` and the like, if there is no thread to be had.
    pub(crate) fn start(items: impl Iterator<Item = Result<T>> + Send + 'static) -> Result<Self> {
        let (made, waiting) = sync_channel(WAITING);
        let make = move || {
            for item in items {
                let last = item.is_err();
                if made.send(item).is_err() || last {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("obmen-reader".to_owned()).spawn(make)?;
        Ok(Self { items: Some(waiting), thread: Some(thread) })
    }
}

impl<T> Iterator for Ahead<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        if let Ok(item) = self.items.as_ref()?.recv() {
            return Some(item);
        }
        self.items = None;
        let broke_off = self.thread.take().is_some_and(|thread| thread.join().is_err());
        broke_off.then(|| Err(Error::internal("reading ahead broke off")))
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        self.items = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::debug!("reading ahead broke off when nobody waited for it any more");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_order_and_an_error_is_the_last() {
        let items = (0..5).map(|item| if item < 3 { Ok(item) } else { Err(Error::invalid_data("three")) });
        let mut ahead = Ahead::start(items).unwrap();
        assert_eq!(ahead.by_ref().take(3).collect::<Result<Vec<_>>>().unwrap(), [0, 1, 2]);
        assert!(ahead.next().unwrap().is_err());
        assert!(ahead.next().is_none());
    }

    #[test]
    fn a_thread_that_panics_is_an_error_and_not_an_end() {
        let items = (0..3).map(|item| if item < 1 { Ok(item) } else { panic!("a bug") });
        let mut ahead = Ahead::start(items).unwrap();
        assert_eq!(ahead.next().unwrap().unwrap(), 0);
        assert!(ahead.next().unwrap().is_err());
        assert!(ahead.next().is_none());
    }

    #[test]
    fn dropping_it_stops_an_endless_one() {
        let mut ahead = Ahead::start((0..).map(Ok)).unwrap();
        assert_eq!(ahead.next().unwrap().unwrap(), 0);
    }
}
