//! Vector math compared with crate `libm`, and its special values.

mod support;

use dlc_compiler::kernel::{AccessMode, Elem, Kernel, KernelBuilder, Ty, Val, math};
use dlc_ir::{DType, ScalarOp};
use support::run;

type Function = fn(&mut KernelBuilder, Val) -> Val;
type Reference = fn(f64) -> f64;

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + libm::exp(-x)) } else { libm::exp(x) / (1.0 + libm::exp(x)) }
}

const FUNCTIONS: [(ScalarOp, Function, Reference); 10] = [
    (ScalarOp::Exp, math::exp, libm::exp),
    (ScalarOp::Expm1, math::expm1, libm::expm1),
    (ScalarOp::Log, math::log, libm::log),
    (ScalarOp::Log1p, math::log1p, libm::log1p),
    (ScalarOp::Tanh, math::tanh, libm::tanh),
    (ScalarOp::Sigmoid, math::sigmoid, sigmoid),
    (ScalarOp::Erf, math::erf, libm::erf),
    (ScalarOp::Sin, math::sin, libm::sin),
    (ScalarOp::Cos, math::cos, libm::cos),
    (ScalarOp::Sqrt, |b, x| b.unary(dlc_compiler::kernel::Unary::Sqrt, x), libm::sqrt),
];

fn kernel(dtype: DType, operands: usize, n: usize, lanes: u8, f: impl Fn(&mut KernelBuilder, &[Val]) -> Val) -> Kernel {
    let mut b = KernelBuilder::new(1);
    let inputs: Vec<_> = (0..operands).map(|_| b.operand(dtype, n, AccessMode::Read)).collect();
    let out = b.operand(dtype, n, AccessMode::Write);
    let (begin, end) = (b.index(0), b.index(n as i64));
    b.repeat(begin, end, i64::from(lanes), |b, i| {
        let x: Vec<Val> = inputs.iter().map(|&x| b.load_lanes(x, i, lanes)).collect();
        let y = f(b, &x);
        assert_eq!(b.ty(y), Ty::vector(Elem::of(dtype), lanes));
        b.store(out, i, y);
    });
    b.finish()
}

