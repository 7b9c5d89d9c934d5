//! What gradients of convolutions multiply: neither padding nor the gaps that a stride leaves, beyond what tiles round up to.

#[allow(dead_code, reason = "shared with other test binaries")]
mod common;
#[path = "common/convolution.rs"]
mod convolution;

use common::Rng;
use convolution::{Convolution, executed, kernels};
use dlc_compiler::machine::Target;
use dlc_compiler::options::Options;

/// What may be added: rows and columns that overlapping tiles compute twice, and padding along one axis where bounds of loops cost more
/// than what they leave out. Multiplied as zeros it would be twice to nine times as much in total.
const REMAINDERS: f64 = 1.5;

/// A convolution whose gradient by its operand would multiply at least half as many zeros again, large enough for tiles of every machine.
fn draw(rng: &mut Rng) -> Convolution {
    loop {
        let conv = Convolution {
            images: [16, 24, 32][rng.below(3)],
            channels: [16, 32, 64][rng.below(3)],
            filters: [16, 32, 48][rng.below(3)],
            size: 3 + rng.below(10),
            kernel: 1 + rng.below(5),
            stride: 1 + rng.below(3),
            padding: rng.below(3),
            dilation: 1 + rng.below(2),
            groups: 1,
        };
        let is_padded = conv.padding < (conv.kernel - 1) * conv.dilation + 1;
        if is_padded
            && conv.positions().is_some()
            && 2 * conv.with_zeros() >= 3 * conv.needed()
            && conv.needed() > 1 << 20
        {
            return conv;
        }
    }
}

#[test]
fn gradients_multiply_no_zeros() {
    let mut rng = Rng(17);
    let mut wasteful = vec![];
    for target in Target::ALL {
        let options = Options { check: false, ..Options::new(target) };
        for _ in 0..12 {
            let conv = draw(&mut rng);
            for by_kernel in [false, true] {
                let executed = executed(&kernels(&conv.gradient(by_kernel), &options)) as f64;
                let times = executed / conv.needed() as f64;
                assert!(times >= 1.0, "{target}: {conv:?}: a sum cannot do with fewer than all of its products");
                if times > REMAINDERS {
                    let by = if by_kernel { "kernel" } else { "operand" };
                    wasteful.push(format!("{target}: {conv:?}, by the {by}: {times:.2} times what is needed"));
                }
            }
        }
    }
    assert!(wasteful.is_empty(), "{} gradients:\n{}", wasteful.len(), wasteful.join("\n"));
}
