//! `obmen test`: the tests of pipelines.

use crate::arguments::Format;
use crate::console::{BAD, FAINT, GOOD, LOOK, STRONG};
use crate::exit::{Exit, Failure};
use crate::project::{Project, unknown};
use crate::session::Session;
use crate::text::line;
use crate::words::{self, counted};
use obmen_diagnostics::render::{self, junit};
use obmen_runtime::testing::{Case, Suite, TestFilter, TestReport, run_tests};
use obmen_runtime::workspace::Workspace;
use serde_json::{Value, json};

/// Runs the tests `NAME.test.yaml` of pipelines. No network, ever: sources are rows, sinks are scripts.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  obmen test
  obmen test site_offers --name refusal        # tests with this in their name
  obmen test --output junit > report.xml       # in a CI job")]
pub(crate) struct Arguments {
    /// Only the tests of this pipeline
    #[arg(value_name = "PIPELINE")]
    pipeline: Option<String>,

    /// Only tests with this in their name
    #[arg(long, value_name = "WORDS")]
    name: Option<String>,
}

/// Runs tests; 1 if one fails, 3 if a file is wrong.
pub(crate) async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let project = Project::open(session)?;
    if let Some(pipeline) = &arguments.pipeline {
        check_name(&project.workspace, pipeline)?;
    }
    let profile = (project.profile.as_str(), project.settings()?);
    let filter = TestFilter { pipeline: arguments.pipeline.clone(), name: arguments.name.clone() };
    let report = Box::pin(run_tests(&project.workspace, &session.registry, profile, &filter)).await?;
    let found = report.problems.sorted();
    match session.global.output {
        Format::Json => session.console.json(&json(&report))?,
        Format::Junit => {
            session.console.insist_diagnostics(&report.files, &found);
            session.console.result(&junit(&junit_suites(&report)))?;
        }
        Format::Text | Format::Github => {
            session.console.insist_diagnostics(&report.files, &found);
            session.console.result(&text(&report))?;
        }
    }
    if report.problems.has_errors() {
        return Ok(Exit::Invalid);
    }
    let ran = report.suites.iter().any(|suite| !suite.cases.is_empty());
    if let (false, Some(name)) = (ran, &arguments.name) {
        return Err(Failure::usage(format!("no test has `{name}` in its name")));
    }
    Ok(if report.failed() > 0 { Exit::Troubled } else { Exit::Done })
}

fn check_name(workspace: &Workspace, pipeline: &str) -> Result<(), Failure> {
    let names: Vec<&str> = workspace.tests.iter().map(|file| file.name.as_str()).collect();
    if names.contains(&pipeline) {
        return Ok(());
    }
    if workspace.pipeline(pipeline).is_some() {
        let message = format!("pipeline `{pipeline}` has no tests");
        return Err(Failure::usage(message).help(format!("write them into {pipeline}.test.yaml beside it")));
    }
    Err(unknown("pipeline with tests", pipeline, &names))
}

fn text(report: &TestReport) -> String {
    let mut text = String::new();
    for suite in &report.suites {
        line!(text, "{STRONG}{}{STRONG:#}", suite.file);
        suite.cases.iter().for_each(|case| case_text(case, &mut text));
        let bare: Vec<&str> =
            suite.coverage.iter().filter(|(_, covered)| !covered).map(|(rule, _)| rule.as_str()).collect();
        if !bare.is_empty() {
            line!(text, "  {LOOK}never tested:{LOOK:#} {}", bare.join(", "));
        }
    }
    let (passed, failed) = (counted(report.passed() as u64, "test passed", "tests passed"), report.failed());
    let style = if failed > 0 { BAD } else { GOOD };
    let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    line!(text, "\n{style}{passed}{failed}{style:#}");
    text
}

fn case_text(case: &Case, text: &mut String) {
    let took = format!("{} ms", case.duration_ms);
    match &case.failure {
        None => line!(text, "  {GOOD}ok{GOOD:#}    {}  {FAINT}{took}{FAINT:#}", case.name),
        Some(failure) => {
            line!(text, "  {BAD}FAIL{BAD:#}  {}  {FAINT}line {}, {took}{FAINT:#}", case.name, case.line);
            for line in failure.trim_end().lines() {
                line!(text, "        {}", words::plain(line).trim_end());
            }
        }
    }
}

