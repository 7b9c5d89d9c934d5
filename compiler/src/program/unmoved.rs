//! The fallback without factors and terms that were moved into weights.

use std::sync::{Arc, OnceLock};

use super::Program;

/// Compiles a program again, without the rules that move factors and terms into weights.
pub type Recompile = Box<dyn Fn() -> Result<Program, String> + Send + Sync>;

/// The fallback for a program whose preparation loses weights: compiled on demand, which is rare, and once.
pub(super) struct Unmoved {
    recompile: Recompile,
    program: OnceLock<Result<Arc<Program>, String>>,
}

impl Unmoved {
    pub(super) fn new(recompile: Recompile) -> Self {
        Unmoved { recompile, program: OnceLock::new() }
    }

    pub(super) fn program(&self) -> Result<&Arc<Program>, &str> {
        self.program.get_or_init(|| (self.recompile)().map(Arc::new)).as_ref().map_err(String::as_str)
    }
}
