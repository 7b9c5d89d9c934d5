//! What is not an element of an operand (padding, gaps between dilated elements, what is beyond the end of a block) takes no part
//! in a sum of products, whatever it would be multiplied with: poison in weights or in data has the result of the reference, with
//! every maths.

#[path = "common/run.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod run;

use dlc_compiler::options::{Backend, Level, Math, Options};
use dlc_compiler::pipeline;
use dlc_ir::{DType, Graph, Scalar, Tensor, Type};

const POISON: [f64; 3] = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
const DTYPES: [(&str, DType); 2] = [("f32", DType::F32), ("f64", DType::F64)];

/// Every set of options that may behave differently.
fn option_sets(backends: &[Backend]) -> Vec<Options> {
    let mut option_sets = vec![];
    for way in run::ways(backends) {
        for (level, math) in [(Level::O0, Math::Safe), (Level::Full, Math::Safe), (Level::Full, Math::Strict)] {
            let mut options = run::options_for(way, level);
            options.passes.math = math;
            option_sets.push(options);
        }
    }
    option_sets
}

const BOTH: [Backend; 2] = [Backend::Interpreter, run::NATIVE];

/// Small numbers whose sums and products are exact.
fn small(ty: &Type, seed: usize) -> Tensor {
    Tensor::from_fn(ty.clone(), |i| Scalar::Float([1.0, -1.0, 2.0, 0.5][(7 * i + i / 5 + seed) % 4]))
}

/// A tensor with poison in one element.
fn poisoned(x: &Tensor, at: usize, poison: f64) -> Tensor {
    Tensor::from_fn(x.ty().clone(), |i| if i == at { Scalar::Float(poison) } else { x.get(i) })
}

/// Elements of the rows that the last two axes make: the first and the last of a tensor, corners of the first row, and one
/// within.
fn positions(ty: &Type) -> Vec<usize> {
    let n = ty.shape.elements();
    let row = ty.shape.iter().rev().take(2).product::<usize>().clamp(1, n.max(1));
    let mut positions = vec![0, ty.shape.last().map_or(0, |n| n - 1), row - 1, row / 2, n / 2, n - 1];
    positions.sort_unstable();
    positions.dedup();
    positions
}

/// The first element that differs.
fn difference(expected: &[Tensor], found: &[Tensor]) -> Option<String> {
    for (result, (w, f)) in expected.iter().zip(found).enumerate() {
        for (at, (x, y)) in w.scalars().zip(f.scalars()).enumerate() {
            let (a, b) = (x.as_f64(), y.as_f64());
            let same = a == b || (a.is_nan() && b.is_nan());
            if !same {
                return Some(format!("element {at} of result {result} is {b}, not {a}"));
            }
        }
    }
    None
}

/// Runs a graph with several options, with ordinary numbers, and with each kind of poison in some elements of each argument, one
/// at a time.
fn agrees(text: &str, option_sets: &[Options]) {
    let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    let meaning =
        pipeline::differentiate(graph.clone(), &run::options(Level::O0, run::NATIVE)).expect("it is differentiable");
    let types: Vec<Type> = meaning.entry().args().iter().map(|a| a.ty.clone()).collect();
    let clean: Vec<Tensor> = types.iter().enumerate().map(|(seed, ty)| small(ty, seed)).collect();
    let mut cases = vec![(clean.clone(), String::from("nothing is poisoned"))];
    for (arg, ty) in types.iter().enumerate() {
        for (nth, at) in positions(ty).into_iter().enumerate() {
            let poison = POISON[(arg + nth) % POISON.len()];
            let mut args = clean.clone();
            args[arg] = poisoned(&clean[arg], at, poison);
            cases.push((args, format!("element {at} of argument {arg} is {poison}")));
        }
    }
    let expected: Vec<Vec<Tensor>> =
        cases.iter().map(|(args, _)| meaning.interpret(args).unwrap_or_else(|e| panic!("{e}\n{text}"))).collect();
    for options in option_sets {
        let schedule = pipeline::differentiate(graph.clone(), options)
            .and_then(|g| pipeline::optimize(&g, options))
            .and_then(|g| pipeline::schedule(&g, options));
        let clamped = schedule.unwrap_or_else(|e| panic!("{e}\n{text}")).clamped;
        // A vector that is clamped begins elsewhere: its active lanes are wrong as well.
        assert_eq!(clamped, 0, "{:?}: accesses are clamped\n{text}", options.level);
        let program = pipeline::compile(graph.clone(), options).unwrap_or_else(|e| panic!("{e}\n{text}"));
        for ((args, what), expected) in cases.iter().zip(&expected) {
            let found = program.evaluate(args).unwrap_or_else(|e| panic!("{e}\n{text}"));
            if let Some(difference) = difference(expected, &found) {
                let (level, math) = (options.level, options.passes.math);
                panic!("{level:?}, {math:?}, {:?}: where {what}, {difference}\n{text}", options.backend);
            }
        }
    }
}