/// `{"passed", "failed", "suites": [{"file", "pipeline", "cases": […], "coverage": […]}], "diagnostics": […]}`
fn json(report: &TestReport) -> Value {
    let mut document = json!({
        "passed": report.passed(),
        "failed": report.failed(),
        "suites": report.suites.iter().map(suite_json).collect::<Vec<_>>(),
    });
    let mut diagnostics = render::json(&report.files, &report.problems.sorted());
    document["diagnostics"] = diagnostics["diagnostics"].take();
    document
}

fn suite_json(suite: &Suite) -> Value {
    let cases = suite.cases.iter().map(|case| {
        json!({
            "name": case.name, "line": case.line, "duration_ms": case.duration_ms,
            "passed": case.failure.is_none(), "failure": case.failure,
        })
    });
    let coverage = suite.coverage.iter().map(|(rule, covered)| json!({ "rule": rule, "covered": covered }));
    json!({
        "file": suite.file,
        "pipeline": suite.pipeline,
        "cases": cases.collect::<Vec<_>>(),
        "coverage": coverage.collect::<Vec<_>>(),
    })
}

/// As CI systems read it; mistakes in the files are a suite of their own, so that no CI shows green.
fn junit_suites(report: &TestReport) -> Vec<render::Suite> {
    let mut suites: Vec<render::Suite> = report.suites.iter().map(junit_suite).collect();
    let mistakes = report.problems.sorted();
    let cases: Vec<render::Case> = mistakes
        .into_iter()
        .filter(|found| found.severity == obmen_diagnostics::Severity::Error)
        .map(|found| render::Case {
            name: format!("{}: {}", found.code.name, found.message),
            class: "validate".to_owned(),
            seconds: 0.0,
            outcome: render::Outcome::Error {
                message: found.message.clone(),
                details: render::text(&report.files, &[found], false),
            },
        })
        .collect();
    if !cases.is_empty() {
        suites.push(render::Suite { name: "mistakes in files".to_owned(), cases });
    }
    suites
}

fn junit_suite(suite: &Suite) -> render::Suite {
    let cases = suite.cases.iter().map(|case| {
        let outcome = match &case.failure {
            None => render::Outcome::Passed,
            Some(failure) => render::Outcome::Failed {
                message: failure.lines().next().unwrap_or_default().to_owned(),
                details: format!("{}:{}\n{failure}", suite.file, case.line),
            },
        };
        let milliseconds = u32::try_from(case.duration_ms).unwrap_or(u32::MAX);
        let seconds = f64::from(milliseconds) / 1000.0;
        render::Case { name: case.name.clone(), class: suite.pipeline.clone(), seconds, outcome }
    });
    render::Suite { name: suite.file.clone(), cases: cases.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use obmen_diagnostics::{Diagnostic, FileId, Files, Problems, Severity, Span, code};

    fn report() -> TestReport {
        let case = |name: &str, failure: Option<&str>| Case {
            name: name.to_owned(),
            line: 7,
            duration_ms: 12,
            failure: failure.map(str::to_owned),
        };
        let mut files = Files::new();
        let file = files.add("goods.test.yaml", "tests: []\n");
        let mut problems = Problems::new();
        problems.push(Diagnostic::new(
            code::EMPTY_TEST,
            Severity::Error,
            Span::new(file, 0..5),
            "a test asserts nothing",
        ));
        assert_eq!(file, FileId(0));
        TestReport {
            suites: vec![Suite {
                file: "goods.test.yaml".to_owned(),
                pipeline: "goods".to_owned(),
                cases: vec![
                    case("a price is sent", None),
                    case("a refusal waits", Some("acked: expected 1, got 0\n  at line 9")),
                ],
                coverage: vec![("price is positive".to_owned(), false)],
            }],
            problems,
            files,
        }
    }

    #[test]
    fn text_names_failures_and_rules_without_tests() {
        let shown = anstream::adapter::strip_str(&text(&report())).to_string();
        let expected = "goods.test.yaml\n  ok    a price is sent  12 ms\n  FAIL  a refusal waits  line 7, 12 ms\n        \
                        acked: expected 1, got 0\n          at line 9\n  never tested: price is positive\n\n\
                        1 test passed, 1 failed\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn json_has_cases_and_diagnostics() {
        let document = json(&report());
        assert_eq!(document["suites"][0]["cases"][1]["passed"], false);
        assert_eq!(document["diagnostics"][0]["code"], "empty-test");
    }

    #[test]
    fn mistakes_in_files_are_errors_in_junit() {
        let xml = junit(&junit_suites(&report()));
        assert!(xml.contains("tests=\"3\" failures=\"1\" errors=\"1\""), "{xml}");
    }
}
