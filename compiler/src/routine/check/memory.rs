//! Symbolic memory, which holds tokens.

use std::collections::BTreeMap;

use dlc_ir::{DType, NodeId, Value};

use crate::routine::program::Address;

/// The content of a range of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Token {
    Value(Value),
    /// A temporary between the launches of a node has no type in the graph: it is read with the type it was written with.
    Temp(NodeId, usize, DType),
}

/// A region of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Region {
    Frame,
    Argument(usize),
    Constants,
}

/// A range of bytes in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub region: Region,
    pub begin: usize,
    pub end: usize,
}

impl Span {
    pub fn new(address: Address, bytes: usize) -> Span {
        let (region, begin) = match address {
            Address::Frame(at) => (Region::Frame, at),
            Address::Argument { index, offset } => (Region::Argument(index), offset),
            Address::Constant(at) => (Region::Constants, at),
        };
        Span { region, begin, end: begin.saturating_add(bytes) }
    }

    pub fn overlaps(&self, other: &Span) -> bool {
        self.region == other.region && self.begin < other.end && other.begin < self.end
    }
}

/// A set of spans, which may overlap, with queries for an overlap.
#[derive(Debug, Default)]
pub(super) struct SpanSet {
    /// By region and begin, the longest span that begins there.
    spans: BTreeMap<(Region, usize), (usize, Address)>,
    /// The length of the longest span, in bytes.
    longest: usize,
}

impl SpanSet {
    pub fn add(&mut self, span: Span, address: Address) {
        self.longest = self.longest.max(span.end - span.begin);
        let known = self.spans.entry((span.region, span.begin)).or_insert((span.end, address));
        if known.0 < span.end {
            *known = (span.end, address);
        }
    }

    pub fn overlapping(&self, span: &Span) -> Option<Address> {
        let near = (span.region, span.begin.saturating_sub(self.longest))..(span.region, span.end);
        let overlaps = |begin: usize, end: usize| begin < span.end && span.begin < end;
        self.spans.range(near).find(|((_, begin), (end, _))| overlaps(*begin, *end)).map(|(_, (_, address))| *address)
    }
}

/// Disjoint ranges and their content: by region and begin, the end and the token.
#[derive(Debug, Default)]
pub(super) struct MemoryContents(BTreeMap<(Region, usize), (usize, Token)>);

impl MemoryContents {
    /// Whether exactly these bytes were written with this token, and no part of them since.
    pub fn holds(&self, span: Span, token: Token) -> bool {
        self.0.get(&(span.region, span.begin)) == Some(&(span.end, token))
    }

    /// Erases the ranges that overlap these bytes.
    pub fn erase(&mut self, span: Span) {
        // Ranges are disjoint, so they are sorted by their ends too.
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
