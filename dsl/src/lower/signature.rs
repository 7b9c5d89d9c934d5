//! Queries on a model's signature: arguments that can be set, free dimensions, inputs.

use indexmap::{IndexMap, IndexSet};

use super::shape::capital;
use crate::ast::{self, Type};
use crate::diagnostic::Diagnostic;
use crate::hir::{Definition, Dim, Program, TypeKind};

impl Program {
    /// The free dimensions of a model's inputs, in source order: what [`Request::dims`](super::Request::dims) must give
    /// where [`Request::fields`](super::Request::fields) does not.
    ///
    /// # Errors
    /// If there is no such model.
    pub fn free_dims(&self, model: Option<&str>) -> Result<Vec<String>, Vec<Diagnostic>> {
        let names: IndexSet<&str> =
            inputs(self.chosen(model)?).flat_map(|(_, dims)| dims.iter().filter_map(open)).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    /// Those of [`Program::free_dims`] that one example determines: the others are the batch, the first axis.
    ///
    /// # Errors
    /// If there is no such model.
    pub fn dims_of_examples(&self, model: Option<&str>) -> Result<Vec<String>, Vec<Diagnostic>> {
        let inputs = inputs(self.chosen(model)?);
        Ok(inputs.flat_map(|(_, dims)| dims.iter().skip(1).filter_map(open).map(str::to_owned)).collect())
    }

    /// The sizes that data of these types gives to the dimensions of [`Program::dims_of_examples`].
    ///
    /// # Errors
    /// If there is no such model.
    pub fn sizes_by(
        &self,
        model: Option<&str>,
        fields: &IndexMap<String, dlc_ir::Type>,
    ) -> Result<IndexMap<String, usize>, Vec<Diagnostic>> {
        let mut sizes = IndexMap::new();
        for (name, dims) in inputs(self.chosen(model)?) {
            let Some(field) = fields.get(name) else { continue };
            // the axes of `...` come first
            let axes = (0..field.rank()).rev().zip(dims.iter().rev());
            for (axis, dim) in axes.take_while(|(axis, dim)| *axis > 0 && !matches!(dim, Dim::Rest(_))) {
                if let Some(name) = open(dim) {
                    sizes.entry(name.to_owned()).or_insert(field.shape[axis]);
                }
            }
        }
        Ok(sizes)
    }

    /// The names of a model's arguments that are known at compile time, with their declared types: what [`Request::args`](super::Request::args) may give.
    ///
    /// # Errors
    /// If there is no such model.
    pub fn arguments(&self, model: Option<&str>) -> Result<IndexMap<String, &Type>, Vec<Diagnostic>> {
        let written = self.definition(self.chosen(model)?.at).map_or(&[][..], |definition| &definition.params);
        let known = written.iter().filter(|p| matches!(p.ty.kind, ast::TypeKind::Value { .. }));
        Ok(known.map(|p| (p.name.name.clone(), &p.ty)).collect())
    }

    /// The names of a model's inputs.
    ///
    /// # Errors
    /// If there is no such model.
    pub fn inputs(&self, model: Option<&str>) -> Result<Vec<String>, Vec<Diagnostic>> {
        Ok(inputs(self.chosen(model)?).map(|(name, _)| name.to_owned()).collect())
    }

    /// The names of the models that the file defines, and of those that it trains.
    pub fn models(&self) -> Vec<String> {
        let defined = self.main().models().map(|model| &model.name.name);
        let trained = self.main().trains().map(|train| &train.model.name);
        let names: IndexSet<&String> = defined.chain(trained).collect();
        names.into_iter().cloned().collect()
    }

    /// The names of the trainings of a model, or of all, in source order.
    pub fn trainings(&self, model: Option<&str>) -> Vec<String> {
        let trains = self.main().trains().filter(|train| model.is_none_or(|model| train.model.name == *model));
        trains.map(|train| train.name().name.clone()).collect()
    }

    /// The names of a training and of its model: of the training of this name, or else of that which is meant without one. None
    /// if no name is given and nothing trains the model.
    ///
    /// # Errors
    /// If there is no training of that name, or it trains another model.
    pub fn chosen_training(
        &self,
        model: Option<&str>,
        training: Option<&str>,
    ) -> Result<Option<(String, String)>, Vec<Diagnostic>> {
        let train = self.training(training, model).map_err(|error| vec![*error])?;
        Ok(train.map(|train| (train.name().name.clone(), train.model.name.clone())))
    }

    /// The name of the model that is meant by a name, or without one.
    ///
    /// # Errors
    /// If there is no such model.
    pub fn chosen_model(&self, model: Option<&str>) -> Result<String, Vec<Diagnostic>> {
        Ok(self.chosen(model)?.name.name.clone())
    }

    fn chosen(&self, model: Option<&str>) -> Result<&Definition, Vec<Diagnostic>> {
        Ok(self.choose(model, None).map_err(|error| vec![*error])?.definition)
    }
}

/// The inputs of a model with their dimensions.
fn inputs(model: &Definition) -> impl Iterator<Item = (&str, &[Dim])> {
    model.params.iter().filter_map(|p| match &p.ty.kind {
        TypeKind::Data { dims, .. } => Some((p.name.name.as_str(), dims.as_slice())),
        _ => None,
    })
}

/// The name of a free dimension.
fn open(dim: &Dim) -> Option<&str> {
    match dim {
        Dim::Size(e) => capital(e),
        _ => None,
    }
}
