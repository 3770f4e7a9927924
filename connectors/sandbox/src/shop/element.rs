//! XML of any size, one element at a time.

use encoding_rs::{Decoder, Encoding, UTF_8};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// How deep elements may nest inside one item.
const DEPTH: usize = 64;

/// How much text one item may hold, in bytes.
const ITEM_LIMIT: usize = 64 << 20;

/// A small tree: one product, one offer, one group with what is inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// The local name.
    pub(crate) name: String,
    /// Attributes by local name.
    pub(crate) attributes: Vec<(String, String)>,
    /// The text directly inside, trimmed.
    pub(crate) text: String,
    /// The elements directly inside.
    pub(crate) children: Vec<Element>,
}

/// What the reader stands at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// An element begins; its content follows.
    Enter(Element),
    /// An element ends.
    Leave,
    /// The document ends, well-formed.
    End,
}

/// A document being read.
pub(crate) struct Document {
    reader: Reader<Box<dyn BufRead>>,
    buffer: Vec<u8>,
    depth: usize,
    begun: bool,
    roots: usize,
}

impl Element {
    /// The first child of a name.
    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of a name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// All `inner` elements of all `outer` children.
    pub(crate) fn nested<'a>(&'a self, outer: &'a str, inner: &'a str) -> impl Iterator<Item = &'a Element> {
        self.all(outer).flat_map(move |element| element.all(inner))
    }

    /// The text of the first child of a name; `None` if there is no such child.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// An attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Document {
    /// Opens a file; its encoding is that of the byte order mark, else of `encoding="…"`, else UTF-8.
    pub(crate) fn open(place: &Path) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(1 << 16, File::open(place)?);
        let head = file.fill_buf()?;
        let (encoding, mark) = match Encoding::for_bom(head) {
            Some((encoding, mark)) => (encoding, mark),
            None => (declared(head), 0),
        };
        file.consume(mark);
        let bytes: Box<dyn BufRead> = if encoding == UTF_8 {
            Box::new(file)
        } else {
            let decoder = encoding.new_decoder_without_bom_handling();
            Box::new(BufReader::with_capacity(1 << 16, Transcoder { file, decoder, ready: Vec::new(), ended: false }))
        };
        let mut reader = Reader::from_reader(bytes);
        reader.config_mut().expand_empty_elements = true;
        Ok(Self { reader, buffer: Vec::new(), depth: 0, begun: false, roots: 0 })
    }

    /// The next step between items; text between elements is skipped.
    ///
    /// # Errors
    /// What is not well-formed, and where.
    pub(crate) fn step(&mut self) -> Result<Step, String> {
        loop {
            self.buffer.clear();
            let event = self.reader.read_event_into(&mut self.buffer);
            let event = event.map_err(|error| broken(&error, self.reader.buffer_position()))?;
            let first = !std::mem::replace(&mut self.begun, true);
            match event {
                Event::Start(start) => {
                    let element = start_of(&start)?;
                    if self.depth == 0 {
                        self.roots += 1;
                    }
                    self.depth += 1;
                    if self.roots > 1 {
                        return Err(broken(&"второй корневой элемент", self.reader.buffer_position()));
                    }
                    return Ok(Step::Enter(element));
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Step::Leave);
                }
                // A second declaration is what a chunk sent twice looks like.
                Event::Decl(_) if !first => {
                    return Err(broken(&"объявление XML внутри файла", self.reader.buffer_position()));
                }
                Event::Eof if self.depth > 0 || self.roots == 0 => {
                    return Err(broken(&"файл обрывается", self.reader.buffer_position()));
                }
                Event::Eof => return Ok(Step::End),
                _ => {}
            }
        }
    }

    /// Reads the element just entered to its end.
    ///
    /// # Errors
    /// What is not well-formed, and where; an item that is too deep or too large.
    pub(crate) fn whole(&mut self, entered: Element) -> Result<Element, String> {
        let mut open = vec![entered];
        let mut size = 0_usize;
        loop {
            self.buffer.clear();
            let event = self.reader.read_event_into(&mut self.buffer);
            let at = self.reader.buffer_position();
            let text = match event.map_err(|error| broken(&error, at))? {
                Event::Start(start) => {
                    if open.len() >= DEPTH {
                        return Err(broken(&"слишком глубокая вложенность", at));
                    }
                    open.push(start_of(&start)?);
                    String::new()
                }
                Event::End(_) => {
                    let Some(mut closed) = open.pop() else {
                        return Err(broken(&"лишний закрывающий элемент", at));
                    };
                    closed.text = closed.text.trim().into();
                    let Some(parent) = open.last_mut() else {
                        self.depth = self.depth.saturating_sub(1);
                        return Ok(closed);
                    };
                    parent.children.push(closed);
                    String::new()
                }
                Event::Text(text) => text.xml10_content().into_owned(),
                Event::CData(text) => text.xml10_content().into_owned(),
                Event::GeneralRef(reference) => {
                    let name = reference.xml10_content().into_owned();
                    let character = reference.resolve_char_ref().map_err(|error| broken(&error, at))?;
                    match character {
                        Some(character) => character.to_string(),
                        None => quick_xml::escape::resolve_predefined_entity(&name)
                            .ok_or_else(|| broken(&format!("неизвестная сущность &{name};"), at))?
                            .to_owned(),
                    }
                }
                Event::Eof => return Err(broken(&"файл обрывается", at)),
                Event::Decl(_) => return Err(broken(&"объявление XML внутри файла", at)),
                _ => String::new(),
            };
            size += text.len() + 16;
            if size > ITEM_LIMIT {
                return Err(broken(&"слишком большой элемент", at));
            }
            if let Some(current) = open.last_mut() {
                current.text.push_str(&text);
            }
        }
    }
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document").field("depth", &self.depth).finish_non_exhaustive()
    }
}

