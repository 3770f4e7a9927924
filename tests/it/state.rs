//! What is remembered survives a second run beside the first, Ctrl-C and a full disk.
#![cfg(unix)]

use crate::support::{Said, Sandbox, Scene, count};
use obmen_sandbox::{Misbehaviour, ShopFault};
use serde_json::Value;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const RUN: &str = "run site_catalogue --profile sandbox --output json";

#[test]
fn a_second_run_is_told_who_holds_the_state_and_readers_are_not() {
    let scene = Scene::of_repository();
    let sandbox = Sandbox::of(&scene);
    sandbox.misbehave(vec![ShopFault::new(Misbehaviour::Slow).on("checkauth").delay_ms(6_000).times(1)]);
    let mut first = scene.command(RUN).spawn().unwrap();
    let note = scene.path(".obmen/sandbox/lock.txt");
    wait_until(&mut first, || std::fs::read_to_string(&note).is_ok_and(|text| text.contains("site_catalogue")));

    let second = scene.obmen(RUN);
    assert_eq!(second.code, Some(8), "{}", second.stderr);
    for expected in ["obmen run site_catalogue", &format!("process {}", first.id())] {
        assert!(second.stderr.contains(expected), "{}", second.stderr);
    }
    for reader in ["queue list", "hold list", "runs", "journal"] {
        scene.obmen(&format!("{reader} --profile sandbox")).ends_with(0, reader);
    }
    // The other profile has a state of its own.
    scene.run(0, "site_catalogue --profile demo");
    assert!(first.try_wait().unwrap().is_none(), "the first run is still at work");
    let first = Said::from(first.wait_with_output().unwrap()).ends_with(0, RUN).json();
    assert_eq!(count(&first, "goods", "acked"), 301);
}

#[test]
fn ctrl_c_stops_after_the_request_under_way_and_the_next_run_goes_on() {
    let scene = Scene::of_repository();
    let sandbox = Sandbox::of(&scene);
    scene.edit("pipelines/obmen.yaml", "import_pause: 5ms", "import_pause: 5ms, portion: 50");
    sandbox.misbehave(vec![ShopFault::new(Misbehaviour::Slow).on("import").delay_ms(300)]);
    let mut child = scene.command(RUN).spawn().unwrap();
    wait_until(&mut child, || sandbox.requests("import") >= 3);
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    let said = Said::from(child.wait_with_output().unwrap()).ends_with(130, RUN);
    let report = said.json();
    assert_eq!(report["status"], "interrupted");
    let pending = total(&report, "pending");
    assert!(pending > 0 && total(&report, "acked") > 0, "{report:#}");
    assert_eq!(sandbox.number("SELECT count(*) FROM goods WHERE active") + total_waiting(&report), 301);

    sandbox.misbehave(Vec::new());
    let report = scene.run(0, "site_catalogue --profile sandbox");
    assert!(total(&report, "sent") >= pending && total(&report, "unchanged") > 0, "{report:#}");
    assert_eq!(sandbox.number("SELECT count(*) FROM goods WHERE active"), 301);
    assert_eq!(total(&scene.run(0, "site_catalogue --profile sandbox"), "sent"), 0);
}

/// `ulimit -f` stands for a disk without room: no file grows beyond the limit, writing answers with an error.
#[test]
fn a_full_disk_leaves_what_was_known_readable() {
    let scene = Scene::of_repository();
    let sandbox = Sandbox::of(&scene);
    scene.run(0, "site_catalogue --profile sandbox");
    let known = |what: &str| {
        let document = scene.json(0, what);
        let list = document.as_object().unwrap().values().find_map(Value::as_array).unwrap();
        list.len()
    };
    let offers = |scene: &Scene, blocks: u32| {
        let mut command = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_obmen"), "--profile", "sandbox", "run", "site_offers"]);
        scene.prepare(&mut command);
        Said::from(command.output().unwrap())
    };
    let mut refused = 0;
    for blocks in [0, 1, 8, 32, 96, 256] {
        let said = offers(&scene, blocks);
        refused += u32::from(said.code != Some(0));
        if said.code != Some(0) {
            assert_eq!(said.code, Some(8), "{blocks}: {said:?}");
            assert!(!said.stderr.contains("panicked") && !said.stderr.is_empty(), "{blocks}: {said:?}");
        }
        assert_eq!(known("baseline show site_catalogue goods --limit 1000 --profile sandbox"), 301, "{blocks}");
        assert_eq!(known("journal site_catalogue --sink goods --limit 1000 --profile sandbox"), 301, "{blocks}");
    }
    assert!(refused >= 2, "the limits did not bite");
    let said = scene.obmen("run site_offers --profile sandbox");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(sandbox.number("SELECT count(*) FROM offers WHERE active"), 301);
    assert_eq!(count(&scene.run(0, "site_offers --profile sandbox"), "shop", "unchanged"), 301);
    assert_eq!(total(&scene.run(0, "site_catalogue --profile sandbox"), "sent"), 0);
}

fn total(report: &Value, counter: &str) -> u64 {
    report["sinks"].as_array().unwrap().iter().map(|sink| sink[counter].as_u64().unwrap()).sum()
}

/// Goods the shop does not have yet.
fn total_waiting(report: &Value) -> u64 {
    count(report, "goods", "read") - count(report, "goods", "acked")
}

/// Waits for something to happen while a run is at work.
fn wait_until(child: &mut Child, happened: impl Fn() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended too early");
        assert!(started.elapsed() < Duration::from_mins(1), "nothing happened for a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}
