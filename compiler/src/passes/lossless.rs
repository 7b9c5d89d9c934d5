//! Counts the elements of weights that preparation loses.
//!
//! Rules of the kind `Weights` move factors and terms into weights: `conv(x, w) * c` becomes `conv(x, w * c)`. If `w * c`
//! overflows or underflows, the result of the program changes. So the preparation of a program gets a sibling,
//! `Preparation::lossless`, which computes the same from the same weights and returns the number of elements that were lost, i.e.
//!
//! - a product or quotient of finite nonzero factors that is infinite or zero, or is subnormal though its factors are not,
//! - an element of a contraction that is subnormal or zero,
//! - a prepared value that is infinite or NaN.
//!
//! A session runs it when weights are set, and if the number is not 0, replaces the program by one that was compiled without
//! those rules. Each of these counts is a kernel already, and equal ones are shared: a deep network has many products of few
//! shapes. So are the sums of the counts, of at most [`TERMS`] at once: fusion has nothing to search.

use dlc_ir::op::{Broadcast, Call, Reduction};
use dlc_ir::{
    Builder, DType, Direction, Function, FunctionKind, Graph, NodeId, Op, Role, ScalarOp as F, Symbol, Type, TypeError,
    Value,
};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::split::{Map, copy_ops};

/// How many counts one kernel adds.
const TERMS: usize = 16;

/// The name of the function that counts what the preparation of another loses, if it is free.
pub(super) fn lossless_name(entry: &Symbol) -> Symbol {
    Symbol::new(&format!("{}.lossless", entry.as_str()))
}

/// The type of the count.
pub(super) fn count_type() -> Type {
    Type::scalar(DType::I64)
}

/// The counters of the preparations in a graph.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// For each preparation, by name, its counter.
    functions: FxHashMap<Symbol, Symbol>,
    /// Counting kernels, by what they compute.
    kernels: FxHashMap<Counted, Symbol>,
}

/// What a kernel counts: the words of its name, and the operands with how they are broadcast.
type Counted = (&'static str, SmallVec<[(Type, Option<Broadcast>); 2]>);

impl Counters {
    /// Adds the counter of a preparation to `graph`, which has those of the preparations that it calls, unless it can lose
    /// nothing. `free` makes a name unique. Returns whether it was added.
    pub(super) fn add(
        &mut self,
        preparation: &Function,
        name: Symbol,
        graph: &mut Graph,
        free: &dyn Fn(&Graph, &Symbol) -> Symbol,
    ) -> bool {
        let counts = |op: &Op| moves(op) || op.callees().iter().any(|c| self.functions.contains_key(c.func));
        if !preparation.ops().any(|(_, _, op)| counts(op)) {
            return false;
        }
        let mut new = Function::new(name.clone(), FunctionKind::Func);
        let mut map = Map::default();
        for (i, &arg) in preparation.arg_values().iter().enumerate() {
            map.insert(arg, new.copy_arg(preparation, i));
        }
        copy_ops(&mut new, &mut map, preparation, &preparation.live());
        let builder = Builder::resume(new);
        let mut count = Count { preparation, counters: self, graph, free, builder, map, counts: vec![] };
        count.all().expect("operands have the types of what they are compared with");
        let total = count.total().expect("counts have one type");
        let (mut builder, Some(total)) = (count.builder, total) else { return false };
        builder.output(Some("lost"), total);
        let counter = builder.finish();
        // Values that only the preparation itself needs are dead here.
        graph.insert(counter.compact());
        self.functions.insert(preparation.name.clone(), name);
        true
    }
}

/// Whether an operator may lose its operands.
fn moves(op: &Op) -> bool {
    matches!(op, Op::Map(F::Mul | F::Div) | Op::Dot(_) | Op::Conv(_))
}

/// A counter under construction.
struct Count<'a> {
    preparation: &'a Function,
    counters: &'a mut Counters,
    graph: &'a mut Graph,
    free: &'a dyn Fn(&Graph, &Symbol) -> Symbol,
    builder: Builder,
    /// Where the preparation's values are.
    map: Map,
    counts: Vec<Value>,
}

