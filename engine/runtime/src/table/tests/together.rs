//! Commits, compaction, look-ups and indexes, together and in any order.

use super::*;
use crate::table::remove_orphans;
use proptest::prelude::*;

/// Keys that are near each other and far apart.
fn key(small: u8) -> Hash {
    if small.is_multiple_of(3) { Hash::from(small) } else { Hash::from(small) << 120 | 7 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// However commits are compacted and read, they are what a map would hold.
    #[test]
    fn a_baseline_is_the_last_word_on_every_key(
        commits in proptest::collection::vec(
            (proptest::collection::btree_map(0_u8..60, proptest::option::of(proptest::option::of(0_u8..4)), 1..40),
             any::<bool>()),
            1..8),
        step in 1_usize..50,
        limits in proptest::collection::btree_set(any::<u8>(), 0..4),
        sought in proptest::collection::btree_set(0_u8..70, 0..20),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (state, scope) = open(folder.path(), Durability::Scratch);
        let mut naive = Naive::new();
        for (seq, (rows, compact)) in (1_i64..).zip(&commits) {
            let rows: BTreeMap<Hash, Row> = rows
                .iter()
                .map(|(small, row)| (key(*small), row.map(|value| value.map(|value| value.to_string()))))
                .collect();
            commit(&state, scope, seq, &rows).unwrap();
            naive.extend(rows.into_iter().map(|(key, row)| (key, (row, seq))));
            if *compact {
                state.compact(scope).unwrap();
                remove_orphans(&state).unwrap();
            }
            let baseline = Baseline::open(&state, scope).unwrap();
            prop_assert_eq!(&read(&baseline, step).unwrap(), &naive);
            let limits: Vec<Hash> = limits.iter().map(|limit| Hash::from(*limit) << 120).collect();
            prop_assert_eq!(&read_ranges(&baseline, &limits).unwrap(), &naive);

            let keys: Vec<Hash> =
                sought.iter().map(|small| key(*small)).collect::<std::collections::BTreeSet<_>>().into_iter().collect();
            let expected: Naive =
                keys.iter().filter_map(|key| Some((*key, naive.get(key)?.clone()))).collect();
            prop_assert_eq!(rows_of(&baseline, &baseline.find(&keys).unwrap()).unwrap(), expected);

            let expected: Naive = naive
                .iter()
                .filter(|(_, (row, _))| row == &some("1") || row == &some("3"))
                .map(|(key, row)| (*key, row.clone()))
                .collect();
            prop_assert_eq!(by_value(&state, &baseline, &["1", "3", "9"], 0).unwrap(), expected);
        }
    }
}

#[test]
fn keys_and_values_are_found_among_many_pages_and_row_groups() {
    let folder = tempfile::tempdir().unwrap();
    let (state, scope) = open(folder.path(), Durability::Scratch);
    let spread = |n: u128| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let rows: BTreeMap<Hash, Row> = (0..300_000).map(|n| (spread(n), some(&(n % 1000).to_string()))).collect();
    commit(&state, scope, 1, &rows).unwrap();
    commit(&state, scope, 2, &BTreeMap::from([(spread(5), None), (spread(1007), some("7, and more"))])).unwrap();
    let baseline = Baseline::open(&state, scope).unwrap();

    let mut keys: Vec<Hash> = (0..300).map(|n| spread(n * 2003)).collect();
    keys.sort_unstable();
    let found = rows_of(&baseline, &baseline.find(&keys).unwrap()).unwrap();
    let expected: Naive = keys.iter().filter_map(|key| Some((*key, (rows.get(key)?.clone(), 1)))).collect();
    assert!(found.len() > 100 && found.len() < 300);
    assert_eq!(found, expected);

    let found = by_value(&state, &baseline, &["5", "7"], 1 << 20).unwrap();
    assert_eq!(found.len(), 598, "one of each is gone or has another value");
    assert!(found.values().all(|(row, _)| row == &some("5") || row == &some("7")));
    assert_eq!(by_value(&state, &baseline, &["7, and more"], 0).unwrap().len(), 1);
    assert!(baseline.find(&[]).unwrap().is_empty());
}

#[test]
fn a_reader_keeps_what_it_opened_when_files_are_merged_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (state, scope) = open(folder.path(), Durability::Scratch);
    commit(&state, scope, 1, &BTreeMap::from([(1, some("a")), (2, some("b"))])).unwrap();
    commit(&state, scope, 2, &BTreeMap::from([(2, None), (3, some("a"))])).unwrap();
    let before = Baseline::open(&state, scope).unwrap();
    let rows = read(&before, 10).unwrap();
    commit(&state, scope, 3, &BTreeMap::from([(1, None)])).unwrap();
    state.compact(scope).unwrap();
    assert_eq!(state.segments(scope).unwrap().len(), 1);
    let now = Baseline::open(&state, scope).unwrap();
    assert_eq!(by_value(&state, &now, &["a"], 0).unwrap().len(), 1);
    if cfg!(unix) {
        assert_eq!(remove_orphans(&state).unwrap(), 3);
    }
    assert_eq!(read(&before, 10).unwrap(), rows);
    assert_eq!(before.find(&[2]).unwrap().len(), 1);
    assert_eq!(by_value(&state, &before, &["a"], 0).unwrap().len(), 2, "not what the merged file's index says");
    assert_eq!(by_value(&state, &now, &["a"], 0).unwrap().len(), 1);
}

