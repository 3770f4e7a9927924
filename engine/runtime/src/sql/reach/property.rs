//! Computing affected keys alone gives what computing everything gives: random relations over random rows, changed at
//! random, against DataFusion itself.
//!
//! The executor follows a [`Reach`] row by row, and adds rows that are not needed now and then: they must do no harm.

use super::*;
use crate::sql::place::tests::sql as piece;
use crate::sql::{Options, Query, Rows};
use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::array_value_to_string;
use chrono::DateTime;
use futures::TryStreamExt;
use obmen_diagnostics::Problems;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// Sources: longs, but for `t`, which is text.
const SOURCES: &[(&str, &[&str])] =
    &[("a", &["id", "x", "t"]), ("b", &["id", "x", "y"]), ("c", &["id", "y", "t"]), ("d", &["id", "x"])];

type Value = Option<String>;
type Row = Vec<Value>;
type State = BTreeMap<&'static str, Vec<Row>>;

/// Chance, the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(sides).unwrap()).unwrap()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.roll(items.len())]
    }
}

/// A relation queries can read: its name, and its columns with whether they are text.
#[derive(Clone)]
struct Known {
    name: String,
    columns: Vec<(String, bool)>,
}

/// Writes queries.
struct Author<'a> {
    dice: &'a mut Dice,
    known: Vec<Known>,
}

/// Columns that can be used at a place: how they are written, and whether they are text.
type Scope = Vec<(String, bool)>;

