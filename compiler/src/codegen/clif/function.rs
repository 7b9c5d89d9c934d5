//! Translates kernels: control flow.

use cranelift_codegen::ir::{
    self, AbiParam, BlockArg, Function, InstBuilder, Signature, Value, condcodes::IntCC, types,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use rustc_hash::FxHashMap;

use super::value::{Lowering, Rep, flags};
use crate::kernel::{Block, Const, If, Kernel, Loop, Stmt, Val};

/// The signature of a function of these parameters that returns a status.
pub(in crate::codegen) fn status_signature(isa: &dyn TargetIsa, params: &[ir::Type]) -> Signature {
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.extend(params.iter().map(|&t| AbiParam::new(t)));
    signature.returns.push(AbiParam::new(types::I32));
    signature
}

/// The signature of a [`KernelFn`](crate::codegen::KernelFn).
pub(in crate::codegen) fn signature(isa: &dyn TargetIsa) -> Signature {
    status_signature(isa, &[types::I64; 4])
}

/// Translates a kernel.
pub(super) fn build(
    function: &mut Function,
    isa: &dyn TargetIsa,
    kernel: &Kernel,
    frontend: &mut FunctionBuilderContext,
) {
    function.signature = signature(isa);
    let mut lowering = Lowering {
        b: FunctionBuilder::new(function, frontend),
        kernel,
        reps: vec![Rep::Undefined; kernel.values.len()],
        bases: Vec::new(),
        consts: FxHashMap::default(),
        lanes_of: FxHashMap::default(),
        x86: isa.name() == "x64",
        exits: Vec::new(),
    };
    lowering.function();
    lowering.b.seal_all_blocks();
    lowering.b.finalize(isa.frontend_config());
}

pub(in crate::codegen) fn args(values: &[Value]) -> Vec<BlockArg> {
    values.iter().map(|&v| BlockArg::Value(v)).collect()
}

impl Lowering<'_, '_> {
    fn function(&mut self) {
        let entry = self.b.create_block();
        self.b.append_block_params_for_function_params(entry);
        self.b.switch_to_block(entry);
        let params = self.b.block_params(entry).to_vec();
        let [operands, begin, end, scratch] = params[..] else { unreachable!("a kernel has four parameters") };
        self.set(Kernel::BEGIN, Rep::Scalar(begin));
        self.set(Kernel::END, Rep::Scalar(end));
        let (count, tables) = (self.kernel.operands.len(), self.kernel.tables.len());
        let pointer = |this: &mut Self, i: usize| this.b.ins().load(types::I64, flags(), operands, i as i32 * 8);
        for i in 0..count {
            let base = pointer(self, i);
            self.bases.push(base);
        }
        for offset in self.kernel.scratch_layout().0 {
            let base = self.b.ins().iadd_imm_s(scratch, offset as i64);
            self.bases.push(base);
        }
        // The tables follow the operands in the table of pointers.
        for i in count..count + tables {
            let base = pointer(self, i);
            self.bases.push(base);
        }
        let kernel = self.kernel;
        self.block(&kernel.body);
        let ok = self.b.ins().iconst(types::I32, 0);
        self.b.ins().return_(&[ok]);
        for (status, block) in std::mem::take(&mut self.exits) {
            self.b.switch_to_block(block);
            let status = self.b.ins().iconst(types::I32, i64::from(status as u32));
            self.b.ins().return_(&[status]);
        }
    }

    fn block(&mut self, block: &Block) {
        for stmt in block {
            match stmt {
                Stmt::Let(val, inst) => self.inst(*val, inst),
                Stmt::Store(access, value) => self.store(access, *value),
                Stmt::Check(cond, status) => self.check(*cond, *status),
                Stmt::Loop(l) if l.unroll => self.unrolled(l),
                Stmt::Loop(l) => self.repeat(l),
                Stmt::If(i) => self.branch(i),
            }
        }
    }

    fn check(&mut self, cond: Val, status: i32) {
        let cond = self.scalar(cond);
        let known = self.exits.iter().find(|(s, _)| *s == status).map(|(_, block)| *block);
        let exit = known.unwrap_or_else(|| {
            let block = self.b.create_block();
            self.b.set_cold_block(block);
            self.exits.push((status, block));
            block
        });
        let next = self.b.create_block();
        self.b.ins().brif(cond, next, &[], exit, &[]);
        self.b.switch_to_block(next);
    }

    fn unrolled(&mut self, l: &Loop) {
        let (Some(Const::I64(begin)), Some(Const::I64(end))) = (self.constant(l.begin), self.constant(l.end)) else {
            unreachable!("the verifier admits constant bounds only");
        };
        for c in &l.carried {
            let init = self.rep(c.init).clone();
            self.set(c.arg, init);
        }
        let mut i = begin;
        while i < end {
            self.set(l.var, Rep::Const(Const::I64(i)));
            self.block(&l.body);
            let next: Vec<Rep> = l.carried.iter().map(|c| self.rep(c.next).clone()).collect();
            for (c, rep) in l.carried.iter().zip(next) {
                self.set(c.arg, rep);
            }
            i += l.step;
        }
        for c in &l.carried {
            let last = self.rep(c.arg).clone();
            self.set(c.result, last);
        }
    }

    /// The test is at the top, so that the values of an iteration have one use, the jump back: Cranelift fuses loads into
    /// instructions only while no later value has two uses, such as a branch to two blocks.
    fn repeat(&mut self, l: &Loop) {
        let header = self.b.create_block();
        let body = self.b.create_block();
        let exit = self.b.create_block();
        self.b.append_block_param(header, types::I64);
        for c in &l.carried {
            let ty = self.kernel.ty(c.init);
            self.append_params(header, ty);
        }
        let mut enter = vec![self.scalar(l.begin)];
        l.carried.iter().for_each(|c| self.flatten(c.init, &mut enter));
        let end = if self.constant(l.end).is_none() { Some(self.scalar(l.end)) } else { None };
        self.b.ins().jump(header, &args(&enter));
        self.b.switch_to_block(header);
        let params = self.b.block_params(header).to_vec();
        let more = match (self.constant(l.end), end) {
            (Some(Const::I64(end)), _) => self.b.ins().icmp_imm_s(IntCC::SignedLessThan, params[0], end),
            (_, end) => self.b.ins().icmp(IntCC::SignedLessThan, params[0], end.expect("no constant")),
        };
        self.b.ins().brif(more, body, &[], exit, &[]);
        self.b.switch_to_block(body);
        self.set(l.var, Rep::Scalar(params[0]));
        let mut rest = params[1..].iter().copied();
        l.carried.iter().for_each(|c| self.unflatten(c.arg, &mut rest));
        self.block(&l.body);
        let mut back = vec![self.b.ins().iadd_imm_s(params[0], l.step)];
        l.carried.iter().for_each(|c| self.flatten(c.next, &mut back));
        self.b.ins().jump(header, &args(&back));
        self.b.switch_to_block(exit);
        let mut results = params[1..].iter().copied();
        l.carried.iter().for_each(|c| self.unflatten(c.result, &mut results));
    }

    fn branch(&mut self, i: &If) {
        let then = self.b.create_block();
        let otherwise = self.b.create_block();
        let merge = self.b.create_block();
        if i.is_rare {
            self.b.set_cold_block(then);
        }
        for m in &i.results {
            let ty = self.kernel.ty(m.result);
            self.append_params(merge, ty);
        }
        let cond = self.scalar(i.cond);
        self.b.ins().brif(cond, then, &[], otherwise, &[]);
        let branches: [(ir::Block, &Block, Vec<Val>); 2] = [
            (then, &i.then, i.results.iter().map(|m| m.then).collect()),
            (otherwise, &i.otherwise, i.results.iter().map(|m| m.otherwise).collect()),
        ];
        for (block, body, values) in branches {
            self.b.switch_to_block(block);
            self.block(body);
            let mut out = Vec::new();
            values.into_iter().for_each(|v| self.flatten(v, &mut out));
            self.b.ins().jump(merge, &args(&out));
        }
        self.b.switch_to_block(merge);
        let mut results = self.b.block_params(merge).to_vec().into_iter();
        i.results.iter().for_each(|m| self.unflatten(m.result, &mut results));
    }
}
