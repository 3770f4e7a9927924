//! Kinds of mistakes. Each has a page: what it means, why it is refused, an example, what to write instead.

/// A kind of mistake, named by words: `unknown-field`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The name, in kebab-case.
    pub name: &'static str,
    /// The page, in Markdown.
    pub page: &'static str,
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Every code, in the order of the stages that report them: YAML, values, names, references, rules, SQL, connectors, tests.
pub fn all_codes() -> &'static [Code] {
    ALL
}

/// The code of a name.
pub fn find_code(name: &str) -> Option<Code> {
    ALL.iter().copied().find(|code| code.name == name)
}

/// Declares the constants and the list of them, each page read from `pages/NAME.md`.
macro_rules! codes {
    ($($(#[$doc:meta])* $constant:ident = $name:literal;)*) => {
        $(
            $(#[$doc])*
            pub const $constant: Code = Code { name: $name, page: include_str!(concat!("../pages/", $name, ".md")) };
        )*
        const ALL: &[Code] = &[$($constant),*];
    };
}

codes! {
    /// The text is not YAML.
    YAML_SYNTAX = "yaml-syntax";
    /// A tab where YAML needs spaces.
    YAML_TAB = "yaml-tab";
    /// A YAML tag such as `!!str`.
    YAML_TAG = "yaml-tag";
    /// A YAML merge key `<<`.
    YAML_MERGE_KEY = "yaml-merge-key";
    /// More than one YAML document in a file.
    YAML_DOCUMENTS = "yaml-documents";
    /// A YAML alias of nothing, or of itself.
    YAML_ALIAS = "yaml-alias";
    /// A key that is not a text.
    YAML_KEY = "yaml-key";
    /// A file too large, too deep, or grown too large by aliases.
    YAML_LIMIT = "yaml-limit";
    /// The same key twice in one mapping.
    DUPLICATE_KEY = "duplicate-key";

    /// A key nobody understands here.
    UNKNOWN_FIELD = "unknown-field";
    /// A key that must be there and is not.
    MISSING_FIELD = "missing-field";
    /// A number where a text belongs, a list where a mapping belongs, and so on.
    WRONG_TYPE = "wrong-type";
    /// A word that is not among the allowed ones.
    UNKNOWN_WORD = "unknown-word";
    /// A value of the right type that cannot be.
    INVALID_VALUE = "invalid-value";
    /// A key that will work in a later version.
    NOT_AVAILABLE_YET = "not-available-yet";

    /// A name that cannot be used in SQL or as a file's name.
    INVALID_NAME = "invalid-name";
    /// Latin letters inside a Cyrillic word, or the reverse.
    MIXED_ALPHABET = "mixed-alphabet";
    /// Two relations of one name.
    NAME_CLASH = "name-clash";
    /// A file is not called as its pipeline.
    FILE_NAME = "file-name";

    /// A profile that is not in `obmen.yaml`.
    UNKNOWN_PROFILE = "unknown-profile";
    /// A connection that is not in the profile.
    UNKNOWN_CONNECTION = "unknown-connection";
    /// A word after `type:` that names no connector.
    UNKNOWN_CONNECTOR = "unknown-connector";
    /// A pipeline that is not in the project.
    UNKNOWN_PIPELINE = "unknown-pipeline";
    /// A source that is not in the pipeline.
    UNKNOWN_SOURCE = "unknown-source";
    /// A sink that is not in the pipeline.
    UNKNOWN_SINK = "unknown-sink";
    /// A relation that is neither a source nor a step.
    UNKNOWN_RELATION = "unknown-relation";
    /// A `$name` that is not under `vars`.
    UNKNOWN_VAR = "unknown-var";
    /// A source nothing reads.
    UNUSED_SOURCE = "unused-source";
    /// A var nothing uses.
    UNUSED_VAR = "unused-var";
    /// Things that wait for each other.
    CYCLE = "cycle";

    /// A key without columns, or with a column twice.
    INVALID_KEY = "invalid-key";
    /// `by` and the key it stands for differ in length.
    KEY_LENGTH = "key-length";
    /// A deleting sink whose relation is narrowed by a var needs a scope.
    SCOPE_NEEDED = "scope-needed";
    /// A schedule that cannot be.
    INVALID_SCHEDULE = "invalid-schedule";
    /// A guard that guards nothing.
    INVALID_GUARD = "invalid-guard";
    /// A password in plain text.
    PLAIN_SECRET = "plain-secret";

    /// The SQL cannot be read.
    SQL_SYNTAX = "sql-syntax";
    /// SQL that is understood but not allowed here.
    SQL_NOT_ALLOWED = "sql-not-allowed";
    /// Types that do not go together.
    SQL_TYPE = "sql-type";
    /// A column that the relation does not have.
    UNKNOWN_COLUMN = "unknown-column";
    /// A column that several relations have.
    AMBIGUOUS_COLUMN = "ambiguous-column";
    /// A function that does not exist.
    UNKNOWN_FUNCTION = "unknown-function";
    /// A key names a column the relation does not have.
    KEY_NOT_A_COLUMN = "key-not-a-column";
    /// The columns of a source are not known offline.
    SCHEMA_UNKNOWN = "schema-unknown";

    /// A setting the connector refuses.
    INVALID_SETTING = "invalid-setting";
    /// An entity the connector does not have.
    UNKNOWN_ENTITY = "unknown-entity";

    /// A test that asserts nothing.
    EMPTY_TEST = "empty-test";
    /// A test that says nothing about a source or sink it needs.
    NOT_MOCKED = "not-mocked";
}

#[cfg(test)]
mod tests {
    use super::{Code, all_codes, find_code};
    use std::collections::BTreeSet;

    const PARTS: [&str; 4] = ["## What it means", "## Why it is refused", "## Example", "## Instead"];

    #[test]
    fn every_page_has_all_its_parts_in_order() {
        for Code { name, page } in all_codes() {
            assert!(page.starts_with(&format!("# {name}\n\n")), "{name} has no title");
            let places: Vec<usize> =
                PARTS.iter().map(|part| page.find(part).unwrap_or_else(|| panic!("{name}: {part}"))).collect();
            assert!(places.is_sorted(), "{name}");
            for (part, text) in PARTS.iter().zip(page.split("## ").skip(1)) {
                assert!(text.split_once('\n').unwrap().1.trim().len() > 10, "{name}: {part} is empty");
            }
            assert_eq!(page.matches("```").count(), 4, "{name}: one code block in each of the last two parts");
        }
    }

    #[test]
    fn every_page_is_a_code_and_names_are_words() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("pages");
        let pages: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap().strip_suffix(".md").unwrap().to_owned())
            .collect();
        let codes: BTreeSet<String> = all_codes().iter().map(|code| code.name.to_owned()).collect();
        assert_eq!(pages, codes);
        assert_eq!(codes.len(), all_codes().len(), "a name is used twice");
        for code in all_codes() {
            assert!(code.name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-'), "{code:?}");
            assert_eq!(find_code(code.name), Some(*code));
        }
        assert_eq!(find_code("no-such-code"), None);
    }
}
