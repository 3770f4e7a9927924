//! One object per line.

use super::object::{Names, Object, ObjectSeed};
use super::place::{Place, Tracked, Tracker};
use obmen_sdk::{Error, Result};
use serde::de::DeserializeSeed as _;
use std::io::BufRead;

/// Bytes of a line at most.
const MAX_LINE: usize = 16 << 20;

/// Hands over the object of every line that is not empty.
pub(super) fn objects(
    mut input: impl BufRead,
    file: &str,
    names: &mut Names,
    take: &mut dyn FnMut(&Object<'_>) -> Result<()>,
) -> Result<()> {
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        number += 1;
        let start = Place { line: number, column: 1 };
        let object = match read_line(&mut input, &mut line).map_err(|error| Error::from(error).with("file", file))? {
            Line::End => return Ok(()),
            Line::TooLong => fault(start, "the line is longer than 16 MiB".to_owned()),
            Line::Whole if line.iter().all(u8::is_ascii_whitespace) => continue,
            Line::Whole => parse(&line, number, names),
        };
        if object.fault.is_some() {
            take(&object)?;
        } else {
            // Places are looked up only for the rare row that is bad: the line is read again with a tracker.
            let find = |index: usize| place_of(&line, number, index, names);
            take(&Object { bytes: line.len(), find_place: Some(&find), ..object })?;
        }
    }
}

/// What the parser says, without the place it counts in bytes.
pub(super) fn phrase(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or("is not JSON").to_owned()
}

fn parse(line: &[u8], number: u64, names: &mut Names) -> Object<'static> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let seed = ObjectSeed { names, tracker: None, start: Place { line: number, column: 1 } };
    match seed.deserialize(&mut json).and_then(|object| json.end().map(|()| object)) {
        Ok(object) => object,
        Err(error) => {
            let before = line.get(..error.column().saturating_sub(1)).unwrap_or(line);
            let column = before.iter().filter(|byte| **byte & 0xC0 != 0x80).count() + 1;
            fault(Place { line: number, column }, format!("the line is not JSON: {}", phrase(&error)))
        }
    }
}

fn place_of(line: &[u8], number: u64, index: usize, names: &Names) -> Place {
    let tracker = Tracker::new();
    let mut json = serde_json::Deserializer::from_reader(Tracked { input: line, tracker: &tracker });
    let start = Place { line: number, column: 1 };
    let seed = ObjectSeed { names: &mut names.same(), tracker: Some(&tracker), start };
    let object = seed.deserialize(&mut json).ok();
    let slot = object.and_then(|object| object.slots.into_iter().nth(index).flatten());
    slot.map_or(start, |slot| Place { line: number, column: slot.place.column })
}

fn fault(place: Place, reason: String) -> Object<'static> {
    Object { slots: Vec::new(), fault: Some((place, reason)), bytes: 0, find_place: None }
}

enum Line {
    Whole,
    TooLong,
    End,
}

/// Reads a line without its end. Of a line that is too long only the beginning is kept.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<Line> {
    let mut any = false;
    let mut too_long = false;
    loop {
        let ready = match input.fill_buf() {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if ready.is_empty() {
            break;
        }
        any = true;
        let end = ready.iter().position(|byte| *byte == b'\n');
        let piece = ready.get(..end.unwrap_or(ready.len())).unwrap_or(&[]);
        too_long |= line.len() + piece.len() > MAX_LINE;
        if !too_long {
            line.extend_from_slice(piece);
        }
        let length = piece.len() + usize::from(end.is_some());
        input.consume(length);
        if end.is_some() {
            break;
        }
    }
    Ok(if too_long {
        Line::TooLong
    } else if any {
        Line::Whole
    } else {
        Line::End
    })
}
