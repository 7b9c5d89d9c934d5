//! At which positions of which operand a kernel evaluates or reads a value: by which index (its access map), and in which branch.
//!
//! A value that is evaluated in a kernel is evaluated once for each access map, and again in each branch that no branch with the same
//! access encloses: what composition and emission make of it (`nest/compose.rs`, `cpu/element.rs`). So the distinct
//! accesses of a value in a kernel are its price there, in time and in code.

use indexmap::{IndexMap, IndexSet};
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use super::reads::{Read, Row};

/// An index into [`AccessTable::maps`].
type MapId = u32;
/// An index into [`AccessTable::scopes`]; the first is outside of all branches.
type ScopeId = u32;

/// An access map, and the branch in which it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Access {
    map: MapId,
    scope: ScopeId,
}

/// The distinct accesses of a value in a kernel.
pub(super) type Accesses = SmallVec<[Access; 1]>;

/// The axes that indices are sums of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Basis {
    of: BasisOf,
    extents: SmallVec<[usize; 4]>,
    region: Region,
}

/// The loops in which something is evaluated: those of a node, or of an operand of it alone.
type Region = (u32, Option<u32>);

/// Whose axes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum BasisOf {
    /// The loops of a region.
    Loops(Region),
    /// What a read made of a map in a way that is no sum: (map, node, number of the read).
    Read(MapId, u32, u32),
}

/// An access map: of each axis of the value the position, on the axes of a basis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Map {
    basis: u32,
    rows: SmallVec<[Row; 4]>,
}

/// A branch: the scope around it, and the condition: (node, map, number of the condition, side).
type Scope = (ScopeId, u32, MapId, u32, bool);

/// The access maps and branches of a function, each numbered once.
#[derive(Debug)]
pub(super) struct AccessTable {
    bases: IndexSet<Basis, FxBuildHasher>,
    maps: IndexSet<Map, FxBuildHasher>,
    scopes: IndexMap<Scope, (), FxBuildHasher>,
}

impl AccessTable {
    pub fn new() -> Self {
        let outside = (0, u32::MAX, 0, 0, true);
        let scopes = IndexMap::from_iter([(outside, ())]);
        AccessTable { bases: IndexSet::default(), maps: IndexSet::default(), scopes }
    }

    /// Where the loops of a stored value or a reduction evaluate it.
    pub fn own(&mut self, node: u32, extents: &[usize]) -> Access {
        Access { map: self.identity(BasisOf::Loops((node, None)), extents), scope: 0 }
    }

    /// Where the loops for one operand of a node evaluate it.
    pub fn apart(&mut self, node: u32, operand: usize, extents: &[usize]) -> Access {
        Access { map: self.identity(BasisOf::Loops((node, Some(operand as u32))), extents), scope: 0 }
    }

    fn identity(&mut self, of: BasisOf, extents: &[usize]) -> MapId {
        let region = match of {
            BasisOf::Loops(region) => region,
            BasisOf::Read(map, ..) => self.region(map),
        };
        let basis = self.bases.insert_full(Basis { of, extents: extents.into(), region }).0 as u32;
        self.map(Map { basis, rows: identity(extents) })
    }

    fn region(&self, map: MapId) -> Region {
        let map = self.maps.get_index(map as usize).expect("maps are numbered");
        self.bases[map.basis as usize].region
    }

    /// How often a value is evaluated for one position of the loops that need it most.
    pub fn multiplicity(&self, accesses: &[Access]) -> u64 {
        let count = |p: &Access| {
            let region = self.region(p.map);
            accesses.iter().filter(|q| self.region(q.map) == region).count() as u64
        };
        if accesses.len() < 2 { 1 } else { accesses.iter().map(count).max().unwrap_or(1) }
    }

    /// What reading a stored value at all these accesses costs beyond reading it once in each region, where a read costs `free`, and
    /// `guarded` within a branch.
    pub fn further_reads(&self, accesses: &[Access], free: u64, guarded: u64) -> u64 {
        let further = |(i, p): (usize, &Access)| {
            let region = self.region(p.map);
            let seen = accesses[..i].iter().any(|q| self.region(q.map) == region);
            if !seen {
                0
            } else if p.scope == 0 {
                free
            } else {
                guarded
            }
        };
        if accesses.len() < 2 { 0 } else { accesses.iter().enumerate().map(further).sum() }
    }

