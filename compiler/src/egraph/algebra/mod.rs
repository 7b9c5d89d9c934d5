//! The rewrite rules, by family. A rule looks at one e-node and says what else computes the same.
//!
//! Rules are functions rather than patterns, because patterns cannot bind attributes. They are still two halves: finding reads the
//! e-graph only, and what is found is a [`Rhs`] that the driver types, rejects if it is ill-typed, adds, and logs.

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

/// What a rule needs to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it keeps every bit, NaN, infinities and the sign of zero included.
    Exact,
    /// [`Math::Safe`]. It asks for what it must know of its operands ([`Match::is_finite`] and the like), which safe maths proves and
    /// fast maths takes for granted.
    Safe,
    /// It moves a factor or a term into a weight: [`Math::Safe`] as far as weights are checked when they are loaded
    /// ([`Options::weights`]).
    Weights,
    /// [`Math::Fast`]: nothing that is known of its operands makes it lawful.
    Fast,
}

impl Need {
    /// Whether a rule with this need is allowed.
    pub fn is_met(self, options: &Options) -> bool {
        match (self, options.math) {
            (Need::Exact, _) | (_, Math::Fast) | (Need::Safe, Math::Safe) => true,
            (Need::Weights, Math::Safe) => options.weights,
            (_, Math::Safe | Math::Strict) => false,
        }
    }
}

/// The e-nodes that a rule is asked about.
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
    /// Whether a kind is meant.
    pub fn fits(self, kind: Kind) -> bool {
        match self {
            Trigger::Of(k) => k == kind,
            Trigger::AnyMap => matches!(kind, Kind::Map(_)),
            Trigger::Any => true,
        }
    }
}

/// A rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name, in kebab-case.
    pub name: &'static str,
    /// What it says.
    pub doc: &'static str,
    /// What it needs to be allowed.
    pub need: Need,
    /// The e-nodes that it is asked about.
    pub triggers: &'static [Trigger],
    /// Adds what equals the e-node.
    pub find: fn(&Match<'_>, &mut Vec<Rhs>),
}

impl Rule {
    /// Whether it says which number a value is.
    pub fn is_folding(&self) -> bool {
        folding::RULES.iter().any(|rule| rule.name == self.name)
    }
}

/// `rules! { Fast "add-zero" [Add] "x + 0 = x", |s, out| { … } … }`: a list of rules, each with the kinds that it is asked about.
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

/// A number of the e-node's own type.
fn number(s: &Match<'_>, x: f64) -> Rhs {
    let float = s.own_ty().dtype.is_float();
    Rhs::full(s.own_ty(), if float { Scalar::Float(x) } else { Scalar::Int(x as i64) })
}

/// Moves an operator behind a scalar function: `f(m(x), m(y)) = m(f(x, y))`, where all operands are moved by the same `m` from the same
/// shape, and uniform ones by anything. `moves` says whether it is to be, by the operator and that shape.
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

/// Whether a number can stand for those that it is folded from: it is an integer, whose arithmetic is exact, or a float with all its
/// digits, neither infinite nor subnormal.
fn is_normal(s: &Match<'_>, x: f64) -> bool {
    match s.own_ty().dtype {
        DType::F32 => (x as f32).is_normal(),
        DType::F64 => x.is_normal(),
        DType::I32 | DType::I64 | DType::U8 | DType::Bool => true,
    }
}

/// Whether a number may be what others are folded to: it is an integer, or a float that is not beyond all others.
fn is_finite(x: Scalar) -> bool {
    match x {
        Scalar::Float(x) => x.is_finite(),
        Scalar::Int(_) | Scalar::Bool(_) => true,
    }
}

/// Whether a factor may be moved past other operations: what lies between then comes near to infinity or to zero only
/// if the result does.
fn is_moderate(c: Scalar) -> bool {
    const FAR: f64 = (1 << 24) as f64;
    match c {
        Scalar::Float(c) => (1.0 / FAR..=FAR).contains(&c.abs()),
        Scalar::Int(_) | Scalar::Bool(_) => true,
    }
}

/// The rewrites and what each needs, for OPS.md.
pub fn markdown() -> String {
    let mut out = String::from(
        "\n## Rewrites\n\nEach is allowed with the maths of its row and with those that allow more; `safe` asks for the condition to be \
        proved, `fast` takes it for granted. `weights` are those of `safe` that move something into weights.\n\n\
        | rewrite | from | what |\n| --- | --- | --- |\n",
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
