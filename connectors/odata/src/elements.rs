//! Cuts the rows out of a JSON answer while it is still coming.
//!
//! ```text
//! {"odata.metadata":"…","value":[{…},{…},{…}]}
//!  └── skipped ──────┘           └─┬─┘ each handed over as soon as it is complete
//! ```
//!
//! Only the frame is understood here; what is inside a row is read by `serde_json` afterwards.

/// Why an answer is not a list of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// It starts with `<`: a web page or XML.
    Markup,
    /// It ended too early.
    Truncated,
    /// It holds an `odata.error` instead of rows.
    Refusal,
    /// It is something else; a phrase says what.
    Wrong(&'static str),
}

/// The longest name at the top of an answer that matters: `odata.error`.
const LONGEST_NAME: usize = 32;
/// How much of the answer is kept for the text of an error.
const HEAD: usize = 4096;
/// The largest row; the largest one measured on a live base had 6 MB.
const ROW_BYTES: usize = 64 << 20;
const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// The frame of an answer, read byte by byte across any division into pieces.
#[derive(Debug, Default)]
pub(crate) struct Elements {
    stage: Stage,
    name: Vec<u8>,
    inside: Nesting,
    part: Vec<u8>,
    head: Vec<u8>,
    bom: usize,
    rows: bool,
    refusal: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Before the first brace.
    #[default]
    Start,
    /// A name or the end of the frame comes next.
    Name,
    InName,
    Colon,
    Value,
    /// Inside a value that nobody wants.
    Skipped,
    /// Between the rows.
    List,
    /// Inside a row.
    Element,
    /// After the last brace.
    End,
}

/// How deep inside a value we are.
#[derive(Clone, Copy, Debug, Default)]
struct Nesting {
    depth: usize,
    text: bool,
    escaped: bool,
}

impl Nesting {
    /// Takes a byte of the value.
    fn step(&mut self, byte: u8) {
        if self.text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.text = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => self.text = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    /// Whether a byte that is still to come ends a value: a comma or bracket of the frame.
    fn ends(&self, byte: u8) -> bool {
        !self.text && self.depth == 0 && matches!(byte, b',' | b'}' | b']')
    }
}

impl Elements {
    /// Takes the next piece of the answer and hands over every row that is complete with it.
    ///
    /// # Errors
    /// What the answer is instead of rows.
    pub(crate) fn feed(&mut self, piece: &[u8], mut row: impl FnMut(&[u8])) -> Result<(), Shape> {
        let room = HEAD.saturating_sub(self.head.len()).min(piece.len());
        self.head.extend_from_slice(piece.get(..room).unwrap_or_default());
        let mut start = 0;
        for (at, byte) in piece.iter().copied().enumerate() {
            match self.stage {
                Stage::Element if self.inside.ends(byte) => {
                    let rest = piece.get(start..at).unwrap_or_default();
                    if self.part.is_empty() {
                        row(rest);
                    } else {
                        self.part.extend_from_slice(rest);
                        row(&self.part);
                        self.part.clear();
                    }
                    self.stage = Stage::List;
                    self.list(byte)?;
                }
                Stage::Element => self.inside.step(byte),
                Stage::List => {
                    self.list(byte)?;
                    start = at;
                }
                _ => self.frame(byte)?,
            }
        }
        if self.stage == Stage::Element {
            self.part.extend_from_slice(piece.get(start..).unwrap_or_default());
            if self.part.len() > ROW_BYTES {
                return Err(Shape::Wrong("one of its rows is larger than 64 MB"));
            }
        }
        Ok(())
    }

    /// The answer ended: whether it was complete.
    ///
    /// # Errors
    /// What the answer is instead of rows.
    pub(crate) fn finish(&self) -> Result<(), Shape> {
        match self.stage {
            Stage::End if self.refusal => Err(Shape::Refusal),
            Stage::End if self.rows => Ok(()),
            Stage::End => Err(Shape::Wrong("it has no list `value`")),
            _ => Err(Shape::Truncated),
        }
    }

    /// The beginning of the answer, for the text of an error.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Between rows: a comma, the end, or the first byte of a row.
    fn list(&mut self, byte: u8) -> Result<(), Shape> {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {}
            b']' => self.stage = Stage::Name,
            b'}' | b':' => return Err(Shape::Wrong("its list `value` is broken")),
            _ => {
                self.stage = Stage::Element;
                self.inside = Nesting::default();
                self.inside.step(byte);
            }
        }
        Ok(())
    }

