//! The memory plan: an address in the frame for every buffer of a function.
//!
//! The live range of a buffer extends from the step that writes it to the last one that reads it; buffers with disjoint live
//! ranges share memory. [`check`](super::check), which shares no code with the planner, checks the result.

mod sweep;

use smallvec::SmallVec;

use crate::routine::program::{ALIGN, Address};

/// A buffer: an index into [`AllocationProblem::buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub usize);

/// The input of the planner.
#[derive(Clone, Debug, Default)]
pub struct AllocationProblem {
    pub buffers: Vec<Buffer>,
    pub steps: Vec<AllocationStep>,
}

/// Memory for one value.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    pub bytes: usize,
    /// Its address, if that is fixed: in an argument or among the constants.
    pub home: Option<Address>,
}

/// One step of a function.
#[derive(Clone, Debug, Default)]
pub struct AllocationStep {
    /// The buffers that it reads or writes, temporaries included.
    pub buffers: SmallVec<[BufferId; 6]>,
    /// The size of the frame of a routine that it calls.
    pub frame: usize,
}

/// A memory plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// The address of each buffer.
    pub addresses: Vec<Address>,
    /// For each step the offset of its callee's frame.
    pub frames: Vec<usize>,
    /// The size of the frame.
    pub frame: usize,
}

impl AllocationProblem {
    /// Adds a buffer.
    pub fn buffer(&mut self, bytes: usize, home: Option<Address>) -> BufferId {
        self.buffers.push(Buffer { bytes, home });
        BufferId(self.buffers.len() - 1)
    }

    /// Assigns an address to every buffer and every callee's frame: largest first, each at the lowest offset that is free during
    /// its whole live range. That compares all pairs; if there are very many intervals, they are assigned in one sweep, each to
    /// the smallest sufficient gap at the beginning of its live range.
    pub fn solve(&self) -> Allocation {
        let mut live_ranges: Vec<Option<(usize, usize)>> = vec![None; self.buffers.len()];
        for (at, step) in self.steps.iter().enumerate() {
            for buffer in &step.buffers {
                let live_range = &mut live_ranges[buffer.0];
                *live_range = Some((live_range.map_or(at, |(first, _)| first), at));
            }
        }
        let mut intervals = vec![];
        for (i, buffer) in self.buffers.iter().enumerate() {
            if let (None, Some((first, last))) = (buffer.home, live_ranges[i]) {
                intervals.push(Interval {
                    bytes: buffer.bytes.max(1).next_multiple_of(ALIGN),
                    first,
                    last,
                    of: IntervalOwner::Buffer(i),
                });
            }
        }
        for (at, step) in self.steps.iter().enumerate() {
            if step.frame > 0 {
                intervals.push(Interval {
                    bytes: step.frame.next_multiple_of(ALIGN),
                    first: at,
                    last: at,
                    of: IntervalOwner::Frame(at),
                });
            }
        }
        let placed = if intervals.len() > PAIRS { sweep::place(intervals) } else { place(intervals) };
        let mut allocation = Allocation {
            addresses: self.buffers.iter().map(|b| b.home.unwrap_or(Address::Frame(0))).collect(),
            frames: vec![0; self.steps.len()],
            frame: 0,
        };
        for (offset, interval) in placed {
            allocation.frame = allocation.frame.max(offset + interval.bytes);
            match interval.of {
                IntervalOwner::Buffer(i) => allocation.addresses[i] = Address::Frame(offset),
                IntervalOwner::Frame(step) => allocation.frames[step] = offset,
            }
        }
        allocation
    }
}

#[derive(Clone, Copy, Debug)]
struct Interval {
    bytes: usize,
    first: usize,
    last: usize,
    of: IntervalOwner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum IntervalOwner {
    Buffer(usize),
    Frame(usize),
}

/// Up to this many intervals, all pairs are compared.
const PAIRS: usize = 4096;

/// Largest first, each at the lowest offset that is free during its whole live range.
fn place(mut intervals: Vec<Interval>) -> Vec<(usize, Interval)> {
    intervals.sort_by_key(|b| (std::cmp::Reverse(b.bytes), b.first, b.of));
    let mut placed: Vec<(usize, Interval)> = vec![];
    for interval in intervals {
        let offset = free_offset(&interval, &placed);
        let at = placed.partition_point(|(o, _)| *o < offset);
        placed.insert(at, (offset, interval));
    }
    placed
}

/// The lowest offset at which an interval overlaps none of those placed, which are sorted by offset.
fn free_offset(interval: &Interval, placed: &[(usize, Interval)]) -> usize {
    let mut offset = 0;
    for (at, other) in placed {
        let meet = interval.first <= other.last && other.first <= interval.last;
        if !meet {
            continue;
        }
        if offset + interval.bytes <= *at {
            break;
        }
        offset = offset.max(at + other.bytes);
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_ranges_that_do_not_meet_share_memory() {
        let mut problem = AllocationProblem::default();
        let sizes = [100, 200, 100, 64];
        let ids: Vec<BufferId> = sizes.iter().map(|&n| problem.buffer(n, None)).collect();
        for pair in ids.windows(2) {
            problem.steps.push(AllocationStep { buffers: pair.into(), frame: 0 });
        }
        let allocation = problem.solve();
        assert_eq!(allocation.addresses[0], allocation.addresses[2]);
        assert!(allocation.frame < 100 + 200 + 100 + 64);
        assert!(allocation.addresses.iter().all(|p| matches!(p, Address::Frame(o) if o % ALIGN == 0)));
    }

    #[test]
    fn a_callee_gets_room_of_its_own() {
        let mut problem = AllocationProblem::default();
        let (x, y) = (problem.buffer(64, None), problem.buffer(64, None));
        problem.steps.push(AllocationStep { buffers: [x].into_iter().collect(), frame: 0 });
        problem.steps.push(AllocationStep { buffers: [x, y].into_iter().collect(), frame: 640 });
        let allocation = problem.solve();
        let Address::Frame(x) = allocation.addresses[0] else { panic!("x has no home") };
        let Address::Frame(y) = allocation.addresses[1] else { panic!("y has no home") };
        let frame = allocation.frames[1]..allocation.frames[1] + 640;
        assert!(!frame.contains(&x) && !frame.contains(&y) && x != y);
    }
}
