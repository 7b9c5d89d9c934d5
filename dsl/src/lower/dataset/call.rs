//! The calls of datasets in a `train` section.

use indexmap::IndexMap;

use super::super::{Eval, Lower, entry, stop};
use super::DatasetCall;
use crate::hir::{Callee, Expr, ExprKind};

impl<'p> Lower<'p> {
    /// The values of the arguments of `digits("train")`.
    pub(crate) fn dataset_call(&mut self, value: &'p Expr, _setting: &str) -> Eval<DatasetCall> {
        let ExprKind::Call(call) = &value.kind else { return stop() };
        let Callee::Item { at, params } = &call.callee else { return stop() };
        let Some(dataset) = self.program.resolved_dataset(*at) else { return stop() };
        let mut args = IndexMap::new();
        for (arg, &param) in call.args.iter().zip(params) {
            let param = &dataset.params[param];
            let what = format!("`{}` of `{}`", param.name.name, dataset.name.name);
            let value = self.eval(&arg.value)?;
            let value = self.coerce(value, &param.ty, &what, arg.value.span)?;
            let Some(value) = entry::known(&value) else {
                let message = format!("{what} must be known when compiling");
                return Err(self.error("not-constant", message, arg.value.span, "not known"));
            };
            args.insert(param.name.name.clone(), value);
        }
        Ok(DatasetCall { item: *at, name: call.name.name.clone(), args, span: value.span })
    }
}
