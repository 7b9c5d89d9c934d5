//! Memory that holds tokens instead of numbers.

use std::collections::BTreeMap;

use dlc_ir::{DType, NodeId, Value};

use crate::routine::program::Address;

/// What a piece of memory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Token {
    Value(Value),
    /// Memory between the launches of a node has no type in the graph: it is read as what was written.
    Temp(NodeId, usize, DType),
}

/// A region of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Region {
    Frame,
    Slot(usize),
    Constants,
}

/// Bytes of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub region: Region,
    pub begin: usize,
    pub end: usize,
}

impl Span {
    pub fn new(place: Address, bytes: usize) -> Span {
        let (region, begin) = match place {
            Address::Frame(at) => (Region::Frame, at),
            Address::Argument { slot, offset } => (Region::Slot(slot), offset),
            Address::Constant(at) => (Region::Constants, at),
        };
        Span { region, begin, end: begin.saturating_add(bytes) }
    }

    pub fn overlaps(&self, other: &Span) -> bool {
        self.region == other.region && self.begin < other.end && other.begin < self.end
    }
}

/// Spans that may overlap each other, asked which of them one overlaps.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// By region and begin, the span that reaches furthest from there.
    spans: BTreeMap<(Region, usize), (usize, Address)>,
    /// The longest of them, in bytes.
    longest: usize,
}

impl Taken {
    pub fn add(&mut self, span: Span, place: Address) {
        self.longest = self.longest.max(span.end - span.begin);
        let known = self.spans.entry((span.region, span.begin)).or_insert((span.end, place));
        if known.0 < span.end {
            *known = (span.end, place);
        }
    }

    pub fn overlapping(&self, span: &Span) -> Option<Address> {
        let near = (span.region, span.begin.saturating_sub(self.longest))..(span.region, span.end);
        let overlaps = |begin: usize, end: usize| begin < span.end && span.begin < end;
        self.spans.range(near).find(|((_, begin), (end, _))| overlaps(*begin, *end)).map(|(_, (_, place))| *place)
    }
}

/// Disjoint pieces that hold something: by region and begin, with end and token.
#[derive(Debug, Default)]
pub(super) struct Memory(BTreeMap<(Region, usize), (usize, Token)>);

impl Memory {
    /// Whether exactly these bytes were written as this token, and no part of them again.
    pub fn holds(&self, span: Span, token: Token) -> bool {
        self.0.get(&(span.region, span.begin)) == Some(&(span.end, token))
    }

    /// Forgets what any part of these bytes held.
    pub fn erase(&mut self, span: Span) {
        // Pieces are disjoint, so they end in the order in which they begin.
        while let Some((&key, &(end, _))) = self.0.range((span.region, 0)..(span.region, span.end)).next_back()
            && end > span.begin
        {
            self.0.remove(&key);
        }
    }

    pub fn write(&mut self, span: Span, token: Token) {
        self.erase(span);
        if span.begin < span.end {
            self.0.insert((span.region, span.begin), (span.end, token));
        }
    }
}