impl Author<'_> {
    /// A query whose columns are `c0`, `c1`…: text where `kinds` says so.
    fn query(&mut self, kinds: &[bool]) -> String {
        let first = self.select(kinds);
        match self.dice.roll(100) {
            0..12 => format!("{first} UNION ALL {}", self.select(kinds)),
            12..18 => format!("{first} UNION {}", self.select(kinds)),
            18..21 => format!("{first} EXCEPT {}", self.select(kinds)),
            21..24 => format!("{first} INTERSECT {}", self.select(kinds)),
            24..26 => format!("{first} ORDER BY c0 LIMIT 1"),
            _ => first,
        }
    }

    fn select(&mut self, kinds: &[bool]) -> String {
        let (mut from, mut scope, mut conditions) = (String::new(), Scope::new(), Vec::new());
        let items = *self.dice.pick(&[1, 2, 2, 3, 3, 4]);
        for item in 0..items {
            let known = self.dice.pick(&self.known).clone();
            let alias = format!("q{item}");
            let new: Scope = known.columns.iter().map(|(name, text)| (format!("{alias}.{name}"), *text)).collect();
            let table = format!("{} AS {alias}", known.name);
            if item == 0 {
                from = table;
            } else if self.dice.chance(20) {
                write!(from, " CROSS JOIN {table}").unwrap();
                if self.dice.chance(80) {
                    conditions.push(self.on(&scope, &new));
                }
            } else {
                let kind =
                    *self.dice.pick(&["JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
                let kind = if kind == "FULL JOIN" && self.dice.chance(70) { "LEFT JOIN" } else { kind };
                let mut on = self.on(&scope, &new);
                while self.dice.chance(25) {
                    write!(on, " AND {}", self.on(&scope, &new)).unwrap();
                }
                if self.dice.chance(15) {
                    let all: Scope = scope.iter().chain(&new).cloned().collect();
                    write!(on, " AND {}", self.condition(&all)).unwrap();
                }
                write!(from, " {kind} {table} ON {on}").unwrap();
            }
            scope.extend(new);
        }
        while self.dice.chance(35) {
            conditions.push(self.condition(&scope));
        }
        let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        self.output(kinds, &scope, &format!("FROM {from}{filter}"))
    }

    fn output(&mut self, kinds: &[bool], scope: &Scope, rest: &str) -> String {
        let style = self.dice.roll(100);
        let grouped = match style {
            0..30 => 1 + self.dice.roll(kinds.len()),
            30..33 => 0,
            _ => kinds.len(),
        };
        let mut columns = Vec::new();
        let mut groups = Vec::new();
        for (at, text) in kinds.iter().enumerate() {
            let expr = if at < grouped { self.value(scope, *text, style >= 33) } else { self.total(scope, *text) };
            columns.push(format!("{expr} AS c{at}"));
            groups.extend((at < grouped).then_some(expr));
        }
        let distinct = if style >= 90 { "DISTINCT " } else { "" };
        let mut query = format!("SELECT {distinct}{} {rest}", columns.join(", "));
        if style < 30 {
            write!(query, " GROUP BY {}", groups.join(", ")).unwrap();
            if self.dice.chance(30) {
                write!(query, " HAVING count(*) {} 1", self.dice.pick(&[">", "=", "<>"])).unwrap();
            }
        }
        query
    }

    fn column(&mut self, scope: &Scope, text: bool) -> String {
        let same: Vec<&String> = scope.iter().filter(|(_, kind)| *kind == text).map(|(name, _)| name).collect();
        let fallback = if text { "'p'".to_owned() } else { "1".to_owned() };
        if same.is_empty() { fallback } else { (*self.dice.pick(&same)).clone() }
    }

    /// A column, seldom something computed.
    fn value(&mut self, scope: &Scope, text: bool, subqueries: bool) -> String {
        let column = self.column(scope, text);
        match (self.dice.roll(100), text) {
            (0..6, true) => format!("upper({column})"),
            (0..6, false) => format!("coalesce({column}, 7)"),
            (6..9, false) => format!("{column} + 1"),
            (9..17, false) if subqueries => {
                let (inner, on) = self.correlated(scope);
                let what = self.dice.pick(&["count(*)", "max(z.id)", "sum(z.id)"]);
                format!("(SELECT {what} FROM {inner} AS z WHERE {on})")
            }
            _ => column,
        }
    }

    fn total(&mut self, scope: &Scope, text: bool) -> String {
        let column = self.column(scope, text);
        let function =
            if text { *self.dice.pick(&["max", "min"]) } else { *self.dice.pick(&["sum", "count", "max", "min"]) };
        format!("{function}({column})")
    }

    /// A source, and a condition between it and the outer query.
    fn correlated(&mut self, scope: &Scope) -> (&'static str, String) {
        let (name, columns) = *self.dice.pick(SOURCES);
        let inner: Scope = columns.iter().map(|name| (format!("z.{name}"), *name == "t")).collect();
        let mut on = self.on(scope, &inner);
        if self.dice.chance(20) {
            write!(on, " AND {}", self.simple(&inner)).unwrap();
        }
        (name, on)
    }

    /// What joins two sides: most often that columns are equal.
    fn on(&mut self, scope: &Scope, new: &Scope) -> String {
        let text = scope.iter().chain(new).any(|(_, text)| *text) && self.dice.chance(15);
        let (left, right) = (self.column(scope, text), self.column(new, text));
        match self.dice.roll(100) {
            0..5 => format!("{left} <= {right}"),
            5..8 => format!("{left} IS NOT DISTINCT FROM {right}"),
            8..50 => format!("{right} = {left}"),
            _ => format!("{left} = {right}"),
        }
    }

    fn simple(&mut self, scope: &Scope) -> String {
        let column = self.column(scope, false);
        match self.dice.roll(6) {
            0 => format!("{column} IS NOT NULL"),
            1 => format!("{column} IS NULL"),
            2 => format!("({column} > 1 OR {column} IS NULL)"),
            3 => format!("{column} <> 2"),
            _ => format!("{column} = {}", self.column(scope, false)),
        }
    }

    fn condition(&mut self, scope: &Scope) -> String {
        let roll = self.dice.roll(100);
        if roll < 60 {
            return self.simple(scope);
        }
        let (inner, on) = self.correlated(scope);
        let column = self.column(scope, false);
        match roll {
            60..70 => format!("EXISTS (SELECT 1 FROM {inner} AS z WHERE {on})"),
            70..80 => format!("NOT EXISTS (SELECT 1 FROM {inner} AS z WHERE {on})"),
            80..86 => format!("({column} = 1 OR EXISTS (SELECT 1 FROM {inner} AS z WHERE {on}))"),
            86..92 => format!("{column} IN (SELECT z.id FROM {inner} AS z)"),
            92..94 => format!("{column} NOT IN (SELECT z.id FROM {inner} AS z)"),
            94..96 => format!("{column} <= (SELECT max(z.id) FROM {inner} AS z)"),
            _ => format!("{column} IN (SELECT z.id FROM {inner} AS z WHERE {on})"),
        }
    }
}

/// Steps, the last of them the relation.
fn steps(dice: &mut Dice) -> Vec<(String, String)> {
    let known = SOURCES.iter().map(|(name, columns)| Known {
        name: (*name).to_owned(),
        columns: columns.iter().map(|column| ((*column).to_owned(), *column == "t")).collect(),
    });
    let known = known.collect();
    let mut author = Author { dice, known };
    let count = *author.dice.pick(&[1, 1, 2, 2, 3]);
    let steps = (0..count).map(|at| {
        let kinds: Vec<bool> = (0..2 + author.dice.roll(2)).map(|at| at > 0 && author.dice.chance(20)).collect();
        let (name, text) = (format!("s{at}"), author.query(&kinds));
        let columns = kinds.iter().enumerate().map(|(at, text)| (format!("c{at}"), *text)).collect();
        // Steps are read more often than sources.
        author.known.extend(vec![Known { name: name.clone(), columns }; 3]);
        (name, text)
    });
    steps.collect()
}

fn random_row(dice: &mut Dice, columns: &[&str]) -> Row {
    let value = |column: &&str| {
        let digit = dice.roll(4);
        let text = if *column == "t" { ["p", "q", "r", "p"][digit].to_owned() } else { digit.to_string() };
        (!dice.chance(12)).then_some(text)
    };
    columns.iter().map(value).collect()
}

fn random_state(dice: &mut Dice) -> State {
    let rows = |dice: &mut Dice, columns: &[&str]| (0..dice.roll(8)).map(|_| random_row(dice, columns)).collect();
    SOURCES.iter().map(|(name, columns)| (*name, rows(dice, columns))).collect()
}

/// Inserts, updates and deletes a few rows of a few sources.
fn changed(dice: &mut Dice, state: &State) -> State {
    let mut state = state.clone();
    for _ in 0..=dice.roll(3) {
        let (name, columns) = *dice.pick(SOURCES);
        let rows = state.get_mut(name).unwrap();
        match (dice.roll(3), rows.len()) {
            (0, 1..) => {
                rows.remove(dice.roll(rows.len()));
            }
            (1, 1..) => {
                let (row, at) = (dice.roll(rows.len()), dice.roll(columns.len()));
                rows[row][at].clone_from(&random_row(dice, columns)[at]);
            }
            _ => rows.push(random_row(dice, columns)),
        }
    }
    state
}

fn session(steps: &[(String, String)], state: &State) -> Option<Sql> {
    let now = DateTime::from_timestamp(1_764_000_000, 0).unwrap();
    let options = Options { memory: 64 << 20, spill: std::env::temp_dir(), now, threads: 1, batch_rows: 1024 };
    let mut sql = Sql::new(options).unwrap();
    for (name, columns) in SOURCES {
        let (mut fields, mut arrays): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
        for (at, column) in columns.iter().enumerate() {
            let values = state[name].iter().map(|row| row[at].clone());
            if *column == "t" {
                fields.push(Field::new(*column, DataType::Utf8, true));
                arrays.push(Arc::new(values.collect::<StringArray>()));
            } else {
                fields.push(Field::new(*column, DataType::Int64, true));
                arrays.push(Arc::new(
                    values.map(|value| value.map(|text| text.parse::<i64>().unwrap())).collect::<Int64Array>(),
                ));
            }
        }
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
        sql.add_source(name, schema, &[], Rows::Memory(vec![batch])).unwrap();
    }
    for (name, text) in steps {
        sql.add_step(name, &piece(text), &mut Problems::new())?;
    }
    Some(sql)
}

/// All rows of a relation; `None` if it cannot be computed.
fn rows(sql: &Sql, relation: &str) -> Option<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let query = Query { relation: relation.to_owned(), ..Query::default() };
    let batches: Vec<RecordBatch> = runtime.block_on(async { sql.stream(query).await?.try_collect().await }).ok()?;
    let value = |array: &ArrayRef, at| array.is_valid(at).then(|| array_value_to_string(array, at).unwrap());
    let rows = batches.iter().flat_map(|batch| {
        (0..batch.num_rows()).map(move |at| batch.columns().iter().map(|array| value(array, at)).collect())
    });
    Some(rows.collect())
}

