//! The program as scripts see it: exit codes, what is on stdout and on stderr, JSON.

use obmen_runtime::state::StateLock;
use serde_json::Value;
use std::io::Read;
#[cfg(unix)]
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
#[cfg(unix)]
use std::process::Child;
use std::process::{Command, Output, Stdio};
#[cfg(unix)]
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PROJECT: &str = "\
project: it
profile: demo
profiles:
  demo:
    base: { type: files, path: ../data, format: csv }
    shop: { type: files, path: ../out, format: jsonl }
  real:
    production: true
    base: { type: files, path: ../data, format: csv }
    shop: { type: files, path: ../out, format: jsonl }
  dead:
    base: { type: odata, url: \"http://127.0.0.1:PORT/trade\", user: u, password: \"${env:IT_PASSWORD}\", retries: 0 }
    shop: { type: files, path: ../out, format: jsonl }
  away:
    base: { type: files, path: ../data, format: csv }
    shop: { type: commerceml, url: \"http://127.0.0.1:PORT/1c_exchange\", user: u, retries: 0, connect_timeout: 1s }
";

const PIPELINE: &str = "\
pipeline: goods
vars:
  least: { type: int, default: 0 }
sources:
  items:
    connection: base
    entity: Catalog_Items
    columns: { id: string, name: string, price: \"decimal(15,2)\" }
    key: [id]
steps:
  priced: |
    SELECT id, name, price FROM items WHERE price >= $least
checks:
  - { of: priced, name: has a name, expect: \"name IS NOT NULL\" }
sinks:
  shop:
    connection: shop
    entity: ENTITY
    from: priced
    key: [id]
    deletes: DELETES
";

/// A project in a folder of its own.
struct Project(TempDir);

impl Project {
    /// Forty items, one pipeline that sends them as JSON lines.
    fn new() -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        project.write("pipelines/obmen.yaml", &PROJECT.replace("PORT", "1"));
        project.write("pipelines/goods.yaml", &PIPELINE.replace("ENTITY", "goods").replace("DELETES", "ignore"));
        project.items(40, "4.70");
        project
    }

    /// The same, with a sink that deletes what is gone.
    fn deleting() -> Self {
        let project = Self::new();
        let scope = "delete\n    scope: \"price >= $least\"";
        project.write("pipelines/goods.yaml", &PIPELINE.replace("ENTITY", "goods").replace("DELETES", scope));
        project
    }

    fn items(&self, count: usize, price: &str) {
        let rows: Vec<String> = (1..=count).map(|id| format!("A-{id},товар {id},{price}\n")).collect();
        self.write("data/Catalog_Items.csv", &format!("id,name,price\n{}", rows.concat()));
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        obmen(self.0.path(), line)
    }

    fn run(&self, line: &str) -> Ended {
        Ended::of(line, self.command(line).output().unwrap())
    }
}

/// The program, called in a folder with nothing of the machine's own settings.
fn obmen(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_obmen"));
    command.current_dir(folder).args(line.split_whitespace());
    for variable in
        ["OBMEN_LANG", "OBMEN_LOG", "OBMEN_SECRETS", "NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "IT_PASSWORD"]
    {
        command.env_remove(variable);
    }
    command
}

/// How a call ended.
struct Ended {
    line: String,
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ended {
    fn of(line: &str, output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { line: line.to_owned(), code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "obmen {}\n{}\n{}", self.line, self.out, self.err);
        self
    }

    #[track_caller]
    fn says(self, words: &str) -> Self {
        assert!(self.out.contains(words) || self.err.contains(words), "no `{words}`:\n{}\n{}", self.out, self.err);
        self
    }

    /// Stdout is one line of JSON and nothing else.
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{}", self.out);
        serde_json::from_str(&self.out).unwrap()
    }
}

#[test]
fn a_new_project_works_at_once_and_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let call = |inside: &str, line: &str| Ended::of(line, obmen(&folder.path().join(inside), line).output().unwrap());
    call("", "init shop").with(0).says("obmen test").says("obmen plan price_changes").says("obmen run price_changes");
    call("", "init shop").with(2).says("obmen.yaml");
    call("shop", "validate").with(0).says("no mistakes in 3 files");
    call("shop", "test").with(0).says("2 tests passed");
    let first = call("shop", "run price_changes --output json").with(0).json();
    assert_eq!(first["sinks"][0]["acked"], 4, "{first}");
    let second = call("shop", "run price_changes --output json").with(0).json();
    assert_eq!((&second["sinks"][0]["sent"], &second["sinks"][0]["unchanged"]), (&Value::from(0), &Value::from(4)));
}

#[test]
fn mistakes_on_the_command_line_end_with_2() {
    let project = Project::new();
    for line in [
        "",
        "rnu",
        "run",
        "run goods --var least",
        "run goods --output junit",
        "queue",
        "hold approve 1",
        "crosswalk list",
    ] {
        let ended = project.run(line).with(2);
        assert!(ended.out.is_empty() && !ended.err.is_empty(), "{line}");
    }
    project.run("run gods").with(2).says("did you mean `goods`?");
    project.run("run goods --profile demmo").with(2).says("did you mean `demo`?");
    project.run("run goods --var leest=1").with(2).says("least");
    project.run("run goods --var least=many").with(2).says("whole number");
    project.run("run goods --plan 01J").with(2).says("there is no plan");
    project.run("explain unknown-feild").with(2).says("unknown-field");
    project.run("preview goods prised").with(2).says("did you mean `priced`?");
    project.run("--project nowhere validate").with(2).says("obmen init");
    project.run("serve").with(2).says("not available yet");
    project.run("--version").with(0).says("obmen ");
    project.run("--help").with(0).says("Exit codes");
}

#[test]
fn a_run_ends_with_one_json_document_that_balances() {
    let project = Project::new();
    let ended = project.run("run goods --output json").with(0);
    let report = ended.json();
    assert!(ended.err.is_empty(), "{}", ended.err);
    for (name, value) in [("pipeline", "goods"), ("profile", "demo"), ("status", "done")] {
        assert_eq!(report[name], value);
    }
    let source = &report["sources"][0];
    assert_eq!((&source["source"], &source["rows"], &source["mode"]), (&"items".into(), &40.into(), &"full".into()));
    let sink = &report["sinks"][0];
    let count = |name: &str| sink[name].as_u64().unwrap_or_else(|| panic!("{name} in {sink}"));
    assert_eq!(count("read"), count("unchanged") + count("invalid") + count("held") + count("due"));
    assert_eq!(count("due"), count("sent") + count("pending"));
    assert_eq!(count("sent"), count("acked") + count("accepted") + count("rejected") + count("unknown"));
    assert_eq!((count("creates"), count("updates"), count("deletes"), count("acked")), (40, 0, 0, 40));
    assert!(count("loads") > 0 && count("requests") > 0 && sink["held_by"].is_object() && sink["scope"] == "all");
}

#[test]
fn a_plan_shows_old_and_new_and_is_sent_exactly_or_not_at_all() {
    let project = Project::new();
    project.items(15, "4.70");
    project.run("run goods").with(0);
    project.run("plan goods --detailed-exitcode").with(0);
    project.items(15, "4.90");
    project.run("plan goods --detailed-exitcode").with(4).says("price 4.70 → 4.90").says("--plan");
    let plan = project.run("plan goods --output json").with(0).json();
    let sink = &plan["sinks"][0];
    assert_eq!((&sink["creates"], &sink["updates"], &sink["deletes"]), (&0.into(), &15.into(), &0.into()), "{plan}");
    let change = &sink["changes"][0];
    assert_eq!(
        (&change["op"], &change["columns"]),
        (&"update".into(), &serde_json::json!({ "price": ["4.70", "4.90"] }))
    );
    assert!(change["key"]["id"].as_str().is_some_and(|id| id.starts_with("A-")));
    let id = plan["plan"].as_str().unwrap();
    project.items(15, "5.00");
    project.run(&format!("run goods --plan {id}")).with(5).says("the world moved");
    project.items(15, "4.90");
    let again = project.run("plan goods --output json").json();
    project.run(&format!("run goods --plan {}", again["plan"].as_str().unwrap())).with(0);
    project.run("run goods --shadow").with(0).says("nothing was sent");
}

#[test]
fn a_guard_holds_until_a_named_person_decides() {
    let project = Project::deleting();
    project.run("run goods").with(0);
    project.items(5, "4.70");
    project.run("run goods").with(5).says("obmen hold show").says("guard");
    let holds = project.run("hold list --output json").with(0).json();
    let hold = &holds["holds"][0];
    assert_eq!(
        (&hold["reason"], &hold["state"], &hold["rows"]),
        (&"deletes".into(), &"open".into(), &35.into()),
        "{holds}"
    );
    let id = &hold["hold"];
    project.run(&format!("hold show {id}")).with(0).says("- A-40");
    project.run(&format!("hold approve {id}")).with(2).says("--by");
    project.run(&format!("hold approve {id} --by Anna --adopt")).with(2).says("first load");
    project.run("hold approve 999 --by Anna").with(2);
    project.run(&format!("hold approve {id} --by Anna")).with(0).says("approved");
    let report = project.run("run goods --output json").with(0).json();
    assert_eq!(report["sinks"][0]["deletes"], 35);
    project.run("hold list").with(0).says("nothing is held");
}

#[test]
fn an_empty_memory_of_a_real_target_is_held_until_somebody_takes_the_word_for_it() {
    let project = Project::new();
    project.run("--profile real run goods").with(5).says("obmen --profile real hold show");
    project.run("--profile real baseline assume goods shop --by Anna").with(0).says("40 rows");
    let report = project.run("--profile real run goods --output json").with(0).json();
    assert_eq!((&report["sinks"][0]["sent"], &report["sinks"][0]["unchanged"]), (&0.into(), &40.into()));
    project.run("--profile real baseline forget goods shop").with(2);
    project.run("--profile real baseline forget goods shop --key A-7 --by Anna").with(0).says("1 row");
    let report = project.run("--profile real run goods --output json").json();
    assert_eq!(report["sinks"][0]["sent"], 1, "{report}");
    let shown = project.run("--profile real baseline show goods shop --key A-7 --output json").with(0).json();
    assert_eq!(shown["rows"][0]["price"], "4.70", "{shown}");
}

#[test]
fn what_was_sent_is_in_the_journal_and_what_ran_in_the_runs() {
    let project = Project::new();
    project.run("journal").with(0).says("nothing was sent");
    project.run("runs").with(0);
    project.run("run goods").with(0);
    let journal = project.run("journal goods --key A-7 --output json").with(0).json();
    let change = &journal["changes"][0];
    assert_eq!(
        (&change["op"], &change["outcome"], &change["key"]["id"]),
        (&"create".into(), &"acked".into(), &"A-7".into())
    );
    assert_eq!(journal["changes"].as_array().unwrap().len(), 1);
    assert_eq!(project.run("journal --limit 7").with(0).says("there are more").out.lines().count(), 7);
    project.run("journal gods").with(2).says("did you mean `goods`?");
    project.run("journal --since later").with(2);
    project.run("journal --since 2999-01-01").with(0).says("nothing was sent");
    let runs = project.run("runs goods --output json").json();
    let id = runs["runs"][0]["run"].as_str().unwrap();
    assert_eq!(project.run(&format!("runs show {id} --output json")).with(0).json()["report"]["status"], "done");
    project.run("queue list goods").with(0).says("nothing waits");
    project.run("explain row goods shop A-7").with(0).says("товар 7");
}

#[test]
fn objects_per_period_and_route_are_told() {
    let project = Project::new();
    project.run("run goods").with(0);
    project.run("run goods").with(0);
    project.run("plan goods").with(0);
    let volumes = project.run("runs --per month --output json").with(0).json();
    let route = &volumes["volumes"][0];
    assert_eq!((&route["pipeline"], &route["sink"]), (&"goods".into(), &"shop".into()));
    assert_eq!(route["runs"], 2, "a plan sends nothing and is no run");
    assert!(route["acked"].as_u64() > Some(0) && route["acked"] == route["sent"]);
    assert_eq!(route["read"].as_u64(), route["sent"].as_u64().map(|sent| sent * 2), "read twice, sent once");
    project.run("runs goods --per day").with(0).says("period").says("shop");
}

#[test]
fn mistakes_in_files_end_with_3_and_say_where() {
    let project = Project::new();
    let broken =
        PIPELINE.replace("ENTITY", "goods").replace("DELETES", "ignore").replace("SELECT id, name", "SELECT id, nmae");
    project.write("pipelines/goods.yaml", &broken);
    for line in ["validate", "run goods", "plan goods", "preview goods priced"] {
        project.run(line).with(3).says("nmae").says("goods.yaml:12");
    }
    let found = project.run("validate --output json").with(3).json();
    let first = &found["diagnostics"][0];
    assert_eq!(
        (&first["code"], &first["severity"], &first["line"]),
        (&"unknown-column".into(), &"error".into(), &12.into())
    );
    assert!(first["file"].as_str().unwrap().ends_with("pipelines/goods.yaml") && first["column"].is_u64());
    project.run("validate --output github").with(3).says("::error file=pipelines/goods.yaml,line=12");
    project.write("pipelines/obmen.yaml", "project: [\n");
    project.run("validate").with(3);
    project.run("run goods --output json").with(3).json();
}

#[test]
fn a_locked_state_ends_with_8_and_readers_do_not_care() {
    let project = Project::new();
    project.run("run goods").with(0);
    let lock = StateLock::take(&project.path(".obmen/demo"), "obmen run something").unwrap();
    project.run("run goods").with(8).says("obmen run something");
    assert_eq!(project.run("run goods --output json").with(8).json()["exit_code"], 8);
    for line in ["runs", "journal", "queue list", "hold list", "baseline show goods shop"] {
        project.run(line).with(0);
    }
    drop(lock);
    project.run("run goods").with(0);
    project.write(".obmen/demo/state.db", "this is no database, and long enough for SQLite to look at it");
    project.run("runs").with(8);
}

#[test]
fn a_source_that_is_away_ends_with_6_and_a_secret_that_is_missing_is_named() {
    let project = Project::new();
    let port = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() };
    project.run("run goods").with(0);
    project.write("pipelines/obmen.yaml", &PROJECT.replace("PORT", &port.to_string()));
    project.run("--profile dead run goods").with(3).says("IT_PASSWORD");
    let mut command = project.command("--profile dead run goods");
    let ended = Ended::of("run", command.env("IT_PASSWORD", "hush-hush").output().unwrap()).with(6);
    assert!(!ended.out.contains("hush-hush") && !ended.err.contains("hush-hush"));
    let mut command = project.command("--profile dead check --output json");
    let checked = Ended::of("check", command.env("IT_PASSWORD", "hush-hush").output().unwrap()).with(6).json();
    let ok = |name: &str| {
        let all = checked["connections"].as_array().unwrap();
        all.iter().find(|one| one["connection"] == name).unwrap()["ok"].as_bool().unwrap()
    };
    assert!(ok("shop") && !ok("base"));
    project.run("check").with(0);
}

#[test]
fn a_sink_that_is_away_ends_with_7_and_nothing_is_lost() {
    let project = Project::new();
    let port = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() };
    project.write("pipelines/obmen.yaml", &PROJECT.replace("PORT", &port.to_string()));
    let offers = PIPELINE
        .replace("ENTITY", "offers")
        .replace("DELETES", "ignore")
        .replace("id, name, price FROM", "id, name FROM");
    project.write("pipelines/goods.yaml", &offers.replace("SELECT id", "SELECT\n      id"));
    let report = project.run("--profile away run goods --output json").with(7).json();
    assert_eq!(report["status"], "sink_unavailable", "{report}");
    let waiting = project.run("--profile away queue list goods --limit 100 --output json").with(0).json();
    assert_eq!(waiting["queue"].as_array().unwrap().len(), 40);
}

#[test]
fn rows_that_do_not_arrive_end_with_1() {
    let project = Project::new();
    project.write("data/Catalog_Items.csv", "id,name,price\nA-1,bolt,1.00\nA-2,,2.00\n");
    let report = project.run("run goods --output json").with(1).json();
    assert_eq!((&report["status"], &report["sinks"][0]["invalid"]), (&"rejected".into(), &1.into()));
    project.run("run goods").with(1).says("has a name");
    project.write("data/Catalog_Items.csv", "id,name,price\nA-1,bolt,many\n");
    project.run("run goods").with(1).says("cannot be read");
}

#[test]
fn results_are_plain_where_nobody_sees_colours() {
    let project = Project::new();
    project.run("run goods").with(0);
    assert!(!project.run("runs").out.contains('\u{1b}'));
    assert!(project.run("runs --color always").out.contains('\u{1b}'));
    assert!(!project.run("runs --color never").out.contains('\u{1b}'));
    let mut command = project.command("runs");
    let ended = Ended::of("runs", command.env("NO_COLOR", "1").env("CLICOLOR_FORCE", "0").output().unwrap());
    assert!(!ended.out.contains('\u{1b}'));
}

#[test]
fn quiet_is_quiet_and_russian_is_announced_once() {
    let project = Project::new();
    assert_eq!(project.run("-q validate").with(0).err, "");
    let mut command = project.command("validate");
    let ended = Ended::of("validate", command.env("OBMEN_LANG", "ru").output().unwrap()).with(0);
    assert_eq!(ended.err.matches("English").count(), 1);
}

#[test]
fn previews_are_tables_or_lines_of_json() {
    let project = Project::new();
    let table = project.run("preview goods priced --limit 3").with(0);
    assert_eq!(table.out.lines().count(), 4, "{}", table.out);
    let lines = project.run("preview base:Catalog_Items --limit 3 --output json").with(0);
    let rows: Vec<Value> = lines.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((rows.len(), &rows[0]["name"], &rows[0]["price"]), (3, &"товар 1".into(), &"4.70".into()));
    project.run("preview base:").with(0).says("Catalog_Items");
    project.run("preview base:nothing").with(6);
    project.run("preview bse:items").with(2);
    project.run("preview goods priced --var least=5").with(0).says("no rows");
}

#[test]
fn schemas_and_tables_of_options_come_from_the_connectors() {
    let project = Project::new();
    for file in ["pipeline", "project", "tests"] {
        let ended = project.run(&format!("schema {file}")).with(0);
        let schema: Value = serde_json::from_str(&ended.out).unwrap();
        assert!(schema["properties"].is_object(), "{file}");
    }
    project.run("docs").with(0).says("### `odata`").says("| `url` | text | required |");
    project.write("docs/README.md", "# Connectors\n\n<!-- options:begin -->\n<!-- options:end -->\n");
    project.run("docs --check docs").with(1).says("not fresh");
    project.run("docs --write docs").with(0);
    project.run("docs --check docs").with(0);
    project.run("docs --write nowhere").with(2);
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure() {
    let project = Project::new();
    let mut child = project.command("schema pipeline").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

/// Sends Ctrl-C to a child.
#[cfg(unix)]
fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

/// The exit code, if the child ends in time.
#[cfg(unix)]
fn wait(child: &mut Child, at_most: Duration) -> Option<i32> {
    let deadline = Instant::now() + at_most;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

/// The first connection to a listener, unless the child ends before.
#[cfg(unix)]
fn accepted(listener: &TcpListener, child: &mut Child) -> std::net::TcpStream {
    listener.set_nonblocking(true).unwrap();
    loop {
        match listener.accept() {
            Ok((stream, _)) => return stream,
            Err(_) => assert_eq!(wait(child, Duration::from_millis(20)), None, "it ended without asking"),
        }
    }
}

#[cfg(unix)]
#[test]
fn the_first_interrupt_asks_and_the_second_insists() {
    let project = Project::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    project.write("pipelines/obmen.yaml", &PROJECT.replace("PORT", &silent.local_addr().unwrap().port().to_string()));
    let mut command = project.command("--profile dead run goods");
    let mut child = command.env("IT_PASSWORD", "x").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let _asked = accepted(&silent, &mut child);
    interrupt(&child);
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("Ctrl-C again"), "{line}");
    if let Some(code) = wait(&mut child, Duration::from_secs(1)) {
        assert_eq!(code, 130);
        return;
    }
    interrupt(&child);
    assert_eq!(wait(&mut child, Duration::from_secs(10)), Some(130));
    project.run("run goods").with(0);
}

#[cfg(unix)]
#[test]
fn the_sandbox_says_where_it_is_and_ends_with_ctrl_c() {
    let project = Project::new();
    let mut command = project.command("sandbox --shop-addr 127.0.0.1:0 --output json");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    let address =
        told["shop_url"].as_str().unwrap().trim_start_matches("http://").split('/').next().unwrap().to_owned();
    assert!(told["trade_url"].is_null());
    std::net::TcpStream::connect(address).unwrap();
    interrupt(&child);
    assert_eq!(wait(&mut child, Duration::from_secs(10)), Some(0));
}
