//! The cache of the programs that a model was compiled to.

use std::sync::{Mutex, PoisonError};

use dlc_compiler::options::{Level, Math};
use dlc_dsl::Request;

use crate::Program;

/// The capacity of the cache; the oldest program is evicted.
const MAX_PROGRAMS: usize = 64;

/// The key of a program, for one source of the model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub request: Request,
    pub target: Option<String>,
    pub level: Level,
    pub math: Math,
    pub threads: usize,
}

/// Programs by the sizes of the dimensions and the settings of the compiler.
#[derive(Debug, Default)]
pub(crate) struct Programs(Mutex<Vec<(Key, Program)>>);

impl Programs {
    /// The program of a key, if it was compiled.
    pub fn get(&self, key: &Key) -> Option<Program> {
        self.lock().iter().find(|(known, _)| known == key).map(|(_, program)| program.clone())
    }

    /// Keeps a program.
    pub fn insert(&self, key: Key, program: Program) {
        let mut programs = self.lock();
        if programs.len() == MAX_PROGRAMS {
            programs.remove(0);
        }
        programs.push((key, program));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Key, Program)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Compiler, Level, Model};

    #[test]
    fn equal_requests_of_a_model_are_compiled_once() {
        let model = Model::parse("model m(x: [B, 2], n: int = 3) -> y: [B, n] = linear(x, n)").expect("it is right");
        let wider = model.clone().with("n", 4).expect("it has it");
        let count = || model.programs().lock().len();
        let compile =
            |compiler: &Compiler, model: &Model, batch| compiler.compile(model, [("B", batch)]).expect("fits");
        let compiler = Compiler::new();
        for (compiler, model, batch, kept) in [
            (&compiler, &model, 1, 1),
            (&compiler, &model, 2, 2),
            (&Compiler::new(), &model.clone(), 1, 2),
            (&compiler, &wider, 1, 3),
            (&compiler.clone().level(Level::O0), &model, 1, 4),
        ] {
            let graph = compile(compiler, model, batch).graph(crate::Stage::Ir);
            assert_eq!((graph.entry().args()[0].ty.shape[0], count()), (batch, kept));
        }
    }
}