/// Rows of the first that are not in the second, as often as that.
fn without(rows: &[Row], others: &[Row]) -> Vec<Row> {
    let mut others = others.to_vec();
    let is_left = |row: &&Row| match others.iter().position(|other| other == *row) {
        Some(at) => {
            others.remove(at);
            false
        }
        None => true,
    };
    rows.iter().filter(is_left).cloned().collect()
}

/// The values of some columns; `None` if one of them is NULL.
fn values(relation: &str, row: &Row, columns: &[String]) -> Option<Vec<String>> {
    let (_, all) = SOURCES.iter().find(|(name, _)| *name == relation).unwrap();
    columns.iter().map(|column| row[all.iter().position(|name| name == column).unwrap()].clone()).collect()
}

/// The keys that changes of the sources can touch; `None`: any.
fn affected(reach: &Reach, old: &State, new: &State) -> Option<BTreeSet<Vec<String>>> {
    let mut keys = BTreeSet::new();
    for scan in &reach.scans {
        let mut relation = scan.relation.as_str();
        let (before, after) = (&old[relation], &new[relation]);
        let mut hand: Vec<Row> = without(before, after).into_iter().chain(without(after, before)).collect();
        if hand.is_empty() {
            continue;
        }
        let way = scan.to_key.as_ref().ok()?;
        for hop in &way.hops {
            let wanted: BTreeSet<_> = hand.iter().filter_map(|row| values(relation, row, &hop.columns)).collect();
            relation = reach.scans[hop.scan].relation.as_str();
            let images = without(&old[relation], &new[relation]);
            let all = new[relation].iter().chain(&images);
            let met = |row: &&Row| values(relation, row, &hop.to).is_some_and(|values| wanted.contains(&values));
            hand = all.filter(met).cloned().collect();
        }
        keys.extend(hand.iter().filter_map(|row| values(relation, row, &way.columns)));
    }
    Some(keys)
}