fn encode(dtype: DType, values: &[f64]) -> Vec<u8> {
    match dtype {
        DType::F32 => values.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

fn decode(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    match dtype {
        DType::F32 => bytes.chunks(4).map(|c| f64::from(f32::from_le_bytes(c.try_into().unwrap()))).collect(),
        _ => bytes.chunks(8).map(|c| f64::from_le_bytes(c.try_into().unwrap())).collect(),
    }
}

/// Distance in units in the last place of the expected number.
fn ulps(dtype: DType, found: f64, expected: f64) -> f64 {
    if found == expected || (found.is_nan() && expected.is_nan()) {
        return 0.0;
    }
    let (bits, least, largest) = match dtype {
        DType::F32 => (23, -126, f64::from(f32::MAX)),
        _ => (52, -1022, f64::MAX),
    };
    if expected.abs() > largest && found.is_infinite() && found.signum() == expected.signum() {
        return 0.0;
    }
    if !found.is_finite() || !expected.is_finite() {
        // The next number beyond the largest one counts as infinity.
        let near = |x: f64| x.abs() >= largest * (1.0 - 1e-6);
        return if found.signum() == expected.signum() && near(found) && near(expected) { 1.0 } else { f64::INFINITY };
    }
    let exponent = libm::frexp(expected).1 - 1;
    let unit = libm::ldexp(1.0, exponent.max(least) - bits);
    (found - expected).abs() / unit
}

/// Numbers of all sizes, dense where functions bend.
fn samples(dtype: DType) -> Vec<f64> {
    let mut seed = 7u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        seed >> 11
    };
    let mut out = vec![
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        2.0,
        -0.5,
        1e-45,
        -1e-45,
        1e-40,
        1e-310,
        5e-324,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        88.7,
        88.73,
        -87.4,
        -103.9,
        -104.1,
        709.7,
        709.8,
        -745.1,
        -745.2,
        3.4e38,
        1.7e308,
        0.84,
        0.92,
        0.8999,
        16.6,
        32768.0,
        32769.0,
        1048576.5,
        1e22,
        1e15,
        std::f64::consts::PI,
        std::f64::consts::FRAC_PI_2,
        355.0,
        6.0,
        3.999,
        4.001,
        5.999,
        -0.99999,
        -0.9999999999,
        0.7073,
        1.4144,
    ];
    let span = if dtype == DType::F32 { 254 } else { 2040 };
    while out.len() < 12_288 {
        let unit = random() as f64 / (1u64 << 53) as f64;
        let sign = if random() % 2 == 0 { 1.0 } else { -1.0 };
        let x = match out.len() % 6 {
            0 => unit * 2.0,
            1 => unit * 12.0,
            2 => unit * 120.0,
            3 => 1.0 + (unit - 0.5) * 0.01,
            4 => unit * 800.0,
            _ => libm::ldexp(1.0 + unit, (random() % span) as i32 - span as i32 / 2),
        };
        out.push(sign * x);
    }
    out.iter().map(|&x| if dtype == DType::F32 { f64::from(x as f32) } else { x }).collect()
}

#[test]
fn functions_of_one_argument() {
    for dtype in [DType::F32, DType::F64] {
        let inputs = samples(dtype);
        for (op, f, reference) in FUNCTIONS {
            let (name, bound) = (op.def().mnemonic, op.def().ulps);
            let kernel = kernel(dtype, 1, inputs.len(), dlc_compiler::kernel::lanes(dtype), |b, x| f(b, x[0]));
            let (_, out) = run(&kernel, &[encode(dtype, &inputs), vec![0; inputs.len() * dtype.size()]]);
            let mut worst = (0.0, 0.0, 0.0);
            for (&x, y) in inputs.iter().zip(decode(dtype, &out[1])) {
                let error = ulps(dtype, y, reference(x));
                if error > worst.0 {
                    worst = (error, x, y);
                }
                if x == 0.0 && reference(x) == 0.0 {
                    assert_eq!(y.is_sign_negative(), x.is_sign_negative(), "{name}({x:?}) = {y:?}");
                }
            }
            println!("{name} {dtype}: {:.2} ulp at {:e}", worst.0, worst.1);
            assert!(
                worst.0 <= bound,
                "{name} {dtype}: {:.2} ulp at {:e}: {:e} instead of {:e}",
                worst.0,
                worst.1,
                worst.2,
                reference(worst.1)
            );
        }
    }
}

#[test]
fn sines_of_huge_arguments() {
    let f64s: Vec<f64> =
        (0..1024).map(|i| libm::ldexp(1.0 + f64::from(i) / 1031.0, 16 + i)).filter(|x| x.is_finite()).collect();
    for dtype in [DType::F32, DType::F64] {
        let mut inputs: Vec<f64> = f64s.iter().copied().filter(|&x| dtype == DType::F64 || x < 3e38).collect();
        inputs.truncate(inputs.len() / 16 * 16);
        let inputs: Vec<f64> =
            inputs.iter().map(|&x| if dtype == DType::F32 { f64::from(x as f32) } else { x }).collect();
        for (op, f, reference) in
            [(ScalarOp::Sin, math::sin as Function, libm::sin as Reference), (ScalarOp::Cos, math::cos, libm::cos)]
        {
            let (name, bound) = (op.def().mnemonic, op.def().ulps);
            let kernel = kernel(dtype, 1, inputs.len(), dlc_compiler::kernel::lanes(dtype), |b, x| f(b, x[0]));
            let (_, out) = run(&kernel, &[encode(dtype, &inputs), vec![0; inputs.len() * dtype.size()]]);
            for (&x, y) in inputs.iter().zip(decode(dtype, &out[1])) {
                let error = ulps(dtype, y, reference(x));
                assert!(error <= bound, "{name} {dtype}({x:e}) = {y:e}, not {:e}: {error} ulp", reference(x));
            }
        }
    }
}

#[test]
fn powers() {
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        2.0,
        -2.0,
        3.0,
        0.5,
        -0.5,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        1e300,
        1e-300,
        7.0,
        -7.0,
    ];
    let mut xs = Vec::new();
    let mut ys = Vec::new();
    for x in special {
        for y in special {
            xs.push(x);
            ys.push(y);
        }
    }
    let mut seed = 3u64;
    let mut unit = move || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 11) as f64 / (1u64 << 53) as f64
    };
    while xs.len() < 8192 {
        let x = libm::exp2((unit() - 0.5) * if xs.len().is_multiple_of(2) { 40.0 } else { 250.0 });
        let limit = 700.0 / libm::fabs(libm::log(x)).max(0.01);
        xs.push(if xs.len().is_multiple_of(5) { -x } else { x });
        let y = (unit() - 0.5) * 2.0 * limit.min(300.0);
        ys.push(if xs.len().is_multiple_of(3) { libm::rint(y) } else { y });
    }
    for dtype in [DType::F32, DType::F64] {
        let round = |v: &[f64]| -> Vec<f64> {
            v.iter().map(|&x| if dtype == DType::F32 { f64::from(x as f32) } else { x }).collect()
        };
        let (xs, ys) = (round(&xs), round(&ys));
        let kernel = kernel(dtype, 2, xs.len(), 8, |b, x| math::pow(b, x[0], x[1]));
        let arguments = [encode(dtype, &xs), encode(dtype, &ys), vec![0; xs.len() * dtype.size()]];
        let (_, out) = run(&kernel, &arguments);
        let mut worst: f64 = 0.0;
        for ((&x, &y), z) in xs.iter().zip(&ys).zip(decode(dtype, &out[2])) {
            let expected = libm::pow(x, y);
            let error = ulps(dtype, z, expected);
            worst = worst.max(error);
            assert!(
                error <= ScalarOp::Pow.def().ulps,
                "{dtype} pow({x:e}, {y:e}) = {z:e}, not {expected:e}: {error} ulp"
            );
            assert!(
                expected != 0.0 || z.is_sign_negative() == expected.is_sign_negative(),
                "pow({x:?}, {y:?}) = {z:?}"
            );
        }
        println!("pow {dtype}: {worst:.2} ulp");
    }
}
