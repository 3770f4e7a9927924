//! The promises of the product, with a world that does its worst: a shop that loses answers, refuses,
//! goes away, and a process that dies at any step.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each test binary uses a part of it")]
mod world;

use obmen_runtime::report::{RunReport, Status};
use obmen_runtime::state::{Durability, State};
use proptest::prelude::*;
use world::{Fault, World};

fn balanced(report: &RunReport) {
    for sink in &report.sinks {
        assert!(sink.balances(), "{sink:?}");
    }
}

#[test]
fn only_what_changed_is_sent_and_nothing_twice() {
    let world = World::new();
    world.set("a", "1");
    world.set("b", "2");
    let first = world.run();
    assert_eq!((first.status, first.sinks[0].acked), (Status::Done, 2));
    assert_eq!(world.run().sinks[0].sent, 0);
    world.set("b", "3");
    let third = world.run();
    assert_eq!((third.sinks[0].sent, third.sinks[0].updates), (1, 1));
    assert_eq!(world.shop(), world.source());
}

#[test]
fn a_lost_answer_is_doubt_even_when_the_source_returns_to_the_old_value() {
    let world = World::new();
    world.set("a", "1");
    world.run();
    world.set("a", "2");
    world.fault(Fault::LoseAnswer);
    let lost = world.run();
    assert_eq!((lost.sinks[0].unknown, world.shop()["a"].as_str()), (1, "2"));
    world.set("a", "1");
    world.fault(Fault::None);
    let again = world.run();
    assert_eq!(again.sinks[0].sent, 1, "the baseline says 1, the shop has 2: it must be sent");
    assert_eq!(world.shop()["a"], "1");
    assert_eq!(world.run().sinks[0].sent, 0);
}

#[test]
fn a_create_whose_answer_was_lost_is_taken_back_when_the_row_is_gone() {
    let world = World::new();
    world.set("keep", "1");
    world.run();
    world.set("a", "1");
    world.fault(Fault::LoseAnswer);
    world.run();
    world.remove("a");
    let report = world.run();
    assert_eq!(report.sinks[0].deletes, 1);
    assert_eq!(world.shop(), world.source());
}

#[test]
fn a_refused_row_is_offered_again_and_does_not_hold_back_others() {
    let world = World::new();
    for key in 0..50 {
        world.set(&format!("k{key}"), "1");
    }
    world.fault(Fault::RefusePortionWith("k7".to_owned()));
    let report = world.run();
    assert_eq!((report.status, report.sinks[0].acked, report.sinks[0].rejected), (Status::Rejected, 49, 1));
    assert_eq!(report.sinks[0].problems[0].key["id"], "k7");
    world.fault(Fault::None);
    let report = world.run();
    assert_eq!((report.sinks[0].sent, report.sinks[0].acked), (1, 1));
    assert_eq!(world.shop(), world.source());
}

#[test]
fn a_plan_that_was_acked_as_a_whole_is_what_is_known_and_one_with_a_refused_row_is_not() {
    let world = World::new();
    let files = || {
        let state = State::open(&world.state_folder(), Durability::Scratch).unwrap();
        let scopes = state.scopes().unwrap().into_iter();
        scopes.flat_map(|(scope, ..)| state.segments(scope).unwrap()).map(|file| file.file).collect::<Vec<_>>()
    };
    for key in 0..50 {
        world.set(&format!("k{key}"), "1");
    }
    world.run();
    assert!(matches!(&files()[..], [plan] if plan.starts_with("plans/")), "nothing is written twice: {:?}", files());
    world.set("k7", "2");
    world.set("k8", "2");
    world.fault(Fault::RefusePortionWith("k7".to_owned()));
    let report = world.run();
    assert_eq!((report.sinks[0].acked, report.sinks[0].rejected), (1, 1));
    assert!(matches!(&files()[..], [_, acked] if acked.starts_with("baseline/")), "the acked row alone: {:?}", files());
    world.fault(Fault::None);
    world.later(24 * 60);
    let report = world.run();
    assert_eq!((report.sinks[0].unchanged, report.sinks[0].acked), (49, 1), "k7 is not taken for known");
    assert_eq!(world.shop(), world.source());
}

