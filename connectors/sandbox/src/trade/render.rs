//! Entries as JSON or Atom, a piece at a time.

use super::cell::{Edm, ZERO_GUID, pad};
use super::request::Format;
use super::schema::{Entity, Shape};
use super::table::Table;
use crate::reply::{escape, put};
use bytes::Bytes;
use std::sync::Arc;

/// About how large a piece is, in bytes.
const PIECE: usize = 32 << 10;

/// Entries to be given out.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) entity: Arc<Entity>,
    pub(crate) table: Arc<Table>,
    pub(crate) shape: Shape,
    /// The set's name as it was asked for.
    pub(crate) name: String,
    /// Rows, or positions of record sets.
    pub(crate) entries: Vec<u32>,
    /// Columns to show.
    pub(crate) columns: Vec<usize>,
    /// `odata.count`.
    pub(crate) count: Option<usize>,
    /// One entity by its key: not wrapped in `value`.
    pub(crate) single: bool,
    pub(crate) format: Format,
    /// `http://host/trade/odata/standard.odata`.
    pub(crate) root: String,
}

/// The pieces of a page.
#[derive(Debug)]
pub(crate) struct Pieces {
    page: Page,
    at: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Entries,
    Done,
}

impl Page {
    /// The pieces, made as they are asked for.
    pub(crate) fn pieces(self) -> Pieces {
        Pieces { page: self, at: 0, state: State::Head }
    }

