//! Tests of reading and writing together.

mod build;
mod hostile;
mod reading;
mod samples;
mod streaming;
mod writing;
mod xsd;

use super::cell;
use obmen_sdk::{BadRow, Error};
use std::borrow::Cow;

/// Everything a file has of a relation.
#[derive(Debug, Default)]
struct Everything {
    rows: Vec<Vec<Option<String>>>,
    bad: Vec<BadRow>,
    exact: Option<bool>,
    batches: usize,
}

impl Everything {
    /// A column, by its name in the relation.
    fn column(&self, relation: &str, name: &str) -> Vec<Option<&str>> {
        let schema = super::schema(relation).unwrap();
        let at = schema.index_of(name).unwrap();
        self.rows.iter().map(|row| row[at].as_deref()).collect()
    }

    /// A row as one line.
    fn line(&self, row: usize) -> String {
        self.rows[row].iter().map(|cell| cell.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(" | ")
    }
}

fn try_read(relation: &str, bytes: &[u8], batch_rows: usize) -> Result<Everything, Error> {
    let mut all = Everything::default();
    super::read(relation, "file.xml", bytes, batch_rows, &mut |batch| {
        assert!(batch.rows.num_rows() + batch.bad.len() <= batch_rows);
        for row in 0..batch.rows.num_rows() {
            let cells =
                batch.rows.columns().iter().map(|column| cell::text(column, row).map(Cow::into_owned)).collect();
            all.rows.push(cells);
        }
        all.bad.extend(batch.bad);
        all.exact = batch.exact.or(all.exact);
        all.batches += 1;
        Ok(())
    })?;
    Ok(all)
}

fn read_all(relation: &str, bytes: &[u8]) -> Everything {
    try_read(relation, bytes, 100).unwrap()
}
