//! What an analyst says about a file: its format and how values are written in it.

use crate::csv::CsvStyle;
use crate::encoding::Encoding;
use crate::values::{DatePattern, NumberStyle, TextStyle, Thousands};
use obmen_sdk::{Error, ErrorKind, Result};
use serde::Deserialize;

/// How files are written. Every setting is optional; a source or sink overrides its connection setting by setting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Format {
    /// The format: `csv`, `jsonl` (one JSON object per line), `json` (a list of objects), `parquet` or
    /// `commerceml`. Without it the extension of the file says it.
    pub format: Option<Kind>,
    /// A set of settings under one name. `excel_ru` is what a Russian spreadsheet saves: `;` between fields,
    /// windows-1251, a decimal comma, spaces between thousands, `dd.mm.yyyy`. Settings beside it win over it.
    pub preset: Option<Preset>,
    /// CSV: how text is stored: `utf-8` (default, with or without a byte order mark), `utf-8-bom`,
    /// `windows-1251`, `cp866` or `utf-16`. A byte that means nothing there makes the row bad.
    pub encoding: Option<Encoding>,
    /// CSV: the character between fields, `,` by default; `tab` is understood.
    pub delimiter: Option<Delimiter>,
    /// CSV: the character around fields that contain a delimiter or a line break, `"` by default; doubled
    /// inside such a field. `none` where quotes have no meaning.
    pub quote: Option<Quote>,
    /// CSV: whether the first line names the columns; `true` by default. With `false` the source declares
    /// its `columns` in the order of the file.
    pub header: Option<bool>,
    /// CSV: lines before the header (a title, an empty line) that are passed over; 0 by default.
    pub skip_lines: Option<u32>,
    /// CSV: the mark before the fraction of a number: `.` (default) or `,`.
    pub decimal: Option<DecimalMark>,
    /// CSV: what stands between groups of three digits: `none` (default), `space` (no-break spaces too),
    /// `,`, `.` or `'`.
    pub thousands: Option<Thousands>,
    /// How dates are written, like `dd.mm.yyyy` or `mm/dd/yyyy`; `d` and `m` take one or two digits.
    /// `yyyy-mm-dd` (default) is understood besides. In a datetime the time follows after a space or `T`.
    #[schemars(with = "Option<String>")]
    pub date: Option<DatePattern>,
    /// Words that mean NULL, like `[NULL, "-"]`. In CSV an empty field is NULL in any case.
    pub nulls: Option<Vec<String>>,
    /// JSON: where the list of objects is inside the document, like `data.items`. Without it the document
    /// is the list.
    pub at: Option<String>,
}

/// A format of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Text with a delimiter between fields.
    Csv,
    /// One JSON object per line.
    Jsonl,
    /// A list of JSON objects.
    Json,
    /// Apache Parquet.
    Parquet,
    /// CommerceML 2, the packages of 1C and web shops.
    Commerceml,
}

/// Settings under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// What a Russian spreadsheet saves as CSV.
    ExcelRu,
}

/// The character between fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Delimiter(pub u8);

/// The character around fields, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Quote(pub Option<u8>);

/// The mark before the fraction of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
pub enum DecimalMark {
    /// A point.
    #[serde(rename = ".")]
    Point,
    /// A comma.
    #[serde(rename = ",")]
    Comma,
}

impl Kind {
    /// All, in the order of their names' habit.
    pub const ALL: [Self; 5] = [Self::Csv, Self::Jsonl, Self::Json, Self::Parquet, Self::Commerceml];

    /// The word an analyst writes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Parquet => "parquet",
            Self::Commerceml => "commerceml",
        }
    }

    /// The format of a file's name, by its extension in any case: `.csv .txt .tsv`, `.jsonl .ndjson`, `.json`, `.parquet`.
    pub fn of_name(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        Some(match extension.to_lowercase().as_str() {
            "csv" | "txt" | "tsv" => Self::Csv,
            "jsonl" | "ndjson" => Self::Jsonl,
            "json" => Self::Json,
            "parquet" => Self::Parquet,
            _ => return None,
        })
    }
}