/// The rows keys need, and some more.
fn selected(reach: &Reach, keys: &BTreeSet<Vec<String>>, state: &State, dice: &mut Dice) -> State {
    let mut chosen: BTreeMap<usize, Vec<bool>> = BTreeMap::new();
    for at in &reach.order {
        let scan = &reach.scans[*at];
        let all = &state[scan.relation.as_str()];
        let taken = match &scan.from_key {
            FromKey::Whole => vec![true; all.len()],
            FromKey::Key { positions, columns } => {
                let wanted: BTreeSet<Vec<String>> =
                    keys.iter().map(|key| positions.iter().map(|at| key[*at].clone()).collect()).collect();
                let is_wanted =
                    |row| values(&scan.relation, row, columns).is_some_and(|values| wanted.contains(&values));
                all.iter().map(is_wanted).collect()
            }
            FromKey::Rows { scan: from, columns, to } => {
                let relation = reach.scans[*from].relation.as_str();
                let rows = state[relation].iter().zip(&chosen[from]).filter(|(_, taken)| **taken);
                let wanted: BTreeSet<_> = rows.filter_map(|(row, _)| values(relation, row, columns)).collect();
                let is_wanted = |row| values(&scan.relation, row, to).is_some_and(|values| wanted.contains(&values));
                all.iter().map(is_wanted).collect()
            }
        };
        chosen.insert(*at, taken);
    }
    let more = if dice.chance(30) { 25 } else { 0 };
    let mut is_needed = |name: &str, at: usize| {
        let scans = reach.scans.iter().enumerate().filter(|(_, scan)| scan.relation == name);
        scans.into_iter().any(|(scan, _)| chosen[&scan][at]) || dice.chance(more)
    };
    let rows = state.iter().map(|(name, rows)| {
        let needed = rows.iter().enumerate().filter(|(at, _)| is_needed(name, *at));
        (*name, needed.map(|(_, row)| row.clone()).collect())
    });
    rows.collect()
}