impl Count<'_> {
    fn all(&mut self) -> Result<(), TypeError> {
        for (id, node, op) in self.preparation.ops() {
            match op {
                Op::Call(call) => {
                    if let Some(counter) = self.counters.functions.get(&call.func).cloned() {
                        self.call(counter, &node.operands)?;
                    }
                }
                op if moves(op) && node.types[0].dtype.is_float() => self.operator(id, op, &node.operands)?,
                _ => {}
            }
        }
        for result in &self.preparation.results {
            let counted = match self.preparation.op(result.value.node) {
                Some(op @ Op::Map(_)) => moves(op),
                // The callee's counter looks at its results.
                Some(Op::Call(call)) => self.counters.functions.contains_key(&call.func),
                _ => false,
            };
            if !counted && self.preparation.ty(result.value).dtype.is_float() {
                self.kernel("infinite", None, &[result.value])?;
            }
        }
        Ok(())
    }

    fn call(&mut self, counter: Symbol, operands: &[Value]) -> Result<(), TypeError> {
        let operands: Vec<Value> = operands.iter().map(|v| self.map[v]).collect();
        self.counts.push(self.builder.push(Call::new(counter, vec![count_type()]), &operands)?);
        Ok(())
    }

    /// The sum of all counts; none if there are none.
    fn total(&mut self) -> Result<Option<Value>, TypeError> {
        while self.counts.len() > 1 {
            let counts = std::mem::take(&mut self.counts);
            for terms in counts.chunks(TERMS) {
                let sum = match terms {
                    &[count] => count,
                    terms => {
                        let sum = self.sum(terms.len())?;
                        self.builder.push(Call::new(sum, vec![count_type()]), terms)?
                    }
                };
                self.counts.push(sum);
            }
        }
        Ok(self.counts.first().copied())
    }

    /// The kernel that adds so many counts.
    fn sum(&mut self, terms: usize) -> Result<Symbol, TypeError> {
        let operands = (0..terms).map(|_| (count_type(), None)).collect();
        self.shared(("sum", operands), |b| {
            let name = |i: usize| format!("count{i}");
            let first = b.arg(&name(0), count_type(), Role::Plain);
            (1..terms).try_fold(first, |sum, i| {
                let count = b.arg(&name(i), count_type(), Role::Plain);
                b.add(sum, count)
            })
        })
    }

    /// The kernel that counts this; made if necessary.
    fn shared(
        &mut self,
        key: Counted,
        body: impl FnOnce(&mut Builder) -> Result<Value, TypeError>,
    ) -> Result<Symbol, TypeError> {
        if let Some(name) = self.counters.kernels.get(&key) {
            return Ok(name.clone());
        }
        let name = (self.free)(self.graph, &Symbol::new(&format!("lossless.{}", key.0)));
        let mut b = Builder::new(name.clone(), FunctionKind::Kernel);
        let count = body(&mut b)?;
        b.output(None, count);
        self.graph.insert(b.finish());
        self.counters.kernels.insert(key, name.clone());
        Ok(name)
    }

    fn operator(&mut self, id: NodeId, op: &Op, operands: &[Value]) -> Result<(), TypeError> {
        match op {
            Op::Map(f) => self.kernel(f.def().mnemonic, Some(*f), operands),
            _ => self.kernel("small", None, &[Value { node: id, result: 0 }]),
        }
    }

    /// Calls the kernel that counts the elements that are lost in these values of the preparation, or where `f` computes one of
    /// them.
    fn kernel(&mut self, what: &'static str, f: Option<F>, values: &[Value]) -> Result<(), TypeError> {
        // Broadcasts are counted before broadcasting.
        let source = |value: Value| match self.preparation.op(value.node) {
            Some(Op::Broadcast(b)) => (self.preparation.node(value.node).operands[0], Some(b.clone())),
            _ => (value, None),
        };
        let sources: Vec<_> = values.iter().map(|&v| source(v)).collect();
        let types = sources.iter().map(|(value, broadcast)| (self.preparation.ty(*value).clone(), broadcast.clone()));
        let key = (what, types.collect());
        let preparation = self.preparation;
        let name = self.shared(key, |b| {
            let mut operands = vec![];
            for (i, (value, broadcast)) in sources.iter().enumerate() {
                let argument = b.arg(["a", "b"][i], preparation.ty(*value).clone(), Role::Plain);
                operands.push(match broadcast {
                    Some(broadcast) => b.push(broadcast.clone(), &[argument])?,
                    None => argument,
                });
            }
            let lost = match f {
                Some(f) => lost(b, f, &operands)?,
                None if what == "small" => below(b, operands[0])?,
                None => infinite(b, operands[0])?,
            };
            let number = b.convert(lost, DType::I64)?;
            let axes: Vec<usize> = (0..b.ty(number).rank()).collect();
            if axes.is_empty() { Ok(number) } else { b.reduce(Reduction::Sum, number, &axes) }
        })?;
        self.call(name, &sources.iter().map(|(value, _)| *value).collect::<Vec<_>>())
    }
}

/// Where a product or quotient loses its operands.
fn lost(b: &mut Builder, f: F, operands: &[Value]) -> Result<Value, TypeError> {
    let result = b.map(f, operands)?;
    let dtype = b.ty(result).dtype;
    let mut least = b.abs(operands[0])?;
    if f == F::Mul {
        let other = b.abs(operands[1])?;
        least = b.min(least, other)?;
    }
    // A zero is a loss unless an operand is zero, a subnormal number unless an operand is subnormal.
    let zero = b.zeros_like(result)?;
    let vanished = b.compare(Direction::Eq, result, zero)?;
    let any = b.full_like(result, smallest_subnormal(dtype))?;
    let normal = b.full_like(result, smallest_normal(dtype))?;
    let bound = b.select(vanished, any, normal)?;
    let had = b.compare(Direction::Ge, least, bound)?;
    let small = below(b, result)?;
    let large = infinite(b, result)?;
    let wrong = b.map(F::Or, &[small, large])?;
    b.map(F::And, &[wrong, had])
}

/// Where a value is subnormal or zero.
fn below(b: &mut Builder, x: Value) -> Result<Value, TypeError> {
    let smallest = b.full_like(x, smallest_normal(b.ty(x).dtype))?;
    let magnitude = b.abs(x)?;
    b.compare(Direction::Lt, magnitude, smallest)
}

/// Where a value is infinite or NaN.
fn infinite(b: &mut Builder, x: Value) -> Result<Value, TypeError> {
    let largest = b.full_like(x, largest_finite(b.ty(x).dtype))?;
    let magnitude = b.abs(x)?;
    let finite = b.compare(Direction::Le, magnitude, largest)?;
    b.map(F::Not, &[finite])
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
