//! Routines and the entry as native code.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    ExtFuncData, ExternalName, FuncRef, Function, InstBuilder, MemFlagsData, SigRef, Signature, UserExternalName,
    Value, types,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

use super::{Item, step};
use crate::codegen::abi::offset;
use crate::codegen::clif::{args, status_signature};
use crate::codegen::image::{ImageLayout, word};
use crate::routine::program::KernelProgram;

/// `(ctx, frame, arguments) -> status`.
pub(super) fn signature(isa: &dyn TargetIsa) -> Signature {
    status_signature(isa, &[types::I64; 3])
}

pub(super) fn flags() -> MemFlagsData {
    MemFlagsData::trusted()
}

/// Begins a function: a builder in its first block, and its parameters.
pub(super) fn begin<'a, const N: usize>(
    function: &'a mut Function,
    signature: Signature,
    frontend: &'a mut FunctionBuilderContext,
) -> (FunctionBuilder<'a>, [Value; N]) {
    function.signature = signature;
    let mut b = FunctionBuilder::new(function, frontend);
    let start = b.create_block();
    b.append_block_params_for_function_params(start);
    b.switch_to_block(start);
    let parameters = b.block_params(start).try_into().expect("the signature has as many");
    (b, parameters)
}

/// `entry(ctx)`: the last routine, on the arena and the arguments of the context.
pub(super) fn build_entry(
    function: &mut Function,
    isa: &dyn TargetIsa,
    program: &KernelProgram,
    frontend: &mut FunctionBuilderContext,
) {
    let (mut b, [ctx]) = begin(function, status_signature(isa, &[types::I64]), frontend);
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

/// References a function of the program by its number.
fn import(b: &mut FunctionBuilder, signature: SigRef, number: usize) -> FuncRef {
    let name = b.func.declare_imported_user_function(UserExternalName::new(0, number as u32));
    b.import_function(ExtFuncData { name: ExternalName::user(name), signature, colocated: false, patchable: false })
}

/// Translates a routine: runs its [steps](super::step) in the order of their descriptions until one fails.
pub(super) fn build(
    function: &mut Function,
    isa: &dyn TargetIsa,
    program: &KernelProgram,
    layout: &ImageLayout,
    index: usize,
    frontend: &mut FunctionBuilderContext,
) {
    let (mut b, [ctx, frame, arguments]) = begin(function, signature(isa), frontend);
    let step_signature = b.import_signature(step::signature(isa));
    let make = import(&mut b, step_signature, Item::Step.number(program));
    let [header, body, next, end] = std::array::from_fn(|_| b.create_block());
    let description = b.append_block_param(header, types::I64);
    let result = b.append_block_param(end, types::I32);
    let steps = &layout.steps[index];
    let constants = b.ins().load(types::I64, flags(), ctx, offset::CONSTANTS);
    let first = b.ins().iadd_imm_s(constants, steps.start as i64);
    let behind = b.ins().iadd_imm_s(constants, steps.end as i64);
    b.ins().jump(header, &args(&[first]));

    b.switch_to_block(header);
    let ok = b.ins().iconst(types::I32, 0);
    let done = b.ins().icmp(IntCC::Equal, description, behind);
    b.ins().brif(done, end, &args(&[ok]), body, &[]);

    b.switch_to_block(body);
    let call = b.ins().call(make, &[ctx, frame, arguments, description]);
    let status = b.inst_results(call)[0];
    b.ins().brif(status, end, &args(&[status]), next, &[]);

    b.switch_to_block(next);
    let count = b.ins().load(types::I64, flags(), description, word::COUNT);
    let bytes = b.ins().ishl_imm_u(count, 3);
    let behind_addresses = b.ins().iadd(description, bytes);
    let following = b.ins().iadd_imm_s(behind_addresses, i64::from(word::ADDRESSES));
    b.ins().jump(header, &args(&[following]));

    b.switch_to_block(end);
    b.ins().return_(&[result]);
    b.seal_all_blocks();
    b.finalize(isa.frontend_config());
}
