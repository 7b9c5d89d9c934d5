//! Data files.

use std::cell::RefCell;

use dlc_ir::Tensor;
use dlc_runtime::{Tensors, data};

thread_local! {
    static FOLDER: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
}

/// The first byte chooses the format.
pub fn read(input: &[u8]) -> bool {
    const EXTENSIONS: [&str; 6] = ["idx", "idx.gz", "csv", "npy", "npz", "safetensors"];
    let Some((first, content)) = input.split_first() else { return false };
    let extension = EXTENSIONS[usize::from(*first) % EXTENSIONS.len()];
    FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(|| tempfile::tempdir().expect("a temporary folder"));
        let path = folder.path().join(format!("input.{extension}"));
        std::fs::write(&path, content).expect("a temporary file");
        let format = data::Format::of(&path).expect("a known extension");
        (format.read)(&path).is_ok()
    })
}

pub fn seeds() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tensors: Tensors =
        [("a", Tensor::new([2, 3], vec![1f32; 6]).expect("six")), ("b", Tensor::scalar(7i64))].into_iter().collect();
    let mut seeds = vec![
        [&[0u8][..], &[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4]].concat(),
        b"\x02a,b\n1,2\n3,\"4\"\n".to_vec(),
    ];
    for (number, name) in [(4u8, "t.npz"), (5, "t.safetensors")] {
        let path = folder.path().join(name);
        tensors.save(&path).expect("it can be written");
        seeds.push([vec![number], std::fs::read(&path).expect("it was written")].concat());
    }
    let path = folder.path().join("t.npy");
    data::npy::write(&path, &tensors["a"]).expect("it can be written");
    seeds.push([vec![3u8], std::fs::read(&path).expect("it was written")].concat());
    let gz = crate::files(&["examples/data"], &["gz"]);
    seeds.extend(gz.into_iter().filter(|g| g.len() < 10_000).map(|g| [vec![1u8], g].concat()));
    seeds
}
