//! XML as a stream of elements with places; a DTD, foreign entities and boundless texts are refused.

use super::encoding::Utf8;
use super::tree::Item;
use obmen_sdk::{Error, Result};
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, Read};

/// The longest single piece of markup or text.
const MAX_PIECE: usize = 16 << 20;

/// The most one element that is looked at as a whole (an item, a group with its subgroups) may hold.
const MAX_TREE: usize = 128 << 20;

/// The deepest nesting.
const MAX_DEPTH: usize = 256;

/// A line and a column in characters, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    line: u64,
    column: u64,
}

/// The opening tag of an element.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// The name without a namespace prefix.
    pub(super) name: String,
    /// Attributes: names without a prefix, values without escapes.
    pub(super) attributes: Vec<(String, String)>,
    /// Where the tag begins.
    pub(super) place: Place,
}

/// A piece of a file, as it lies in the buffer.
enum Token<'a> {
    Open(BytesStart<'a>, Place),
    /// A text, or something that says nothing: a comment.
    Text(Cow<'a, str>),
    Close,
    End,
}

/// A file that is being read.
pub(super) struct Xml<R: BufRead> {
    reader: Reader<Counted<Utf8<R>>>,
    piece: Vec<u8>,
    depth: usize,
    file: String,
}

impl<R: BufRead> Xml<R> {
    /// Starts reading; `file` is what places are called by.
    pub(super) fn open(file: &str, input: R) -> Result<Self> {
        let utf8 = Utf8::open(input).map_err(|error| Error::from(error).with("file", file))?;
        let counted = Counted { inner: utf8, place: Place { line: 1, column: 1 }, piece: 0 };
        let mut reader = Reader::from_reader(counted);
        reader.config_mut().expand_empty_elements = true;
        Ok(Self { reader, piece: Vec::new(), depth: 0, file: file.to_owned() })
    }

    /// Reads the opening tag of the root element.
    pub(super) fn root(&mut self) -> Result<Element> {
        loop {
            match self.next()? {
                Token::Open(start, place) => {
                    let mut element = Element::default();
                    let read = element.read(&start, place);
                    return read.map(|()| element).map_err(|reason| self.fail(place, reason));
                }
                Token::Text(text) if text.trim().is_empty() => {}
                Token::Text(_) | Token::Close => return Err(self.fail(self.here(), "this is not XML")),
                Token::End => return Err(self.fail(self.here(), "the file is empty")),
            }
        }
    }

    /// Visits the elements inside the one that was opened last, and reads its closing tag. What a
    /// visit leaves unread is skipped.
    pub(super) fn children(&mut self, visit: &mut dyn FnMut(&mut Self, &Element) -> Result<()>) -> Result<()> {
        let mut element = Element::default();
        loop {
            match self.next()? {
                Token::Open(start, place) => {
                    let read = element.read(&start, place);
                    read.map_err(|reason| self.fail(place, reason))?;
                    let inside = self.depth;
                    visit(self, &element)?;
                    self.leave(inside)?;
                }
                Token::Text(_) => {}
                Token::Close => return Ok(()),
                Token::End => return Err(self.cut_off()),
            }
        }
    }

    /// Reads the rest of an element as a whole.
    pub(super) fn item(&mut self, element: &Element, item: &mut Item) -> Result<()> {
        item.clear();
        item.open(&element.name, element.place);
        element.attributes.iter().for_each(|(name, value)| item.attribute(name, value));
        loop {
            match self.next()? {
                Token::Open(start, place) => {
                    item.open(start.local_name().as_ref(), place);
                    let read = attributes(&start, |name, value| item.attribute(name, &value));
                    read.map_err(|reason| self.fail(place, reason))?;
                }
                Token::Text(text) => item.text(&text),
                Token::Close if item.close() => return Ok(()),
                Token::Close => {}
                Token::End => return Err(self.cut_off()),
            }
            if item.size() > MAX_TREE {
                let reason = format!("`{}` is longer than {} MB", element.name, MAX_TREE >> 20);
                return Err(self.fail(element.place, reason));
            }
        }
    }

    /// Reads to the end of the file: nothing but space may stand there.
    pub(super) fn end(&mut self) -> Result<()> {
        loop {
            match self.next()? {
                Token::End => return Ok(()),
                Token::Text(text) if text.trim().is_empty() => {}
                _ => return Err(self.fail(self.here(), "something stands after the end of the document")),
            }
        }
    }

    /// An error at a place.
    pub(super) fn fail(&self, place: Place, reason: impl fmt::Display) -> Error {
        Error::invalid_data(format!("{}:{place}: {reason}", self.file))
    }

    fn cut_off(&self) -> Error {
        self.fail(self.here(), "the file ends in the middle: an element is not closed")
    }

    fn here(&self) -> Place {
        self.reader.get_ref().place
    }

    fn leave(&mut self, depth: usize) -> Result<()> {
        while self.depth >= depth {
            match self.next()? {
                Token::Open(start, place) => {
                    let read = attributes(&start, |_, _| {});
                    read.map_err(|reason| self.fail(place, reason))?;
                }
                Token::Text(_) | Token::Close => {}
                Token::End => return Err(self.cut_off()),
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Token<'_>> {
        let place = self.here();
        self.reader.get_mut().piece = 0;
        self.piece.clear();
        let event = match self.reader.read_event_into(&mut self.piece) {
            Ok(event) => event,
            Err(error) => return Err(broken(&self.file, place, &error)),
        };
        Ok(match event {
            Event::Start(start) | Event::Empty(start) => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(at(&self.file, place, "elements are nested too deeply"));
                }
                Token::Open(start, place)
            }
            Event::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                Token::Close
            }
            Event::Text(text) => Token::Text(text.xml10_content()),
            Event::CData(text) => Token::Text(text.xml10_content()),
            Event::GeneralRef(name) => match name.resolve_char_ref() {
                Ok(Some(character)) => Token::Text(Cow::Owned(character.to_string())),
                Ok(None) => match resolve_predefined_entity(&name) {
                    Some(text) => Token::Text(Cow::Borrowed(text)),
                    None => return Err(at(&self.file, place, format!("unknown entity `&{};`", &*name))),
                },
                Err(error) => return Err(broken(&self.file, place, &error)),
            },
            Event::DocType(_) => return Err(at(&self.file, place, "a document type (DTD) is not accepted")),
            Event::Eof if self.depth > 0 => {
                return Err(at(&self.file, place, "the file ends in the middle: an element is not closed"));
            }
            Event::Eof => Token::End,
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => Token::Text(Cow::Borrowed("")),
        })
    }
}

