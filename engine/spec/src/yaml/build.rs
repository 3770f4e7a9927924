//! Events → tree: keys made unique, aliases replaced by what they stand for, places narrowed to what was written.

use super::{MAX_ALIASED_NODES, MAX_DEPTH, pieces};
use crate::name::suggest;
use crate::{Map, Node, Scalar, ScalarStyle, Value};
use granit_parser::{Event, ScalarStyle as Written, Span as Place, StructureStyle};
use obmen_diagnostics::{FileId, Problems, Span, Spanned, code};
use std::collections::{BTreeMap, HashMap};

/// A tree under construction.
pub(super) struct Builder<'t> {
    file: FileId,
    text: &'t str,
    open: Vec<Open>,
    root: Option<Node>,
    /// Finished anchored nodes by the parser's number.
    anchors: BTreeMap<usize, Anchored>,
    /// Names of anchors, for suggestions.
    names: Vec<String>,
    aliased: usize,
}

struct Anchored {
    node: Node,
    depth: usize,
    nodes: usize,
}

/// A list or map whose end has not come yet.
struct Open {
    what: Collection,
    anchor: usize,
    /// The opening bracket; `None` for a block.
    bracket: Option<Span>,
    /// Where it begins, for an empty block.
    start: Span,
    depth: usize,
    nodes: usize,
}

enum Collection {
    List(Vec<Node>),
    Map { map: Map, index: HashMap<String, usize>, key: Option<Key> },
}

/// A key that waits for its value.
enum Key {
    Good(Spanned<String>),
    /// Reported already; its value is dropped.
    Bad,
}

impl<'t> Builder<'t> {
    pub(super) fn new(file: FileId, text: &'t str) -> Self {
        let (anchors, names) = (BTreeMap::new(), Vec::new());
        Self { file, text, open: Vec::new(), root: None, anchors, names, aliased: 0 }
    }

    /// The tree; `Null` for a file without content.
    pub(super) fn finish(self) -> Node {
        self.root.unwrap_or(Node { span: Span::new(self.file, 0..0), value: Value::Null })
    }

    /// The bytes an event covers.
    pub(super) fn span(&self, place: &Place) -> Span {
        Span::new(self.file, place.byte_range().unwrap_or(0..0))
    }

