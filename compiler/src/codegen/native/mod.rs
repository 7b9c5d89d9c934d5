//! The native emitter: machine code.
//!
//! Kernels are compiled by one of the [compilers](super::compiler::KernelCompiler); routines, the step function and the entry by
//! Cranelift. Functions are compiled in parallel and then linked into one module per program.

mod module;
mod routine;
mod step;
mod text;

use std::sync::Arc;

use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::FunctionBuilderContext;

use super::clif::{self, Body, Functions, RegisterAllocation};
use super::compiler::{Compiled, Form, KernelCompiler, Kernels};
use super::image::ImageLayout;
use super::{EmitError, Emitter, Executable};
use crate::machine::Target;
use crate::parallel;
use crate::routine::program::KernelProgram;

/// Emits machine code for a [`Target`].
#[derive(Clone, Copy, Debug)]
pub struct Native {
    target: Target,
    kernels: Kernels,
    threads: usize,
}

/// A function of a program, in the order in which they are numbered: kernels, routines, the step function, entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Item {
    Kernel(usize),
    Routine(usize),
    Step,
    Entry,
}

impl Item {
    fn nth(program: &KernelProgram, i: usize) -> Item {
        let kernels = program.kernels.len();
        let functions = kernels + program.routines.len();
        match i {
            _ if i < kernels => Item::Kernel(i),
            _ if i < functions => Item::Routine(i - kernels),
            _ if i == functions => Item::Step,
            _ => Item::Entry,
        }
    }

    fn number(self, program: &KernelProgram) -> usize {
        let kernels = program.kernels.len();
        match self {
            Item::Kernel(i) => i,
            Item::Routine(i) => kernels + i,
            Item::Step => kernels + program.routines.len(),
            Item::Entry => kernels + program.routines.len() + 1,
        }
    }

    fn count(program: &KernelProgram) -> usize {
        Item::Entry.number(program) + 1
    }

    fn all(program: &KernelProgram) -> impl Iterator<Item = Item> + '_ {
        (0..Item::count(program)).map(|i| Item::nth(program, i))
    }

    fn describe(self, program: &KernelProgram) -> String {
        match self {
            Item::Kernel(i) => format!("kernel @{}", program.names[i]),
            Item::Routine(i) => format!("routine @{}", program.routines[i].name),
            Item::Step => "step".to_owned(),
            Item::Entry => "entry".to_owned(),
        }
    }
}

impl Native {
    /// An emitter for a target that uses its widest vectors, and compiles on the calling thread.
    pub fn new(target: Target) -> Self {
        Native { target, kernels: Kernels::best(target), threads: 1 }
    }

    /// Compiles kernels with this compiler, which must [have](Kernels::has) the target.
    pub fn kernels(self, kernels: Kernels) -> Self {
        Native { kernels, ..self }
    }

    /// Compiles on this many threads. The code is the same for any number.
    pub fn threads(self, threads: usize) -> Self {
        Native { threads: threads.max(1), ..self }
    }
}

impl Native {
    /// Compiles all kernels of a program one after the other, only to observe it: `after` is called after each part of each
    /// compilation with the name of the part and how much it made, instructions or bytes.
    ///
    /// # Errors
    /// Only if a compiler has a bug.
    pub fn measure(
        &self,
        program: &KernelProgram,
        after: &mut dyn FnMut(&'static str, usize),
    ) -> Result<(), EmitError> {
        let mut compiler = self.kernels.compiler(self.target)?;
        after("begin", 0);
        for kernel in &program.kernels {
            compiler.observed(kernel, Form::Bytes, after)?;
        }
        Ok(())
    }
}

impl Emitter for Native {
    fn name(&self) -> &'static str {
        self.kernels.name()
    }

    fn emit(&self, program: Arc<KernelProgram>) -> Result<Executable, EmitError> {
        if !self.target.runs_here() {
            return Err(EmitError::WrongMachine(self.target));
        }
        let codes = self.compile_all(&program)?;
        let isa = Functions::new(self.target, RegisterAllocation::SinglePass)?.isa();
        let code = module::link(isa, &program, &codes)?;
        Executable::new(program, self.target.machine(), code)
    }
}

impl Native {
    fn compile_all(&self, program: &KernelProgram) -> Result<Vec<Compiled>, EmitError> {
        let layout = ImageLayout::new(program);
        let items: Vec<Item> = Item::all(program).collect();
        let compiler = || Compiler::new(self, program, &layout);
        let compile = |compiler: &mut Result<Compiler<'_>, EmitError>, item: &Item| match compiler {
            Ok(compiler) => compiler.compile(*item, Form::Bytes),
            Err(error) => Err(error.clone()),
        };
        // Cranelift takes longer for a routine than most kernels take.
        let size = |item: &Item| match item {
            Item::Kernel(i) => program.kernels[*i].values.len(),
            Item::Routine(_) | Item::Step | Item::Entry => 1 << 16,
        };
        parallel::map_with(self.threads, &items, size, compiler, compile).into_iter().collect()
    }
}

/// Compiles functions sequentially, reusing allocations.
struct Compiler<'a> {
    program: &'a KernelProgram,
    layout: &'a ImageLayout,
    kernels: Box<dyn KernelCompiler>,
    control: Functions,
}

impl<'a> Compiler<'a> {
    fn new(native: &Native, program: &'a KernelProgram, layout: &'a ImageLayout) -> Result<Self, EmitError> {
        let kernels = native.kernels.compiler(native.target)?;
        let control = Functions::new(native.target, RegisterAllocation::SinglePass)?;
        Ok(Compiler { program, layout, kernels, control })
    }

    fn compile(&mut self, item: Item, form: Form) -> Result<Compiled, EmitError> {
        let compiled = match item {
            Item::Kernel(i) => self.kernels.compile(&self.program.kernels[i], form),
            _ => self.control.compile(body(self.program, self.layout, item), form),
        };
        compiled.map_err(|error| match error {
            EmitError::Internal(message) => EmitError::Internal(format!("{}: {message}", item.describe(self.program))),
            error => error,
        })
    }
}

/// What Cranelift is given for a function.
fn body<'a>(program: &'a KernelProgram, layout: &'a ImageLayout, item: Item) -> impl Body + 'a {
    move |function: &mut Function, isa: &dyn TargetIsa, frontend: &mut FunctionBuilderContext| match item {
        Item::Kernel(i) => clif::kernel(&program.kernels[i])(function, isa, frontend),
        Item::Routine(i) => routine::build(function, isa, program, layout, i, frontend),
        Item::Step => step::build(function, isa, program, frontend),
        Item::Entry => routine::build_entry(function, isa, program, frontend),
    }
}
