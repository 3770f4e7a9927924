//! Text → tree: exact places in any alphabet, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use obmen_diagnostics::{FileId, Files, Problems};
use obmen_spec::{Node, ScalarStyle, SqlText, Value, yaml};
use std::fmt::Write as _;

fn read(text: &str) -> (Files, Option<Node>, Problems) {
    let (mut files, mut problems) = (Files::new(), Problems::new());
    let file = files.add("проба.yaml", text);
    let node = yaml::parse(file, text, &mut problems);
    (files, node, problems)
}

fn tree(text: &str) -> (Files, Node) {
    let (files, node, problems) = read(text);
    assert!(problems.is_empty(), "{text:?}: {problems:?}");
    (files, node.unwrap())
}

fn get<'n>(node: &'n Node, path: &[&str]) -> &'n Node {
    path.iter().fold(node, |node, key| match key.parse::<usize>() {
        Ok(index) => &node.as_list().unwrap()[index],
        Err(_) => node.as_map().unwrap().get(key).unwrap(),
    })
}

fn codes(text: &str) -> Vec<(&'static str, String)> {
    let (files, _, problems) = read(text);
    problems.iter().map(|found| (found.code.name, files.slice(found.span().unwrap()).to_owned())).collect()
}

#[test]
fn places_are_what_was_written() {
    let text = "# Цены и остатки\nимя: Основной склад  # здесь\nключ: [Артикул, \"ед. изм.\", 'л''ом']\nвложено:\n  число: 007.50\n  пусто:\nпосле: {a: 1, б: два}\n";
    let (files, root) = tree(text);
    let at = |path: &[&str]| files.slice(get(&root, path).span).to_owned();
    assert_eq!(at(&["имя"]), "Основной склад");
    assert_eq!(at(&["ключ"]), "[Артикул, \"ед. изм.\", 'л''ом']");
    assert_eq!(at(&["ключ", "1"]), "\"ед. изм.\"");
    assert_eq!(at(&["ключ", "2"]), "'л''ом'");
    assert_eq!(get(&root, &["ключ", "2"]).as_str(), Some("л'ом"));
    assert_eq!(at(&["вложено"]), "число: 007.50\n  пусто");
    assert_eq!(get(&root, &["вложено", "число"]).as_str(), Some("007.50"));
    assert_eq!(get(&root, &["вложено", "пусто"]).value, Value::Null);
    assert_eq!(at(&["после"]), "{a: 1, б: два}");
    assert_eq!(files.slice(root.as_map().unwrap().entries[3].0.span), "после");
    assert_eq!(files.line_column(FileId(0), get(&root, &["после", "б"]).span.start).column, 18);
}

#[test]
fn sql_leads_back_to_the_file() {
    let documents = [
        ("a: |\n  SELECT Цена,\n\n    оплата -- сумма\n  FROM счета\nb: 1\n", "оплата"),
        ("a: |\r\n  SELECT Цена,\r\n\r\n    оплата\r\n  FROM счета\r\nb: 1\r\n", "оплата"),
        ("a: |-\n\n      SELECT Цена,\n      оплата\n", "оплата"),
        ("a: |2\n    SELECT Цена,\n  оплата\n", "оплата"),
        ("a: SELECT Цена, оплата FROM счета # нет\n", "оплата FROM счета"),
        ("a: SELECT Цена,\n     оплата\n\n  FROM счета\n", "FROM счета"),
        ("a: \"SELECT Цена, оплата\"\n", "оплата"),
        ("a: 'SELECT Цена,\n\n   оплата FROM x'\n", "оплата FROM"),
        ("\u{feff}a: |\n  SELECT Цена,\n    оплата", "оплата"),
        ("x: &q |\n  SELECT оплата\na: *q\n", "оплата"),
        ("- a: |+\n    SELECT оплата   \n    \n\n- b", "оплата   "),
    ];
    for (text, word) in documents {
        let (files, root) = tree(text);
        let node = if let Value::List(list) = &root.value { get(&list[0], &["a"]) } else { get(&root, &["a"]) };
        let sql = SqlText::from_node(node, &mut Problems::new()).unwrap();
        let at = sql.text.find(word).unwrap_or_else(|| panic!("{text:?} gave {:?}", sql.text));
        assert_eq!(files.slice(sql.place(at..at + word.len())), word, "{text:?} {sql:?}");
    }
}

