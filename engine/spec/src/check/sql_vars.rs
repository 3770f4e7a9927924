//! Vars in SQL text: `$name` outside strings, quoted names and comments.

use std::ops::Range;

/// The vars a SQL text mentions, each time it does, with the bytes of `$name`.
///
/// `'…'` and `"…"` (doubled quotes inside), `--` and nested `/* */` comments, and dollar-quoted strings are passed over.
pub fn sql_vars(sql: &str) -> Vec<(String, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = sql.get(at..).filter(|rest| !rest.is_empty()) {
        let mut letters = rest.chars();
        let (first, second) = (letters.next().unwrap_or(' '), letters.next().unwrap_or(' '));
        at += match (first, second) {
            ('\'' | '"', _) => 1 + until(rest.get(1..), &first.to_string()),
            ('-', '-') => until(Some(rest), "\n"),
            ('/', '*') => block_comment(rest),
            ('$', _) => {
                let name = identifier(rest.get(1..).unwrap_or(""));
                let after = rest.get(1 + name.len()..).unwrap_or("");
                if after.starts_with('$') {
                    let tag = rest.get(..name.len() + 2).unwrap_or(rest);
                    tag.len() + until(rest.get(tag.len()..), tag)
                } else {
                    if name.chars().next().is_some_and(|letter| !letter.is_numeric()) {
                        found.push((name.to_owned(), at..at + 1 + name.len()));
                    }
                    1 + name.len()
                }
            }
            // A `$` inside a name belongs to the name.
            (letter, _) if letter.is_alphanumeric() || letter == '_' => rest
                .find(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | '$')))
                .unwrap_or(rest.len()),
            (letter, _) => letter.len_utf8(),
        };
    }
    found
}

/// How many bytes there are until the end of the first `end`, or of the text.
fn until(text: Option<&str>, end: &str) -> usize {
    let text = text.unwrap_or("");
    text.find(end).map_or(text.len(), |at| at + end.len())
}

fn identifier(text: &str) -> &str {
    let end = text.find(|letter: char| !(letter.is_alphanumeric() || letter == '_')).unwrap_or(text.len());
    text.get(..end).unwrap_or("")
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::sql_vars;

    fn names(sql: &str) -> Vec<&str> {
        let found = sql_vars(sql).into_iter().map(|(name, at)| {
            let written = sql.get(at).unwrap();
            assert_eq!(written, format!("${name}"));
            written.strip_prefix('$').unwrap()
        });
        found.collect()
    }

    #[test]
    fn vars_are_found_outside_strings_and_comments() {
        assert_eq!(names("WHERE Склад IN ($склады) AND x=$y"), ["склады", "y"]);
        assert_eq!(names("'$a' || \"$b\" || 'it''s $c' -- $d\n|| $e /* $f /* $g */ $h */ + $i"), ["e", "i"]);
        assert_eq!(names("$$ $a $$ $b $t$ $c $t$"), ["b"]);
        assert_eq!(names("$1 + a$b + $_x$"), Vec::<&str>::new());
        assert_eq!(names("'нет конца $a"), Vec::<&str>::new());
        assert_eq!(names("/* $a"), Vec::<&str>::new());
        assert_eq!(names("$"), Vec::<&str>::new());
    }
}