    fn map(&mut self, map: Map) -> MapId {
        self.maps.insert_full(map).0 as u32
    }

    /// Whether a value has to be evaluated at `access` although it is at `accesses`.
    pub fn is_new(&self, accesses: &[Access], access: Access) -> bool {
        !accesses.iter().any(|p| p.map == access.map && self.encloses(p.scope, access.scope))
    }

    fn encloses(&self, outer: ScopeId, mut inner: ScopeId) -> bool {
        // A scope is numbered after the one around it.
        while inner > outer {
            inner = self.scopes.get_index(inner as usize).expect("scopes are numbered").0.0;
        }
        inner == outer
    }

    /// Where read number `number` of `node`, which is evaluated at `access`, finds an operand of this shape; `None` if it never happens.
    pub fn read(&mut self, access: Access, node: u32, (number, read): (u32, &Read), shape: &[usize]) -> Option<Access> {
        let Map { basis, rows } = self.maps.get_index(access.map as usize).expect("maps are numbered").clone();
        let mut scope = access.scope;
        for branch in &read.branches {
            match self.known(&branch.tests, &rows, basis) {
                Some(holds) if holds == branch.holds => {}
                Some(_) => return None,
                None => {
                    let key = (scope, node, access.map, branch.number, branch.holds);
                    scope = self.scopes.insert_full(key, ()).0 as ScopeId;
                }
            }
        }
        let composed = read.index.as_ref().and_then(|index| {
            let on = |(row, &n): (&Row, &usize)| if n == 1 { Some(Row::default()) } else { row.on(&rows) };
            index.iter().zip(shape).map(on).collect::<Option<SmallVec<[Row; 4]>>>()
        });
        let map = match composed {
            Some(rows) => self.map(Map { basis, rows }),
            None => self.identity(BasisOf::Read(access.map, node, number), shape),
        };
        Some(Access { map, scope })
    }

    /// What conditions on a position come to, where that is known.
    fn known(&self, tests: &[Option<(Row, i64, i64)>], rows: &[Row], basis: u32) -> Option<bool> {
        let extents = &self.bases[basis as usize].extents;
        let mut all = Some(true);
        for test in tests {
            let known = test.as_ref().and_then(|(row, low, high)| row.on(rows)?.within(*low, *high, extents));
            match known {
                Some(true) => {}
                Some(false) => return Some(false),
                None => all = None,
            }
        }
        all
    }

    /// Where the operand of the reshape `node` is evaluated if that is at `access`. `from` and `to` are the shapes of operand and result.
    pub fn reshaped(&mut self, access: Access, node: u32, from: &[usize], to: &[usize]) -> Access {
        let Map { basis, rows } = self.maps.get_index(access.map as usize).expect("maps are numbered").clone();
        let axes = |shape: &[usize]| -> SmallVec<[usize; 4]> { (0..shape.len()).filter(|&a| shape[a] != 1).collect() };
        let sizes = |shape: &[usize]| shape.iter().copied().filter(|&n| n != 1).collect::<SmallVec<[usize; 4]>>();
        let whole = &self.bases[basis as usize];
        let map = if rows == identity(to) && *whole.extents == *to {
            // The same row-major position of the same loops, in whatever shape.
            let of = whole.of;
            self.identity(of, from)
        } else if sizes(from) == sizes(to) {
            let mut new: SmallVec<[Row; 4]> = SmallVec::from_elem(Row::default(), from.len());
            for (old, at) in axes(to).into_iter().zip(axes(from)) {
                new[at] = rows[old].clone();
            }
            self.map(Map { basis, rows: new })
        } else {
            self.identity(BasisOf::Read(access.map, node, 0), from)
        };
        Access { map, scope: access.scope }
    }
}

/// Each axis as itself; one of a single element is 0.
fn identity(extents: &[usize]) -> SmallVec<[Row; 4]> {
    let row = |(axis, &n): (usize, &usize)| if n == 1 { Row::default() } else { Row::axis(axis as u32) };
    extents.iter().enumerate().map(row).collect()
}
