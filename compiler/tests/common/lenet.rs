//! The training step of LeNet with Adam, as the front end would lower it.

use std::fmt::Write as _;

use dlc_ir::Graph;

const WEIGHTS: [(&str, &str); 10] = [
    ("c1_w", "f32[16,1,5,5]"),
    ("c1_b", "f32[16]"),
    ("c3_w", "f32[32,16,5,5]"),
    ("c3_b", "f32[32]"),
    ("c5_w", "f32[120,800]"),
    ("c5_b", "f32[120]"),
    ("f6_w", "f32[84,120]"),
    ("f6_b", "f32[84]"),
    ("out_w", "f32[10,84]"),
    ("out_b", "f32[10]"),
];

/// A function's body under construction.
struct Body {
    text: String,
    next: usize,
}

impl Body {
    fn new() -> Self {
        Body { text: String::new(), next: 0 }
    }

    fn add(&mut self, op: &str, ty: &str) -> String {
        let name = format!("%{}", self.next);
        let _ = writeln!(self.text, "  {name} = {op} : {ty}");
        self.next += 1;
        name
    }

    fn full(&mut self, value: &str, ty: &str) -> String {
        let scalar = self.add(&format!("constant {value}"), "f32[]");
        if ty == "f32[]" { scalar } else { self.add(&format!("broadcast {scalar} {{axes=[]}}"), ty) }
    }

    fn relu_bias(&mut self, x: &str, b: &str, axis: usize, ty: &str, relu: bool) -> String {
        let wide = self.add(&format!("broadcast %{b} {{axes=[{axis}]}}"), ty);
        let sum = self.add(&format!("add {x}, {wide}"), ty);
        if relu { self.add(&format!("relu {sum}"), ty) } else { sum }
    }

    fn conv(&mut self, x: &str, w: &str, pad: usize, ty: &str) -> String {
        let attrs = format!(
            "stride=[1,1], low=[{pad},{pad}], high=[{pad},{pad}], x_dilation=[1,1], kernel_dilation=[1,1], feature_groups=1, batch_groups=1"
        );
        self.add(&format!("conv {x}, %{w} {{{attrs}}}"), ty)
    }

    fn pool(&mut self, x: &str, ty: &str) -> String {
        let window =
            "axes=[2,3], size=[2,2], stride=[2,2], low=[0,0], high=[0,0], base_dilation=[1,1], window_dilation=[1,1]";
        self.add(&format!("reduce_window {x} {{kind=max, {window}}}"), ty)
    }

    fn linear(&mut self, x: &str, w: &str, b: &str, ty: &str, relu: bool) -> String {
        let product = self.add(&format!("dot {x}, %{w} {{lhs=[1], rhs=[1], lhs_batch=[], rhs_batch=[]}}"), ty);
        self.relu_bias(&product, b, 1, ty, relu)
    }
}