#[test]
fn what_a_crash_left_half_written_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (state, scope) = open(folder.path(), Durability::Synced);
    commit(&state, scope, 1, &BTreeMap::from([(1, some("a"))])).unwrap();
    let baseline = Baseline::open(&state, scope).unwrap();
    assert_eq!(by_value(&state, &baseline, &["a"], 0).unwrap().len(), 1);
    std::fs::write(folder.path().join("baseline/9.part"), b"half").unwrap();
    std::fs::write(folder.path().join("plans/unnamed.parquet"), b"whole, but nobody names it").unwrap();
    assert_eq!(remove_orphans(&state).unwrap(), 2);
    let left = std::fs::read_dir(folder.path().join("baseline")).unwrap().count();
    assert_eq!(left, 3, "the file, its index and the list");
    assert_eq!(read(&Baseline::open(&state, scope).unwrap(), 10).unwrap().len(), 1);
}

#[test]
fn an_index_goes_with_its_file_and_is_made_again_when_it_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let (state, scope) = open(folder.path(), Durability::Scratch);
    commit(&state, scope, 1, &BTreeMap::from([(1, some("a")), (2, some("b")), (3, Some(None))])).unwrap();
    let baseline = Baseline::open(&state, scope).unwrap();
    let segment = state.segments(scope).unwrap()[0].clone();
    assert_eq!(by_value(&state, &baseline, &["a"], 0).unwrap().len(), 1);
    let (name, _) = state.index_file(&segment, &value_names()).unwrap().unwrap();
    assert_eq!(by_value(&state, &baseline, &["b"], 0).unwrap().len(), 1);
    assert_eq!(state.index_file(&segment, &value_names()).unwrap().unwrap().0, name, "made once");

    std::fs::write(folder.path().join(&name), b"broken").unwrap();
    assert_eq!(by_value(&state, &baseline, &["a"], 0).unwrap().len(), 1);
    let (again, _) = state.index_file(&segment, &value_names()).unwrap().unwrap();
    assert_ne!(again, name);

    let unknown = ["nothing".to_owned()];
    let work = state.work_folder().unwrap();
    assert!(baseline.by_columns(&state, &unknown, &[1], 0, work.path()).unwrap().is_empty());

    state.replace_segments(scope, &[segment.id], None).unwrap();
    assert!(state.index_file(&segment, &value_names()).unwrap().is_none());
    drop(baseline);
    remove_orphans(&state).unwrap();
    assert_eq!(std::fs::read_dir(folder.path().join("baseline")).unwrap().count(), 0);
}

#[test]
fn how_many_rows_are_there_is_forgotten_by_commits_and_kept_by_compaction() {
    let folder = tempfile::tempdir().unwrap();
    let (state, scope) = open(folder.path(), Durability::Scratch);
    commit(&state, scope, 1, &BTreeMap::from([(1, some("a"))])).unwrap();
    assert_eq!(state.live(scope).unwrap(), None);
    state.set_live(scope, 1).unwrap();
    assert_eq!(state.live(scope).unwrap(), Some(1));
    commit(&state, scope, 2, &BTreeMap::from([(2, some("a"))])).unwrap();
    assert_eq!(state.live(scope).unwrap(), None);
    state.set_live(scope, 2).unwrap();
    state.compact(scope).unwrap();
    assert_eq!((state.segments(scope).unwrap().len(), state.live(scope).unwrap()), (1, Some(2)));
    let all: Vec<i64> = state.segments(scope).unwrap().iter().map(|segment| segment.id).collect();
    state.replace_segments(scope, &all, None).unwrap();
    assert_eq!(state.live(scope).unwrap(), None);
}

#[test]
fn a_list_of_files_for_other_programs_stands_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let (state, scope) = open(folder.path(), Durability::Synced);
    commit(&state, scope, 1, &BTreeMap::from([(1, some("a")), (2, some("b"))])).unwrap();
    commit(&state, scope, 2, &BTreeMap::from([(2, None)])).unwrap();
    let list = folder.path().join("baseline/t.shop.sql");
    let text = std::fs::read_to_string(&list).unwrap();
    let file = |seq: i64| format!("read_parquet('{}/baseline/{}-{seq}.parquet')", folder.path().display(), scope.0);
    let expected = format!(
        "-- obmen: baseline/{0}-1.parquet baseline/{0}-2.parquet\n\
         SELECT \"value\"\nFROM {2} AS f\nWHERE NOT obmen_gone\n\
         UNION ALL\n\
         SELECT \"value\"\nFROM {1} AS f\nWHERE NOT obmen_gone\n  \
         AND NOT EXISTS (SELECT 1 FROM {2} AS n WHERE n.obmen_key = f.obmen_key)\n",
        scope.0,
        file(1),
        file(2),
    );
    if cfg!(unix) {
        assert_eq!(text, expected);
    }

    let mirror = state.scope("", "goods/Каталог: всё", "here").unwrap();
    commit(&state, mirror, 3, &BTreeMap::from([(1, some("a"))])).unwrap();
    let mirror_list = folder.path().join("baseline/mirror.goods_Каталог__всё.sql");
    assert!(mirror_list.is_file());

    let moved = state.scope("t", "shop", "elsewhere").unwrap();
    commit(&state, moved, 4, &BTreeMap::from([(1, some("a"))])).unwrap();
    std::fs::remove_file(&mirror_list).unwrap();
    assert_eq!(remove_orphans(&state).unwrap(), 0);
    assert!(mirror_list.is_file(), "a missing list is written again");
    assert!(std::fs::read_to_string(&list).unwrap().contains(&format!("{}-4.parquet", moved.0)));
    let older = folder.path().join(format!("baseline/t.shop.{}.sql", scope.0));
    assert_eq!(std::fs::read_to_string(older).unwrap(), text, "the older target's list has another name");

    let all: Vec<i64> = state.segments(mirror).unwrap().iter().map(|segment| segment.id).collect();
    state.replace_segments(mirror, &all, None).unwrap();
    assert!(!mirror_list.exists(), "nothing is known: no list");
    assert_eq!(remove_orphans(&state).unwrap(), 1);
}