impl Element {
    /// Becomes another element.
    fn read(&mut self, start: &BytesStart<'_>, place: Place) -> std::result::Result<(), String> {
        self.place = place;
        self.name.clear();
        self.name.push_str(start.local_name().as_ref());
        self.attributes.clear();
        attributes(start, |name, value| self.attributes.push((name.to_owned(), value.into_owned())))
    }
}

/// Goes through the attributes of a tag: names without a prefix, values without escapes.
fn attributes(start: &BytesStart<'_>, mut take: impl FnMut(&str, Cow<'_, str>)) -> std::result::Result<(), String> {
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| format!("the XML is broken: {error}"))?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| format!("the XML is broken: {error}"))?;
        take(attribute.key.local_name().as_ref(), value);
    }
    Ok(())
}

fn at(file: &str, place: Place, reason: impl fmt::Display) -> Error {
    Error::invalid_data(format!("{file}:{place}: {reason}"))
}

fn broken(file: &str, place: Place, error: &quick_xml::Error) -> Error {
    let reason = match error {
        quick_xml::Error::Io(error) => error.to_string(),
        quick_xml::Error::Encoding(_) => "the text is not valid UTF-8".to_owned(),
        other => format!("the XML is broken: {other}"),
    };
    at(file, place, reason)
}

impl Place {
    /// The place after some bytes.
    fn after(self, bytes: &[u8]) -> Self {
        let lines = bytes.iter().filter(|byte| matches!(byte, b'\n')).count();
        let line = bytes.iter().rposition(|byte| *byte == b'\n').filter(|_| lines > 0);
        let (column, rest) = match line {
            Some(end) => (1, bytes.get(end + 1..).unwrap_or_default()),
            None => (self.column, bytes),
        };
        // The bytes after the first of a character do not count.
        let characters = rest.iter().filter(|byte| !matches!(byte, 0x80..=0xBF)).count();
        Self { line: self.line + lines as u64, column: column + characters as u64 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A reader that knows at which line and column it is, and how long the piece under way is.
struct Counted<R> {
    inner: R,
    place: Place,
    piece: usize,
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.piece > MAX_PIECE {
            let reason = format!("one text or tag is longer than {} MB", MAX_PIECE >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Ok(bytes) = self.inner.fill_buf() {
            self.place = self.place.after(bytes.get(..amount).unwrap_or(bytes));
        }
        self.piece += amount;
        self.inner.consume(amount);
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let amount = bytes.len().min(into.len());
        if let (Some(into), Some(bytes)) = (into.get_mut(..amount), bytes.get(..amount)) {
            into.copy_from_slice(bytes);
        }
        self.consume(amount);
        Ok(amount)
    }
}
