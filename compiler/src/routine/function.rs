//! Schedules functions as routines: steps, their order, their memory.

use dlc_ir::op::Call;
use dlc_ir::{DType, Function, FunctionKind, Graph, Node, NodeId, Op, ResultRole, Role, Symbol, Tensor, Type, Value};
use indexmap::IndexMap;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::routing::{Routing, UnitId, Work};
use super::{Schedule, ScheduleError};
use crate::cpu::{Launch, Unit};
use crate::kernel::Verified;
use crate::machine::Machine;
use crate::nest::Statuses;
use crate::nest::nests::SourceKind;
use crate::routine::check::{OperandBinding, StepBinding};
use crate::routine::plan::{AllocationStep, BufferId};
use crate::routine::program::{Address, KernelId, KernelProgram, Routine, RoutineId, Step};

/// Schedules a graph, in which every function precedes its callers, for a machine.
///
/// # Errors
/// If an operator cannot be lowered, or a kernel is rejected.
pub fn schedule(graph: &Graph, machine: &Machine) -> Result<Schedule, ScheduleError> {
    let mut scheduler = Scheduler {
        graph,
        machine,
        program: KernelProgram::new(),
        statuses: Statuses::default(),
        units: vec![],
        by_function: FxHashMap::default(),
        copies: FxHashMap::default(),
        routines: IndexMap::new(),
        constants: FxHashMap::default(),
        bindings: vec![],
        clamped: 0,
    };
    let entry = graph.functions().len() - 1;
    for (i, function) in graph.functions().enumerate() {
        if function.kind == FunctionKind::Func || i == entry {
            scheduler.function(function, i == entry)?;
        }
    }
    let Scheduler { program, statuses, bindings, clamped, .. } = scheduler;
    Ok(Schedule { program, statuses, bindings, clamped })
}

struct Scheduler<'a> {
    graph: &'a Graph,
    machine: &'a Machine,
    program: KernelProgram,
    statuses: Statuses,
    /// All units.
    units: Vec<Lowered>,
    /// The units of kernel functions.
    by_function: FxHashMap<Symbol, UnitId>,
    /// The units that copy this many elements.
    copies: FxHashMap<(DType, usize), UnitId>,
    routines: IndexMap<Symbol, RoutineId>,
    constants: FxHashMap<Tensor, Address>,
    bindings: Vec<Vec<StepBinding>>,
    clamped: usize,
}

/// Kernels to launch in sequence, each with the indices of its operands.
type Launches = Vec<(KernelId, Vec<usize>)>;

/// A kernel function with the kernels made of it so far.
struct Lowered {
    name: String,
    unit: Unit,
    kernels: FxHashMap<Vec<(usize, usize)>, Launches>,
    /// Memoises whether a result may alias an argument.
    in_place: FxHashMap<(usize, usize), bool>,
}

impl Lowered {
    fn in_place(&mut self, argument: usize, result: usize) -> bool {
        *self.in_place.entry((argument, result)).or_insert_with(|| self.unit.in_place(argument, result))
    }
}

