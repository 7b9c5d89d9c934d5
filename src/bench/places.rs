//! What each step of a program computes, and which lines of the source it comes from.

use std::collections::HashMap;
use std::path::Path;

use dlc_compiler::options::Options;
use dlc_compiler::passes::{self, Optimized};
use dlc_compiler::pipeline::{self, Site};
use dlc_compiler::work::Work;
use dlc_ir::op::{Call, Conv, Dot};
use dlc_ir::{Function, Graph, Loc, NodeId, Op, Symbol};
use indexmap::IndexMap;

use super::Subject;
use crate::{Error, Model};

/// A line of a source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Line {
    pub file: String,
    pub number: usize,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.number)
    }
}

/// A node of the optimised program: what its steps have in common.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    /// What it computes, for people: `conv 3x3 64 bias relu`.
    pub label: String,
    /// The lines that it comes from, in their order.
    pub lines: Vec<Line>,
    /// The work of all of its launches together.
    pub work: Work,
}

/// What a step launches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StepLaunch {
    /// The number of its place.
    pub place: usize,
    /// The number of its kernel.
    pub kernel: usize,
}

/// The places of a program.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// All of them.
    pub places: Vec<Place>,
    /// For each step of the program what it launches; none if it calls a routine.
    pub of_step: Vec<Option<StepLaunch>>,
    /// The names of the kernels, as `--emit=kernels` prints them.
    pub kernels: Vec<String>,
}

impl Places {
    /// Those of the program that a subject runs.
    pub fn of(subject: &Subject<'_>) -> Result<Self, Error> {
        let internal = |message: String| Error::plain("internal", message);
        let program = subject.session.program().ok_or_else(|| internal("the program is interpreted".to_owned()))?;
        let options = subject.compiler.options()?;
        let joint = pipeline::differentiate(subject.lowered.clone(), &options)
            .map_err(|e| crate::compile::explain(subject.model, &subject.lowered, &options, e))?;
        // A session may have replaced its program by the one that moves nothing into weights.
        let (options, optimised) = [options.clone(), options.without_moving()]
            .into_iter()
            .map(|options: Options| {
                let optimised = passes::optimize(&joint, &options.for_passes());
                (options, optimised)
            })
            .find(|(_, optimised)| optimised.graph == *program.graph())
            .ok_or_else(|| internal("the program was compiled from another source".to_owned()))?;
        let (graph, sites) = pipeline::sites(program, &options).map_err(|e| internal(e.to_string()))?;
        let mut known: HashMap<(Symbol, NodeId), usize> = HashMap::new();
        let mut places = vec![];
        let mut place_of = |site: &Site| {
            let kernel = site.kernel? as usize;
            let next = places.len();
            // a copy is a place of its own
            let at = site.node.map_or(next, |node| *known.entry((site.function.clone(), node)).or_insert(next));
            if at == next {
                places.push(place(subject.model, &graph, &optimised, site));
            }
            Some(StepLaunch { place: at, kernel })
        };
        let of_step = sites.iter().map(&mut place_of).collect();
        Ok(Places { places, of_step, kernels: program.kernels().names.clone() })
    }
}

fn place(model: &Model, graph: &Graph, optimised: &Optimized, site: &Site) -> Place {
    let function = graph.function(&site.function).expect("its routine is of a function of the graph");
    let Some(id) = site.node else { return Place { label: "copy".to_owned(), lines: vec![], work: site.work } };
    let at = function.node(id).loc;
    let members = optimised.provenance.locs(&site.function, id).iter().copied();
    let known = std::iter::once(at).chain(members).filter(|loc: &Loc| loc.is_known());
    let mut lines: Vec<Line> = known.filter_map(|loc| line(model, loc)).collect();
    lines.sort();
    lines.dedup();
    let label = match function.op(id) {
        Some(Op::Call(Call { func, .. })) => graph.function(func).map_or_else(|| func.to_string(), label),
        Some(op) => op.mnemonic().to_owned(),
        None => String::new(),
    };
    Place { label, lines, work: site.work }
}

fn line(model: &Model, loc: Loc) -> Option<Line> {
    let position = model.locate(crate::model::span(loc));
    let mut parts = position.rsplitn(3, ':');
    let (_, number, file) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Line { file: file.to_owned(), number: number.parse().ok()? })
}

