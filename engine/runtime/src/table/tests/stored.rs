//! A state whose files are kept in a store: what the folder has are copies.

use super::*;
use crate::state::{SegmentStore, is_state_error};
use crate::table::disk::faults;
use crate::table::remove_orphans;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt};
use obmen_storage::Bucket;
use std::collections::BTreeSet;

/// A store in memory, with a file of somebody else in it.
struct Shelf(Arc<InMemory>);

const FOREIGN: &str = "here/baseline/theirs.parquet";

impl Shelf {
    fn new() -> Self {
        let shelf = Self(Arc::default());
        wait(shelf.0.put(&Key::from(FOREIGN), "theirs".into())).unwrap();
        shelf
    }

    /// As another process would open the state.
    fn open(&self, folder: &Path) -> (State, ScopeId) {
        let (state, scope) = open(folder, Durability::Synced);
        let memory = Arc::clone(&self.0);
        (state.kept_in(Some(SegmentStore::at(Bucket::of(memory, "memory://shelf", "here")))), scope)
    }

    fn names(&self) -> BTreeSet<String> {
        let all: Vec<_> = wait(self.0.list(None).try_collect()).unwrap();
        let names = all.into_iter().map(|object| object.location.to_string());
        let mut names: BTreeSet<String> = names.map(|name| name.trim_start_matches("here/").to_owned()).collect();
        assert!(names.remove(FOREIGN.trim_start_matches("here/")), "what is not ours is left alone");
        names
    }

    fn remove(&self, name: &str) {
        wait(self.0.delete(&Key::from(format!("here/{name}")))).unwrap();
    }
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn before() -> BTreeMap<Hash, Row> {
    (0..2000).map(|n| (n << 100, some(&n.to_string()))).collect()
}

fn change() -> BTreeMap<Hash, Row> {
    (0..1000).map(|n| (n << 101, if n % 5 == 0 { None } else { some("new") })).collect()
}

fn empty(folder: &Path) {
    for entry in std::fs::read_dir(folder.join("baseline")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
}

fn kept(state: &State) -> BTreeSet<String> {
    state.named_files().unwrap().into_iter().filter(|name| !name.contains("index-")).collect()
}

fn change_and_compact(state: &State, scope: ScopeId) -> Result<()> {
    commit(state, scope, 2, &change())?;
    let baseline = Baseline::open(state, scope)?;
    by_value(state, &baseline, &["new"], 0)?;
    state.compact(scope)?;
    remove_orphans(state).map(drop)
}

#[test]
fn a_crash_at_any_operation_leaves_old_or_new_rows_in_the_store_and_nothing_else() {
    let old: Naive = before().into_iter().map(|(key, row)| (key, (row, 1))).collect();
    let mut new = old.clone();
    new.extend(change().into_iter().map(|(key, row)| (key, (row, 2))));
    let begin = |folder: &Path| {
        let shelf = Shelf::new();
        let (state, scope) = shelf.open(folder);
        commit(&state, scope, 1, &before()).unwrap();
        (shelf, state, scope)
    };
    let operations = {
        let folder = tempfile::tempdir().unwrap();
        let (_shelf, state, scope) = begin(folder.path());
        faults::fail_after(None);
        change_and_compact(&state, scope).unwrap();
        faults::done()
    };
    assert!(operations.iter().filter(|name| **name == "put").count() == 2, "{operations:?}");
    assert!(operations.contains(&"remove object"), "{operations:?}");
    let mut orphans = 0;
    for left in 0..operations.len() {
        let folder = tempfile::tempdir().unwrap();
        let (shelf, state, scope) = begin(folder.path());
        faults::fail_after(Some(left));
        let finished = change_and_compact(&state, scope);
        faults::fail_after(None);
        drop(state);
        empty(folder.path());

        let (state, scope) = shelf.open(folder.path());
        assert!(shelf.names().is_superset(&kept(&state)), "what is named stands, after {left} operations");
        let rows = read(&Baseline::open(&state, scope).unwrap(), 700).unwrap();
        assert!(rows == old || rows == new, "after {left} operations");
        assert!(finished.is_err() || rows == new, "what was said to be done is done");
        orphans += usize::from(shelf.names() != kept(&state));
        remove_orphans(&state).unwrap();
        assert_eq!(shelf.names(), kept(&state), "after {left} operations");
        commit(&state, scope, 3, &change()).unwrap();
    }
    assert!(orphans > 5, "crashes leave something to remove: {orphans}");
}

#[test]
fn indexes_are_not_kept_in_the_store_and_are_made_again() {
    let (shelf, folder) = (Shelf::new(), tempfile::tempdir().unwrap());
    let (state, scope) = shelf.open(folder.path());
    commit(&state, scope, 1, &change()).unwrap();
    for _ in 0..2 {
        let baseline = Baseline::open(&state, scope).unwrap();
        assert_eq!(by_value(&state, &baseline, &["new"], 0).unwrap().len(), 800);
        remove_orphans(&state).unwrap();
        assert_eq!(shelf.names(), kept(&state));
        empty(folder.path());
    }
}

#[test]
fn damage_that_is_found_while_reading_is_mended_from_the_store() {
    let (shelf, folder) = (Shelf::new(), tempfile::tempdir().unwrap());
    let (state, scope) = shelf.open(folder.path());
    commit(&state, scope, 1, &before()).unwrap();
    let name = state.segments(scope).unwrap()[0].file.clone();
    let path = folder.path().join(&name);
    let whole = std::fs::read(&path).unwrap();
    let spoil = || {
        let mut bytes = whole.clone();
        bytes[5000] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    };
    spoil();
    let baseline = Baseline::open(&state, scope).unwrap();
    assert_eq!(read(&baseline, 700).unwrap().len(), 2000);
    assert!(std::fs::read(&path).unwrap() == whole, "the copy is whole again");
    // without the store's it is the error it always was
    spoil();
    shelf.remove(&name);
    let error = read(&Baseline::open(&state, scope).unwrap(), 700).unwrap_err();
    assert!(is_state_error(&error), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("its content is not what was written") && text.contains("baseline forget"), "{text}");
}

#[test]
fn readers_may_fetch_the_same_file_at_once() {
    let (shelf, folder) = (Shelf::new(), tempfile::tempdir().unwrap());
    let (state, scope) = shelf.open(folder.path());
    commit(&state, scope, 1, &before()).unwrap();
    drop(state);
    empty(folder.path());
    std::thread::scope(|scope_of_threads| {
        for _ in 0..8 {
            scope_of_threads.spawn(|| {
                let (state, _) = shelf.open(folder.path());
                assert_eq!(read(&Baseline::open(&state, scope).unwrap(), 700).unwrap().len(), 2000);
            });
        }
    });
    assert_eq!(std::fs::read_dir(folder.path().join("work")).unwrap().count(), 0, "nothing is left over");
}

#[test]
fn a_file_that_was_put_once_is_not_put_again() {
    let (shelf, folder) = (Shelf::new(), tempfile::tempdir().unwrap());
    let (state, scope) = shelf.open(folder.path());
    commit(&state, scope, 1, &before()).unwrap();
    let file = state.segments(scope).unwrap()[0].file.clone();
    // as when a plan's file becomes one of a baseline
    faults::fail_after(None);
    state.replace_segments(scope, &[state.segments(scope).unwrap()[0].id], Some((&file, 2000))).unwrap();
    assert!(!faults::done().contains(&"put"));
    remove_orphans(&state).unwrap();
    assert_eq!(shelf.names(), BTreeSet::from([file]));
}