    fn head(&self, out: &mut String) {
        match (self.format, self.single) {
            (Format::Atom, true) => out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"),
            (Format::Atom, false) => put(
                out,
                format_args!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\"{NAMESPACES} xml:base=\"{root}/\"><id>{root}/{name}</id><title type=\"text\"/>",
                    root = escape(&self.root),
                    name = escape(&self.name)
                ),
            ),
            (_, true) => {}
            (format, false) => {
                out.push_str("{\n");
                if format == Format::Json {
                    put(out, format_args!("\"odata.metadata\":\"{}/$metadata#{}\",\n", self.root, self.name));
                }
                if let Some(count) = self.count {
                    put(out, format_args!("\"odata.count\":\"{count}\",\n"));
                }
                out.push_str("\"value\":[");
            }
        }
    }

    fn foot(&self) -> &'static str {
        match (self.format, self.single) {
            (_, true) => "",
            (Format::Atom, false) => "</feed>\n",
            (_, false) => "]\n}\n",
        }
    }

    fn entry(&self, entry: u32, out: &mut String) {
        let recorder = self.entity.recorder().unwrap_or_default();
        let set;
        let rows: &[u32] = match self.shape {
            Shape::Rows => {
                set = [entry];
                &set
            }
            Shape::RecordSets => self.table.sets(&recorder).get(entry as usize).map_or(&[], Vec::as_slice),
        };
        match self.format {
            Format::Atom => self.atom_entry(rows, &recorder, out),
            _ => self.json_entry(rows, &recorder, out),
        }
    }

    fn json_entry(&self, rows: &[u32], recorder: &[usize], out: &mut String) {
        out.push_str("{\n");
        if self.single && self.format == Format::Json {
            put(out, format_args!("\"odata.metadata\":\"{}/$metadata#{}/@Element\",\n", self.root, self.name));
        }
        let first = rows.first().copied().unwrap_or(0);
        if self.shape == Shape::RecordSets {
            self.json_fields(first, recorder, out);
            out.push_str(",\n\"RecordSet\": [");
            for (at, row) in rows.iter().enumerate() {
                out.push_str(if at == 0 { "{\n" } else { ",{\n" });
                self.json_fields(*row, &self.columns, out);
                out.push_str("\n}");
            }
            out.push(']');
        } else if self.single {
            // Measured: a single entity has its properties in another order.
            let backwards: Vec<usize> = self.columns.iter().rev().copied().collect();
            self.json_fields(first, &backwards, out);
        } else {
            self.json_fields(first, &self.columns, out);
        }
        if self.format == Format::Json && self.shape == Shape::Rows {
            self.json_link(first, out);
        }
        out.push_str("\n}");
    }

    fn json_fields(&self, row: u32, columns: &[usize], out: &mut String) {
        let fields = columns.iter().filter_map(|at| self.entity.columns.get(*at).map(|field| (*at, field)));
        for (place, (at, field)) in fields.enumerate() {
            out.push_str(if place == 0 { "\"" } else { ",\n\"" });
            out.push_str(&field.name);
            out.push_str("\": ");
            field.edm.write_json(self.table.cell(row, at), field.fixed, out);
        }
    }

    /// The link to the parent of a hierarchical catalog; only where there is a parent.
    fn json_link(&self, row: u32, out: &mut String) {
        let (Some(parent), Some(own)) = (self.entity.position("Parent_Key"), self.entity.position("Ref_Key")) else {
            return;
        };
        if self.columns.contains(&parent) && self.table.cell(row, parent) != ZERO_GUID {
            let key = self.table.cell(row, own);
            put(out, format_args!(",\n\"Parent@navigationLinkUrl\": \"{}(guid'{key}')/Parent\"", self.name));
        }
    }

    fn atom_entry(&self, rows: &[u32], recorder: &[usize], out: &mut String) {
        out.push_str("<entry");
        if self.single {
            put(
                out,
                format_args!(" xmlns=\"http://www.w3.org/2005/Atom\"{NAMESPACES} xml:base=\"{}/\"", escape(&self.root)),
            );
        }
        let name = escape(&self.name);
        put(
            out,
            format_args!(
                "><category term=\"StandardODATA.{name}\" scheme=\"http://schemas.microsoft.com/ado/2007/08/dataservices/scheme\"/><content type=\"application/xml\"><m:properties>"
            ),
        );
        let first = rows.first().copied().unwrap_or(0);
        if self.shape == Shape::RecordSets {
            self.atom_fields(first, recorder, out);
            put(out, format_args!("<d:RecordSet m:type=\"Collection(StandardODATA.{name}_RowType)\">"));
            for row in rows {
                put(out, format_args!("<d:element m:type=\"StandardODATA.{name}_RowType\">"));
                self.atom_fields(*row, &self.columns, out);
                out.push_str("</d:element>");
            }
            out.push_str("</d:RecordSet>");
        } else {
            self.atom_fields(first, &self.columns, out);
        }
        out.push_str("</m:properties></content></entry>");
    }

    fn atom_fields(&self, row: u32, columns: &[usize], out: &mut String) {
        for at in columns {
            let Some(field) = self.entity.columns.get(*at) else { continue };
            let cell = self.table.cell(row, *at);
            let shown = field.fixed.map_or_else(|| cell.to_owned(), |width| pad(cell, width));
            if shown.is_empty() && field.edm == Edm::String {
                put(out, format_args!("<d:{}/>", field.name));
            } else {
                put(out, format_args!("<d:{name}>{}</d:{name}>", escape(&shown), name = field.name));
            }
        }
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut piece = String::with_capacity(PIECE + PIECE / 4);
        if self.state == State::Head {
            self.page.head(&mut piece);
            self.state = State::Entries;
        }
        while self.state == State::Entries && piece.len() < PIECE {
            let Some(entry) = self.page.entries.get(self.at).copied() else {
                piece.push_str(self.page.foot());
                self.state = State::Done;
                break;
            };
            if self.at > 0 && self.page.format.is_json() {
                piece.push(',');
            }
            self.page.entry(entry, &mut piece);
            self.at += 1;
        }
        (!piece.is_empty()).then(|| Bytes::from(piece))
    }
}

const NAMESPACES: &str = " xmlns:d=\"http://schemas.microsoft.com/ado/2007/08/dataservices\" xmlns:m=\"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata\"";
