//! Computing affected keys alone gives what computing everything gives: random relations over random rows, changed at
//! random, against DataFusion itself.
//!
//! The executor follows a [`Reach`] row by row, and adds rows that are not needed now and then: they must do no harm.

use super::author::{Author, Dice, Known, Mood};
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
use std::sync::Arc;

/// Sources: longs, but for `t`, which is text.
const SOURCES: [(&str, &[&str]); 4] =
    [("a", &["id", "x", "t"]), ("b", &["id", "x", "y"]), ("c", &["id", "y", "t"]), ("d", &["id", "x"])];

type Value = Option<String>;
type Row = Vec<Value>;
type State = BTreeMap<&'static str, Vec<Row>>;

/// Steps, the last of them the relation.
fn steps(dice: &mut Dice, mood: Mood) -> Vec<(String, String)> {
    let known = SOURCES.iter().map(|(name, columns)| Known {
        name: (*name).to_owned(),
        columns: columns.iter().map(|column| ((*column).to_owned(), *column == "t")).collect(),
    });
    Author::new(dice, mood, known.collect()).steps()
}

fn random_row(dice: &mut Dice, mood: Mood, columns: &[&str]) -> Row {
    let value = |column: &&str| {
        let digit = dice.roll(mood.values());
        let text = if *column == "t" { ["p", "q", "r", "p", "q"][digit].to_owned() } else { digit.to_string() };
        (!dice.chance(mood.nulls())).then_some(text)
    };
    columns.iter().map(value).collect()
}

fn random_state(dice: &mut Dice, mood: Mood) -> State {
    // NULL meets NULL, and is seen to, only among many rows
    let least = if mood == Mood::Nulls { 5 } else { 2 };
    let rows = |dice: &mut Dice, columns: &[&str]| {
        (0..least + dice.roll(8)).map(|_| random_row(dice, mood, columns)).collect()
    };
    SOURCES.iter().map(|(name, columns)| (*name, rows(dice, columns))).collect()
}

