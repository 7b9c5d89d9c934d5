//! Small whole programs: every level and emitter compared with the interpreter of graphs.

#[allow(dead_code, reason = "shared with other test binaries")]
mod common;
#[allow(dead_code, reason = "shared with other test binaries")]
#[path = "common/differential.rs"]
mod differential;
#[path = "common/run.rs"]
mod run;

use common::random::{self, Kind};
use common::{Rng, arguments};
use differential::{BACKENDS, Counts, compare};
use dlc_compiler::options::{Backend, Level};
use dlc_ir::{Graph, Tensor};

/// Compiles in every way and compares.
fn agrees(text: &str) {
    agrees_by(text, &BACKENDS);
}

fn agrees_by(text: &str, backends: &[Backend]) {
    let graph: Graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    let args = arguments(graph.entry(), &mut Rng(3));
    let mut counts = Counts::default();
    compare(&graph, &args, Kind::Real, backends, &mut counts).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert!(counts.refused == 0 && counts.elements > 0 && counts.fraction_open() < 0.05, "{counts:?}\n{text}");
}

#[test]
fn perceptron() {
    agrees(
        r#"func @perceptron(%image: f32[4,3,3] input, %w1: f32[8,9] param "fc1.weight", %b1: f32[8] param "fc1.bias", %w2: f32[5,8] param "fc2.weight", %b2: f32[5] param "fc2.bias") -> (logits: f32[4,5]) {
  %0 = reshape %image : f32[4,9]
  %1 = dot %0, %w1 {lhs=[1], rhs=[1], lhs_batch=[], rhs_batch=[]} : f32[4,8]
  %2 = broadcast %b1 {axes=[1]} : f32[4,8]
  %3 = add %1, %2 : f32[4,8]
  %4 = relu %3 : f32[4,8]
  %5 = dot %4, %w2 {lhs=[1], rhs=[1], lhs_batch=[], rhs_batch=[]} : f32[4,5]
  %6 = broadcast %b2 {axes=[1]} : f32[4,5]
  %7 = add %5, %6 : f32[4,5]
  return %7
}"#,
    );
}

/// The maximum and its index, of other widths, are exchanged between registers where branches meet.
#[test]
fn windows_whose_maximum_and_index_change_places() {
    for (dtype, n) in [("f32", 64), ("f64", 64), ("f32", 17)] {
        let out = n / 3;
        agrees(&format!(
            "func @f(%x: {dtype}[3,1,{n}] input) -> (i64[3,1,{out}], {dtype}[3,1,{out}]) {{
  %0 = window_argmax %x {{axes=[0,1,2], size=[3,2,3], stride=[2,2,3], low=[2,1,0], high=[2,0,0], base_dilation=[1,1,1], window_dilation=[1,1,1]}} : i64[3,1,{out}]
  %1 = reduce_window %x {{kind=max, axes=[0,1,2], size=[3,2,3], stride=[2,2,3], low=[2,1,0], high=[2,0,0], base_dilation=[1,1,1], window_dilation=[1,1,1]}} : {dtype}[3,1,{out}]
  return %0, %1
}}",
        ));
    }
}

#[test]
fn softmax() {
    agrees(
        "func @softmax(%x: f32[40,37] input) -> f32[40,37] {
  %0 = reduce %x {kind=max, axes=[1]} : f32[40]
  %1 = broadcast %0 {axes=[0]} : f32[40,37]
  %2 = sub %x, %1 : f32[40,37]
  %3 = exp %2 : f32[40,37]
  %4 = reduce %3 {kind=sum, axes=[1]} : f32[40]
  %5 = broadcast %4 {axes=[0]} : f32[40,37]
  %6 = div %3, %5 : f32[40,37]
  return %6
}",
    );
}

