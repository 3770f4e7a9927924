//! Bytes of a file → UTF-8, decided by the bytes first and by the XML declaration second.
//!
//! A BOM means UTF-8. Without one, bytes that are valid UTF-8 win over the declaration (files that
//! somebody re-encoded and left the old declaration in do occur); otherwise the declared 8-bit
//! encoding is used, and windows-1251 where the declaration says nothing usable. The decision is
//! taken on the first kilobytes: the root element of CommerceML is Cyrillic, so they always show it.

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, WINDOWS_1251};
use std::io::{self, BufRead, Read};

/// Bytes looked at before the encoding is decided.
const HEAD: usize = 8192;

/// A reader of UTF-8 over a reader of whatever the file is in. The BOM is left out and the XML
/// declaration is blanked, so that nobody below decides a second time.
pub(super) struct Utf8<R> {
    inner: R,
    /// `None`: the bytes are UTF-8 already and pass through.
    decoder: Option<Decoder>,
    /// UTF-8 that is ready, from `at`.
    ready: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<R: BufRead> Utf8<R> {
    /// Reads the first bytes and decides the encoding.
    pub(super) fn open(mut inner: R) -> io::Result<Self> {
        let mut head = Vec::with_capacity(HEAD);
        inner.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
        if head.starts_with(&[0xFF, 0xFE]) || head.starts_with(&[0xFE, 0xFF]) {
            let reason = "the file is in UTF-16; CommerceML is UTF-8 or windows-1251";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let bom = head.starts_with(&[0xEF, 0xBB, 0xBF]);
        if bom {
            head.drain(..3);
        }
        let declared = blank_declaration(&mut head);
        let mut decoder = decide(bom, &head, declared).map(Encoding::new_decoder_without_bom_handling);
        let mut ready = Vec::new();
        match &mut decoder {
            None => ready = head,
            Some(decoder) => decode(decoder, &head, false, &mut ready),
        }
        Ok(Self { inner, decoder, ready, at: 0, ended: false })
    }
}

/// The encoding to decode from; `None` for UTF-8.
fn decide(bom: bool, head: &[u8], declared: Option<&'static Encoding>) -> Option<&'static Encoding> {
    let utf8 = match std::str::from_utf8(head) {
        Ok(_) => !head.is_ascii() || declared.is_none_or(|declared| declared == UTF_8),
        // A character cut by the end of the head is not an error.
        Err(error) => error.error_len().is_none() && error.valid_up_to() > 0,
    };
    if bom || utf8 {
        return None;
    }
    Some(declared.filter(|declared| declared.is_ascii_compatible() && *declared != UTF_8).unwrap_or(WINDOWS_1251))
}

/// Overwrites `<?xml … ?>` with spaces (places stay what they are) and gives the encoding it names.
fn blank_declaration(head: &mut [u8]) -> Option<&'static Encoding> {
    let start = head.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let rest = head.get_mut(start..)?;
    if !rest.starts_with(b"<?xml") {
        return None;
    }
    let length = rest.windows(2).position(|pair| pair == b"?>")? + 2;
    let declaration = rest.get_mut(..length)?;
    let text = String::from_utf8_lossy(declaration).into_owned();
    for byte in declaration.iter_mut().filter(|byte| !byte.is_ascii_whitespace()) {
        *byte = b' ';
    }
    let (_, after) = text.split_once("encoding")?;
    let after = after.trim_start().strip_prefix('=')?.trim_start();
    let quote = after.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let label = after.trim_start_matches(quote).split(quote).next()?;
    Encoding::for_label(label.as_bytes())
}

/// Decodes into a buffer that serves one piece after another.
fn decode(decoder: &mut Decoder, mut bytes: &[u8], last: bool, into: &mut Vec<u8>) {
    let mut filled = 0;
    loop {
        // A byte becomes at most three.
        into.resize(filled + bytes.len() * 3 + 16, 0);
        let room = into.get_mut(filled..).unwrap_or_default();
        let (result, read, written, _) = decoder.decode_to_utf8(bytes, room, last);
        filled += written;
        bytes = bytes.get(read..).unwrap_or_default();
        if result == CoderResult::InputEmpty {
            into.truncate(filled);
            return;
        }
    }
}

impl<R: BufRead> BufRead for Utf8<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at >= self.ready.len() && !self.ended {
            let Some(decoder) = &mut self.decoder else {
                return self.inner.fill_buf();
            };
            let bytes = self.inner.fill_buf()?;
            let taken = bytes.len();
            self.ended = taken == 0;
            decode(decoder, bytes, self.ended, &mut self.ready);
            self.at = 0;
            self.inner.consume(taken);
        }
        Ok(self.ready.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        if self.at < self.ready.len() {
            self.at += amount;
        } else {
            self.inner.consume(amount);
        }
    }
}

impl<R: BufRead> Read for Utf8<R> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        let mut text = String::new();
        Utf8::open(bytes).unwrap().read_to_string(&mut text).unwrap();
        text.trim().to_owned()
    }

    #[test]
    fn bytes_win_over_the_declaration() {
        let (cp1251, _, _) = WINDOWS_1251.encode("<?xml version=\"1.0\" encoding=\"windows-1251\"?><Ид>Болт №5</Ид>");
        assert_eq!(text(&cp1251), "<Ид>Болт №5</Ид>");
        let (undeclared, _, _) = WINDOWS_1251.encode("<?xml version='1.0' encoding='UTF-8'?><Ид>Болт</Ид>");
        assert_eq!(text(&undeclared), "<Ид>Болт</Ид>");
        assert_eq!(text("<?xml version=\"1.0\" encoding=\"windows-1251\"?><Ид>Болт</Ид>".as_bytes()), "<Ид>Болт</Ид>");
        assert_eq!(text("\u{feff}<?xml version=\"1.0\"?>\n<Ид>Болт</Ид>".as_bytes()), "<Ид>Болт</Ид>");
    }

    #[test]
    fn long_windows_1251_is_decoded_to_the_end() {
        let long = format!("<Ид>{}</Ид>", "Ж".repeat(100_000));
        let (bytes, _, _) = WINDOWS_1251.encode(&long);
        assert_eq!(text(&bytes), long);
    }

    #[test]
    fn a_character_cut_by_the_head_is_still_utf8() {
        for shift in 0..3 {
            let long = format!("<Ид>{}{}</Ид>", "a".repeat(shift), "Ж".repeat(HEAD));
            assert_eq!(text(long.as_bytes()), long);
        }
    }

    #[test]
    fn utf16_is_refused_in_words() {
        assert!(Utf8::open(&[0xFF_u8, 0xFE, 0x3C, 0][..]).is_err_and(|error| error.to_string().contains("UTF-16")));
    }
}