#[test]
fn a_row_refused_for_its_data_is_quarantined_after_five_times_until_it_changes() {
    let world = World::new();
    world.set("a", "1");
    world.fault(Fault::RefusePortionWith("a".to_owned()));
    for _ in 0..5 {
        assert_eq!(world.run().sinks[0].rejected, 1);
        world.later(24 * 60);
    }
    let parked = world.run();
    assert_eq!((parked.sinks[0].held_by["parked"], parked.sinks[0].sent), (1, 0));
    world.fault(Fault::None);
    world.set("a", "2");
    assert_eq!(world.run().sinks[0].acked, 1);
}

#[test]
fn a_sink_that_is_away_changes_nothing_here() {
    let world = World::new();
    world.set("a", "1");
    world.fault(Fault::Away);
    let report = world.run();
    assert_eq!((report.status, report.sinks[0].pending, report.sinks[0].sent), (Status::SinkUnavailable, 1, 0));
    balanced(&report);
    world.fault(Fault::None);
    assert_eq!(world.run().sinks[0].acked, 1);
}

#[test]
fn a_source_that_suddenly_brings_nothing_is_held() {
    let world = World::new();
    world.set("a", "1");
    world.run();
    world.remove("a");
    let report = world.run();
    assert_eq!((report.status, report.sinks[0].sent), (Status::Held, 0));
    assert_eq!(world.shop().len(), 1);
}

#[test]
fn many_deletes_are_held_until_a_person_approves_them() {
    let world = World::new();
    for key in 0..100 {
        world.set(&format!("k{key}"), "1");
    }
    world.run();
    for key in 0..30 {
        world.remove(&format!("k{key}"));
    }
    world.set("k99", "2");
    let held = world.run();
    assert_eq!((held.status, held.sinks[0].held_by["guard"], held.sinks[0].acked), (Status::Held, 30, 1));
    assert_eq!(world.shop().len(), 100);
    world.approve_holds();
    let report = world.run();
    assert_eq!((report.status, report.sinks[0].deletes), (Status::Done, 30));
    assert_eq!(world.shop(), world.source());
}

#[test]
fn an_approval_lasts_until_it_is_carried_out() {
    let world = World::new();
    for key in 0..100 {
        world.set(&format!("k{key}"), "1");
    }
    world.run();
    for key in 0..30 {
        world.remove(&format!("k{key}"));
    }
    let number = {
        world.run();
        world.open_holds()[0]
    };
    world.run();
    assert_eq!(world.open_holds(), [number], "the same changes are the same hold");
    world.approve_holds();
    world.plan();
    world.fault(Fault::Away);
    assert_eq!(world.run().status, Status::SinkUnavailable);
    world.fault(Fault::None);
    assert_eq!(world.run().sinks[0].deletes, 30);
    assert!(world.open_holds().is_empty());
}

#[test]
fn rows_that_changed_since_the_approval_are_not_sent_on_its_strength() {
    let world = World::new();
    for key in 0..100 {
        world.set(&format!("k{key}"), "1");
    }
    world.run();
    for key in 0..60 {
        world.set(&format!("k{key}"), "2");
    }
    assert_eq!(world.run().sinks[0].held_by["guard"], 60);
    world.approve_holds();
    for key in 0..55 {
        world.set(&format!("k{key}"), "3");
    }
    let report = world.run();
    assert_eq!((report.sinks[0].acked, report.sinks[0].held_by["guard"]), (5, 55));
}

#[test]
fn a_run_of_a_plan_sends_what_it_says_or_refuses() {
    let world = World::new();
    world.set("a", "1");
    let plan = world.plan();
    world.set("b", "1");
    let error = world.run_plan(&plan).unwrap_err();
    assert!(error.to_string().contains("the world moved"), "{error}");
    assert!(world.shop().is_empty());
    world.remove("b");
    assert_eq!(world.run_plan(&plan).unwrap().sinks[0].acked, 1);
}

