//! A generated text: a program that reads the prompt, and one that reads a token, with the same weights.

use std::time::Instant;

use dlc::{Compiler, Model, Session, Tensor, Tensors};

use super::Subject;
use crate::Outcome;
use crate::workload::TOKENS;

/// The two sessions. The cache of keys and values is their state.
pub struct Decode {
    prefill: Session,
    next: Session,
    prompt: usize,
    tokens: Vec<i64>,
    token_ms: f64,
    prefill_ms: f64,
}

impl Decode {
    pub fn new(compiler: &Compiler, model: &Model, weights: &Tensors, inputs: &Tensors) -> Outcome<Self> {
        let ids = inputs.require("ids")?;
        let prompt = ids.len();
        let session = |name: &str, sizes: &[(&str, usize)]| -> Outcome<Session> {
            let program = compiler.compile(&model.clone().named(name), sizes.iter().copied())?;
            Ok(program.with_weights(weights.clone())?.try_session()?)
        };
        let (mut prefill, next) = (session("prefill", &[("T", prompt)])?, session("next", &[])?);
        prefill.set_input("ids", &ids.reshape([prompt])?)?;
        // the cache is empty before
        let states: Vec<_> = prefill.signature().states().map(|(name, ty)| (name.to_owned(), ty.clone())).collect();
        for (name, ty) in states {
            prefill.set_state(&name, &Tensor::zeros(ty))?;
        }
        Ok(Decode { prefill, next, prompt, tokens: vec![], token_ms: f64::NAN, prefill_ms: f64::NAN })
    }

    /// Reads the prompt, and hands the cache over.
    fn start(&mut self) -> Outcome<()> {
        self.prefill.step()?;
        for (name, tensor) in self.prefill.states().iter() {
            self.next.set_state(name, tensor)?;
        }
        self.tokens.clear();
        self.tokens.push(token(&self.prefill)?);
        Ok(())
    }

    /// Reads the last token, and gives the one after it.
    fn step(&mut self) -> Outcome<()> {
        let last = self.tokens.len() - 1;
        self.next.set_input("id", &Tensor::scalar(self.tokens[last]))?;
        self.next.set_input("t", &Tensor::scalar((self.prompt + last) as i64))?;
        self.next.step()?;
        self.tokens.push(token(&self.next)?);
        Ok(())
    }
}

fn token(session: &Session) -> Outcome<i64> {
    Ok(session.output_value("token").ok_or("the model gives no token")? as i64)
}

impl Subject for Decode {
    fn first(&mut self) -> Outcome<()> {
        self.start()?;
        self.step()
    }

    fn call(&mut self) -> Outcome<()> {
        let start = Instant::now();
        self.start()?;
        self.prefill_ms = start.elapsed().as_secs_f64() * 1e3;
        let start = Instant::now();
        (0..TOKENS).try_for_each(|_| self.step())?;
        self.token_ms = start.elapsed().as_secs_f64() * 1e3 / TOKENS as f64;
        Ok(())
    }

    fn result(&self) -> Outcome<Tensor> {
        Ok(Tensor::new([self.tokens.len()], self.tokens.clone())?)
    }

    fn parts(&self) -> Option<(f64, f64)> {
        Some((self.token_ms, self.prefill_ms))
    }
}