#[test]
fn products_of_all_layouts() {
    for (m, n, k) in [(1, 1, 1), (3, 5, 7), (64, 10, 128), (17, 33, 65), (70, 130, 90)] {
        for (lhs, rhs) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let l = if lhs == 1 { format!("f32[{m},{k}]") } else { format!("f32[{k},{m}]") };
            let r = if rhs == 1 { format!("f32[{n},{k}]") } else { format!("f32[{k},{n}]") };
            agrees(&format!(
                "func @f(%x: {l} input, %y: {r} input, %b: f32[{n}] input) -> f32[{m},{n}] {{
  %0 = dot %x, %y {{lhs=[{lhs}], rhs=[{rhs}], lhs_batch=[], rhs_batch=[]}} : f32[{m},{n}]
  %1 = broadcast %b {{axes=[1]}} : f32[{m},{n}]
  %2 = add %0, %1 : f32[{m},{n}]
  %3 = relu %2 : f32[{m},{n}]
  return %3
}}"
            ));
        }
    }
}

#[test]
fn large_products_are_packed() {
    for (l, r, lhs, rhs) in [("180,170", "170,190", 1, 0), ("180,170", "190,170", 1, 1), ("170,180", "170,190", 0, 0)] {
        let text = format!(
            "func @f(%x: f32[{l}] input, %y: f32[{r}] input, %b: f32[190] input) -> f32[180,190] {{
  %0 = dot %x, %y {{lhs=[{lhs}], rhs=[{rhs}], lhs_batch=[], rhs_batch=[]}} : f32[180,190]
  %1 = broadcast %b {{axes=[1]}} : f32[180,190]
  %2 = add %0, %1 : f32[180,190]
  return %2
}}"
        );
        agrees_by(&text, &[run::NATIVE]);
    }
}

/// Rows, columns and depth with strides other than one, which contiguous vector loads must not read.
#[test]
fn large_products_of_what_is_strided() {
    let sizes = [180, 170, 190];
    for steps in [[2, 1, 1], [1, 2, 1], [1, 1, 2], [3, 2, 2]] {
        for (l, r) in [([0, 1], [1, 2]), ([1, 0], [1, 2]), ([0, 1], [2, 1]), ([1, 0], [2, 1])] {
            let ty = |axes: [usize; 2], step: [usize; 2]| {
                format!("f32[{},{}]", sizes[axes[0]] * step[0], sizes[axes[1]] * step[1])
            };
            let slice = |axes: [usize; 2]| {
                let [s, t] = axes.map(|a| steps[a]);
                let [m, n] = [sizes[axes[0]] * s, sizes[axes[1]] * t];
                format!("{{start=[0,0], limit=[{m},{n}], stride=[{s},{t}]}} : {}", ty(axes, [1, 1]))
            };
            let whole = |axes: [usize; 2]| ty(axes, axes.map(|a| steps[a]));
            let depth = |axes: [usize; 2]| usize::from(axes[1] == 1);
            agrees_by(
                &format!(
                    "func @f(%x: {} input, %y: {} input) -> f32[180,190] {{
  %0 = slice %x {}
  %1 = slice %y {}
  %2 = dot %0, %1 {{lhs=[{}], rhs=[{}], lhs_batch=[], rhs_batch=[]}} : f32[180,190]
  return %2
}}",
                    whole(l),
                    whole(r),
                    slice(l),
                    slice(r),
                    depth(l),
                    depth(r)
                ),
                &[run::NATIVE],
            );
        }
    }
}

/// Vectors run along one column axis; the others count as batch, also if there is a batch already.
#[test]
fn large_products_with_several_axes_of_columns() {
    agrees_by(
        "func @f(%x: f32[150,170] input, %y: f32[2,170,190] input) -> f32[150,2,190] {
  %0 = dot %x, %y {lhs=[1], rhs=[1], lhs_batch=[], rhs_batch=[]} : f32[150,2,190]
  return %0
}",
        &[run::NATIVE],
    );
    agrees_by(
        "func @f(%x: f32[2,150,170] input, %y: f32[2,3,170,190] input) -> f32[2,150,3,190] {
  %0 = dot %x, %y {lhs=[2], rhs=[2], lhs_batch=[0], rhs_batch=[0]} : f32[2,150,3,190]
  return %0
}",
        &[run::NATIVE],
    );
}

