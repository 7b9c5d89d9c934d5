//! `validation`, where it is a dataset of its own.

use super::super::dataset::{DatasetCall, dataset_call};
use super::super::{Eval, Lower};
use crate::ast::{Call, Expr, ExprKind};
use crate::diagnostic::did_you_mean;

impl<'p> Lower<'p> {
    /// The dataset that validates; none where it is a fraction of the training data.
    pub(super) fn validation_data(&mut self, value: &'p Expr) -> Eval<Option<DatasetCall>> {
        let ExprKind::Call(Call { callee, .. }) = &value.kind else { return Ok(None) };
        let module = self.frame().module;
        if self.program.dataset_named(module, &callee.name).is_some() {
            return dataset_call(self, value).map(Some);
        }
        let fractions = ["last", "random"];
        if fractions.contains(&callee.name.as_str()) {
            return Ok(None);
        }
        let datasets = self.program.main().datasets().map(|dataset| dataset.name.name.as_str());
        let label = match did_you_mean(&callee.name, datasets.chain(fractions)) {
            Some(meant) => format!("do you mean `{meant}`?"),
            None => "none of these".to_owned(),
        };
        let message = "`validation` is `last(…)` or `random(…)` of the data, or a dataset";
        Err(self.fault("unknown-name", message, callee.span, label))
    }
}