/// The attributes of a convolution: as `stride`, `low`, `high`, `x_dilation`, `kernel_dilation` on all spatial axes, and groups.
#[derive(Clone, Copy, Debug)]
struct Window {
    stride: usize,
    low: i64,
    high: i64,
    spread: usize,
    dilation: usize,
    groups: usize,
    batch_groups: usize,
}

const PLAIN: Window = Window { stride: 1, low: 1, high: 1, spread: 1, dilation: 1, groups: 1, batch_groups: 1 };

impl Window {
    fn attributes(&self) -> String {
        let Window { stride: s, low, high, spread: x, dilation: k, groups: g, batch_groups: b } = self;
        format!(
            "stride=[{s},{s}], low=[{low},{low}], high=[{high},{high}], x_dilation=[{x},{x}], kernel_dilation=[{k},{k}], \
             feature_groups={g}, batch_groups={b}"
        )
    }

    fn positions(&self, x: usize, kernel: usize) -> usize {
        let spread = ((x - 1) * self.spread + 1) as i64 + self.low + self.high;
        let window = ((kernel - 1) * self.dilation + 1) as i64;
        ((spread - window) / self.stride as i64 + 1) as usize
    }
}

/// A convolution of `x` by `kernel`, and its gradients by both under poisonable cotangents.
fn convolution(d: &str, x: [usize; 4], kernel: [usize; 4], window: Window) -> [String; 2] {
    let [n, c, h, w] = x;
    let [o, i, kh, kw] = kernel;
    let (ph, pw) = (window.positions(h, kh), window.positions(w, kw));
    let n_out = n / window.batch_groups;
    let (x, k) = (format!("{d}[{n},{c},{h},{w}]"), format!("{d}[{o},{i},{kh},{kw}]"));
    let y = format!("{d}[{n_out},{o},{ph},{pw}]");
    let forward = format!(
        "func @f(%x: {x} input, %k: {k} input) -> {y} {{\n  %0 = conv %x, %k {{{}}} : {y}\n  return %0\n}}\n",
        window.attributes()
    );
    let gradients = format!(
        "func @f(%x: {x}, %k: {k}, %ct: {y}) -> {d}[] {{
  %0 = conv %x, %k {{{}}} : {y}
  %1 = mul %0, %ct : {y}
  %2 = reduce %1 {{kind=sum, axes=[0,1,2,3]}} : {d}[]
  return %2
}}
func @g(%x: {x} input, %k: {k} input, %ct: {y} input) -> ({x}, {k}) {{
  %0:3 = gradient %x, %k, %ct {{func=@f, wrt=[0,1]}} : {d}[], {x}, {k}
  return %0.1, %0.2
}}
",
        window.attributes()
    );
    [forward, gradients]
}

/// Register tiles and vectors of every kind: with the lanes along an axis of the result and of the sum, whole and with
/// remainders.
#[test]
fn convolutions_and_their_gradients() {
    let windows = [
        PLAIN,
        Window { low: 2, high: 0, ..PLAIN },
        Window { stride: 2, ..PLAIN },
        Window { stride: 2, low: 0, high: 1, ..PLAIN },
        Window { spread: 2, low: 2, ..PLAIN },
        Window { dilation: 2, low: 2, high: 2, ..PLAIN },
        Window { low: -1, high: 2, ..PLAIN },
    ];
    for (d, _) in DTYPES {
        for window in windows {
            for (x, kernel) in [
                ([2, 4, 9, 7], [8, 4, 3, 3]),
                ([1, 3, 12, 12], [6, 3, 5, 5]),
                ([3, 16, 5, 5], [16, 16, 3, 3]),
                ([16, 8, 4, 4], [4, 8, 3, 3]),
            ] {
                for text in convolution(d, x, kernel, window) {
                    agrees(&text, &option_sets(&BOTH[1..]));
                }
            }
        }
    }
}

#[test]
fn grouped_convolutions() {
    for (d, _) in DTYPES {
        for (x, kernel, groups, batch_groups) in [
            ([2, 8, 9, 9], [8, 1, 3, 3], 8, 1),
            ([2, 8, 9, 9], [12, 4, 3, 3], 2, 1),
            ([4, 6, 8, 8], [8, 6, 3, 3], 1, 2),
        ] {
            for stride in [1, 2] {
                let window = Window { groups, batch_groups, stride, ..PLAIN };
                for text in convolution(d, x, kernel, window) {
                    agrees(&text, &option_sets(&BOTH[1..]));
                }
            }
        }
    }
}