#[test]
fn batched_products() {
    agrees(
        "func @f(%x: f64[3,20,9] input, %y: f64[3,9,21] input) -> f64[3,20,21] {
  %0 = dot %x, %y {lhs=[2], rhs=[1], lhs_batch=[0], rhs_batch=[0]} : f64[3,20,21]
  return %0
}",
    );
}

fn conv(stride: usize, pad: usize, size: usize, dtype: &str) -> String {
    let out = (size + 2 * pad - 5) / stride + 1;
    format!(
        "func @loss(%x: {dtype}[3,2,{size},{size}], %w: {dtype}[6,2,5,5], %b: {dtype}[6]) -> {dtype}[] {{
  %0 = conv %x, %w {{stride=[{stride},{stride}], low=[{pad},{pad}], high=[{pad},{pad}], x_dilation=[1,1], kernel_dilation=[1,1], feature_groups=1, batch_groups=1}} : {dtype}[3,6,{out},{out}]
  %1 = broadcast %b {{axes=[1]}} : {dtype}[3,6,{out},{out}]
  %2 = add %0, %1 : {dtype}[3,6,{out},{out}]
  %3 = relu %2 : {dtype}[3,6,{out},{out}]
  %4 = mul %3, %3 : {dtype}[3,6,{out},{out}]
  %5 = reduce %4 {{kind=sum, axes=[0,1,2,3]}} : {dtype}[]
  return %5
}}
func @main(%x: {dtype}[3,2,{size},{size}] input, %w: {dtype}[6,2,5,5] param \"w\", %b: {dtype}[6] param \"b\") -> ({dtype}[], {dtype}[3,2,{size},{size}], {dtype}[6,2,5,5], {dtype}[6]) {{
  %0:4 = gradient %x, %w, %b {{func=@loss, wrt=[0,1,2]}} : {dtype}[], {dtype}[3,2,{size},{size}], {dtype}[6,2,5,5], {dtype}[6]
  return %0.0, %0.1, %0.2, %0.3
}}"
    )
}

#[test]
fn convolutions_and_their_gradients() {
    for (stride, pad, size) in [(1, 0, 12), (1, 2, 14), (2, 2, 13), (3, 1, 16)] {
        agrees(&conv(stride, pad, size, "f32"));
    }
    agrees(&conv(1, 2, 10, "f64"));
}

/// Large enough that operands are permuted, for vectors along the channels: a bias along another axis is read and the result
/// stored with a stride, and channels may or may not be divided into the columns of a register tile.
#[test]
fn convolutions_with_vectors_along_channels() {
    for (channels, kernel) in [(16, 3), (12, 3), (7, 4)] {
        let (size, out) = (11, 11 - kernel + 1);
        agrees(&format!(
            "func @loss(%x: f32[3,8,{size},{size}], %w: f32[{channels},8,{kernel},{kernel}], %b: f32[{channels},{out}]) -> f32[] {{
  %0 = conv %x, %w {{stride=[1,1], low=[0,0], high=[0,0], x_dilation=[1,1], kernel_dilation=[1,1], feature_groups=1, batch_groups=1}} : f32[3,{channels},{out},{out}]
  %1 = broadcast %b {{axes=[1,3]}} : f32[3,{channels},{out},{out}]
  %2 = add %0, %1 : f32[3,{channels},{out},{out}]
  %3 = relu %2 : f32[3,{channels},{out},{out}]
  %4 = reduce %3 {{kind=sum, axes=[0,1,2,3]}} : f32[]
  return %4
}}
func @f(%x: f32[3,8,{size},{size}] input, %w: f32[{channels},8,{kernel},{kernel}] input, %b: f32[{channels},{out}] input) -> (f32[], f32[3,8,{size},{size}], f32[{channels},8,{kernel},{kernel}], f32[{channels},{out}]) {{
  %0:4 = gradient %x, %w, %b {{func=@loss, wrt=[0,1,2]}} : f32[], f32[3,8,{size},{size}], f32[{channels},8,{kernel},{kernel}], f32[{channels},{out}]
  return %0.0, %0.1, %0.2, %0.3
}}"
        ));
    }
}

