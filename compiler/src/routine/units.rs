//! The units of kernel functions and the kernels made of them, both on several threads.

use dlc_ir::op::Call;
use dlc_ir::{DType, Function, FunctionKind, Graph, Node, Op, Role, Symbol, Type, Value};
use rustc_hash::{FxHashMap, FxHashSet};

use super::ScheduleError;
use super::program::{KernelId, KernelProgram};
use super::routing::UnitId;
use crate::cpu::{KnownUnits, Launch, Unit};
use crate::kernel::{Malformed, Verified};
use crate::machine::Machine;
use crate::nest::{NestError, Statuses};
use crate::parallel;

/// The units of a program.
pub struct Units<'a> {
    machine: &'a Machine,
    threads: usize,
    units: Vec<Lowered>,
    /// The units of kernel functions.
    by_function: FxHashMap<Symbol, UnitId>,
    /// The units that copy this many elements.
    copies: FxHashMap<(DType, usize), UnitId>,
    /// Kernel functions that are composed, but have not been used.
    composed: FxHashMap<Symbol, Result<Unit, NestError>>,
    pub statuses: Statuses,
    /// The number of accesses that are clamped.
    pub clamped: usize,
}

/// Kernels to launch in sequence, each with the indices of its operands.
type Launches = Vec<(KernelId, Vec<usize>)>;

/// The pairs of an argument and a result of a unit that alias.
type Shared = [(usize, usize)];

/// A kernel function with the kernels made of it so far.
struct Lowered {
    name: String,
    unit: Unit,
    kernels: FxHashMap<Vec<(usize, usize)>, Launches>,
    /// Memoises whether a result may alias an argument.
    in_place: FxHashMap<(usize, usize), bool>,
}

impl<'a> Units<'a> {
    /// Composes the kernels that these functions call. Those with checks are composed when they are used, since statuses are
    /// numbered in that order.
    pub fn new(
        graph: &Graph,
        functions: &[&Function],
        known: &mut KnownUnits,
        machine: &'a Machine,
        threads: usize,
    ) -> Self {
        let called = functions.iter().flat_map(|function| function.callees());
        let mut names = FxHashSet::default();
        let kernels = called.filter(|name| names.insert(*name)).filter_map(|name| graph.function(name));
        let kernels = kernels.filter(|f| f.kind == FunctionKind::Kernel && f.checks().next().is_none());
        let kernels = kernels.filter(|function| alias(function).is_none());
        let mut composed = FxHashMap::default();
        let mut new = vec![];
        for function in kernels {
            match known.take(function) {
                Some(unit) => drop(composed.insert(function.name.clone(), Ok(restricted(unit)))),
                None => new.push(function),
            }
        }
        let compose = |function: &&Function| unit(function, &mut Statuses::default(), machine);
        let units = parallel::map(threads, &new, compose);
        composed.extend(new.iter().map(|f| f.name.clone()).zip(units));
        let (by_function, copies) = Default::default();
        let (units, statuses, clamped) = Default::default();
        Units { machine, threads, units, by_function, copies, composed, statuses, clamped }
    }

    /// The unit of a kernel function.
    pub fn of_kernel(&mut self, function: &Function) -> Result<UnitId, ScheduleError> {
        if let Some(&known) = self.by_function.get(&function.name) {
            return Ok(known);
        }
        let unit = match self.composed.remove(&function.name) {
            Some(composed) => composed,
            None => unit(function, &mut self.statuses, self.machine),
        };
        let id = self.add(function.name.as_str(), unit?);
        self.by_function.insert(function.name.clone(), id);
        Ok(id)
    }

    /// A unit for an operator outside of kernels.
    pub fn of_operator(&mut self, function: &Function, node: &Node, op: &Op) -> Result<UnitId, ScheduleError> {
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
        let unit = unit(&single, &mut self.statuses, self.machine)?;
        Ok(self.add(op.mnemonic(), unit))
    }

