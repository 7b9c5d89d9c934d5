//! Whether what is computed from weights alone has lost any of them.
//!
//! Rules of the need [`Weights`](crate::egraph) move factors and terms into weights: `conv(x, w) * c` becomes `conv(x, w * c)`. Where
//! `w * c` overflows or underflows, the program would give another result than the one that was written. So the preparation of a
//! program gets a sibling, `@<entry>.lossless`, which computes the same from the same weights and returns one number: how many
//! elements were lost, i.e.
//!
//! - a product or quotient of factors that are not zero is zero, or is subnormal though its factors are not,
//! - an element of a contraction is subnormal or zero,
//! - a prepared value is infinite or NaN.
//!
//! Whoever runs the program runs it when weights are set, and if the number is not 0, runs the program that was compiled without those
//! rules. Being asked of weights only, this costs nothing per step.

use dlc_ir::op::{Call, Reduction};
use dlc_ir::{
    Builder, DType, Direction, Function, FunctionKind, Graph, NodeId, Op, ScalarOp as F, Symbol, Type, TypeError, Value,
};
use rustc_hash::FxHashMap;

use super::halves::{Map, copy_ops};

/// What the name of the function that counts lost elements ends with.
const SUFFIX: &str = ".lossless";

/// The name of the function that counts what the preparation of `entry` loses.
pub(super) fn lossless_name(entry: &Symbol) -> Symbol {
    Symbol::new(&format!("{}{SUFFIX}", entry.as_str()))
}

/// The type of the number that it returns.
pub(super) fn count_type() -> Type {
    Type::scalar(DType::I64)
}

/// The function that counts what a preparation loses; none if it can lose nothing. `counters` are those of the preparations that it
/// calls, by their names in `graph`, which has both.
pub(super) fn counter(
    preparation: &Function,
    name: Symbol,
    graph: &Graph,
    counters: &FxHashMap<Symbol, Symbol>,
) -> Option<Function> {
    let moves = |op: &Op| match op {
        Op::Map(F::Mul | F::Div) | Op::Dot(_) | Op::Conv(_) => true,
        Op::Call(call) => counters.contains_key(&call.func),
        _ => false,
    };
    if !preparation.ops().any(|(_, _, op)| moves(op)) {
        return None;
    }
    let mut new = Function::new(name, FunctionKind::Func);
    let mut map = Map::default();
    for (i, &arg) in preparation.arg_values().iter().enumerate() {
        map.insert(arg, new.copy_arg(preparation, i));
    }
    copy_ops(&mut new, &mut map, preparation, &preparation.live());
    let mut count = Count { builder: Builder::resume(new), map, total: None };
    let mut losses = || -> Result<(), TypeError> {
        for (id, node, op) in preparation.ops() {
            match op {
                Op::Call(call) => {
                    if let Some(counter) = counters.get(&call.func).and_then(|name| graph.function(name)) {
                        count.call(counter, &node.operands)?;
                    }
                }
                op if moves(op) => count.operator(id, op, &node.operands)?,
                _ => {}
            }
        }
        preparation.results.iter().try_for_each(|result| count.not_finite(result.value))
    };
    losses().expect("operands have the types of what they are compared with");
    let Count { mut builder, total, .. } = count;
    let total = total?;
    builder.output(Some("lost"), total);
    Some(builder.finish())
}

/// A number under construction.
struct Count {
    builder: Builder,
    /// Where the preparation's values are.
    map: Map,
    total: Option<Value>,
}

impl Count {
    fn add(&mut self, count: Value) -> Result<(), TypeError> {
        self.total = Some(match self.total {
            Some(total) => self.builder.add(total, count)?,
            None => count,
        });
        Ok(())
    }

    fn call(&mut self, counter: &Function, operands: &[Value]) -> Result<(), TypeError> {
        let operands: Vec<Value> = operands.iter().map(|v| self.map[v]).collect();
        let counts = self.builder.push_all(Call::new(counter.name.clone(), vec![count_type()]), &operands)?;
        self.add(counts[0])
    }

    /// The number of elements for which `mask` holds.
    fn elements(&mut self, mask: Value) -> Result<(), TypeError> {
        let number = self.builder.convert(mask, DType::I64)?;
        let axes: Vec<usize> = (0..self.builder.ty(number).rank()).collect();
        let count = if axes.is_empty() { number } else { self.builder.reduce(Reduction::Sum, number, &axes)? };
        self.add(count)
    }

    fn operator(&mut self, id: NodeId, op: &Op, operands: &[Value]) -> Result<(), TypeError> {
        let result = self.map[&Value { node: id, result: 0 }];
        let dtype = self.builder.ty(result).dtype;
        if !dtype.is_float() {
            return Ok(());
        }
        let lost = match op {
            Op::Map(f) => {
                let mut least = self.builder.abs(self.map[&operands[0]])?;
                if *f == F::Mul {
                    let other = self.builder.abs(self.map[&operands[1]])?;
                    least = self.builder.min(least, other)?;
                }
                // Zero is lost of anything but zero, digits only of what had them all.
                let zero = self.builder.zeros_like(result)?;
                let vanished = self.builder.compare(Direction::Eq, result, zero)?;
                let any = self.builder.full_like(result, smallest_subnormal(dtype))?;
                let normal = self.builder.full_like(result, smallest_normal(dtype))?;
                let bound = self.builder.select(vanished, any, normal)?;
                let had = self.builder.compare(Direction::Ge, least, bound)?;
                let small = self.is_small(result)?;
                self.builder.map(F::And, &[small, had])?
            }
            _ => self.is_small(result)?,
        };
        self.elements(lost)
    }

    /// Whether an element is below the normal numbers.
    fn is_small(&mut self, x: Value) -> Result<Value, TypeError> {
        let smallest = self.builder.full_like(x, smallest_normal(self.builder.ty(x).dtype))?;
        let magnitude = self.builder.abs(x)?;
        self.builder.compare(Direction::Lt, magnitude, smallest)
    }

    /// Counts infinities and NaN.
    fn not_finite(&mut self, value: Value) -> Result<(), TypeError> {
        let x = self.map[&value];
        let dtype = self.builder.ty(x).dtype;
        if !dtype.is_float() {
            return Ok(());
        }
        let largest = self.builder.full_like(x, largest_finite(dtype))?;
        let magnitude = self.builder.abs(x)?;
        let finite = self.builder.compare(Direction::Le, magnitude, largest)?;
        let not = self.builder.map(F::Not, &[finite])?;
        self.elements(not)
    }
}

fn smallest_subnormal(dtype: DType) -> f64 {
    if dtype == DType::F32 { f64::from(f32::from_bits(1)) } else { f64::from_bits(1) }
}

fn smallest_normal(dtype: DType) -> f64 {
    if dtype == DType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE }
}

fn largest_finite(dtype: DType) -> f64 {
    if dtype == DType::F32 { f64::from(f32::MAX) } else { f64::MAX }
}
