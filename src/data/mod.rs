//! Datasets: files are read, and the expressions of the fields are compiled and run on them batch by batch.

mod fields;
mod files;
mod fits;
pub(crate) mod json;
pub(crate) mod labels;

use std::sync::Arc;

use dlc_dsl::Diagnostic;
use dlc_dsl::lower::dataset::DatasetCall;
use dlc_ir::{Tensor, Type};
use dlc_runtime::Tensors;
use dlc_runtime::examples::Examples;

use crate::data::fields::Compute;
use crate::data::labels::{check_finite, check_whole};
use crate::model::loaded::{Key, Source};
use crate::{Compiler, Error, Model};

pub(crate) use files::{Files, resolve};
pub(crate) use fits::{FITS, fits, of_section};

/// Reads the files of a dataset.
pub(crate) fn source(model: &Model, call: &DatasetCall) -> Result<Arc<Source>, Error> {
    model.loaded().sources.get((call.clone(), model.dtype()), || read(model, call).map(Arc::new))
}

fn read(model: &Model, call: &DatasetCall) -> Result<Source, Error> {
    let source = model.source();
    let dataset = source.dataset(call).map_err(|d| model.error(d))?;
    let mut read: Vec<Tensor> = vec![];
    let mut files = Files::default();
    for reader in &dataset.readers {
        let tensor = files.read(reader, model).map_err(|e| {
            let diagnostic = Diagnostic::error(e.code(), e.to_string());
            model.error(vec![diagnostic.primary(reader.span, "read here")])
        })?;
        read.push(tensor);
    }
    let types: Vec<Type> = read.iter().map(|t| t.ty().clone()).collect();
    let survey = source.survey(&dataset, &types, model.dtype()).map_err(|d| model.error(d))?;
    check_whole(model, &dataset, &read, survey.graph.entry())?;
    let (mut rows, mut tables) = (Tensors::new(), Tensors::new());
    for (i, tensor) in read.into_iter().enumerate() {
        let of_examples = survey.is_of_examples(i);
        if of_examples { &mut rows } else { &mut tables }.insert(format!("read_{}", i + 1), tensor);
    }
    Ok(Source { dataset, survey, rows, tables })
}

/// The examples of a dataset, with the values of its `fit`s by name. Fields are computed lazily, batch by batch, for this machine whatever the
/// target is; here they are computed once, to be checked.
pub(crate) fn load(
    model: &Model,
    compiler: &Compiler,
    call: &DatasetCall,
    fits: &Tensors,
) -> Result<Arc<Examples>, Error> {
    let key = key(model, compiler, call)?;
    model.loaded().examples.get((key, fits.clone()), || {
        let source = source(model, call)?;
        let (rows, count) = (source.rows.clone(), source.count());
        let compute = Compute::new(model, compiler, source, fits.clone())?;
        let differs_in_training = compute.differs_in_training();
        let examples = Examples::computed(rows, count, Arc::new(compute)).map_err(|e| {
            let diagnostic = Diagnostic::error(e.code(), e.to_string());
            model.error(vec![diagnostic.primary(call.span, "this data")])
        })?;
        for training in [false, true].into_iter().filter(|training| !training || differs_in_training) {
            check_finite(model, call, &examples, training)?;
        }
        Ok(Arc::new(examples))
    })
}

fn key(model: &Model, compiler: &Compiler, call: &DatasetCall) -> Result<Key, Error> {
    let options = compiler.here().options()?;
    Ok(Key { call: call.clone(), float: model.dtype(), level: options.level, math: options.passes.math })
}

#[cfg(test)]
mod tests {
    use dlc_compiler::options::Math;

    use super::*;
    use dlc_ir::DType;

    const MODEL: &str = "model m(x: [B, 1]) -> y: [B] { return squeeze(linear(x, 1), axis: 1) }
dataset points {
  x = csv(\"points.csv\", skip: [\"actual\"])
  actual = csv(\"points.csv\")[\"actual\"]
}
train m {
  data = points()
  loss = mean((y - actual) ** 2)
  optimizer = sgd(lr: 0.1)
}
";

    #[test]
    fn the_files_of_a_model_are_read_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let (text, data) = (folder.path().join("m.dl"), folder.path().join("points.csv"));
        std::fs::write(&text, MODEL).expect("it can be written");
        std::fs::write(&data, "x,actual\n1,2\n3,4\n").expect("it can be written");
        let (model, compiler) = (Model::open(&text).expect("it is right"), Compiler::new());
        let call = crate::train::settings(&model).expect("it trains").data;
        let none = Tensors::new();
        let load = |model: &Model, compiler: &Compiler| load(model, compiler, &call, &none);
        let first = load(&model, &compiler).expect("the file is there");
        std::fs::remove_file(&data).expect("it is there");
        let again = load(&model.clone(), &compiler).expect("it was read");
        assert!(Arc::ptr_eq(&first, &again));
        // another math mode computes the fields again, another float type or model reads the files again
        let strict = Compiler::new().math(Math::Strict);
        assert!(!Arc::ptr_eq(&first, &load(&model, &strict).expect("it was read")));
        let wide = model.clone().float(DType::F64).expect("a float");
        let other = Model::open(&text).expect("it is right");
        for model in [&wide, &other] {
            assert_eq!(load(model, &compiler).expect_err("the file is gone").code(), "missing-file");
        }
    }
}