    /// Everything outside the list.
    fn frame(&mut self, byte: u8) -> Result<(), Shape> {
        let blank = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match self.stage {
            Stage::InName => match byte {
                b'"' => self.stage = Stage::Colon,
                _ if self.name.len() < LONGEST_NAME => self.name.push(byte),
                _ => {}
            },
            Stage::Skipped if self.inside.ends(byte) => {
                self.stage = if byte == b'}' { Stage::End } else { Stage::Name };
            }
            Stage::Skipped => self.inside.step(byte),
            _ if blank => {}
            Stage::Start => return self.start(byte),
            Stage::Name => match byte {
                b'"' => {
                    self.name.clear();
                    self.stage = Stage::InName;
                }
                b',' => {}
                b'}' => self.stage = Stage::End,
                _ => return Err(Shape::Wrong("it is not JSON")),
            },
            Stage::Colon if byte == b':' => self.stage = Stage::Value,
            Stage::Value => return self.value(byte),
            _ => return Err(Shape::Wrong("it is not JSON")),
        }
        Ok(())
    }

    fn start(&mut self, byte: u8) -> Result<(), Shape> {
        match byte {
            b'{' => self.stage = Stage::Name,
            b'<' => return Err(Shape::Markup),
            _ if BOM.get(self.bom) == Some(&byte) => self.bom += 1,
            _ => return Err(Shape::Wrong("it is not a JSON object")),
        }
        Ok(())
    }

    /// The first byte of a value.
    fn value(&mut self, byte: u8) -> Result<(), Shape> {
        if self.name == b"value" {
            if byte != b'[' || self.rows {
                return Err(Shape::Wrong("its `value` is not one list"));
            }
            self.rows = true;
            self.stage = Stage::List;
            return Ok(());
        }
        self.refusal |= self.name == b"odata.error";
        self.stage = Stage::Skipped;
        self.inside = Nesting::default();
        self.inside.step(byte);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// Feeds a text in pieces of a length and gives the rows.
    fn cut(text: &[u8], length: usize) -> Result<Vec<String>, Shape> {
        let mut elements = Elements::default();
        let mut rows = Vec::new();
        for piece in text.chunks(length.max(1)) {
            elements.feed(piece, |row| rows.push(String::from_utf8(row.to_vec()).unwrap().trim().to_owned()))?;
        }
        elements.finish()?;
        Ok(rows)
    }

    #[test]
    fn rows_are_the_same_however_the_answer_is_divided() {
        let text = "\u{feff} {\"odata.metadata\" : \"http://h/\\\"}],{\", \"x\":{\"value\":[1]}, \"n\":null, \"value\" : [ {\"a\":\"]},{\\\\\"} ,\n{\"b\":[{},[]]}, 7, \"s,]\" ] , \"odata.count\":\"2\"}  \n";
        let expected = ["{\"a\":\"]},{\\\\\"}", "{\"b\":[{},[]]}", "7", "\"s,]\""];
        for length in 1..text.len() {
            assert_eq!(cut(text.as_bytes(), length).unwrap(), expected, "pieces of {length}");
        }
    }

    #[test]
    fn an_empty_list_has_no_rows() {
        assert_eq!(cut(br#"{"value":[]}"#, 3).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn other_answers_say_what_they_are() {
        let cases: [(&[u8], Shape); 8] = [
            (b" <!DOCTYPE html><html>", Shape::Markup),
            (b"", Shape::Truncated),
            (br#"{"value":[{"a":1},{"b""#, Shape::Truncated),
            (br#"{"value":[{"a":1}]"#, Shape::Truncated),
            (br#"{"odata.error":{"code":"9"}}"#, Shape::Refusal),
            (br#"{"Ref_Key":"1"}"#, Shape::Wrong("it has no list `value`")),
            (br#"{"value":{"a":1}}"#, Shape::Wrong("its `value` is not one list")),
            (b"[1]", Shape::Wrong("it is not a JSON object")),
        ];
        for (text, shape) in cases {
            assert_eq!(cut(text, 5).unwrap_err(), shape, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn every_cut_off_answer_is_seen_to_be_cut_off() {
        let text = json!({"odata.metadata": "http://h", "value": [{"a": 1}, {"b": "x}"}]}).to_string();
        for end in 0..text.len() {
            assert_eq!(cut(&text.as_bytes()[..end], 7).unwrap_err(), Shape::Truncated, "{end}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn rows_are_what_a_whole_parser_finds(rows in prop::collection::vec(any_json(), 0..6), other in any_json(), length in 1usize..40) {
            let text = json!({"odata.metadata": other, "value": rows, "odata.nextLink": other}).to_string();
            let found: Vec<Value> =
                cut(text.as_bytes(), length).unwrap().iter().map(|row| serde_json::from_str(row).unwrap()).collect();
            prop_assert_eq!(found, rows);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), length in 1usize..20) {
            let mut elements = Elements::default();
            for piece in bytes.chunks(length) {
                if elements.feed(piece, |_| ()).is_err() { break; }
            }
        }
    }
}
