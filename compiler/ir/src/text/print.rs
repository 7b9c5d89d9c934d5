//! Graph to text.

use std::fmt::{self, Write};

use super::{Blobs, MAX_INLINE, blob_name};
use crate::op::Constant;
use crate::{Def, Function, FunctionKind, Graph, Node, Op, Preparation, ResultRole, Role, Scalar, Tensor, Value};

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Functions(self))?;
        for (name, tensor) in Blobs::of(self).iter() {
            write!(f, "\nblob \"{name}\" = ")?;
            elements(f, tensor)?;
            writeln!(f, " : {}", tensor.ty())?;
        }
        Ok(())
    }
}

/// Prints the functions of a graph, and its preparation.
pub(super) struct Functions<'a>(pub &'a Graph);

impl fmt::Display for Functions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, function) in self.0.functions().enumerate() {
            if i > 0 {
                f.write_char('\n')?;
            }
            write!(f, "{function}")?;
        }
        if let Some(Preparation { func, lossless }) = &self.0.preparation {
            write!(f, "\nprepare {func}")?;
            if let Some(lossless) = lossless {
                write!(f, " lossless {lossless}")?;
            }
            f.write_char('\n')?;
        }
        Ok(())
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let printer = Printer::new(self);
        printer.header(f)?;
        for (id, node, op) in self.ops() {
            printer.node(f, printer.numbers[id.index()], node, op)?;
        }
        f.write_str("  return")?;
        for (i, result) in self.results.iter().enumerate() {
            f.write_str(if i > 0 { ", " } else { " " })?;
            printer.value(f, result.value)?;
        }
        f.write_str("\n}\n")
    }
}

struct Printer<'a> {
    function: &'a Function,
    /// For each node its number in the text, or that of the argument.
    numbers: Vec<usize>,
}

impl<'a> Printer<'a> {
    fn new(function: &'a Function) -> Self {
        let mut next = 0;
        let number = |node: &Node| match node.def {
            Def::Argument(i) => i,
            Def::Op(_) => {
                next += 1;
                next - 1
            }
        };
        Printer { function, numbers: function.nodes().map(|(_, n)| n).map(number).collect() }
    }

    fn header(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.function.kind {
            FunctionKind::Func => "func",
            FunctionKind::Kernel => "kernel",
        };
        write!(f, "{kind} {}(", self.function.name)?;
        for (i, arg) in self.function.args().iter().enumerate() {
            write!(f, "{}%{}: {}", if i > 0 { ", " } else { "" }, arg.name, arg.ty)?;
            match &arg.role {
                Role::Plain => {}
                Role::Input => f.write_str(" input")?,
                Role::Param { name, trainable } => {
                    f.write_str(" param ")?;
                    string(f, name)?;
                    f.write_str(if *trainable { "" } else { " frozen" })?;
                }
                Role::State { name } => {
                    f.write_str(" state ")?;
                    string(f, name)?;
                }
                Role::Key => f.write_str(" key")?,
            }
        }
        f.write_str(") -> ")?;
        self.results(f)?;
        if let Some(vjp) = &self.function.vjp {
            write!(f, " vjp {vjp}")?;
        }
        f.write_str(" {\n")
    }

    fn results(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.function.results.as_slice()
            && only.name.is_none()
            && only.role == ResultRole::Output
        {
            return write!(f, "{}", self.function.ty(only.value));
        }
        f.write_char('(')?;
        for (i, result) in self.function.results.iter().enumerate() {
            f.write_str(if i > 0 { ", " } else { "" })?;
            if let Some(name) = &result.name {
                if is_name(name) {
                    f.write_str(name)?
                } else {
                    string(f, name)?
                }
                f.write_str(": ")?;
            }
            write!(f, "{}", self.function.ty(result.value))?;
            match result.role {
                ResultRole::Output => {}
                ResultRole::Update(arg) => write!(f, " update %{}", self.function.args()[arg].name)?,
                ResultRole::Check => f.write_str(" check")?,
            }
        }
        f.write_char(')')
    }

