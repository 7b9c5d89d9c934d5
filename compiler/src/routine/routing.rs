//! The steps of a function before memory is planned: what each reads and writes, and what it waits for.

use dlc_ir::{Function, NodeId, Value};
use smallvec::{SmallVec, smallvec};

use super::order::StepOrder;
use crate::routine::plan::{AllocationProblem, BufferId};
use crate::routine::program::{Address, RoutineId};

/// A unit: an index into the scheduler's units. Names are for printing only: those in loaded files are arbitrary.
#[derive(Clone, Copy, Debug)]
pub struct UnitId(pub usize);

/// The operation of a step.
#[derive(Clone, Debug)]
pub enum Work {
    /// Runs the kernels of a unit.
    Kernels { unit: UnitId, shared: Vec<(usize, usize)> },
    /// Runs a routine.
    Call(RoutineId),
    /// Copies a value to the destination of a result.
    Copy { unit: UnitId, result: usize },
}

/// A step before its memory is planned.
pub struct Task {
    pub node: Option<NodeId>,
    pub work: Work,
    /// The values that it reads, in the order of the node's operands.
    pub reads: Buffers,
    pub writes: Buffers,
    pub temps: Buffers,
}

pub type Buffers = SmallVec<[BufferId; 4]>;

/// The state of scheduling one function.
pub struct Routing<'a> {
    pub function: &'a Function,
    pub problem: AllocationProblem,
    pub tasks: Vec<Task>,
    pub order: StepOrder,
    /// For each node the buffers of its results.
    results: Vec<SmallVec<[BufferId; 1]>>,
    /// For each buffer.
    uses: Vec<Uses>,
}

/// The tasks that use a buffer.
#[derive(Default)]
pub struct Uses {
    pub writer: Option<usize>,
    pub readers: SmallVec<[usize; 2]>,
    /// The task that updates it in place, if it is that of an argument.
    pub overwriter: Option<usize>,
}

impl<'a> Routing<'a> {
    /// The state before the first step: the arguments are where the callers put them.
    pub fn new(function: &'a Function) -> Self {
        let mut routing = Routing {
            function,
            problem: AllocationProblem::default(),
            tasks: vec![],
            order: StepOrder::default(),
            results: vec![SmallVec::new(); function.node_count()],
            uses: vec![],
        };
        for (index, &value) in function.arg_values().iter().enumerate() {
            let home = Address::Argument { index, offset: 0 };
            let id = routing.add_buffer(function.ty(value).bytes(), Some(home));
            routing.put(value.node, id);
        }
        routing
    }

    pub fn add_buffer(&mut self, bytes: usize, home: Option<Address>) -> BufferId {
        self.uses.push(Uses::default());
        self.problem.buffer(bytes, home)
    }

    /// Sets the buffer of the next result of a node.
    pub fn put(&mut self, node: NodeId, buffer: BufferId) {
        self.results[node.index()].push(buffer);
    }

    /// The buffer of a value that was routed before.
    pub fn buffer(&self, value: Value) -> BufferId {
        self.results[value.node.index()][value.result as usize]
    }

    pub fn uses(&mut self, buffer: BufferId) -> &mut Uses {
        &mut self.uses[buffer.0]
    }

    /// Adds a copy. A task that overwrites the copied argument waits for it.
    pub fn copy(&mut self, unit: UnitId, result: usize, from: BufferId, to: BufferId) -> usize {
        let writer = self.uses(from).writer;
        let step = self.order.add(writer);
        let work = Work::Copy { unit, result };
        self.tasks.push(Task { node: None, work, reads: smallvec![from], writes: smallvec![to], temps: smallvec![] });
        self.uses(to).writer = Some(step);
        self.uses(from).readers.push(step);
        if let Some(writer) = self.uses(from).overwriter {
            let waits = self.order.try_wait(writer, &[step]);
            debug_assert!(waits, "a copy of an argument waits for no step");
        }
        step
    }

    pub fn task(&mut self, id: NodeId, work: Work, temps: &[usize]) {
        let node = self.function.node(id);
        let reads: Buffers = node.operands.iter().map(|&v| self.buffer(v)).collect();
        let mut writes = Buffers::new();
        for ty in node.types.iter() {
            let buffer = self.add_buffer(ty.bytes(), None);
            self.put(id, buffer);
            writes.push(buffer);
        }
        let temps = temps.iter().map(|&bytes| self.add_buffer(bytes, None)).collect();
        let after: SmallVec<[usize; 4]> = reads.iter().filter_map(|b| self.uses[b.0].writer).collect();
        let step = self.order.add(after);
        debug_assert_eq!(step, self.tasks.len());
        for &w in &writes {
            self.uses(w).writer = Some(step);
        }
        for &r in &reads {
            self.uses(r).readers.push(step);
        }
        self.tasks.push(Task { node: Some(id), work, reads, writes, temps });
    }
}
