//! A state whose files are kept in an object store: its folder holds copies, and nothing depends on them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each test binary uses a part of it")]
mod world;

use obmen_runtime::report::SinkReport;
use obmen_runtime::run::RunOptions;
use obmen_runtime::state::{Durability, State, is_state_error};
use obmen_sdk::{Error, ErrorKind};
use obmen_testkit::moto;
use obmen_testkit::store::{self, Fault, Method, Store};
use std::path::PathBuf;
use tokio::runtime::Runtime;
use world::{Fault as ShopFault, World};

/// A world whose state is kept in a store, and what somebody else keeps beside it.
struct Kept {
    world: World,
    store: Store,
    runtime: Runtime,
}

const FOREIGN: [&str; 3] = ["other/baseline/1-a.parquet", "trade/baseline/1-theirs.parquet", "trade/readme.txt"];

impl Kept {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let store = runtime.block_on(Store::start());
        for name in FOREIGN {
            runtime.block_on(store.write(name, "theirs"));
        }
        let mut world = World::new();
        world.keep_in(Some(said(&store)));
        for n in 0..40 {
            world.set(&n.to_string(), "a");
        }
        Self { world, store, runtime }
    }

    /// Names of our objects, relative to the place of `segments`.
    fn objects(&self) -> Vec<String> {
        let names = self.runtime.block_on(self.store.names());
        assert!(FOREIGN.iter().all(|foreign| names.iter().any(|name| name == foreign)), "{names:?}");
        let ours = names.into_iter().filter(|name| !FOREIGN.contains(&name.as_str()));
        ours.map(|name| name.strip_prefix("trade/").unwrap().to_owned()).collect()
    }

    /// The files the state names, but for indexes.
    fn named(&self) -> Vec<String> {
        let state = State::open(&self.world.state_folder(), Durability::Scratch).unwrap();
        state.named_files().unwrap().into_iter().filter(|name| !name.contains("index-")).collect()
    }

    /// The files of baselines.
    fn segments(&self) -> Vec<String> {
        let state = State::open(&self.world.state_folder(), Durability::Scratch).unwrap();
        let scopes = state.scopes().unwrap().into_iter();
        scopes.flat_map(|(scope, ..)| state.segments(scope).unwrap()).map(|segment| segment.file).collect()
    }

    fn copies(&self) -> Vec<PathBuf> {
        let folders = ["baseline", "plans"].map(|part| self.world.state_folder().join(part));
        folders
            .iter()
            .flat_map(|folder| std::fs::read_dir(folder).unwrap())
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    /// The machine is another one: nothing but `state.db` is left.
    fn empty_the_folder(&self) {
        self.copies().into_iter().for_each(|copy| std::fs::remove_file(copy).unwrap());
    }

    fn run(&self) -> SinkReport {
        let report = self.world.run();
        assert_eq!(report.error, None);
        report.sinks.into_iter().next().unwrap()
    }

    fn fail(&self) -> Error {
        let error = self.world.try_run(&RunOptions::default()).unwrap_err();
        assert!(is_state_error(&error), "{error:?}");
        let seen = format!("{error} {error:?}");
        assert!(!seen.contains("WORD") && !seen.contains("wrong-key"), "{seen}");
        error
    }
}

fn said(store: &Store) -> String {
    store.settings("good", "").replace("retries: 2", "retries: 0")
}

fn sent(report: &SinkReport) -> (u64, u64, u64, u64) {
    (report.creates, report.updates, report.deletes, report.acked)
}

