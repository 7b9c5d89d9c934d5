//! Checks the results of a definition against its signature, dtype and `...` included.

use super::value::{Data, Value};
use super::{Eval, Lower, Stop};
use crate::hir::{Definition, Dim, Element, Expr, ExprKind, ResultDecl, TypeKind};
use crate::span::Span;

impl<'p> Lower<'p> {
    /// Checks what a definition returns against its signature.
    pub(crate) fn check_results(
        &mut self,
        definition: &'p Definition,
        value: Value<'p>,
        returned: &'p Expr,
    ) -> Eval<Value<'p>> {
        let declared = &definition.results;
        if declared.is_empty() || matches!(value, Value::Poison) {
            return Ok(value);
        }
        let callee = &definition.name.name;
        let values: Vec<Value<'p>> = match (declared.len(), value) {
            (1, value) => vec![value],
            (n, Value::Tuple(values)) if values.len() == n => values.to_vec(),
            (n, other) => {
                let count = if let Value::Tuple(values) = &other { values.len() } else { 1 };
                let message = format!("`{callee}` declares {n} results, but returns {count}");
                let span = declared[0].span.to(declared[n - 1].span);
                let error = self.problem("wrong-count", message, span, "declared here");
                return Err(self.fail(error.secondary(self.at(returned.span), "returned here")));
            }
        };
        let mut checked = vec![];
        for (i, (value, result)) in values.into_iter().zip(declared).enumerate() {
            let span = match &returned.kind {
                ExprKind::Tuple(parts) if parts.len() == declared.len() => parts[i].span,
                _ => returned.span,
            };
            checked.push(self.check_result(callee, result, value, span)?);
        }
        Ok(if checked.len() == 1 { checked.remove(0) } else { Value::Tuple(checked.into()) })
    }

    /// Checks one result; data gets the signature's names of axes.
    fn check_result(&mut self, callee: &str, result: &'p ResultDecl, value: Value<'p>, span: Span) -> Eval<Value<'p>> {
        let name = result.name.as_ref().map_or("result", |n| n.name.as_str());
        let what = format!("`{name}` of `{callee}`");
        let TypeKind::Data { dtype, dims } = &result.ty.kind else {
            return self.coerce(value, &result.ty, &what, span);
        };
        let data = self.as_data(value, dtype.dtype(self.float), &what, span)?;
        let rest = dims.iter().position(|dim| matches!(dim, Dim::Rest(_)));
        // What `...` is in no argument, the first result says that has it.
        let length = (data.rank() + 1).checked_sub(dims.len());
        if let (Some(at), Some(length), None) = (rest, length, &self.frame().rest) {
            self.bind_rest(&data.axes[at..at + length], &data, name);
        }
        if rest.is_some() && self.frame().rest.is_none() {
            return Err(self.wrong_result(callee, result, &data));
        }
        let mut axes = self.shape_of(dims)?;
        if !self.same_shape(&axes, &data.axes) || !dtype.fits(data.dtype, self.float) {
            return Err(self.wrong_result(callee, result, &data));
        }
        if let (Some(at), Some(length)) = (rest, length) {
            // Axes that the signature does not name are left as they are.
            axes[at..at + length].clone_from_slice(&data.axes[at..at + length]);
        }
        Ok(Value::Data(Data { axes: axes.into(), ..data }))
    }

    fn wrong_result(&mut self, callee: &str, result: &'p ResultDecl, data: &Data) -> Stop {
        let expected = self.show_declared(&result.ty);
        let found = data.show(self.float);
        let message = format!("`{callee}` returns {found}, but its signature declares {expected}");
        let mut error = self.problem("wrong-result", message, result.ty.span, "declared here");
        error = error.secondary(data.origin, format!("this is {found}"));
        if let (true, Some(rest)) = (expected.contains("..."), self.frame().rest.clone()) {
            let makes = format!("`{}` makes `...` {}", rest.name, self.show_axes(&rest.axes));
            error = if rest.origin == data.origin { error.help(makes) } else { error.secondary(rest.origin, makes) };
        }
        let (float, own) = (self.float, data.dtype);
        if own != float && matches!(result.ty.kind, TypeKind::Data { dtype: Element::Default, .. }) {
            let help = format!("a type without dtype is {float}: write `{own}[…]`, or convert what is returned");
            error = error.help(help);
        }
        self.fail(error)
    }
}