fn start_of(start: &BytesStart<'_>) -> Result<Element, String> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|error| error.to_string())?;
        attributes.push((attribute.key.local_name().into_inner().to_owned(), value.into_owned()));
    }
    let name = start.local_name().into_inner().to_owned();
    Ok(Element { name, attributes, text: String::new(), children: Vec::new() })
}

fn broken(what: &dyn std::fmt::Display, at: u64) -> String {
    format!("Ошибка чтения XML (байт {at}): {what}")
}

/// The encoding of `encoding="…"`, which Bitrix finds in double quotes only (`commerceml.md` §1.6).
fn declared(head: &[u8]) -> &'static Encoding {
    let head = String::from_utf8_lossy(head.get(..head.len().min(200)).unwrap_or(head));
    let declaration = head.split("?>").next().unwrap_or("");
    let label = declaration.split("encoding=\"").nth(1).and_then(|rest| rest.split('"').next());
    label.and_then(|label| Encoding::for_label(label.as_bytes())).unwrap_or(UTF_8)
}

/// Turns an 8-bit file into UTF-8 while it is read.
struct Transcoder {
    file: BufReader<File>,
    decoder: Decoder,
    ready: Vec<u8>,
    ended: bool,
}

impl Read for Transcoder {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() && !self.ended {
            let bytes = self.file.fill_buf()?;
            self.ended = bytes.is_empty();
            let room = self.decoder.max_utf8_buffer_length(bytes.len()).unwrap_or(bytes.len() * 3);
            let mut text = String::with_capacity(room);
            let (_, read, _) = self.decoder.decode_to_string(bytes, &mut text, self.ended);
            self.file.consume(read);
            self.ready = text.into_bytes();
        }
        let taken = self.ready.len().min(out.len());
        for (place, byte) in out.iter_mut().zip(self.ready.drain(..taken)) {
            *place = byte;
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(bytes: &[u8]) -> (tempfile::TempDir, Document) {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("x.xml");
        std::fs::write(&place, bytes).unwrap();
        let document = Document::open(&place).unwrap();
        (folder, document)
    }

    fn root(bytes: &[u8]) -> Result<Element, String> {
        let (_folder, mut document) = open(bytes);
        let Step::Enter(entered) = document.step()? else { return Err("no root".to_owned()) };
        let element = document.whole(entered)?;
        match document.step()? {
            Step::End => Ok(element),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn reads_a_mark_namespaces_entities_and_cdata() {
        let text = "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<x:А xmlns:x='u' б='1 &amp; 2'> В &lt;&#1075;&gt;<![CDATA[<д>]]><Е/></x:А>";
        let element = root(text.as_bytes()).unwrap();
        assert_eq!((element.name.as_str(), element.attribute("б")), ("А", Some("1 & 2")));
        assert_eq!(element.text, "В <г><д>");
        assert!(element.child("Е").is_some());
    }

    #[test]
    fn reads_windows_1251_by_its_declaration() {
        let text = "<?xml version=\"1.0\" encoding=\"windows-1251\"?><Товар>Болт М8</Товар>";
        let (bytes, _, _) = encoding_rs::WINDOWS_1251.encode(text);
        assert_eq!(root(&bytes).unwrap().text, "Болт М8");
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for bad in ["", "<А><Б></А>", "<А>", "<А/><А/>", "<А>&x;</А>", "<А/><?xml version=\"1.0\"?>", "<А б=1/>"]
        {
            assert!(root(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(root(b"<A>\xd0</A>").is_err());
    }
}
