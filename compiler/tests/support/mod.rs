//! Running kernels with both emitters.

use std::sync::Arc;

use dlc_compiler::codegen::{Emitter, Interpreter, Kernels, Native};
use dlc_compiler::kernel::{Kernel, Verified};
use dlc_compiler::machine::Target;
use dlc_compiler::routine::program::{Address, KernelProgram, Routine, Step};
use dlc_ir::DType;

fn program(kernel: &Kernel) -> KernelProgram {
    let verified = Verified::new(kernel.clone()).unwrap_or_else(|e| panic!("{e}\n{kernel}"));
    let mut program = KernelProgram::new();
    let operands = (0..kernel.operands.len()).map(|index| Address::Argument { index, offset: 0 }).collect();
    let kernel_id = program.add_kernel("kernel", verified);
    program.add_routine(Routine {
        name: "main".into(),
        arguments: kernel.operands.len(),
        frame: 0,
        steps: vec![Step::Launch { kernel: kernel_id, operands }],
    });
    program
}

/// Every target with every compiler of kernels that has it.
fn emitters() -> impl Iterator<Item = (Target, Kernels)> {
    let pairs = Target::ALL.into_iter().flat_map(|target| Kernels::ALL.map(|kernels| (target, kernels)));
    pairs.filter(|(target, kernels)| kernels.has(*target))
}

/// Compiles a kernel for every target with every compiler, whatever the host is.
#[allow(dead_code, reason = "not every test needs it")]
pub fn compiles_everywhere(kernel: &Kernel) {
    let program = program(kernel);
    for (target, kernels) in emitters() {
        let emitter = Native::new(target).kernels(kernels);
        let text = emitter.assembly(&program).unwrap_or_else(|e| panic!("{target}: {e}\n{kernel}"));
        assert!(text.contains("kernel @kernel") && text.contains("routine @main"), "{text}");
        assert_eq!(text, emitter.assembly(&program).unwrap(), "the text is the same every time");
        assert!(emitter.clif(&program).unwrap().contains("function u0:0"));
    }
}

/// Runs a kernel with the interpreter and as machine code, by every compiler for every target that the host runs; panics unless
/// they agree, up to the payload of NaN.
pub fn run(kernel: &Kernel, arguments: &[Vec<u8>]) -> (i32, Vec<Vec<u8>>) {
    let program = Arc::new(program(kernel));
    let mut expected = arguments.to_vec();
    let status = Interpreter.emit(program.clone()).unwrap().run_once(&mut expected);
    assert_ne!(status, i32::MIN, "out of bounds\n{kernel}");
    for (target, kernels) in here() {
        let name = format!("{} for {target}", kernels.name());
        let mut found = arguments.to_vec();
        let emitter = Native::new(target).kernels(kernels).threads(2);
        let native = emitter.emit(program.clone()).unwrap();
        assert_eq!(native.run_once(&mut found), status, "status of {name}\n{kernel}");
        for (i, operand) in kernel.operands.iter().enumerate() {
            for (at, (x, y)) in
                canonical(operand.dtype, &expected[i]).zip(canonical(operand.dtype, &found[i])).enumerate()
            {
                assert_eq!(x, y, "{name}: operand {i}, element {at}\n{kernel}");
            }
        }
    }
    (status, expected)
}

/// The compilers of the host: Cranelift's code is the same for all targets of one machine, which need not be run twice.
fn here() -> impl Iterator<Item = (Target, Kernels)> {
    let runs = |(target, kernels): &(Target, Kernels)| target.runs_here() && *kernels == Kernels::best(*target);
    emitters().filter(runs)
}

fn canonical(dtype: DType, bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks(dtype.size()).map(move |c| {
        let mut raw = [0; 8];
        raw[..c.len()].copy_from_slice(c);
        let bits = u64::from_le_bytes(raw);
        match dtype {
            DType::F32 if f32::from_bits(bits as u32).is_nan() => u64::from(f32::NAN.to_bits()),
            DType::F64 if f64::from_bits(bits).is_nan() => f64::NAN.to_bits(),
            _ => bits,
        }
    })
}
