//! Bytes ⇄ text, strictly: a byte that means nothing is a mistake, never U+FFFD.

use std::borrow::Cow;
use std::io::{self, Read};

/// How text is stored as bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
pub enum Encoding {
    /// UTF-8. A byte order mark at the beginning is skipped, none is written.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-8, written with a byte order mark so that spreadsheets recognise it. Read like `utf-8`.
    #[serde(rename = "utf-8-bom")]
    Utf8Bom,
    /// Windows-1251: what Russian Windows programs write.
    #[serde(rename = "windows-1251")]
    Windows1251,
    /// Code page 866: what Russian DOS programs write.
    #[serde(rename = "cp866")]
    Cp866,
    /// UTF-16; the byte order mark at the beginning says which order, without one the low byte comes first. Only read.
    #[serde(rename = "utf-16")]
    Utf16,
}

/// The byte order mark of UTF-8.
const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

impl Encoding {
    /// The word an analyst writes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf8Bom => "utf-8-bom",
            Self::Windows1251 => "windows-1251",
            Self::Cp866 => "cp866",
            Self::Utf16 => "utf-16",
        }
    }

    /// Reads bytes as text. Bytes of UTF-16 have passed [`transcode`](Self::transcode) before.
    ///
    /// # Errors
    /// The offset of the first byte that means nothing.
    pub fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>, usize> {
        match self {
            Self::Utf8 | Self::Utf8Bom | Self::Utf16 => {
                std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| error.valid_up_to())
            }
            // 0x98 is the one hole of the code page; encoding_rs gives it a control character as browsers do.
            Self::Windows1251 => match bytes.iter().position(|byte| *byte == 0x98) {
                Some(at) => Err(at),
                None => single_byte(encoding_rs::WINDOWS_1251, bytes),
            },
            Self::Cp866 => single_byte(encoding_rs::IBM866, bytes),
        }
    }

    /// Writes text as bytes.
    ///
    /// # Errors
    /// The first character that cannot be written.
    pub fn encode(self, text: &str) -> Result<Cow<'_, [u8]>, char> {
        let table = match self {
            Self::Utf8 | Self::Utf8Bom | Self::Utf16 => return Ok(Cow::Borrowed(text.as_bytes())),
            Self::Windows1251 => encoding_rs::WINDOWS_1251,
            Self::Cp866 => encoding_rs::IBM866,
        };
        let (bytes, _, unmappable) = table.encode(text);
        if !unmappable && !text.contains('\u{98}') {
            return Ok(bytes);
        }
        let lost = |mark: &char| *mark == '\u{98}' || table.encode(mark.encode_utf8(&mut [0; 4])).2;
        Err(text.chars().find(lost).unwrap_or('\u{98}'))
    }

    /// What a file in this encoding begins with when it is written.
    pub fn prologue(self) -> &'static [u8] {
        if self == Self::Utf8Bom { &BOM } else { &[] }
    }

    /// How many characters some bytes are, for counting columns.
    pub fn count_chars(self, bytes: &[u8]) -> usize {
        match self {
            Self::Windows1251 | Self::Cp866 => bytes.len(),
            _ => bytes.iter().filter(|byte| **byte & 0xC0 != 0x80).count(),
        }
    }

    /// Takes the byte order mark off a stream and makes its bytes ASCII-compatible (UTF-16 becomes UTF-8).
    ///
    /// # Errors
    /// Those of the input; `InvalidData` when the mark is of another encoding than this one.
    pub fn transcode(self, mut input: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        let start = read_up_to(&mut input, 3)?;
        let found = match start.as_slice() {
            [0xEF, 0xBB, 0xBF] => Some(("utf-8", 3)),
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Some(("utf-16", 2)),
            _ => None,
        };
        let own = if self == Self::Utf8Bom { "utf-8" } else { self.name() };
        if let Some((found, _)) = found.filter(|(found, _)| *found != own) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "the file begins with the byte order mark of {found}, but it is read as {own}: say `encoding: {found}`"
                ),
            ));
        }
        let big = start.starts_with(&[0xFE, 0xFF]);
        let rest = start.get(found.map_or(0, |(_, length)| length)..).unwrap_or(&[]).to_vec();
        let input = io::Cursor::new(rest).chain(input);
        Ok(if self == Self::Utf16 { Box::new(Utf16::new(input, big)) } else { Box::new(input) })
    }
}

fn single_byte<'a>(table: &'static encoding_rs::Encoding, bytes: &'a [u8]) -> Result<Cow<'a, str>, usize> {
    let undecodable = |byte: &u8| table.decode_without_bom_handling_and_without_replacement(&[*byte]).is_none();
    table
        .decode_without_bom_handling_and_without_replacement(bytes)
        .ok_or_else(|| bytes.iter().position(undecodable).unwrap_or(0))
}

