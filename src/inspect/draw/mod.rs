//! Pictures of graphs, as SVG and DOT.
//!
//! A box is an operator, or a call of a function or kernel. Weights and small constants are lines in the box that uses
//! them, since boxes for them would hide the flow of the data. A function is drawn once, however often it is called.

mod dot;
mod svg;

use std::collections::BTreeMap;

use dlc_ir::op::{Call, Constant};
use dlc_ir::{Def, Function, FunctionKind, Graph, Node, NodeId, Op, ResultRole, Role, Symbol, Value};

pub use dot::dot;
pub use svg::svg;

/// Whether a file is a picture written by dlc, which may be overwritten.
pub fn is_ours(text: &str) -> bool {
    text.starts_with("digraph dlc {") || (text.starts_with("<svg ") && text.contains("<!-- drawn by dlc -->"))
}

/// The kind of a box, which determines its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Input,
    State,
    Output,
    Contraction,
    Reduction,
    Map,
    Move,
    Call,
}

impl Kind {
    /// Fill colour as `0xrrggbb`; light enough for black text.
    fn fill(self) -> u32 {
        match self {
            Kind::Input => 0xd6e8fb,
            Kind::State => 0xfdf0c4,
            Kind::Output => 0xd9f2dd,
            Kind::Contraction => 0xf9d5cc,
            Kind::Reduction => 0xfbe3cc,
            Kind::Map => 0xf4f4f6,
            Kind::Move => 0xffffff,
            Kind::Call => 0xe6dcf5,
        }
    }
}

/// A box: the first line is its title.
#[derive(Debug)]
struct Box {
    kind: Kind,
    lines: Vec<String>,
}

/// An edge with the type that flows along it.
#[derive(Debug)]
struct Edge {
    from: usize,
    to: usize,
    label: String,
}

/// One function as boxes and edges.
#[derive(Debug)]
struct Picture {
    title: String,
    boxes: Vec<Box>,
    edges: Vec<Edge>,
}

/// The pictures of a graph: the entry first, then every other function that is not a kernel.
fn pictures(graph: &Graph) -> Vec<Picture> {
    let mut calls: BTreeMap<&Symbol, usize> = BTreeMap::new();
    for function in graph.functions() {
        for (_, _, op) in function.ops() {
            if let Op::Call(Call { func, .. }) = op {
                *calls.entry(func).or_default() += 1;
            }
        }
    }
    let drawn = |f: &&Function| f.kind == FunctionKind::Func || f.name == graph.entry().name;
    graph.functions().rev().filter(drawn).map(|f| picture(graph, f, calls.get(&f.name).copied().unwrap_or(0))).collect()
}

fn picture(graph: &Graph, function: &Function, calls: usize) -> Picture {
    let title = match calls {
        0 | 1 => function.name.as_str().to_owned(),
        n => format!("{}  (used {n} times)", function.name.as_str()),
    };
    let mut picture = Picture { title, boxes: vec![], edges: vec![] };
    let live = function.live();
    let mut box_of: Vec<Option<usize>> = vec![None; function.node_count()];
    // A state of which only prepared values are read is drawn in the picture of the preparation.
    let unread = |id: NodeId, node: &Node| match node.def {
        Def::Argument(i) => matches!(function.args()[i].role, Role::State { .. }) && function.users(id).is_empty(),
        Def::Op(_) => false,
    };
    let returned = |id: NodeId| function.results.iter().any(|r| r.value.node == id);
    for (id, node) in function.nodes() {
        let value = Value { node: id, result: 0 };
        if !live[id.index()] || folded(function, value).is_some() || (unread(id, node) && !returned(id)) {
            continue;
        }
        let mut lines = title_lines(graph, function, node);
        for &operand in &node.operands {
            lines.extend(folded(function, operand));
        }
        box_of[id.index()] = Some(picture.boxes.len());
        let to = picture.boxes.len();
        picture.boxes.push(Box { kind: kind(graph, function, node), lines });
        for operand in &node.operands {
            if let Some(from) = box_of[operand.node.index()] {
                picture.edges.push(Edge { from, to, label: function.ty(*operand).to_string() });
            }
        }
    }
    for result in &function.results {
        let Some(from) = box_of[result.value.node.index()] else { continue };
        match result.role {
            ResultRole::Output => {
                let label = function.ty(result.value).to_string();
                let name = result.name.as_deref().unwrap_or("result").to_owned();
                picture.edges.push(Edge { from, to: picture.boxes.len(), label });
                picture.boxes.push(Box { kind: Kind::Output, lines: vec![name] });
            }
            ResultRole::Update(arg) => {
                let updated = role_name(function, arg);
                picture.boxes[from].lines.push(format!("updates {updated}"));
            }
            ResultRole::Check => {}
        }
    }
    picture
}

