//! References by dlc's interpreter of graphs in f64, which shares no code with the compiler and defines what is right.

use std::sync::Arc;

use dlc::{Compiler, DType, Graph, Mode, Model, Request, Session, Stage, Tensor, Tensors, inspect};

use crate::Outcome;
use crate::workload::{LOSSES, TOKENS};

fn in_f64(tensors: &Tensors) -> Tensors {
    let wide = |t: &Tensor| if t.dtype().is_float() { t.convert(DType::F64) } else { t.clone() };
    tensors.iter().map(|(name, tensor)| (name, wide(tensor))).collect()
}

/// A session of the interpreter with those of the values that it has.
fn session(graph: Graph, values: &Tensors) -> Outcome<Session> {
    let mut session = Session::reference(Arc::new(graph))?;
    let params: Vec<String> = session.signature().params().map(|(name, _)| name.to_owned()).collect();
    let states: Vec<String> = session.signature().states().map(|(name, _)| name.to_owned()).collect();
    for (name, value) in params.iter().filter_map(|name| Some((name, values.get(name)?))) {
        session.set_param(name, value)?;
    }
    for (name, value) in states.iter().filter_map(|name| Some((name, values.get(name)?))) {
        session.set_state(name, value)?;
    }
    Ok(session)
}

fn wide_graph(model: &Model, inputs: &Tensors) -> Outcome<Graph> {
    let model = model.clone().float(DType::F64)?;
    let sizes = inspect::sizes_by_inputs(&model, inputs, &[])?;
    Ok(model.graph(sizes.iter().map(|(name, size)| (name.as_str(), *size)))?)
}

/// The output of an inference, rounded to f32.
pub fn inference(model: &Model, weights: &Tensors, inputs: &Tensors) -> Outcome<Tensor> {
    let inputs = in_f64(inputs);
    let outputs = session(wide_graph(model, &inputs)?, &in_f64(weights))?.run(inputs.iter())?;
    let (_, output) = outputs.iter().next().ok_or("the model has no output")?;
    Ok(output.convert(DType::F32))
}

/// The losses before each of the first updates of a training.
pub fn training(model: &Model, weights: &Tensors, inputs: &Tensors) -> Outcome<Tensor> {
    let model = model.clone().float(DType::F64)?;
    let compiler = Compiler::new();
    let request = |mode| -> Outcome<Request> {
        let mut request = inspect::request_for(&model, mode, &[], &compiler)?;
        // the data has f32
        for ty in request.fields.values_mut().filter(|ty| ty.dtype.is_float()) {
            ty.dtype = DType::F64;
        }
        Ok(request)
    };
    let (init, _) = inspect::build(&compiler, &model, &request(Mode::Init)?)?;
    let mut init = init.session();
    init.step()?;
    // initial states of the optimiser, and the weights of the file
    let values: Tensors = init.outputs().into_iter().chain(in_f64(weights)).collect();
    let graph = inspect::lower(&model, &request(Mode::Train)?)?;
    let mut session = session(inspect::stage_graph(&compiler, &model, graph, Stage::Grad)?, &values)?;
    for (name, tensor) in in_f64(inputs).iter() {
        session.set_input(name, tensor)?;
    }
    let mut losses = vec![];
    for _ in 0..LOSSES {
        session.step()?;
        losses.push(session.output_value("loss").ok_or("the step has no loss")?);
    }
    Ok(Tensor::new([LOSSES], losses)?)
}

/// The tokens of a generated text.
pub fn text(model: &Model, weights: &Tensors, inputs: &Tensors) -> Outcome<Tensor> {
    let ids = inputs.require("ids")?;
    let ids = ids.reshape([ids.len()])?;
    let weights = in_f64(weights);
    let prompt: Tensors = [("ids", ids.clone())].into_iter().collect();
    let mut prefill = session(wide_graph(&model.clone().named("prefill"), &prompt)?, &weights)?;
    // the cache is empty before
    let empty: Tensors = prefill.states().iter().map(|(name, t)| (name, Tensor::zeros(t.ty().clone()))).collect();
    for (name, tensor) in empty.iter() {
        prefill.set_state(name, tensor)?;
    }
    let first = prefill.run(prompt.iter())?["token"].clone();
    let mut next = session(wide_graph(&model.clone().named("next"), &Tensors::new())?, &weights)?;
    for (name, tensor) in prefill.states().iter() {
        next.set_state(name, tensor)?;
    }
    let mut tokens = vec![first];
    for i in 0..TOKENS {
        let position = Tensor::scalar((ids.len() + i) as i64);
        tokens.push(next.run([("id", &tokens[i]), ("t", &position)])?["token"].clone());
    }
    Ok(Tensor::new([tokens.len()], tokens.iter().map(|token| token.get(0).as_f64() as i64).collect())?)
}