/// What came of the cases.
#[derive(Debug, Default)]
struct Tally {
    /// Relations without reach, by reason.
    refused: BTreeMap<String, usize>,
    /// Changes that can touch any key.
    any_key: usize,
    /// Changes whose keys were computed and compared…
    compared: usize,
    /// …among them those that changed the relation…
    different: usize,
    /// …and those where rows of a source were left out.
    restricted: usize,
}

fn run_case(seed: u64, tally: &mut Tally) {
    let dice = &mut Dice(seed);
    let steps = steps(dice);
    let relation = steps.last().unwrap().0.clone();
    let key: Vec<String> = if dice.chance(60) { vec!["c0".to_owned()] } else { vec!["c0".to_owned(), "c1".to_owned()] };
    let old = random_state(dice);
    let Some(before) = session(&steps, &old) else { return };
    let reach = match before.reach(&relation, &key) {
        Ok(reach) => reach,
        Err(no) => {
            let words = no.reason.split(['`']).step_by(2).collect::<String>();
            *tally.refused.entry(words).or_default() += 1;
            return;
        }
    };
    let Some(old_rows) = rows(&before, &relation) else { return };
    for _ in 0..2 {
        let new = changed(dice, &old);
        let Some(new_rows) = rows(&session(&steps, &new).unwrap(), &relation) else { return };
        let Some(keys) = affected(&reach, &old, &new) else {
            tally.any_key += 1;
            continue;
        };
        let part = selected(&reach, &keys, &new, dice);
        let part_rows = rows(&session(&steps, &part).unwrap(), &relation).unwrap();
        let of = |row: &Row| row[..key.len()].iter().cloned().collect::<Option<Vec<String>>>();
        let is_affected = |row: &&Row| of(row).is_some_and(|key| keys.contains(&key));
        let kept = old_rows.iter().filter(|row| of(row).is_some() && !is_affected(row));
        let mut found: Vec<Row> = kept.chain(part_rows.iter().filter(is_affected)).cloned().collect();
        let mut expected: Vec<Row> = new_rows.iter().filter(|row| of(row).is_some()).cloned().collect();
        found.sort();
        expected.sort();
        assert_eq!(
            found, expected,
            "seed {seed}, key {key:?}\n{steps:#?}\nold {old:?}\nnew {new:?}\nkeys {keys:?}\npart {part:?}\n{reach:#?}"
        );
        tally.compared += 1;
        tally.different += usize::from(old_rows != new_rows);
        tally.restricted +=
            usize::from(reach.sources().iter().any(|name| part[name.as_str()].len() < new[name.as_str()].len()));
    }
}

fn run_cases(seeds: std::ops::Range<u64>) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        run_case(seed, &mut tally);
    }
    tally
}

#[test]
fn affected_keys_alone_give_what_everything_gives() {
    let tally = run_cases(0..150);
    assert!(tally.compared > 40 && tally.different > 8 && tally.restricted > 40, "{tally:#?}");
}

/// By hand: `cargo test --workspace --locked --lib thousands_of_relations -- --ignored`
#[test]
#[ignore = "takes minutes"]
fn thousands_of_relations_by_affected_keys() {
    let tally = run_cases(1_000..21_000);
    assert!(tally.compared > 5_000, "{tally:#?}");
}
