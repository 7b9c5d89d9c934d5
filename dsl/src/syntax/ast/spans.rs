//! A visitor of every span of a tree, to compare trees without spans or move them to another source.

use super::*;

/// A node with spans.
pub trait Spans {
    /// Calls `f` on each span in the node.
    fn each_span(&mut self, f: &mut dyn FnMut(&mut Span));
}

impl Spans for Span {
    fn each_span(&mut self, f: &mut dyn FnMut(&mut Span)) {
        f(self);
    }
}

impl<T: Spans> Spans for Vec<T> {
    fn each_span(&mut self, f: &mut dyn FnMut(&mut Span)) {
        self.iter_mut().for_each(|x| x.each_span(f));
    }
}

impl<T: Spans> Spans for Option<T> {
    fn each_span(&mut self, f: &mut dyn FnMut(&mut Span)) {
        self.iter_mut().for_each(|x| x.each_span(f));
    }
}

impl<T: Spans> Spans for Box<T> {
    fn each_span(&mut self, f: &mut dyn FnMut(&mut Span)) {
        (**self).each_span(f);
    }
}

impl<A: Spans, B: Spans> Spans for (A, B) {
    fn each_span(&mut self, f: &mut dyn FnMut(&mut Span)) {
        self.0.each_span(f);
        self.1.each_span(f);
    }
}

impl<A: Spans, B: Spans, C: Spans> Spans for (A, B, C) {
    fn each_span(&mut self, f: &mut dyn FnMut(&mut Span)) {
        self.0.each_span(f);
        self.1.each_span(f);
        self.2.each_span(f);
    }
}

impl<T> Spans for Spanned<T> {
    fn each_span(&mut self, f: &mut dyn FnMut(&mut Span)) {
        f(&mut self.span);
    }
}

impl<T: Spans> Spans for If<T> {
    fn each_span(&mut self, f: &mut dyn FnMut(&mut Span)) {
        self.arms.each_span(f);
        self.otherwise.each_span(f);
    }
}

macro_rules! structs {
    ($($name:ident { $($field:ident),* })*) => {
        $(impl Spans for $name {
            fn each_span(&mut self, f: &mut dyn FnMut(&mut Span)) {
                $(self.$field.each_span(f);)*
            }
        })*
    };
}

structs! {
    Ident { span }
    Attribute { name, args, span }
    File { version, items, span }
    Import { attributes, path, names, span }
    ImportName { name, alias }
    Definition { attributes, name, params, results, body, span }
    Param { attributes, name, ty, default, span }
    ResultDecl { name, ty, span }
    Block { stmts, span }
    Type { kind, span }
    Pattern { kind, span }
    Stmt { attributes, kind, span }
    Weight { name, ty, init }
    Repeat { pattern, over, body }
    Scan { pattern, xs, axis, body }
    Expr { kind, span }
    Operation { op_span, right, span }
    Str { parts }
    Call { callee, args, name, span }
    Arg { name, value, span }
    InstanceName { kind, span }
    Dataset { attributes, name, params, entries, span }
    Train { attributes, name, model, args, entries, span }
    Entry { attributes, kind, span }
}

macro_rules! enums {
    ($($name:ident { $($variant:pat => [$($field:ident),*],)* })*) => {
        $(impl Spans for $name {
            fn each_span(&mut self, f: &mut dyn FnMut(&mut Span)) {
                use $name::*;
                match self {
                    $($variant => { $($field.each_span(f);)* })*
                }
            }
        })*
    };
}

enums! {
    Item { Import(x) => [x], Definition(x) => [x], Dataset(x) => [x], Train(x) => [x], }
    Body { Block(x) => [x], Expr(x) => [x], Builtin => [], }
    TypeKind {
        Data { dtype, dims } => [dtype, dims],
        Value { name, of, optional: _ } => [name, of],
    }
    Dim { Rest(x) | Stretch(x) => [x], Size(x) => [x], }
    PatternKind { Name(x) => [x], Ignore => [], Tuple(x) => [x], }
    StmtKind {
        Let { pattern, value } | Rebind { pattern, value } => [pattern, value],
        Layer { name, call } => [name, call],
        Param(x) | State(x) => [x],
        Assert { condition, message } => [condition, message],
        If(x) | Cond(x) => [x],
        Repeat(x) => [x],
        Scan(x) => [x],
        While { condition, body } => [condition, body],
        Return { value } | Yield { value } => [value],
    }
    ExprKind {
        Int(_) | Float(_) | Bool(_) | None | Name(_) => [],
        Str(x) => [x],
        List(x) | Tuple(x) => [x],
        Map(x) => [x],
        Unary { op: _, operand } => [operand],
        Binary { first, rest } => [first, rest],
        Call(x) => [x],
        Pipe { head, steps } => [head, steps],
        Field { base, field } => [base, field],
        Index { base, items } => [base, items],
        If(x) | Cond(x) => [x],
        Scan(x) => [x],
    }
    StrPart { Text(_) => [], Expr(x) => [x], }
    InstanceNameKind { Word(_) | Inline => [], Text(x) => [x], }
    IndexItem {
        At(x) => [x],
        Slice { start, end, step, span } => [start, end, step, span],
        Stretch(x) | Rest(x) => [x],
    }
    EntryKind {
        Let { pattern, value } => [pattern, value],
        Fit { name, value } => [name, value],
        Field { name, value } => [name, value],
        Update { target, entries } => [target, entries],
    }
}
