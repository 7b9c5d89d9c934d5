//! Programs that measure the machine compute what their rates are counted from.

use dlc_compiler::machine::Target;
use dlc_compiler::peak::{Probe, Traffic, multiply_adds, stream};
use dlc_compiler::program::{Memory, Workspace};
use dlc_ir::DType;

/// Runs a probe once, and returns its arguments.
fn run(probe: &Probe, fill: impl Fn(usize, usize) -> f32) -> Vec<Vec<f32>> {
    let mut buffers: Vec<Memory> = probe.program.buffers();
    for (argument, buffer) in buffers.iter_mut().enumerate() {
        let values: Vec<u8> = (0..buffer.len() / 4).flat_map(|i| fill(argument, i).to_le_bytes()).collect();
        buffer.bytes_mut().copy_from_slice(&values);
    }
    let mut workspace = Workspace::new(&probe.program, 1);
    probe.program.run(&mut workspace, &mut buffers, None).expect("it runs");
    buffers.iter().map(|b| b.elements::<f32>().expect("they are floats").to_vec()).collect()
}

#[test]
fn every_chain_is_computed_in_every_chunk() {
    let Some(target) = Target::host() else { return };
    let probe = multiply_adds(target, DType::F32, 3, 100).expect("it compiles");
    let lanes = target.machine().lanes(DType::F32);
    let sums = run(&probe, |_, _| 0.0).remove(0);
    assert_eq!(sums.len(), 3 * lanes);
    // after 100 turns each chain is at 1
    let chains = sums[0];
    assert!(chains >= 8.0 && sums.iter().all(|&sum| sum == chains), "{sums:?}");
    assert_eq!(probe.amount, 2 * 100 * 3 * (lanes as u64) * chains as u64);
}

#[test]
fn streams_walk_over_all_of_their_bytes() {
    let Some(target) = Target::host() else { return };
    let (chunks, rounds) = (3, 2);
    let probe = stream(target, Traffic::Triad, 100_000, chunks, rounds).expect("it compiles");
    let arrays = run(&probe, |argument, i| if argument < 2 { (i % 64 + argument) as f32 } else { -1.0 });
    assert!(arrays[0].iter().zip(&arrays[1]).zip(&arrays[2]).all(|((a, b), c)| *c == a + 0.5 * b));
    assert_eq!(probe.amount, (3 * 4 * arrays[0].len() * rounds) as u64);
    assert!((60_000..=100_000).contains(&(12 * arrays[0].len())), "{}", arrays[0].len());

    let probe = stream(target, Traffic::Read, 100_000, chunks, rounds).expect("it compiles");
    let arrays = run(&probe, |_, _| 1.0);
    let lanes = target.machine().lanes(DType::F32);
    // the chains of a lane begin at 0, 1, …
    let begin: usize = (0..target.machine().fma_chains).sum();
    let sum: f64 = arrays[1].iter().map(|&x| f64::from(x)).sum();
    assert_eq!(sum as usize, arrays[0].len() * rounds + begin * lanes * chunks);
    assert_eq!(probe.amount, (4 * arrays[0].len() * rounds) as u64);
}
