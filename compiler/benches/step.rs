//! A training step of LeNet (16 and 32 channels, batch 64) written by hand in the IR: compile time by phase, the fraction of the
//! roofline that a step reaches, and where its time goes.
//!
//! `cargo bench -p dlc-compiler --bench step`

#[allow(dead_code, reason = "each benchmark uses its part")]
mod roofline;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use dlc_compiler::codegen::Native;
use dlc_compiler::machine::Target;
use dlc_compiler::options::Options;
use dlc_compiler::pipeline::{Phase, PhaseObserver, compile_observed};
use dlc_compiler::program::{LaunchObserver, Launched, Program, Workspace};
use dlc_ir::{DType, Function, Graph, Op, Scalar, Tensor};

struct Clock {
    started: Instant,
    phases: Vec<(Phase, f64)>,
}

impl PhaseObserver for Clock {
    fn begin(&mut self, _: Phase) {
        self.started = Instant::now();
    }
    fn end(&mut self, phase: Phase) {
        self.phases.push((phase, self.started.elapsed().as_secs_f64() * 1e3));
    }
}

/// The parameters and their shapes.
const PARAMS: [(&str, &str); 10] = [
    ("w1", "16,1,5,5"),
    ("b1", "16"),
    ("w2", "32,16,5,5"),
    ("b2", "32"),
    ("w3", "120,800"),
    ("b3", "120"),
    ("w4", "84,120"),
    ("b4", "84"),
    ("w5", "10,84"),
    ("b5", "10"),
];

