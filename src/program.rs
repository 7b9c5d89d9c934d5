//! A compiled model.

use std::fmt;
use std::sync::Arc;

use dlc_compiler::options::{Math, Options};
use dlc_compiler::pipeline::{self, Stage};
use dlc_ir::{Graph, Role, Tensor, Type};
use dlc_runtime::{Pool, Session, SessionError, Tensors, weights};

use crate::Error;

/// A compiled model: machine code, and the graphs that it was made from. `Send`, `Sync`, and cheap to clone.
#[derive(Clone)]
pub struct Program {
    inner: Arc<Inner>,
}

struct Inner {
    graph: Graph,
    compiled: Arc<dlc_compiler::program::Program>,
    options: Options,
    pool: Arc<Pool>,
    weights: Tensors,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("entry", &self.inner.graph.entry().name.as_str()).finish_non_exhaustive()
    }
}

impl Program {
    pub(crate) fn new(
        graph: Graph,
        compiled: Arc<dlc_compiler::program::Program>,
        options: Options,
        pool: Arc<Pool>,
    ) -> Self {
        Program { inner: Arc::new(Inner { graph, compiled, options, pool, weights: Tensors::new() }) }
    }

    /// Sets the weights that every session starts with, by name: [`Compiler::initial_weights`](crate::Compiler::initial_weights), those of
    /// a [`Trainer`](crate::Trainer), or those of a file. Other weights have to be set in each session, whose first step reports the missing
    /// ones.
    ///
    /// # Errors
    /// If the type of a weight differs from that in the program.
    pub fn with_weights(self, weights: Tensors) -> Result<Self, Error> {
        let inner = &self.inner;
        fit(&inner.graph, &weights)?;
        Ok(Program {
            inner: Arc::new(Inner {
                graph: inner.graph.clone(),
                compiled: Arc::clone(&inner.compiled),
                options: inner.options.clone(),
                pool: Arc::clone(&inner.pool),
                weights,
            }),
        })
    }

    /// Allocates the memory of a run; steps allocate nothing. One thread may use a session at a time; any number of sessions share a
    /// program. The session has the weights of the program, if any.
    ///
    /// # Panics
    /// If the allocation fails; [`Program::try_session`] returns an error instead.
    pub fn session(&self) -> Session {
        self.try_session().unwrap_or_else(|e| panic!("{e}"))
    }

    /// As [`Program::session`], for a program that may be too large for this machine.
    ///
    /// # Errors
    /// If the allocation fails.
    pub fn try_session(&self) -> Result<Session, Error> {
        let explain = |e: SessionError| Error::plain(e.code(), e.to_string());
        let session = Session::try_new(Arc::clone(&self.inner.compiled), Arc::clone(&self.inner.pool));
        let mut session = session.map_err(explain)?;
        set_weights(&mut session, &self.inner.weights).map_err(explain)?;
        // an error here occurs again in the first step, which reports it
        let _ = session.prepare();
        Ok(session)
    }

    /// The math mode that it was compiled with.
    pub fn math(&self) -> Math {
        self.inner.options.passes.math
    }

    /// The graph at a stage: as lowered by the front end, differentiated, or optimised and fused into kernels.
    /// For later stages, which are not graphs, the optimised one; [`Program::text`] shows them. A program that was compiled from the
    /// optimised graph of an artefact has that graph at every stage.
    ///
    /// # Panics
    /// Never for a program that was compiled: its stages have succeeded before.
    pub fn graph(&self, stage: Stage) -> Graph {
        match stage {
            Stage::Ir => self.inner.graph.clone(),
            Stage::Grad => pipeline::differentiate(self.inner.graph.clone(), &self.inner.options)
                .expect("it was differentiated when it was compiled"),
            _ => self.inner.compiled.graph().clone(),
        }
    }

    /// The text of any stage, down to machine code.
    ///
    /// # Errors
    /// None for a program that was compiled.
    pub fn text(&self, stage: Stage) -> Result<String, Error> {
        pipeline::text(self.inner.graph.clone(), stage, &self.inner.options)
            .map_err(|e| Error::plain("internal", e.to_string()))
    }

    /// The compiled form, with its memory plan and kernels.
    #[doc(hidden)]
    pub fn compiled(&self) -> &Arc<dlc_compiler::program::Program> {
        &self.inner.compiled
    }

    /// The weights that sessions start with: those of an artefact, or of [`Program::with_weights`].
    pub fn weights(&self) -> &Tensors {
        &self.inner.weights
    }
}

/// Checks the types of the weights that a graph has; others belong to other programs of the model.
fn fit(graph: &Graph, weights: &Tensors) -> Result<(), Error> {
    let expected = graph.entry().args().iter().filter_map(|argument| match &argument.role {
        Role::Param { name, .. } | Role::State { name } => Some((&**name, &argument.ty, weights.get(name)?)),
        _ => None,
    });
    let expected: Vec<(&str, &Type, &Tensor)> = expected.collect();
    let found: Tensors = expected.iter().map(|(name, _, tensor)| (*name, (*tensor).clone())).collect();
    weights::fit(expected.into_iter().map(|(name, ty, _)| (name, ty)), &found)
        .map_err(|mismatch| Error::plain(mismatch.code(), mismatch.to_string()))
}

/// Sets the weights and states that a program has; others belong to programs of the same model in another mode.
///
/// # Errors
/// If a type differs. A missing weight stays unset, which the run reports.
pub(crate) fn set_weights(session: &mut Session, weights: &Tensors) -> Result<(), SessionError> {
    let signature = session.signature();
    let params: Vec<String> = signature.params().map(|(n, _)| n.to_owned()).collect();
    let states: Vec<String> = signature.states().map(|(n, _)| n.to_owned()).collect();
    for (name, tensor) in params.iter().filter_map(|n| Some((n, weights.get(n)?))) {
        session.set_param(name, tensor)?;
    }
    for (name, tensor) in states.iter().filter_map(|n| Some((n, weights.get(n)?))) {
        session.set_state(name, tensor)?;
    }
    Ok(())
}
