//! Generates OPS.md from the operator table.

use std::fmt::Write as _;

use crate::op::{Callee, Doc, Sample};
use crate::scalar::Accepts;
use crate::{Builder, Function, FunctionKind, Graph, Op, Role, Scalar, ScalarOp, Value};

/// The reference of all operators. OPS.md is this text followed by the compiler's rewrites; tests compare both.
pub fn ops_markdown() -> String {
    let mut out = String::from(HEAD);
    out.push_str(MATHS);
    scalar_functions(&mut out);
    out.push_str("\n## Operators\n");
    for (mnemonic, operands, doc, sample) in Op::docs() {
        operator(&mut out, mnemonic, operands, &doc, &sample);
    }
    out.push_str(PHILOX);
    out
}

const HEAD: &str = "\
# Operators

This file is generated from the operator table of `dlc-ir` by `dlc_ir::ops_markdown`. Edit the table (`src/op/`, `src/scalar/`), not this file, and
run `DLC_BLESS=1 cargo test -p dlc-ir --test ops_md`. The table of rewrites at the end is the compiler's: `DLC_BLESS=1 cargo test -p dlc-compiler --test rules`.

Values are tensors of a dtype and a concrete shape, row-major: `f32[2,3]`, a scalar is `f32[]`. The dtypes are `f32`, `f64` (IEEE 754, with
denormals), `i32`, `i64`, `u8` (two's complement, wrapping) and `bool`. There is no implicit conversion and no implicit broadcasting. Indices are `i64`.
The meaning of an operator is its reference evaluation: floats are computed in f64 and rounded once to the dtype. The error of a compiled function is
bounded by its row. There are two bounds for a sum of K terms, relative to the sum of their absolute values; ε is the distance from 1 to the next number:
- `(K + 3)/2 ε` holds for any order of additions and any numbers, `(2K + 3)/2 ε` for sums of K products. With the errors of operands propagated,
  `dlc verify` and the tests of whole programs use it (`src/bounds.rs`).
- `(√K + 1) ε` holds if rounding errors are random, which is not proved; the test of each operator on random numbers requires it, so that a
  single long chain of additions instead of several is noticed.

Integers and booleans are exact.

## Corner cases

| case | rule |
| --- | --- |
| NaN | `max`, `min` and their reductions propagate it; `argmax` and `argmin` find the first; every comparison but `ne` is false; `relu` keeps it |
| ties | elementwise `max` and `min` of equal values share the derivative evenly; reductions, pooling, `argmax` and `argmin` select the first |
| the branch that `select` does not choose | has no influence, NaN and infinite slopes included: `select(x > 0, sqrt(x), 0)` has the derivative 0 at 0. The condition follows the cotangents through elementwise functions, `broadcast`, `reshape`, `transpose`, `reverse` and sums, to every order; beyond a product (`dot`, `conv`), an index, a window or a `call` a zero cotangent is an ordinary number, and 0 times an infinite slope is NaN: guard the operand there, `sqrt(select(x > 0, x, 1))` |
| slopes at corners | those of PyTorch: 0 of `abs`, `relu` and `sign` at 0; of `pow` 0 by `lhs` where `rhs` is 0, and by `rhs` where `lhs` is 0 and `rhs` is not negative |
| zeros | `0 == -0`; which of the two a `min` or `max` reduction returns is unspecified |
| division by zero | of floats IEEE (`inf` or NaN); of integers, `rem` too, 0 |
| overflow | of floats `inf`; integers wrap; the smallest integer divided by -1 and its absolute value are itself |
| float to integer | truncates towards 0 and saturates; NaN becomes 0 |
| integer to integer | wraps |
| float to float, integer to float | to nearest, ties to even |
| anything to bool | `x != 0`; NaN is true |
| bool to number | 0 or 1 |
| shifts | by a negative number or by at least the width: 0 |
| an index out of range | the step fails, never undefined behaviour: every index of a `gather` or `scatter` of the program is checked once per step, at every level of optimisation, even if the element is unused |
| empty reductions | the neutral element for `sum` and `product`; for `min` and `max` of a window of padding the largest and the smallest value; otherwise a type error |
";

const MATHS: &str = "
## Maths

A compiled program computes what the operators define, up to rewrites. `--math` on the command line and `Compiler::math` in Rust select the allowed ones:

- `strict`: every bit as written. Only rewrites that preserve the bits of every number, NaN, infinities and the sign of zero included. The
  order in which the terms of one sum are added, and whether a product is rounded before it is added, is unspecified.
- `safe`, the default: a rewrite may round differently, but each operator's result stays within its bound. A division stays a division unless its
  divisor is a power of two with an exact inverse, or was itself rounded (`1 / sqrt(x)`, `1 / exp(x)`). No
  rewrite turns a finite number into an infinite one or into zero, or the reverse, loses digits to subnormal numbers, or turns NaN into
  a number or the reverse. That a number is finite, nonzero, nonnegative, not NaN, an integer, or below a magnitude is used only if it
  is proved for every possible value of the operand.
- `fast`: numbers are assumed to be finite and of moderate size, and nonzero as divisors, unless the contrary is known.

In `safe` and `fast` the sign of zero is not preserved, nor that of an infinity from a division by it; and the terms of nested sums are
added in any order: if the sum of their magnitudes overflows, the order decides whether the sum does. Rewrites that move a factor or a
term into weights that are loaded once are `safe` in that the weights are checked when they are loaded; the scale of a product with
weights is then rounded together with them.
";

const PHILOX: &str = "
## Philox4x32-10

`rng_bits` is the counter-based generator of Salmon, Moraes, Dror and Shaw, \"Parallel random numbers: as easy as 1, 2, 3\" (SC 2011). It maps a
counter of four 32-bit words to four such words, under a key of two. `hi` and `lo` are the halves of the 64-bit product; all arithmetic wraps.

```text
philox(c0, c1, c2, c3, k0, k1):
  repeat 10 times:
    p = 0xD2511F53 * c0
    q = 0xCD9E8D57 * c2
    (c0, c1, c2, c3) = (hi(q) ^ c1 ^ k0, lo(q), hi(p) ^ c3 ^ k1, lo(p))
    k0 = k0 + 0x9E3779B9
    k1 = k1 + 0xBB67AE85
  return (c0, c1, c2, c3)
```

Block `j` of a draw is `philox(lo(j), hi(j), lo(counter), hi(counter), lo(key), hi(key))`, where `lo` and `hi` are the halves of a 64-bit number.
Test vectors:

| counter | key | result |
| --- | --- | --- |
| 0, 0, 0, 0 | 0, 0 | 6627e8d5 e169c58d bc57ac4c 9b00dbd8 |
| ffffffff (four times) | ffffffff (twice) | 408f276d 41c83b0e a20bc7c6 6d5451fd |
| 243f6a88 85a308d3 13198a2e 03707344 | a4093822 299f31d0 | d16cfe09 94fdcceb 5001e420 24126ea1 |

Composites of the builder: `fold_in(key, n)` is `rng_bits(not key, n) : i64[]`; `uniform` is the upper 24 bits of an i32 draw times 2^-24 (in f64 the upper 53
of an i64 draw times 2^-53); `normal` is `sqrt(-2 log(1 - u)) cos(2π v)`, where `u` and `v` are the halves of a uniform draw of shape `[2, n]`.
";

fn scalar_functions(out: &mut String) {
    out.push_str(
        "\n## Scalar functions\n\nEach is applied elementwise to operands of equal type; the result has their shape. `select` takes its first \
         operand from bool. The error is that of compiled code, in units in the last place; up to 0.5 is correctly rounded.\n\n\
         | function | takes | error | derivative | meaning |\n| --- | --- | --- | --- | --- |\n",
    );
    for f in ScalarOp::ALL {
        let def = f.def();
        let takes = match def.accepts {
            Accepts::Float => "floats",
            Accepts::Number => "numbers",
            Accepts::Int => "integers",
            Accepts::Bits => "integers, bool",
            Accepts::Any => "all",
        };
        let attrs: String = f.attrs().iter().map(|(name, _)| format!(" {{{name}}}")).collect();
        let operands = def.operands.join(", ");
        let row = [
            format!("`{} {operands}{attrs}`", def.mnemonic),
            takes.to_owned(),
            format!("{}", def.ulps),
            def.derivative.to_owned(),
            def.doc.to_owned(),
        ];
        write_line(out, &format!("| {} |", row.map(|cell| cell.replace('|', "\\|")).join(" | ")));
    }
    out.push_str(
        "\n`compare` tests `dir`, one of `eq`, `ne`, `lt`, `le`, `gt`, `ge`; its result is bool. The result of `convert` has its declared dtype.\n",
    );
}

fn operator(out: &mut String, mnemonic: &str, operands: &[&str], doc: &Doc, sample: &Sample) {
    write_line(out, &format!("\n### `{mnemonic}`\n\n{}\n", doc.meaning));
    let names: Vec<String> = operands.iter().map(|o| format!("`{o}`")).collect();
    write_line(out, &format!("- Operands: {}.", if names.is_empty() { "none".to_owned() } else { names.join(", ") }));
    if !doc.attributes.is_empty() {
        write_line(out, "- Attributes:");
        for (name, meaning) in doc.attributes {
            write_line(out, &format!("  - `{name}`: {meaning}."));
        }
    }
    write_line(out, &format!("- Types: {}", doc.types));
    write_line(out, &format!("- Derivative: {}", doc.gradient));
    let function = example(sample);
    write_line(out, &format!("\n```text\n{}```", Graph::from_function(function)));
}

fn write_line(out: &mut String, line: &str) {
    writeln!(out, "{line}").expect("writing into a string does not fail");
}

/// A function that applies the sample's operator to its arguments.
fn example(sample: &Sample) -> Function {
    let mut b = Builder::new("example", FunctionKind::Func);
    let names = sample.op.operand_names();
    let name = |i: usize| names[i.min(names.len() - 1)].trim_start_matches('.');
    let types = sample.types();
    let args: Vec<Value> = types.iter().enumerate().map(|(i, ty)| b.arg(name(i), ty.clone(), Role::Plain)).collect();
    for value in b.push_all(sample.op.clone(), &args).expect("samples are well-typed") {
        b.output(None, value);
    }
    b.finish()
}

impl Sample {
    /// A program whose entry applies the operator to its arguments; where the operator names a function there is one of that
    /// name, which returns zeros.
    ///
    /// # Panics
    /// If the sample is not well-typed.
    pub fn program(&self) -> Graph {
        let mut graph = Graph::new();
        for Callee { func, results } in self.op.callees() {
            let mut b = Builder::new(func.clone(), FunctionKind::Func);
            for ty in self.types() {
                b.arg("x", ty, Role::Plain);
            }
            for ty in results.iter() {
                let zero = b.full(ty, Scalar::zero(ty.dtype)).expect("samples are small");
                b.output(None, zero);
            }
            graph.insert(b.finish());
        }
        graph.insert(example(self));
        graph
    }
}
