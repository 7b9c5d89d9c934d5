//! Schedules functions as routines: steps, their order, their memory.

use dlc_ir::{Function, FunctionKind, Graph, Node, NodeId, Op, ResultRole, Symbol, Tensor, Type};
use indexmap::IndexMap;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::routing::{Routing, UnitId, Work};
use super::units::{self, Units};
use super::{Schedule, ScheduleError};
use crate::cpu::KnownUnits;
use crate::machine::Machine;
use crate::nest::nests::SourceKind;
use crate::routine::check::{OperandBinding, StepBinding};
use crate::routine::plan::{AllocationStep, BufferId};
use crate::routine::program::{Address, KernelProgram, Routine, RoutineId, Step};

/// Schedules a graph, in which every function precedes its callers, for a machine, on this many threads.
///
/// # Errors
/// If an operator cannot be lowered, or a kernel is rejected.
pub fn schedule(graph: &Graph, machine: &Machine, threads: usize) -> Result<Schedule, ScheduleError> {
    schedule_with_units(graph, &mut KnownUnits::default(), machine, threads)
}

/// [`schedule`], with units of some of the graph's kernels for that machine.
pub(crate) fn schedule_with_units(
    graph: &Graph,
    known: &mut KnownUnits,
    machine: &Machine,
    threads: usize,
) -> Result<Schedule, ScheduleError> {
    let entry = graph.functions().len() - 1;
    let functions = graph.functions().enumerate();
    let functions = functions.filter(|(i, function)| function.kind == FunctionKind::Func || *i == entry);
    let functions: Vec<&Function> = functions.map(|(_, function)| function).collect();
    let mut scheduler = Scheduler {
        graph,
        program: KernelProgram::new(),
        units: Units::new(graph, &functions, known, machine, threads),
        routines: IndexMap::new(),
        constants: FxHashMap::default(),
        bindings: vec![],
    };
    let entry = functions.len() - 1;
    let routed = functions.into_iter().enumerate().map(|(i, function)| scheduler.function(function, i == entry));
    let routed: Vec<Routed<'_>> = routed.collect::<Result<_, _>>()?;
    scheduler.units.make(routed.iter().flat_map(Routed::kernels), &mut scheduler.program)?;
    routed.into_iter().for_each(|routed| scheduler.emit(routed));
    let Scheduler { program, units: Units { statuses, clamped, .. }, bindings, .. } = scheduler;
    Ok(Schedule { program, statuses, bindings, clamped })
}

struct Scheduler<'a> {
    graph: &'a Graph,
    program: KernelProgram,
    units: Units<'a>,
    routines: IndexMap<Symbol, RoutineId>,
    constants: FxHashMap<Tensor, Address>,
    bindings: Vec<Vec<StepBinding>>,
}

/// A function whose steps are ordered, but have no memory yet.
struct Routed<'a> {
    routing: Routing<'a>,
    /// The tasks in the order in which they run.
    sorted: Vec<usize>,
    /// The constants of the function itself.
    constants: Vec<(BufferId, &'a Tensor)>,
}

impl Routed<'_> {
    /// The units of its steps, with the operands that alias.
    fn kernels(&self) -> impl Iterator<Item = (UnitId, &[(usize, usize)])> {
        self.sorted.iter().filter_map(|&task| match &self.routing.tasks[task].work {
            Work::Kernels { unit, shared } => Some((*unit, shared.as_slice())),
            Work::Copy { unit, .. } => Some((*unit, [].as_slice())),
            Work::Call(_) => None,
        })
    }
}