#[test]
fn sql_with_escapes_points_at_the_whole() {
    for text in ["a: \"SELECT\\tx\"\n", "a: 'it''s'\n", "a: >\n  SELECT\n  x\n"] {
        let (files, root) = tree(text);
        let sql = SqlText::from_node(get(&root, &["a"]), &mut Problems::new()).unwrap();
        assert!(sql.lines.is_empty());
        let whole = text.trim_start_matches("a: >\n  ").trim_start_matches("a: ").trim_end();
        assert_eq!(files.slice(sql.place(1..3)), whole);
    }
}

#[test]
fn styles_are_kept() {
    use ScalarStyle::{Folded, Literal, Plain, Quoted};
    let (_, root) = tree("- a\n- 'a'\n- \"a\"\n- |\n  a\n- >\n  a\n");
    let styles: Vec<ScalarStyle> = root
        .as_list()
        .unwrap()
        .iter()
        .map(|node| match &node.value {
            Value::Scalar(scalar) => scalar.style,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(styles, [Plain, Quoted, Quoted, Literal, Folded]);
}

#[test]
fn nothing_is_null_and_quoted_null_is_a_text() {
    let (_, root) = tree("- ~\n- null\n-\n- 'null'\n- ''\n");
    let nulls: Vec<bool> = root.as_list().unwrap().iter().map(|node| node.value == Value::Null).collect();
    assert_eq!(nulls, [true, true, true, false, false]);
    for empty in ["", "\n\n", "# только заметка\n", "---\n", "\u{feff}"] {
        assert_eq!(tree(empty).1.value, Value::Null, "{empty:?}");
    }
}

#[test]
fn an_alias_stands_where_it_is_written() {
    let text = "общее: &k [Ref_Key, Код]\nключ: *k\n";
    let (files, root) = tree(text);
    let alias = get(&root, &["ключ"]);
    assert_eq!(files.slice(alias.span), "*k");
    assert_eq!(files.slice(alias.as_list().unwrap()[1].span), "Код");
}

#[test]
fn refuses_what_it_says_it_refuses() {
    let of = |text| codes(text).into_iter().map(|(code, at)| format!("{code} {at}")).collect::<Vec<_>>();
    assert_eq!(of("цена: 1\nсклад: 2\nцена: 3\n"), ["duplicate-key цена"]);
    assert_eq!(of("a: !!str 5\n"), ["yaml-tag !!str"]);
    assert_eq!(of("b: &x {c: 1}\na:\n  <<: *x\n"), ["yaml-merge-key <<"]);
    assert_eq!(of("a: 1\n---\nb: 2\n"), ["yaml-documents ---"]);
    assert_eq!(of("? [a, b]\n: 1\n"), ["yaml-key [a, b]"]);
    assert_eq!(of("a: *нет\n"), ["yaml-alias *нет"]);
    assert_eq!(of("a: &a [*a]\n"), ["yaml-alias *a"]);
    assert_eq!(of("товары:\n\tцена: 1\n"), ["yaml-tab \t"]);
    assert_eq!(of("товары:\n  цена: 1\n\tсклад: 1\n"), ["yaml-tab \t"]);
    assert_eq!(of("%YAML 1.2\n---\na: 1\n"), ["yaml-syntax %"]);
    assert_eq!(of("имя: Склад: основной\n"), ["yaml-syntax :"]);
    assert_eq!(of("a: 'нет конца\n"), ["yaml-syntax '"]);
    assert_eq!(of("a: [1, 2\n"), ["yaml-syntax ["]);
}

#[test]
fn limits_hold() {
    let deep = "[".repeat(5000);
    assert_eq!(codes(&deep)[0].0, "yaml-limit");
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        writeln!(bomb, "a{level}: &a{level} [{before}]").unwrap();
    }
    assert_eq!(codes(&bomb)[0].0, "yaml-limit");
    let mut tower = "a0: &a0 [x]\n".to_owned();
    for level in 1..100 {
        writeln!(tower, "a{level}: &a{level} [*a{}]", level - 1).unwrap();
    }
    assert_eq!(codes(&tower)[0].0, "yaml-limit");
}
