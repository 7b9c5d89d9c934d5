//! A workload by hand: its operands in memory of the kind that dlc uses, and its parts for several threads.

use dlc::{Tensor, Tensors, Type};
use dlc_ir::Memory;

use super::crew;
use super::kernels::{Elementwise, LayerNorm, Part};
use super::set::Set;
use super::vector::{Line, fence, lines, lines_mut};
use crate::Outcome;

/// What is written by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `gelu_tanh(x * w + b) + r`.
    Elementwise,
    /// A layer norm over the last axis.
    LayerNorm,
}

/// What dlc's `layer_norm` adds to the variance.
const EPS: f32 = 1e-5;

/// A workload's operands and its result.
#[derive(Debug)]
pub struct Hand {
    form: Form,
    operands: Vec<Memory>,
    ty: Type,
    output: Memory,
    stream: bool,
}

/// A copy in memory of its own: aligned, and in huge pages if it is large, as dlc's is.
fn copied(tensor: &Tensor) -> Outcome<Memory> {
    let mut memory = Memory::new(tensor.ty().bytes());
    let from = tensor.as_slice::<f32>().ok_or("operands are of f32")?;
    memory.elements_mut().ok_or("new memory is aligned")?.copy_from_slice(from);
    Ok(memory)
}

fn lines_of(memory: &Memory) -> Outcome<&[Line]> {
    Ok(memory.elements().and_then(lines).ok_or("by hand, rows are whole cache lines")?)
}

impl Hand {
    /// `cache`: the bytes of the last-level cache; a larger result is written past it.
    ///
    /// # Errors
    /// If operands are missing or no whole cache lines.
    pub fn new(form: Form, inputs: &Tensors, weights: &Tensors, cache: Option<usize>) -> Outcome<Self> {
        let x = inputs.require("x")?;
        let operands = match form {
            Form::Elementwise => vec![x, inputs.require("w")?, inputs.require("b")?, inputs.require("r")?],
            Form::LayerNorm => vec![x, weights.require("ln.weight")?, weights.require("ln.bias")?],
        };
        let lengths = operands[1..].iter().all(|operand| match form {
            Form::Elementwise => operand.len() == x.len(),
            Form::LayerNorm => Some(&operand.len()) == x.shape().last(),
        });
        if !lengths {
            return Err("operands have other sizes than their workload".into());
        }
        let operands = operands.into_iter().map(copied).collect::<Outcome<Vec<_>>>()?;
        operands.iter().try_for_each(|operand| lines_of(operand).map(drop))?;
        let (ty, output) = (x.ty().clone(), Memory::new(x.ty().bytes()));
        let stream = cache.is_some_and(|cache| output.len() > cache);
        Ok(Hand { form, operands, ty, output, stream })
    }

    /// Gives `work` a function that computes the result on so many threads.
    ///
    /// # Errors
    /// Never, of what `new` has accepted.
    pub fn with<R>(&mut self, set: Set, threads: usize, work: impl FnOnce(&mut dyn FnMut()) -> R) -> Outcome<R> {
        let Hand { form, stream, .. } = *self;
        let operands = self.operands.iter().map(lines_of).collect::<Outcome<Vec<_>>>()?;
        let output = self.output.elements_mut().and_then(lines_mut).ok_or("new memory is aligned")?;
        // parts are whole rows, and lines of an elementwise workload are rows of one
        let row = if form == Form::LayerNorm { operands[1].len() } else { 1 };
        let length = ((output.len() / row).div_ceil(threads) * row).max(1);
        let operands = &operands;
        let parts = output.chunks_mut(length).enumerate().map(|(i, output)| {
            let count = output.len();
            let of = |k: usize| &operands[k][i * length..][..count];
            let mut part = match form {
                Form::Elementwise => {
                    Part::Elementwise(Elementwise { inputs: [of(0), of(1), of(2), of(3)], output, stream })
                }
                Form::LayerNorm => {
                    let (input, weight, bias) = (of(0), operands[1], operands[2]);
                    Part::LayerNorm(LayerNorm { input, weight, bias, eps: EPS, output, stream })
                }
            };
            move || {
                set.call(&mut part);
                if stream {
                    fence();
                }
            }
        });
        Ok(crew::with(parts.collect(), work).ok_or("there is nothing to compute")?)
    }

    /// The result.
    ///
    /// # Errors
    /// Never: it has as many bytes as its type.
    pub fn result(&self) -> Outcome<Tensor> {
        Ok(Tensor::in_memory(self.ty.clone(), self.output.clone())?)
    }
}
