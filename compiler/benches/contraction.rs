//! Speed of contractions relative to the roofline measured in the same run, and compile time per kernel.
//!
//! `cargo bench -p dlc-compiler --bench contraction`; `-- --tile=8x4` selects one register tile, `-- --asm` prints its code, `--
//! f32 1024x1024x1024` selects the shapes whose names contain all of these words.

mod roofline;

use dlc_compiler::codegen::Native;
use dlc_compiler::cpu::contract::{Blocking, Contiguous, OperandSource, Producer, Sizes, contract};
use dlc_compiler::kernel::{Access, AccessMode, Kernel, KernelBuilder};
use dlc_compiler::machine::Target;
use dlc_ir::DType;
use roofline::{peak, program, time};

fn main() {
    let named = std::env::args().find_map(|a| a.strip_prefix("--target=")?.parse().ok());
    let Some(target) = named.or_else(Target::host) else {
        println!("this machine has no target that dlc knows");
        return;
    };
    if std::env::args().any(|a| a == "--asm") {
        let program = program(product(target, DType::F32, 256, 256, 256, false, false));
        println!("{}", Native::new(target).assembly(&program).expect("the program is well-formed"));
        return;
    }
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    for dtype in [DType::F32, DType::F64] {
        let peak = peak(target, dtype);
        println!("{dtype}: FMA peak {peak:.1} GFLOP/s a core, target {target}");
        for (m, n, k) in [
            (256, 256, 256),
            (512, 512, 512),
            (1024, 1024, 1024),
            (32, 1024, 1024),
            (64, 256, 784),
            (64, 10, 256),
            (16, 6400, 150),
            (784, 256, 64),
        ] {
            for (name, left, right) in [("", false, false), (" Bᵀ", false, true), (" Aᵀ", true, false)] {
                let full = format!("{dtype} {m}x{n}x{k}{name}");
                if !words.iter().all(|word| full.contains(word)) {
                    continue;
                }
                let kernel = product(target, dtype, m, n, k, left, right);
                let size = dtype.size();
                let timed = time(target, kernel, &[m * k * size, k * n * size, m * n * size]);
                let rate = 2.0 * (m * n * k) as f64 / timed.seconds / 1e9;
                println!(
                    "  {m}x{n}x{k}{name}: {rate:.1} GFLOP/s, {:.0} % of peak, {} chunks, compiled in {:.2} ms",
                    100.0 * rate / peak,
                    timed.chunks,
                    timed.compile * 1e3,
                );
            }
        }
    }
}

/// `C = A · B`, where A or B may be stored transposed.
fn product(target: Target, dtype: DType, m: usize, n: usize, k: usize, left: bool, right: bool) -> Kernel {
    let sizes = Sizes { dtype, batch: 1, m, n, run: n, k };
    let tile = std::env::args().find_map(|a| {
        let (rows, columns) = a.strip_prefix("--tile=")?.split_once('x')?;
        Some((rows.parse().ok()?, columns.parse().ok()?))
    });
    let machine = target.machine();
    let plan = tile.map_or_else(
        || Blocking::new(sizes, machine).expect("no tile crosses a run"),
        |tile| Blocking::with_tile(sizes, tile, machine),
    );
    let mut b = KernelBuilder::new(plan.chunks());
    let x = b.operand(dtype, m * k, AccessMode::Read);
    let y = b.operand(dtype, k * n, AccessMode::Read);
    let z = b.operand(dtype, m * n, AccessMode::Write);
    let along = |row| if row { Contiguous::Row } else { Contiguous::K };
    contract(
        &mut b,
        &plan,
        OperandSource::Packed(Producer {
            contiguous: along(left),
            load: &mut |b, at, lanes, active| {
                let (row, pitch) = if left { (at.k, m) } else { (at.row, k) };
                let column = if left { at.row } else { at.k };
                let offset = b.mul_const(row, pitch as i64);
                let offset = b.add(offset, column);
                b.load_access(Access { buf: x, index: offset, offset: 0, stride: 1, active }, lanes)
            },
        }),
        OperandSource::Packed(Producer {
            contiguous: along(!right),
            load: &mut |b, at, lanes, active| {
                let (row, pitch) = if right { (at.row, k) } else { (at.k, n) };
                let column = if right { at.k } else { at.row };
                let offset = b.mul_const(row, pitch as i64);
                let offset = b.add(offset, column);
                b.load_access(Access { buf: y, index: offset, offset: 0, stride: 1, active }, lanes)
            },
        }),
        &mut |b, at, value, active| {
            let offset = b.mul_const(at.row, n as i64);
            let offset = b.add(offset, at.column);
            b.store_access(Access { buf: z, index: offset, offset: 0, stride: 1, active }, value);
        },
    );
    b.finish()
}