fn lenet(batch: usize) -> String {
    let mut body = vec![];
    let mut next = 0;
    let mut op = |text: String, shape: &str| {
        body.push(format!("  %{next} = {text} : f32[{shape}]"));
        next += 1;
        format!("%{}", next - 1)
    };
    let n = batch;
    let mut x = "%image".to_owned();
    for (i, (out, size, pad)) in [(16, 28, 2), (32, 10, 0)].into_iter().enumerate() {
        let full = format!("{n},{out},{size},{size}");
        let (w, b) = (format!("%w{}", i + 1), format!("%b{}", i + 1));
        let attrs = format!(
            "stride=[1,1], low=[{pad},{pad}], high=[{pad},{pad}], x_dilation=[1,1], kernel_dilation=[1,1], feature_groups=1, batch_groups=1"
        );
        let y = op(format!("conv {x}, {w} {{{attrs}}}"), &full);
        let bias = op(format!("broadcast {b} {{axes=[1]}}"), &full);
        let y = op(format!("add {y}, {bias}"), &full);
        let y = op(format!("relu {y}"), &full);
        let half = format!("{n},{out},{},{}", size / 2, size / 2);
        x = op(
            format!(
                "reduce_window {y} {{kind=max, axes=[2,3], size=[2,2], stride=[2,2], low=[0,0], high=[0,0], base_dilation=[1,1], window_dilation=[1,1]}}"
            ),
            &half,
        );
    }
    x = op(format!("reshape {x}"), &format!("{n},800"));
    for (i, width) in [(3, 120), (4, 84), (5, 10)] {
        let shape = format!("{n},{width}");
        let y = op(format!("dot {x}, %w{i} {{lhs=[1], rhs=[1], lhs_batch=[], rhs_batch=[]}}"), &shape);
        let bias = op(format!("broadcast %b{i} {{axes=[1]}}"), &shape);
        x = op(format!("add {y}, {bias}"), &shape);
        if i < 5 {
            x = op(format!("relu {x}"), &shape);
        }
    }
    let shape = format!("{n},10");
    let top = op(format!("reduce {x} {{kind=max, axes=[1]}}"), &n.to_string());
    let top = op(format!("broadcast {top} {{axes=[0]}}"), &shape);
    let shifted = op(format!("sub {x}, {top}"), &shape);
    let e = op(format!("exp {shifted}"), &shape);
    let sum = op(format!("reduce {e} {{kind=sum, axes=[1]}}"), &n.to_string());
    let log = op(format!("log {sum}"), &n.to_string());
    let log = op(format!("broadcast {log} {{axes=[0]}}"), &shape);
    let p = op(format!("sub {shifted}, {log}"), &shape);
    let chosen = op(format!("mul {p}, %onehot"), &shape);
    let total = op(format!("reduce {chosen} {{kind=sum, axes=[0,1]}}"), "");
    let scale = op(format!("constant {:?}", -1.0 / n as f32), "");
    let loss = op(format!("mul {total}, {scale}"), "");
    let params: Vec<String> = PARAMS.iter().map(|(name, shape)| format!("%{name}: f32[{shape}]")).collect();
    let inputs = format!("%image: f32[{n},1,28,28], %onehot: f32[{n},10]");
    let mut text = format!("func @loss({inputs}, {}) -> f32[] {{\n", params.join(", "));
    text += &body.join("\n");
    text += &format!("\n  return {loss}\n}}\n");
    let params: Vec<String> =
        PARAMS.iter().map(|(name, shape)| format!("%{name}: f32[{shape}] param \"{name}\"")).collect();
    let updates: Vec<String> = PARAMS.iter().map(|(name, shape)| format!("f32[{shape}] update %{name}")).collect();
    let inputs = format!("%image: f32[{n},1,28,28] input, %onehot: f32[{n},10] input");
    text += &format!("func @step({inputs}, {}) -> (loss: f32[], {}) {{\n", params.join(", "), updates.join(", "));
    let names: Vec<String> = PARAMS.iter().map(|(name, _)| format!("%{name}")).collect();
    let types: Vec<String> = PARAMS.iter().map(|(_, shape)| format!("f32[{shape}]")).collect();
    text += &format!(
        "  %0:11 = gradient %image, %onehot, {} {{func=@loss, wrt=[2,3,4,5,6,7,8,9,10,11]}} : f32[], {}\n",
        names.join(", "),
        types.join(", ")
    );
    text += "  %1 = constant 0.05 : f32[]\n";
    let mut at = 2;
    let mut results = vec![];
    for (i, (name, shape)) in PARAMS.iter().enumerate() {
        text += &format!("  %{at} = broadcast %1 {{axes=[]}} : f32[{shape}]\n");
        text += &format!("  %{} = mul %{at}, %0.{} : f32[{shape}]\n", at + 1, i + 1);
        text += &format!("  %{} = sub %{name}, %{} : f32[{shape}]\n", at + 2, at + 1);
        results.push(format!("%{}", at + 2));
        at += 3;
    }
    text + &format!("  return %0.0, {}\n}}\n", results.join(", "))
}

fn main() {
    let Some(target) = Target::host() else {
        println!("this machine has no target that dlc knows");
        return;
    };
    let batch = 64;
    let text = lenet(batch);
    let graph: Graph = text.parse().expect("the graph is well formed");
    graph.verify().expect("the graph is well formed");
    let options = Options { check: false, ..Options::new(target) };
    let mut program = None;
    for _ in 0..3 {
        let mut clock = Clock { started: Instant::now(), phases: vec![] };
        program = Some(compile_observed(graph.clone(), &options, &mut clock).expect("the graph compiles"));
        let phases: Vec<String> = clock.phases.iter().map(|(p, ms)| format!("{} {ms:.2} ms", p.name())).collect();
        println!("{}", phases.join(", "));
    }
    let program = program.expect("compiled above");
    if std::env::args().any(|a| a == "--kernels") {
        println!("{}\n{}", program.graph(), program.kernels());
    }
    if std::env::args().any(|a| a == "--asm") {
        let text = Native::new(target).assembly(program.kernels());
        println!("{}", text.expect("the kernels compile"));
    }
    measure(&program, roofline::peak(target, DType::F32));
}

