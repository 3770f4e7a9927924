//! Runs `tests/spec/*.md`: YAML in, the rendered report out.
//!
//! A case is a heading, one or more ` ```yaml NAME ` blocks (without a name: `пример.yaml`) and a ` ```report ` block with
//! what must be said; an empty report means that nothing is wrong. `obmen.yaml` is the project, `*.test.yaml` are tests,
//! all other files pipelines. A case without `obmen.yaml` gets the one of the first case of its file that has the heading
//! `Project`. `UPDATE=1` rewrites the reports.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use obmen_diagnostics::{Files, Problems, render};
use obmen_spec::pipeline::Pipeline;
use obmen_spec::project::Project;
use obmen_spec::test_file::TestFile;
use obmen_spec::{check, yaml};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A piece of a Markdown file.
enum Piece {
    Text(String),
    Code { info: String, body: String },
}

fn pieces(markdown: &str) -> Vec<Piece> {
    let mut all = vec![Piece::Text(String::new())];
    let mut lines = markdown.split_inclusive('\n');
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let body = lines.by_ref().take_while(|line| line.trim_end() != "```").collect();
            all.push(Piece::Code { info: info.trim_end().to_owned(), body });
            all.push(Piece::Text(String::new()));
        } else if let Some(Piece::Text(text)) = all.last_mut() {
            text.push_str(line);
        }
    }
    all
}

fn written(pieces: &[Piece]) -> String {
    pieces.iter().fold(String::new(), |mut all, piece| {
        match piece {
            Piece::Text(text) => all.push_str(text),
            Piece::Code { info, body } => write!(all, "```{info}\n{body}```\n").unwrap(),
        }
        all
    })
}

/// Everything `obmen validate` would say about the files of a case without reading SQL, except that relations are taken
/// to be the words of a step's SQL: enough for the graph.
fn report(sources: &[(String, String)]) -> String {
    let (mut files, mut problems) = (Files::new(), Problems::new());
    let (mut projects, mut pipelines, mut tests) = (Vec::new(), Vec::new(), Vec::new());
    for (name, text) in sources {
        let file = files.add(name, text.as_str());
        let Some(node) = yaml::parse(file, text, &mut problems) else { continue };
        if name == "obmen.yaml" {
            projects.extend(Project::read(&node, &mut problems));
        } else if name.ends_with(".test.yaml") {
            tests.extend(TestFile::read(&node, &mut problems));
        } else {
            pipelines.extend(Pipeline::read(&node, &mut problems));
        }
    }
    if let Some(project) = projects.first() {
        let connectors = ["commerceml", "files", "odata"];
        check::project(project, &connectors, &mut problems);
        let profile = project.profile.as_ref().map_or("demo", |profile| profile.as_str());
        let context =
            check::Context { files: &files, project, profile, pipelines: &pipelines, connectors: &connectors };
        for pipeline in &pipelines {
            check::pipeline(pipeline, &context, &mut problems);
            check::graph(pipeline, &reads(pipeline), &mut problems);
        }
        for file in &tests {
            check::tests(file, &context, &mut problems);
        }
    }
    render::text(&files, &problems.sorted(), false)
}

fn reads(pipeline: &Pipeline) -> check::Reads {
    let relations = check::relations(pipeline);
    let mut reads = BTreeMap::new();
    for (name, sql) in pipeline.steps.iter() {
        let words = sql.text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
        let read: BTreeSet<String> = words.filter(|word| relations.contains(word)).map(str::to_owned).collect();
        reads.insert(name.value.clone(), read);
    }
    reads
}

/// A case under way: its heading and files.
#[derive(Default)]
struct Case {
    heading: String,
    sources: Vec<(String, String)>,
}

/// Runs the cases of a file; the pieces get the reports that came out. Returns the number of cases.
fn run(pieces: &mut [Piece]) -> usize {
    let mut project = None;
    let mut case = Case::default();
    let mut cases = 0;
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                if let Some(heading) = text.lines().rev().find(|line| line.starts_with('#')) {
                    case = Case { heading: heading.trim_start_matches('#').trim().to_owned(), sources: Vec::new() };
                }
            }
            Piece::Code { info, body } if info == "report" => {
                cases += 1;
                let mut sources = std::mem::take(&mut case.sources);
                if !sources.iter().any(|(name, _)| name == "obmen.yaml") {
                    sources.extend(project.clone());
                }
                *body = report(&sources);
            }
            Piece::Code { info, body } => {
                if let Some(name) = info.strip_prefix("yaml") {
                    let name = if name.is_empty() { "пример.yaml" } else { name.trim() };
                    let source = (name.to_owned(), body.clone());
                    if case.heading == "Project" {
                        project = Some(source);
                    } else {
                        case.sources.push(source);
                    }
                }
            }
        }
    }
    cases
}

#[test]
fn what_is_written_is_what_is_said() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/spec");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut cases = 0;
    let mut wrong = String::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let before = std::fs::read_to_string(path).unwrap().replace("\r\n", "\n");
        let mut pieces = pieces(&before);
        cases += run(&mut pieces);
        let after = written(&pieces);
        if before != after {
            if std::env::var_os("UPDATE").is_some() {
                std::fs::write(path, after).unwrap();
            } else {
                let line = before.lines().zip(after.lines()).take_while(|(before, after)| before == after).count();
                let context =
                    |text: &str| text.lines().skip(line.saturating_sub(3)).take(8).collect::<Vec<_>>().join("\n");
                write!(
                    wrong,
                    "{}:{}\nwritten:\n{}\nsaid:\n{}\n\n",
                    path.display(),
                    line + 1,
                    context(&before),
                    context(&after)
                )
                .unwrap();
            }
        }
    }
    assert!(cases >= 40, "only {cases} cases");
    assert!(wrong.is_empty(), "{wrong}UPDATE=1 rewrites the reports");
}