fn read_up_to(input: &mut impl Read, count: u64) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    input.by_ref().take(count).read_to_end(&mut start)?;
    Ok(start)
}

/// UTF-16 → UTF-8 on the way. A half of a pair without the other becomes the byte 0xFF, which UTF-8
/// does not know, so that the row it stands in is found to be broken and no other.
struct Utf16<R> {
    input: R,
    big: bool,
    /// Bytes read and not yet decoded: a unit or a pair that is not complete.
    rest: Vec<u8>,
    ready: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl<R: Read> Utf16<R> {
    fn new(input: R, big: bool) -> Self {
        Self { input, big, rest: Vec::new(), ready: Vec::new(), taken: 0, ended: false }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.taken = 0;
        while self.ready.is_empty() && !self.ended {
            let before = self.rest.len();
            self.rest.resize(before + 16_384, 0);
            let count = self.input.read(self.rest.get_mut(before..).unwrap_or(&mut []))?;
            self.rest.truncate(before + count);
            self.ended = count == 0;
            self.decode();
        }
        Ok(())
    }

    fn decode(&mut self) {
        let (pairs, odd) = self.rest.as_chunks::<2>();
        let read = if self.big { u16::from_be_bytes } else { u16::from_le_bytes };
        let mut units: Vec<u16> = pairs.iter().map(|pair| read(*pair)).collect();
        let mut rest = Vec::new();
        if !self.ended {
            // The first half of a pair may have its other half in the next piece.
            if let Some(unit) = units.pop_if(|unit| (0xD800..0xDC00).contains(unit)) {
                rest.extend(if self.big { unit.to_be_bytes() } else { unit.to_le_bytes() });
            }
        }
        rest.extend(odd);
        for unit in char::decode_utf16(units) {
            match unit {
                Ok(mark) => self.ready.extend(mark.encode_utf8(&mut [0; 4]).as_bytes()),
                Err(_) => self.ready.push(0xFF),
            }
        }
        if self.ended && !rest.is_empty() {
            self.ready.push(0xFF);
            rest.clear();
        }
        self.rest = rest;
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.ready.len() {
            self.fill()?;
        }
        let ready = self.ready.get(self.taken..).unwrap_or(&[]);
        let count = ready.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), ready.get(..count)) {
            to.copy_from_slice(from);
        }
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(encoding: Encoding, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        encoding.transcode(io::Cursor::new(bytes.to_vec()))?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn what_means_nothing_is_never_replaced() {
        assert_eq!(Encoding::Utf8.decode(b"ab\xFFc"), Err(2));
        assert_eq!(Encoding::Windows1251.decode(b"a\x98"), Err(1));
        assert_eq!(Encoding::Windows1251.decode(b"\xcf\xf0\xe8\xa0").as_deref(), Ok("При\u{a0}"));
        assert_eq!(Encoding::Cp866.decode(b"\x8f\xe0\xa8").as_deref(), Ok("При"));
        assert_eq!(Encoding::Windows1251.encode("цена ☃").map(Cow::into_owned), Err('☃'));
    }

    #[test]
    fn byte_order_marks_are_taken_off_or_refused() {
        assert_eq!(read_all(Encoding::Utf8, b"\xEF\xBB\xBFid").unwrap(), b"id");
        assert_eq!(read_all(Encoding::Utf8, b"").unwrap(), b"");
        assert!(read_all(Encoding::Windows1251, b"\xEF\xBB\xBFid").is_err());
        assert!(read_all(Encoding::Utf8, b"\xFF\xFEi\0").is_err());
    }

    #[test]
    fn utf_16_is_read_in_both_orders_and_its_broken_halves_are_seen() {
        let text = "Имя;😀\r\nх;y";
        let little: Vec<u8> = [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let big: Vec<u8> = [0xFE, 0xFF].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
        for bytes in [&little, &big, &little[2..].to_vec()] {
            assert_eq!(read_all(Encoding::Utf16, bytes).unwrap(), text.as_bytes());
        }
        assert_eq!(read_all(Encoding::Utf16, &[0xFF, 0xFE, 0x00, 0xD8, b'a', 0]).unwrap(), b"\xFFa");
        assert_eq!(read_all(Encoding::Utf16, &[0xFF, 0xFE, b'a', 0, b'b']).unwrap(), b"a\xFF");
    }

    proptest::proptest! {
        #[test]
        fn single_bytes_survive_both_ways(bytes: Vec<u8>) {
            for encoding in [Encoding::Windows1251, Encoding::Cp866] {
                if let Ok(text) = encoding.decode(&bytes) {
                    let back = encoding.encode(&text).unwrap().into_owned();
                    proptest::prop_assert_eq!(&back, &bytes);
                }
            }
        }
    }
}
