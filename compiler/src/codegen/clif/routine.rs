//! Routines and the entry as native code: between kernels there is no interpreter.

use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, FuncRef, Function, InstBuilder, MemFlagsData, SigRef, Signature, StackSlot,
    StackSlotData, StackSlotKind, UserExternalName, Value, types,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

use super::function;
use crate::codegen::context::offset;
use crate::kernel::cost;
use crate::kernel::program::{KernelProgram, Place, Routine, Step};

/// `(ctx, frame, arguments) -> status`.
fn signature(isa: &dyn TargetIsa) -> Signature {
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.extend([AbiParam::new(types::I64); 3]);
    signature.returns.push(AbiParam::new(types::I32));
    signature
}

fn host_signature(isa: &dyn TargetIsa, params: &[cranelift_codegen::ir::Type]) -> Signature {
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.extend(params.iter().map(|&t| AbiParam::new(t)));
    signature.returns.push(AbiParam::new(types::I32));
    signature
}

fn flags() -> MemFlagsData {
    MemFlagsData::trusted()
}

/// `entry(ctx)`: the last routine, on the arena and the arguments of the context.
pub(super) fn build_entry(
    function: &mut Function,
    isa: &dyn TargetIsa,
    program: &KernelProgram,
    frontend: &mut FunctionBuilderContext,
) {
    function.signature = host_signature(isa, &[types::I64]);
    let mut b = FunctionBuilder::new(function, frontend);
    let block = b.create_block();
    b.append_block_params_for_function_params(block);
    b.switch_to_block(block);
    let ctx = b.block_params(block)[0];
    let status = if program.routines.is_empty() {
        b.ins().iconst(types::I32, 0)
    } else {
        let frame = b.ins().load(types::I64, flags(), ctx, offset::ARENA);
        let arguments = b.ins().load(types::I64, flags(), ctx, offset::ARGUMENTS);
        let signature = b.import_signature(signature(isa));
        let callee = import(&mut b, signature, program.kernels.len() + program.routines.len() - 1);
        let call = b.ins().call(callee, &[ctx, frame, arguments]);
        b.inst_results(call)[0]
    };
    b.ins().store(flags(), status, ctx, offset::STATUS);
    b.ins().return_(&[status]);
    b.seal_all_blocks();
    b.finalize(isa.frontend_config());
}

/// Refers to a function of the program by its number.
fn import(b: &mut FunctionBuilder, signature: SigRef, number: usize) -> FuncRef {
    let name = b.func.declare_imported_user_function(UserExternalName::new(0, number as u32));
    b.import_function(ExtFuncData { name: ExternalName::user(name), signature, colocated: false, patchable: false })
}

struct Builder<'a, 'f> {
    b: FunctionBuilder<'f>,
    program: &'a KernelProgram,
    tables: &'a [Vec<usize>],
    kernel_signature: SigRef,
    routine_signature: SigRef,
    parallel_signature: SigRef,
    launch_signature: SigRef,
    ctx: Value,
    frame: Value,
    arguments: Value,
    constants: Value,
    table: StackSlot,
    imports: std::collections::BTreeMap<usize, FuncRef>,
}

/// The most pointers that a step hands on.
fn widest(program: &KernelProgram, routine: &Routine) -> usize {
    let widths = routine.steps.iter().map(|step| match step {
        Step::Launch { kernel, operands } => operands.len() + program.kernel(*kernel).tables.len(),
        Step::Call { arguments, .. } => arguments.len(),
    });
    widths.max().unwrap_or(0).max(1)
}

/// Translates a routine.
pub(super) fn build(
    function: &mut Function,
    isa: &dyn TargetIsa,
    program: &KernelProgram,
    tables: &[Vec<usize>],
    index: usize,
    frontend: &mut FunctionBuilderContext,
) {
    let routine = &program.routines[index];
    function.signature = signature(isa);
    let mut b = FunctionBuilder::new(function, frontend);
    let block = b.create_block();
    b.append_block_params_for_function_params(block);
    b.switch_to_block(block);
    let params = b.block_params(block).to_vec();
    let constants = b.ins().load(types::I64, flags(), params[0], offset::CONSTANTS);
    let bytes = 8 * widest(program, routine) as u32;
    let table = b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, bytes, 3));
    let kernel_signature = b.import_signature(function::signature(isa));
    let routine_signature = b.import_signature(signature(isa));
    let parallel_signature = b.import_signature(host_signature(isa, &[types::I64; 4]));
    let launch_signature = b.import_signature(host_signature(isa, &[types::I64, types::I32]));
    let mut builder = Builder {
        b,
        program,
        tables,
        kernel_signature,
        routine_signature,
        parallel_signature,
        launch_signature,
        ctx: params[0],
        frame: params[1],
        arguments: params[2],
        constants,
        table,
        imports: std::collections::BTreeMap::new(),
    };
    builder.steps(routine);
    builder.b.seal_all_blocks();
    builder.b.finalize(isa.frontend_config());
}

