//! Prints expressions with the parentheses they need and no others.

use super::stmts_text;
use crate::ast::*;

/// Precedences beyond [`BinaryOp::precedence`]: of a position that takes any expression, and of one that takes a postfix expression.
const ANY: u8 = 0;
const POWER: u8 = 8;
const NAMED: u8 = 9;
const POSTFIX: u8 = 10;

pub(crate) fn expr_text(expr: &Expr) -> String {
    text(expr, ANY)
}

/// Prints an expression, in parentheses if its precedence is lower than `least`.
fn text(expr: &Expr, least: u8) -> String {
    let (inner, precedence) = bare(expr);
    if precedence < least { format!("({inner})") } else { inner }
}

/// The expression without parentheses, and its precedence.
fn bare(expr: &Expr) -> (String, u8) {
    use ExprKind::*;
    match &expr.kind {
        Int(value) => (value.to_string(), POSTFIX),
        Float(value) => (float_text(*value), POSTFIX),
        Bool(value) => (value.to_string(), POSTFIX),
        None => ("none".to_owned(), POSTFIX),
        Str(value) => (quoted(value), POSTFIX),
        Name(name) => (name.clone(), POSTFIX),
        List(parts) => (format!("[{}]", list(parts)), POSTFIX),
        Tuple(parts) => (format!("({})", list(parts)), POSTFIX),
        Map(entries) if entries.is_empty() => ("{}".to_owned(), POSTFIX),
        Map(entries) => {
            let entries: Vec<_> = entries.iter().map(|(k, v)| format!("{}: {}", expr_text(k), expr_text(v))).collect();
            (format!("{{ {} }}", entries.join(", ")), POSTFIX)
        }
        Unary { op: UnaryOp::Neg, operand } => (format!("-{}", text(operand, NEG)), NEG),
        Unary { op: UnaryOp::Not, operand } => (format!("not {}", text(operand, NOT)), NOT),
        Binary { first, rest } => {
            let precedence = rest.first().map_or(ANY, |operation| operation.op.precedence());
            // Comparisons are non-associative, `**` is right-associative, all others are left-associative.
            let (left, right) = match precedence {
                POWER => (NAMED, NEG),
                _ => (precedence + u8::from(rest.iter().any(|o| o.op.is_comparison())), precedence + 1),
            };
            let mut out = text(first, left);
            for operation in rest {
                out.push_str(&format!(" {} {}", operation.op.symbol(), text(&operation.right, right)));
            }
            (out, precedence)
        }
        // `as` binds tighter than any operator, but no postfix may follow its name.
        Call(call) => (call_text(call, true), if call.name.is_some() { NAMED } else { POSTFIX }),
        Pipe { head, steps } => {
            let steps: Vec<_> = steps.iter().map(|step| format!(" |> {}", call_text(step, false))).collect();
            (format!("{}{}", pipe_head_text(head), steps.concat()), ANY)
        }
        Field { base, field } => (format!("{}.{}", text(base, POSTFIX), field.name), POSTFIX),
        Index { base, items } => {
            let items: Vec<_> = items.iter().map(index_text).collect();
            (format!("{}[{}]", text(base, POSTFIX), items.join(", ")), POSTFIX)
        }
        If(chain) => (chain_text("if", chain), ANY),
        Cond(chain) => (chain_text("cond", chain), ANY),
        Scan(scan) => (format!("scan {} {}", scan_header(scan), block_text(&scan.body)), ANY),
    }
}

/// A block in an expression, on one line where possible, as strings require.
fn block_text(block: &Block) -> String {
    let stmts = stmts_text(block);
    if fits_one_line(block) {
        let words: Vec<_> = stmts.lines().map(str::trim).collect();
        format!("{{ {} }}", words.join(" "))
    } else {
        format!("{{\n{stmts}}}")
    }
}

fn fits_one_line(block: &Block) -> bool {
    let inner = |stmt: &Stmt| match &stmt.kind {
        StmtKind::If(chain) | StmtKind::Cond(chain) => {
            chain.arms.iter().map(|(_, block)| block).chain(&chain.otherwise).all(fits_one_line)
        }
        StmtKind::Repeat(Repeat { body, .. }) | StmtKind::Scan(Scan { body, .. }) | StmtKind::While { body, .. } => {
            fits_one_line(body)
        }
        _ => true,
    };
    block.stmts.len() < 2 && block.stmts.iter().all(|stmt| stmt.docs.lines.is_empty() && inner(stmt))
}

/// The head of a pipe: a postfix expression or a named call needs no parentheses.
pub(super) fn pipe_head_text(head: &Expr) -> String {
    text(head, NAMED)
}

fn chain_text(word: &str, chain: &If<Expr>) -> String {
    let mut out = String::new();
    for (i, (condition, value)) in chain.arms.iter().enumerate() {
        out.push_str(if i > 0 { " else " } else { "" });
        out.push_str(&format!("{word} {} {{ {} }}", expr_text(condition), expr_text(value)));
    }
    if let Some(value) = &chain.otherwise {
        out.push_str(&format!(" else {{ {} }}", expr_text(value)));
    }
    out
}

