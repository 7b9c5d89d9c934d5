//! The data types of the kernel IR.
//!
//! A [`Kernel`] is a small structured program over buffers: a sequence of *stages*, each a nest of
//! [loops](Loop) around [instructions](Inst). Values are in SSA form with structured regions: a value is
//! defined once, dominates its uses by nesting, and has a [`Ty`]: a scalar or a vector of logical lanes.
//!
//! What the emitters may rely on, and [`verify`](super::verify()) checks:
//!
//! - Index arithmetic is ordinary arithmetic on scalar `i64` values. Offsets are in elements.
//! - Nothing is reordered, contracted or split by an emitter: `fma` is an instruction, reductions are written
//!   out, so that every emitter computes the same bits (any NaN counts as the same as any other).
//! - No instruction traps. Integer division by zero gives 0; shift counts are taken modulo the width.
//! - Loads and stores stay inside their buffers, which is [proved](super::bounds). What cannot be proved is clamped, as are
//!   indices that come from data: a [`Stmt::Check`] reports them, but nothing depends on it, since loads may come before it.
//!   The kernel interpreter reports every access outside.
//! - A kernel writes an element from at most one chunk, and no chunk reads what another one writes.
//!
//! Two kernels with equal content are equal (`Eq`, `Hash`) and are compiled once; a kernel therefore has no name.

mod types;

use std::sync::Arc;

use dlc_ir::DType;
use smallvec::SmallVec;

pub use types::{Const, Elem, Ty, lanes};

/// A value of a kernel: an index into [`Kernel::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Val(pub u32);

/// A buffer of a kernel: first its operands, then its scratch buffers, then its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Buf(pub u32);

/// Operations on one value, lane by lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unary {
    /// Negation; integers wrap.
    Neg,
    /// Absolute value; integers wrap.
    Abs,
    /// Logical (`bool`) or bitwise (integers) complement.
    Not,
    /// Correctly rounded square root.
    Sqrt,
    /// Round to an integer, downwards.
    Floor,
    /// Round to an integer, upwards.
    Ceil,
    /// Round to an integer, towards zero.
    Trunc,
    /// Round to the nearest integer, ties to even.
    Nearest,
}

/// Operations on two values of one type, lane by lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binary {
    /// Addition; integers wrap.
    Add,
    /// Subtraction; integers wrap.
    Sub,
    /// Multiplication; integers wrap.
    Mul,
    /// Division. Integers truncate towards zero; `x / 0 = 0`, `MIN / -1 = MIN`.
    Div,
    /// Integer remainder with the sign of the dividend; `x rem 0 = 0`.
    Rem,
    /// The smaller; NaN if either is NaN. Of equal values (`0`, `-0`) the second.
    Min,
    /// The larger; NaN if either is NaN. Of equal values (`0`, `-0`) the second.
    Max,
    /// Logical or bitwise and.
    And,
    /// Logical or bitwise or.
    Or,
    /// Logical or bitwise exclusive or.
    Xor,
    /// Shift left; the count is taken modulo the width.
    Shl,
    /// Arithmetic shift right; the count is taken modulo the width.
    Shr,
    /// Logical shift right; the count is taken modulo the width.
    ShrU,
    /// `x * 2^n`, rounded once, for floats x and n. It is defined where n is integral, 2 to the power of its halves is a normal number,
    /// and `x * 2^floor(n / 2)` is one too; and it is NaN where x is.
    Scale,
}

