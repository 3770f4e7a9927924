//! The power goes at every operation: what is read afterwards is the old rows or the new ones.

use super::*;
use crate::table::disk::faults;
use crate::table::remove_orphans;

fn before() -> BTreeMap<Hash, Row> {
    (0..2000).map(|n| (n << 100, some(&n.to_string()))).collect()
}

fn change() -> BTreeMap<Hash, Row> {
    (0..1000).map(|n| (n << 101, if n % 5 == 0 { None } else { some("new") })).collect()
}

fn with_some_rows(folder: &Path) -> (State, ScopeId) {
    let (state, scope) = open(folder, Durability::Synced);
    commit(&state, scope, 1, &before()).unwrap();
    (state, scope)
}

fn commit_and_compact(state: &State, scope: ScopeId) -> Result<()> {
    commit(state, scope, 2, &change())?;
    let baseline = Baseline::open(state, scope)?;
    by_value(state, &baseline, &["new"], 0)?;
    state.compact(scope)?;
    remove_orphans(state).map(drop)
}

#[test]
fn a_crash_at_any_operation_leaves_the_old_rows_or_the_new_ones() {
    let old: Naive = before().into_iter().map(|(key, row)| (key, (row, 1))).collect();
    let mut new = old.clone();
    new.extend(change().into_iter().map(|(key, row)| (key, (row, 2))));
    let operations = {
        let folder = tempfile::tempdir().unwrap();
        let (state, scope) = with_some_rows(folder.path());
        faults::fail_after(None);
        commit_and_compact(&state, scope).unwrap();
        faults::done().len()
    };
    assert!(operations > 30);
    let mut seen = (0, 0);
    for left in 0..operations {
        let folder = tempfile::tempdir().unwrap();
        let (state, scope) = with_some_rows(folder.path());
        faults::fail_after(Some(left));
        let finished = commit_and_compact(&state, scope);
        let done = faults::done();
        faults::fail_after(None);
        drop(state);

        let (state, scope) = open(folder.path(), Durability::Synced);
        let rows = read(&Baseline::open(&state, scope).unwrap(), 700).unwrap();
        assert!(rows == old || rows == new, "after {left} operations: {done:?}");
        if rows == old {
            seen.0 += 1;
        } else {
            seen.1 += 1;
        }
        assert!(finished.is_err() || rows == new, "what was said to be done is done");

        remove_orphans(&state).unwrap();
        let segments = state.segments(scope).unwrap().len();
        let indexes = if state.named_files().unwrap().iter().any(|name| name.contains("index-")) { 2 } else { 0 };
        let files = std::fs::read_dir(folder.path().join("baseline")).unwrap().count();
        assert!((segments + 1..=segments + 1 + indexes).contains(&files), "nothing else is left behind");
        commit(&state, scope, 3, &change()).unwrap();
        let baseline = Baseline::open(&state, scope).unwrap();
        assert_eq!(by_value(&state, &baseline, &["new"], 0).unwrap().len(), 800);
    }
    assert!(seen.0 > 3 && seen.1 > 3, "both are possible: {seen:?}");
}

#[test]
fn a_file_is_on_disk_with_its_name_before_the_state_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let (state, scope) = open(folder.path(), Durability::Synced);
    faults::fail_after(None);
    commit(&state, scope, 1, &BTreeMap::from([(1, some("a"))])).unwrap();
    let list = ["create", "write", "sync", "rename", "sync folder"];
    let file = ["create", "write", "write", "sync", "rename", "sync folder", "commit"];
    assert_eq!(faults::done(), [file.as_slice(), &list].concat());
}
