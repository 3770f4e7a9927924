//! CSV files as a person edits them: read and written without the product.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A CSV file (UTF-8, commas, a header) as texts.
#[derive(Debug)]
pub(crate) struct Table {
    path: PathBuf,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// A row by column.
pub(crate) type Row = BTreeMap<String, String>;

impl Table {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Self {
        let mut reader = csv::Reader::from_path(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let columns = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let row = |record: csv::StringRecord| record.iter().map(str::to_owned).collect();
        let rows = reader.records().map(|record| row(record.unwrap())).collect();
        Self { path: path.to_owned(), columns, rows }
    }

    /// The rows, by column.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row> {
        self.rows.iter().map(|row| self.columns.iter().cloned().zip(row.iter().cloned()).collect())
    }

    /// Sets a value in the one row that has these values, and saves.
    pub(crate) fn set(mut self, row: &[(&str, &str)], column: &str, value: &str) {
        let (at, column) = (self.find(row), self.column(column));
        value.clone_into(&mut self.rows[at][column]);
        self.save();
    }

    /// Takes the one row away that has these values, and saves.
    pub(crate) fn remove(mut self, row: &[(&str, &str)]) {
        self.rows.remove(self.find(row));
        self.save();
    }

    /// Adds a copy of the one row that has these values, with others in these columns, and saves.
    pub(crate) fn copy(mut self, row: &[(&str, &str)], changed: &[(&str, &str)]) {
        let mut copy = self.rows[self.find(row)].clone();
        for (column, value) in changed {
            (*value).clone_into(&mut copy[self.column(column)]);
        }
        self.rows.push(copy);
        self.save();
    }

    fn find(&self, row: &[(&str, &str)]) -> usize {
        let wanted: Vec<(usize, &str)> = row.iter().map(|(column, value)| (self.column(column), *value)).collect();
        let fits = |row: &Vec<String>| wanted.iter().all(|(column, value)| row[*column] == *value);
        let found: Vec<usize> = (0..self.rows.len()).filter(|at| fits(&self.rows[*at])).collect();
        let [at] = found[..] else { panic!("{} rows of {} have {row:?}", found.len(), self.path.display()) };
        at
    }

    fn column(&self, name: &str) -> usize {
        let found = self.columns.iter().position(|column| column == name);
        found.unwrap_or_else(|| panic!("no column {name} in {}", self.path.display()))
    }

    fn save(&self) {
        let mut writer = csv::Writer::from_path(&self.path).unwrap();
        writer.write_record(&self.columns).unwrap();
        for row in &self.rows {
            writer.write_record(row).unwrap();
        }
        writer.flush().unwrap();
    }
}