/// What follows `scan`.
pub(crate) fn scan_header(scan: &Scan) -> String {
    let axis = scan.axis.as_ref().map(|axis| format!(" over {}", expr_text(axis))).unwrap_or_default();
    format!("{} in {}{axis}", pattern_text(&scan.pattern), expr_text(&scan.xs))
}

fn list(parts: &[Expr]) -> String {
    parts.iter().map(expr_text).collect::<Vec<_>>().join(", ")
}

fn index_text(item: &IndexItem) -> String {
    match item {
        IndexItem::At(expr) => expr_text(expr),
        IndexItem::Stretch(_) => "_".to_owned(),
        IndexItem::Rest(_) => "...".to_owned(),
        IndexItem::Slice { start, end, step, .. } => {
            let part = |x: &Option<Box<Expr>>| x.as_ref().map(|x| expr_text(x)).unwrap_or_default();
            let step = step.as_ref().map(|step| format!(":{}", expr_text(step))).unwrap_or_default();
            format!("{}:{}{step}", part(start), part(end))
        }
    }
}

/// Prints a call; `brackets` keeps the parentheses of an empty argument list.
pub(super) fn call_text(call: &Call, brackets: bool) -> String {
    let args = if brackets && call.args.is_empty() { "()".to_owned() } else { args_text(&call.args) };
    let name = call.name.as_ref().map(|name| format!(" as {}", instance_name_text(name))).unwrap_or_default();
    format!("{}{args}{name}", call.callee.name)
}

/// Arguments in parentheses, if there are any.
pub(super) fn args_text(args: &[Arg]) -> String {
    if args.is_empty() {
        return String::new();
    }
    let arg = |arg: &Arg| match &arg.name {
        Some(name) => format!("{}: {}", name.name, expr_text(&arg.value)),
        None => expr_text(&arg.value),
    };
    format!("({})", args.iter().map(arg).collect::<Vec<_>>().join(", "))
}

/// An attribute without its `@`.
pub(crate) fn attribute_text(attribute: &Attribute) -> String {
    format!("{}{}", attribute.name.name, args_text(&attribute.args))
}

pub(crate) fn instance_name_text(name: &InstanceName) -> String {
    match &name.kind {
        InstanceNameKind::Word(word) => word.clone(),
        InstanceNameKind::Text(text) => quoted(text),
        InstanceNameKind::Inline => "_".to_owned(),
    }
}

pub(crate) fn pattern_text(pattern: &Pattern) -> String {
    match &pattern.kind {
        PatternKind::Name(name) => name.name.clone(),
        PatternKind::Ignore => "_".to_owned(),
        PatternKind::Tuple(parts) => format!("({})", parts.iter().map(pattern_text).collect::<Vec<_>>().join(", ")),
    }
}

pub(crate) fn type_text(ty: &Type) -> String {
    match &ty.kind {
        TypeKind::Data { dtype, dims } => {
            let dim = |dim: &Dim| match dim {
                Dim::Rest(_) => "...".to_owned(),
                Dim::Stretch(_) => "_".to_owned(),
                Dim::Size(expr) => expr_text(expr),
            };
            let dims = dims.iter().map(dim).collect::<Vec<_>>().join(", ");
            format!("{}[{dims}]", dtype.as_ref().map_or("", |dtype| &dtype.name))
        }
        TypeKind::Value { name, of, optional } => {
            let of = of.as_ref().map(|of| format!("({})", type_text(of))).unwrap_or_default();
            format!("{}{of}{}", name.name, if *optional { "?" } else { "" })
        }
    }
}

/// The shortest spelling that parses as the same float, and not as an integer.
fn float_text(value: f64) -> String {
    let (plain, exponent) = (format!("{value:?}"), format!("{value:e}"));
    if exponent.len() < plain.len() && exponent.contains('e') { exponent } else { plain }
}

/// The string in quotation marks.
pub(super) fn quoted(value: &Str) -> String {
    format!("\"{}\"", inside(value, true))
}

/// The inside of the string, with quotation marks and line ends unescaped.
pub(crate) fn str_body(value: &Str) -> String {
    inside(value, false)
}

fn inside(value: &Str, quoted: bool) -> String {
    let push = |out: &mut String, c: char| match c {
        '\\' | '{' | '}' => out.extend(['\\', c]),
        '"' if quoted => out.push_str("\\\""),
        '\n' if quoted => out.push_str("\\n"),
        '\r' if quoted => out.push_str("\\r"),
        '\t' if quoted => out.push_str("\\t"),
        _ => out.push(c),
    };
    let mut out = String::new();
    for part in &value.parts {
        match part {
            StrPart::Expr(expr) => out.push_str(&format!("{{{}}}", expr_text(expr))),
            StrPart::Text(text) => text.chars().for_each(|c| push(&mut out, c)),
        }
    }
    out
}
