//! Data files: the content of valid ones and the errors of invalid ones.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use dlc_ir::{DType, Tensor};
use dlc_runtime::Tensors;
use dlc_runtime::data::{DataError, check, csv::Table, idx, npy};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data")
}

/// An error without its folder, which differs between runs.
fn without_folder(folder: &Path, error: impl std::fmt::Display) -> String {
    error.to_string().replace(&format!("{}/", folder.display()), "").replace(&folder.display().to_string(), "DIR")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_digits_are_as_described() {
    for (split, count) in [("train", 8500), ("test", 1500)] {
        let images = idx::read(&examples().join(format!("mnist-{split}-images.gz"))).unwrap();
        let labels = idx::read(&examples().join(format!("mnist-{split}-labels.gz"))).unwrap();
        assert_eq!(images.ty().to_string(), format!("u8[{count},28,28]"));
        assert_eq!(labels.ty().to_string(), format!("u8[{count}]"));
        check::labels(&labels, 10).unwrap();
        let mut seen = [0; 10];
        labels.as_slice::<u8>().unwrap().iter().for_each(|&l| seen[usize::from(l)] += 1);
        assert!(seen.iter().all(|&n| n * 14 > count), "{seen:?}");
        let ink: u64 = images.as_slice::<u8>().unwrap().iter().map(|&p| u64::from(p)).sum();
        assert!((30..40).contains(&(ink / images.len() as u64)), "a mean of 33 is MNIST's");
    }
}

#[test]
fn the_tables_are_as_described() {
    let table = Table::read(&examples().join("diabetes.csv")).unwrap();
    assert_eq!((table.rows(), table.columns().len()), (442, 11));
    let progression = table.column("progression", DType::F64).unwrap().to_f64s();
    assert_eq!(progression.iter().sum::<f64>(), 67243.0);
    let table = Table::read(&examples().join("breast_cancer.csv")).unwrap();
    assert_eq!((table.rows(), table.columns().len()), (569, 31));
    let malignant = table.column("malignant", DType::I64).unwrap();
    assert_eq!(malignant.as_slice::<i64>().unwrap().iter().sum::<i64>(), 212);
    let features = table.select(&table.columns()[..30], DType::F32).unwrap();
    assert_eq!(features.ty().to_string(), "f32[569,30]");
    check::finite(&features).unwrap();
}

#[test]
fn named_tensors_come_back_from_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    let tensors: Tensors = [
        ("linear_1.weight", Tensor::new([2, 2], vec![1.0f32, -0.0, f32::NAN, 1e-45]).unwrap()),
        ("labels", Tensor::new([3], vec![1i64, -1, i64::MAX]).unwrap()),
        ("mask", Tensor::new([2, 0], Vec::<bool>::new()).unwrap()),
    ]
    .into_iter()
    .collect();
    for name in ["a.safetensors", "a.npz"] {
        let path = folder.path().join(name);
        tensors.save(&path).unwrap();
        let first = fs::read(&path).unwrap();
        let read = Tensors::load(&path).unwrap();
        assert_eq!(read.len(), 3);
        for (name, tensor) in tensors.iter() {
            assert_eq!(&read[name], tensor);
        }
        tensors.save(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first, "equal tensors give equal bytes");
    }
    let path = folder.path().join("x.npy");
    npy::write(&path, &tensors["labels"]).unwrap();
    assert_eq!(npy::read(&path).unwrap(), tensors["labels"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing is left over");
}

#[test]
fn gzip_is_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let read = |bytes: &[u8]| {
        let path = folder.path().join("x.gz");
        fs::write(&path, bytes).unwrap();
        idx::read(&path).map_err(|e| e.code())
    };
    let labels = [0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1];
    let whole = gzip(&labels);
    let three = Tensor::new([3], vec![7u8, 2, 1]).unwrap();
    assert_eq!(read(&whole).unwrap(), three);
    assert_eq!(read(&[gzip(&labels[..9]), gzip(&labels[9..])].concat()).unwrap(), three, "two streams are one file");
    for end in 11..whole.len() {
        assert!(read(&whole[..end]).is_err(), "cut at {end} of {}", whole.len());
    }
    for junk in [&b"x"[..], &[0; 4], &[0x1f], &[0x1f, 0x8b, 8], b"junk that is longer than a header"] {
        assert!(read(&[&whole[..], junk].concat()).is_err(), "{junk:?}");
    }
}

#[test]
fn bad_files_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let put = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let labels = [0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1];
    let mut damaged = gzip(&[&labels[..8], &[5; 300]].concat().repeat(3));
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    let huge = [0, 0, 8, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let mut report = String::new();
    let mut note =
        |case: &str, code: &str, message: String| report.push_str(&format!("{case}\n  error[{code}]: {message}\n"));
    put("train-images.gz", &gzip(&labels));
    put("train-labels.gz", &gzip(&labels));
    let idx_cases: Vec<(&str, PathBuf)> = vec![
        ("a name with a slip", dir.join("train-lables.gz")),
        ("a name like no other", dir.join("weather.idx")),
        ("no such folder", dir.join("data/mnist/train-labels.gz")),
        ("a folder", dir.to_owned()),
        ("empty", put("empty.idx", b"")),
        ("text", put("text.idx", b"hello, world")),
        ("unknown element type", put("kind.idx", &[0, 0, 7, 1, 0, 0, 0, 0])),
        ("header cut short", put("header.idx", &labels[..6])),
        ("data cut short", put("short.idx", &labels[..10])),
        ("data too long", put("long.idx", &[&labels[..], &[0]].concat())),
        ("a size beyond the file", put("huge.idx", &huge)),
        ("a size beyond the compressed file", put("huge.gz", &gzip(&huge))),
        ("gzip cut short", put("cut.gz", &gzip(&labels)[..20])),
        ("gzip cut within its checksum", put("sum.gz", &gzip(&labels)[..gzip(&labels).len() - 6])),
        ("gzip with something behind", put("junk.gz", &[&gzip(&labels)[..], b"junk"].concat())),
        ("gzip damaged", put("bad.gz", &damaged)),
    ];
    for (case, path) in idx_cases {
        let e = idx::read(&path).unwrap_err();
        note(case, e.code(), without_folder(dir, &e));
    }
    let good = "x,y,class\n1,2,0\n3,4,1\n";
    let table = |text: &str| Table::read(&put("t.csv", text.as_bytes()));
    let tables: Vec<(&str, DataError)> = vec![
        ("an empty table", table("").unwrap_err()),
        ("a ragged table", table("x,y\n1,2\n3\n").unwrap_err()),
        ("a column twice", table("x,y,x\n").unwrap_err()),
        ("an unknown column", table(good).unwrap().column("clas", DType::F32).unwrap_err()),
        ("no number", table("x,y\n1,2\n3,n/a\n").unwrap().column("y", DType::F32).unwrap_err()),
        ("an empty field", table("x,y\n1,\n3,4\n").unwrap().column("y", DType::F64).unwrap_err()),
        ("no integer", table("x,y\n1,2.5\n").unwrap().column("y", DType::I64).unwrap_err()),
        ("an integer too large", table("x,y\n1,256\n").unwrap().column("y", DType::U8).unwrap_err()),
        ("not UTF-8", Table::read(&put("u.csv", b"x,y\n1,\xff\n")).unwrap_err()),
    ];
    for (case, e) in tables {
        note(case, e.code(), without_folder(dir, &e));
    }
    for (case, text) in [
        ("a quotation mark that is never closed", "x,y\n1,a\n2,\"b\n3,c\n"),
        ("one that the next one closes", "x,y\n1,\"a\n2,b\n3,\"c\"\n"),
        ("something behind one that closes", "x,y\n1,\"a\"b\n"),
        ("a header that is never closed", "x,\"y\n1,2\n"),
        (
            "of many columns, none of that name",
            &format!("{}\n", (0..30).map(|i| format!("c{i}")).collect::<Vec<_>>().join(",")),
        ),
    ] {
        let e = table(text).and_then(|t| t.column("d", DType::F32)).unwrap_err();
        note(case, e.code(), without_folder(dir, &e));
    }
    for (case, path) in [
        ("safetensors that is text", put("a.safetensors", b"{\"a\":1}            ")),
        ("npz that is text", put("a.npz", b"PK but not really")),
        ("weights of unknown format", put("a.pt", b"")),
    ] {
        let e = Tensors::load(&path).unwrap_err();
        note(case, e.code(), without_folder(dir, &e));
    }
    let e = npy::read(&put(
        "a.npy",
        b"\x93NUMPY\x01\x00\x40\x00{'descr': '<c8', 'fortran_order': False, 'shape': (2,), }         ",
    ))
    .unwrap_err();
    note("complex numbers", e.code(), without_folder(dir, &e));
    let mut some = vec![3u8; 8500];
    (some[4711], some[5002], some[8113]) = (10, 11, 255);
    let e = check::labels(&Tensor::new([8500], some).unwrap(), 10).unwrap_err();
    note("labels", e.code(), e.to_string());
    let e =
        check::finite(&Tensor::new([2, 3], vec![0f32, 1.0, 2.0, 3.0, f32::NAN, -f32::INFINITY]).unwrap()).unwrap_err();
    note("not finite", e.code(), e.to_string());
    insta::assert_snapshot!(report);
}

#[test]
fn tables_are_read_as_people_write_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    fs::write(&path, "\u{feff}\"a, b\", c ,ok\r\n 1 ,-2.5e3,true\r\n3.0,+4,0\r\n").unwrap();
    let table = Table::read(&path).unwrap();
    assert_eq!(table.columns(), ["a, b", "c", "ok"]);
    assert_eq!(table.column("a, b", DType::I32).unwrap().as_slice::<i32>().unwrap(), [1, 3]);
    assert_eq!(table.column("c", DType::F32).unwrap().as_slice::<f32>().unwrap(), [-2500.0, 4.0]);
    assert_eq!(table.column("ok", DType::Bool).unwrap().as_slice::<bool>().unwrap(), [true, false]);
}

