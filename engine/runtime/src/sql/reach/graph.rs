//! Scans and the equalities between them, and the shortest ways from key to scan and back.

use super::trace::{Column, Origin, Origins};
use super::{FromKey, Hop, NoReach, Reach, ScanReach, ToKey};
use std::collections::{BTreeMap, BTreeSet};

/// What a plan says of the rows its scans need of each other.
#[derive(Debug, Default)]
pub(super) struct Graph {
    scans: Vec<Scan>,
    edges: Vec<Edge>,
    /// Columns with, for each, those that equal it in rows needed beside it: the edges, column by column.
    equal: BTreeMap<Column, BTreeSet<Column>>,
}

#[derive(Debug)]
struct Scan {
    relation: String,
    columns: Vec<String>,
}

/// Rows of `to` are needed only if they match a needed row of `from` in all these columns.
#[derive(Debug)]
struct Edge {
    from: usize,
    to: usize,
    columns: Vec<(usize, usize)>,
}

/// What a node compares: origins on one side with origins on the other, one entry per equality.
pub(super) type Compared<'a> = Vec<(&'a [Origin], &'a [Origin])>;

/// How scans are reached, each by the edge of this number; `None`: from outside, at once.
type Tree = BTreeMap<usize, Option<usize>>;

impl Graph {
    /// Adds a scan; gives its number.
    pub(super) fn scan(&mut self, relation: &str, columns: Vec<String>) -> usize {
        self.scans.push(Scan { relation: relation.to_owned(), columns });
        self.scans.len() - 1
    }

    /// How many scans there are.
    pub(super) fn len(&self) -> usize {
        self.scans.len()
    }

    /// Adds the edges of one node, from the left origins that give to the right ones that take.
    pub(super) fn lead(&mut self, compared: &Compared<'_>) {
        let mut edges: BTreeMap<(usize, usize), Vec<(usize, usize)>> = BTreeMap::new();
        for (left, right) in compared {
            let mut met = BTreeSet::new();
            for from in left.iter().filter(|origin| origin.gives).map(|origin| origin.column) {
                for to in right.iter().filter(|origin| origin.takes).map(|origin| origin.column) {
                    self.equal.entry(from).or_default().insert(to);
                    if from.scan != to.scan && met.insert((from.scan, to.scan)) {
                        edges.entry((from.scan, to.scan)).or_default().push((from.at, to.at));
                    }
                }
            }
        }
        self.edges.extend(edges.into_iter().map(|((from, to), columns)| Edge { from, to, columns }));
    }

    /// The ways between the scans and a key, whose columns have these origins.
    pub(super) fn reach(&self, key: &[String], origins: &[Origins]) -> Result<Reach, NoReach> {
        let keys = self.keys(origins);
        let whole = |scan: &usize| keys.get(scan).is_some_and(|columns| columns.len() == origins.len());
        let ends: Vec<usize> = (0..self.len()).filter(whole).collect();
        if ends.is_empty() || key.is_empty() {
            return Err(NoReach::new(format!("no source has all columns of the key `{}`", key.join(", "))));
        }
        let (back, _) = self.tree(ends);
        let (tree, mut order) = self.tree(keys.keys().copied().collect());
        order.extend((0..self.len()).filter(|scan| !tree.contains_key(scan)));
        let scans = self.scans.iter().enumerate().map(|(at, scan)| ScanReach {
            relation: scan.relation.clone(),
            to_key: self.touched(at, &back, &keys, origins),
            from_key: self.needed(at, &tree, &keys),
        });
        Ok(Reach { scans: scans.collect(), order })
    }

