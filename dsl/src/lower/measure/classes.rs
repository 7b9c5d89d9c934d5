//! Classifies each value of a function by its dependence on the examples of a batch, following the batch axis.
//!
//! The function is compared with the same one for another number of examples: an axis whose size differs counts
//! examples, and a constant that differs (the one over the number of a mean) holds for that number only.

use dlc_ir as ir;
use ir::op::{Call, Reshape};
use ir::{Def, Function, Node, Op, Symbol, Type};
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

use super::super::outline::Functions;
use super::{Boundary, Combine, element};

/// How a value depends on the examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    /// Not at all: it is a compile-time constant for any number of examples.
    Fixed,
    /// It is one for all examples of a step: weights, states, draws.
    Step,
    /// Examples are along an axis, `per` positions each.
    Rows {
        axis: usize,
        per: usize,
        /// Each depends on its own example only, so that it is the same in any batch.
        pure: bool,
    },
    /// It follows from reductions over the examples, from their number, and from what is one for all.
    Set,
    /// It needs all examples at once.
    Whole,
    /// It is made of a reduction over the examples within a function that is called, of which no part can be taken.
    Hidden,
}

impl Class {
    /// Of what has one position for each example, along its first axis.
    pub const EXAMPLES: Class = Class::Rows { axis: 0, per: 1, pure: true };
}

/// The classes of the values of a function.
#[derive(Debug)]
pub(super) struct Classes {
    of: Vec<SmallVec<[Class; 1]>>,
    /// For each node that reduces values of examples how those of several batches combine.
    reductions: Vec<Option<Combine>>,
    /// Which output of the model, if one is, is made of all examples within a function that is called.
    pub hidden: Option<usize>,
    /// Whether two numbers of examples were compared.
    pub compared: bool,
}

impl Classes {
    pub fn of(&self, value: ir::Value) -> Class {
        self.of[value.node.index()][value.result as usize]
    }

    pub fn reduction(&self, value: ir::Value) -> Option<Combine> {
        self.reductions[value.node.index()]
    }
}

/// The types of a value for the one and for the other number of examples.
pub(super) type Pair<'t> = (&'t Type, &'t Type);

/// An analysis of functions for two numbers of examples, which are equal where there is only one.
pub(super) struct Analysis<'a> {
    functions: (&'a Functions, &'a Functions),
    pub examples: (usize, usize),
    /// Whether weights change from one batch to the next.
    steps: bool,
    callees: FxHashMap<(Symbol, Symbol, Vec<Class>), Option<Vec<Class>>>,
}

impl<'a> Analysis<'a> {
    pub fn new(functions: (&'a Functions, &'a Functions), examples: (usize, usize), steps: bool) -> Self {
        Analysis { functions, examples, steps, callees: FxHashMap::default() }
    }

    /// The classes in a function, of which the part within the boundary, if there is one, is a model; none if the two functions are not alike.
    pub fn function(
        &mut self,
        f: &Function,
        g: &Function,
        arguments: &[Class],
        boundary: Option<&Boundary>,
    ) -> Option<Classes> {
        if f.node_count() != g.node_count() {
            return None;
        }
        let compared = self.examples.0 != self.examples.1;
        let mut classes = Classes { of: vec![], reductions: vec![], hidden: None, compared };
        for ((id, node), (_, other)) in f.nodes().zip(g.nodes()) {
            if boundary.is_some_and(|b| b.nodes == id.index()) {
                self.leave_model(f, g, boundary, &mut classes);
            }
            let (of, reduction) = match (&node.def, &other.def) {
                (Def::Argument(i), Def::Argument(j)) if i == j => (smallvec![arguments[*i]], None),
                (Def::Op(op), Def::Op(theirs)) if op.mnemonic() == theirs.mnemonic() => {
                    if node.operands != other.operands || node.types.len() != other.types.len() {
                        return None;
                    }
                    let operands: Vec<Class> = node.operands.iter().map(|&v| classes.of(v)).collect();
                    let types: Vec<Pair<'_>> = node.operands.iter().map(|&v| (f.ty(v), g.ty(v))).collect();
                    self.node((op, node), (theirs, other), &operands, &types)
                }
                _ => return None,
            };
            classes.of.push(of);
            classes.reductions.push(reduction);
        }
        if boundary.is_some_and(|b| b.nodes >= f.node_count()) {
            self.leave_model(f, g, boundary, &mut classes);
        }
        Some(classes)
    }