impl Format {
    /// The names of all settings, for connectors that have others beside them.
    pub const KEYS: &'static [&'static str] = &[
        "format",
        "preset",
        "encoding",
        "delimiter",
        "quote",
        "header",
        "skip_lines",
        "decimal",
        "thousands",
        "date",
        "nulls",
        "at",
    ];

    /// These settings, and those of `other` where these say nothing.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let other = other.clone();
        Self {
            format: self.format.or(other.format),
            preset: self.preset.or(other.preset),
            encoding: self.encoding.or(other.encoding),
            delimiter: self.delimiter.or(other.delimiter),
            quote: self.quote.or(other.quote),
            header: self.header.or(other.header),
            skip_lines: self.skip_lines.or(other.skip_lines),
            decimal: self.decimal.or(other.decimal),
            thousands: self.thousands.or(other.thousands),
            date: self.date.or(other.date),
            nulls: self.nulls.or(other.nulls),
            at: self.at.or(other.at),
        }
    }

    /// The format of a file: what was said, else what its name says.
    ///
    /// # Errors
    /// `Unsupported` when neither does.
    pub fn kind(&self, file: &str) -> Result<Kind> {
        self.format.or_else(|| Kind::of_name(file)).ok_or_else(|| {
            let known = "its extension is none of csv, txt, tsv, jsonl, ndjson, json, parquet";
            Error::new(ErrorKind::Unsupported, format!("the format of the file is not known: {known}; say `format:`"))
                .with("file", file)
        })
    }

    /// How a CSV file of this name is written: `.tsv` has tabs.
    pub fn csv(&self, file: &str) -> CsvStyle {
        let excel = self.preset == Some(Preset::ExcelRu);
        let tabs = file.to_lowercase().ends_with(".tsv");
        let delimiter = if excel {
            b';'
        } else if tabs {
            b'\t'
        } else {
            b','
        };
        let decimal = self.decimal.map_or(if excel { ',' } else { '.' }, DecimalMark::mark);
        let thousands = if excel { Thousands::Space } else { Thousands::None };
        CsvStyle {
            encoding: self.encoding.unwrap_or(if excel { Encoding::Windows1251 } else { Encoding::Utf8 }),
            delimiter: self.delimiter.map_or(delimiter, |delimiter| delimiter.0),
            quote: self.quote.map_or(Some(b'"'), |quote| quote.0),
            header: self.header.unwrap_or(true),
            skip_lines: self.skip_lines.unwrap_or(0),
            windows_lines: excel,
            text: TextStyle {
                numbers: NumberStyle { decimal, thousands: self.thousands.unwrap_or(thousands), exponent: false },
                date: self.date(),
                nulls: self.nulls.clone().unwrap_or_default(),
            },
        }
    }

    /// How texts in JSON files are written.
    pub fn json(&self) -> TextStyle {
        TextStyle { numbers: NumberStyle::plain(), date: self.date(), nulls: self.nulls.clone().unwrap_or_default() }
    }

    /// What contradicts itself in these settings, as a phrase; `None` if nothing does.
    pub fn contradiction(&self) -> Option<String> {
        let csv = self.csv("");
        let marks = &csv.text.numbers;
        if (marks.decimal == ',' && marks.thousands == Thousands::Comma)
            || (marks.decimal == '.' && marks.thousands == Thousands::Point)
        {
            return Some(format!("`{}` is said to be both the decimal mark and the thousands mark", marks.decimal));
        }
        if csv.quote == Some(csv.delimiter) {
            return Some("the delimiter and the quote are the same character".to_owned());
        }
        None
    }

    fn date(&self) -> DatePattern {
        let preset = self.preset.and_then(|Preset::ExcelRu| DatePattern::parse("dd.mm.yyyy").ok());
        self.date.clone().or(preset).unwrap_or_else(DatePattern::iso)
    }
}

impl DecimalMark {
    fn mark(self) -> char {
        match self {
            Self::Point => '.',
            Self::Comma => ',',
        }
    }
}

impl TryFrom<String> for Delimiter {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.as_bytes() {
            _ if text == "tab" => Ok(Self(b'\t')),
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(Self(*byte)),
            _ => Err(format!("`{text}` is not one ASCII character (or `tab`)")),
        }
    }
}

impl TryFrom<String> for Quote {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.as_bytes() {
            _ if text == "none" => Ok(Self(None)),
            [byte] if byte.is_ascii_punctuation() => Ok(Self(Some(*byte))),
            _ => Err(format!("`{text}` is not one punctuation character (or `none`)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(json: &str) -> Format {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_preset_gives_way_to_what_stands_beside_it() {
        let style = format(r#"{"preset":"excel_ru","encoding":"utf-8"}"#).csv("x.csv");
        assert_eq!((style.delimiter, style.encoding, style.text.numbers.decimal), (b';', Encoding::Utf8, ','));
        assert_eq!(style.text.date, DatePattern::parse("dd.mm.yyyy").unwrap());
    }

    #[test]
    fn a_source_overrides_its_connection_setting_by_setting() {
        let merged = format(r#"{"delimiter":"tab"}"#).or(&format(r#"{"delimiter":";","nulls":["-"]}"#));
        assert_eq!(merged, format(r#"{"delimiter":"tab","nulls":["-"]}"#));
    }

    #[test]
    fn extensions_say_the_format() {
        for (name, kind) in
            [("a.CSV", Some(Kind::Csv)), ("a.b.ndjson", Some(Kind::Jsonl)), ("csv", None), ("a.xlsx", None)]
        {
            assert_eq!(Kind::of_name(name), kind);
        }
    }

    #[test]
    fn the_list_of_names_is_complete() {
        let schema = schemars::schema_for!(Format);
        let names: Vec<&str> =
            schema.get("properties").unwrap().as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, Format::KEYS);
    }

    #[test]
    fn contradictions_are_seen() {
        assert!(format(r#"{"decimal":",","thousands":","}"#).contradiction().is_some());
        assert!(format(r#"{"delimiter":"\""}"#).contradiction().is_some());
        assert!(format(r#"{"preset":"excel_ru"}"#).contradiction().is_none());
    }
}
