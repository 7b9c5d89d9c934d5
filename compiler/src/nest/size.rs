//! Limits on the code of one kernel function. An operator may read a value at several indices, its operand again, and so on: 14
//! operators can make 2^14 reads. Fusion counts these before it joins operators (`egraph/fusion/access.rs`) and stays far below
//! these limits; a kernel from a file may not.

use dlc_ir::Symbol;
use rustc_hash::FxHashSet;

use super::NestError;
use super::affine::{AffineIndex, AffineTerm};
use super::expr::{ExprArena, ExprId, ExprKind};
use super::nests::{NestStage, Nests};

/// The deepest nesting of operators.
const NESTED: usize = 256;
/// Operators substituted into each other, over all nests of a kernel.
const COMPOSED: usize = 1 << 17;
/// Terms of one index: a reshape between transposed axes makes a quotient and a remainder of it, both with all its terms.
const INDEX_PARTS: usize = 512;
/// Expressions that one nest may evaluate per point.
const EVALUATED: usize = 1 << 13;

/// What was composed so far.
#[derive(Debug, Default)]
pub(crate) struct Size {
    nested: usize,
    composed: usize,
    /// Which limit was exceeded first.
    passed: Option<(&'static str, usize)>,
}

impl Size {
    /// Counts an operator at an index, until [`Size::leave`]; `false` if a limit is exceeded.
    pub fn enter(&mut self, index: &[AffineIndex]) -> bool {
        self.nested += 1;
        self.composed += 1;
        let parts = index.iter().map(AffineIndex::parts).sum::<usize>();
        let bounds = [
            (self.nested, NESTED, "nested operators"),
            (self.composed, COMPOSED, "evaluations of operators"),
            (parts, INDEX_PARTS, "terms in one index"),
        ];
        let passed = bounds.into_iter().find(|(size, limit, _)| size > limit);
        self.passed = self.passed.or(passed.map(|(_, limit, what)| (what, limit)));
        self.passed.is_none()
    }

    pub fn leave(&mut self) {
        self.nested -= 1;
    }

    /// The error if a limit was exceeded.
    pub fn check(&self, kernel: &Symbol) -> Result<(), NestError> {
        match self.passed {
            Some((what, limit)) => Err(NestError::TooLarge { kernel: kernel.clone(), what, limit }),
            None => Ok(()),
        }
    }
}

impl Nests {
    /// Rejects a kernel with more code than [`EVALUATED`] allows.
    pub fn check_size(&self, kernel: &Symbol) -> Result<(), NestError> {
        for stage in &self.stages {
            let roots = match stage {
                NestStage::Nest(nest) => nest.roots(),
                NestStage::Scatter(s) => [s.start.roots(), vec![s.index, s.update]].concat(),
            };
            let mut count = Count { exprs: &self.exprs, scopes: vec![FxHashSet::default()], count: 0 };
            roots.iter().for_each(|&root| count.eval(root));
            if count.count > EVALUATED {
                let what = "evaluations of expressions";
                return Err(NestError::TooLarge { kernel: kernel.clone(), what, limit: EVALUATED });
            }
        }
        Ok(())
    }
}

/// Counts evaluations as `vectorize.rs` emits them: values of a branch are not reused after it.
struct Count<'a> {
    exprs: &'a ExprArena,
    scopes: Vec<FxHashSet<ExprId>>,
    count: usize,
}

impl Count<'_> {
    fn eval(&mut self, id: ExprId) {
        if self.count > EVALUATED || self.scopes.iter().rev().any(|s| s.contains(&id)) {
            return;
        }
        self.count += 1;
        let exprs = self.exprs;
        match exprs.get(id) {
            ExprKind::Const(_) => {}
            ExprKind::Read { offset: index, .. } | ExprKind::Position(index, _) => self.index(index),
            ExprKind::Apply(_, _, args) => args.iter().for_each(|&x| self.eval(x)),
            ExprKind::If { predicates, then, other } => {
                predicates.iter().for_each(|t| self.index(t.index()));
                self.branch(*then);
                self.branch(*other);
                // One predicate can become a branch and the other a mask.
                if predicates.len() > 1 {
                    self.branch(*other);
                }
            }
            ExprKind::Random { key, counter, element, .. } => {
                self.eval(*key);
                self.eval(*counter);
                self.index(element);
            }
        }
        self.scopes.last_mut().expect("a scope is always open").insert(id);
    }

    fn branch(&mut self, id: ExprId) {
        self.scopes.push(FxHashSet::default());
        self.eval(id);
        self.scopes.pop();
    }

    fn index(&mut self, index: &AffineIndex) {
        for (atom, _) in &index.terms {
            match atom {
                AffineTerm::Div(x, _) | AffineTerm::Mod(x, _) => self.index(x),
                AffineTerm::Data { value, .. } => self.eval(*value),
                _ => {}
            }
        }
    }
}