    /// What a model makes of several examples at once, as batch norm in training does, is what its batch makes it: its outputs
    /// belong to the examples along whose axis they are. One that is along none belongs to its step in training, whose weights
    /// no other step has; in an evaluation, it is computed of all examples.
    fn leave_model(&self, f: &Function, g: &Function, boundary: Option<&Boundary>, classes: &mut Classes) {
        for (i, output) in boundary.iter().flat_map(|b| b.outputs.iter().enumerate()) {
            let value = output.value;
            let class = &mut classes.of[value.node.index()][value.result as usize];
            *class = match *class {
                Class::Rows { axis, per, .. } => Class::Rows { axis, per, pure: true },
                Class::Whole | Class::Hidden => {
                    match self.counting(&f.ty(value).shape, &g.ty(value).shape).as_deref() {
                        Some([(axis, per)]) => Class::Rows { axis: *axis, per: *per, pure: true },
                        _ => {
                            if *class == Class::Hidden {
                                classes.hidden.get_or_insert(i);
                            }
                            if self.steps { Class::Step } else { *class }
                        }
                    }
                }
                other => other,
            };
        }
    }

    /// The axes that count examples, with the positions of each; none if a size differs in another way.
    pub fn counting(&self, ours: &[usize], theirs: &[usize]) -> Option<Vec<(usize, usize)>> {
        let (examples, others) = self.examples;
        if ours.len() != theirs.len() {
            return None;
        }
        let mut axes = vec![];
        for (axis, (&a, &b)) in ours.iter().zip(theirs).enumerate().filter(|(_, (a, b))| a != b) {
            if examples == 0 || a % examples != 0 || a / examples * others != b {
                return None;
            }
            axes.push((axis, a / examples));
        }
        Some(axes)
    }

