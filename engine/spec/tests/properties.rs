//! Whatever the text: no panic, true places. And the same values as another YAML reader.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use obmen_diagnostics::{Files, Problems, Span, render};
use obmen_spec::pipeline::Pipeline;
use obmen_spec::project::Project;
use obmen_spec::test_file::TestFile;
use obmen_spec::{Node, ScalarStyle, Value, check, decode, yaml};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Words of pipelines and of YAML's grammar, glued together at random: arbitrary letters alone rarely get past the first line.
fn yamlish() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("pipeline: "),
        Just("sources:"),
        Just("steps:"),
        Just("sinks:"),
        Just("checks:"),
        Just("vars:"),
        Just("tests:"),
        Just("given: "),
        Just("then: "),
        Just("table: "),
        Just("profiles:"),
        Just("key: "),
        Just("товары"),
        Just("Цена: "),
        Just("\n"),
        Just("\n  "),
        Just("\n    "),
        Just("\r\n"),
        Just("\t"),
        Just("- "),
        Just("? "),
        Just(": "),
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(", "),
        Just("|\n  "),
        Just(">\n  "),
        Just("|-"),
        Just("'"),
        Just("\""),
        Just("#"),
        Just(" # да"),
        Just("&a "),
        Just("*a"),
        Just("!!str "),
        Just("<<: "),
        Just("---"),
        Just("%YAML"),
        Just("\u{feff}"),
        Just("null"),
        Just("~"),
        Just("true"),
        Just("5%"),
        Just("1.50"),
        Just("-1"),
        Just("\\"),
        Just("\u{0}"),
        Just("🦊"),
        Just("ё"),
        Just("й"),
        Just(" | "),
        Just("$x"),
        Just("SELECT "),
        Just("\u{2028}"),
        Just("\u{85}"),
        Just("\r"),
    ];
    prop_oneof![3 => prop::collection::vec(word, 0..60).prop_map(|words| words.concat()), 1 => ".{0,200}", 1 => "(?s).{0,80}"]
}

fn check_span(text: &str, span: Span) {
    let range = span.range();
    assert!(range.start <= range.end && text.get(range.clone()).is_some(), "{range:?} of {text:?}");
}

fn check_tree(text: &str, node: &Node) {
    check_span(text, node.span);
    match &node.value {
        Value::Null => {}
        Value::List(list) => list.iter().for_each(|node| check_tree(text, node)),
        Value::Map(map) => {
            for (key, value) in &map.entries {
                check_span(text, key.span);
                check_tree(text, value);
            }
        }
        Value::Scalar(scalar) => {
            let written = text.get(node.span.range()).unwrap();
            let is_alias = written.starts_with('*');
            if scalar.style == ScalarStyle::Plain && !is_alias && !written.contains(['\n', '\r']) {
                assert_eq!(written, scalar.text, "in {text:?}");
            }
            let ends = scalar.pieces.iter().skip(1).map(|(at, _)| *at).chain([scalar.text.len()]);
            for ((at, offset), end) in scalar.pieces.iter().zip(ends) {
                let piece = scalar.text.get(*at..end).unwrap().trim_end_matches(['\n', ' ']);
                assert_eq!(text.get(*offset..*offset + piece.len()), Some(piece), "in {text:?}");
            }
        }
    }
}

/// Reads a text as everything it could be, checks and shows it.
fn look_at(text: &str) {
    let (mut files, mut problems) = (Files::new(), Problems::new());
    let file = files.add("проба.yaml", text);
    if let Some(node) = yaml::parse(file, text, &mut problems) {
        check_tree(text, &node);
        let pipelines: Vec<Pipeline> = Pipeline::read(&node, &mut problems).into_iter().collect();
        TestFile::read(&node, &mut problems);
        decode::decode::<BTreeMap<String, Option<Vec<u8>>>>(&node, &mut problems);
        decode::decode::<serde_json::Value>(&node, &mut Problems::new());
        Project::read(&node, &mut problems);
        let small = "project: x\nprofiles: { demo: {} }\n";
        let project =
            yaml::parse(file, small, &mut problems).and_then(|node| Project::read(&node, &mut problems)).unwrap();
        let context = check::Context {
            files: &files,
            project: &project,
            profile: "demo",
            pipelines: &pipelines,
            connectors: &[],
        };
        for pipeline in &pipelines {
            check::pipeline(pipeline, &context, &mut problems);
            check::graph(pipeline, &check::Reads::new(), &mut problems);
        }
    }
    for found in problems.iter() {
        found.labels.iter().for_each(|label| check_span(text, label.span));
        found.fix.iter().for_each(|fix| check_span(text, fix.span));
    }
    render::text(&files, &problems.sorted(), false);
    render::json(&files, &problems.sorted());
    render::github(&files, &problems.sorted());
}

/// A value any YAML writer can write and any reader reads alike.
fn document() -> impl Strategy<Value = serde_yaml::Value> {
    let text = prop_oneof![
        "[a-zа-яё0-9 _:#,\\[\\]{}'\"|>*&!%@`.-]{0,12}",
        "[а-яё]{1,5}\n\n? ?[а-я ]{0,5}\n?",
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("1.50".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(serde_yaml::Value::Null),
        any::<bool>().prop_map(serde_yaml::Value::from),
        any::<i64>().prop_map(serde_yaml::Value::from),
        text.prop_map(serde_yaml::Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_yaml::Value::Sequence),
            prop::collection::btree_map("[a-zа-я]{1,6}", inner, 0..6).prop_map(|map| {
                let entries = map.into_iter().map(|(key, value)| (serde_yaml::Value::from(key), value));
                serde_yaml::Value::Mapping(entries.collect())
            }),
        ]
    })
}

fn equal(ours: &Node, theirs: &serde_yaml::Value) -> bool {
    match (&ours.value, theirs) {
        (Value::Null, serde_yaml::Value::Null) => true,
        (Value::Scalar(scalar), serde_yaml::Value::String(text)) => scalar.text == *text,
        (Value::Scalar(scalar), serde_yaml::Value::Bool(truth)) => scalar.text == truth.to_string(),
        (Value::Scalar(scalar), serde_yaml::Value::Number(number)) => scalar.text == number.to_string(),
        (Value::List(ours), serde_yaml::Value::Sequence(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| equal(ours, theirs))
        }
        (Value::Map(ours), serde_yaml::Value::Mapping(theirs)) => {
            let same = |key: &str, value| ours.get(key).is_some_and(|ours| equal(ours, value));
            ours.entries.len() == theirs.len() && theirs.iter().all(|(key, value)| same(key.as_str().unwrap(), value))
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic_and_places_are_true(text in yamlish()) {
        look_at(&text);
    }

    #[test]
    fn values_are_those_another_reader_reads(document in document()) {
        let text = serde_yaml::to_string(&document).unwrap();
        let (mut files, mut problems) = (Files::new(), Problems::new());
        let file = files.add("a.yaml", text.as_str());
        let ours = yaml::parse(file, &text, &mut problems);
        prop_assert!(problems.is_empty(), "{text}\n{problems:?}");
        let ours = ours.unwrap();
        check_tree(&text, &ours);
        let theirs: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        prop_assert!(equal(&ours, &theirs), "{text}\n{ours:?}");
    }
}