    /// For each scan the columns that equal columns of the key, by place in the key.
    fn keys(&self, origins: &[Origins]) -> BTreeMap<usize, BTreeMap<usize, usize>> {
        let mut keys: BTreeMap<usize, BTreeMap<usize, usize>> = BTreeMap::new();
        for (position, origins) in origins.iter().enumerate() {
            let taking = origins.iter().filter(|origin| origin.takes).map(|origin| origin.column);
            let mut open: Vec<Column> = taking.collect();
            let mut met: BTreeSet<Column> = open.iter().copied().collect();
            while let Some(column) = open.pop() {
                let next = self.equal.get(&column).into_iter().flatten();
                open.extend(next.filter(|column| met.insert(**column)));
            }
            for column in met {
                keys.entry(column.scan).or_default().entry(position).or_insert(column.at);
            }
        }
        keys
    }

    /// The shortest ways along edges from some scans to all that can be reached, and the order of reaching them. Of ways as
    /// long as each other, the one that compares most columns.
    fn tree(&self, roots: Vec<usize>) -> (Tree, Vec<usize>) {
        let mut tree: Tree = roots.iter().map(|root| (*root, None)).collect();
        let mut order = roots;
        loop {
            let mut next: BTreeMap<usize, usize> = BTreeMap::new();
            for (at, edge) in self.edges.iter().enumerate() {
                if tree.contains_key(&edge.from) && !tree.contains_key(&edge.to) {
                    let best = next.entry(edge.to).or_insert(at);
                    if self.edges.get(*best).is_some_and(|best| best.columns.len() < edge.columns.len()) {
                        *best = at;
                    }
                }
            }
            if next.is_empty() {
                return (tree, order);
            }
            order.extend(next.keys());
            tree.extend(next.into_iter().map(|(scan, edge)| (scan, Some(edge))));
        }
    }

    /// The edge by which a scan is reached.
    fn edge(&self, scan: usize, tree: &Tree) -> Option<&Edge> {
        tree.get(&scan).copied().flatten().and_then(|at| self.edges.get(at))
    }

    fn touched(
        &self,
        start: usize,
        tree: &Tree,
        keys: &BTreeMap<usize, BTreeMap<usize, usize>>,
        origins: &[Origins],
    ) -> Result<ToKey, NoReach> {
        let (mut scan, mut hops) = (start, Vec::new());
        while let Some(edge) = self.edge(scan, tree) {
            let (to, columns) = self.names(edge);
            hops.push(Hop { columns, scan: edge.from, to });
            scan = edge.from;
        }
        if let Some(columns) = keys.get(&scan).filter(|_| tree.contains_key(&scan)) {
            let may_be_null = |(position, at): (&usize, &usize)| {
                let column = Column { scan, at: *at };
                origins
                    .get(*position)
                    .is_some_and(|all| all.iter().any(|origin| origin.null && origin.column == column))
            };
            let keyless = columns.iter().any(may_be_null);
            return Ok(ToKey { hops, columns: self.columns(scan, columns.values().copied()), keyless });
        }
        let relation = self.scans.get(start).map_or("", |scan| scan.relation.as_str());
        Err(NoReach::new(format!("`{relation}` is joined by something other than equality of columns")))
    }

    fn needed(&self, scan: usize, tree: &Tree, keys: &BTreeMap<usize, BTreeMap<usize, usize>>) -> FromKey {
        if let Some(found) = keys.get(&scan) {
            let columns = self.columns(scan, found.values().copied());
            return FromKey::Key { positions: found.keys().copied().collect(), columns };
        }
        self.edge(scan, tree).map_or(FromKey::Whole, |edge| {
            let (columns, to) = self.names(edge);
            FromKey::Rows { scan: edge.from, columns, to }
        })
    }

    /// The columns an edge compares: those it comes from, those it leads to.
    fn names(&self, edge: &Edge) -> (Vec<String>, Vec<String>) {
        let from = self.columns(edge.from, edge.columns.iter().map(|(from, _)| *from));
        let to = self.columns(edge.to, edge.columns.iter().map(|(_, to)| *to));
        (from, to)
    }

    fn columns(&self, scan: usize, columns: impl Iterator<Item = usize>) -> Vec<String> {
        let names = self.scans.get(scan).map_or(&[][..], |scan| scan.columns.as_slice());
        columns.filter_map(|at| names.get(at).cloned()).collect()
    }
}