impl Builder<'_, '_> {
    fn steps(&mut self, routine: &Routine) {
        let failed = self.b.create_block();
        self.b.append_block_param(failed, types::I32);
        self.b.set_cold_block(failed);
        for step in &routine.steps {
            let status = match step {
                Step::Launch { kernel, operands } => {
                    self.announce(kernel.0, failed);
                    let pointers = self.fill(operands, &self.tables[kernel.0 as usize]);
                    self.launch(kernel.0 as usize, pointers)
                }
                Step::Call { routine, frame, arguments } => {
                    let pointers = self.fill(arguments, &[]);
                    let frame = self.b.ins().iadd_imm_s(self.frame, *frame as i64);
                    let number = self.program.kernels.len() + routine.0 as usize;
                    let callee = self.import(number, self.routine_signature);
                    let call = self.b.ins().call(callee, &[self.ctx, frame, pointers]);
                    self.b.inst_results(call)[0]
                }
            };
            self.proceed(status, failed);
        }
        let ok = self.b.ins().iconst(types::I32, 0);
        self.b.ins().return_(&[ok]);
        self.b.switch_to_block(failed);
        let status = self.b.block_params(failed)[0];
        self.b.ins().return_(&[status]);
    }

    fn import(&mut self, number: usize, signature: SigRef) -> FuncRef {
        if let Some(&known) = self.imports.get(&number) {
            return known;
        }
        let reference = import(&mut self.b, signature, number);
        self.imports.insert(number, reference);
        reference
    }

    /// Goes on if the status is 0.
    fn proceed(&mut self, status: Value, failed: cranelift_codegen::ir::Block) {
        let next = self.b.create_block();
        self.b.ins().brif(status, failed, &function::args(&[status]), next, &[]);
        self.b.switch_to_block(next);
    }

    /// Tells the host which kernel comes, if it wants to know.
    fn announce(&mut self, kernel: u32, failed: cranelift_codegen::ir::Block) {
        let id = self.b.ins().iconst(types::I32, i64::from(kernel));
        self.b.ins().store(flags(), id, self.ctx, offset::KERNEL);
        let callback = self.b.ins().load(types::I64, flags(), self.ctx, offset::ON_LAUNCH);
        let tell = self.b.create_block();
        let go = self.b.create_block();
        self.b.set_cold_block(tell);
        self.b.ins().brif(callback, tell, &[], go, &[]);
        self.b.switch_to_block(tell);
        let id = self.b.ins().iconst(types::I32, i64::from(kernel));
        let call = self.b.ins().call_indirect(self.launch_signature, callback, &[self.ctx, id]);
        let status = self.b.inst_results(call)[0];
        self.b.ins().brif(status, failed, &function::args(&[status]), go, &[]);
        self.b.switch_to_block(go);
    }

    /// Writes a table of pointers and returns where it is.
    fn fill(&mut self, places: &[Place], tables: &[usize]) -> Value {
        let constants = tables.iter().map(|&offset| Place::Constant(offset));
        for (i, place) in places.iter().copied().chain(constants).enumerate() {
            let pointer = match place {
                Place::Frame(offset) => self.b.ins().iadd_imm_s(self.frame, offset as i64),
                Place::Constant(offset) => self.b.ins().iadd_imm_s(self.constants, offset as i64),
                Place::Argument { slot, offset } => {
                    let base = self.b.ins().load(types::I64, flags(), self.arguments, slot as i32 * 8);
                    if offset == 0 { base } else { self.b.ins().iadd_imm_s(base, offset as i64) }
                }
            };
            self.b.ins().stack_store(types::I64, pointer, self.table, i as i32 * 8);
        }
        self.b.ins().stack_addr(types::I64, self.table, 0)
    }

    /// Small kernels run here, large ones wherever the host likes.
    fn launch(&mut self, index: usize, pointers: Value) -> Value {
        let kernel = &self.program.kernels[index];
        let callee = self.import(index, self.kernel_signature);
        let chunks = self.b.ins().iconst(types::I64, kernel.chunks as i64);
        let call = if cost::runs_in_parallel(kernel) {
            let parallel = self.b.ins().load(types::I64, flags(), self.ctx, offset::PARALLEL);
            let address = self.b.ins().func_addr(types::I64, callee);
            self.b.ins().call_indirect(self.parallel_signature, parallel, &[self.ctx, address, pointers, chunks])
        } else {
            let zero = self.b.ins().iconst(types::I64, 0);
            let scratch = self.b.ins().load(types::I64, flags(), self.ctx, offset::SCRATCH);
            self.b.ins().call(callee, &[pointers, zero, chunks, scratch])
        };
        self.b.inst_results(call)[0]
    }
}