/// Multiplications and additions of the contractions of a function and of its callees; the rest of a step is data movement.
fn flops(graph: &Graph, function: &Function) -> f64 {
    let elements = |v| function.ty(v).shape.elements() as f64;
    let of = |(_, node, op): (_, &dlc_ir::Node, &Op)| match op {
        Op::Call(call) => flops(graph, graph.function(&call.func).expect("callees precede their callers")),
        Op::Dot(dot) => {
            let x = function.ty(node.operands[0]);
            let depth: usize = dot.lhs.iter().map(|&axis| x.shape[axis]).product();
            2.0 * node.types[0].shape.elements() as f64 * depth as f64
        }
        Op::Conv(_) => {
            let filters = function.ty(node.operands[1]).shape[0] as f64;
            2.0 * node.types[0].shape.elements() as f64 * elements(node.operands[1]) / filters
        }
        _ => 0.0,
    };
    function.ops().map(of).sum()
}

/// Times a step, and prints the fraction of a peak in GFLOP/s.
fn measure(program: &Program, peak: f64) {
    let mut buffers = program.buffers();
    let mut seed = 1u64;
    for (buffer, ty) in program.signature().buffers().enumerate() {
        if ty.dtype != DType::F32 {
            continue;
        }
        let scale = if ty.rank() > 1 { 1.0 / (ty.shape[1..].iter().product::<usize>() as f64).sqrt() } else { 0.0 };
        buffers[buffer] = Tensor::from_fn(ty.clone(), |_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Scalar::Float(((seed >> 33) as f64 / (1u64 << 31) as f64 - 0.5) * scale * 2.0)
        })
        .memory()
        .clone();
    }
    let mut workspace = Workspace::new(program, 1);
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        let start = Instant::now();
        program.run(&mut workspace, &mut buffers, None).expect("the step runs");
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    let rate = flops(program.graph(), program.graph().entry()) / best / 1e6;
    println!("contractions: {rate:.1} GFLOP/s, {:.0} % of the FMA peak of {peak:.1}", 100.0 * rate / peak);
    println!(
        "step {best:.2} ms on one thread, frame {} KiB, {} kernels",
        program.frame() / 1024,
        program.kernels().kernels.len()
    );
    // The best time of every launch: other processes do not count.
    let watch = Watch::default();
    for _ in 0..10 {
        watch.next.store(0, Ordering::Relaxed);
        program.run_observed(&mut workspace, &mut buffers, None, Some(&watch)).expect("the step runs");
    }
    let launches = watch.launches.into_inner().expect("nothing panics");
    let mut times: BTreeMap<u32, (usize, f64)> = BTreeMap::new();
    for (kernel, ms, _) in launches {
        let entry = times.entry(kernel).or_default();
        entry.0 += 1;
        entry.1 += ms;
    }
    let mut sorted: Vec<_> = times.into_iter().collect();
    sorted.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
    for (kernel, (count, ms)) in sorted.iter().take(25) {
        let name = &program.kernels().names[*kernel as usize];
        println!("  {ms:8.3} ms  x{count}  {name}");
    }
}

/// The kernel of each launch of a step, the best of its milliseconds, and when it began last.
#[derive(Default)]
struct Watch {
    launches: Mutex<Vec<(u32, f64, Option<Instant>)>>,
    next: AtomicUsize,
}

impl LaunchObserver for Watch {
    fn begin(&self, launch: Launched) {
        let mut launches = self.launches.lock().expect("nothing panics");
        let nth = self.next.load(Ordering::Relaxed);
        if nth == launches.len() {
            launches.push((launch.kernel, f64::INFINITY, None));
        }
        launches[nth].2 = Some(Instant::now());
    }

    fn end(&self, _: Launched) {
        let now = Instant::now();
        let mut launches = self.launches.lock().expect("nothing panics");
        let (_, best, since) = &mut launches[self.next.fetch_add(1, Ordering::Relaxed)];
        *best = since.map_or(*best, |since| best.min((now - since).as_secs_f64() * 1e3));
    }
}
