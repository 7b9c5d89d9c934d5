//! `rng_bits`: random bits as a function of a key and a counter.

use super::eval::result_type;
use super::{Attr, AttrError, AttrReader, Doc, Domain, EvalError, Grad, Operator, Sample, Tolerance, TypeError, Types};
use crate::compute::{Compute, Expr, Index, Lowering};
use crate::{DType, Scalar, Tensor, Type};

/// Random bits by Philox4x32-10, as a function of a key, a counter and the position. Its [`Operator::DOC`] has the details.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RngBits {
    /// The result's type: i32 or i64.
    pub ty: Type,
}

impl Operator for RngBits {
    const MNEMONIC: &'static str = "rng_bits";
    const OPERANDS: &'static [&'static str] = &["key", "counter"];
    const DOC: Doc = Doc {
        meaning: "Random bits by Philox4x32-10, which is written out below: a function of the key, the counter and \
            the element's position only. The 64-bit `key` is the cipher's key, low word first. Block `j` enciphers \
            the 128-bit counter whose low 64 bits are `j` and whose high 64 bits are `counter`, and yields four \
            32-bit words. Element `i` of an i32 result is word `i mod 4` of block `⌊i / 4⌋`; of an i64 result it is \
            the words `2 (i mod 2)` (low half) and `2 (i mod 2) + 1` of block `⌊i / 2⌋`.",
        attributes: &[],
        types: "`key` and `counter` are i64 scalars, the result i32 or i64 of any shape.",
        gradient: "Zero.",
    };

    fn attrs(&self) -> Vec<(&'static str, Attr)> {
        vec![]
    }

    fn from_attrs(attrs: &mut AttrReader<'_>) -> Result<Self, AttrError> {
        Ok(RngBits { ty: attrs.result()?.clone() })
    }

    fn infer(&self, args: &[Type]) -> Result<Types, TypeError> {
        ensure!(
            matches!(self.ty.dtype, DType::I32 | DType::I64),
            "expected a result of type i32 or i64, found {}",
            self.ty.dtype
        );
        for arg in args {
            ensure!(*arg == Type::scalar(DType::I64), "expected key and counter of type i64[], found {arg}");
        }
        Ok(smallvec::smallvec![self.ty.clone()])
    }

    fn eval(&self, args: &[Tensor]) -> Result<Vec<Tensor>, EvalError> {
        let (key, counter) = (args[0].get(0).as_i64(), args[1].get(0).as_i64());
        let element = |i| Scalar::Int(random_bits(key, counter, i as u64, self.ty.dtype));
        Ok(vec![Tensor::from_fn(result_type(self, args)?, element)])
    }

    fn grad(&self) -> Grad<Self> {
        Grad::Zero
    }

    fn lower(&self, args: &[Type]) -> Lowering {
        let element = Index::flatten(&Index::axes(0..self.ty.rank()), &self.ty.shape);
        let read = |operand: usize| Box::new(Expr::read(operand, &args[operand], vec![]));
        Compute::map(&self.ty, Expr::Random { key: read(0), counter: read(1), element, dtype: self.ty.dtype })
    }

    fn tolerance(&self, _: &[Type]) -> Tolerance {
        Tolerance::Exact
    }

    fn samples() -> Vec<Sample> {
        let sample = |dtype, shape: &[usize]| {
            let key = || Type::scalar(DType::I64);
            let all = Domain::Int(i64::MIN / 2, i64::MAX / 2);
            Sample::new(RngBits { ty: Type::new(dtype, shape) }).with(key(), all).with(key(), all)
        };
        vec![
            sample(DType::I32, &[2, 3]),
            sample(DType::I64, &[5]),
            sample(DType::I32, &[]),
            sample(DType::I64, &[2, 1, 3]),
            sample(DType::I32, &[0]),
        ]
    }
}

/// The cipher Philox4x32 with ten rounds.
pub fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
    const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
    let wide = |a: u32, b: u32| {
        let product = u64::from(a) * u64::from(b);
        ((product >> 32) as u32, product as u32)
    };
    let (mut c, mut k) = (counter, key);
    for _ in 0..10 {
        let (high0, low0) = wide(MULTIPLIERS[0], c[0]);
        let (high1, low1) = wide(MULTIPLIERS[1], c[2]);
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0];
        k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
    }
    c
}

/// Element `element` of `rng_bits` with this key and counter, as an i32 or i64.
pub fn random_bits(key: i64, counter: i64, element: u64, dtype: DType) -> i64 {
    let words = |value: u64| [value as u32, (value >> 32) as u32];
    let per_block = if dtype == DType::I64 { 2 } else { 4 };
    let ([b0, b1], [c0, c1]) = (words(element / per_block), words(counter as u64));
    let block = philox4x32_10([b0, b1, c0, c1], words(key as u64));
    let at = (element % per_block) as usize;
    if dtype == DType::I64 {
        (u64::from(block[2 * at]) | u64::from(block[2 * at + 1]) << 32) as i64
    } else {
        i64::from(block[at] as i32)
    }
}
