//! Stores weights, and what is read again and again, in the order in which kernels read them.
//!
//! Some kernels first permute an operand, so that they can vectorise along another axis (`cpu/operand_order.rs`), or pack it. If that operand
//! is a weight, it is permuted once, when weights are loaded: the kernel takes it in its new order and reads it through
//! `reshape(transpose(%w))`, which fusion makes free. Callers permute it before the call, and the part of that which depends on
//! weights only moves into the preparation that the pass `prepare` makes. A program without preparation, such as a training step, permutes
//! what many calls of a kernel read, the weights of an unrolled loop, once in a run.

use dlc_ir::graph::values_of;
use dlc_ir::op::{Reshape, Transpose};
use dlc_ir::{Function, FunctionKind, Graph, Loc, Op, Symbol, Type, Value};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::prepare::cut;
use super::split::{Joined, Map, copy_ops, join};
use super::weights::Weights;
use super::{Context, add_op};
use crate::cpu::{OperandOrder, Unit};
use crate::nest::Statuses;
use crate::options::PassOptions;
use crate::parallel;

/// Calls of a kernel that read the same value, of which one permutes it for all.
const READERS: usize = 4;

/// Permutes weights, if the options allow it and some kernel would do so in every run; without preparation, what many calls read.
pub fn layout(graph: &Graph, context: &mut Context) -> Graph {
    let weights = Weights::of(graph);
    if !context.options.prepare || !weights.all_frozen {
        let shared = shared(graph);
        let kernels = kernels(graph, context, |kernel| shared.get(&kernel.name).cloned().unwrap_or_default());
        return if kernels.is_empty() { graph.clone() } else { permuted(graph, &kernels, context) };
    }
    // A kernel that reads weights only runs once anyway.
    let mixed = |kernel: &Function| Some(weights.args(kernel)).filter(|args| args.contains(&false)).unwrap_or_default();
    let kernels = kernels(graph, context, mixed);
    if kernels.is_empty() {
        return graph.clone();
    }
    let Some(Joined { graph, lossless }) = &join(graph, &mut context.provenance) else { return graph.clone() };
    let graph = permuted(graph, &kernels, context);
    cut(&Joined { graph, lossless: lossless.clone() }, context)
}

/// For each kernel the arguments at which each of its calls has a value that many of its calls have there.
fn shared(graph: &Graph) -> FxHashMap<Symbol, Vec<bool>> {
    let mut shared: FxHashMap<Symbol, Vec<bool>> = FxHashMap::default();
    for function in graph.functions() {
        let calls = function.ops().filter_map(|(_, node, op)| match op {
            Op::Call(call) => Some((&call.func, &node.operands)),
            _ => None,
        });
        let mut readers: FxHashMap<(&Symbol, usize, Value), usize> = FxHashMap::default();
        for (name, operands) in calls {
            for (arg, &value) in operands.iter().enumerate() {
                *readers.entry((name, arg, value)).or_default() += 1;
            }
            shared.entry(name.clone()).or_insert_with(|| vec![true; operands.len()]);
        }
        for ((name, arg, _), count) in readers {
            shared.get_mut(name).expect("it is called")[arg] &= count >= READERS;
        }
    }
    shared
}

/// The program with arguments of kernels in other orders.
fn permuted(graph: &Graph, kernels: &FxHashMap<Symbol, Layouts>, context: &mut Context) -> Graph {
    let mut result = graph.like();
    for function in graph.functions() {
        let new = match kernels.get(&function.name) {
            Some(layouts) => reading(function, layouts),
            None if function.callees().any(|name| kernels.contains_key(name)) => {
                let (new, map) = calling(function, kernels);
                let old = context.provenance.take(&[&function.name]);
                context.provenance.follow(&old, &function.name, &function.name, &map);
                new
            }
            None => {
                result.insert_from(graph, &function.name);
                continue;
            }
        };
        result.insert(new);
    }
    result
}

/// Arguments of a kernel with their orders.
type Layouts = Vec<(usize, OperandOrder)>;

