//! Whatever the tables and the query are: what is found by changes sends what comparing everything sends.

use crate::affected::counters;
use crate::author::{Author, Dice, Known, Mood};
use crate::world::{Place, Table};
use obmen_runtime::report::RunReport;
use std::fmt::Write;

/// Texts; the third and the fourth are one letter in two forms.
const TEXTS: [&str; 5] = ["p", "q", "\u{439}", "\u{438}\u{306}", ""];

/// A table: its columns, whether they are text, how many of them are the key, and how its changes are found.
#[derive(Debug)]
struct Scheme {
    name: String,
    columns: Vec<(String, bool)>,
    key: usize,
    changes: &'static str,
}

impl Scheme {
    fn any(dice: &mut Dice, at: usize) -> Self {
        let key = *dice.pick(&[1, 1, 2]);
        let names = ["id", "x", "y", "z", "w"].into_iter().take(key + 1 + dice.roll(3));
        let columns = names.enumerate().map(|(at, name)| (name.to_owned(), at > 0 && dice.chance(25))).collect();
        let changes = *dice.pick(&["{ cursor: seq }", "{ version: seq }", "{ version: seq }", "full"]);
        // one at least must say what changed
        let changes = if at == 0 && changes == "full" { "{ cursor: seq }" } else { changes };
        Self { name: ["a", "b", "c", "d"][at].to_owned(), columns, key, changes }
    }

    fn known(&self) -> Known {
        Known { name: self.name.clone(), columns: self.columns.clone() }
    }

    /// A source, found by its changes or read whole.
    fn source(&self, changes: &str) -> String {
        let kind = |text: &bool| if *text { "string" } else { "long" };
        let columns: Vec<String> = self.columns.iter().map(|(name, text)| format!("{name}: {}", kind(text))).collect();
        let key: Vec<&str> = self.columns[..self.key].iter().map(|(name, _)| name.as_str()).collect();
        format!(
            "  {0}: {{ connection: trade, entity: {0}, columns: {{ {1}, seq: long }}, key: [{2}], changes: {changes}, may_be_empty: true }}\n",
            self.name,
            columns.join(", "),
            key.join(", ")
        )
    }

    fn empty(&self) -> Table {
        let columns = self.columns.iter().map(|(name, _)| name.clone()).chain(["seq".to_owned()]);
        Table { columns: columns.collect(), rows: Vec::new() }
    }

    /// A row with any values and this number of its last change.
    fn row(&self, dice: &mut Dice, mood: Mood, seq: usize) -> Vec<Option<String>> {
        let values = self.columns.iter().enumerate().map(|(at, (_, text))| {
            let value = if *text { (*dice.pick(&TEXTS)).to_owned() } else { dice.roll(mood.values() + 1).to_string() };
            (at < self.key || !dice.chance(mood.nulls())).then_some(value)
        });
        values.collect::<Vec<_>>().into_iter().chain([Some(seq.to_string())]).collect()
    }

    /// Something happens to the table: a row comes, changes or, where that is seen, goes.
    fn happen(&self, dice: &mut Dice, mood: Mood, table: &mut Table, seq: usize) {
        if !self.changes.contains("cursor") && !table.rows.is_empty() && dice.chance(30) {
            table.rows.remove(dice.roll(table.rows.len()));
            return;
        }
        let mut row = self.row(dice, mood, seq);
        if !table.rows.is_empty() && dice.chance(60) {
            row[..self.key].clone_from_slice(&dice.pick(&table.rows)[..self.key]);
        }
        // the two forms of a letter are one key
        let form = |row: &[Option<String>]| -> Vec<Option<String>> {
            row[..self.key].iter().map(|text| text.as_ref().map(|text| text.replace(TEXTS[3], TEXTS[2]))).collect()
        };
        table.rows.retain(|other| form(other) != form(&row));
        table.rows.push(row);
    }
}

/// A pipeline of some tables and steps, once with its ways to find changes, once without.
fn pipeline(schemes: &[Scheme], steps: &[(String, String)], key: &[String], whole: bool) -> String {
    let mut text = "pipeline: t\nsources:\n".to_owned();
    for scheme in schemes {
        text.push_str(&scheme.source(if whole { "full" } else { scheme.changes }));
    }
    text.push_str("steps:\n");
    for (name, sql) in steps {
        write!(text, "  {name}: |\n    {sql}\n").unwrap();
    }
    let (from, key) = (&steps.last().unwrap().0, key.join(", "));
    write!(
        text,
        "sinks:\n  shop: {{ connection: shop, entity: offers, from: {from}, key: [{key}], deletes: delete, guard: off }}\n"
    )
    .unwrap();
    text
}