    /// Takes the next event; `None` when there can be no tree.
    pub(super) fn event(&mut self, event: Event<'_>, place: &Place, problems: &mut Problems) -> Option<()> {
        if event.tag().is_some() {
            let span = place.tag_span().map_or_else(|| self.span(place), |tag| self.span(&tag));
            problems.error(code::YAML_TAG, span, "YAML tags have no meaning here").help("remove the tag");
        }
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let node = self.scalar(&text, style, place);
                self.add(node, anchor, 0, 1, problems)
            }
            Event::SequenceStart(style, anchor, _) => {
                self.start(Collection::List(Vec::new()), style, anchor, place, problems)
            }
            Event::MappingStart(style, anchor, _) => {
                let map = Collection::Map { map: Map::default(), index: HashMap::new(), key: None };
                self.start(map, style, anchor, place, problems)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(place, problems),
            Event::Alias(id) => self.alias(id, place, problems),
            Event::UnresolvedAlias(name) => {
                let span = self.span(place);
                let found = problems.error(code::YAML_ALIAS, span, format!("nothing above is marked `&{name}`"));
                if let Some(similar) = suggest(&name, self.names.iter().map(String::as_str)) {
                    found.help(format!("write `*{similar}`"));
                } else {
                    found.help(format!(
                        "mark what it stands for with `&{name}`, or put a text that begins with `*` in quotes"
                    ));
                }
                None
            }
            Event::Anchor(_, name) => {
                self.names.push(name.into_owned());
                Some(())
            }
            _ => Some(()),
        }
    }

    fn scalar(&self, text: &str, style: Written, place: &Place) -> Node {
        let span = self.span(place);
        let written = self.text.get(span.range()).unwrap_or("");
        let style = match style {
            Written::Plain => ScalarStyle::Plain,
            Written::SingleQuoted | Written::DoubleQuoted => ScalarStyle::Quoted,
            Written::Literal => ScalarStyle::Literal,
            Written::Folded => ScalarStyle::Folded,
        };
        if style == ScalarStyle::Plain && (written.is_empty() || matches!(text, "~" | "null" | "Null" | "NULL")) {
            return Node { span, value: Value::Null };
        }
        let (span, pieces) = pieces::find(self.text, span, text, style);
        Node { span, value: Value::Scalar(Scalar { text: text.to_owned(), style, pieces }) }
    }

    fn start(
        &mut self,
        what: Collection,
        style: StructureStyle,
        anchor: usize,
        place: &Place,
        problems: &mut Problems,
    ) -> Option<()> {
        let start = self.span(place);
        self.check_depth(1, start, problems)?;
        let bracket = (style == StructureStyle::Flow).then_some(start);
        self.open.push(Open { what, anchor, bracket, start, depth: 0, nodes: 1 });
        Some(())
    }

    fn end(&mut self, place: &Place, problems: &mut Problems) -> Option<()> {
        let Some(open) = self.open.pop() else { return Some(()) };
        let span = self.whole(&open, place);
        let value = match open.what {
            Collection::List(list) => Value::List(list),
            Collection::Map { map, .. } => Value::Map(map),
        };
        self.add(Node { span, value }, open.anchor, open.depth + 1, open.nodes, problems)
    }

    /// The place of a finished collection.
    fn whole(&self, open: &Open, end: &Place) -> Span {
        if let Some(bracket) = open.bracket {
            return Span { end: self.span(end).end.max(bracket.end), ..bracket };
        }
        let ends = match &open.what {
            Collection::List(list) => list.first().zip(list.last()).map(|(first, last)| (first.span, last.span)),
            Collection::Map { map, .. } => {
                map.entries.first().zip(map.entries.last()).map(|((first, _), (key, value))| {
                    // An absent value stands on the next line or at the end of the file: the key is the last thing written.
                    let last = if value.span.start == value.span.end { key.span } else { value.span };
                    (first.span, last)
                })
            }
        };
        ends.map_or(open.start, |(first, last)| Span { end: last.end.max(first.end), ..first })
    }

    fn alias(&mut self, id: usize, place: &Place, problems: &mut Problems) -> Option<()> {
        let span = self.span(place);
        let Some(Anchored { node, depth, nodes }) = self.anchors.get(&id) else {
            problems.error(code::YAML_ALIAS, span, "this stands for something it is itself a part of");
            return None;
        };
        self.aliased += nodes;
        if self.aliased > MAX_ALIASED_NODES {
            problems
                .error(code::YAML_LIMIT, span, format!("aliases add more than {MAX_ALIASED_NODES} values to the file"))
                .help("write the values out, or move them into a data file");
            return None;
        }
        let (depth, nodes) = (*depth, *nodes);
        let node = Node { span, value: node.value.clone() };
        self.check_depth(depth, span, problems)?;
        self.add(node, 0, depth, nodes, problems)
    }

    fn check_depth(&self, more: usize, span: Span, problems: &mut Problems) -> Option<()> {
        if self.open.len() + more <= MAX_DEPTH {
            return Some(());
        }
        problems.error(code::YAML_LIMIT, span, format!("nested more than {MAX_DEPTH} levels deep"));
        None
    }

    /// Puts a finished node where it belongs: into the collection that is open, as a key or a value, or at the root.
    fn add(&mut self, node: Node, anchor: usize, depth: usize, nodes: usize, problems: &mut Problems) -> Option<()> {
        if anchor != 0 {
            self.anchors.insert(anchor, Anchored { node: node.clone(), depth, nodes });
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Some(());
        };
        parent.depth = parent.depth.max(depth);
        parent.nodes += nodes;
        match &mut parent.what {
            Collection::List(list) => list.push(node),
            Collection::Map { map, index, key } => match key.take() {
                None => *key = Some(read_key(node, map, index, problems)?),
                Some(Key::Bad) => {}
                Some(Key::Good(name)) => {
                    index.insert(name.value.clone(), map.entries.len());
                    map.entries.push((name, node));
                }
            },
        }
        Some(())
    }
}

/// Reads a node as a key; a key that cannot be one is reported. `None` for a merge key: what it brings is not known.
fn read_key(node: Node, map: &Map, index: &HashMap<String, usize>, problems: &mut Problems) -> Option<Key> {
    let span = node.span;
    let Value::Scalar(scalar) = node.value else {
        problems.error(code::YAML_KEY, span, "a key must be a text").help("write `key: value`");
        return Some(Key::Bad);
    };
    if scalar.style == ScalarStyle::Plain && scalar.text == "<<" {
        problems
            .error(code::YAML_MERGE_KEY, span, "merge keys are not supported")
            .help("write the keys out, so that each line says what it does");
        return None;
    }
    if let Some((first, _)) = index.get(&scalar.text).and_then(|at| map.entries.get(*at)) {
        problems
            .error(code::DUPLICATE_KEY, span, format!("`{}` is given twice", scalar.text))
            .note("given again")
            .label(first.span, "given first here")
            .help("keep one of them");
        return Some(Key::Bad);
    }
    Some(Key::Good(Spanned::new(scalar.text, span)))
}
