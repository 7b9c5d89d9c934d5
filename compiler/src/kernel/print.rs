//! The text form of kernels, as `--emit=kernels` shows it.

use std::fmt::{self, Write};

use super::ir::*;

/// Prints a kernel under a name.
pub fn kernel(name: &str, kernel: &Kernel) -> String {
    let mut printer = Printer { kernel, consts: constants(kernel), out: String::new(), depth: 1 };
    printer.kernel(name).expect("writing to a string does not fail");
    printer.out
}

/// The statements of a kernel in order, each with its first line. Constants are written where they are used, and have none.
pub fn statements(kernel: &Kernel) -> Vec<(&Stmt, String)> {
    fn walk<'k>(printer: &mut Printer<'_>, block: &'k Block, found: &mut Vec<(&'k Stmt, String)>) {
        for stmt in block {
            let inner: &[&Block] = match stmt {
                Stmt::Let(_, Inst::Const(_)) => continue,
                Stmt::Let(..) | Stmt::Store(..) | Stmt::Check(..) => &[],
                Stmt::Loop(l) => &[&l.body],
                Stmt::If(i) => &[&i.then, &i.otherwise],
            };
            printer.first_line(stmt).expect("writing to a string does not fail");
            let line = std::mem::take(&mut printer.out);
            found.push((stmt, line.trim_end_matches([' ', '{']).to_owned()));
            inner.iter().for_each(|block| walk(printer, block, found));
        }
    }
    let mut printer = Printer { kernel, consts: constants(kernel), out: String::new(), depth: 0 };
    let mut found = vec![];
    walk(&mut printer, &kernel.body, &mut found);
    found
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&kernel("kernel", self))
    }
}

impl fmt::Display for Ty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lanes {
            1 => f.write_str(self.elem.name()),
            n => write!(f, "{}x{n}", self.elem.name()),
        }
    }
}

impl fmt::Display for Const {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Const::F32(bits) => write!(f, "{:?}", f32::from_bits(bits)),
            Const::F64(bits) => write!(f, "{:?}", f64::from_bits(bits)),
            Const::I32(x) => write!(f, "{x}"),
            Const::I64(x) => write!(f, "{x}"),
            Const::Bool(x) => write!(f, "{x}"),
        }
    }
}

/// Constants are printed at their uses.
fn constants(kernel: &Kernel) -> Vec<Option<Const>> {
    fn walk(block: &Block, consts: &mut [Option<Const>]) {
        for stmt in block {
            match stmt {
                Stmt::Let(val, Inst::Const(c)) => consts[val.0 as usize] = Some(*c),
                Stmt::Loop(l) => walk(&l.body, consts),
                Stmt::If(i) => {
                    walk(&i.then, consts);
                    walk(&i.otherwise, consts);
                }
                _ => {}
            }
        }
    }
    let mut consts = vec![None; kernel.values.len()];
    walk(&kernel.body, &mut consts);
    consts
}

struct Printer<'a> {
    kernel: &'a Kernel,
    consts: Vec<Option<Const>>,
    out: String,
    depth: usize,
}

