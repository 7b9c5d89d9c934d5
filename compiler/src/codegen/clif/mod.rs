//! The Cranelift emitter: machine code with 128-bit vectors.
//!
//! Kernels are translated one to one, at `opt_level=none`: the builder has already eliminated common subexpressions and hoisted
//! loop-invariant code, and Cranelift's own optimiser moves loads far from their uses (it halves the speed of register tiles).
//! Functions are compiled in parallel and then linked into one module per program.

mod arith;
mod convert;
mod function;
mod isa;
mod lanes;
mod memory;
mod module;
mod routine;
mod step;
mod value;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{Function, UserFuncName};
use cranelift_codegen::isa::{OwnedTargetIsa, TargetIsa};
use cranelift_frontend::FunctionBuilderContext;

use self::isa::RegisterAllocation;
use super::image::ImageLayout;
use super::{EmitError, Emitter, Executable};
use crate::machine::Target;
use crate::routine::program::KernelProgram;

/// Emits machine code for a [`Target`] with Cranelift.
#[derive(Clone, Copy, Debug)]
pub struct Cranelift {
    target: Target,
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
}

impl Cranelift {
    /// An emitter for a target that compiles on the calling thread.
    pub fn new(target: Target) -> Self {
        Cranelift { target, threads: 1 }
    }

    /// Compiles on this many threads. The code is the same for any number.
    pub fn threads(self, threads: usize) -> Self {
        Cranelift { threads: threads.max(1), ..self }
    }

    /// The input of Cranelift, of all functions of a program.
    pub fn clif(&self, program: &KernelProgram) -> Result<String, EmitError> {
        let isa = isa::build(self.target, RegisterAllocation::Backtracking)?;
        let mut frontend = FunctionBuilderContext::new();
        let layout = ImageLayout::new(program);
        let mut text = String::new();
        for i in 0..Item::count(program) {
            let item = Item::nth(program, i);
            let function = build(&*isa, program, &layout, item, &mut frontend);
            text += &format!("; {}\n{}\n", describe(program, item), function.display());
        }
        Ok(text)
    }

    /// The assembly text of all functions of a program.
    pub fn assembly(&self, program: &KernelProgram) -> Result<String, EmitError> {
        let isas = Isas::new(self.target)?;
        let layout = ImageLayout::new(program);
        let mut compiler = Compiler::new(&isas, program, &layout);
        let mut text = String::new();
        for i in 0..Item::count(program) {
            let item = Item::nth(program, i);
            let code = compiler.compile(item, true)?;
            text += &format!("; {}\n{}\n", describe(program, item), code.text.unwrap_or_default());
        }
        Ok(text)
    }
}

impl Emitter for Cranelift {
    fn name(&self) -> &'static str {
        "cranelift"
    }

    fn emit(&self, program: Arc<KernelProgram>) -> Result<Executable, EmitError> {
        if !self.target.runs_here() {
            return Err(EmitError::WrongMachine(self.target));
        }
        let isas = Isas::new(self.target)?;
        let codes = compile_all(&isas, &program, self.threads)?;
        let code = module::link(isas.kernels, &program, &codes)?;
        Executable::new(program, self.target.machine(), code)
    }
}

fn describe(program: &KernelProgram, item: Item) -> String {
    match item {
        Item::Kernel(i) => format!("kernel @{}", program.names[i]),
        Item::Routine(i) => format!("routine @{}", program.routines[i].name),
        Item::Step => "step".to_owned(),
        Item::Entry => "entry".to_owned(),
    }
}

/// A compiled function before linking.
struct Compiled {
    bytes: Vec<u8>,
    alignment: u64,
    relocs: Vec<cranelift_module::ModuleReloc>,
    text: Option<String>,
}

/// The settings for kernels and for routines.
struct Isas {
    kernels: OwnedTargetIsa,
    calls: OwnedTargetIsa,
    wide: Option<super::wide::Isa>,
}