/// What a kernel computes: the words of its name, with the sizes of its first product.
fn label(kernel: &Function) -> String {
    let name = kernel.name.as_str();
    let number = name.rsplit_once('_').filter(|(_, end)| !end.is_empty() && end.bytes().all(|b| b.is_ascii_digit()));
    let words = number.map_or(name, |(name, _)| name);
    let mut sizes = kernel.ops().find_map(|(_, node, op)| {
        let operand = |i: usize| &kernel.ty(node.operands[i]).shape;
        match op {
            Op::Conv(Conv { .. }) => {
                let window: Vec<String> = operand(1).iter().skip(2).map(ToString::to_string).collect();
                Some(("conv", format!("conv {} {}", window.join("x"), operand(1).first()?)))
            }
            Op::Dot(dot) => Some(("dot", format!("dot {}", dot_sizes(dot, operand(0), operand(1))))),
            _ => None,
        }
    });
    let mut text: Vec<String> = vec![];
    for word in words.split('_') {
        match sizes.take() {
            Some((of, sized)) if of == word => text.push(sized),
            other => {
                sizes = other;
                text.push(word.to_owned());
            }
        }
    }
    text.join(" ")
}

/// Rows, depth and columns of a product: `64x784x128`, and before them, if it is one of several, their number.
fn dot_sizes(dot: &Dot, x: &[usize], y: &[usize]) -> String {
    let product = |axes: &mut dyn Iterator<Item = usize>| axes.product::<usize>();
    let depth = product(&mut dot.lhs.iter().map(|&axis| x[axis]));
    let batch = product(&mut dot.lhs_batch.iter().map(|&axis| x[axis]));
    let others = |shape: &[usize], used: [&[usize]; 2]| {
        let free = (0..shape.len()).filter(|axis| !used.iter().any(|axes| axes.contains(axis)));
        free.map(|axis| shape[axis]).product::<usize>()
    };
    let (rows, columns) = (others(x, [&dot.lhs, &dot.lhs_batch]), others(y, [&dot.rhs, &dot.rhs_batch]));
    let many = if batch > 1 { format!("{batch}x") } else { String::new() };
    format!("{many}{rows}x{depth}x{columns}")
}

/// The lines of one file after its name, which is the last part of its path: `resnet18.dl:3,5`. Of many, the first few.
pub(super) fn shown(lines: &[Line]) -> String {
    const MOST: usize = 3;
    let mut files: IndexMap<&str, Vec<usize>> = IndexMap::new();
    for line in lines {
        files.entry(&line.file).or_default().push(line.number);
    }
    let of_file = |(file, numbers): (&&str, &Vec<usize>)| {
        let mut shown: Vec<String> = numbers.iter().take(MOST).map(ToString::to_string).collect();
        if numbers.len() > MOST {
            shown.push("…".to_owned());
        }
        let name = Path::new(file).file_name().map_or((*file).into(), |name| name.to_string_lossy());
        format!("{name}:{}", shown.join(","))
    };
    files.iter().map(of_file).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kernel: &str) -> String {
        let graph: Graph = kernel.parse().unwrap_or_else(|e| panic!("{e}\n{kernel}"));
        label(graph.entry())
    }

    #[test]
    fn labels_have_the_sizes_of_products() {
        let dot = "func @dot_bias_relu_12(%x: f32[8,5] input, %w: f32[5,3] input) -> (\"y\": f32[8,3]) {\n  \
            %0 = dot %x, %w {lhs=[1], rhs=[0], lhs_batch=[], rhs_batch=[]} : f32[8,3]\n  return %0\n}\n";
        assert_eq!(of(dot), "dot 8x5x3 bias relu");
        let batched = "func @dot(%x: f32[4,8,5] input, %w: f32[4,5,3] input) -> (\"y\": f32[4,8,3]) {\n  \
            %0 = dot %x, %w {lhs=[2], rhs=[1], lhs_batch=[0], rhs_batch=[0]} : f32[4,8,3]\n  return %0\n}\n";
        assert_eq!(of(batched), "dot 4x8x5x3");
        let conv = "func @conv_bias(%x: f32[1,2,8,9] input, %k: f32[4,2,3,2] input) -> (\"y\": f32[1,4,6,8]) {\n  \
            %0 = conv %x, %k {stride=[1,1], low=[0,0], high=[0,0], x_dilation=[1,1], kernel_dilation=[1,1], feature_groups=1, \
            batch_groups=1} : f32[1,4,6,8]\n  return %0\n}\n";
        assert_eq!(of(conv), "conv 3x2 4 bias");
        assert_eq!(of("func @expm1(%x: f32[2] input) -> (\"y\": f32[2]) {\n  return %x\n}\n"), "expm1");
    }

    #[test]
    fn lines_are_listed_by_file() {
        let line = |file: &str, number| Line { file: file.to_owned(), number };
        let lines = [line("a/m.dl", 3), line("a/m.dl", 5), line("b.dl", 1)];
        assert_eq!(shown(&lines), "m.dl:3,5 b.dl:1");
        assert_eq!(shown(&[1, 2, 3, 4].map(|n| line("m.dl", n))), "m.dl:1,2,3,…");
    }
}
