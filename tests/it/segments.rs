//! The files of a state in an object store, with the program as a person starts it.

use crate::support::{Said, Scene, count};
use obmen_testkit::store::{Fault, Method, Store};
use serde_json::Value;
use std::path::PathBuf;
use tokio::runtime::{Builder, Runtime};

const PRICES: &str = "fixtures/trade/InformationRegister_ЦеныНоменклатуры/SliceLast.csv";

/// The demo, its state kept in a store.
struct Kept {
    scene: Scene,
    store: Store,
    runtime: Runtime,
}

impl Kept {
    fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let store = runtime.block_on(Store::start());
        let scene = Scene::of_repository();
        let segments =
            format!("  demo:\n    segments: {}\n", store.settings("good", "").replace("retries: 2", "retries: 0"));
        scene.edit("pipelines/obmen.yaml", "  demo:\n", &segments);
        Self { scene, store, runtime }
    }

    fn obmen(&self, words: &str) -> Said {
        Said::from(self.scene.command(words).env("WORD", "hunter2").output().unwrap())
    }

    fn run(&self, pipeline: &str) -> Value {
        let words = format!("run {pipeline} --output json");
        self.obmen(&words).ends_with(0, &words).json()
    }

    fn copies(&self) -> Vec<PathBuf> {
        let folders = ["baseline", "plans"].map(|part| self.scene.path(".obmen/demo").join(part));
        folders
            .iter()
            .flat_map(|folder| std::fs::read_dir(folder).unwrap())
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    fn empty_the_folder(&self) {
        self.copies().into_iter().for_each(|copy| std::fs::remove_file(copy).unwrap());
    }
}

#[test]
fn nothing_is_lost_when_the_files_in_the_folder_are_removed() {
    let kept = Kept::new();
    kept.run("site_catalogue");
    kept.run("site_offers");
    kept.empty_the_folder();
    assert_eq!(count(&kept.run("site_offers"), "shop", "unchanged"), 301);
    kept.scene.edit(PRICES, ",2.70,", ",2.95,");
    kept.empty_the_folder();
    let report = kept.run("site_offers");
    assert_eq!((count(&report, "shop", "updates"), count(&report, "shop", "unchanged")), (1, 300));
    // readers fetch what they need, too
    kept.empty_the_folder();
    let journal = kept.obmen("journal site_offers --limit 1").ends_with(0, "journal");
    assert!(journal.stdout.contains("2.70 → 2.95"), "{}", journal.stdout);
    assert!(kept.copies().iter().all(|copy| copy.parent().unwrap().ends_with("plans")), "and nothing else");
    assert!(kept.runtime.block_on(kept.store.names()).iter().all(|name| name.starts_with("trade/")));
}

#[test]
fn a_store_in_trouble_is_an_error_of_the_state_that_shows_no_login() {
    let kept = Kept::new();
    kept.store.fail(Method::PUT, Fault::Status(403, None), 1);
    let said = kept.obmen("run site_catalogue").ends_with(8, "run");
    assert!(said.stderr.contains("the store of `segments` fails: the login may not do this"), "{}", said.stderr);
    assert!(said.stderr.contains("correct `segments` in obmen.yaml"), "{}", said.stderr);
    assert!(!said.stderr.contains("hunter2"), "{}", said.stderr);
    assert!(!kept.scene.path(".obmen/shop").exists(), "nothing was sent");
    // a secret that is not set is a mistake of the configuration
    let said = kept.scene.obmen("run site_catalogue").ends_with(3, "run");
    assert!(said.stderr.contains("WORD"), "{}", said.stderr);
    // so is what a variable brings
    kept.scene.edit("pipelines/obmen.yaml", "'s3://bucket/trade'", "'${env:PLACE}'");
    let mut run = kept.scene.command("run site_catalogue");
    let said =
        Said::from(run.env("WORD", "hunter2").env("PLACE", "https://host/x").output().unwrap()).ends_with(3, "run");
    assert!(said.stderr.contains("a web server can only be read"), "{}", said.stderr);
    kept.scene.edit("pipelines/obmen.yaml", "'${env:PLACE}'", "'s3://bucket/trade'");
    assert_eq!(count(&kept.run("site_catalogue"), "goods", "acked"), 301);
    let said = kept.obmen("check segments").ends_with(0, "check segments");
    assert!(said.stdout.contains("segments") && said.stdout.contains("/bucket/trade answers"), "{}", said.stdout);
    kept.store.fail(Method::HEAD, Fault::Status(403, None), 1);
    kept.obmen("check segments").ends_with(6, "check segments");
}

#[test]
fn what_segments_may_say_is_checked_without_a_network_and_known_to_editors() {
    let scene = Scene::of_repository();
    scene.edit("pipelines/obmen.yaml", "  demo:\n", "  demo:\n    segments: { path: 'https://host/x', regoin: x }\n");
    let said = scene.obmen("validate").ends_with(3, "validate");
    for expected in ["unknown field `regoin`", "a web server can only be read", "obmen.yaml:10:23"] {
        assert!(said.stderr.contains(expected), "{}", said.stderr);
    }
    let schema: Value = serde_json::from_str(&scene.obmen("schema project").stdout).unwrap();
    let segments = &schema["$defs"]["Profile"]["properties"]["segments"];
    assert_eq!(segments["required"], serde_json::json!(["path"]), "{segments:#}");
    assert!(segments["properties"]["endpoint"]["description"].is_string(), "{segments:#}");
    assert_eq!(segments["additionalProperties"], false);
}
