//! Tree → [`Project`].

use super::{Connection, Profile, Project};
use crate::Node;
use crate::decode::{Fields, expected, named};
use crate::pipeline::Changes;
use obmen_diagnostics::{Problems, Spanned, code};

impl Project {
    /// Reads `obmen.yaml`. `None` if anything in it was wrong; everything that was wrong is in `problems`.
    pub fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let mut own = Problems::new();
        let project = read(node, &mut own);
        let clean = !own.has_errors();
        problems.extend(own);
        project.filter(|_| clean)
    }
}

fn read(node: &Node, problems: &mut Problems) -> Option<Project> {
    let fields = Fields::of(node, "a project: a mapping with `project` and `profiles`", problems)?;
    let project = fields.require_text("project", problems);
    let profile = fields.text("profile", problems);
    let memory = fields.get("memory", problems).and_then(|node| read_bytes(node, problems));
    let feeds = named(fields.get("feeds", problems), "feeds by name", problems, read_feed);
    let crosswalks = named(fields.get("crosswalks", problems), "crosswalks by name", problems, read_crosswalk);
    let profiles = named(fields.require("profiles", problems), "profiles by name", problems, |_, node, problems| {
        read_profile(node, problems)
    });
    fields.finish(problems);
    Some(Project { project: project?, profile, memory, feeds, crosswalks, profiles })
}

fn read_profile(node: &Node, problems: &mut Problems) -> Option<Profile> {
    let fields = Fields::of(node, "connections by name", problems)?;
    let production = fields.flag("production", problems).unwrap_or(false);
    let segments = fields.get("segments", problems).and_then(|node| read_segments(node, problems));
    let rest = fields.rest(problems);
    let connections =
        named(Some(&rest), "connections by name", problems, |_, node, problems| read_connection(node, problems));
    Some(Profile { production, segments, connections, span: node.span })
}

/// What is said of the store is decoded where stores are known.
fn read_segments(node: &Node, problems: &mut Problems) -> Option<Node> {
    let fields = Fields::of(node, "an object store: a mapping with `path`", problems)?;
    let path = fields.require_text("path", problems);
    drop(fields.rest(problems));
    path.map(|_| node.clone())
}

fn read_connection(node: &Node, problems: &mut Problems) -> Option<Connection> {
    let fields = Fields::of(node, "a connection: a mapping with `type`", problems)?;
    let kind = fields.require_text("type", problems);
    let changes = fields.get("changes", problems).and_then(|node| Changes::read(node, problems));
    let expect = fields.get("expect", problems).cloned();
    if let (Some(_), Some((name, _))) = (&expect, fields.entry("expect")) {
        problems
            .error(code::NOT_AVAILABLE_YET, name.span, "`expect` is not available yet")
            .help("remove it: this version would not look");
    }
    let settings = fields.rest(problems);
    Some(Connection { kind: kind?, changes, expect, settings, span: node.span })
}

fn read_feed(_: &Spanned<String>, node: &Node, problems: &mut Problems) -> Option<Node> {
    let fields = Fields::of(node, "a feed: a mapping with `connection`", problems)?;
    fields.require_text("connection", problems);
    drop(fields.rest(problems));
    Some(node.clone())
}

fn read_crosswalk(_: &Spanned<String>, node: &Node, problems: &mut Problems) -> Option<Node> {
    let fields = Fields::of(node, "a crosswalk: a mapping with `kind`", problems)?;
    let kinds = [("one_to_one", ()), ("many_to_one", ())];
    if let Some(kind) = fields.require("kind", problems) {
        crate::decode::word(kind, &kinds, problems);
    }
    if let Some(columns) = fields.get("columns", problems) {
        named::<()>(Some(columns), "extra columns with their types", problems, |_, _, _| None);
    }
    fields.finish(problems);
    Some(node.clone())
}

/// An amount of memory: `512MB`, `2 GB`, `1GiB`. The units are powers of 1024, as memory is sold.
fn read_bytes(node: &Node, problems: &mut Problems) -> Option<Spanned<u64>> {
    let text = node.as_str().unwrap_or("");
    let split = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split).unwrap_or((text, ""));
    let shift = match unit.trim().to_uppercase().as_str() {
        "KB" | "KIB" => Some(10),
        "MB" | "MIB" => Some(20),
        "GB" | "GIB" => Some(30),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
    let Some(bytes) = bytes else {
        let found = problems.error(code::WRONG_TYPE, node.span, expected("an amount of memory", node));
        found.help("write a number and a unit, like `512MB` or `2GB`");
        return None;
    };
    if bytes < MIN_MEMORY {
        let message = format!("`{text}` is too little memory, expected 64MB or more");
        problems.error(code::INVALID_VALUE, node.span, message);
        return None;
    }
    Some(Spanned::new(bytes, node.span))
}

/// Below this the SQL engine cannot even plan.
const MIN_MEMORY: u64 = 64 << 20;