#[test]
fn quotation_marks_are_read_as_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    for text in [
        "n,t\n1,\"two\nlines, and \"\"quotes\"\"\"\n2,b\n",
        "n,t\n1,\"a\" \n2,\"\"\n",
        "n,t\r\n1,5\" pipe\r\n2,a \"b\" c\r\n",
        "n,t\n1,\"\"\"\"\n2,\"x\"",
    ] {
        fs::write(&path, text).unwrap();
        let numbers = Table::read(&path).unwrap().column("n", DType::I32).unwrap();
        assert_eq!(numbers.as_slice::<i32>().unwrap(), [1, 2], "{text}");
    }
}

/// A part of a zip archive: name, method, bytes, size when unpacked, and an explicit offset if it is not its own.
type Part<'a> = (&'a str, u16, &'a [u8], u32, Option<u32>);

/// A zip archive of stored or already packed parts.
fn archive(entries: &[Part<'_>]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, method, packed, size, at) in entries {
        let mut crc = flate2::Crc::new();
        if *method == 0 {
            crc.update(packed);
        }
        let start = at.unwrap_or(bytes.len() as u32);
        let mut fields = Vec::new();
        fields.extend([20u16, 0, *method, 0, 33].iter().flat_map(|n| n.to_le_bytes()));
        fields.extend([crc.sum(), packed.len() as u32, *size].iter().flat_map(|n| n.to_le_bytes()));
        fields.extend([name.len() as u16, 0].iter().flat_map(|n| n.to_le_bytes()));
        if at.is_none() {
            bytes.extend([b"PK\x03\x04", &fields[..], name.as_bytes(), packed].concat());
        }
        directory
            .extend([b"PK\x01\x02\x14\x00", &fields[..], &[0; 10], &start.to_le_bytes(), name.as_bytes()].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let (start, length) = (bytes.len() as u32, directory.len() as u32);
    bytes.extend(directory);
    bytes.extend(
        [b"PK\x05\x06\0\0\0\0", &count[..], &count, &length.to_le_bytes(), &start.to_le_bytes(), &[0, 0]].concat(),
    );
    bytes
}

#[test]
fn archives_give_each_array_once_and_no_more_than_they_hold() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let array = {
        let path = folder.path().join("x.npy");
        npy::write(&path, &Tensor::new([2], vec![1f32, 2.0]).unwrap()).unwrap();
        fs::read(&path).unwrap()
    };
    let read = |entries: &[Part<'_>]| {
        fs::write(&path, archive(entries)).unwrap();
        Tensors::load(&path).map_err(|e| (e.code(), e.to_string()))
    };
    let (array, size) = (&array[..], array.len() as u32);
    let two = read(&[("x.npy", 0, array, size, None), ("y.npy", 0, array, size, None)]).unwrap();
    assert_eq!((two.len(), two["y"].len()), (2, 2), "{two}");
    for (entries, code, expected) in [
        (vec![("x.npy", 0, array, size, None), ("x.npy", 0, array, size, None)], "duplicate-name", "`x`"),
        (vec![("x.npy", 0, array, size, None), ("y.npy", 0, array, size, Some(0))], "wrong-format", "overlap"),
        (vec![("x.npy", 12, array, size, None)], "unsupported-data", "bzip2"),
        (vec![("x.npy", 14, array, size, None)], "unsupported-data", "LZMA"),
        (vec![("x.npy", 77, array, size, None)], "unsupported-data", "method 77"),
        (vec![("x.npy", 8, array, size * 2000, None)], "truncated-file", "declares more"),
    ] {
        let (found, message) = read(&entries).unwrap_err();
        assert!(found == code && message.contains(expected), "{entries:?}: {found}: {message}");
    }
}

#[test]
fn a_safetensors_header_names_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let x = r#""x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    for header in [
        format!(r#"{{{x},{x}}}"#),
        format!(r#"{{"__metadata__":{{"a":"1","a":"2"}},{x}}}"#),
        format!(r#"{{{}}}"#, x.replacen(r#""shape":[1],"#, r#""shape":[1],"shape":[1],"#, 1)),
    ] {
        fs::write(&path, [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 4]].concat()).unwrap();
        let e = Tensors::load(&path).unwrap_err();
        assert!(e.code() == "wrong-format", "{header}: {e}");
    }
}

#[cfg(unix)]
#[test]
fn a_large_file_of_weights_is_mapped_and_outlives_its_replacement() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let tensors = |x: f32| Tensors::from_iter([("w", Tensor::new([1 << 19], vec![x; 1 << 19]).unwrap())]);
    tensors(1.0).save(&path).unwrap();
    let one = Tensors::load(&path).unwrap();
    tensors(2.0).save(&path).unwrap();
    let mut two = Tensors::load(&path).unwrap();
    assert!(one == tensors(1.0) && two == tensors(2.0));
    // what is written is a copy, and not the file
    let dlc_ir::DataMut::F32(elements) = two.get_mut("w").unwrap().data_mut() else { unreachable!("it is f32") };
    elements.fill(3.0);
    assert!(two == tensors(3.0) && Tensors::load(&path).unwrap() == tensors(2.0));
}

