//! Inactive lanes take no part in any reduction, whatever they contain: everything that is read beyond the end of a loop, or
//! where a predicate is false, is poison here.

#[path = "common/run.rs"]
mod run;

use dlc_compiler::options::{Backend, Level};
use dlc_compiler::pipeline::compile;
use dlc_ir::{DType, Graph, Scalar, Tensor, Type};

/// Lengths around those of vectors, of their remainders, and of unrolled reductions.
const LENGTHS: [usize; 16] = [1, 2, 3, 5, 7, 8, 9, 12, 15, 16, 17, 19, 31, 33, 65, 131];
/// Elements of the indexed tensor.
const N: usize = 16;

/// Small numbers whose sums and products are exact; the first element is poison, and no index selects it.
fn table(dtype: DType, seed: usize, poison: f64) -> Tensor {
    Tensor::from_fn(Type::new(dtype, [N]), |i| match i {
        0 if dtype.is_float() => Scalar::Float(poison),
        0 => Scalar::Int(1_000_003),
        _ if dtype.is_float() => Scalar::Float([1.0, -1.0, 2.0, 0.5][(7 * i + seed) % 4]),
        _ => Scalar::Int([1, -1, 2, 3][(7 * i + seed) % 4]),
    })
}

fn indices(shape: &[usize], seed: usize) -> Tensor {
    Tensor::from_fn(Type::new(DType::I64, shape), |i| Scalar::Int((1 + (5 * i + seed) % (N - 1)) as i64))
}

/// Runs a graph in every way on the same arguments.
fn agrees(text: &str, args: &[Tensor]) {
    let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    let expected = graph.interpret(args).unwrap_or_else(|e| panic!("{e}\n{text}"));
    for level in [Level::O0, Level::Full] {
        for way in run::ways(&[Backend::Interpreter, run::NATIVE]) {
            let program = compile(graph.clone(), &run::options_for(way, level));
            let program = program.unwrap_or_else(|e| panic!("{e}\n{text}"));
            let found = program.evaluate(args).unwrap_or_else(|e| panic!("{e}\n{text}"));
            for (result, (w, f)) in expected.iter().zip(&found).enumerate() {
                for (at, (x, y)) in w.scalars().zip(f.scalars()).enumerate() {
                    let (a, b) = (x.as_f64(), y.as_f64());
                    let same = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-6 * a.abs();
                    assert!(same, "{level:?}, {way:?}: element {at} of result {result} is {b}, not {a}\n{text}");
                }
            }
        }
    }
}

/// All reductions of a value over an axis: the text with results numbered from `from` on, their types, and their names.
fn reductions(d: &str, value: usize, axis: usize, kept: &str, from: usize) -> (String, String, String) {
    let kinds = ["sum", "max", "min", "product", "argmax", "argmin"];
    let (mut text, mut types, mut results) = (String::new(), vec![], vec![]);
    for (i, kind) in kinds.into_iter().enumerate() {
        let ty = if kind.starts_with("arg") { format!("i64{kept}") } else { format!("{d}{kept}") };
        let at = from + i;
        text += &format!("  %{at} = reduce %{value} {{kind={kind}, axes=[{axis}]}} : {ty}\n");
        types.push(ty);
        results.push(format!("%{at}"));
    }
    (text, types.join(", "), results.join(", "))
}

#[test]
fn picked_elements() {
    for n in LENGTHS {
        for (d, dtype) in [("f32", DType::F32), ("f64", DType::F64), ("i32", DType::I32), ("i64", DType::I64)] {
            let (text, types, results) = reductions(d, 0, 0, "[]", 1);
            let text = format!(
                "func @f(%x: {d}[{N}] input, %i: i64[{n}] input) -> ({types}) {{
  %0 = gather %x, %i {{axis=0, batch=0}} : {d}[{n}]
{text}  return {results}
}}"
            );
            for poison in [f64::INFINITY, f64::NAN, 1e30] {
                agrees(&text, &[table(dtype, 1, poison), indices(&[n], 3)]);
            }
        }
    }
}

