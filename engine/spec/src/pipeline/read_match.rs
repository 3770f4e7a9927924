//! Tree → [`Match`].

use super::{Match, MatchRule};
use crate::Node;
use crate::decode::{Fields, expected, named};
use obmen_diagnostics::{Problems, code};

pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<Match> {
    let fields = Fields::of(node, "a match: a mapping with `for`, `from`, `take`, `rules`", problems)?;
    let for_ = fields.require_text("for", problems);
    let from = fields.require_text("from", problems);
    let take = named(
        fields.require("take", problems),
        "new columns and where they come from",
        problems,
        |_, node, problems| crate::decode::text(node, problems),
    );
    let rules = fields.require("rules", problems).map_or_else(Vec::new, |node| read_rules(node, problems));
    let kinds = [("reject", "reject"), ("park", "park"), ("keep", "keep")];
    let unmatched = fields.word("unmatched", &kinds, problems).map(|word| word.map(str::to_owned));
    let kinds = [("reject", "reject"), ("first", "first")];
    let ambiguous = fields.word("ambiguous", &kinds, problems).map(|word| word.map(str::to_owned));
    fields.finish(problems);
    Some(Match { for_: for_?, from: from?, take: take.entries, rules, unmatched, ambiguous, span: node.span })
}

fn read_rules(node: &Node, problems: &mut Problems) -> Vec<MatchRule> {
    let Some(list) = node.as_list() else {
        problems
            .error(code::WRONG_TYPE, node.span, expected("a list of rules", node))
            .help("begin each rule with `- `");
        return Vec::new();
    };
    if list.is_empty() {
        problems.error(code::INVALID_VALUE, node.span, "expected at least one rule, found none");
    }
    list.iter().filter_map(|node| read_rule(node, problems)).collect()
}

fn read_rule(node: &Node, problems: &mut Problems) -> Option<MatchRule> {
    let fields = Fields::of(node, "a rule: a mapping with `name` and `where`", problems)?;
    let name = fields.require_text("name", problems);
    let when = fields.sql("when", problems);
    let where_ = fields.require_sql("where", problems);
    let order_by = fields.sql("order_by", problems);
    let fallback = fields.flag("fallback", problems).unwrap_or(false);
    fields.finish(problems);
    Some(MatchRule { name: name?, when, where_: where_?, order_by, fallback })
}