impl Isas {
    fn new(target: Target) -> Result<Isas, EmitError> {
        Ok(Isas {
            kernels: isa::build(target, RegisterAllocation::Backtracking)?,
            calls: isa::build(target, RegisterAllocation::SinglePass)?,
            wide: match target {
                Target::X86_64V3 => Some(super::wide::Isa::Avx2),
                Target::X86_64V4 => Some(super::wide::Isa::Avx512),
                Target::X86_64 | Target::Aarch64 => None,
            },
        })
    }

    fn of(&self, item: Item) -> &dyn TargetIsa {
        match item {
            Item::Kernel(_) => &*self.kernels,
            Item::Routine(_) | Item::Step | Item::Entry => &*self.calls,
        }
    }
}

/// Compiles functions sequentially, reusing allocations.
struct Compiler<'a> {
    isas: &'a Isas,
    program: &'a KernelProgram,
    layout: &'a ImageLayout,
    context: Context,
    frontend: FunctionBuilderContext,
}

impl<'a> Compiler<'a> {
    fn new(isas: &'a Isas, program: &'a KernelProgram, layout: &'a ImageLayout) -> Self {
        Compiler { isas, program, layout, context: Context::new(), frontend: FunctionBuilderContext::new() }
    }

    fn compile(&mut self, item: Item, text: bool) -> Result<Compiled, EmitError> {
        if let (Item::Kernel(i), Some(isa)) = (item, self.isas.wide) {
            let bytes = super::wide::compile(&self.program.kernels[i], isa);
            return Ok(Compiled { bytes, alignment: 64, relocs: vec![], text: Some(String::new()) });
        }
        self.context.clear();
        let isa = self.isas.of(item);
        self.context.func = build(isa, self.program, self.layout, item, &mut self.frontend);
        self.context.set_disasm(text);
        let internal =
            |e: &dyn std::fmt::Debug| EmitError::Internal(format!("{}: {e:?}", describe(self.program, item)));
        self.context.compile(isa, &mut ControlPlane::default()).map_err(|e| internal(&e.inner))?;
        let code = self.context.compiled_code().ok_or_else(|| internal(&"no code"))?;
        // Only routines and the step function are referenced, and those by their numbers, so that the id of the function itself
        // does not matter. Kernels are called by the addresses in the step descriptions.
        let id = cranelift_module::FuncId::from_u32(0);
        let relocs = code.buffer.relocs().iter();
        let relocs =
            relocs.map(|r| cranelift_module::ModuleReloc::from_mach_reloc(r, &self.context.func, id)).collect();
        Ok(Compiled {
            bytes: code.code_buffer().to_vec(),
            alignment: u64::from(code.buffer.alignment),
            relocs,
            text: code.vcode.clone(),
        })
    }
}

fn build(
    isa: &dyn TargetIsa,
    program: &KernelProgram,
    layout: &ImageLayout,
    item: Item,
    frontend: &mut FunctionBuilderContext,
) -> Function {
    let mut function = Function::new();
    function.name = UserFuncName::user(0, item.number(program) as u32);
    match item {
        Item::Kernel(i) => function::build(&mut function, isa, &program.kernels[i], frontend),
        Item::Routine(i) => routine::build(&mut function, isa, program, layout, i, frontend),
        Item::Step => step::build(&mut function, isa, program, frontend),
        Item::Entry => routine::build_entry(&mut function, isa, program, frontend),
    }
    function
}

/// Compiles all functions; workers take them from a shared queue.
fn compile_all(isas: &Isas, program: &KernelProgram, threads: usize) -> Result<Vec<Compiled>, EmitError> {
    let count = Item::count(program);
    let next = AtomicUsize::new(0);
    let layout = ImageLayout::new(program);
    let work = || {
        let mut compiler = Compiler::new(isas, program, &layout);
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                return Ok::<_, EmitError>(done);
            }
            done.push((i, compiler.compile(Item::nth(program, i), false)?));
        }
    };
    let helpers = threads.min(count) - 1;
    let mut done = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
        let mut done = work()?;
        for handle in handles {
            let result = handle.join().map_err(|_| EmitError::Internal("a compiling thread panicked".to_owned()))?;
            done.extend(result?);
        }
        Ok::<_, EmitError>(done)
    })?;
    done.sort_unstable_by_key(|(i, _)| *i);
    Ok(done.into_iter().map(|(_, code)| code).collect())
}