/// Sums of products: both factors gathered, one gathered, gathered rows, and a factor that is uniform.
#[test]
fn products_of_picked_elements() {
    for n in LENGTHS {
        for (d, dtype) in [("f32", DType::F32), ("f64", DType::F64), ("i32", DType::I32)] {
            let text = format!(
                "func @f(%x: {d}[{N}] input, %y: {d}[{N}] input, %w: {d}[{n}] input, %i: i64[{n}] input, %j: i64[3,{n}] input) \
                 -> ({d}[], {d}[], {d}[3], {d}[3], {d}[], {d}[]) {{
  %0 = gather %x, %i {{axis=0, batch=0}} : {d}[{n}]
  %1 = mul %0, %0 : {d}[{n}]
  %2 = reduce %1 {{kind=sum, axes=[0]}} : {d}[]
  %3 = mul %0, %w : {d}[{n}]
  %4 = reduce %3 {{kind=sum, axes=[0]}} : {d}[]
  %5 = gather %y, %j {{axis=0, batch=0}} : {d}[3,{n}]
  %6 = broadcast %0 {{axes=[1]}} : {d}[3,{n}]
  %7 = mul %5, %6 : {d}[3,{n}]
  %8 = reduce %7 {{kind=sum, axes=[1]}} : {d}[3]
  %9 = dot %5, %w {{lhs=[1], rhs=[0], lhs_batch=[], rhs_batch=[]}} : {d}[3]
  %10 = dot %0, %0 {{lhs=[0], rhs=[0], lhs_batch=[], rhs_batch=[]}} : {d}[]
  %11 = slice %y {{start=[1], limit=[2], stride=[1]}} : {d}[1]
  %12 = reshape %11 : {d}[]
  %13 = broadcast %12 {{axes=[]}} : {d}[{n}]
  %14 = mul %0, %13 : {d}[{n}]
  %15 = reduce %14 {{kind=sum, axes=[0]}} : {d}[]
  return %2, %4, %8, %9, %10, %15
}}"
            );
            let w = Tensor::from_fn(Type::new(dtype, [n]), |i| Scalar::Int([1, 2, -1][i % 3]).convert(dtype));
            for poison in [f64::INFINITY, f64::NAN, 1e30] {
                let (x, y) = (table(dtype, 1, poison), table(dtype, 2, poison));
                agrees(&text, &[x, y, w.clone(), indices(&[n], 3), indices(&[3, n], 1)]);
            }
        }
    }
}

/// One factor that is zero in inactive lanes, beside one that is poison there. The gathered value has no other user, so that the
/// gather is fused into the sum.
#[test]
fn sums_of_products_with_one_picked_factor() {
    for n in LENGTHS {
        for (d, dtype) in [("f32", DType::F32), ("f64", DType::F64)] {
            for product in ["mul %0, %w", "mul %w, %0"] {
                let text = format!(
                    "func @f(%x: {d}[{N}] input, %w: {d}[{n}] input, %i: i64[{n}] input) -> {d}[] {{
  %0 = gather %x, %i {{axis=0, batch=0}} : {d}[{n}]
  %1 = {product} : {d}[{n}]
  %2 = reduce %1 {{kind=sum, axes=[0]}} : {d}[]
  return %2
}}"
                );
                let w = Tensor::from_fn(Type::new(dtype, [n]), |i| Scalar::Float([1.0, 2.0, -1.0][i % 3]));
                for poison in [f64::INFINITY, f64::NAN] {
                    agrees(&text, &[table(dtype, 1, poison), w.clone(), indices(&[n], 3)]);
                }
            }
        }
    }
}

