//! What the settings of a section may name: the arguments of its model, and its own `let`s.

use super::super::entry::Chosen;
use super::super::{Eval, Given, Lower};

impl<'p> Lower<'p> {
    /// The model's arguments that are known when compiling, for its `train` section; those that depend on data are left out.
    pub(crate) fn arguments_of_section(&mut self, chosen: &Chosen<'p>, given: &[Given<'p>]) -> Eval<()> {
        let frame = self.new_frame(chosen.at.module);
        self.frames.push(frame);
        self.declare_arguments(chosen, given)?;
        let frame = self.frames.pop().expect("was pushed");
        let mut scope = frame.scopes.into_iter().next().unwrap_or_default();
        for param in &chosen.definition.params {
            let Some(var) = scope.get_mut(&param.name.name) else { continue };
            let what = format!("`{}` of `{}`", param.name.name, chosen.definition.name.name);
            var.value = self.coerce(var.value.clone(), &param.ty, &what, var.span)?;
        }
        self.section_arguments = scope;
        Ok(())
    }

    /// Opens the scope of a section: the model's arguments, and within it what the section introduces.
    pub(crate) fn begin_section(&mut self) {
        let mut frame = self.new_frame(0);
        frame.scopes[0] = self.section_arguments.clone();
        frame.scopes.push(Default::default());
        self.frames.push(frame);
    }
}