    fn node(&self, f: &mut fmt::Formatter<'_>, number: usize, node: &Node, op: &Op) -> fmt::Result {
        write!(f, "  %{number}")?;
        if node.types.len() != 1 {
            write!(f, ":{}", node.types.len())?;
        }
        write!(f, " = {}", op.mnemonic())?;
        if let Op::Constant(Constant { value }) = op {
            f.write_char(' ')?;
            literal(f, value)?;
        }
        for (i, &operand) in node.operands.iter().enumerate() {
            f.write_str(if i > 0 { ", " } else { " " })?;
            self.value(f, operand)?;
        }
        let attrs = op.attrs();
        if !attrs.is_empty() {
            f.write_str(" {")?;
            for (i, (name, attr)) in attrs.iter().enumerate() {
                write!(f, "{}{name}={attr}", if i > 0 { ", " } else { "" })?;
            }
            f.write_char('}')?;
        }
        f.write_str(" :")?;
        for (i, ty) in node.types.iter().enumerate() {
            write!(f, "{} {ty}", if i > 0 { "," } else { "" })?;
        }
        f.write_char('\n')
    }

    fn value(&self, f: &mut fmt::Formatter<'_>, value: Value) -> fmt::Result {
        let node = self.function.node(value.node);
        let number = self.numbers[value.node.index()];
        match node.def {
            Def::Argument(i) => write!(f, "%{}", self.function.args()[i].name),
            Def::Op(_) if node.types.len() == 1 => write!(f, "%{number}"),
            Def::Op(_) => write!(f, "%{number}.{}", value.result),
        }
    }
}

/// Whether a string can be printed as a name without quotes.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A quoted string; the lexer knows the same escapes.
fn string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            c if c.is_control() => write!(f, "\\u{{{:x}}}", c as u32)?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

fn literal(f: &mut fmt::Formatter<'_>, tensor: &Tensor) -> fmt::Result {
    if tensor.len() > MAX_INLINE {
        return write!(f, "blob(\"{}\")", blob_name(tensor));
    }
    if tensor.ty().rank() == 0 {
        return element(f, tensor, 0);
    }
    elements(f, tensor)
}

fn elements(f: &mut fmt::Formatter<'_>, tensor: &Tensor) -> fmt::Result {
    f.write_char('[')?;
    for i in 0..tensor.len() {
        // only blobs take more than one line
        f.write_str(if i == 0 {
            ""
        } else if i % MAX_INLINE == 0 {
            ",\n  "
        } else {
            ", "
        })?;
        element(f, tensor, i)?;
    }
    f.write_char(']')
}

/// Prints one element without losing bits. A NaN other than the canonical one is printed as its bits.
fn element(f: &mut fmt::Formatter<'_>, tensor: &Tensor, i: usize) -> fmt::Result {
    if let Some(v) = tensor.as_slice::<f32>() {
        let x = v[i];
        let odd = x.is_nan() && x.to_bits() != f32::NAN.to_bits();
        return if odd { write!(f, "nan:{:#x}", x.to_bits()) } else { float(f, f64::from(x), &format!("{x:?}")) };
    }
    if let Some(v) = tensor.as_slice::<f64>() {
        let x = v[i];
        let odd = x.is_nan() && x.to_bits() != f64::NAN.to_bits();
        return if odd { write!(f, "nan:{:#x}", x.to_bits()) } else { float(f, x, &format!("{x:?}")) };
    }
    match tensor.get(i) {
        Scalar::Float(x) => write!(f, "{x:?}"),
        Scalar::Int(x) => write!(f, "{x}"),
        Scalar::Bool(x) => write!(f, "{x}"),
    }
}

fn float(f: &mut fmt::Formatter<'_>, x: f64, shortest: &str) -> fmt::Result {
    f.write_str(if x.is_nan() { "nan" } else { shortest })
}
