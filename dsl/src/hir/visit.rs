//! Walks over expressions in the order of the text.

use crate::ast::*;

/// Calls `f` on an expression and all within it, outer ones first. Calls in a pipe come as [`Part::Call`].
pub fn expr<'a>(e: &'a Expr, f: &mut dyn FnMut(Part<'a>)) {
    f(Part::Expr(e));
    match &e.kind {
        ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_) | ExprKind::None | ExprKind::Name(_) => {}
        ExprKind::Str(s) => string(s, f),
        ExprKind::List(items) | ExprKind::Tuple(items) => items.iter().for_each(|x| expr(x, f)),
        ExprKind::Map(items) => items.iter().for_each(|(k, v)| {
            expr(k, f);
            expr(v, f);
        }),
        ExprKind::Unary { operand, .. } => expr(operand, f),
        ExprKind::Binary { first, rest } => {
            expr(first, f);
            rest.iter().for_each(|operation| expr(&operation.right, f));
        }
        ExprKind::Call(c) => call(c, f),
        ExprKind::Pipe { head, steps } => {
            expr(head, f);
            steps.iter().for_each(|c| call(c, f));
        }
        ExprKind::Field { base, .. } => expr(base, f),
        ExprKind::Index { base, items } => {
            expr(base, f);
            for item in items {
                match item {
                    IndexItem::At(x) => expr(x, f),
                    IndexItem::Slice { start, end, step, .. } => {
                        [start, end, step].into_iter().flatten().for_each(|x| expr(x, f));
                    }
                    IndexItem::Stretch(_) | IndexItem::Rest(_) => {}
                }
            }
        }
        ExprKind::If(x) | ExprKind::Cond(x) => {
            for (condition, arm) in &x.arms {
                expr(condition, f);
                expr(arm, f);
            }
            x.otherwise.iter().for_each(|arm| expr(arm, f));
        }
        ExprKind::Scan(s) => {
            expr(&s.xs, f);
            block(&s.body, f);
        }
    }
}

/// What a walk meets.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// An expression.
    Expr(&'a Expr),
    /// A call, also one in a pipe.
    Call(&'a Call),
    /// The call of a `layer`, without its data.
    Layer(&'a Call),
}

fn string<'a>(s: &'a Str, f: &mut dyn FnMut(Part<'a>)) {
    for part in &s.parts {
        if let StrPart::Expr(x) = part {
            expr(x, f);
        }
    }
}

fn call<'a>(c: &'a Call, f: &mut dyn FnMut(Part<'a>)) {
    f(Part::Call(c));
    c.args.iter().for_each(|arg| expr(&arg.value, f));
    if let Some(InstanceName { kind: InstanceNameKind::Text(s), .. }) = &c.name {
        string(s, f);
    }
}

/// Walks over a type's sizes.
pub fn ty<'a>(t: &'a Type, f: &mut dyn FnMut(Part<'a>)) {
    if let TypeKind::Data { dims, .. } = &t.kind {
        for dim in dims {
            if let Dim::Size(x) = dim {
                expr(x, f);
            }
        }
    }
}

/// Walks over all expressions of a block.
pub fn block<'a>(b: &'a Block, f: &mut dyn FnMut(Part<'a>)) {
    for stmt in &b.stmts {
        match &stmt.kind {
            StmtKind::Let { value, .. }
            | StmtKind::Rebind { value, .. }
            | StmtKind::Return { value }
            | StmtKind::Yield { value } => expr(value, f),
            StmtKind::Layer { call: c, .. } => {
                f(Part::Layer(c));
                c.args.iter().for_each(|arg| expr(&arg.value, f));
            }
            StmtKind::Param(w) | StmtKind::State(w) => {
                ty(&w.ty, f);
                w.init.iter().for_each(|x| expr(x, f));
            }
            StmtKind::Assert { condition, message } => {
                expr(condition, f);
                message.iter().for_each(|x| expr(x, f));
            }
            StmtKind::If(x) | StmtKind::Cond(x) => {
                for (condition, arm) in &x.arms {
                    expr(condition, f);
                    block(arm, f);
                }
                x.otherwise.iter().for_each(|arm| block(arm, f));
            }
            StmtKind::Repeat(r) => {
                expr(&r.over, f);
                block(&r.body, f);
            }
            StmtKind::Scan(s) => {
                expr(&s.xs, f);
                block(&s.body, f);
            }
            StmtKind::While { condition, body } => {
                expr(condition, f);
                block(body, f);
            }
        }
    }
}

/// Walks over a definition: defaults, then types, then the body.
pub fn definition<'a>(d: &'a Definition, f: &mut dyn FnMut(Part<'a>)) {
    for param in &d.params {
        ty(&param.ty, f);
        param.default.iter().for_each(|x| expr(x, f));
    }
    body(&d.body, f);
    d.results.iter().for_each(|r| ty(&r.ty, f));
}

/// Walks over a body.
pub fn body<'a>(b: &'a Body, f: &mut dyn FnMut(Part<'a>)) {
    match b {
        Body::Block(b) => block(b, f),
        Body::Expr(e) => expr(e, f),
        Body::Builtin => {}
    }
}

/// Whether an expression mentions a dimension.
pub fn mentions_dimension(e: &Expr) -> bool {
    let mut found = false;
    expr(e, &mut |part| {
        if let Part::Expr(Expr { kind: ExprKind::Name(name), .. }) = part {
            found |= name.starts_with(|c: char| c.is_ascii_uppercase());
        }
    });
    found
}