#[test]
fn the_folder_may_be_emptied_between_runs_and_the_right_changes_are_found() {
    let kept = Kept::new();
    assert_eq!(sent(&kept.run()), (40, 0, 0, 40));
    assert_eq!(kept.objects(), kept.named());
    for round in 0..6 {
        kept.empty_the_folder();
        kept.world.set("7", &format!("b{round}"));
        kept.world.remove(&(20 + round).to_string());
        kept.world.set(&format!("new {round}"), "c");
        assert_eq!(sent(&kept.run()), (1, 1, 1, 3), "round {round}");
        assert_eq!(kept.world.shop(), kept.world.source());
    }
    kept.empty_the_folder();
    assert_eq!(sent(&kept.run()), (0, 0, 0, 0));
    assert_eq!(kept.objects(), kept.named(), "what merging left over is removed, and nothing else");
}

#[test]
fn a_plan_that_cannot_be_put_sends_nothing() {
    let kept = Kept::new();
    kept.run();
    kept.world.set("7", "b");
    kept.store.fail(Method::PUT, Fault::Status(403, None), 1);
    let error = kept.fail();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("correct `segments` in obmen.yaml"), "{error}");
    assert_eq!(kept.world.shop()["7"], "a");
    kept.store.fail(Method::HEAD, Fault::Status(403, None), 1);
    let error = kept.fail();
    assert!(error.to_string().contains("the login may write and not read"), "{error}");
    assert_eq!(kept.world.shop()["7"], "a");
    assert_eq!(sent(&kept.run()), (0, 1, 0, 1));
    kept.run();
    assert_eq!(kept.objects(), kept.named());
}

#[test]
fn rows_that_were_acked_while_the_store_was_away_are_kept_by_the_next_run() {
    let kept = Kept::new();
    kept.run();
    let before = kept.segments();
    kept.world.set("7", "b");
    // a row beside it that is not sent: the acked one becomes a file of its own
    kept.world.twice("8", "b");
    // the plan is put, what the shop acked is not
    kept.store.fail(Method::PUT, Fault::Passes, 1);
    kept.store.fail(Method::PUT, Fault::Status(500, None), 1);
    let error = kept.fail();
    assert!(error.to_string().contains("nothing is lost, run again when it answers"), "{error}");
    assert_eq!(kept.world.shop()["7"], "b");
    assert_eq!(kept.segments(), before, "nothing is named that does not stand");
    kept.empty_the_folder();
    assert_eq!(sent(&kept.run()), (0, 0, 0, 0), "it is not sent again");
    kept.run();
    assert_eq!(kept.objects(), kept.named(), "what may have been put all the same is removed");
}

#[test]
fn a_crash_between_the_shop_and_the_store_leaves_rows_in_doubt_and_no_files() {
    let kept = Kept::new();
    for steps in 1..5 {
        kept.world.set("7", &format!("b{steps}"));
        kept.world.crash_after(steps);
        kept.empty_the_folder();
        kept.run();
        assert_eq!(kept.world.shop(), kept.world.source(), "after {steps} steps");
    }
    kept.run();
    assert_eq!(kept.objects(), kept.named());
}

#[test]
fn a_copy_that_is_damaged_is_fetched_anew() {
    let kept = Kept::new();
    kept.run();
    for at in [0.0, 0.3, 0.6, 0.99] {
        for copy in kept.copies().into_iter().filter(|copy| copy.extension().is_some_and(|end| end == "parquet")) {
            let mut bytes = std::fs::read(&copy).unwrap();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "anywhere"
            )]
            let place = (bytes.len() as f64 * at) as usize;
            bytes[place] ^= 0x10;
            std::fs::write(&copy, bytes).unwrap();
        }
        kept.world.set("7", &format!("b{at}"));
        assert_eq!(sent(&kept.run()), (0, 1, 0, 1), "damage at {at}");
    }
}

#[test]
fn a_file_missing_here_and_in_the_store_is_a_damaged_state() {
    let kept = Kept::new();
    kept.run();
    kept.empty_the_folder();
    let lost = kept.segments().remove(0);
    kept.runtime.block_on(kept.store.remove(&format!("trade/{lost}")));
    let error = kept.fail();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let text = error.to_string();
    assert!(text.contains("a file of the state is damaged") && text.contains("does not have it any more"), "{text}");
    assert!(text.contains("obmen baseline forget") && text.contains("/bucket/trade"), "{text}");
    // the same for one that somebody replaced
    kept.runtime.block_on(kept.store.write(&format!("trade/{lost}"), "something else"));
    assert!(kept.fail().to_string().contains("is not what was put there"));
}