/// The program, before differentiation.
pub fn training_step(batch: usize) -> Graph {
    let n = batch;
    let mut f = Body::new();
    let c1 = f.conv("%image", "c1_w", 2, &format!("f32[{n},16,28,28]"));
    let c1 = f.relu_bias(&c1, "c1_b", 1, &format!("f32[{n},16,28,28]"), true);
    let p1 = f.pool(&c1, &format!("f32[{n},16,14,14]"));
    let c3 = f.conv(&p1, "c3_w", 0, &format!("f32[{n},32,10,10]"));
    let c3 = f.relu_bias(&c3, "c3_b", 1, &format!("f32[{n},32,10,10]"), true);
    let p3 = f.pool(&c3, &format!("f32[{n},32,5,5]"));
    let flat = f.add(&format!("reshape {p3}"), &format!("f32[{n},800]"));
    let c5 = f.linear(&flat, "c5_w", "c5_b", &format!("f32[{n},120]"), true);
    let f6 = f.linear(&c5, "f6_w", "f6_b", &format!("f32[{n},84]"), true);
    let wide = format!("f32[{n},10]");
    let narrow = format!("f32[{n}]");
    let logits = f.linear(&f6, "out_w", "out_b", &wide, false);
    let max = f.add(&format!("reduce {logits} {{kind=max, axes=[1]}}"), &narrow);
    let max = f.add(&format!("broadcast {max} {{axes=[0]}}"), &wide);
    let max = f.add(&format!("stop_gradient {max}"), &wide);
    let shifted = f.add(&format!("sub {logits}, {max}"), &wide);
    let e = f.add(&format!("exp {shifted}"), &wide);
    let sum = f.add(&format!("reduce {e} {{kind=sum, axes=[1]}}"), &narrow);
    let log = f.add(&format!("log {sum}"), &narrow);
    let log = f.add(&format!("broadcast {log} {{axes=[0]}}"), &wide);
    let logp = f.add(&format!("sub {shifted}, {log}"), &wide);
    let index = f.add("reshape %label", &format!("i64[{n},1]"));
    let picked = f.add(&format!("gather {logp}, {index} {{axis=1, batch=1}}"), &format!("f32[{n},1]"));
    let total = f.add(&format!("reduce {picked} {{kind=sum, axes=[0,1]}}"), "f32[]");
    let count = f.full(&format!("{n}.0"), "f32[]");
    let mean = f.add(&format!("div {total}, {count}"), "f32[]");
    let loss = f.add(&format!("neg {mean}"), "f32[]");
    let weights: String = WEIGHTS.iter().map(|(name, ty)| format!(", %{name}: {ty}")).collect();
    let mut text = format!(
        "func @loss(%image: f32[{n},1,28,28], %label: i64[{n}]{weights}) -> f32[] {{\n{}  return {loss}\n}}\n\n",
        f.text
    );
    let mut s = Body::new();
    let names: Vec<String> = WEIGHTS.iter().map(|(name, _)| format!("%{name}")).collect();
    let wrt: Vec<String> = (2..12).map(|i| i.to_string()).collect();
    let types: Vec<&str> = WEIGHTS.iter().map(|(_, ty)| *ty).collect();
    let _ = writeln!(
        s.text,
        "  %0:11 = gradient %image, %label, {} {{func=@loss, wrt=[{}]}} : f32[], {}",
        names.join(", "),
        wrt.join(","),
        types.join(", ")
    );
    s.next = 1;
    let one = s.full("1.0", "f32[]");
    let step = s.add(&format!("add %step, {one}"), "f32[]");
    let mut corrections = vec![];
    for beta in ["0.9", "0.999"] {
        let b = s.full(beta, "f32[]");
        let power = s.add(&format!("pow {b}, {step}"), "f32[]");
        corrections.push(s.add(&format!("sub {one}, {power}"), "f32[]"));
    }
    let mut updates = vec![("%step".to_owned(), step.clone(), "f32[]")];
    for (i, (name, ty)) in WEIGHTS.iter().enumerate() {
        let g = format!("%0.{}", i + 1);
        let blend = |s: &mut Body, old: &str, beta: &str, rest: &str, new: &str| {
            let (b, r) = (s.full(beta, ty), s.full(rest, ty));
            let (a, c) = (s.add(&format!("mul {old}, {b}"), ty), s.add(&format!("mul {new}, {r}"), ty));
            s.add(&format!("add {a}, {c}"), ty)
        };
        let m = blend(&mut s, &format!("%{name}_m"), "0.9", "0.1", &g);
        let square = s.add(&format!("mul {g}, {g}"), ty);
        let v = blend(&mut s, &format!("%{name}_v"), "0.999", "0.001", &square);
        let first = s.add(&format!("broadcast {} {{axes=[]}}", corrections[0]), ty);
        let second = s.add(&format!("broadcast {} {{axes=[]}}", corrections[1]), ty);
        let mean = s.add(&format!("div {m}, {first}"), ty);
        let spread = s.add(&format!("div {v}, {second}"), ty);
        let root = s.add(&format!("sqrt {spread}"), ty);
        let epsilon = s.full("1e-8", ty);
        let root = s.add(&format!("add {root}, {epsilon}"), ty);
        let ratio = s.add(&format!("div {mean}, {root}"), ty);
        let rate = s.add("broadcast %lr {axes=[]}", ty);
        let delta = s.add(&format!("mul {ratio}, {rate}"), ty);
        let w = s.add(&format!("sub %{name}, {delta}"), ty);
        updates.push((format!("%{name}"), w, ty));
        updates.push((format!("%{name}_m"), m, ty));
        updates.push((format!("%{name}_v"), v, ty));
    }
    let params: String = WEIGHTS
        .iter()
        .map(|(name, ty)| {
            format!(", %{name}: {ty} param \"{name}\", %{name}_m: {ty} state \"{name}.m\", %{name}_v: {ty} state \"{name}.v\"")
        })
        .collect();
    let results: String = updates.iter().map(|(arg, _, ty)| format!(", {ty} update {arg}")).collect();
    let values: String = updates.iter().map(|(_, value, _)| format!(", {value}")).collect();
    let _ = writeln!(
        text,
        "func @step(%image: f32[{n},1,28,28] input, %label: i64[{n}] input, %lr: f32[] input, %step: f32[] state \"step\"{params}) -> (loss: f32[]{results}) {{\n{}  return %0.0{values}\n}}",
        s.text
    );
    text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"))
}