impl<'a> Scheduler<'a> {
    fn function(&mut self, function: &'a Function, entry: bool) -> Result<Routed<'a>, ScheduleError> {
        let mut routing = Routing::new(function);
        let mut constants = vec![];
        let live = function.live();
        for (id, node, op) in function.ops() {
            if live[id.index()] {
                self.node(&mut routing, &mut constants, id, node, op)?;
            }
        }
        let last = self.results(&mut routing, entry)?;
        let sorted = routing.order.sorted(&last);
        self.routines.insert(function.name.clone(), RoutineId(self.routines.len() as u32));
        Ok(Routed { routing, sorted, constants })
    }

    fn node(
        &mut self,
        routing: &mut Routing<'_>,
        constants: &mut Vec<(BufferId, &'a Tensor)>,
        id: NodeId,
        node: &Node,
        op: &'a Op,
    ) -> Result<(), ScheduleError> {
        match op {
            Op::Constant(c) => {
                // Its address follows when memory is planned: constants are in the order of the steps.
                let buffer = routing.add_buffer(c.value.ty().bytes(), Some(Address::Constant(0)));
                constants.push((buffer, &c.value));
                routing.put(id, buffer);
                return Ok(());
            }
            Op::Reshape(_) => {
                let buffer = routing.buffer(node.operands[0]);
                routing.put(id, buffer);
                return Ok(());
            }
            Op::Call(call) => {
                let (callee, func) = (units::callee(self.graph, call)?, &call.func);
                if callee.kind == FunctionKind::Func {
                    let routine =
                        *self.routines.get(func).ok_or_else(|| ScheduleError::UnknownFunction(func.clone()))?;
                    routing.task(id, Work::Call(routine), &[]);
                    return Ok(());
                }
                if let Some(argument) = units::alias(callee) {
                    let buffer = routing.buffer(node.operands[argument]);
                    routing.put(id, buffer);
                    return Ok(());
                }
                let unit = self.units.of_kernel(callee)?;
                self.kernels(routing, id, unit);
            }
            op => {
                let unit = self.units.of_operator(routing.function, node, op)?;
                self.kernels(routing, id, unit);
            }
        }
        Ok(())
    }

    fn kernels(&mut self, routing: &mut Routing<'_>, id: NodeId, unit: UnitId) {
        let temps: SmallVec<[usize; 4]> = self.units.get(unit).temps().map(Type::bytes).collect();
        routing.task(id, Work::Kernels { unit, shared: vec![] }, &temps);
    }

    /// Decides the memory of the function's results. Returns copies that come after everything else.
    fn results(&mut self, routing: &mut Routing<'_>, entry: bool) -> Result<Vec<usize>, ScheduleError> {
        let function = routing.function;
        let mut index = function.args().len();
        let mut last = vec![];
        for (i, result) in function.results.iter().enumerate() {
            let buffer = routing.buffer(result.value);
            match result.role {
                ResultRole::Update(arg) if entry => {
                    let own = routing.buffer(function.arg_values()[arg]);
                    if buffer == own || self.update(routing, buffer, arg, own) {
                        continue;
                    }
                    self.copy(routing, i, buffer, arg, true, &mut last)?;
                }
                ResultRole::Check if entry => {}
                _ => {
                    let home = index;
                    index += 1;
                    let free = routing.problem.buffers[buffer.0].home.is_none();
                    if free {
                        routing.problem.buffers[buffer.0].home = Some(Address::Argument { index: home, offset: 0 });
                    } else {
                        self.copy(routing, i, buffer, home, false, &mut last)?;
                    }
                }
            }
        }
        Ok(last)
    }

    /// Lets the producer of an argument's new value overwrite the argument in place, if all readers of the old value come first.
    fn update(&mut self, routing: &mut Routing<'_>, buffer: BufferId, arg: usize, own: BufferId) -> bool {
        let Some(writer) = routing.uses(buffer).writer else { return false };
        let size = |b: BufferId| routing.problem.buffers[b.0].bytes;
        if routing.problem.buffers[buffer.0].home.is_some() || size(buffer) != size(own) {
            return false;
        }
        let mut pairs = vec![];
        let task = &routing.tasks[writer];
        let units = &mut self.units;
        let result = task.writes.iter().position(|&w| w == buffer).expect("the writer writes it");
        for (i, &read) in task.reads.iter().enumerate() {
            if read != own {
                continue;
            }
            match &task.work {
                Work::Kernels { unit, .. } if units.in_place(*unit, i, result) => pairs.push((i, result)),
                _ => return false,
            }
        }
        let readers: SmallVec<[usize; 4]> =
            routing.uses(own).readers.iter().copied().filter(|&task| task != writer).collect();
        if !routing.order.try_wait(writer, &readers) {
            return false;
        }
        if let Work::Kernels { shared, .. } = &mut routing.tasks[writer].work {
            shared.extend(pairs);
        }
        routing.problem.buffers[buffer.0].home = Some(Address::Argument { index: arg, offset: 0 });
        routing.uses(own).overwriter = Some(writer);
        true
    }

    /// Copies a result to its destination; if that is an argument that others still have to read, by way of the frame.
    fn copy(
        &mut self,
        routing: &mut Routing<'_>,
        result: usize,
        from: BufferId,
        index: usize,
        overwritten: bool,
        last: &mut Vec<usize>,
    ) -> Result<(), ScheduleError> {
        let ty = routing.function.ty(routing.function.results[result].value).clone();
        let unit = self.units.of_copy(&ty)?;
        let home = Some(Address::Argument { index, offset: 0 });
        let target = routing.add_buffer(ty.bytes(), home);
        let is_argument = matches!(routing.problem.buffers[from.0].home, Some(Address::Argument { .. }));
        let mut from = from;
        if overwritten && is_argument {
            // The source may be overwritten before the end: save it first.
            let saved = routing.add_buffer(ty.bytes(), None);
            routing.copy(unit, result, from, saved);
            from = saved;
        }
        let step = routing.copy(unit, result, from, target);
        if overwritten {
            last.push(step);
        }
        Ok(())
    }

    /// Plans the memory of a function, whose kernels are made, and adds its routine.
    fn emit(&mut self, Routed { mut routing, sorted, constants }: Routed<'_>) {
        for (buffer, value) in constants {
            let address = constant(&mut self.program, &mut self.constants, value);
            routing.problem.buffers[buffer.0].home = Some(address);
        }
        let frame_of = |work: &Work| match work {
            Work::Call(routine) => self.program.routines[routine.0 as usize].frame,
            _ => 0,
        };
        routing.problem.steps = sorted
            .iter()
            .map(|&t| {
                let task = &routing.tasks[t];
                let buffers = [&task.reads, &task.writes, &task.temps].into_iter().flatten().copied().collect();
                AllocationStep { buffers, frame: frame_of(&task.work) }
            })
            .collect();
        let allocation = routing.problem.solve();
        let mut steps = vec![];
        let mut bindings = vec![];
        for (at, &t) in sorted.iter().enumerate() {
            let task = &routing.tasks[t];
            let addresses =
                |ids: &[BufferId]| ids.iter().map(|b| allocation.addresses[b.0]).collect::<SmallVec<[Address; 4]>>();
            match &task.work {
                Work::Call(routine) => {
                    let arguments = [&*addresses(&task.reads), &addresses(&task.writes)].concat();
                    steps.push(Step::Call { routine: *routine, frame: allocation.frames[at], arguments });
                    bindings.push(StepBinding { node: task.node, copied: None, operands: vec![] });
                }
                Work::Kernels { unit, shared } => {
                    let (reads, writes, temps) =
                        (addresses(&task.reads), addresses(&task.writes), addresses(&task.temps));
                    let memory = (&*reads, &*writes, &*temps);
                    self.launch(*unit, shared, task.node, None, memory, (&mut steps, &mut bindings));
                }
                Work::Copy { unit, result } => {
                    let (reads, writes) = (addresses(&task.reads), addresses(&task.writes));
                    self.launch(*unit, &[], None, Some(*result), (&reads, &writes, &[]), (&mut steps, &mut bindings));
                }
            }
        }
        let function = routing.function;
        bindings.iter().for_each(|note| self.units.statuses.step(self.graph, function, note.node));
        let outputs = function.results.iter();
        let entry = function.name == self.graph.entry().name;
        let outputs = outputs.filter(|r| !entry || r.role == ResultRole::Output).count();
        let routine = Routine {
            name: function.name.as_str().to_owned(),
            arguments: function.args().len() + outputs,
            frame: allocation.frame,
            steps,
        };
        self.program.add_routine(routine);
        self.bindings.push(bindings);
    }

    /// The launches of a unit on given memory.
    fn launch(
        &mut self,
        unit: UnitId,
        shared: &[(usize, usize)],
        node: Option<NodeId>,
        copied: Option<usize>,
        (reads, writes, temps): (&[Address], &[Address], &[Address]),
        (steps, bindings): (&mut Vec<Step>, &mut Vec<StepBinding>),
    ) {
        let Scheduler { units, program, constants, .. } = self;
        let (launches, unit) = (units.launches(unit, shared), units.get(unit));
        let sources = unit.sources();
        for (kernel, operands) in launches {
            let mut addresses = Vec::with_capacity(operands.len());
            let mut operands_bound = Vec::with_capacity(operands.len());
            for &source in operands {
                let (address, bound) = match &sources[source].kind {
                    SourceKind::Argument(i) => match unit.part(source) {
                        None => (reads[*i], OperandBinding::Operand(*i)),
                        Some(first) => {
                            let ty = &sources[source].ty;
                            let bound = OperandBinding::Part { operand: *i, first, elements: ty.shape.elements() };
                            (reads[*i].plus(first * ty.dtype.size()), bound)
                        }
                    },
                    SourceKind::Result(i) => (writes[*i], OperandBinding::Result(*i)),
                    SourceKind::Temp => {
                        let number = sources[..source].iter().filter(|s| s.kind == SourceKind::Temp).count();
                        (temps[number], OperandBinding::Temp(number))
                    }
                    SourceKind::Constant(value) => (constant(program, constants, value), OperandBinding::Constant),
                };
                addresses.push(address);
                operands_bound.push(bound);
            }
            steps.push(Step::Launch { kernel: *kernel, operands: addresses });
            bindings.push(StepBinding { node, copied, operands: operands_bound });
        }
    }
}

/// The address of a constant of the program.
fn constant(program: &mut KernelProgram, known: &mut FxHashMap<Tensor, Address>, value: &Tensor) -> Address {
    if let Some(&address) = known.get(value) {
        return address;
    }
    let address = program.add_constant(&value.le_bytes());
    known.insert(value.clone(), address);
    address
}
