//! The pages of codes on a terminal: headings bold, code indented, the words as they are.

use crate::console::{FAINT, STRONG};
use crate::text::put;

/// A page as text with colours.
pub(crate) fn text(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let mut code = false;
    for line in page.lines() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("```") {
            code = !code;
            continue;
        }
        if code {
            put!(text, "    {line}");
        } else if trimmed.starts_with('#') {
            put!(text, "{STRONG}{}{STRONG:#}", trimmed.trim_start_matches('#').trim());
        } else {
            text.push_str(&inline(line));
        }
        text.push('\n');
    }
    text
}

/// A line of prose: `**words**` are bold, links show their words and, faintly, their address.
fn inline(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for (at, part) in line.split("**").enumerate() {
        if at % 2 == 1 {
            put!(text, "{STRONG}{}{STRONG:#}", links(part));
        } else {
            text.push_str(&links(part));
        }
    }
    text
}

fn links(text: &str) -> String {
    let parsed = text.split_once('[').and_then(|(before, rest)| {
        let (words, rest) = rest.split_once("](")?;
        let (address, after) = rest.split_once(')')?;
        Some((before, words, address, after))
    });
    match parsed {
        Some((before, words, address, after)) => {
            format!("{before}{words} {FAINT}({address}){FAINT:#}{}", links(after))
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_read_well_without_markdown() {
        let page = "# unknown-field\n\nA key **nobody** knows, see [the page](fields.md).\n\n```yaml\ntabel: x\n```\n- one `two`\n";
        let shown = anstream::adapter::strip_str(&text(page)).to_string();
        let expected = "unknown-field\n\nA key nobody knows, see the page (fields.md).\n\n    tabel: x\n- one `two`\n";
        assert_eq!(shown, expected);
    }
}