#[test]
fn only_regular_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = |name: &str| {
        let path = folder.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    };
    let without_folder = [
        idx::read(&pipe("a.gz")).unwrap_err(),
        npy::read(&pipe("a.npy")).unwrap_err(),
        Table::read(&pipe("a.csv")).unwrap_err(),
        Tensors::load(pipe("a.npz")).unwrap_err(),
        Tensors::load(pipe("a.safetensors")).unwrap_err(),
        Table::read(Path::new("/dev/zero")).unwrap_err(),
    ];
    for e in without_folder {
        assert!(e.code() == "missing-file" && e.to_string().contains("not a regular file"), "{e}");
    }
}

/// Processor time of this thread in nanoseconds; wall time on systems other than Linux.
fn now() -> u64 {
    let of_thread = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let time = of_thread.and_then(|text| text.split_whitespace().next()?.parse().ok());
    time.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        now.as_nanos() as u64
    })
}

/// Columns are found by name without a linear search.
#[test]
fn a_table_of_many_columns_is_read_in_time_that_grows_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wide.csv");
    // The processor clock has a resolution of a few milliseconds: few columns are read repeatedly to make the work equal.
    let time = |columns: usize, times: usize| {
        let names: Vec<String> = (0..columns).map(|i| format!("column_{i}")).collect();
        fs::write(&path, format!("{}\n{}\n", names.join(","), vec!["1"; columns].join(","))).unwrap();
        let read = || {
            let start = now();
            for _ in 0..times {
                let table = Table::read(&path).unwrap();
                assert_eq!(table.except(&names[..columns / 2], DType::F64).unwrap().len(), columns.div_ceil(2));
                assert_eq!(table.select(&names, DType::F64).unwrap().len(), columns);
            }
            now() - start
        };
        (0..3).map(|_| read()).min().unwrap()
    };
    let pairs: Vec<(u64, u64)> = (0..3).map(|_| (time(12_500, 8), time(100_000, 1))).collect();
    // 8 times as many take as long as 8 times those, not 8 times that
    assert!(pairs.iter().any(|(few, many)| many < &(few * 3)), "{pairs:?}");
}