fn role_name(function: &Function, arg: usize) -> &str {
    let argument = &function.args()[arg];
    match &argument.role {
        Role::Param { name, .. } | Role::State { name } => name,
        Role::Plain | Role::Input | Role::Key => &argument.name,
    }
}

/// The line for a value in the boxes of its users, if it has no box.
fn folded(function: &Function, value: Value) -> Option<String> {
    let node = function.node(value.node);
    if let Def::Argument(i) = node.def {
        let argument = &function.args()[i];
        let is_weight = matches!(argument.role, Role::Param { .. });
        return is_weight.then(|| format!("{}  {}", role_name(function, i), argument.ty));
    }
    match node.op()? {
        Op::Constant(Constant { value }) => Some(match value.uniform() {
            Some(_) if value.len() == 1 => {
                value.to_string().split_once(' ').map_or(String::new(), |(_, x)| x.to_owned())
            }
            _ => format!("constant  {}", value.ty()),
        }),
        _ => None,
    }
}

fn title_lines(graph: &Graph, function: &Function, node: &Node) -> Vec<String> {
    let op = match &node.def {
        Def::Argument(i) => return vec![role_name(function, *i).to_owned()],
        Def::Op(op) => op,
    };
    match &**op {
        Op::Call(Call { func, .. }) => {
            let mut lines = vec![func.as_str().to_owned()];
            if let Some(kernel) = graph.function(func).filter(|f| f.kind == FunctionKind::Kernel) {
                lines.push(kernel_line(kernel));
            }
            lines
        }
        op => vec![op.mnemonic().to_owned()],
    }
}

/// The operators of a kernel in a few words.
fn kernel_line(kernel: &Function) -> String {
    const SHOWN: usize = 6;
    let quiet = |op: &Op| matches!(op, Op::Constant(_) | Op::Broadcast(_) | Op::Reshape(_));
    let names: Vec<&str> = kernel.ops().filter(|(_, _, op)| !quiet(op)).map(|(_, _, op)| op.mnemonic()).collect();
    let more = if names.len() > SHOWN { format!(" · +{}", names.len() - SHOWN) } else { String::new() };
    format!("{}{more}", names[..names.len().min(SHOWN)].join(" · "))
}

fn kind(graph: &Graph, function: &Function, node: &Node) -> Kind {
    let op = match &node.def {
        Def::Argument(i) => match function.args()[*i].role {
            Role::State { .. } | Role::Key => return Kind::State,
            Role::Plain | Role::Input | Role::Param { .. } => return Kind::Input,
        },
        Def::Op(op) => op,
    };
    match &**op {
        Op::Call(Call { func, .. }) => {
            let callee = graph.function(func).filter(|f| f.kind == FunctionKind::Kernel);
            let kinds: Vec<Kind> =
                callee.into_iter().flat_map(|k| k.ops().map(|(_, _, op)| op_kind(op)).collect::<Vec<_>>()).collect();
            let strongest = [Kind::Contraction, Kind::Reduction, Kind::Map, Kind::Move];
            strongest.into_iter().find(|k| kinds.contains(k)).unwrap_or(Kind::Call)
        }
        op => op_kind(op),
    }
}

fn op_kind(op: &Op) -> Kind {
    match op {
        Op::Dot(_) | Op::Conv(_) => Kind::Contraction,
        Op::Reduce(_) | Op::ReduceWindow(_) | Op::WindowArgmax(_) => Kind::Reduction,
        Op::Map(_) | Op::RngBits(_) => Kind::Map,
        Op::Call(_) | Op::Gradient(_) => Kind::Call,
        _ => Kind::Move,
    }
}

/// How many boxes the picture of a graph has.
pub fn boxes(graph: &Graph) -> usize {
    pictures(graph).iter().map(|p| p.boxes.len()).sum()
}