/// Inserts, updates and deletes a few rows of some of these sources.
fn changed(dice: &mut Dice, mood: Mood, state: &State, sources: &[String]) -> State {
    let mut state = state.clone();
    for _ in 0..=dice.roll(3) {
        let name = dice.pick(sources);
        let (name, columns) = *SOURCES.iter().find(|(known, _)| known == name).unwrap();
        let rows = state.get_mut(name).unwrap();
        match (dice.roll(3), rows.len()) {
            (0, 1..) => {
                rows.remove(dice.roll(rows.len()));
            }
            (1, 1..) => {
                let (row, at) = (dice.roll(rows.len()), dice.roll(columns.len()));
                rows[row][at].clone_from(&random_row(dice, mood, columns)[at]);
            }
            _ => rows.push(random_row(dice, mood, columns)),
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

/// The keys that changes of the sources can touch; `None`: any, or rows without a key.
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
        let found: Vec<_> = hand.iter().map(|row| values(relation, row, &way.columns)).collect();
        if way.keyless && found.contains(&None) {
            return None;
        }
        keys.extend(found.into_iter().flatten());
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
    /// …among them those that changed the relation.
    different: usize,
    /// Selections that left out rows of a source.
    restricted: usize,
}

/// The rows of a relation that have a key, sorted, and how many have none.
type Found = (Vec<Row>, usize);

/// A relation with reach.
struct Case {
    mood: Mood,
    steps: Vec<(String, String)>,
    relation: String,
    key: Vec<String>,
    reach: Reach,
}

impl Case {
    /// Writes relations until one has reach, but not for ever.
    fn find(dice: &mut Dice, mood: Mood, tally: &mut Tally) -> Option<Self> {
        for _ in 0..4 {
            let steps = steps(dice, mood);
            let relation = steps.last().unwrap().0.clone();
            let columns = if dice.chance(60) { 1 } else { 2 };
            let key: Vec<String> = (0..columns).map(|at| format!("c{at}")).collect();
            let Some(sql) = session(&steps, &State::from(SOURCES.map(|(name, _)| (name, Vec::new())))) else {
                continue;
            };
            match sql.reach(&relation, &key) {
                Ok(reach) => return Some(Self { mood, steps, relation, key, reach }),
                Err(no) => *tally.refused.entry(no.reason.split('`').step_by(2).collect()).or_default() += 1,
            }
        }
        None
    }

    /// The rows of the relation that have a key, sorted, and how many have none; `None` if it cannot be computed.
    fn rows(&self, state: &State) -> Option<Found> {
        let all = rows(&session(&self.steps, state).unwrap(), &self.relation)?;
        let (mut rows, keyless): (Vec<Row>, Vec<Row>) = all.into_iter().partition(|row| self.key_of(row).is_some());
        rows.sort();
        Some((rows, keyless.len()))
    }

    fn key_of(&self, row: &Row) -> Option<Vec<String>> {
        row[..self.key.len()].iter().cloned().collect()
    }

    /// Those rows whose key is among these, or is not.
    fn with(&self, rows: &[Row], keys: &BTreeSet<Vec<String>>, inside: bool) -> Vec<Row> {
        rows.iter().filter(|row| keys.contains(&self.key_of(row).unwrap()) == inside).cloned().collect()
    }

    /// Some keys: of rows, and others that could be.
    fn some_keys(&self, dice: &mut Dice, rows: &[Row]) -> BTreeSet<Vec<String>> {
        let possible = ["0", "1", "2", "3", "4", "p"];
        // what NULL does is seen with many keys as well, and more often
        let count = if self.mood == Mood::Nulls { 6 } else { 3 };
        let mut keys: BTreeSet<Vec<String>> =
            (0..count).map(|_| self.key.iter().map(|_| (*dice.pick(&possible)).to_owned()).collect()).collect();
        if !rows.is_empty() {
            keys.extend(self.key_of(dice.pick(rows)));
        }
        keys
    }

    /// One change of the rows: keys that it does not affect keep their rows, and any keys have the rows they have
    /// when only what they need is there.
    ///
    /// Takes and gives the rows of the relation.
    fn check(
        &self,
        seed: u64,
        dice: &mut Dice,
        (old, before): (&State, &Found),
        new: &State,
        tally: &mut Tally,
    ) -> Option<Found> {
        let (old_rows, old_keyless) = before;
        let (new_rows, new_keyless) = self.rows(new)?;
        let context = || {
            format!("seed {seed}, key {:?}\n{:#?}\nold {old:?}\nnew {new:?}\n{:#?}", self.key, self.steps, self.reach)
        };
        let mut wanted = self.some_keys(dice, &new_rows);
        if let Some(keys) = affected(&self.reach, old, new) {
            let (before, after) = (self.with(old_rows, &keys, false), self.with(&new_rows, &keys, false));
            assert_eq!(before, after, "more keys than {keys:?} are affected\n{}", context());
            assert!(new_keyless == 0 || *old_keyless > 0, "a row without a key came unseen\n{}", context());
            tally.compared += 1;
            tally.different += usize::from(*old_rows != new_rows);
            if !keys.is_empty() && dice.chance(50) {
                wanted = keys;
            }
        } else {
            tally.any_key += 1;
        }
        let part = selected(&self.reach, &wanted, new, dice);
        let found = self.rows(&part)?.0;
        let (found, expected) = (self.with(&found, &wanted, true), self.with(&new_rows, &wanted, true));
        assert_eq!(found, expected, "{wanted:?} need more rows than {part:?}\n{}", context());
        let is_less = |name: &String| part[name.as_str()].len() < new[name.as_str()].len();
        tally.restricted += usize::from(self.reach.sources().iter().any(is_less));
        Some((new_rows, new_keyless))
    }
}

fn run_case(seed: u64, tally: &mut Tally) {
    let dice = &mut Dice(seed);
    let mood = *dice.pick(&Mood::ALL);
    let Some(case) = Case::find(dice, mood, tally) else { return };
    let sources: Vec<String> = case.reach.sources().into_iter().collect();
    let mut state = random_state(dice, mood);
    let Some(mut found) = case.rows(&state) else { return };
    for _ in 0..2 {
        let next = changed(dice, mood, &state, &sources);
        let Some(after) = case.check(seed, dice, (&state, &found), &next, tally) else { return };
        (state, found) = (next, after);
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        for (reason, count) in other.refused {
            *self.refused.entry(reason).or_default() += count;
        }
        self.any_key += other.any_key;
        self.compared += other.compared;
        self.different += other.different;
        self.restricted += other.restricted;
    }
}

/// Runs cases on two threads: in a debug build planning takes its time.
fn run_cases(seeds: std::ops::Range<u64>) -> Tally {
    let every_second = |first: usize| {
        let mut tally = Tally::default();
        seeds.clone().skip(first).step_by(2).for_each(|seed| run_case(seed, &mut tally));
        tally
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| every_second(1));
        let mut tally = every_second(0);
        match other.join() {
            Ok(other) => tally.add(other),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        tally
    })
}

#[test]
fn affected_keys_alone_give_what_everything_gives() {
    let tally = run_cases(0..100);
    assert!(tally.compared > 40 && tally.different > 8 && tally.restricted > 40, "{tally:#?}");
}

/// By hand: `cargo test --workspace --locked --lib thousands_of_relations -- --ignored`
#[test]
#[ignore = "takes minutes"]
fn thousands_of_relations_by_affected_keys() {
    let tally = run_cases(1_000..21_000);
    assert!(tally.compared > 5_000, "{tally:#?}");
}