/// Both emitters, on one program of each kind.
#[test]
fn emitters_agree() {
    for (d, _) in DTYPES {
        for window in [PLAIN, Window { stride: 2, ..PLAIN }] {
            for text in convolution(d, [1, 4, 9, 9], [8, 4, 3, 3], window) {
                agrees(&text, &option_sets(&BOTH));
            }
        }
    }
}

/// Products that are packed into panels, with a remainder in each direction.
#[test]
fn packed_convolutions() {
    for (d, _) in DTYPES {
        let [forward, gradients] = convolution(d, [1, 52, 15, 15], [47, 52, 3, 3], PLAIN);
        agrees(&forward, &option_sets(&BOTH[1..])[1..]);
        agrees(&gradients, &option_sets(&BOTH[1..])[1..2]);
    }
}

/// Zeros that a program writes are numbers: they are multiplied.
#[test]
fn zeros_that_are_written_count() {
    for (d, _) in DTYPES {
        let text = format!(
            "func @f(%x: {d}[2,4,9,7] input, %k: {d}[8,4,3,3] input) -> {d}[2,8,9,7] {{
  %0 = constant 0.0 : {d}[]
  %1 = pad %x, %0 {{low=[0,0,1,1], high=[0,0,1,1], interior=[0,0,0,0]}} : {d}[2,4,11,9]
  %2 = conv %1, %k {{stride=[1,1], low=[0,0], high=[0,0], x_dilation=[1,1], kernel_dilation=[1,1], feature_groups=1, batch_groups=1}} : {d}[2,8,9,7]
  return %2
}}"
        );
        agrees(&text, &option_sets(&BOTH[1..]));
        let text = format!(
            "func @f(%x: {d}[21,19] input, %y: {d}[26,33] input) -> {d}[21,33] {{
  %0 = constant 0.0 : {d}[]
  %1 = pad %x, %0 {{low=[0,3], high=[0,4], interior=[0,0]}} : {d}[21,26]
  %2 = dot %1, %y {{lhs=[1], rhs=[0], lhs_batch=[], rhs_batch=[]}} : {d}[21,33]
  return %2
}}"
        );
        agrees(&text, &option_sets(&BOTH[1..]));
    }
}

/// Sums over windows, of elements and of products, both of which would be read out of bounds.
#[test]
fn sums_over_windows() {
    for (d, _) in DTYPES {
        for (low, high, stride, spread, dilation) in
            [(1, 1, 1, 1, 1), (2, 0, 1, 1, 1), (0, 2, 1, 1, 1), (2, 0, 2, 1, 1), (2, 1, 1, 2, 1), (2, 2, 1, 1, 2)]
        {
            let out = Window { stride, low, high, spread, dilation, ..PLAIN }.positions(14, 3);
            let attributes = format!(
                "axes=[1,2], size=[3,3], stride=[{stride},{stride}], low=[{low},{low}], high=[{high},{high}], \
                 base_dilation=[{spread},{spread}], window_dilation=[{dilation},{dilation}]"
            );
            let text = format!(
                "func @f(%x: {d}[6,14,14] input, %y: {d}[6,14,14] input, %z: {d}[6] input) -> ({d}[6,{out},{out}], {d}[6,{out},{out}], {d}[6,{out},{out}]) {{
  %0 = reduce_window %x {{kind=sum, {attributes}}} : {d}[6,{out},{out}]
  %1 = mul %x, %y : {d}[6,14,14]
  %2 = reduce_window %1 {{kind=sum, {attributes}}} : {d}[6,{out},{out}]
  %3 = broadcast %z {{axes=[0]}} : {d}[6,14,14]
  %4 = mul %x, %3 : {d}[6,14,14]
  %5 = reduce_window %4 {{kind=sum, {attributes}}} : {d}[6,{out},{out}]
  return %0, %2, %5
}}"
            );
            agrees(&text, &option_sets(&BOTH[1..]));
        }
    }
}

/// Plain products, batched and not, of sizes around those of tiles, vectors and blocks.
#[test]
fn products_with_remainders() {
    for (d, _) in DTYPES {
        for (batch, m, n, k) in [(3, 9, 11, 13), (2, 17, 5, 67), (1, 33, 65, 31), (1, 163, 161, 165)] {
            let text = format!(
                "func @f(%x: {d}[{batch},{m},{k}] input, %y: {d}[{batch},{k},{n}] input) -> ({d}[{batch},{m},{n}], {d}[{batch},{n},{m}]) {{
  %0 = dot %x, %y {{lhs=[2], rhs=[1], lhs_batch=[0], rhs_batch=[0]}} : {d}[{batch},{m},{n}]
  %1 = dot %y, %x {{lhs=[1], rhs=[2], lhs_batch=[0], rhs_batch=[0]}} : {d}[{batch},{n},{m}]
  return %0, %1
}}"
            );
            agrees(&text, &option_sets(&BOTH[1..])[1..]);
        }
    }
}
