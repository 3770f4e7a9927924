//! Queries by chance, over relations that are given. The tests of whole runs write theirs with it too.

use std::fmt::Write;

/// Chance, the same every time.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(sides).unwrap()).unwrap()
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }

    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.roll(items.len())]
    }
}

/// What queries and rows are rich in: things that are seldom met by chance alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Nothing in particular.
    Plain,
    /// Unions, and what is made of them.
    Unions,
    /// NULLs, and what takes NULL for equal to NULL, or for a reason to know nothing.
    Nulls,
}

impl Mood {
    /// Moods, as often as they are to be.
    pub(super) const ALL: [Self; 4] = [Self::Plain, Self::Unions, Self::Nulls, Self::Nulls];

    /// Values of a hundred that are NULL.
    pub(super) fn nulls(self) -> usize {
        if self == Self::Nulls { 35 } else { 12 }
    }

    /// How many different values there are beside it.
    pub(super) fn values(self) -> usize {
        if self == Self::Nulls { 5 } else { 4 }
    }

    /// The chance of one more condition: what asks for too much finds nothing, and nothing equals nothing.
    fn more(self) -> usize {
        if self == Self::Plain { 35 } else { 12 }
    }
}

/// A relation queries can read: its name, and its columns with whether they are text.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) columns: Vec<(String, bool)>,
}

/// Writes queries.
pub(super) struct Author<'a> {
    dice: &'a mut Dice,
    mood: Mood,
    sources: Vec<Known>,
    known: Vec<Known>,
}

/// Columns that can be used at a place: how they are written, and whether they are text.
type Scope = Vec<(String, bool)>;

impl<'a> Author<'a> {
    pub(super) fn new(dice: &'a mut Dice, mood: Mood, sources: Vec<Known>) -> Self {
        Self { dice, mood, known: sources.clone(), sources }
    }

    /// Steps with names, the last of them the relation.
    pub(super) fn steps(&mut self) -> Vec<(String, String)> {
        let count = match self.mood {
            Mood::Unions => 2,
            Mood::Nulls => *self.dice.pick(&[1, 1, 1, 2]),
            Mood::Plain => *self.dice.pick(&[1, 1, 2, 2, 3]),
        };
        let steps = (0..count).map(|at| {
            let columns = if self.mood == Mood::Nulls { 2 } else { 2 + self.dice.roll(2) };
            let kinds: Vec<bool> = (0..columns).map(|at| at > 0 && self.dice.chance(20)).collect();
            let (name, text) = (format!("s{at}"), self.query(&kinds, at + 1 == count));
            let columns = kinds.iter().enumerate().map(|(at, text)| (format!("c{at}"), *text)).collect();
            // Steps are read more often than sources.
            self.known.extend(vec![Known { name: name.clone(), columns }; 3]);
            (name, text)
        });
        steps.collect()
    }

    /// A query whose columns are `c0`, `c1`…: text where `kinds` says so.
    fn query(&mut self, kinds: &[bool], is_last: bool) -> String {
        if self.mood == Mood::Nulls && self.dice.chance(25) {
            let word = self.dice.pick(&["EXCEPT", "INTERSECT"]);
            return format!("{} {word} {}", self.bare(kinds), self.bare(kinds));
        }
        let first = self.select(kinds);
        // A union says most where another step reads it.
        let union = match self.mood {
            Mood::Unions if is_last => 5,
            Mood::Unions => 85,
            Mood::Nulls => 8,
            Mood::Plain => 18,
        };
        let roll = self.dice.roll(100);
        if roll < union {
            let all = if self.dice.chance(65) { " ALL" } else { "" };
            return format!("{first} UNION{all} {}", self.select(kinds));
        }
        match roll - union {
            0..3 => format!("{first} EXCEPT {}", self.select(kinds)),
            3..6 => format!("{first} INTERSECT {}", self.select(kinds)),
            6 => format!("{first} ORDER BY c0 LIMIT 1"),
            _ => first,
        }
    }

    /// Columns of one relation as they are.
    fn bare(&mut self, kinds: &[bool]) -> String {
        let Known { name, columns } = self.dice.pick(&self.known).clone();
        let first = columns.iter().find(|(_, text)| !text).cloned();
        let one = |(at, text): (usize, &bool)| match &first {
            Some((first, _)) if at == 0 => format!("{first} AS c0"),
            _ => format!("{} AS c{at}", self.column(&columns, *text)),
        };
        let columns: Vec<String> = kinds.iter().enumerate().map(one).collect();
        format!("SELECT {} FROM {name}", columns.join(", "))
    }

