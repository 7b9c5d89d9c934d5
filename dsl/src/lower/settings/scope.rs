//! What the settings of a section may name: the arguments of its model, and its own `let`s.

use super::super::entry::Chosen;
use super::super::{BoundArg, Eval, Lower};
use crate::hir::Train;

impl<'p> Lower<'p> {
    /// The model's arguments that are known at compile time, for its `train` section; those that depend on data are left out.
    pub(crate) fn arguments_of_section(&mut self, chosen: &Chosen<'p>, given: &[BoundArg<'p>]) -> Eval<()> {
        let frame = self.new_frame(chosen.definition.at.module, &chosen.definition.locals);
        self.frames.push(frame);
        self.declare_arguments(chosen, given)?;
        let frame = self.frames.pop().expect("was pushed");
        for (param, var) in chosen.definition.params.iter().zip(frame.slots) {
            let Some(mut var) = var else { continue };
            let what = format!("`{}` of `{}`", param.name.name, chosen.definition.name.name);
            var.value = self.coerce(var.value, &param.ty, &what, var.span)?;
            self.section_arguments.insert(param.name.name.clone(), var);
        }
        Ok(())
    }

    /// Opens the scope of a section: the model's arguments, and within it what the section introduces.
    pub(crate) fn enter_section(&mut self, train: &'p Train) {
        let mut frame = self.new_frame(0, &train.locals);
        frame.give(&train.outer, |name| self.section_arguments.get(name).cloned());
        self.frames.push(frame);
        self.known_lets(&train.section.lets);
    }
}
