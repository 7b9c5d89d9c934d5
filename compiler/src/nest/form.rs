//! Composed element expressions: hash-consed, so that sharing in the graph stays sharing, over [`Linear`] indices.

use dlc_ir::compute::{Combine, ConstScalar};
use dlc_ir::{DType, Scalar, ScalarOp};
use indexmap::IndexSet;
use rustc_hash::{FxBuildHasher, FxHashMap};
use smallvec::SmallVec;

use super::linear::{Extents, Linear};

/// An expression: an index into [`Forms`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ExprId(pub u32);

/// Where an expression reads: an index into [`super::composed::Composed::sources`].
pub(crate) type Source = usize;

/// A condition on the position.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Test {
    InRange { index: Linear, low: i64, high: i64 },
    Divisible { index: Linear, divisor: i64 },
}

/// A scalar expression over the axes of a domain. The counterpart of [`dlc_ir::compute::Expr`] with operands
/// composed in, accesses flattened, and children shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    Read { source: Source, dtype: DType, offset: Linear },
    Const(ConstScalar),
    Position(Linear, DType),
    Apply(ScalarOp, DType, SmallVec<[ExprId; 3]>),
    If { tests: Vec<Test>, then: ExprId, other: ExprId },
    Random { key: ExprId, counter: ExprId, element: Linear, dtype: DType },
}

/// An arena of expressions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forms {
    forms: IndexSet<Form, FxBuildHasher>,
}

impl Test {
    pub fn index(&self) -> &Linear {
        match self {
            Test::InRange { index, .. } | Test::Divisible { index, .. } => index,
        }
    }

    /// Whether it holds everywhere (`true`) or nowhere (`false`) on the domain, where that is known.
    pub fn known(&self, extents: Extents<'_>) -> Option<bool> {
        match self {
            Test::InRange { index, low, high } => {
                let (first, last) = index.range(extents);
                if *low <= first && last < *high {
                    Some(true)
                } else if last < *low || first >= *high {
                    Some(false)
                } else {
                    None
                }
            }
            Test::Divisible { index, divisor } => {
                let rest = index.modulo(*divisor, extents);
                rest.as_constant().map(|r| r == 0)
            }
        }
    }

    fn substitute(&self, axes: &[Linear], extents: Extents<'_>, data: &mut impl FnMut(ExprId) -> ExprId) -> Test {
        match self {
            Test::InRange { index, low, high } => {
                Test::InRange { index: index.substitute(axes, extents, data), low: *low, high: *high }
            }
            Test::Divisible { index, divisor } => {
                Test::Divisible { index: index.substitute(axes, extents, data), divisor: *divisor }
            }
        }
    }
}

impl Forms {
    pub fn get(&self, id: ExprId) -> &Form {
        &self.forms[id.0 as usize]
    }

    pub fn add(&mut self, form: Form) -> ExprId {
        ExprId(self.forms.insert_full(form).0 as u32)
    }

    pub fn constant(&mut self, dtype: DType, value: Scalar) -> ExprId {
        self.add(Form::Const(ConstScalar { dtype, value: value.convert(dtype) }))
    }

    /// `if tests { then } else { other }`, without the tests that are known on the domain.
    pub fn choose(&mut self, tests: Vec<Test>, then: ExprId, other: ExprId, extents: Extents<'_>) -> ExprId {
        let mut open = vec![];
        for test in tests {
            match test.known(extents) {
                Some(true) => {}
                Some(false) => return other,
                None => open.push(test),
            }
        }
        if open.is_empty() || then == other { then } else { self.add(Form::If { tests: open, then, other }) }
    }

    pub fn dtype(&self, id: ExprId) -> DType {
        match self.get(id) {
            Form::Read { dtype, .. } | Form::Position(_, dtype) | Form::Random { dtype, .. } => *dtype,
            Form::Const(c) => c.dtype,
            Form::Apply(f, dtype, _) => f.result(*dtype),
            Form::If { then, .. } => self.dtype(*then),
        }
    }

    /// The expression on another domain: every axis replaced by an index over the new one.
    pub fn substitute(
        &mut self,
        id: ExprId,
        axes: &[Linear],
        extents: Extents<'_>,
        memo: &mut FxHashMap<ExprId, ExprId>,
    ) -> ExprId {
        if let Some(&done) = memo.get(&id) {
            return done;
        }
        let form = self.get(id).clone();
        let new = match form {
            Form::Const(_) => id,
            Form::Read { source, dtype, offset } => {
                let offset = self.index(&offset, axes, extents, memo);
                self.add(Form::Read { source, dtype, offset })
            }
            Form::Position(index, dtype) => {
                let index = self.index(&index, axes, extents, memo);
                self.add(Form::Position(index, dtype))
            }
            Form::Apply(f, dtype, args) => {
                let args = args.iter().map(|&x| self.substitute(x, axes, extents, memo)).collect();
                self.add(Form::Apply(f, dtype, args))
            }
            Form::If { tests, then, other } => {
                let tests = self.tests(&tests, axes, extents, memo);
                let then = self.substitute(then, axes, extents, memo);
                let other = self.substitute(other, axes, extents, memo);
                self.choose(tests, then, other, extents)
            }
            Form::Random { key, counter, element, dtype } => {
                let key = self.substitute(key, axes, extents, memo);
                let counter = self.substitute(counter, axes, extents, memo);
                let element = self.index(&element, axes, extents, memo);
                self.add(Form::Random { key, counter, element, dtype })
            }
        };
        memo.insert(id, new);
        new
    }

