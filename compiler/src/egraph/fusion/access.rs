//! At which indices (access maps) a kernel evaluates or reads a value, and in which branches.
//!
//! A fused value is evaluated once per access map, and again in each branch unless an enclosing branch has the same access: this
//! is what composition and emission produce (`nest/compose.rs`, `cpu/vectorize.rs`). So the distinct accesses of a value
//! determine its cost in the kernel, in time and in code size.

use indexmap::{IndexMap, IndexSet};
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use super::reads::{Read, Row};

/// An index into [`AccessTable::maps`].
type MapId = u32;
/// An index into [`AccessTable::scopes`]; the first is the scope outside of all branches.
type ScopeId = u32;

/// An access map, and the branch in which it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Access {
    map: MapId,
    scope: ScopeId,
}

/// The distinct accesses of a value in a kernel.
pub(super) type Accesses = SmallVec<[Access; 1]>;

/// The axes over which indices are affine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Basis {
    of: BasisOrigin,
    extents: SmallVec<[usize; 4]>,
    region: LoopScope,
}

/// The loops of an evaluation: those of a node, or of one of its operands only.
type LoopScope = (u32, Option<u32>);

/// The origin of the axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum BasisOrigin {
    /// The loops of a region.
    Loops(LoopScope),
    /// The result of reading a map at a non-affine index: (map, node, number of the read).
    Read(MapId, u32, u32),
}

/// An access map: for each axis of the value the index, over the axes of a basis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Map {
    basis: u32,
    rows: SmallVec<[Row; 4]>,
}

/// A branch: the enclosing scope, and the condition: (node, map, number of the condition, side).
type Scope = (ScopeId, u32, MapId, u32, bool);

/// The access maps and branches of a function, interned.
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

    /// The access of a stored value or a reduction in its own loops.
    pub fn own(&mut self, node: u32, extents: &[usize]) -> Access {
        Access { map: self.identity(BasisOrigin::Loops((node, None)), extents), scope: 0 }
    }

    /// The access of one operand of a node that has its own loops.
    pub fn apart(&mut self, node: u32, operand: usize, extents: &[usize]) -> Access {
        Access { map: self.identity(BasisOrigin::Loops((node, Some(operand as u32))), extents), scope: 0 }
    }

    fn identity(&mut self, of: BasisOrigin, extents: &[usize]) -> MapId {
        let region = match of {
            BasisOrigin::Loops(region) => region,
            BasisOrigin::Read(map, ..) => self.region(map),
        };
        let basis = self.bases.insert_full(Basis { of, extents: extents.into(), region }).0 as u32;
        self.map(Map { basis, rows: identity(extents) })
    }

    fn region(&self, map: MapId) -> LoopScope {
        let map = self.maps.get_index(map as usize).expect("maps are numbered");
        self.bases[map.basis as usize].region
    }

    /// The number of evaluations of a value per iteration of the loops with the most.
    pub fn multiplicity(&self, accesses: &[Access]) -> u64 {
        let count = |p: &Access| {
            let region = self.region(p.map);
            accesses.iter().filter(|q| self.region(q.map) == region).count() as u64
        };
        if accesses.len() < 2 { 1 } else { accesses.iter().map(count).max().unwrap_or(1) }
    }

    /// The cost of reading a stored value at all these accesses instead of once in each region, where a read costs `free`, and
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

    /// Whether an evaluation at `access` is not covered by those at `accesses`.
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

    /// The access of read `number` of `node`, which is evaluated at `access`, in an operand of this shape; `None` if it never
    /// happens.
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
            None => self.identity(BasisOrigin::Read(access.map, node, number), shape),
        };
        Some(Access { map, scope })
    }

    /// Whether conditions on a position always or never hold, if that is known.
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

    /// The access of the operand of the reshape `node`, which is evaluated at `access`. `from` and `to` are the shapes of operand
    /// and result.
    pub fn reshaped(&mut self, access: Access, node: u32, from: &[usize], to: &[usize]) -> Access {
        let Map { basis, rows } = self.maps.get_index(access.map as usize).expect("maps are numbered").clone();
        let axes = |shape: &[usize]| -> SmallVec<[usize; 4]> { (0..shape.len()).filter(|&a| shape[a] != 1).collect() };
        let sizes = |shape: &[usize]| shape.iter().copied().filter(|&n| n != 1).collect::<SmallVec<[usize; 4]>>();
        let whole = &self.bases[basis as usize];
        let map = if rows == identity(to) && *whole.extents == *to {
            // The same row-major position in the same loops, whatever the shape.
            let of = whole.of;
            self.identity(of, from)
        } else if sizes(from) == sizes(to) {
            let mut new: SmallVec<[Row; 4]> = SmallVec::from_elem(Row::default(), from.len());
            for (old, at) in axes(to).into_iter().zip(axes(from)) {
                new[at] = rows[old].clone();
            }
            self.map(Map { basis, rows: new })
        } else {
            self.identity(BasisOrigin::Read(access.map, node, 0), from)
        };
        Access { map, scope: access.scope }
    }
}

/// The identity map; an axis of size 1 is 0.
fn identity(extents: &[usize]) -> SmallVec<[Row; 4]> {
    let row = |(axis, &n): (usize, &usize)| if n == 1 { Row::default() } else { Row::axis(axis as u32) };
    extents.iter().enumerate().map(row).collect()
}