impl Printer<'_> {
    fn kernel(&mut self, name: &str) -> fmt::Result {
        let k = self.kernel;
        write!(self.out, "kernel @{name}(")?;
        for (i, op) in k.operands.iter().enumerate() {
            let mode = match op.mode {
                AccessMode::Read => "",
                AccessMode::Write => "out ",
                AccessMode::Stream => "stream ",
                AccessMode::ReadWrite => "inout ",
            };
            let comma = if i > 0 { ", " } else { "" };
            write!(self.out, "{comma}{mode}%b{i}: {}[{}]", op.dtype, op.elements)?;
        }
        writeln!(self.out, ") chunks {} {{", k.chunks)?;
        for (i, s) in k.scratch.iter().enumerate() {
            writeln!(self.out, "  scratch %s{i}: {}[{}]", s.dtype, s.elements)?;
        }
        for (i, t) in k.tables.iter().enumerate() {
            writeln!(self.out, "  table %t{i}: {}[{}]", t.dtype, t.bytes.len() / t.dtype.size())?;
        }
        self.block(&k.body)?;
        self.out.push_str("}\n");
        Ok(())
    }

    fn val(&self, val: Val) -> String {
        match (val, self.consts[val.0 as usize]) {
            (_, Some(c)) => c.to_string(),
            (Kernel::BEGIN, _) => "%begin".to_owned(),
            (Kernel::END, _) => "%end".to_owned(),
            _ => format!("%{}", val.0),
        }
    }

    fn buf(&self, buf: Buf) -> String {
        match self.kernel.buffer(buf) {
            BufKind::Operand(i) => format!("%b{i}"),
            BufKind::Scratch(i) => format!("%s{i}"),
            BufKind::Table(i) => format!("%t{i}"),
        }
    }

    fn access(&self, access: &Access) -> String {
        let mut text = format!("{}[{}", self.buf(access.buf), self.address(access.index, access.offset));
        if access.stride != 1 {
            let _ = write!(text, " by {}", access.stride);
        }
        text.push(']');
        if let Some(active) = access.active {
            let word = if self.kernel.ty(active).elem == Elem::Bool { "where" } else { "first" };
            let _ = write!(text, " {word} {}", self.val(active));
        }
        text
    }

    fn address(&self, index: Val, offset: i64) -> String {
        match (self.consts[index.0 as usize], offset) {
            (Some(Const::I64(c)), _) => (c + offset).to_string(),
            (_, 0) => self.val(index),
            (_, 1..) => format!("{} + {offset}", self.val(index)),
            _ => format!("{} - {}", self.val(index), -offset),
        }
    }

    fn line(&mut self) {
        self.out.extend(std::iter::repeat_n("  ", self.depth));
    }

    fn nested(&mut self, block: &Block) -> fmt::Result {
        self.depth += 1;
        self.block(block)?;
        self.depth -= 1;
        Ok(())
    }

    fn block(&mut self, block: &Block) -> fmt::Result {
        for stmt in block {
            if matches!(stmt, Stmt::Let(_, Inst::Const(_))) {
                continue;
            }
            self.line();
            self.first_line(stmt)?;
            self.out.push('\n');
            match stmt {
                Stmt::Let(..) | Stmt::Store(..) | Stmt::Check(..) => {}
                Stmt::Loop(l) => self.repeat(l)?,
                Stmt::If(i) => self.branch(i)?,
            }
        }
        Ok(())
    }

    /// The statement, up to the block that follows, if one does.
    fn first_line(&mut self, stmt: &Stmt) -> fmt::Result {
        match stmt {
            Stmt::Let(val, inst) => {
                let text = self.inst(inst);
                write!(self.out, "%{} = {text} : {}", val.0, self.kernel.ty(*val))
            }
            Stmt::Store(access, value) => {
                let (to, what) = (self.access(access), self.val(*value));
                write!(self.out, "store {to}, {what} : {}", self.kernel.ty(*value))
            }
            Stmt::Check(cond, status) => {
                let cond = self.val(*cond);
                write!(self.out, "check {cond} else {status}")
            }
            Stmt::Loop(l) => self.head_of_loop(l),
            Stmt::If(i) => self.head_of_branch(i),
        }
    }

    fn head_of_loop(&mut self, l: &Loop) -> fmt::Result {
        if !l.carried.is_empty() {
            let results: Vec<String> = l.carried.iter().map(|c| format!("%{}", c.result.0)).collect();
            write!(self.out, "{} = ", results.join(", "))?;
        }
        let (begin, end) = (self.val(l.begin), self.val(l.end));
        write!(self.out, "{} %{} in {begin}..{end}", if l.unroll { "unroll" } else { "for" }, l.var.0)?;
        if l.step != 1 {
            write!(self.out, " by {}", l.step)?;
        }
        if !l.carried.is_empty() {
            let args: Vec<String> = l.carried.iter().map(|c| format!("%{} = {}", c.arg.0, self.val(c.init))).collect();
            write!(self.out, " with {}", args.join(", "))?;
        }
        self.out.push_str(" {");
        Ok(())
    }

    fn repeat(&mut self, l: &Loop) -> fmt::Result {
        self.nested(&l.body)?;
        self.yields(l.carried.iter().map(|c| c.next))?;
        self.line();
        self.out.push_str("}\n");
        Ok(())
    }

    fn yields(&mut self, vals: impl Iterator<Item = Val>) -> fmt::Result {
        let vals: Vec<String> = vals.map(|v| self.val(v)).collect();
        if !vals.is_empty() {
            self.line();
            writeln!(self.out, "  yield {}", vals.join(", "))?;
        }
        Ok(())
    }

    fn head_of_branch(&mut self, i: &If) -> fmt::Result {
        if !i.results.is_empty() {
            let results: Vec<String> = i.results.iter().map(|m| format!("%{}", m.result.0)).collect();
            write!(self.out, "{} = ", results.join(", "))?;
        }
        let cond = self.val(i.cond);
        write!(self.out, "if {cond}{} {{", if i.is_rare { " rarely" } else { "" })
    }

    fn branch(&mut self, i: &If) -> fmt::Result {
        self.nested(&i.then)?;
        self.yields(i.results.iter().map(|m| m.then))?;
        if !i.otherwise.is_empty() || !i.results.is_empty() {
            self.line();
            self.out.push_str("} else {\n");
            self.nested(&i.otherwise)?;
            self.yields(i.results.iter().map(|m| m.otherwise))?;
        }
        self.line();
        self.out.push_str("}\n");
        Ok(())
    }

    fn inst(&self, inst: &Inst) -> String {
        let v = |val: Val| self.val(val);
        match *inst {
            Inst::Const(c) => c.to_string(),
            Inst::Iota => "iota".to_owned(),
            Inst::Unary(op, x) => format!("{} {}", format!("{op:?}").to_lowercase(), v(x)),
            Inst::Binary(op, x, y) => format!("{} {}, {}", format!("{op:?}").to_lowercase(), v(x), v(y)),
            Inst::Fma(a, b, c) => format!("fma {}, {}, {}", v(a), v(b), v(c)),
            Inst::DivFloor(x, d) => format!("div_floor {}, {d}", v(x)),
            Inst::Mod(x, d) => format!("mod {}, {d}", v(x)),
            Inst::Compare(op, x, y) => format!("{} {}, {}", format!("{op:?}").to_lowercase(), v(x), v(y)),
            Inst::Select(c, x, y) => format!("select {}, {}, {}", v(c), v(x), v(y)),
            Inst::Convert(x) => format!("convert {}", v(x)),
            Inst::Bitcast(x) => format!("bitcast {}", v(x)),
            Inst::Splat(x) => format!("splat {}", v(x)),
            Inst::Lane(x, lane) => format!("lane {}, {lane}", v(x)),
            Inst::Half(x, upper) => format!("{} {}", if upper { "upper" } else { "lower" }, v(x)),
            Inst::Interleave(x, y, upper) => {
                format!("interleave_{} {}, {}", if upper { "upper" } else { "lower" }, v(x), v(y))
            }
            Inst::Any(x) => format!("any {}", v(x)),
            Inst::Load(ref access) => format!("load {}", self.access(access)),
            Inst::Gather { buf, index, offset } => {
                format!("gather {}[{}]", self.buf(buf), self.address(index, offset))
            }
        }
    }
}