/// Comparisons. With a NaN all are false, but [`Compare::Ne`], which is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// An instruction, which defines one value; the type of the value is in [`Kernel::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inst {
    /// A constant, in every lane.
    Const(Const),
    /// The numbers of the lanes: 0, 1, 2, …
    Iota,
    /// An operation on one value.
    Unary(Unary, Val),
    /// An operation on two values of the same type.
    Binary(Binary, Val, Val),
    /// `a * b + c`, rounded once.
    Fma(Val, Val, Val),
    /// Integer division by a positive constant, rounding down.
    DivFloor(Val, i64),
    /// The remainder, not negative, of [`Inst::DivFloor`].
    Mod(Val, i64),
    /// A comparison of two values of the same type; the result is `bool`.
    Compare(Compare, Val, Val),
    /// `if c { a } else { b }` lane by lane; `c` has as many lanes as `a` and `b`, and both are evaluated.
    Select(Val, Val, Val),
    /// Conversion to another element type, lane by lane, by the rules of the operator `convert`:
    /// floats truncate to integers and saturate, NaN gives 0; integers wrap; `bool` is 0 or 1; to `bool` is `x != 0`.
    Convert(Val),
    /// The same bits as another element type of equal width.
    Bitcast(Val),
    /// A scalar in every lane.
    Splat(Val),
    /// One lane of a vector, as a scalar.
    Lane(Val, u8),
    /// The lower half of the lanes (`false`) or the upper half (`true`). Half of two lanes is a scalar.
    Half(Val, bool),
    /// The lower (`false`) or upper (`true`) halves of two vectors, lane by lane in turn: `x0 y0 x1 y1 …`.
    Interleave(Val, Val, bool),
    /// Whether any lane of a mask is set: a scalar `bool`.
    Any(Val),
    /// Reads `lanes` elements at `index + offset + stride * lane`.
    Load(Access),
    /// Reads the element `index[lane] + offset` for every lane of the `i64` vector `index`.
    Gather {
        /// The buffer read.
        buf: Buf,
        /// Element indices, an `i64` for every lane.
        index: Val,
        /// Added to each index.
        offset: i64,
    },
}

impl Inst {
    /// Calls `f` on every operand.
    pub(super) fn for_each_operand_mut(&mut self, mut f: impl FnMut(&mut Val)) {
        match self {
            Inst::Const(_) | Inst::Iota => {}
            Inst::Unary(_, a)
            | Inst::DivFloor(a, _)
            | Inst::Mod(a, _)
            | Inst::Convert(a)
            | Inst::Bitcast(a)
            | Inst::Splat(a)
            | Inst::Lane(a, _)
            | Inst::Half(a, _)
            | Inst::Any(a)
            | Inst::Gather { index: a, .. } => f(a),
            Inst::Binary(_, a, b) | Inst::Compare(_, a, b) | Inst::Interleave(a, b, _) => {
                [a, b].into_iter().for_each(f)
            }
            Inst::Fma(a, b, c) | Inst::Select(a, b, c) => [a, b, c].into_iter().for_each(f),
            Inst::Load(access) => std::iter::once(&mut access.index).chain(&mut access.active).for_each(f),
        }
    }

    /// The operands.
    pub(crate) fn operands(mut self) -> impl Iterator<Item = Val> {
        let mut operands = SmallVec::<[Val; 3]>::new();
        self.for_each_operand_mut(|val| operands.push(*val));
        operands.into_iter()
    }
}

/// The address of a load or a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    pub buf: Buf,
    /// Scalar `i64`: the element of the first lane, before `offset` is added.
    pub index: Val,
    /// Constant part of the element index.
    pub offset: i64,
    /// Distance in elements from lane to lane; 1 is contiguous. Ignored for scalars (and then 1).
    pub stride: i64,
    /// Which lanes are accessed; a load gives zero in the others. Absent: all. A `bool` for every lane: those that are true. A scalar
    /// `i64`, for the remainders of loops: so many of the first; values outside `0..=lanes` are clamped.
    pub active: Option<Val>,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stmt {
    /// Defines a value.
    Let(Val, Inst),
    /// Writes the lanes of `value`.
    Store(Access, Val),
    /// A loop.
    Loop(Box<Loop>),
    /// A conditional.
    If(Box<If>),
    /// Exits the kernel with this status unless the scalar `bool` is true. The status is never 0.
    Check(Val, i32),
}

/// A sequence of statements.
pub type Block = Vec<Stmt>;

/// `for var in (begin..end).step_by(step)`, with values carried from iteration to iteration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Loop {
    /// The loop variable, an `i64`.
    pub var: Val,
    /// First value of `var`.
    pub begin: Val,
    /// `var` stays below this.
    pub end: Val,
    /// Positive step.
    pub step: i64,
    /// Emitters emit the body once per iteration, with constant `var`. Both bounds are then constants.
    pub unroll: bool,
    pub carried: Vec<Carried>,
    pub body: Block,
}

