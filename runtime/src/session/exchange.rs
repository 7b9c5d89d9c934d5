//! Weights and states that pass from one session to another.

use std::sync::Arc;

use dlc_compiler::program::Program;

use super::{Session, SessionError, WrongType};
use crate::{Pool, Signature};

impl Session {
    /// Goes on with a program that takes and gives the same, prepared arguments aside.
    pub(super) fn replace_program(&mut self, program: Arc<Program>, pool: Arc<Pool>) -> Result<(), SessionError> {
        let mut session = Session::try_new(program, pool)?;
        let kept = |signature: &Signature| {
            let prepared = signature.prepared();
            (0..signature.arguments.len()).filter(|slot| !prepared.contains(slot)).collect::<Vec<_>>()
        };
        let (new, old) = (kept(&session.signature), kept(&self.signature));
        session.exchange(&new, self, &old);
        *self = session;
        Ok(())
    }

    /// The slots of the weights and states in the order of another session's, if both have the same.
    pub(crate) fn carried_like(&self, other: &Session) -> Option<Vec<usize>> {
        let (mine, theirs) = (&self.signature, &other.signature);
        let params = theirs.params().map(|(name, ty)| (mine.param(name), ty));
        let states = theirs.states().map(|(name, ty)| (mine.state(name), ty));
        let found = params.chain(states).map(|(slot, ty)| slot.filter(|&slot| mine.arguments[slot].ty == *ty));
        let as_many = mine.params().len() + mine.states().len() == theirs.params().len() + theirs.states().len();
        found.collect::<Option<Vec<usize>>>().filter(|_| as_many)
    }

    /// Exchanges memory with another session: that of these slots with that of its own, in order. Nothing is copied or allocated.
    pub(crate) fn exchange(&mut self, slots: &[usize], other: &mut Session, others: &[usize]) {
        for (&mine, &theirs) in slots.iter().zip(others) {
            debug_assert_eq!(self.signature.arguments[mine].ty, other.signature.arguments[theirs].ty);
            std::mem::swap(&mut self.slots[mine], &mut other.slots[theirs]);
            std::mem::swap(&mut self.bound[mine], &mut other.bound[theirs]);
            for (preparing, slot) in [(&mut self.preparing, mine), (&mut other.preparing, theirs)] {
                preparing.iter_mut().for_each(|preparing| preparing.written(slot));
            }
        }
        std::mem::swap(&mut self.poisoned, &mut other.poisoned);
    }

    /// Sets every weight and state of this session that `other` has too to its value there, without allocation: from
    /// a training to the evaluation of the same model.
    ///
    /// # Errors
    /// If one has another type there.
    pub fn copy_weights(&mut self, other: &Session) -> Result<(), SessionError> {
        let signature = Arc::clone(&self.signature);
        let params = signature.params().map(|(name, _)| (signature.param(name), other.signature.param(name), "weight"));
        let states = signature.states().map(|(name, _)| (signature.state(name), other.signature.state(name), "state"));
        for (to, from, kind) in params.chain(states) {
            let (Some(to), Some(from)) = (to, from) else { continue };
            let (wanted, found) = (&signature.arguments[to], &other.signature.arguments[from]);
            if wanted.ty != found.ty {
                let (name, wanted, found) = (wanted.name.to_string(), wanted.ty.clone(), found.ty.clone());
                return Err(WrongType { kind, name, wanted, found }.into());
            }
            if other.bound[from] {
                self.slots[to].bytes_mut().copy_from_slice(other.slots[from].bytes());
                self.written(to);
            } else {
                self.bound[to] = false;
            }
        }
        Ok(())
    }
}
