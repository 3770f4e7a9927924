//! Text → tree. The only user of the YAML parser; its events carry byte offsets, so places are exact in any alphabet.
//!
//! What is refused on purpose, each with its own diagnostic: tags, merge keys `<<`, keys that are not texts, directives,
//! a second document, and files that are too large, too deep, or grow too large by aliases. Aliases are resolved here:
//! nobody behind this module knows about them.

mod build;
mod pieces;
mod syntax;

use crate::Node;
use build::Builder;
use granit_parser::{Event, Parser, ScanError, options};
use obmen_diagnostics::{FileId, Problems, Span, code};

/// The largest file that is read, in bytes.
const MAX_BYTES: usize = 16 << 20;
/// The deepest nesting, aliases included.
const MAX_DEPTH: usize = 64;
/// The most nodes aliases may add to a file.
const MAX_ALIASED_NODES: usize = 100_000;

/// Reads the one YAML document of a file as a tree with places. An empty file is `Null`.
///
/// Mistakes that leave the tree whole (a key given twice, a tag) are reported and the tree is returned all the same, so
/// that the mistakes inside it can be reported too; `None` means that there is no tree to look at. Never panics, whatever
/// the text.
pub fn parse(file: FileId, text: &str, problems: &mut Problems) -> Option<Node> {
    if text.len() > MAX_BYTES {
        let span = Span::new(file, 0..0);
        let message = format!("the file has {} bytes, at most {MAX_BYTES} are read", text.len());
        problems.error(code::YAML_LIMIT, span, message).help("split it, or move data into a file of its own");
        return None;
    }
    let options = options! {
        disallow_directives: true,
        emit_comments: false,
        emit_unresolved_aliases: true,
        emit_anchor_events: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder::new(file, text);
    let mut documents = 0;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, place) = match event {
            Ok(event) => event,
            Err(error) => {
                syntax::report(file, text, &error, problems);
                return None;
            }
        };
        if let Event::DocumentStart(..) = event {
            documents += 1;
            if documents > 1 {
                let span = builder.span(&place);
                problems
                    .error(code::YAML_DOCUMENTS, span, "a second document begins here, expected one per file")
                    .help("put it into a file of its own");
                break;
            }
        }
        builder.event(event, &place, problems)?;
    }
    Some(builder.finish())
}

/// The byte an error of the parser points at, on a character boundary of `text`.
fn offset_of(text: &str, error: &ScanError) -> usize {
    let marker = error.marker();
    let mut at = marker
        .byte_offset()
        .unwrap_or_else(|| text.char_indices().nth(marker.index()).map_or(text.len(), |(at, _)| at));
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
