//! Routines and the entry as native code: between kernels there is no interpreter.

use cranelift_codegen::ir::{
    ExtFuncData, ExternalName, FuncRef, Function, InstBuilder, MemFlagsData, SigRef, Signature, UserExternalName, types,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use rustc_hash::FxHashMap;

use super::function::{self, status_signature};
use super::{Item, step};
use crate::codegen::constants::Layout;
use crate::codegen::context::offset;
use crate::kernel::program::{KernelProgram, Step};

/// `(ctx, frame, arguments) -> status`.
pub(super) fn signature(isa: &dyn TargetIsa) -> Signature {
    status_signature(isa, &[types::I64; 3])
}

pub(super) fn flags() -> MemFlagsData {
    MemFlagsData::trusted()
}

/// `entry(ctx)`: the last routine, on the arena and the arguments of the context.
pub(super) fn build_entry(
    function: &mut Function,
    isa: &dyn TargetIsa,
    program: &KernelProgram,
    frontend: &mut FunctionBuilderContext,
) {
    function.signature = status_signature(isa, &[types::I64]);
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
        let callee = import(&mut b, signature, Item::Routine(program.routines.len() - 1).number(program));
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

/// Translates a routine: a call of [`step`](super::step) for each of its steps, as long as all goes well.
pub(super) fn build(
    function: &mut Function,
    isa: &dyn TargetIsa,
    program: &KernelProgram,
    layout: &Layout,
    index: usize,
    frontend: &mut FunctionBuilderContext,
) {
    let routine = &program.routines[index];
    function.signature = signature(isa);
    let mut b = FunctionBuilder::new(function, frontend);
    let block = b.create_block();
    b.append_block_params_for_function_params(block);
    b.switch_to_block(block);
    let &[ctx, frame, arguments] = b.block_params(block) else { unreachable!("three parameters") };
    let constants = b.ins().load(types::I64, flags(), ctx, offset::CONSTANTS);
    let kernel_signature = b.import_signature(function::signature(isa));
    let routine_signature = b.import_signature(signature(isa));
    let step_signature = b.import_signature(step::signature(isa));
    let make = import(&mut b, step_signature, Item::Step.number(program));
    let mut imports: FxHashMap<Item, FuncRef> = FxHashMap::default();
    let failed = b.create_block();
    let status = b.append_block_param(failed, types::I32);
    b.set_cold_block(failed);
    for (step, &at) in routine.steps.iter().zip(&layout.steps[index]) {
        let (callee, signature) = match step {
            Step::Launch { kernel, .. } => (Item::Kernel(kernel.0 as usize), kernel_signature),
            Step::Call { routine, .. } => (Item::Routine(routine.0 as usize), routine_signature),
        };
        let callee = *imports.entry(callee).or_insert_with(|| import(&mut b, signature, callee.number(program)));
        let callee = b.ins().func_addr(types::I64, callee);
        let description = b.ins().iadd_imm_s(constants, at as i64);
        let call = b.ins().call(make, &[ctx, frame, arguments, description, callee]);
        let status = b.inst_results(call)[0];
        let next = b.create_block();
        b.ins().brif(status, failed, &function::args(&[status]), next, &[]);
        b.switch_to_block(next);
    }
    let ok = b.ins().iconst(types::I32, 0);
    b.ins().return_(&[ok]);
    b.switch_to_block(failed);
    b.ins().return_(&[status]);
    b.seal_all_blocks();
    b.finalize(isa.frontend_config());
}