impl Scheduler<'_> {
    fn function(&mut self, function: &Function, entry: bool) -> Result<(), ScheduleError> {
        let mut routing = Routing::new(function);
        let live = function.live();
        for (id, node, op) in function.ops() {
            if live[id.index()] {
                self.node(&mut routing, id, node, op)?;
            }
        }
        let last = self.results(&mut routing, entry)?;
        self.emit(routing, last)
    }

    fn node(&mut self, routing: &mut Routing<'_>, id: NodeId, node: &Node, op: &Op) -> Result<(), ScheduleError> {
        match op {
            Op::Constant(c) => {
                let address = constant(&mut self.program, &mut self.constants, &c.value);
                let buffer = routing.add_buffer(c.value.ty().bytes(), Some(address));
                routing.put(id, buffer);
                return Ok(());
            }
            Op::Reshape(_) => {
                let buffer = routing.buffer(node.operands[0]);
                routing.put(id, buffer);
                return Ok(());
            }
            Op::Call(Call { func, .. }) => {
                let callee = self.graph.function(func).ok_or_else(|| ScheduleError::UnknownFunction(func.clone()))?;
                if callee.kind == FunctionKind::Func {
                    let routine =
                        *self.routines.get(func).ok_or_else(|| ScheduleError::UnknownFunction(func.clone()))?;
                    routing.task(id, Work::Call(routine), &[]);
                    return Ok(());
                }
                if let Some(argument) = alias(callee) {
                    let buffer = routing.buffer(node.operands[argument]);
                    routing.put(id, buffer);
                    return Ok(());
                }
                let unit = self.unit(callee)?;
                self.kernels(routing, id, unit);
            }
            op => {
                let unit = self.single(routing.function, node, op)?;
                self.kernels(routing, id, unit);
            }
        }
        Ok(())
    }

    fn kernels(&mut self, routing: &mut Routing<'_>, id: NodeId, unit: UnitId) {
        let temps: SmallVec<[usize; 4]> = self.units[unit.0].unit.temps().map(Type::bytes).collect();
        routing.task(id, Work::Kernels { unit, shared: vec![] }, &temps);
    }

    fn unit(&mut self, function: &Function) -> Result<UnitId, ScheduleError> {
        if let Some(&known) = self.by_function.get(&function.name) {
            return Ok(known);
        }
        let unit = self.add_unit(function.name.as_str(), function)?;
        self.by_function.insert(function.name.clone(), unit);
        Ok(unit)
    }

    fn add_unit(&mut self, name: &str, function: &Function) -> Result<UnitId, ScheduleError> {
        let mut unit = Unit::new(function, &mut self.statuses, self.machine)?;
        unit.restrict_arguments();
        self.units.push(Lowered {
            name: name.to_owned(),
            unit,
            kernels: FxHashMap::default(),
            in_place: FxHashMap::default(),
        });
        Ok(UnitId(self.units.len() - 1))
    }

    /// A unit for an operator outside of kernels.
    fn single(&mut self, function: &Function, node: &Node, op: &Op) -> Result<UnitId, ScheduleError> {
        let mut single = Function::new(op.mnemonic(), FunctionKind::Kernel);
        let args: Vec<Value> = node
            .operands
            .iter()
            .zip(0..)
            .map(|(&v, i)| single.add_arg(&arg_name(i), function.ty(v).clone(), Role::Plain))
            .collect();
        let id = single.copy_node(node, &args);
        for result in 0..node.types.len() as u32 {
            single.add_output(None, Value { node: id, result });
        }
        self.add_unit(op.mnemonic(), &single)
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
        let result = task.writes.iter().position(|&w| w == buffer).expect("the writer writes it");
        for (i, &read) in task.reads.iter().enumerate() {
            if read != own {
                continue;
            }
            match &task.work {
                Work::Kernels { unit, .. } if self.units[unit.0].in_place(i, result) => pairs.push((i, result)),
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
        let unit = self.copy_unit(&ty)?;
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

    fn copy_unit(&mut self, ty: &Type) -> Result<UnitId, ScheduleError> {
        let elements = ty.shape.elements();
        if let Some(&known) = self.copies.get(&(ty.dtype, elements)) {
            return Ok(known);
        }
        let mut function = Function::new("copy", FunctionKind::Kernel);
        let x = function.add_arg("x", Type::new(ty.dtype, [elements]), Role::Plain);
        function.add_output(None, x);
        let unit = self.add_unit("copy", &function)?;
        self.copies.insert((ty.dtype, elements), unit);
        Ok(unit)
    }

    fn emit(&mut self, mut routing: Routing<'_>, last: Vec<usize>) -> Result<(), ScheduleError> {
        let sorted = routing.order.sorted(&last);
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
                    self.launch(
                        *unit,
                        shared,
                        task.node,
                        None,
                        (&reads, &writes, &temps),
                        (&mut steps, &mut bindings),
                    )?;
                }
                Work::Copy { unit, result } => {
                    let (reads, writes) = (addresses(&task.reads), addresses(&task.writes));
                    self.launch(*unit, &[], None, Some(*result), (&reads, &writes, &[]), (&mut steps, &mut bindings))?;
                }
            }
        }
        let function = routing.function;
        bindings.iter().for_each(|note| self.statuses.step(self.graph, function, note.node));
        let outputs = function.results.iter();
        let entry = function.name == self.graph.entry().name;
        let outputs = outputs.filter(|r| !entry || r.role == ResultRole::Output).count();
        let routine = Routine {
            name: function.name.as_str().to_owned(),
            arguments: function.args().len() + outputs,
            frame: allocation.frame,
            steps,
        };
        let id = self.program.add_routine(routine);
        self.routines.insert(function.name.clone(), id);
        self.bindings.push(bindings);
        Ok(())
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
    ) -> Result<(), ScheduleError> {
        let Scheduler { machine, units, program, constants, clamped, .. } = self;
        let Lowered { name, unit, kernels, .. } = &mut units[unit.0];
        if !kernels.contains_key(shared) {
            let launches = unit.launches(shared, machine);
            let several = launches.len() > 1;
            let add = |(i, Launch { kernel, operands }): (usize, Launch)| {
                let (kernel, count) = Verified::confined(kernel)?;
                *clamped += count;
                let name = if several { format!("{name}.{i}") } else { name.clone() };
                Ok((program.add_kernel(&name, kernel), operands))
            };
            let added: Result<Launches, ScheduleError> = launches.into_iter().enumerate().map(add).collect();
            kernels.insert(shared.to_vec(), added?);
        }
        let sources = unit.sources();
        for (kernel, operands) in &kernels[shared] {
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
        Ok(())
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

/// A fixed name for each argument, to avoid a search for a free one.
fn arg_name(i: usize) -> String {
    format!("x{i}")
}

/// If a kernel function only reshapes an argument, its index.
fn alias(function: &Function) -> Option<usize> {
    let [result] = function.results.as_slice() else { return None };
    let mut value = result.value;
    loop {
        let node = function.node(value.node);
        match node.op() {
            None => return function.arg_index(value).filter(|_| value != result.value),
            Some(Op::Reshape(_)) => value = node.operands[0],
            Some(_) => return None,
        }
    }
}