#[test]
fn a_store_that_does_not_answer_ends_the_run_before_anything_is_sent() {
    let mut kept = Kept::new();
    kept.run();
    kept.empty_the_folder();
    kept.world.set("7", "b");
    let away = store::settings(store::NOWHERE, "good", "").replace("retries: 2", "retries: 0");
    let wrong = kept.store.settings("wrong-key", "");
    let silent = said(&kept.store).replace("timeout: 30s", "timeout: 1s");
    for (segments, kind) in
        [(away, ErrorKind::Unavailable), (wrong, ErrorKind::PermissionDenied), (silent, ErrorKind::Timeout)]
    {
        if kind == ErrorKind::Timeout {
            kept.store.fail(Method::HEAD, Fault::Silent, 1);
        }
        kept.world.keep_in(Some(segments));
        let error = kept.fail();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.to_string().contains("the store of `segments` fails"), "{error}");
        assert_eq!(kept.world.shop()["7"], "a");
    }
    kept.world.keep_in(Some(said(&kept.store)));
    assert_eq!(sent(&kept.run()), (0, 1, 0, 1));
}

#[test]
fn a_state_moves_into_a_store_and_says_where_its_files_are_when_the_store_is_not_said_any_more() {
    let mut kept = Kept::new();
    kept.world.keep_in(None);
    kept.run();
    kept.world.set("7", "b");
    kept.run();
    assert_eq!(kept.objects(), Vec::<String>::new());
    kept.world.keep_in(Some(said(&kept.store)));
    kept.run();
    assert_eq!(kept.objects(), kept.named());
    kept.empty_the_folder();
    kept.world.keep_in(None);
    let error = kept.fail();
    assert!(error.to_string().contains("say `segments` again"), "{error}");
    assert!(error.to_string().contains("/bucket/trade"), "{error}");
    kept.world.keep_in(Some(said(&kept.store)));
    assert_eq!(sent(&kept.run()), (0, 0, 0, 0));
    // with everything in the folder the store is not needed
    kept.world.keep_in(None);
    assert_eq!(sent(&kept.run()), (0, 0, 0, 0));
}

#[test]
fn lost_answers_of_the_shop_are_doubts_as_ever() {
    let kept = Kept::new();
    kept.run();
    kept.world.set("7", "b");
    kept.world.fault(ShopFault::LoseAnswer);
    assert_eq!(kept.run().unknown, 1);
    kept.world.fault(ShopFault::None);
    kept.empty_the_folder();
    assert_eq!(sent(&kept.run()), (0, 1, 0, 1));
}

#[test]
fn a_server_of_somebody_else_keeps_the_files_as_well() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Some(server) = runtime.block_on(moto::Server::start()) else {
        println!("skipped: moto_server does not answer");
        return;
    };
    let mut world = World::new();
    world.keep_in(Some(store::settings(&server.address, "good", "")));
    for n in 0..40 {
        world.set(&n.to_string(), &"x".repeat(1000));
    }
    let run = |world: &World| {
        let report = sent(&world.run().sinks[0]);
        for part in ["baseline", "plans"] {
            std::fs::remove_dir_all(world.state_folder().join(part)).unwrap();
        }
        report
    };
    assert_eq!(run(&world), (40, 0, 0, 40));
    for round in 0..4 {
        world.set("7", &round.to_string());
        world.remove(&(20 + round).to_string());
        assert_eq!(run(&world), (0, 1, 1, 2));
    }
    assert_eq!(run(&world), (0, 0, 0, 0));
    assert_eq!(world.shop(), world.source());
}
