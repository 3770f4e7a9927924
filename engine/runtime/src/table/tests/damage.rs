//! Files that are not what was written: an error that says what to do, never a wrong row.

use super::*;
use crate::state::is_state_error;
use crate::table::RowFile;
use obmen_sdk::Error;
use proptest::prelude::*;
use std::sync::OnceLock;

/// A state with one file of some pages, and its rows.
struct Sample {
    folder: tempfile::TempDir,
    name: String,
    bytes: Vec<u8>,
    rows: Naive,
}

fn sample() -> Sample {
    let folder = tempfile::tempdir().unwrap();
    let (state, scope) = open(folder.path(), Durability::Scratch);
    let text = |n: u128| if n.is_multiple_of(7) { None } else { some(&format!("value {}", n % 300)) };
    let rows: BTreeMap<Hash, Row> = (0..3000).map(|n| (n << 100 | 0x63, text(n))).collect();
    commit(&state, scope, 1, &rows).unwrap();
    let name = state.segments(scope).unwrap()[0].file.clone();
    let bytes = std::fs::read(folder.path().join(&name)).unwrap();
    let rows = rows.into_iter().map(|(key, row)| (key, (row, 1))).collect();
    Sample { folder, name, bytes, rows }
}

fn read_all(folder: &Path) -> Result<Naive> {
    let (state, scope) = open(folder, Durability::Scratch);
    let baseline = Baseline::open(&state, scope)?;
    let rows = read(&baseline, 5000)?;
    let keys: Vec<Hash> = rows.keys().copied().step_by(100).collect();
    let found = rows_of(&baseline, &baseline.find(&keys)?)?;
    assert!(found.iter().all(|(key, row)| rows.get(key) == Some(row)) && found.len() == keys.len());
    Ok(rows)
}

fn says_what_to_do(error: &Error, name: &str) {
    let text = error.to_string();
    assert!(is_state_error(error), "{text}");
    assert!(text.contains(name.rsplit('/').next().unwrap()), "{text}");
    assert!(text.contains("`obmen baseline forget`") && text.contains("backup"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_flipped_bit_anywhere_is_an_error_or_changes_nothing(at in any::<proptest::sample::Index>(), bit in 0_u8..8) {
        static SAMPLE: OnceLock<Sample> = OnceLock::new();
        let sample = SAMPLE.get_or_init(sample);
        let mut bytes = sample.bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        std::fs::write(sample.folder.path().join(&sample.name), &bytes).unwrap();
        match read_all(sample.folder.path()) {
            Ok(rows) => prop_assert!(rows == sample.rows, "byte {at}"),
            Err(error) => says_what_to_do(&error, &sample.name),
        }
        // a file the state has no mark of, such as a plan's
        if let Ok(file) = RowFile::open(sample.folder.path(), &sample.name) {
            let rows: Result<Vec<RecordBatch>> = file.scan(&["obmen_key", "value"]).and_then(Iterator::collect);
            if let Ok(batches) = rows {
                let texts: Vec<Option<String>> = batches
                    .iter()
                    .flat_map(|batch| batch.column(1).as_string::<i32>().iter())
                    .map(|text| text.map(str::to_owned))
                    .collect();
                let expected = |row: &Row| row.clone().unwrap_or(Some("1".to_owned()));
                prop_assert!(texts.into_iter().eq(sample.rows.values().map(|(row, _)| expected(row))));
            }
        }
    }
}

#[test]
fn every_bit_of_the_last_bytes_counts() {
    let sample = sample();
    let mut errors = 0;
    for at in sample.bytes.len() - 600..sample.bytes.len() {
        let mut bytes = sample.bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(sample.folder.path().join(&sample.name), &bytes).unwrap();
        match read_all(sample.folder.path()) {
            Ok(rows) => assert!(rows == sample.rows, "byte {at}"),
            Err(error) => {
                errors += 1;
                says_what_to_do(&error, &sample.name);
            }
        }
    }
    assert_eq!(errors, 600);
}

#[test]
fn a_missing_a_shortened_and_another_file_are_found_when_it_is_opened() {
    let sample = sample();
    let path = sample.folder.path().join(&sample.name);
    let opened = || {
        let (state, scope) = open(sample.folder.path(), Durability::Scratch);
        Baseline::open(&state, scope).map(drop)
    };
    opened().unwrap();
    for length in [0, 3, 11, 100, sample.bytes.len() / 2, sample.bytes.len() - 1] {
        std::fs::write(&path, &sample.bytes[..length]).unwrap();
        says_what_to_do(&opened().unwrap_err(), &sample.name);
    }
    std::fs::remove_file(&path).unwrap();
    let error = opened().unwrap_err();
    says_what_to_do(&error, &sample.name);
    assert!(error.to_string().contains("missing"), "{error}");

    let batch = file_batch(2, &BTreeMap::from([(1, some("of another"))]));
    let mut writer =
        FileWriter::create(sample.folder.path(), &sample.name, batch.schema(), Durability::Scratch).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let error = opened().unwrap_err();
    says_what_to_do(&error, &sample.name);
    assert!(error.to_string().contains("not the file that was written"), "{error}");
}

#[test]
fn files_without_checksums_from_the_first_version_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let (state, scope) = open(folder.path(), Durability::Scratch);
    let rows = BTreeMap::from([(1, some("a")), (2, None)]);
    let batch = file_batch(1, &rows);
    let path = folder.path().join("baseline/old.parquet");
    let file = std::fs::File::create(path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    state.add_segment(scope, "baseline/old.parquet", 2, &[]).unwrap();
    assert_eq!(state.segments(scope).unwrap()[0].mark, None);
    let baseline = Baseline::open(&state, scope).unwrap();
    assert_eq!(read(&baseline, 10).unwrap().len(), 2);
    assert_eq!(baseline.find(&[2, 3]).unwrap().len(), 1);
    commit(&state, scope, 2, &BTreeMap::from([(3, some("b"))])).unwrap();
    state.compact(scope).unwrap();
    assert!(state.segments(scope).unwrap()[0].mark.is_some(), "merging gives them checksums");
}

#[test]
fn a_file_of_a_newer_version_is_refused_with_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = open(folder.path(), Durability::Scratch);
    let batch = file_batch(1, &BTreeMap::from([(1, some("a"))]));
    let file = std::fs::File::create(folder.path().join("baseline/new.parquet")).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    let said = parquet::file::metadata::KeyValue::new("obmen.format".to_owned(), "99".to_owned());
    writer.append_key_value_metadata(said);
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let error = RowFile::open(state.folder(), "baseline/new.parquet").unwrap_err();
    assert!(is_state_error(&error));
    assert!(error.to_string().contains("format 99") && error.to_string().contains("use the obmen"), "{error}");
}