#[test]
fn large_reductions_in_two_passes() {
    for (shape, axes, left) in
        [("1000,300", "0,1", ""), ("4096,10", "0", "10"), ("64,16,20,20", "0,2,3", "16"), ("2,100000", "1", "2")]
    {
        // for sums of this many f32s no useful bound holds in every order; `sums.rs` knows the order
        for (kind, dtype) in [("sum", "f64"), ("max", "f32"), ("min", "f32")] {
            agrees(&format!(
                "func @f(%x: {dtype}[{shape}] input) -> {dtype}[{left}] {{
  %0 = reduce %x {{kind={kind}, axes=[{axes}]}} : {dtype}[{left}]
  return %0
}}"
            ));
        }
    }
}

#[test]
fn views_become_affine() {
    agrees(
        "func @f(%x: f32[6,4,10] input, %b: f32[4] input) -> f32[10,24] {
  %0 = broadcast %b {axes=[1]} : f32[6,4,10]
  %1 = mul %x, %0 : f32[6,4,10]
  %2 = reshape %1 : f32[24,10]
  %3 = transpose %2 {perm=[1,0]} : f32[10,24]
  %4 = reverse %3 {axes=[1]} : f32[10,24]
  return %4
}",
    );
}

/// Squares of elements are transposed in registers; they overlap at borders, within a chunk and between chunks.
#[test]
fn transposed_operands() {
    for dtype in ["f32", "f64", "i32", "i64"] {
        for (batch, rows, columns) in [(1, 4, 4), (2, 16, 16), (3, 17, 33), (1, 70, 19), (2, 5, 40), (1, 230, 301)] {
            let (from, to) = (format!("[{batch},{rows},{columns}]"), format!("[{batch},{columns},{rows}]"));
            agrees(&format!(
                "func @f(%x: {dtype}{from} input, %y: {dtype}{to} input, %z: {dtype}[{columns},{rows}] input) -> ({dtype}{to}, {dtype}[{rows},{columns}]) {{
  %0 = transpose %x {{perm=[0,2,1]}} : {dtype}{to}
  %1 = add %0, %y : {dtype}{to}
  %2 = transpose %z {{perm=[1,0]}} : {dtype}[{rows},{columns}]
  return %1, %2
}}"
            ));
        }
    }
}

/// One step of descent on two layers: the new weights overwrite the old ones in place, after all readers.
pub const STEP: &str = r#"func @step(%x: f32[8,6] input, %t: f32[8,3] input, %w: f32[6,5] param "w", %v: f32[5,3] param "v") -> (loss: f32[], f32[6,5] update %w, f32[5,3] update %v) {
  %0 = constant 0.125 : f32[]
  %1 = dot %x, %w {lhs=[1], rhs=[0], lhs_batch=[], rhs_batch=[]} : f32[8,5]
  %2 = dot %1, %v {lhs=[1], rhs=[0], lhs_batch=[], rhs_batch=[]} : f32[8,3]
  %3 = sub %2, %t : f32[8,3]
  %4 = mul %3, %3 : f32[8,3]
  %5 = reduce %4 {kind=sum, axes=[0,1]} : f32[]
  %6 = dot %1, %3 {lhs=[0], rhs=[0], lhs_batch=[], rhs_batch=[]} : f32[5,3]
  %7 = broadcast %0 {axes=[]} : f32[5,3]
  %8 = mul %7, %6 : f32[5,3]
  %9 = sub %v, %8 : f32[5,3]
  %10 = dot %3, %v {lhs=[1], rhs=[1], lhs_batch=[], rhs_batch=[]} : f32[8,5]
  %11 = dot %x, %10 {lhs=[0], rhs=[0], lhs_batch=[], rhs_batch=[]} : f32[6,5]
  %12 = broadcast %0 {axes=[]} : f32[6,5]
  %13 = mul %12, %11 : f32[6,5]
  %14 = sub %w, %13 : f32[6,5]
  return %5, %14, %9
}"#;

