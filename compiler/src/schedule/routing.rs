//! The steps of a function before they have places: what each reads and writes, and what it waits for.

use dlc_ir::{Function, NodeId, Value};
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

use super::order::Order;
use crate::kernel::program::{Place, RoutineId};
use crate::plan::{BufferId, Problem};

/// A unit: an index into the scheduler's units. Names are for printing only, since those of loaded functions are any.
#[derive(Clone, Copy, Debug)]
pub struct UnitId(pub usize);

/// What a step does.
#[derive(Clone, Debug)]
pub enum Work {
    /// Runs the kernels of a unit.
    Kernels { unit: UnitId, shared: Vec<(usize, usize)> },
    /// Runs a routine.
    Call(RoutineId),
    /// Copies a value to where a result of the function has to be.
    Copy { unit: UnitId, result: usize },
}

/// A step before it has a place.
pub struct Task {
    pub node: Option<NodeId>,
    pub work: Work,
    /// The values that it reads, in the order of the node's operands.
    pub reads: Buffers,
    pub writes: Buffers,
    pub temps: Buffers,
}

/// Few buffers.
pub type Buffers = SmallVec<[BufferId; 4]>;

/// The state of one function.
pub struct Routing<'a> {
    pub function: &'a Function,
    pub problem: Problem,
    /// The buffer of every value.
    pub buffers: FxHashMap<Value, BufferId>,
    pub tasks: Vec<Task>,
    /// The task that writes a buffer.
    pub writer: FxHashMap<BufferId, usize>,
    /// The tasks that read a buffer.
    pub readers: FxHashMap<BufferId, SmallVec<[usize; 2]>>,
    /// The task that overwrites an argument in place.
    pub overwriter: FxHashMap<BufferId, usize>,
    pub order: Order,
}

impl<'a> Routing<'a> {
    /// The function before its first step, with its arguments where its callers put them.
    pub fn new(function: &'a Function) -> Self {
        let mut routing = Routing {
            function,
            problem: Problem::default(),
            buffers: FxHashMap::default(),
            tasks: vec![],
            writer: FxHashMap::default(),
            readers: FxHashMap::default(),
            overwriter: FxHashMap::default(),
            order: Order::default(),
        };
        for (slot, &value) in function.arg_values().iter().enumerate() {
            let home = Place::Argument { slot, offset: 0 };
            let id = routing.problem.buffer(function.ty(value).bytes(), Some(home));
            routing.buffers.insert(value, id);
        }
        routing
    }

    /// Adds a copy. Whoever overwrites an argument that is copied waits for it.
    pub fn copy(&mut self, unit: UnitId, result: usize, from: BufferId, to: BufferId) -> usize {
        let step = self.order.add(self.writer.get(&from).copied());
        let work = Work::Copy { unit, result };
        self.tasks.push(Task { node: None, work, reads: smallvec![from], writes: smallvec![to], temps: smallvec![] });
        self.writer.insert(to, step);
        self.readers.entry(from).or_default().push(step);
        if let Some(&writer) = self.overwriter.get(&from) {
            let waits = self.order.try_wait(writer, &[step]);
            debug_assert!(waits, "a copy of an argument waits for nobody");
        }
        step
    }

    pub fn task(&mut self, id: NodeId, work: Work, temps: &[usize]) {
        let node = self.function.node(id);
        let reads: Buffers = node.operands.iter().map(|v| self.buffers[v]).collect();
        let mut writes = Buffers::new();
        for (result, ty) in node.types.iter().enumerate() {
            let buffer = self.problem.buffer(ty.bytes(), None);
            self.buffers.insert(Value { node: id, result: result as u32 }, buffer);
            writes.push(buffer);
        }
        let temps = temps.iter().map(|&bytes| self.problem.buffer(bytes, None)).collect();
        let after: SmallVec<[usize; 4]> = reads.iter().filter_map(|b| self.writer.get(b).copied()).collect();
        let step = self.order.add(after);
        debug_assert_eq!(step, self.tasks.len());
        for &w in &writes {
            self.writer.insert(w, step);
        }
        for &r in &reads {
            self.readers.entry(r).or_default().push(step);
        }
        self.tasks.push(Task { node: Some(id), work, reads, writes, temps });
    }
}
