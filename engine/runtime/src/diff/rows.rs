//! The rows of one range of key hashes, as they are compared: sorted, each key once, without values.

use super::flaw::Flaw;
use super::marks::{flaw_in, hash_in, width};
use crate::hash::{Hash, WithParts};
use crate::target::Target;

/// The rows of one range, ascending by key hash, each key once.
#[derive(Debug)]
pub(super) struct Rows {
    /// Key hashes.
    pub(super) keys: Vec<Hash>,
    /// Row hashes over the compared columns.
    pub(super) hashes: Vec<Hash>,
    /// Why a row must not be sent; `None` if it may.
    pub(super) flaws: Vec<Option<Flaw>>,
    /// For each `after`, the hash of the parent's key.
    pub(super) parents: Vec<Vec<Hash>>,
    /// Rows whose place a later row with the same key took.
    pub(super) repeated: u64,
    /// The key hashes the range is of: from, and up to but without.
    pub(super) range: (Hash, Option<Hash>),
}

/// The bytes of an owner's mark: key, hash of its own columns, parents.
pub(super) fn owner_width(target: &Target) -> usize {
    width(2 + target.after.len())
}

/// The bytes of a part's mark: the owner's key, its own key, its hash.
pub(super) const PART_WIDTH: usize = width(3);

impl Rows {
    /// Sorts the marks of a relation and of its children (one vector per child of the target) and puts them together.
    pub(super) fn of_marks(target: &Target, owners: &[u8], children: &[Vec<u8>], range: (Hash, Option<Hash>)) -> Self {
        let links = target.after.len();
        let width = owner_width(target);
        let order = by_key(owners, width);
        let mut rows = Self {
            keys: Vec::with_capacity(order.len()),
            hashes: Vec::with_capacity(order.len()),
            flaws: Vec::with_capacity(order.len()),
            parents: vec![Vec::with_capacity(order.len()); links],
            repeated: 0,
            range,
        };
        for at in order {
            let mark = owners.get(at * width..(at + 1) * width).unwrap_or_default();
            let key = hash_in(mark, 0);
            if rows.keys.last() == Some(&key) && !target.last_wins {
                if let Some(flaw) = rows.flaws.last_mut() {
                    *flaw = Some(Flaw::Repeated);
                }
                continue;
            }
            if rows.keys.last() == Some(&key) {
                rows.pop();
                rows.repeated += 1;
            }
            rows.keys.push(key);
            rows.hashes.push(hash_in(mark, 1));
            rows.flaws.push(Flaw::of_row(flaw_in(mark, 2 + links)));
            for (link, hashes) in rows.parents.iter_mut().enumerate() {
                hashes.push(hash_in(mark, 2 + link));
            }
        }
        if !target.children.is_empty() {
            rows.attach(target, children);
        }
        rows
    }

    fn pop(&mut self) {
        self.keys.pop();
        self.hashes.pop();
        self.flaws.pop();
        for hashes in &mut self.parents {
            hashes.pop();
        }
    }

    /// Takes the parts into the hashes of their owners. Parts without an owner stay out.
    fn attach(&mut self, target: &Target, children: &[Vec<u8>]) {
        let mut lists: Vec<Parts> =
            children.iter().enumerate().map(|(index, marks)| Parts::sorted(index, marks)).collect();
        // lists are hashed in the order of their names, flaws are found in the order of the children
        let mut compared: Vec<usize> =
            (0..target.children.len()).filter(|index| target.compare.contains(&target.children[*index].name)).collect();
        compared.sort_by_key(|index| target.children[*index].name.as_str());
        for ((key, hash), flaw) in self.keys.iter().zip(&mut self.hashes).zip(&mut self.flaws) {
            for list in &mut lists {
                *flaw = list.take(*key).or(*flaw);
            }
            if !compared.is_empty() {
                let mut all = WithParts::new(*hash);
                for index in &compared {
                    all.add(&mut lists[*index].taken);
                }
                *hash = all.hash();
            }
        }
    }
}

/// The numbers of marks ascending by key, equal keys in the order they came. Half a key is sorted by, as that is
/// nearly always enough and half the size.
fn by_key(marks: &[u8], width: usize) -> Vec<usize> {
    let key = |at: u32| hash_in(marks.get(at as usize * width..).unwrap_or_default(), 0);
    let upper = |mark| u64::try_from(hash_in(mark, 0) >> 64).unwrap_or(0);
    let mut order: Vec<(u64, u32)> = marks.chunks_exact(width).map(upper).zip(0..).collect();
    order.sort_unstable();
    for group in order.chunk_by_mut(|one, other| one.0 == other.0).filter(|group| group.len() > 1) {
        group.sort_by_key(|(_, at)| (key(*at), *at));
    }
    order.into_iter().map(|(_, at)| at as usize).collect()
}

/// The parts of one child, ascending by owner and key.
struct Parts {
    child: usize,
    /// Owner, own key, hash, flaw.
    sorted: Vec<(Hash, Hash, Hash, u16)>,
    next: usize,
    /// Hashes of the parts of the owner asked for last.
    taken: Vec<Hash>,
}

impl Parts {
    fn sorted(child: usize, marks: &[u8]) -> Self {
        let mut parts: Vec<(Hash, Hash, Hash, u16)> = marks
            .chunks_exact(PART_WIDTH)
            .map(|mark| (hash_in(mark, 0), hash_in(mark, 1), hash_in(mark, 2), flaw_in(mark, 3)))
            .collect();
        parts.sort_unstable();
        Self { child, sorted: parts, next: 0, taken: Vec::new() }
    }

    /// Goes to an owner (they are asked for in ascending order); gives what is wrong with its parts.
    fn take(&mut self, owner: Hash) -> Option<Flaw> {
        self.taken.clear();
        while self.sorted.get(self.next).is_some_and(|part| part.0 < owner) {
            self.next += 1;
        }
        let (mut flaw, mut before) = (None, None);
        while let Some((_, key, hash, mark)) = self.sorted.get(self.next).filter(|part| part.0 == owner) {
            flaw = Flaw::of_part(self.child, *mark).or(flaw);
            if before == Some(*key) && flaw.is_none() {
                flaw = Some(Flaw::PartRepeated(self.child));
            }
            before = Some(*key);
            self.taken.push(*hash);
            self.next += 1;
        }
        flaw
    }
}
