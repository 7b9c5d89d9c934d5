//! Readers on files with random damage: a value or an error, never a panic or a huge allocation.

use std::fs;
use std::path::Path;

use dlc_ir::{DType, Tensor};
use dlc_runtime::Tensors;
use dlc_runtime::checkpoint::{Checkpoint, Meta};
use dlc_runtime::data::{csv::Table, idx, npy};

/// SplitMix64, so that a failure is reproducible.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ z >> 31) * n as u128) >> 64) as usize
    }

    /// Cuts, repeats, inserts or changes a few bytes.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len().max(1)).min(bytes.len());
            match self.below(6) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.below(256) as u8),
                2 => bytes.extend_from_within(at..),
                3 => bytes[at..].iter_mut().take(8).for_each(|b| *b = 0xff),
                4 => bytes[at..].iter_mut().take(1).for_each(|b| *b ^= 1 << self.below(8)),
                _ => bytes[at..].iter_mut().take(1).for_each(|b| *b = b"0129,'(){}\"\n"[self.below(12)]),
            }
        }
    }
}

fn survives(name: &str, write: impl Fn(&Path), read: impl Fn(&Path) -> bool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    write(&path);
    let good = fs::read(&path).unwrap();
    assert!(read(&path), "{name} is readable at first");
    let mut random = Random(name.len() as u64);
    let mut readable = 0;
    for _ in 0..400 {
        let mut bytes = good.clone();
        random.damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        readable += u32::from(read(&path));
    }
    assert!(readable < 400, "{name}: all damage passes unseen");
}

fn tensors() -> Tensors {
    let weight = Tensor::new([3, 5], (0..15).map(|i| i as f32).collect()).unwrap();
    [("linear_1.weight", weight), ("step", Tensor::scalar(3i64))].into_iter().collect()
}

fn same(a: &Tensors, b: &Tensors) -> bool {
    a.len() == b.len() && a.iter().all(|(name, tensor)| b.get(name) == Some(tensor))
}

#[test]
fn no_damage_makes_a_reader_panic() {
    let labels = [&[0u8, 0, 8, 2, 0, 0, 0, 5, 0, 0, 0, 7][..], &[3; 35]].concat();
    survives("labels", |p| fs::write(p, &labels).unwrap(), |p| idx::read(p).is_ok());
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data/mnist-test-labels.gz");
    survives("labels.gz", |p| assert!(fs::copy(&digits, p).is_ok()), |p| idx::read(p).is_ok());
    let table = "x,\"y\",z\n1,2.5,3\n4,-5e3,6\n\"7\",8,9\n";
    let column = |p: &Path| Table::read(p).and_then(|t| t.select(&["x", "z"], DType::F32)).is_ok();
    survives("t.csv", |p| fs::write(p, table).unwrap(), column);
    survives("x.npy", |p| npy::write(p, &tensors()["linear_1.weight"]).unwrap(), |p| npy::read(p).is_ok());
    for name in ["x.npz", "x.safetensors"] {
        survives(name, |p| tensors().save(p).unwrap(), |p| Tensors::load(p).is_ok());
    }
    let checkpoint = Checkpoint { meta: Meta::default(), tensors: tensors() };
    survives(
        "c.safetensors",
        |p| checkpoint.write(p).unwrap(),
        |p| {
            let read = Checkpoint::read(p);
            // What can be read must be what was written: the checksum ensures that.
            assert!(read.as_ref().map_or(true, |r| r.meta == checkpoint.meta && same(&r.tensors, &tensors())));
            read.is_ok()
        },
    );
}
