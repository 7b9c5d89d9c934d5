//! Safetensors, the format of weights.

use std::collections::BTreeMap;
use std::path::Path;

use ::safetensors::{Dtype, SafeTensors};
use dlc_ir::{DType, Memory, Tensor};
use serde_json::json;

use super::wire::{Wire, decode_in_place};
use super::{Contents, DataError, Format, Problem, Writer, file, names};
use crate::{Tensors, atomic};

/// Safetensors files.
pub(super) const FORMAT: Format = Format {
    name: "safetensors",
    endings: &[".safetensors"],
    read: |path| read(path).map(|content| content.tensors).map(Contents::Tensors),
    writer: Some(Writer { write: |path, tensors| write(path, tensors, &mark()), is_ours }),
};

/// The content of a safetensors file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// The tensors, in the order of their bytes.
    pub tensors: Tensors,
    /// Texts by name.
    pub metadata: BTreeMap<String, String>,
}

/// Reads a safetensors file. f16 and bf16 become f32, narrow integers i32 or i64. What has a dtype stays where it is: a large file is
/// mapped, and read when its tensors are used.
///
/// # Errors
/// If the file is missing, damaged, not safetensors, or a tensor has a format without dtype.
pub fn read(path: &Path) -> Result<Content, DataError> {
    let memory = file::map(path)?;
    in_memory(&memory).map_err(|problem| DataError::new(path, problem))
}

/// Writes a safetensors file atomically; equal content gives equal bytes.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, tensors: &Tensors, metadata: &BTreeMap<String, String>) -> Result<(), DataError> {
    atomic::write(path, &to_bytes(tensors, metadata)).map_err(|e| file::explain(path, e))
}

/// The mark in files that dlc writes for its users.
pub(super) fn mark() -> BTreeMap<String, String> {
    [("written_by".to_owned(), "dlc".to_owned())].into()
}

/// Whether a file has the mark.
pub(super) fn is_ours(bytes: &[u8]) -> bool {
    SafeTensors::read_metadata(bytes).is_ok_and(|(_, header)| {
        header.metadata().as_ref().is_some_and(|m| m.get("written_by").is_some_and(|w| w == "dlc"))
    })
}

/// The content of a whole file in memory, where its tensors stay.
///
/// # Errors
/// As [`read`], except for missing files.
pub fn in_memory(memory: &Memory) -> Result<Content, Problem> {
    let bytes = memory.bytes();
    let malformed =
        |e: ::safetensors::SafeTensorError| Problem::Malformed { format: "a safetensors file", why: e.to_string() };
    let (length, header) = SafeTensors::read_metadata(bytes).map_err(malformed)?;
    // the crate's own reader takes the last of several tensors of one name
    let text = bytes.get(8..8 + length).unwrap_or_default();
    names::expect_unique(text)
        .map_err(|e| Problem::Malformed { format: "a safetensors file", why: format!("its header: {e}") })?;
    let file = SafeTensors::deserialize(bytes).map_err(malformed)?;
    let mut tensors = Tensors::new();
    for name in header.offset_keys() {
        let view = file.tensor(&name).map_err(malformed)?;
        let wire = wire(view.dtype()).ok_or_else(|| {
            Problem::Unsupported(format!("tensor `{name}` has the format {:?}, which has no dtype here", view.dtype()))
        })?;
        if wire.bytes(view.shape()) != Some(view.data().len()) {
            return Err(Problem::Unsupported(format!("tensor `{name}` is too large")));
        }
        let start = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        let part = memory.part(start..start + view.data().len());
        tensors.insert(name, decode_in_place(wire, view.shape().to_vec(), part)?);
    }
    let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok(Content { tensors, metadata })
}

/// A whole file in memory. The header is written here and not by the crate, whose order of metadata is random.
pub fn to_bytes(tensors: &Tensors, metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let mut order: Vec<(&str, &Tensor)> = tensors.iter().collect();
    // Wide elements first, as in the crate, so that every tensor is aligned.
    order.sort_by(|a, b| b.1.dtype().size().cmp(&a.1.dtype().size()).then(a.0.cmp(b.0)));
    let mut entries = Vec::new();
    if !metadata.is_empty() {
        entries.push(format!("\"__metadata__\":{}", json!(metadata)));
    }
    let mut offset = 0;
    for (name, tensor) in &order {
        let end = offset + tensor.ty().bytes();
        let (dtype, shape) = (dtype(tensor.dtype()), tensor.shape().to_vec());
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [offset, end] });
        entries.push(format!("{}:{entry}", json!(name)));
        offset = end;
    }
    let mut header = format!("{{{}}}", entries.join(","));
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let mut bytes = Vec::with_capacity(8 + header.len() + offset);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    for (_, tensor) in &order {
        bytes.extend_from_slice(&tensor.le_bytes());
    }
    bytes
}

fn dtype(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "F32",
        DType::F64 => "F64",
        DType::I32 => "I32",
        DType::I64 => "I64",
        DType::U8 => "U8",
        DType::Bool => "BOOL",
    }
}

fn wire(dtype: Dtype) -> Option<Wire> {
    Some(match dtype {
        Dtype::BOOL => Wire::Bool,
        Dtype::U8 => Wire::U8,
        Dtype::I8 => Wire::I8,
        Dtype::U16 => Wire::U16,
        Dtype::I16 => Wire::I16,
        Dtype::U32 => Wire::U32,
        Dtype::I32 => Wire::I32,
        Dtype::U64 => Wire::U64,
        Dtype::I64 => Wire::I64,
        Dtype::F16 => Wire::F16,
        Dtype::BF16 => Wire::Bf16,
        Dtype::F32 => Wire::F32,
        Dtype::F64 => Wire::F64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Tensors {
        [
            ("b", Tensor::new([2, 2], vec![1f32, -0.0, f32::NAN, 3.0]).unwrap()),
            ("a", Tensor::new([3], vec![true, false, true]).unwrap()),
            ("step", Tensor::scalar(7i64)),
        ]
        .into_iter()
        .collect()
    }

    #[test]
    fn comes_back_and_is_aligned() {
        let metadata: BTreeMap<_, _> = [("x".to_owned(), "\"1\"".to_owned()), ("y".into(), "2".into())].into();
        let bytes = to_bytes(&example(), &metadata);
        let memory = Memory::of(bytes.clone());
        let content = in_memory(&memory).unwrap();
        // nothing is copied
        let within = memory.bytes().as_ptr_range();
        assert!(content.tensors.iter().all(|(_, tensor)| within.contains(&tensor.memory().as_ptr())));
        assert_eq!(content.metadata, metadata);
        assert_eq!(content.tensors.names().collect::<Vec<_>>(), ["step", "b", "a"]);
        for (name, tensor) in example().iter() {
            assert_eq!(&content.tensors[name], tensor);
        }
        assert_eq!(u64::from_le_bytes(bytes[..8].try_into().unwrap()) % 8, 0);
    }

    #[test]
    fn damage_is_refused() {
        let bytes = to_bytes(&example(), &BTreeMap::new());
        for end in 0..bytes.len() {
            assert!(in_memory(&Memory::of(bytes[..end].to_vec())).is_err(), "{end}");
        }
        for i in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[i] ^= 0x11;
            let _ = in_memory(&Memory::of(damaged));
        }
    }
}
