//! What the YAML parser refuses, in the words of somebody who writes YAML rather than parses it.

use super::{MAX_DEPTH, offset_of};
use granit_parser::{ErrorKind as Kind, ScanError};
use obmen_diagnostics::{Code, FileId, Problems, Span, code};

/// Reports what the parser stopped at.
pub(super) fn report(file: FileId, text: &str, error: &ScanError, problems: &mut Problems) {
    let at = offset_of(text, error);
    let (span, (code, message, help)) = match tab_in_indentation(text, at) {
        Some(tab) if is_layout(error.kind()) => (tab..tab + 1, tab_used()),
        _ => (at..at + text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8), explain(error)),
    };
    let found = problems.error(code, Span::new(file, span), message);
    if let Some(help) = help {
        found.help(help);
    }
}

type Explanation = (Code, String, Option<&'static str>);

fn tab_used() -> Explanation {
    (code::YAML_TAB, "a tab where YAML needs spaces".to_owned(), Some("replace the tab by spaces"))
}

/// Whether the parser may have stumbled over a tab somewhat earlier in the line.
fn is_layout(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::TabNotAllowed
            | Kind::TabInBlockIndentation
            | Kind::TabAtBlockScalarStart
            | Kind::TabInIndentation
            | Kind::TabInPlainScalar
            | Kind::InvalidIndentation
            | Kind::UnexpectedCharacter { character: '\t' }
            | Kind::ExpectedBlockMappingKey
            | Kind::MappingKeyNotAllowed
            | Kind::MappingValueNotAllowed
            | Kind::InvalidBlockScalarIndent
            | Kind::InvalidMappingValueWhitespace
            | Kind::InvalidBlockEntryWhitespace
    )
}

/// The first tab in the indentation of the line that `at` is in, or of the next one: a text may go on there.
fn tab_in_indentation(text: &str, at: usize) -> Option<usize> {
    let mut start = text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    for line in text.get(start..)?.split('\n').take(2) {
        let indentation = line.len() - line.trim_start_matches([' ', '\t', '-']).len();
        if let Some(tab) = line.get(..indentation)?.find('\t') {
            return Some(start + tab);
        }
        start += line.len() + 1;
    }
    None
}

fn explain(error: &ScanError) -> Explanation {
    let say = |message: &str, help: &'static str| (code::YAML_SYNTAX, message.to_owned(), Some(help));
    match error.kind() {
        Kind::TabNotAllowed
        | Kind::TabInBlockIndentation
        | Kind::TabAtBlockScalarStart
        | Kind::TabInIndentation
        | Kind::TabInPlainScalar => tab_used(),
        Kind::RecursionLimitExceeded => (code::YAML_LIMIT, format!("nested more than {MAX_DEPTH} levels deep"), None),
        Kind::MappingValueNotAllowed | Kind::InvalidColonPlacement => {
            say("a second `:` in this line", "put a text that contains `: ` in quotes")
        }
        Kind::MappingKeyNotAllowed | Kind::BlockSequenceEntryNotAllowed => {
            say("a list or mapping cannot begin here", "begin it on a new line, with more spaces than the line above")
        }
        Kind::ExpectedBlockMappingKey | Kind::SimpleKeyExpected | Kind::InvalidSimpleKey => say(
            "expected `key: value` here",
            "give the line the same indentation as its neighbours, and a `:` with a space after the key",
        ),
        Kind::ExpectedBlockSequenceEntry => {
            say("expected `- ` here", "give the line the same indentation as the other entries of the list")
        }
        Kind::InvalidIndentation
        | Kind::InvalidBlockScalarIndent
        | Kind::InvalidQuotedScalarIndent
        | Kind::InvalidFlowScalarIndent => {
            say("the indentation does not fit the lines above", "give lines of one level the same number of spaces")
        }
        Kind::UnclosedQuotedScalar | Kind::DocumentIndicatorInQuotedScalar => {
            say("the quote that begins here has no end", "close the quote")
        }
        Kind::InvalidTrailingSingleQuotedScalar => {
            say("something follows the closing quote", "write a quote inside single quotes twice: `'it''s'`")
        }
        Kind::InvalidTrailingDoubleQuotedScalar => {
            say("something follows the closing quote", "write a quote inside double quotes as `\\\"`")
        }
        Kind::UnknownQuotedScalarEscape => {
            say("an unknown escape in double quotes", "use single quotes, where `\\` has no meaning")
        }
        Kind::UnclosedFlowCollection { open } => {
            (code::YAML_SYNTAX, format!("the bracket `{open}` has no end"), Some("close the bracket"))
        }
        Kind::MismatchedFlowCollectionEnd { open, close } => (
            code::YAML_SYNTAX,
            format!("the bracket `{open}` is closed by `{close}`"),
            Some("close brackets in the order they were opened"),
        ),
        Kind::MisplacedFlowCollectionEnd => say("a closing bracket without an opening one", "remove it"),
        Kind::ExpectedFlowMappingSeparator => {
            say("expected `,` or `}`", "put a text with `,`, `{` or `}` in quotes, or close the bracket")
        }
        Kind::ExpectedFlowSequenceSeparator => {
            say("expected `,` or `]`", "put a text with `,`, `[` or `]` in quotes, or close the bracket")
        }
        Kind::UnexpectedCharacter { character } => (
            code::YAML_SYNTAX,
            format!("nothing can begin with `{}`", character.escape_default()),
            Some("put the text in quotes"),
        ),
        Kind::DirectiveDisallowed => say(
            "a text that begins with `%` is a directive, and there are none",
            "remove the line, or put the text in quotes",
        ),
        Kind::BomInsideDocument => {
            say("an invisible byte order mark inside the file", "delete it: two files were probably joined")
        }
        Kind::CommentInterceptedScalar => {
            say("a comment inside a text of several lines", "begin the text with `|`, or move the comment above it")
        }
        Kind::CommentNotSeparated => {
            say("a comment needs a space before its `#`", "add a space, or put the text in quotes")
        }
        kind => (code::YAML_SYNTAX, format!("not YAML: {kind}"), None),
    }
}