    /// An index on another domain.
    pub fn index(
        &mut self,
        index: &Linear,
        axes: &[Linear],
        extents: Extents<'_>,
        memo: &mut FxHashMap<ExprId, ExprId>,
    ) -> Linear {
        index.substitute(axes, extents, &mut |value| self.substitute(value, axes, extents, memo))
    }

    /// Conditions on another domain.
    pub fn tests(
        &mut self,
        tests: &[Test],
        axes: &[Linear],
        extents: Extents<'_>,
        memo: &mut FxHashMap<ExprId, ExprId>,
    ) -> Vec<Test> {
        let data = &mut |value| self.substitute(value, axes, extents, memo);
        tests.iter().map(|t| t.substitute(axes, extents, data)).collect()
    }

    /// Visits the expressions below some roots, each once, operands of indices included.
    pub fn visit(&self, roots: impl IntoIterator<Item = ExprId>, visit: &mut impl FnMut(ExprId, &Form)) {
        let mut seen = rustc_hash::FxHashSet::default();
        let mut stack: Vec<ExprId> = roots.into_iter().collect();
        stack.reverse();
        while let Some(id) = stack.pop() {
            if !seen.insert(id) {
                continue;
            }
            let form = self.get(id);
            visit(id, form);
            match form {
                Form::Const(_) => {}
                Form::Read { offset: index, .. } | Form::Position(index, _) => data_of(index, &mut stack),
                Form::Apply(_, _, args) => stack.extend(args.iter().rev()),
                Form::If { tests, then, other } => {
                    stack.extend([*other, *then]);
                    tests.iter().for_each(|t| data_of(t.index(), &mut stack));
                }
                Form::Random { key, counter, element, .. } => {
                    stack.extend([*counter, *key]);
                    data_of(element, &mut stack);
                }
            }
        }
    }

    /// Whether an index that stands below some roots, or in a condition there, is of a kind.
    pub fn any_index(&self, roots: impl IntoIterator<Item = ExprId>, is: impl Fn(&Linear) -> bool) -> bool {
        let mut found = false;
        self.visit(roots, &mut |_, form| {
            found |= match form {
                Form::Read { offset: index, .. } | Form::Position(index, _) | Form::Random { element: index, .. } => {
                    is(index)
                }
                Form::If { tests, .. } => tests.iter().any(|t| is(t.index())),
                Form::Const(_) | Form::Apply(..) => false,
            };
        });
        found
    }

    /// Every index that stands below some roots, those of conditions included.
    pub fn indices(&self, roots: impl IntoIterator<Item = ExprId>) -> Vec<Linear> {
        let mut indices = vec![];
        self.visit(roots, &mut |_, form| match form {
            Form::Read { offset: index, .. } | Form::Position(index, _) | Form::Random { element: index, .. } => {
                indices.push(index.clone());
            }
            Form::If { tests, .. } => indices.extend(tests.iter().map(|t| t.index().clone())),
            Form::Const(_) | Form::Apply(..) => {}
        });
        indices
    }

    /// Whether a read below some roots is of a kind.
    pub fn any_read(&self, roots: impl IntoIterator<Item = ExprId>, is: impl Fn(Source, &Linear) -> bool) -> bool {
        let mut found = false;
        self.visit(roots, &mut |_, form| {
            found |= matches!(form, Form::Read { source, offset, .. } if is(*source, offset));
        });
        found
    }

    /// Every read below some roots.
    pub fn reads(&self, roots: impl IntoIterator<Item = ExprId>) -> Vec<(Source, Linear)> {
        let mut reads = vec![];
        self.visit(roots, &mut |_, form| {
            if let Form::Read { source, offset, .. } = form {
                reads.push((*source, offset.clone()));
            }
        });
        reads
    }
}

/// The expressions inside an index.
fn data_of(index: &Linear, into: &mut Vec<ExprId>) {
    use super::linear::Atom;
    for (atom, _) in &index.terms {
        match atom {
            Atom::Axis(_) | Atom::Overflow => {}
            Atom::Div(x, _) | Atom::Mod(x, _) => data_of(x, into),
            Atom::Data { value, .. } => into.push(*value),
        }
    }
}

/// The value from which a reduction starts.
pub(crate) fn identity(combine: Combine, dtype: DType) -> Scalar {
    let extreme = |largest: bool| match dtype {
        DType::F32 | DType::F64 => Scalar::Float(if largest { f64::INFINITY } else { f64::NEG_INFINITY }),
        DType::U8 => Scalar::Int(if largest { 255 } else { 0 }),
        DType::Bool => Scalar::Bool(largest),
        DType::I64 => Scalar::Int(if largest { i64::MAX } else { i64::MIN }),
        DType::I32 => Scalar::Int(if largest { i64::from(i32::MAX) } else { i64::from(i32::MIN) }),
    };
    match combine {
        Combine::Sum => Scalar::zero(dtype),
        Combine::Product => Scalar::one(dtype),
        Combine::Min | Combine::ArgMin => extreme(true),
        Combine::Max | Combine::ArgMax => extreme(false),
    }
}
