//! All mistakes of a file at once, each at its place, also inside SQL and among Cyrillic letters.

use crate::support::Scene;
use serde_json::Value;

const PROJECT: &str = "\
project: склад
profiles:
  test:
    trade: { type: files, path: data, format: csv }
    shop: { type: files, path: out, format: jsonl }
";

/// What stands in brackets is wrong.
const PIPELINE: &str = "\
# Цены и остатки: десять ошибок, и вокруг каждой — русские буквы.
pipeline: цены_остатки
description: Изменённые цены и остатки для сайта «Ромашка», каждый час
⟦enabeld⟧: manual
schedule: { cron: \"0 * * * *\", timezone: ⟦Европа/Москва⟧ }

vars:
  склады: { type: list, default: [Основной, Магазин] }

sources:
  товары:
    connection: trade
    entity: Номенклатура
    columns: { Ссылка: uuid, Артикул: string, Наименование: string, Удалён: bool }
    key: [Ссылка]
  цены:
    connection: ⟦trad⟧
    entity: Цены
    columns: { Товар: uuid, Вид: string, Цена: \"decimal(15,2)\" }
    key: [Товар, ⟦Вид_цены⟧]
    on_bad_row: ⟦пропустить⟧
  остатки:
    connection: trade
    entity: Остатки
    columns: { Товар: uuid, Склад: string, Количество: \"decimal(15,3)\" }
    key: [Товар, Склад]

steps:
  предложения: |
    -- Удалённые товары на сайт не попадают
    SELECT Ссылка AS id, Артикул AS sku, ⟦Наименованее⟧ AS name
    FROM товары WHERE NOT Удалён
  цены_сайта: |
    SELECT Товар AS id, Вид AS вид, Цена AS цена FROM цены
  остатки_сайта: |
    SELECT Товар AS id, Склад AS склад, ⟦округлить⟧(Количество) AS количество
    FROM остатки WHERE Склад IN ($склады)
  итоги: |
    SELECT склад, count(*) AS всего FROM ⟦остатки_сaйта⟧ GROUP BY склад

checks:
  - { of: цены_сайта, name: цена больше нуля, expect: \"цена > 0\", otherwise: ⟦rejct⟧ }

sinks:
  shop:
    connection: shop
    entity: offers
    from: предложения
    key: [id]
    children:
      цены: { from: цены_сайта, by: [id], key: [вид] }
      остатки: { from: остатки_сайта, by: [id], key: [склад] }
    deletes: ⟦spoil⟧
";

/// The codes of the mistakes above, in their order.
const CODES: [&str; 10] = [
    "unknown-field",
    "invalid-schedule",
    "unknown-connection",
    "key-not-a-column",
    "unknown-word",
    "unknown-column",
    "unknown-function",
    "unknown-relation",
    "unknown-word",
    "unknown-word",
];

/// A mistake as an editor would underline it: line and column from 1, columns in characters, the end exclusive.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    line: usize,
    columns: (usize, usize),
    text: String,
}

#[test]
fn ten_different_mistakes_are_ten_diagnostics_at_their_places() {
    let scene = Scene::empty();
    let (text, expected) = unbracketed(PIPELINE);
    assert_eq!(expected.len(), CODES.len());
    scene.write("pipelines/obmen.yaml", PROJECT);
    scene.write("pipelines/цены_остатки.yaml", &text);

    let document = scene.json(3, "validate");
    let found = document["diagnostics"].as_array().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let places: Vec<Place> = found.iter().map(|diagnostic| place(diagnostic, &lines)).collect();
    assert_eq!(places, expected, "{document:#}");
    let codes: Vec<&str> = found.iter().map(|diagnostic| diagnostic["code"].as_str().unwrap()).collect();
    assert_eq!(codes, CODES, "{document:#}");
    for diagnostic in found {
        assert_eq!(diagnostic["severity"], "error");
        assert!(diagnostic["file"].as_str().unwrap().ends_with("pipelines/цены_остатки.yaml"), "{diagnostic:#}");
    }
}

#[test]
fn nothing_runs_while_a_mistake_is_left() {
    let scene = Scene::empty();
    let (text, _) = unbracketed(PIPELINE);
    scene.write("pipelines/obmen.yaml", PROJECT);
    scene.write("pipelines/цены_остатки.yaml", &text);
    for command in ["run", "plan"] {
        scene.obmen(&format!("{command} цены_остатки")).ends_with(3, command);
    }
    assert!(!scene.path("pipelines/out").exists() && !scene.path(".obmen").exists());
}

/// The text without its brackets, and where what they enclosed stands in it.
fn unbracketed(text: &str) -> (String, Vec<Place>) {
    let (mut clean, mut places) = (String::new(), Vec::new());
    for (at, line) in text.lines().enumerate() {
        let mut begin = 0;
        let mut plain: Vec<char> = Vec::new();
        for letter in line.chars() {
            match letter {
                '⟦' => begin = plain.len(),
                '⟧' => places.push(Place {
                    line: at + 1,
                    columns: (begin + 1, plain.len() + 1),
                    text: plain[begin..].iter().collect(),
                }),
                letter => plain.push(letter),
            }
        }
        clean.extend(plain);
        clean.push('\n');
    }
    (clean, places)
}

fn place(diagnostic: &Value, lines: &[&str]) -> Place {
    let number = |name: &str| usize::try_from(diagnostic[name].as_u64().unwrap()).unwrap();
    let (line, begin, end) = (number("line"), number("column"), number("end_column"));
    assert_eq!(number("end_line"), line, "{diagnostic:#}");
    let text = lines[line - 1].chars().skip(begin - 1).take(end - begin).collect();
    Place { line, columns: (begin, end), text }
}