#[test]
fn updates_wait_for_the_last_reader() {
    agrees(STEP);
}

/// No element may be computed twice if it overwrites its operand, though tiles have remainders.
#[test]
fn products_that_are_taken_from_what_they_overwrite() {
    for (m, n, k) in [(13, 7, 24), (5, 11, 40), (17, 9, 8), (7, 26, 33)] {
        for (lhs, rhs) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let l = if lhs == 1 { format!("f32[{m},{k}]") } else { format!("f32[{k},{m}]") };
            let r = if rhs == 1 { format!("f32[{n},{k}]") } else { format!("f32[{k},{n}]") };
            agrees(&format!(
                "func @f(%x: {l} input, %y: {r} input, %w: f32[{m},{n}] param \"w\") -> (f32[{m},{n}] update %w) {{
  %0 = dot %x, %y {{lhs=[{lhs}], rhs=[{rhs}], lhs_batch=[], rhs_batch=[]}} : f32[{m},{n}]
  %1 = sub %w, %0 : f32[{m},{n}]
  return %1
}}"
            ));
        }
    }
}

#[test]
fn states_that_are_exchanged() {
    agrees(
        r#"func @f(%a: f32[5] state "a", %b: f32[5] state "b", %c: f32[5] state "c") -> (f32[5], f32[5] update %a, f32[5] update %b, f32[5] update %c) {
  %0 = add %a, %c : f32[5]
  return %a, %b, %a, %0
}"#,
    );
}

#[test]
fn an_update_that_reads_its_argument_elsewhere() {
    agrees(
        r#"func @f(%a: f32[4,4] state "a") -> (f32[4,4] update %a) {
  %0 = transpose %a {perm=[1,0]} : f32[4,4]
  %1 = add %a, %0 : f32[4,4]
  return %1
}"#,
    );
}

#[test]
fn functions_that_are_called_twice() {
    agrees(
        r#"func @block(%x: f32[4,6], %w: f32[6,6]) -> (f32[4,6], f32[4]) {
  %0 = dot %x, %w {lhs=[1], rhs=[0], lhs_batch=[], rhs_batch=[]} : f32[4,6]
  %1 = relu %0 : f32[4,6]
  %2 = reduce %1 {kind=sum, axes=[1]} : f32[4]
  return %1, %2
}
func @main(%x: f32[4,6] input, %v: f32[6,6] param "v", %w: f32[6,6] param "w") -> (f32[4,6], f32[4]) {
  %0:2 = call %x, %v {func=@block} : f32[4,6], f32[4]
  %1:2 = call %0.0, %w {func=@block} : f32[4,6], f32[4]
  %2 = add %0.1, %1.1 : f32[4]
  return %1.0, %2
}"#,
    );
}

#[test]
fn results_that_are_arguments_constants_or_the_same() {
    agrees(
        "func @f(%x: f32[3] input) -> (f32[3], f32[3], f32[3], f32[3,1]) {
  %0 = constant [1.0, 2.0, 3.0] : f32[3]
  %1 = add %x, %0 : f32[3]
  %2 = reshape %1 : f32[3,1]
  return %x, %0, %1, %2
}",
    );
}

#[test]
fn an_index_out_of_range_is_an_error() {
    let text = "func @f(%x: f32[3] input, %i: i64[2] input) -> f32[2] {
  %0 = gather %x, %i {axis=0, batch=0} : f32[2]
  return %0
}";
    let graph: Graph = text.parse().expect("the text is well formed");
    let x = Tensor::new([3], vec![1f32, 2.0, 3.0]).expect("three elements");
    for backend in [Backend::Interpreter, run::NATIVE] {
        let program = run::build(&graph, Level::Full, backend).expect("the graph compiles");
        for (index, fails) in [(2, false), (3, true), (-1, true)] {
            let i = Tensor::new([2], vec![0i64, index]).expect("two elements");
            let result = program.evaluate(&[x.clone(), i]);
            assert_eq!(result.is_err(), fails, "{index}: {result:?}");
        }
    }
}
