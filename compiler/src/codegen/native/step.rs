//! The step function, which all routines share: it makes the table of pointers for the callee, and calls it; a kernel is launched
//! by the host if it watches launches.
//!
//! The operands of each step are among the constants, in its description: a training step of a deep network has hundreds, and
//! compiling code for each of them would take longer than compiling all kernels.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Function, InstBuilder, SigRef, Signature, StackSlotData, StackSlotKind, Value, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

use super::routine::{self, flags};
use crate::codegen::abi::offset;
use crate::codegen::clif::{self, args, status_signature};
use crate::codegen::image::{CallKind, OFFSET_SHIFT, width, word};
use crate::routine::program::KernelProgram;

/// `(ctx, frame, arguments, description) -> status`.
pub(super) fn signature(isa: &dyn TargetIsa) -> Signature {
    status_signature(isa, &[types::I64; 4])
}

/// Translates it.
pub(super) fn build(
    function: &mut Function,
    isa: &dyn TargetIsa,
    program: &KernelProgram,
    frontend: &mut FunctionBuilderContext,
) {
    let (b, [ctx, frame, arguments, description]) = routine::begin(function, signature(isa), frontend);
    let mut step = StepEmitter { b, ctx, frame, arguments, description };
    let callee = step.word(word::CALLEE);
    let table = step.table(program);
    let kernel_signature = step.b.import_signature(clif::signature(isa));
    let routine_signature = step.b.import_signature(routine::signature(isa));
    let parallel_signature = step.b.import_signature(status_signature(isa, &[types::I64; 4]));
    let launch_signature = step.b.import_signature(status_signature(isa, &[types::I64; 5]));
    let kind = step.word(word::KIND);
    let [calls, launches, here, spread] = std::array::from_fn(|_| step.b.create_block());
    let is_routine = step.is(kind, CallKind::Routine);
    step.b.ins().brif(is_routine, calls, &[], launches, &[]);

    step.b.switch_to_block(calls);
    let inner = step.word(word::WHICH);
    let inner = step.b.ins().iadd(step.frame, inner);
    step.finish(routine_signature, callee, &[ctx, inner, table]);

    step.b.switch_to_block(launches);
    let chunks = step.word(word::CHUNKS);
    let is_here = step.is(kind, CallKind::Serial);
    step.watched(launch_signature, [callee, table, chunks], is_here);
    step.b.ins().brif(is_here, here, &[], spread, &[]);

    step.b.switch_to_block(here);
    let zero = step.b.ins().iconst(types::I64, 0);
    let scratch = step.b.ins().load(types::I64, flags(), ctx, offset::SCRATCH);
    step.finish(kernel_signature, callee, &[table, zero, chunks, scratch]);

    step.b.switch_to_block(spread);
    let parallel = step.b.ins().load(types::I64, flags(), ctx, offset::PARALLEL);
    step.finish(parallel_signature, parallel, &[ctx, callee, table, chunks]);

    step.b.seal_all_blocks();
    step.b.finalize(isa.frontend_config());
}

struct StepEmitter<'f> {
    b: FunctionBuilder<'f>,
    ctx: Value,
    frame: Value,
    arguments: Value,
    description: Value,
}

impl StepEmitter<'_> {
    fn word(&mut self, at: i32) -> Value {
        self.b.ins().load(types::I64, flags(), self.description, at)
    }

    fn is(&mut self, kind: Value, expected: CallKind) -> Value {
        self.b.ins().icmp_imm_s(IntCC::Equal, kind, expected as i64)
    }

    /// Calls, and returns what the callee returns.
    fn finish(&mut self, signature: SigRef, callee: Value, arguments: &[Value]) {
        let call = self.b.ins().call_indirect(signature, callee, arguments);
        let status = self.b.inst_results(call)[0];
        self.b.ins().return_(&[status]);
    }

    /// Makes the table of pointers and returns its address. Ends in a new block.
    fn table(&mut self, program: &KernelProgram) -> Value {
        let steps = program.routines.iter().flat_map(|r| &r.steps);
        let widest = steps.map(|step| width(program, step)).max().unwrap_or(0).max(1);
        let mut slot = |words: usize| {
            let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 8 * words as u32, 3);
            let slot = self.b.create_sized_stack_slot(data);
            self.b.ins().stack_addr(types::I64, slot, 0)
        };
        let (table, own) = (slot(widest), slot(2));
        let constants = self.b.ins().load(types::I64, flags(), self.ctx, offset::CONSTANTS);
        self.b.ins().store(flags(), self.frame, own, 0);
        self.b.ins().store(flags(), constants, own, 8);
        let count = self.word(word::COUNT);
        let [header, body, done] = std::array::from_fn(|_| self.b.create_block());
        let i = self.b.append_block_param(header, types::I64);
        let zero = self.b.ins().iconst(types::I64, 0);
        self.b.ins().jump(header, &args(&[zero]));

        self.b.switch_to_block(header);
        let end = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, i, count);
        self.b.ins().brif(end, done, &[], body, &[]);

        self.b.switch_to_block(body);
        let at = self.b.ins().ishl_imm_u(i, 3);
        let from = self.b.ins().iadd(self.description, at);
        let address = self.b.ins().load(types::I64, flags(), from, word::ADDRESSES);
        let is_argument = self.b.ins().band_imm_u(address, 1);
        let bases = self.b.ins().select(is_argument, self.arguments, own);
        let index = self.b.ins().band_imm_u(address, ((1 << OFFSET_SHIFT) - 1) & !1);
        let index = self.b.ins().ishl_imm_u(index, 2);
        let base = self.b.ins().iadd(bases, index);
        let base = self.b.ins().load(types::I64, flags(), base, 0);
        let offset = self.b.ins().ushr_imm_u(address, i64::from(OFFSET_SHIFT));
        let pointer = self.b.ins().iadd(base, offset);
        let to = self.b.ins().iadd(table, at);
        self.b.ins().store(flags(), pointer, to, 0);
        let next = self.b.ins().iadd_imm_s(i, 1);
        self.b.ins().jump(header, &args(&[next]));

        self.b.switch_to_block(done);
        table
    }

    /// Notes what is launched, and lets the host launch it if it watches. Ends in the block of the launch otherwise.
    fn watched(&mut self, launch_signature: SigRef, [callee, table, chunks]: [Value; 3], is_here: Value) {
        let kernel = self.word(word::WHICH);
        let kernel = self.b.ins().ireduce(types::I32, kernel);
        self.b.ins().store(flags(), kernel, self.ctx, offset::KERNEL);
        let number = self.word(word::STEP);
        let number = self.b.ins().ireduce(types::I32, number);
        self.b.ins().store(flags(), number, self.ctx, offset::STEP);
        let callback = self.b.ins().load(types::I64, flags(), self.ctx, offset::ON_LAUNCH);
        let [watched, go] = std::array::from_fn(|_| self.b.create_block());
        self.b.set_cold_block(watched);
        self.b.ins().brif(callback, watched, &[], go, &[]);
        self.b.switch_to_block(watched);
        let [zero, one] = [0, 1].map(|n| self.b.ins().iconst(types::I64, n));
        let spread = self.b.ins().select(is_here, zero, one);
        self.finish(launch_signature, callback, &[self.ctx, callee, table, chunks, spread]);
        self.b.switch_to_block(go);
    }
}
