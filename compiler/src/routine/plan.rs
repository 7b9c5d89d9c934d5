//! Memory: where every buffer of a function lies in its frame.
//!
//! A buffer lives from the step that writes it to the last one that reads it; buffers whose lives do not meet share memory. The
//! result is checked by [`check`], which knows nothing of how it was made.

mod sweep;

use smallvec::SmallVec;

use crate::routine::program::{ALIGN, Place};

/// A buffer: an index into [`Problem::buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub usize);

/// What is to be planned.
#[derive(Clone, Debug, Default)]
pub struct Problem {
    /// The buffers.
    pub buffers: Vec<Buffer>,
    /// The steps, in order.
    pub jobs: Vec<Job>,
}

/// Memory that holds one value.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// Its size.
    pub bytes: usize,
    /// Where it lies, if that is given: in an argument or among the constants.
    pub home: Option<Place>,
}

/// One step of a function.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// Buffers that it reads or writes, temporary ones included.
    pub buffers: SmallVec<[BufferId; 6]>,
    /// Bytes of the frame of a routine that it calls.
    pub frame: usize,
}

/// Where everything lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// A place for each buffer.
    pub places: Vec<Place>,
    /// For each job the offset of its callee's frame.
    pub frames: Vec<usize>,
    /// Bytes of the whole frame.
    pub frame: usize,
}

impl Problem {
    /// Adds a buffer.
    pub fn buffer(&mut self, bytes: usize, home: Option<Place>) -> BufferId {
        self.buffers.push(Buffer { bytes, home });
        BufferId(self.buffers.len() - 1)
    }

    /// Finds a place for every buffer and every callee's frame: largest first, each at the lowest offset that is free
    /// during its whole life. That looks at all pairs; of very many blocks each takes the smallest gap that is there when its life
    /// begins.
    pub fn solve(&self) -> Layout {
        let mut lives: Vec<Option<(usize, usize)>> = vec![None; self.buffers.len()];
        for (at, job) in self.jobs.iter().enumerate() {
            for buffer in &job.buffers {
                let life = &mut lives[buffer.0];
                *life = Some((life.map_or(at, |(first, _)| first), at));
            }
        }
        let mut blocks = vec![];
        for (i, buffer) in self.buffers.iter().enumerate() {
            if let (None, Some((first, last))) = (buffer.home, lives[i]) {
                blocks.push(Block {
                    bytes: buffer.bytes.max(1).next_multiple_of(ALIGN),
                    first,
                    last,
                    of: Of::Buffer(i),
                });
            }
        }
        for (at, job) in self.jobs.iter().enumerate() {
            if job.frame > 0 {
                blocks.push(Block { bytes: job.frame.next_multiple_of(ALIGN), first: at, last: at, of: Of::Frame(at) });
            }
        }
        let placed = if blocks.len() > PAIRS { sweep::place(blocks) } else { place(blocks) };
        let mut layout = Layout {
            places: self.buffers.iter().map(|b| b.home.unwrap_or(Place::Frame(0))).collect(),
            frames: vec![0; self.jobs.len()],
            frame: 0,
        };
        for (offset, block) in placed {
            layout.frame = layout.frame.max(offset + block.bytes);
            match block.of {
                Of::Buffer(i) => layout.places[i] = Place::Frame(offset),
                Of::Frame(job) => layout.frames[job] = offset,
            }
        }
        layout
    }
}

#[derive(Clone, Copy, Debug)]
struct Block {
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

/// The most blocks of which all pairs are looked at.
const PAIRS: usize = 4096;

/// Largest first, each at the lowest offset that is free during its whole life.
fn place(mut blocks: Vec<Block>) -> Vec<(usize, Block)> {
    blocks.sort_by_key(|b| (std::cmp::Reverse(b.bytes), b.first, b.of));
    let mut placed: Vec<(usize, Block)> = vec![];
    for block in blocks {
        let offset = free_offset(&block, &placed);
        let at = placed.partition_point(|(o, _)| *o < offset);
        placed.insert(at, (offset, block));
    }
    placed
}

/// The lowest offset at which a block meets none of those placed, which are sorted by offset.
fn free_offset(block: &Block, placed: &[(usize, Block)]) -> usize {
    let mut offset = 0;
    for (at, other) in placed {
        let meet = block.first <= other.last && other.first <= block.last;
        if !meet {
            continue;
        }
        if offset + block.bytes <= *at {
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
    fn lives_that_do_not_meet_share_memory() {
        let mut problem = Problem::default();
        let sizes = [100, 200, 100, 64];
        let ids: Vec<BufferId> = sizes.iter().map(|&n| problem.buffer(n, None)).collect();
        for pair in ids.windows(2) {
            problem.jobs.push(Job { buffers: pair.into(), frame: 0 });
        }
        let layout = problem.solve();
        assert_eq!(layout.places[0], layout.places[2]);
        assert!(layout.frame < 100 + 200 + 100 + 64);
        assert!(layout.places.iter().all(|p| matches!(p, Place::Frame(o) if o % ALIGN == 0)));
    }

    #[test]
    fn a_callee_gets_room_of_its_own() {
        let mut problem = Problem::default();
        let (x, y) = (problem.buffer(64, None), problem.buffer(64, None));
        problem.jobs.push(Job { buffers: [x].into_iter().collect(), frame: 0 });
        problem.jobs.push(Job { buffers: [x, y].into_iter().collect(), frame: 640 });
        let layout = problem.solve();
        let Place::Frame(x) = layout.places[0] else { panic!("x has no home") };
        let Place::Frame(y) = layout.places[1] else { panic!("y has no home") };
        let frame = layout.frames[1]..layout.frames[1] + 640;
        assert!(!frame.contains(&x) && !frame.contains(&y) && x != y);
    }
}
