//! Memory: where every buffer of a function lies in its frame.
//!
//! A buffer is live from the step that writes it to the last one that reads it; buffers whose live ranges do not meet share memory. The
//! result is checked by [`check`](super::check), which knows nothing of how it was made.

mod sweep;

use smallvec::SmallVec;

use crate::routine::program::{ALIGN, Address};

/// A buffer: an index into [`AllocationProblem::buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub usize);

/// What is to be planned.
#[derive(Clone, Debug, Default)]
pub struct AllocationProblem {
    /// The buffers.
    pub buffers: Vec<Buffer>,
    /// The steps, in order.
    pub steps: Vec<AllocationStep>,
}

/// Memory that holds one value.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// Its size.
    pub bytes: usize,
    /// Where it lies, if that is fixed: in an argument or among the constants.
    pub home: Option<Address>,
}

/// One step of a function.
#[derive(Clone, Debug, Default)]
pub struct AllocationStep {
    /// Buffers that it reads or writes, temporary ones included.
    pub buffers: SmallVec<[BufferId; 6]>,
    /// Bytes of the frame of a routine that it calls.
    pub frame: usize,
}

/// Where everything lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// A place for each buffer.
    pub addresses: Vec<Address>,
    /// For each step the offset of its callee's frame.
    pub frames: Vec<usize>,
    /// Bytes of the whole frame.
    pub frame: usize,
}

impl AllocationProblem {
    /// Adds a buffer.
    pub fn buffer(&mut self, bytes: usize, home: Option<Address>) -> BufferId {
        self.buffers.push(Buffer { bytes, home });
        BufferId(self.buffers.len() - 1)
    }

    /// Finds a place for every buffer and every callee's frame: largest first, each at the lowest offset that is free
    /// during its whole live range. That looks at all pairs; of very many intervals each takes the smallest gap that is there when its live range
    /// begins.
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
                    of: Of::Buffer(i),
                });
            }
        }
        for (at, step) in self.steps.iter().enumerate() {
            if step.frame > 0 {
                intervals.push(Interval {
                    bytes: step.frame.next_multiple_of(ALIGN),
                    first: at,
                    last: at,
                    of: Of::Frame(at),
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
                Of::Buffer(i) => allocation.addresses[i] = Address::Frame(offset),
                Of::Frame(step) => allocation.frames[step] = offset,
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
    of: Of,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Buffer(usize),
    Frame(usize),
}

/// The most intervals of which all pairs are looked at.
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

/// The lowest offset at which an interval meets none of those placed, which are sorted by offset.
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
