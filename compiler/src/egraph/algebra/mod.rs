//! The rewrite rules, by family. A rule matches one e-node and produces equal terms.
//!
//! Rules are functions rather than patterns, because patterns cannot bind attributes. They still have two halves: the search only
//! reads the e-graph, and what it finds is a [`Rhs`], which the driver types, rejects if ill-typed, adds, and logs.

mod arithmetic;
mod broadcast;
mod conv;
mod dot;
mod folding;
mod inverse;
mod reduce;
mod reshape;
mod select;
mod transpose;

use dlc_ir::{DType, Op, Scalar, ScalarOp, Shape};

use super::graph::{Match, Rhs};
use super::language::Kind;
use crate::options::{Math, PassOptions as Options};

/// The condition under which a rule is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// None: it preserves every bit, NaN, infinities and the sign of zero included.
    Exact,
    /// [`Math::Safe`]. The rule queries the properties of operands that it needs ([`Match::is_finite`] and the like), which safe
    /// maths proves and fast maths assumes.
    Safe,
    /// It moves a factor or a term into a weight: as [`Math::Safe`], except that weights are checked when they are loaded
    /// ([`Options::weights`]).
    Weights,
    /// [`Math::Fast`]: no property of its operands makes it exact enough.
    Fast,
}

impl Need {
    /// Whether a rule with this condition is allowed.
    pub fn is_met(self, options: &Options) -> bool {
        match (self, options.math) {
            (Need::Exact, _) | (_, Math::Fast) | (Need::Safe, Math::Safe) => true,
            (Need::Weights, Math::Safe) => options.weights,
            (_, Math::Safe | Math::Strict) => false,
        }
    }
}

/// The e-nodes that a rule is tried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Those of one kind.
    Of(Kind),
    /// Every scalar function.
    AnyMap,
    /// Every operator.
    Any,
}

impl Trigger {
    /// Whether it includes a kind.
    pub fn fits(self, kind: Kind) -> bool {
        match self {
            Trigger::Of(k) => k == kind,
            Trigger::AnyMap => matches!(kind, Kind::Map(_)),
            Trigger::Any => true,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// In kebab-case.
    pub name: &'static str,
    /// The equation, for OPS.md.
    pub doc: &'static str,
    pub need: Need,
    pub triggers: &'static [Trigger],
    /// Appends terms that are equal to the e-node.
    pub find: fn(&Match<'_>, &mut Vec<Rhs>),
}

impl Rule {
    /// Whether it is constant folding.
    pub fn is_folding(&self) -> bool {
        folding::RULES.iter().any(|rule| rule.name == self.name)
    }
}

/// `rules! { Fast "add-zero" [Add] "x + 0 = x", |s, out| { … } … }`: a list of rules, each with its triggers.
macro_rules! rules {
    ($($need:ident $name:literal [$($trigger:expr),+] $doc:literal, |$s:ident, $out:ident| $body:block)*) => {
        pub(super) const RULES: &[Rule] = &[$(Rule {
            name: $name,
            doc: $doc,
            need: Need::$need,
            triggers: &[$($trigger),+],
            find: |$s, $out| $body,
        }),*];
    };
}
use rules;

/// The trigger of one scalar function.
const fn map(f: ScalarOp) -> Trigger {
    Trigger::Of(Kind::Map(f))
}

/// A constant of the e-node's own type.
fn number(s: &Match<'_>, x: f64) -> Rhs {
    let float = s.own_ty().dtype.is_float();
    Rhs::full(s.own_ty(), if float { Scalar::Float(x) } else { Scalar::Int(x as i64) })
}

/// Moves an operator after a scalar function: `f(m(x), m(y)) = m(f(x, y))`, where all operands are moved by the same `m` from the
/// same shape; uniform ones need not be. `moves` decides, by the operator and that shape.
fn hoist(s: &Match<'_>, out: &mut Vec<Rhs>, moves: impl Fn(&Op, &Shape) -> bool) {
    let Some(&first) = s.args().iter().find(|&&a| s.uniform(a).is_none()) else { return };
    for (op, source) in s.ops(first) {
        let Some(before) = source.first().map(|&x| &s.ty(x).shape) else { continue };
        if !moves(op, before) {
            continue;
        }
        let operand = |&arg| match s.uniform(arg) {
            Some(number) => Some(Rhs::full(&s.ty(arg).with_shape(before.clone()), number)),
            None => s
                .ops(arg)
                .find_map(|(other, from)| (other == op && s.ty(from[0]).shape == *before).then(|| Rhs::from(from[0]))),
        };
        if let Some(inner) = s.args().iter().map(operand).collect::<Option<Vec<Rhs>>>() {
            out.push(Rhs::Op(op.clone(), vec![Rhs::Op(s.op().clone(), inner)]));
        }
    }
}

/// Whether a number may replace those that it is folded from: it is an integer, whose arithmetic is exact, or a float without
/// loss of digits, neither infinite nor subnormal.
fn is_normal(s: &Match<'_>, x: f64) -> bool {
    match s.own_ty().dtype {
        DType::F32 => (x as f32).is_normal(),
        DType::F64 => x.is_normal(),
        DType::I32 | DType::I64 | DType::U8 | DType::Bool => true,
    }
}

/// Whether a number may be the result of folding: an integer, or a float that is not infinite.
fn is_finite(x: Scalar) -> bool {
    match x {
        Scalar::Float(x) => x.is_finite(),
        Scalar::Int(_) | Scalar::Bool(_) => true,
    }
}

/// Whether a factor may be moved past other operations: then intermediate values come near to overflow or underflow only if the
/// result does.
fn is_moderate(c: Scalar) -> bool {
    const FAR: f64 = (1 << 24) as f64;
    match c {
        Scalar::Float(c) => (1.0 / FAR..=FAR).contains(&c.abs()),
        Scalar::Int(_) | Scalar::Bool(_) => true,
    }
}

/// The rewrites and their conditions, for OPS.md.
pub fn markdown() -> String {
    let mut out = String::from(
        "\n## Rewrites\n\nEach is allowed with the maths of its row and with laxer ones; `safe` requires its condition to be \
        proved, `fast` assumes it. `weights` are those of `safe` that move a factor or a term into weights.\n\n\
        | rewrite | maths | equation |\n| --- | --- | --- |\n",
    );
    for rule in all() {
        let from = match rule.need {
            Need::Exact => "strict",
            Need::Safe => "safe",
            Need::Weights => "safe, weights",
            Need::Fast => "fast",
        };
        out.push_str(&format!("| `{}` | {from} | {} |\n", rule.name, rule.doc.replace('|', "\\|")));
    }
    out
}

/// Every rule of the algebra round.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    let families = [
        arithmetic::RULES,
        inverse::RULES,
        select::RULES,
        folding::RULES,
        broadcast::RULES,
        reshape::RULES,
        transpose::RULES,
        reduce::RULES,
        dot::RULES,
        conv::RULES,
    ];
    families.into_iter().flatten()
}
