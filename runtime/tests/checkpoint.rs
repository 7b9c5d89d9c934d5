//! Checkpoints survive kills and detect damage.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use dlc_ir::Tensor;
use dlc_runtime::Cursor;
use dlc_runtime::checkpoint::{self, Best, Checkpoint, CheckpointError, Length, Meta, RunIdentity, Store};

/// The folder of the process of [`writes_for_ever`].
const FOLDER: &str = "DLC_TEST_CHECKPOINT_FOLDER";

/// A checkpoint all of whose numbers are derived from its step, large enough to be killed in the middle of.
fn checkpoint(step: u64) -> Checkpoint {
    let weights = (0..50_000).map(|i| (step * 31 + i) as f32).collect();
    let tensors = [
        ("linear_1.weight", Tensor::new([500, 100], weights).unwrap()),
        ("state/linear_1.weight/m", Tensor::new([2], vec![step as f64, f64::NAN]).unwrap()),
        ("state/step", Tensor::scalar(step as i64)),
    ];
    let meta = Meta {
        step,
        epoch: step / 7,
        cursor: Cursor { epoch: step / 7, batch: step % 7 },
        length: Length { epochs: Some(3), steps: None },
        identity: RunIdentity {
            program: "blake3:00".into(),
            seed: 1,
            shuffle: Some(u64::MAX),
            ..RunIdentity::default()
        },
        best: Some(Best { epoch: 1, value: 0.1 + 0.2 }),
    };
    Checkpoint { meta, tensors: tensors.into_iter().collect() }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_folder_is_removed_only_if_it_is_unused() {
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("training");
    let store = Store::open(&folder, 1).unwrap();
    let error = checkpoint::remove_unused(&folder).unwrap_err();
    assert_eq!(error.code(), "folder-in-use");
    drop(store);
    assert!(checkpoint::remove_unused(&folder).unwrap() && !folder.exists());
    Store::open(&folder, 1).unwrap().save(&checkpoint(1)).unwrap();
    assert!(!checkpoint::remove_unused(&folder).unwrap());
    assert_eq!(names(&folder), [".lock", "step-0000000001.safetensors"]);
}

#[test]
fn comes_back_to_the_bit_and_keeps_the_last_ones() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), 3).unwrap();
    assert!(store.latest().unwrap().found.is_none());
    for step in [5, 10, 15, 20] {
        store.save(&checkpoint(step)).unwrap();
    }
    assert_eq!(
        names(folder.path()),
        [".lock", "step-0000000010.safetensors", "step-0000000015.safetensors", "step-0000000020.safetensors"]
    );
    let (path, found) = store.latest().unwrap().found.unwrap();
    assert_eq!(found.meta, checkpoint(20).meta);
    for (name, tensor) in checkpoint(20).tensors.iter() {
        assert_eq!(&found.tensors[name], tensor);
    }
    let first = fs::read(&path).unwrap();
    store.save(&checkpoint(20)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), first, "equal checkpoints give equal bytes");
    store.save(&checkpoint(12)).unwrap();
    assert_eq!(names(folder.path())[1..], ["step-0000000010.safetensors", "step-0000000012.safetensors"]);
    assert!(matches!(Store::open(folder.path(), 3), Err(CheckpointError::InUse { .. })));
}

#[test]
fn damage_is_reported_and_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), 9).unwrap();
    for step in [1, 2, 3] {
        store.save(&checkpoint(step)).unwrap();
    }
    let path = folder.path().join("step-0000000003.safetensors");
    let good = fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    let places = (0..header).chain((header..good.len()).step_by(40_009));
    for place in places {
        for flip in [0x01, 0x80] {
            let mut bad = good.clone();
            bad[place] ^= flip;
            fs::write(&path, bad).unwrap();
            match Checkpoint::read(&path) {
                Err(_) => {}
                // A blank of the header's padding may become another kind of blank.
                Ok(read) => assert!(read.meta == checkpoint(3).meta && read.tensors.len() == 3, "byte {place}"),
            }
        }
    }
    for end in [0, 7, 8, 100, header, good.len() - 1] {
        fs::write(&path, &good[..end]).unwrap();
        assert!(Checkpoint::read(&path).is_err());
    }
    let latest = store.latest().unwrap();
    assert_eq!(latest.found.unwrap().1.meta.step, 2);
    assert_eq!(latest.skipped.len(), 1);
    checkpoint(3).tensors.save(&path).unwrap();
    let error = Checkpoint::read(&path).unwrap_err();
    assert!(
        error.to_string().ends_with("this holds tensors, but it is not a checkpoint: it has no text `dlc.checkpoint`")
    );
}

/// Not a test by itself: the process that `kills_leave_a_whole_checkpoint` kills.
#[test]
fn writes_for_ever() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = Store::open(Path::new(&folder), 2).unwrap();
    let latest = store.latest().unwrap();
    assert!(latest.skipped.is_empty(), "{:?}", latest.skipped);
    let start = latest.found.map_or(0, |(_, found)| {
        for (name, tensor) in checkpoint(found.meta.step).tensors.iter() {
            assert_eq!(&found.tensors[name], tensor);
        }
        found.meta.step
    });
    println!("from {start}");
    for step in start + 1.. {
        store.save(&checkpoint(step)).unwrap();
    }
}

#[test]
fn kills_leave_a_whole_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let (mut before, mut torn, mut round) = (0, 0, 0);
    // at moments throughout a save, and until some of them hit the writing of the file
    while round < 12 || torn < 3 {
        assert!(round < 100, "of {round} kills only {torn} hit a file that was being written");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writes_for_ever", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let start = lines.map_while(Result::ok).find_map(|l| l.split("from ").nth(1).map(str::to_owned));
        let start: u64 = start.expect("the process found its folder in order").trim().parse().unwrap();
        assert!(start >= before, "steps are lost: {before}, then {start}");
        before = start;
        std::thread::sleep(Duration::from_micros(3_000 + round * 7_919 % 20_000));
        child.kill().unwrap();
        child.wait().unwrap();
        round += 1;
        torn += usize::from(names(folder.path()).iter().any(|n| n.ends_with(".writing")));
    }
    let store = Store::open(folder.path(), 2).unwrap();
    let latest = store.latest().unwrap();
    assert!(latest.skipped.is_empty());
    assert!(latest.found.unwrap().1.meta.step >= before);
    assert!(names(folder.path()).iter().all(|n| !n.ends_with(".writing")), "leftovers are removed");
}
