//! Whether values are functions of one example each: for the fields of datasets.

use dlc_ir as ir;
use ir::{Argument, Function, Loc, Role};

use super::super::outline::Functions;
use super::classes::{Analysis, Class, Classes};

/// How a value depends on more than one example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dependence {
    /// It is a reduction over the axis of the examples.
    Reduction,
    /// Each element is made of elements of several examples.
    Mixture,
    /// It depends on the position of an example, or on the number of them.
    Position,
    /// It is made of no example at all.
    Constant,
}

/// How the values of a function depend on the examples.
pub(crate) struct Dependences<'f> {
    function: &'f Function,
    classes: Classes,
}

impl<'f> Dependences<'f> {
    /// Analyses a function by comparing it with the same for another number of examples; none if the two are not alike. `is_row` says of an
    /// argument whether it has the examples along its first axis.
    pub fn of(
        function: &'f Function,
        other: &Function,
        functions: (&Functions, &Functions),
        examples: (usize, usize),
        is_row: &dyn Fn(&Argument) -> bool,
    ) -> Option<Self> {
        let class = |argument: &Argument| match argument.role {
            _ if is_row(argument) => Class::EXAMPLES,
            Role::Key => Class::Step,
            _ => Class::Fixed,
        };
        let arguments: Vec<Class> = function.args().iter().map(|argument| class(argument)).collect();
        let classes = Analysis::new(functions, examples, false).function(function, other, &arguments, None)?;
        Some(Dependences { function, classes })
    }

    /// How a value comes to be no function of one example each, along its first axis, and where; none if it is one.
    pub fn beyond_one_example(&self, value: ir::Value) -> Option<(Dependence, Loc)> {
        if self.classes.of(value) == Class::EXAMPLES {
            return None;
        }
        // The first operator that makes something else of values that are functions of one example.
        let mut seen = vec![false; self.function.node_count()];
        let mut open = vec![value];
        let mut first: Option<ir::Value> = None;
        while let Some(value) = open.pop() {
            if std::mem::replace(&mut seen[value.node.index()], true) {
                continue;
            }
            if !self.is_of_one(value) && first.is_none_or(|first| value.node < first.node) {
                first = Some(value);
            }
            open.extend(self.function.node(value.node).operands.iter().copied());
        }
        let Some(first) = first else {
            let dependence = match self.classes.of(value) {
                Class::Rows { .. } => Dependence::Mixture,
                _ => Dependence::Constant,
            };
            return Some((dependence, self.function.node(value.node).loc));
        };
        let dependence = match self.classes.of(first) {
            Class::Set if self.classes.reduction(first).is_some() => Dependence::Reduction,
            Class::Set | Class::Rows { .. } => Dependence::Position,
            _ => Dependence::Mixture,
        };
        Some((dependence, self.function.node(first.node).loc))
    }

    /// Whether a value is a function of one example each, or of none.
    fn is_of_one(&self, value: ir::Value) -> bool {
        matches!(self.classes.of(value), Class::Fixed | Class::Step | Class::Rows { pure: true, .. })
    }
}