/// Tables, a query over them, and two places for both.
struct Case {
    mood: Mood,
    schemes: Vec<Scheme>,
    tables: Vec<Table>,
    seq: usize,
    /// Finds what changed.
    some: Place,
    /// Reads everything.
    all: Place,
    words: String,
}

impl Case {
    fn new(seed: u64, dice: &mut Dice) -> Self {
        let mood = *dice.pick(&Mood::ALL);
        let schemes: Vec<Scheme> = (0..2 + dice.roll(3)).map(|at| Scheme::any(dice, at)).collect();
        let mut steps = Author::new(dice, mood, schemes.iter().map(Scheme::known).collect()).steps();
        let key: Vec<String> = (0..=dice.roll(2)).map(|at| format!("c{at}")).collect();
        // once a row has no key, everything is compared
        if dice.chance(70) {
            let with_key: Vec<String> = key.iter().map(|column| format!("{column} IS NOT NULL")).collect();
            let last = steps.last().unwrap().0.clone();
            steps.push(("offers".to_owned(), format!("SELECT * FROM {last} WHERE {}", with_key.join(" AND "))));
        }
        let place = |whole| Place::new(&pipeline(&schemes, &steps, &key, whole));
        let (some, all) = (place(false), place(true));
        let words = format!("seed {seed}, key {key:?}\n{schemes:#?}\n{steps:#?}");
        Self { mood, tables: schemes.iter().map(Scheme::empty).collect(), schemes, seq: 0, some, all, words }
    }

    /// So many things happen to the tables.
    fn happen(&mut self, dice: &mut Dice, times: usize) {
        for _ in 0..times {
            self.seq += 1;
            let at = dice.roll(self.schemes.len());
            self.schemes[at].happen(dice, self.mood, &mut self.tables[at], self.seq);
        }
        for place in [&self.some, &self.all] {
            let names = self.schemes.iter().map(|scheme| scheme.name.clone());
            place.inside().tables = names.zip(self.tables.iter().cloned()).collect();
            place.later(30);
        }
    }

    /// Whether changes lead to keys here at all: the first run compares everything, the second only what changed.
    fn is_followed(&self) -> bool {
        self.some.run().error.is_none() && is_affected(&self.some.run())
    }

    /// Both places send the same; whether that was found by affected keys, and was anything.
    fn sends_the_same(&self) -> (bool, bool) {
        let (one, other) = (self.some.run(), self.all.run());
        let context = || format!("{}\n{:?}\n{:?} {:?}", self.words, self.tables, one, other.sinks);
        assert_eq!((&one.error, &other.error), (&None, &None), "{}", context());
        assert_eq!(counters(&one), counters(&other), "{}", context());
        assert_eq!(self.some.sent(), self.all.sent(), "{}", context());
        assert_eq!(self.some.inside().shop, self.all.inside().shop, "{}", context());
        (is_affected(&one), !self.some.sent().is_empty())
    }
}

fn is_affected(report: &RunReport) -> bool {
    report.sinks.iter().filter_map(|sink| sink.compared.as_deref()).any(|compared| compared.contains("affected keys"))
}

/// `OBMEN_QUERIES=1000` asks for so many queries.
#[test]
fn random_queries_over_random_tables_send_the_same_by_changes_and_by_comparing_everything() {
    let queries = asked_for("OBMEN_QUERIES", 10);
    let (mut followed, mut affected, mut sent) = (0, 0, 0);
    for seed in 0.. {
        if followed == queries {
            break;
        }
        let dice = &mut Dice(seed);
        let mut case = Case::new(seed, dice);
        case.happen(dice, 16);
        if !case.is_followed() {
            continue;
        }
        followed += 1;
        case.all.run();
        for _ in 0..4 {
            let times = 1 + dice.roll(3);
            case.happen(dice, times);
            let (by_keys, any) = case.sends_the_same();
            affected += u64::from(by_keys);
            sent += u64::from(by_keys && any);
        }
    }
    assert!(
        affected >= queries && 2 * sent >= queries,
        "{queries} queries: {affected} runs by affected keys, {sent} sent"
    );
}

#[expect(clippy::disallowed_methods, reason = "the size of this test is asked for by the environment")]
fn asked_for(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}