/// A value that a loop carries from iteration to iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Carried {
    /// Its value before the first iteration, defined outside.
    pub init: Val,
    /// The value that the body sees; defined by the loop.
    pub arg: Val,
    /// The value for the next iteration, defined before the end of the body.
    pub next: Val,
    /// The value after the last iteration (`init` if there was none); defined by the loop for what follows it.
    pub result: Val,
}

/// `if cond { then } else { otherwise }` with results.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct If {
    /// A scalar `bool`.
    pub cond: Val,
    /// Runs if `cond` is true.
    pub then: Block,
    /// Runs if it is false.
    pub otherwise: Block,
    /// Values that the branches define.
    pub results: Vec<Merged>,
    /// Whether `then` is unlikely: it is ignored in cost estimates, and its code is moved out of line.
    pub is_rare: bool,
}

/// A value that both branches of an [`If`] define.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Merged {
    /// Its value after the first branch.
    pub then: Val,
    /// Its value after the second branch.
    pub otherwise: Val,
    /// The value for what follows.
    pub result: Val,
}

/// How a kernel uses an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccessMode {
    /// Read only. Nothing that the kernel writes aliases it, so that loads may be moved.
    Read,
    /// Written only.
    Write,
    /// Written only, and larger than the caches: vectors may be written past them.
    Stream,
    /// Read and written, or aliased by another operand that is written (an update in place).
    ReadWrite,
}

impl AccessMode {
    /// Whether the kernel does not need what is in the operand.
    pub fn is_write_only(self) -> bool {
        matches!(self, AccessMode::Write | AccessMode::Stream)
    }
}

/// A buffer that is passed to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operand {
    pub dtype: DType,
    pub elements: usize,
    pub mode: AccessMode,
}

/// Private memory of a call of the kernel; undefined when the call begins. Aligned to 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scratch {
    pub dtype: DType,
    pub elements: usize,
}

/// Constant data that a kernel reads, such as the digits of 2/π.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConstTable {
    pub dtype: DType,
    /// The elements, in native byte order.
    pub bytes: Arc<[u8]>,
}

/// A kernel: see the [module](self).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    pub operands: Vec<Operand>,
    pub scratch: Vec<Scratch>,
    pub tables: Vec<ConstTable>,
    /// The number of chunks into which the work is divided; depends on shapes only. One call executes the chunks `BEGIN..END`;
    /// calls for disjoint ranges may run concurrently.
    pub chunks: usize,
    /// The type of every value. The first two are [`Kernel::BEGIN`] and [`Kernel::END`].
    pub values: Vec<Ty>,
    pub body: Block,
}

impl Kernel {
    /// The first chunk that a call executes.
    pub const BEGIN: Val = Val(0);
    /// The end (exclusive) of the chunks that a call executes.
    pub const END: Val = Val(1);

    /// The type of a value.
    pub fn ty(&self, val: Val) -> Ty {
        self.values[val.0 as usize]
    }

    /// The kind of a buffer, and its index among its kind.
    pub fn buffer(&self, buf: Buf) -> BufKind {
        let i = buf.0 as usize;
        let (operands, scratch) = (self.operands.len(), self.scratch.len());
        if i < operands {
            BufKind::Operand(i)
        } else if i < operands + scratch {
            BufKind::Scratch(i - operands)
        } else {
            BufKind::Table(i - operands - scratch)
        }
    }

    /// Element type and number of elements of a buffer.
    pub fn extent(&self, buf: Buf) -> (DType, usize) {
        match self.buffer(buf) {
            BufKind::Operand(i) => (self.operands[i].dtype, self.operands[i].elements),
            BufKind::Scratch(i) => (self.scratch[i].dtype, self.scratch[i].elements),
            BufKind::Table(i) => {
                let t = &self.tables[i];
                (t.dtype, t.bytes.len() / t.dtype.size())
            }
        }
    }

    /// Byte offsets of the scratch buffers in the memory that the caller provides, and its size.
    pub fn scratch_layout(&self) -> (Vec<usize>, usize) {
        let mut at = 0;
        let offsets = self.scratch.iter().map(|s| {
            let offset = at;
            at += (s.elements * s.dtype.size()).next_multiple_of(64);
            offset
        });
        (offsets.collect(), at)
    }
}

/// The kinds of buffers; see [`Kernel::buffer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufKind {
    Operand(usize),
    Scratch(usize),
    Table(usize),
}