    fn node(
        &mut self,
        (op, node): (&Op, &Node),
        (theirs, other): (&Op, &Node),
        operands: &[Class],
        types: &[Pair<'_>],
    ) -> (SmallVec<[Class; 1]>, Option<Combine>) {
        let all = |class: Class| (node.types.iter().map(|_| class).collect::<SmallVec<[Class; 1]>>(), None);
        for class in [Class::Hidden, Class::Whole] {
            if operands.contains(&class) {
                return all(class);
            }
        }
        let result = (&node.types[0], &other.types[0]);
        let counting = self.counting(&result.0.shape, &result.1.shape);
        match (op, theirs) {
            (Op::Constant(a), Op::Constant(b)) => {
                let one = a.value.uniform().filter(|x| b.value.uniform() == Some(*x));
                all(match counting.as_deref() {
                    Some([]) if a.value == b.value => Class::Fixed,
                    Some([(axis, per)]) => Class::Rows { axis: *axis, per: *per, pure: one.is_some() },
                    _ => Class::Set,
                })
            }
            (Op::Broadcast(a), _)
                if self.examples.0 == self.examples.1 && !matches!(operands[0], Class::Rows { .. }) =>
            {
                // Nothing shows whether the axis counts examples. If it counts something else, its sums are those of an average batch too.
                let mut new = (0..a.shape.len()).filter(|axis| !a.axes.contains(axis));
                all(match new.find(|&axis| a.shape[axis] == self.examples.0) {
                    Some(axis) => Class::Rows { axis, per: 1, pure: operands[0] != Class::Set },
                    None => operands[0],
                })
            }
            (Op::Reshape(a), Op::Reshape(b)) => all(self.reshape((a, b), operands[0], types[0])),
            (Op::RngBits(_), Op::RngBits(_)) => all(match counting.as_deref() {
                Some([(axis, per)]) => Class::Rows { axis: *axis, per: *per, pure: true },
                Some([]) => join(operands),
                _ => Class::Whole,
            }),
            (Op::Call(a), Op::Call(b)) => (self.call((a, b), operands, node), None),
            (Op::Gradient(_), _) => all(match join(operands) {
                joined @ (Class::Fixed | Class::Step) => joined,
                _ => Class::Whole,
            }),
            (Op::Scatter(a), Op::Scatter(b)) if a == b => all(rows_of_batch(operands, a.batch)),
            (Op::ScatterArgmax(a), Op::ScatterArgmax(b)) if a == b => all(rows_of_batch(operands, a.batch)),
            _ => {
                let (class, reduction) = element::class(self, (op, theirs), operands, types, result);
                (smallvec![class], reduction)
            }
        }
    }

    /// Examples stay examples if what belongs to each stays together.
    fn reshape(&self, (a, b): (&Reshape, &Reshape), operand: Class, (from, _): Pair<'_>) -> Class {
        let Class::Rows { axis, per, pure } = operand else {
            return if a.shape == b.shape { operand } else { Class::Whole };
        };
        let product = |sizes: &[usize]| sizes.iter().product::<usize>();
        let (before, behind) = (product(&from.shape[..axis]), product(&from.shape[axis + 1..]));
        let examples = self.examples.0;
        let found = if self.examples.0 == self.examples.1 {
            // the one that keeps the positions of an example, or else the first that holds whole examples
            let holds = |to: usize| product(&a.shape[..to]) == before && examples > 0 && a.shape[to] % examples == 0;
            let mut axes = (0..a.shape.len()).filter(|&to| holds(to) && a.shape[to] > 0);
            let same = axes.clone().find(|&to| a.shape[to] == per * examples);
            same.or_else(|| axes.next()).map(|to| (to, a.shape[to] / examples))
        } else {
            match self.counting(&a.shape, &b.shape).as_deref() {
                Some([(to, per)]) if product(&a.shape[..*to]) == before => Some((*to, *per)),
                _ => None,
            }
        };
        match found {
            Some((to, now)) if now * product(&a.shape[to + 1..]) == per * behind => {
                Class::Rows { axis: to, per: now, pure }
            }
            _ => Class::Whole,
        }
    }

    fn call(&mut self, (a, b): (&Call, &Call), operands: &[Class], node: &Node) -> SmallVec<[Class; 1]> {
        let key = (a.func.clone(), b.func.clone(), operands.to_vec());
        let known = match self.callees.get(&key) {
            Some(known) => known.clone(),
            None => {
                let (f, g) = (self.functions.0.get(&a.func), self.functions.1.get(&b.func));
                let classes = self.function(f, g, operands, None);
                let found = classes.map(|classes| f.results.iter().map(|r| classes.of(r.value)).collect::<Vec<_>>());
                self.callees.insert(key, found.clone());
                found
            }
        };
        // A reduction within a function is not a part that could be taken out of it.
        let reduces = operands.iter().any(|c| matches!(c, Class::Rows { .. }));
        let outside = |class: &Class| if reduces && *class == Class::Set { Class::Hidden } else { *class };
        match known {
            Some(classes) => classes.iter().map(outside).collect(),
            None => node.types.iter().map(|_| Class::Whole).collect(),
        }
    }
}

/// Of values none of which belongs to examples.
pub(super) fn join(operands: &[Class]) -> Class {
    let has = |class: Class| operands.contains(&class);
    match () {
        () if has(Class::Whole) || operands.iter().any(|c| matches!(c, Class::Rows { .. })) => Class::Whole,
        () if has(Class::Set) => Class::Set,
        () if has(Class::Step) => Class::Step,
        () => Class::Fixed,
    }
}

/// Of an operator whose first axes are batch axes.
fn rows_of_batch(operands: &[Class], batch: usize) -> Class {
    let mut rows = None;
    let mut all_pure = !operands.contains(&Class::Set);
    for class in operands {
        if let Class::Rows { axis, per, pure } = *class {
            if axis >= batch || rows.is_some_and(|found| found != (axis, per)) {
                return Class::Whole;
            }
            rows = Some((axis, per));
            all_pure &= pure;
        }
    }
    // what is fixed may differ from position to position of the axis
    let alone = operands.iter().all(|c| matches!(c, Class::Rows { .. }));
    match rows {
        None => join(operands),
        Some((axis, per)) => Class::Rows { axis, per, pure: all_pure && alone },
    }
}
