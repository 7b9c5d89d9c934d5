//! Moves weights and states from one session to another.

use std::sync::Arc;

use dlc_compiler::program::Program;

use super::error::fits;
use super::{Session, SessionError, WrongType};
use crate::{Pool, Signature, Tensors};

impl Session {
    /// Replaces the program by one with the same signature, prepared arguments aside.
    pub(super) fn replace_program(&mut self, program: Arc<Program>, pool: Arc<Pool>) -> Result<(), SessionError> {
        let mut session = Session::try_new(program, pool)?;
        let kept = |signature: &Signature| {
            let prepared = signature.prepared();
            (0..signature.arguments.len()).filter(|argument| !prepared.contains(argument)).collect::<Vec<_>>()
        };
        let (new, old) = (kept(&session.signature), kept(&self.signature));
        session.exchange(&new, self, &old);
        *self = session;
        Ok(())
    }

    /// The indices of the weights and states in the order of another session's, if both have the same.
    pub(crate) fn carried_like(&self, other: &Session) -> Option<Vec<usize>> {
        let (mine, theirs) = (&self.signature, &other.signature);
        let params = theirs.params().map(|(name, ty)| (mine.param(name), ty));
        let states = theirs.states().map(|(name, ty)| (mine.state(name), ty));
        let found =
            params.chain(states).map(|(argument, ty)| argument.filter(|&argument| mine.arguments[argument].ty == *ty));
        let as_many = mine.params().len() + mine.states().len() == theirs.params().len() + theirs.states().len();
        found.collect::<Option<Vec<usize>>>().filter(|_| as_many)
    }

    /// Swaps memory with another session: that of these arguments with that of its own, in order. Nothing is copied or allocated.
    pub(crate) fn exchange(&mut self, arguments: &[usize], other: &mut Session, others: &[usize]) {
        for (&mine, &theirs) in arguments.iter().zip(others) {
            debug_assert_eq!(self.signature.arguments[mine].ty, other.signature.arguments[theirs].ty);
            std::mem::swap(&mut self.buffers[mine], &mut other.buffers[theirs]);
            std::mem::swap(&mut self.bound[mine], &mut other.bound[theirs]);
            for (preparing, argument) in [(&mut self.preparing, mine), (&mut other.preparing, theirs)] {
                preparing.iter_mut().for_each(|preparing| preparing.written(argument));
            }
        }
        std::mem::swap(&mut self.poisoned, &mut other.poisoned);
    }

    /// Makes every weight and state the tensor of its name, if there is one, also those that steps update: if nobody else has it by
    /// then, not even the first step copies it.
    ///
    /// # Errors
    /// If a type differs.
    pub(crate) fn begin_with(&mut self, values: &Tensors) -> Result<(), SessionError> {
        let signature = Arc::clone(&self.signature);
        let params = signature.params().map(|(name, _)| ("weight", name, signature.param(name)));
        let states = signature.states().map(|(name, _)| ("state", name, signature.state(name)));
        for (kind, name, argument) in params.chain(states) {
            let (Some(argument), Some(tensor)) = (argument, values.get(name)) else { continue };
            fits(kind, &signature.arguments[argument], tensor)?;
            self.put(argument, tensor);
        }
        Ok(())
    }

    /// Copies every weight and state that both sessions have from `other`, from a training to the evaluation of the same model. Only
    /// the first time allocates.
    ///
    /// # Errors
    /// If a type differs, or memory cannot be allocated.
    pub fn copy_weights(&mut self, other: &Session) -> Result<(), SessionError> {
        let signature = Arc::clone(&self.signature);
        let params = signature.params().map(|(name, _)| (signature.param(name), other.signature.param(name), "weight"));
        let states = signature.states().map(|(name, _)| (signature.state(name), other.signature.state(name), "state"));
        for (to, from, kind) in params.chain(states) {
            let (Some(to), Some(from)) = (to, from) else { continue };
            let (expected, found) = (&signature.arguments[to], &other.signature.arguments[from]);
            if expected.ty != found.ty {
                let (name, expected, found) = (expected.name.to_string(), expected.ty.clone(), found.ty.clone());
                return Err(WrongType { kind, name, expected, found }.into());
            }
            if other.bound[from] {
                self.copy(to, &other.buffers[from])?;
            } else {
                self.bound[to] = false;
            }
        }
        Ok(())
    }
}