    fn select(&mut self, kinds: &[bool]) -> String {
        let (mut from, mut scope, mut conditions) = (String::new(), Scope::new(), Vec::new());
        let last = self.known.last().filter(|known| self.mood == Mood::Unions && !self.is_source(known)).cloned();
        let items = match self.mood {
            Mood::Unions if last.is_some() => *self.dice.pick(&[2, 2, 2, 3]),
            Mood::Unions => *self.dice.pick(&[1, 1, 2]),
            Mood::Nulls => *self.dice.pick(&[1, 2, 2]),
            Mood::Plain => *self.dice.pick(&[1, 2, 2, 3, 3, 4]),
        };
        for item in 0..items {
            let known = match &last {
                Some(last) if item == 0 => last.clone(),
                Some(_) => self.dice.pick(&self.sources).clone(),
                None => self.dice.pick(&self.known).clone(),
            };
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
                let join = self.join(&scope, &new);
                write!(from, " {} {table} ON {}", join.0, join.1).unwrap();
            }
            scope.extend(new);
        }
        if self.mood == Mood::Nulls && self.dice.chance(40) {
            conditions.push(self.not_in(&scope));
        }
        while self.dice.chance(self.mood.more()) {
            conditions.push(self.condition(&scope));
        }
        let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        self.output(kinds, &scope, &format!("FROM {from}{filter}"))
    }

    /// The first number is the key, and others are compared: a key that is NULL is none.
    fn is_plainly_put(&mut self) -> bool {
        self.mood != Mood::Plain && self.dice.chance(80)
    }

    fn is_source(&self, known: &Known) -> bool {
        self.sources.iter().any(|source| source.name == known.name)
    }

    /// A kind of join, and its condition.
    fn join(&mut self, scope: &Scope, new: &Scope) -> (&'static str, String) {
        let kind = *self.dice.pick(&["JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
        let kind = if kind == "FULL JOIN" && self.dice.chance(70) { "LEFT JOIN" } else { kind };
        let kind = if self.mood != Mood::Plain && self.dice.chance(80) { "LEFT JOIN" } else { kind };
        let mut on = self.on(scope, new);
        while self.dice.chance(self.mood.more()) {
            write!(on, " AND {}", self.on(scope, new)).unwrap();
        }
        if self.dice.chance(self.mood.more() / 2) {
            let all: Scope = scope.iter().chain(new).cloned().collect();
            write!(on, " AND {}", self.condition(&all)).unwrap();
        }
        (kind, on)
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
            let expr = match (at < grouped, first_number(scope)) {
                (true, Some(first)) if at == 0 && self.is_plainly_put() => first.to_owned(),
                (true, _) => self.value(scope, *text, style >= 33),
                (false, _) => self.total(scope, *text),
            };
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
                let (inner, on, id) = self.correlated(scope);
                let what = self.dice.pick(&["count(*)", "max", "sum"]);
                let what = if *what == "count(*)" { (*what).to_owned() } else { format!("{what}({id})") };
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

    /// A source, a condition between it and the outer query, and its first number.
    fn correlated(&mut self, scope: &Scope) -> (String, String, String) {
        let (name, inner, id) = self.inner();
        let mut on = self.on(scope, &inner);
        if self.dice.chance(20) {
            write!(on, " AND {}", self.simple(&inner)).unwrap();
        }
        (name, on, id)
    }

    /// A source as a subquery reads it.
    fn inner(&mut self) -> (String, Scope, String) {
        let Known { name, columns } = self.dice.pick(&self.sources).clone();
        let inner: Scope = columns.into_iter().map(|(name, text)| (format!("z.{name}"), text)).collect();
        let id = first_number(&inner).unwrap_or("1").to_owned();
        (name, inner, id)
    }

    /// What joins two sides: most often that columns are equal.
    fn on(&mut self, scope: &Scope, new: &Scope) -> String {
        let text = scope.iter().chain(new).any(|(_, text)| *text) && self.dice.chance(15);
        let others: Scope = scope.iter().skip(usize::from(self.is_plainly_put())).cloned().collect();
        let (left, right) = (self.column(&others, text), self.column(new, text));
        let same = if self.mood == Mood::Nulls { 60 } else { 3 };
        match self.dice.roll(100) {
            0..5 => format!("{left} <= {right}"),
            roll if roll < 5 + same => format!("{left} IS NOT DISTINCT FROM {right}"),
            roll if roll % 2 == 0 => format!("{right} = {left}"),
            _ => format!("{left} = {right}"),
        }
    }

    fn not_in(&mut self, scope: &Scope) -> String {
        let (name, inner, _) = self.inner();
        let others: Scope = scope.iter().skip(usize::from(self.is_plainly_put())).cloned().collect();
        format!("{} NOT IN (SELECT {} FROM {name} AS z)", self.column(&others, false), self.column(&inner, false))
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
        let (inner, on, id) = self.correlated(scope);
        let column = self.column(scope, false);
        match roll {
            60..70 => format!("EXISTS (SELECT 1 FROM {inner} AS z WHERE {on})"),
            70..80 => format!("NOT EXISTS (SELECT 1 FROM {inner} AS z WHERE {on})"),
            80..86 => format!("({column} = 1 OR EXISTS (SELECT 1 FROM {inner} AS z WHERE {on}))"),
            86..92 => format!("{column} IN (SELECT {id} FROM {inner} AS z)"),
            92 => self.not_in(scope),
            93..95 => format!("{column} <= (SELECT max({id}) FROM {inner} AS z)"),
            _ => format!("{column} IN (SELECT {id} FROM {inner} AS z WHERE {on})"),
        }
    }
}

fn first_number(scope: &Scope) -> Option<&str> {
    scope.iter().find(|(_, text)| !text).map(|(name, _)| name.as_str())
}