/// The kernels that would rather have some of these arguments in other orders. The units of the others are kept for scheduling.
fn kernels(graph: &Graph, context: &mut Context, args: impl Fn(&Function) -> Vec<bool>) -> FxHashMap<Symbol, Layouts> {
    let PassOptions { machine, threads, .. } = &context.options;
    let kernels = graph.functions().filter(|f| f.kind == FunctionKind::Kernel);
    let kernels: Vec<_> =
        kernels.map(|kernel| (kernel, args(kernel))).filter(|(_, args)| args.contains(&true)).collect();
    let found = parallel::map(*threads, &kernels, |(kernel, args)| {
        // What cannot be scheduled is reported when it is.
        let unit = Unit::new(kernel, &mut Statuses::default(), machine).ok()?;
        let mut layouts = unit.operand_orders(machine);
        layouts.retain(|(arg, _)| args[*arg]);
        Some((layouts, unit))
    });
    let mut asking = FxHashMap::default();
    for ((kernel, _), found) in kernels.into_iter().zip(found) {
        match found {
            Some((layouts, unit)) if layouts.is_empty() => context.units.insert(kernel, unit),
            Some((layouts, _)) => _ = asking.insert(kernel.name.clone(), layouts),
            None => {}
        }
    }
    asking
}

/// A kernel with arguments in other orders.
fn reading(kernel: &Function, layouts: &[(usize, OperandOrder)]) -> Function {
    let mut new = kernel.like();
    let layout = |arg: usize| layouts.iter().find(|(a, _)| *a == arg).map(|(_, layout)| layout);
    let args: Vec<Value> = (0..kernel.args().len())
        .map(|i| match (layout(i), &kernel.args()[i]) {
            (Some(layout), arg) => new.add_arg(&arg.name, layout.ordered(&arg.ty), arg.role.clone()),
            (None, _) => new.copy_arg(kernel, i),
        })
        .collect();
    let mut map = Map::default();
    for (i, &arg) in args.iter().enumerate() {
        let (old, ty) = (kernel.arg_values()[i], &kernel.args()[i].ty);
        map.insert(old, layout(i).map_or(arg, |layout| layout.undo(&mut new, arg, ty)));
    }
    copy_ops(&mut new, &mut map, kernel, &kernel.live());
    new.results = kernel.results.clone();
    new.results.iter_mut().for_each(|result| result.value = map[&result.value]);
    new
}

/// A function that passes operands to kernels in their orders, and the map from its old values.
fn calling(function: &Function, kernels: &FxHashMap<Symbol, Layouts>) -> (Function, Map) {
    let mut map = Map::default();
    let mut ordered: FxHashMap<(Value, OperandOrder), Value> = FxHashMap::default();
    let rewritten: Result<_, std::convert::Infallible> = function.try_rewrite(|new, old, node, operands| {
        let mut operands: SmallVec<[Value; 3]> = operands.into();
        if let Some(Op::Call(call)) = node.op() {
            for (arg, layout) in kernels.get(&call.func).into_iter().flatten() {
                let operand = &mut operands[*arg];
                let made = ordered.entry((*operand, layout.clone()));
                *operand = *made.or_insert_with(|| layout.apply(new, *operand, node.loc));
            }
        }
        let id = new.copy_node(node, &operands);
        let results = node.types.len();
        map.extend(values_of(old, results).into_iter().zip(values_of(id, results)));
        Ok(values_of(id, results))
    });
    match rewritten {
        Ok(new) => (new, map),
    }
}

impl OperandOrder {
    fn transpose(&self) -> Transpose {
        Transpose { perm: self.order.clone() }
    }

    /// The type of a tensor in this order.
    fn ordered(&self, ty: &Type) -> Type {
        ty.with_shape(self.order.iter().map(|&axis| self.sizes[axis]).collect::<Vec<_>>())
    }

    /// Permutes a tensor.
    fn apply(&self, function: &mut Function, value: Value, loc: Loc) -> Value {
        let ty = function.ty(value).clone();
        let split = reshape(function, value, ty.with_shape(self.sizes.clone()), loc);
        add_op(function, self.transpose(), &[split], loc)
    }

    /// The inverse permutation, to a tensor of type `ty`.
    fn undo(&self, function: &mut Function, value: Value, ty: &Type) -> Value {
        let perm = self.transpose().inverse();
        let back = add_op(function, Transpose { perm }, &[value], Loc::NONE);
        reshape(function, back, ty.clone(), Loc::NONE)
    }
}

fn reshape(function: &mut Function, value: Value, ty: Type, loc: Loc) -> Value {
    if *function.ty(value) == ty {
        return value;
    }
    add_op(function, Reshape { shape: ty.shape }, &[value], loc)
}