#[test]
fn duplicate_and_missing_keys_are_invalid_and_touch_nothing() {
    let world = World::new();
    world.set("a", "1");
    world.set("b", "1");
    world.run();
    world.twice("a", "9");
    world.without_key("x");
    let report = world.run();
    assert_eq!((report.sinks[0].invalid, report.sinks[0].sent), (2, 0));
    assert_eq!(world.shop()["a"], "1");
    balanced(&report);
}

#[test]
fn a_new_column_is_held_and_can_be_adopted() {
    let world = World::new();
    for key in 0..5 {
        world.set(&format!("k{key}"), "1");
    }
    world.run();
    world.with_extra_column();
    let held = world.run();
    assert_eq!((held.status, held.sinks[0].sent, held.sinks[0].held), (Status::Held, 0, 5));
    world.adopt_holds();
    let report = world.run();
    assert_eq!((report.status, report.sinks[0].unchanged, report.sinks[0].sent), (Status::Done, 5, 0));
    assert_eq!(world.run().sinks[0].unchanged, 5);
}

#[test]
fn the_first_load_of_production_waits_for_a_person() {
    let world = World::production();
    world.set("a", "1");
    assert_eq!(world.run().status, Status::Held);
    assert!(world.shop().is_empty());
    world.approve_holds();
    assert_eq!(world.run().status, Status::Done);
    assert_eq!(world.shop(), world.source());
}

#[test]
fn bad_source_rows_suspend_deletes() {
    let world = World::new();
    world.set("a", "1");
    world.set("b", "1");
    world.run();
    world.remove("a");
    world.bad_rows(1);
    let report = world.run();
    assert_eq!((report.sinks[0].deletes, report.sinks[0].held_by["waits"]), (0, 1));
    assert_eq!(world.shop().len(), 2);
    world.bad_rows(0);
    assert_eq!(world.run().sinks[0].deletes, 1);
}

/// One thing that happens to the world.
#[derive(Clone, Debug)]
enum Turn {
    Set(u8, u8),
    Remove(u8),
    Run(Fault),
    /// Dies after so many state commits or answers.
    Crash(u8),
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let fault = prop_oneof![
        4 => Just(Fault::None),
        2 => Just(Fault::LoseAnswer),
        1 => Just(Fault::Away),
        1 => (0_u8..12).prop_map(|key| Fault::RefusePortionWith(format!("k{key}"))),
    ];
    let turn = prop_oneof![
        5 => (0_u8..12, 0_u8..4).prop_map(|(key, value)| Turn::Set(key, value)),
        2 => (0_u8..12).prop_map(Turn::Remove),
        4 => fault.prop_map(Turn::Run),
        3 => (0_u8..6).prop_map(Turn::Crash),
    ];
    proptest::collection::vec(turn, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever happened, when the world is well again the shop ends up equal to the source, and nothing more is sent.
    #[test]
    fn whatever_happens_the_shop_ends_up_equal_to_the_source(turns in turns()) {
        let world = World::new();
        world.set("anchor", "1");
        for turn in turns {
            match turn {
                Turn::Set(key, value) => world.set(&format!("k{key}"), &value.to_string()),
                Turn::Remove(key) => world.remove(&format!("k{key}")),
                Turn::Run(fault) => {
                    world.fault(fault);
                    balanced(&world.run());
                    world.later(24 * 60);
                }
                Turn::Crash(after) => {
                    world.fault(Fault::None);
                    world.crash_after(usize::from(after));
                    world.later(24 * 60);
                }
            }
        }
        world.fault(Fault::None);
        world.retry_everything();
        let report = world.run();
        balanced(&report);
        prop_assert_eq!(world.shop(), world.source());
        let last = world.run();
        prop_assert_eq!(last.sinks[0].sent, 0);
        prop_assert_eq!(last.sinks[0].unchanged, world.source().len() as u64);
    }
}
