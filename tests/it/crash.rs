//! A load that is killed again and again, into a shop that misbehaves, ends with the shop equal to the source.
//!
//! The suite kills 12 times a load of 2 000 goods. The full size is asked for by the environment:
//!
//! ```sh
//! OBMEN_CRASH_ROWS=50000 OBMEN_CRASH_KILLS=100 cargo test --release --test it crash
//! ```
//!
//! What is killed when is tossed from a seed that is printed; `OBMEN_CRASH_SEED` repeats the tossing (not the timing).
#![cfg(unix)]

use crate::support::{Said, Sandbox, Scene, count, counters_balance};
use obmen_sandbox::{Misbehaviour, ShopFault};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const PIPELINE: &str = "\
pipeline: load
sources:
  items:
    connection: base
    entity: items
    columns: { id: string, name: string, price: \"decimal(15,2)\", quantity: \"decimal(15,3)\" }
    key: [id]
steps:
  goods: SELECT id, name FROM items
  offers: SELECT id, name FROM items
  prices: SELECT id, 'Розничная' AS price_type, price, 'RUB' AS currency FROM items
  stock: SELECT id, 'Основной' AS warehouse, quantity FROM items
sinks:
  goods:
    connection: shop
    entity: goods
    from: goods
    key: [id]
    deletes: mark
    guard: { deletes: off, updates: off }
  offers:
    connection: shop
    entity: offers
    from: offers
    key: [id]
    children:
      prices: { from: prices, by: [id], key: [price_type] }
      stock: { from: stock, by: [id], key: [warehouse] }
    after: { sink: goods, by: [id] }
    deletes: mark
    guard: { deletes: off, updates: off }
";

const SINKS: [&str; 2] = ["goods", "offers"];

#[test]
fn a_load_killed_at_any_moment_loses_and_repeats_nothing() {
    let (rows, kills) = (setting("OBMEN_CRASH_ROWS", 2_000), setting("OBMEN_CRASH_KILLS", 12));
    let seed = setting("OBMEN_CRASH_SEED", 20_261_122);
    println!("{rows} goods, {kills} kills, seed {seed}");
    let mut trial = Trial::new(rows, seed);
    trial.sandbox.misbehave(misbehaviour(seed));
    let mut killed = 0;
    for attempt in 0.. {
        assert!(attempt < 4 * kills, "only {killed} of {attempt} runs lived long enough to be killed");
        match trial.run_and_kill() {
            None => killed += 1,
            Some(said) => {
                // It ended before its time: balanced, and with more to do the next time.
                counters_balance(&said.json());
                trial.source.change(rows / 5);
            }
        }
        if killed == kills {
            break;
        }
        trial.source.change(rows / 30);
        trial.write_source();
    }
    trial.sandbox.misbehave(Vec::new());
    trial.finish();
    trial.the_shop_equals_the_source();
    trial.was_hard();
}

#[test]
fn a_value_that_came_back_after_a_lost_answer_is_sent_back_too() {
    let mut trial = Trial::new(1, 1);
    trial.set("good-000000", 100);
    trial.finish();
    trial.scene.edit("pipelines/obmen.yaml", "retries: 1", "retries: 0");
    trial.set("good-000000", 200);
    // Goods, then offers, each `progress` and then done: the fourth answer is the last word about the offers.
    trial.sandbox.misbehave(vec![ShopFault::new(Misbehaviour::LoseAnswer).on("import").nth(4)]);
    let report = trial.report(1);
    assert_eq!(count(&report, "offers", "unknown"), 1, "{report:#}");
    assert_eq!(trial.prices(), ["2.00"], "the shop took it, and nobody knows");
    trial.sandbox.misbehave(Vec::new());
    trial.set("good-000000", 100);
    let report = trial.report(0);
    assert_eq!([count(&report, "offers", "sent"), count(&report, "offers", "acked")], [1, 1], "{report:#}");
    assert_eq!(trial.prices(), ["1.00"]);
}

/// Everything a shop does wrong on bad days, each at some share of its requests.
fn misbehaviour(seed: u64) -> Vec<ShopFault> {
    let faults = [
        (Misbehaviour::LoseAnswer, "import", 0.08),
        (Misbehaviour::LoseAnswer, "file", 0.04),
        (Misbehaviour::DropInChunk, "file", 0.04),
        (Misbehaviour::Failure, "import", 0.03),
        (Misbehaviour::Unavailable, "init", 0.03),
    ];
    let seeded = faults.into_iter().zip(seed..);
    seeded.map(|((kind, on, share), seed)| ShopFault::new(kind).on(on).probability(share, seed)).collect()
}

/// A project, its shop and its source, and what has happened so far.
struct Trial {
    scene: Scene,
    sandbox: Sandbox,
    source: Source,
    runs: u64,
}

impl Trial {
    fn new(rows: u64, seed: u64) -> Self {
        let (scene, sandbox) = (Scene::empty(), Sandbox::shop_only());
        let shop = sandbox.shop_connection(&format!("retries: 1, portion: {}", (rows / 20).clamp(50, 1000)));
        let base = "{ type: files, path: ../data, format: csv }";
        scene.write(
            "pipelines/obmen.yaml",
            &format!("project: crash\nprofiles:\n  shop:\n    base: {base}\n    shop: {shop}\n"),
        );
        scene.write("pipelines/load.yaml", PIPELINE);
        let trial = Self { scene, sandbox, source: Source::of(rows, seed), runs: 0 };
        trial.write_source();
        trial
    }

    fn write_source(&self) {
        self.scene.write("data/items.csv", &self.source.csv());
    }

    fn set(&mut self, id: &str, kopecks: u64) {
        self.source.goods.insert(id.to_owned(), (kopecks, 5));
        self.write_source();
    }

    fn prices(&self) -> Vec<String> {
        self.sandbox.rows("SELECT price FROM prices")
    }

    /// The next run, a day after the one before: what was refused is offered again by then.
    fn words(&mut self) -> String {
        self.runs += 1;
        let (month, day) = (1 + self.runs / 28, 1 + self.runs % 28);
        format!("load --as-of 2027-{month:02}-{day:02}T10:00:00Z")
    }

    /// A run that is left alone and ends with this code.
    fn report(&mut self, code: i32) -> serde_json::Value {
        let words = self.words();
        self.scene.run(code, &words)
    }

    /// Starts a run and kills it at some moment; what it said, if it ended before.
    fn run_and_kill(&mut self) -> Option<Said> {
        let words = format!("run {} --output json", self.words());
        let moment = Moment::toss(&mut self.source.dice, self.sandbox.requests("%"));
        let mut child = self.scene.command(&words).spawn().unwrap();
        let started = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if moment.has_come(started.elapsed(), &self.sandbox) {
                std::thread::sleep(moment.rest());
                // SIGKILL: nobody can do anything about it.
                child.kill().unwrap();
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let said = Said::from(child.wait_with_output().unwrap());
        match said.code {
            None => None,
            Some(0 | 1 | 7) => Some(said),
            Some(_) => panic!("{}\n{}", said.stdout, said.stderr),
        }
    }

    /// Runs until there is nothing left to do; the last run sends nothing.
    fn finish(&mut self) {
        for _ in 0..10 {
            let words = format!("run {} --output json", self.words());
            let said = self.scene.obmen(&words);
            let report = said.json();
            counters_balance(&report);
            let sent: u64 = SINKS.iter().map(|name| count(&report, name, "sent")).sum();
            if said.code == Some(0) && sent == 0 {
                for name in SINKS {
                    assert_eq!(count(&report, name, "read"), count(&report, name, "unchanged"), "{report:#}");
                }
                return;
            }
        }
        panic!("ten runs into a shop that behaves were not enough");
    }

    fn the_shop_equals_the_source(&self) {
        let there = self.sandbox.rows(
            "SELECT goods.id, goods.name, price, stock.quantity FROM goods
             JOIN offers ON offers.id = goods.id JOIN prices ON prices.offer = goods.id JOIN stock ON stock.offer = goods.id
             WHERE goods.active AND NOT goods.deleted AND offers.active",
        );
        let row = |(id, (kopecks, quantity)): (&String, &(u64, u64))| {
            format!("{id}|Товар {id} по {kopecks}|{}.{:02}|{quantity}", kopecks / 100, kopecks % 100)
        };
        let expected: Vec<String> = self.source.goods.iter().map(row).collect();
        assert!(there == expected, "the shop has {} goods, the source {}", there.len(), expected.len());
        for table in ["goods", "offers"] {
            let active = self.sandbox.number(&format!("SELECT count(*) FROM {table} WHERE active"));
            assert_eq!(active, u64::try_from(expected.len()).unwrap(), "{table}");
        }
    }

    /// Some of the kills hit loads under way, and some answers were lost: otherwise nothing was tried.
    fn was_hard(&self) {
        let journal = self.scene.json(0, &format!("journal load --limit {}", 2 * self.source.next));
        let changes = journal["changes"].as_array().unwrap();
        for outcome in ["lost", "acked"] {
            assert!(changes.iter().any(|change| change["outcome"] == outcome), "no row is {outcome}");
        }
    }
}

/// When a run is killed.
enum Moment {
    /// So long after its start: often before anything is sent.
    After(Duration),
    /// When the shop has had so many requests in all, and a little later.
    Requests(u64, Duration),
}

impl Moment {
    fn toss(dice: &mut Dice, requests: u64) -> Self {
        match dice.below(5) {
            0 => Self::After(Duration::from_millis(dice.below(900))),
            _ => Self::Requests(requests + 1 + dice.below(40), Duration::from_millis(dice.below(25))),
        }
    }

    fn has_come(&self, elapsed: Duration, sandbox: &Sandbox) -> bool {
        match self {
            Self::After(length) => elapsed >= *length,
            Self::Requests(number, _) => sandbox.requests("%") >= *number,
        }
    }

    fn rest(&self) -> Duration {
        match self {
            Self::After(_) => Duration::ZERO,
            Self::Requests(_, rest) => *rest,
        }
    }
}

/// What the source has: price in kopecks and quantity by id.
struct Source {
    goods: BTreeMap<String, (u64, u64)>,
    next: u64,
    dice: Dice,
}

impl Source {
    fn of(rows: u64, seed: u64) -> Self {
        let mut source = Self { goods: BTreeMap::new(), next: 0, dice: Dice(seed) };
        (0..rows).for_each(|_| source.add());
        source
    }

    fn add(&mut self) {
        let id = format!("good-{:06}", self.next);
        self.goods.insert(id, (101 + self.dice.below(90_000), 1 + self.dice.below(500)));
        self.next += 1;
    }

    /// Gives so many goods another price, takes two away, adds two.
    fn change(&mut self, goods: u64) {
        for _ in 0..goods {
            let id = format!("good-{:06}", self.dice.below(self.next));
            let price = 101 + self.dice.below(90_000);
            if let Some(good) = self.goods.get_mut(&id) {
                good.0 = price;
            }
        }
        for _ in 0..2 {
            self.goods.remove(&format!("good-{:06}", self.dice.below(self.next)));
            self.add();
        }
    }

    fn csv(&self) -> String {
        let mut text = "id,name,price,quantity\n".to_owned();
        for (id, (kopecks, quantity)) in &self.goods {
            let price = format!("{}.{:02}", kopecks / 100, kopecks % 100);
            writeln!(text, "{id},Товар {id} по {kopecks},{price},{quantity}").unwrap();
        }
        text
    }
}

/// Numbers that look tossed, the same for the same seed (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}

#[expect(clippy::disallowed_methods, reason = "the size of this test is asked for by the environment")]
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a whole number")))
}
