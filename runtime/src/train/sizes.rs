//! The sessions of one step for several batch sizes, which share weights and states.

use super::TrainError;
use crate::Session;

/// Sessions, one of which has the weights and states.
#[derive(Debug)]
pub(super) struct Sizes {
    sessions: Vec<Sized>,
    current: usize,
    key: Option<u64>,
}

/// A session for one batch size.
#[derive(Debug)]
struct Sized {
    size: Option<usize>,
    session: Session,
    /// The indices of the weights and states, in the order of the first session's.
    arguments: Vec<usize>,
}

/// The batch size of a session, if its inputs have one.
pub(super) fn size(session: &Session) -> Option<usize> {
    session.signature().inputs().find_map(|(_, ty)| ty.shape.first().copied())
}

impl Sizes {
    pub(super) fn new(session: Session) -> Self {
        let arguments = session.carried_like(&session).unwrap_or_default();
        Sizes { sessions: vec![Sized { size: size(&session), session, arguments }], current: 0, key: None }
    }

    /// Adds a session, or replaces the one of that size.
    pub(super) fn add(&mut self, mut session: Session) -> Result<(), TrainError> {
        let size = size(&session);
        let Some(arguments) = session.carried_like(&self.sessions[0].session) else {
            return Err(TrainError::NotShared { size: size.unwrap_or(0), what: "weights or states" });
        };
        if let Some(key) = self.key {
            session.set_key(key.cast_signed())?;
        }
        if !self.sessions.iter().any(|s| s.size == size) {
            self.sessions.push(Sized { size, session, arguments });
        }
        Ok(())
    }

    pub(super) fn has(&self, size: usize) -> bool {
        self.sessions.iter().any(|s| s.size == Some(size))
    }

    /// Moves the weights and states to the session for a size. A session without a batch size takes every batch.
    pub(super) fn select(&mut self, size: usize) -> Result<(), TrainError> {
        let now = self.sessions[self.current].size;
        if now == Some(size) || now.is_none() {
            return Ok(());
        }
        let Some(next) = self.sessions.iter().position(|s| s.size == Some(size)) else {
            let sizes = self.sessions.iter().filter_map(|s| s.size).collect();
            return Err(TrainError::NoProgram { size, count: size, needed: sizes });
        };
        let (low, high) = (next.min(self.current), next.max(self.current));
        let (before, after) = self.sessions.split_at_mut(high);
        let (a, b) = (&mut before[low], &mut after[0]);
        a.session.exchange(&a.arguments, &mut b.session, &b.arguments);
        self.current = next;
        Ok(())
    }

    pub(super) fn current(&self) -> &Session {
        &self.sessions[self.current].session
    }

    pub(super) fn current_mut(&mut self) -> &mut Session {
        &mut self.sessions[self.current].session
    }

    /// The session for a size.
    pub(super) fn of(&self, size: usize) -> Option<&Session> {
        self.sessions.iter().find(|s| s.size.is_none() || s.size == Some(size)).map(|s| &s.session)
    }

    pub(super) fn set_key(&mut self, seed: u64) -> Result<(), TrainError> {
        self.key = Some(seed);
        Ok(self.sessions.iter_mut().try_for_each(|s| s.session.set_key(seed.cast_signed()))?)
    }

    pub(super) fn clear_poison(&mut self) {
        self.sessions.iter_mut().for_each(|s| s.session.clear_poison());
    }
}