/// What is after the end of a row, between its elements and before it is poison.
#[test]
fn rows_among_poison() {
    for n in LENGTHS {
        let wide = 2 * n + 9;
        for (d, dtype) in [("f32", DType::F32), ("f64", DType::F64), ("i32", DType::I32)] {
            let (reduced, types, results) = reductions(d, 1, 1, "[3]", 4);
            let text = format!(
                "func @f(%x: {d}[3,{wide}] input) -> ({types}, {d}[3]) {{
  %0 = slice %x {{start=[0,4], limit=[3,{end}], stride=[1,2]}} : {d}[3,{n}]
  %1 = reverse %0 {{axes=[1]}} : {d}[3,{n}]
  %2 = mul %0, %1 : {d}[3,{n}]
  %3 = reduce %2 {{kind=sum, axes=[1]}} : {d}[3]
{reduced}  return {results}, %3
}}",
                end = 4 + 2 * n - 1,
            );
            let x = Tensor::from_fn(Type::new(dtype, [3, wide]), |i| {
                let (row, at) = (i / wide, i % wide);
                match at >= 4 && at < 4 + 2 * n && at.is_multiple_of(2) {
                    true => Scalar::Int([1, 2, -1, 3][(row + at / 2) % 4]).convert(dtype),
                    false if dtype.is_float() => Scalar::Float(f64::INFINITY),
                    false => Scalar::Int(1_000_003),
                }
            });
            agrees(&text, &[x]);
        }
    }
}

/// Windows with padding over gathered elements, and a convolution of them.
#[test]
fn padded_windows_of_picked_elements() {
    for n in LENGTHS.into_iter().filter(|&n| n > 2) {
        let text = format!(
            "func @f(%x: f32[{N}] input, %k: f32[2,1,3] input, %i: i64[{n}] input) -> (f32[{n}], f32[{n}], i64[{n}], f32[1,2,{n}]) {{
  %0 = gather %x, %i {{axis=0, batch=0}} : f32[{n}]
  %1 = reduce_window %0 {{kind=sum, axes=[0], size=[3], stride=[1], low=[1], high=[1], base_dilation=[1], window_dilation=[1]}} : f32[{n}]
  %2 = reduce_window %0 {{kind=max, axes=[0], size=[3], stride=[1], low=[1], high=[1], base_dilation=[1], window_dilation=[1]}} : f32[{n}]
  %3 = window_argmax %0 {{axes=[0], size=[3], stride=[1], low=[1], high=[1], base_dilation=[1], window_dilation=[1]}} : i64[{n}]
  %4 = reshape %0 : f32[1,1,{n}]
  %5 = conv %4, %k {{stride=[1], low=[1], high=[1], x_dilation=[1], kernel_dilation=[1], feature_groups=1, batch_groups=1}} : f32[1,2,{n}]
  return %1, %2, %3, %5
}}"
        );
        let k = Tensor::from_fn(Type::new(DType::F32, [2, 1, 3]), |i| Scalar::Float([1.0, -1.0, 2.0][i % 3]));
        for poison in [f64::INFINITY, f64::NAN, 1e30] {
            agrees(&text, &[table(DType::F32, 1, poison), k.clone(), indices(&[n], 3)]);
        }
    }
}

/// Gathered updates, scattered over other gathered elements.
#[test]
fn scattered_updates() {
    for n in LENGTHS {
        let text = format!(
            "func @f(%x: f32[{N},{n}] input, %y: f32[{N}] input, %i: i64[5] input, %j: i64[5,{n}] input) -> (f32[{N},{n}], f32[{n}]) {{
  %0 = gather %y, %j {{axis=0, batch=0}} : f32[5,{n}]
  %1 = scatter %x, %i, %0 {{axis=0, batch=0, kind=add}} : f32[{N},{n}]
  %2 = reduce %1 {{kind=sum, axes=[0]}} : f32[{n}]
  return %1, %2
}}"
        );
        let x = Tensor::from_fn(Type::new(DType::F32, [N, n]), |i| Scalar::Float([1.0, 2.0, -1.0][i % 3]));
        for poison in [f64::INFINITY, f64::NAN] {
            agrees(&text, &[x.clone(), table(DType::F32, 1, poison), indices(&[5], 2), indices(&[5, n], 1)]);
        }
    }
}