    /// The unit that copies a value.
    pub fn of_copy(&mut self, ty: &Type) -> Result<UnitId, ScheduleError> {
        let elements = ty.shape.elements();
        if let Some(&known) = self.copies.get(&(ty.dtype, elements)) {
            return Ok(known);
        }
        let mut function = Function::new("copy", FunctionKind::Kernel);
        let x = function.add_arg("x", Type::new(ty.dtype, [elements]), Role::Plain);
        function.add_output(None, x);
        let unit = unit(&function, &mut self.statuses, self.machine)?;
        let id = self.add("copy", unit);
        self.copies.insert((ty.dtype, elements), id);
        Ok(id)
    }

    fn add(&mut self, name: &str, unit: Unit) -> UnitId {
        let (kernels, in_place) = Default::default();
        self.units.push(Lowered { name: name.to_owned(), unit, kernels, in_place });
        UnitId(self.units.len() - 1)
    }

    pub fn get(&self, id: UnitId) -> &Unit {
        &self.units[id.0].unit
    }

    /// Whether a result of a unit may alias an argument.
    pub fn in_place(&mut self, id: UnitId, argument: usize, result: usize) -> bool {
        let Lowered { unit, in_place, .. } = &mut self.units[id.0];
        *in_place.entry((argument, result)).or_insert_with(|| unit.in_place(argument, result))
    }

    /// Makes the kernels of these steps, and adds them to a program in the order of the steps.
    ///
    /// # Errors
    /// If the verifier rejects a kernel: that is a bug.
    pub fn make<'s>(
        &mut self,
        steps: impl Iterator<Item = (UnitId, &'s Shared)>,
        program: &mut KernelProgram,
    ) -> Result<(), ScheduleError> {
        let mut known = FxHashSet::default();
        let wanted: Vec<(UnitId, &Shared)> = steps.filter(|(id, shared)| known.insert((id.0, *shared))).collect();
        let (units, machine) = (&self.units, self.machine);
        let kernels = parallel::map(self.threads, &wanted, |&(id, shared)| {
            let launches = units[id.0].unit.launches(shared, machine).into_iter();
            let confined = launches.map(|Launch { kernel, operands }| Ok((Verified::confined(kernel)?, operands)));
            confined.collect::<Result<Vec<_>, Malformed>>()
        });
        for ((id, shared), made) in wanted.into_iter().zip(kernels) {
            let Lowered { name, kernels, .. } = &mut self.units[id.0];
            let made = made?;
            let several = made.len() > 1;
            let add = |(i, ((kernel, clamped), operands))| {
                self.clamped += clamped;
                let name = if several { format!("{name}.{i}") } else { name.clone() };
                (program.add_kernel(&name, kernel), operands)
            };
            let launches = made.into_iter().enumerate().map(add).collect();
            kernels.insert(shared.to_vec(), launches);
        }
        Ok(())
    }

    /// The launches of a unit, whose kernels are [made](Self::make).
    pub fn launches(&self, id: UnitId, shared: &Shared) -> &[(KernelId, Vec<usize>)] {
        &self.units[id.0].kernels[shared]
    }
}

fn unit(function: &Function, statuses: &mut Statuses, machine: &Machine) -> Result<Unit, NestError> {
    Unit::new(function, statuses, machine).map(restricted)
}

fn restricted(mut unit: Unit) -> Unit {
    unit.restrict_arguments();
    unit
}

/// A fixed name for each argument, to avoid a search for a free one.
fn arg_name(i: usize) -> String {
    format!("x{i}")
}

/// The kernel function that an operator calls.
pub fn callee<'g>(graph: &'g Graph, call: &Call) -> Result<&'g Function, ScheduleError> {
    graph.function(&call.func).ok_or_else(|| ScheduleError::UnknownFunction(call.func.clone()))
}

/// If a kernel function only reshapes an argument, its index.
pub fn alias(function: &Function) -> Option<usize> {
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
