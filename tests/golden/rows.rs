//! The rows of `tests/golden/*.json`; see `README.md` there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use dlc::{DType, Tensor};
use serde_json::Value;

/// A row of one entry of the library.
pub struct Row {
    /// The entry.
    pub entry: String,
    /// What is tested: `function`, `train`, `optimizer`, ….
    pub kind: String,
    /// The call in the language.
    pub expr: String,
    fields: Value,
}

/// A tensor of a row, in f64 where it is a float.
#[derive(Clone)]
pub struct Numbers {
    dtype: String,
    /// The sizes of its axes.
    pub shape: Vec<usize>,
    /// The elements.
    pub values: Vec<f64>,
}

/// The rows of a file.
pub fn read(file: &str) -> Vec<Row> {
    let path = folder().join(format!("{file}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    rows.into_iter().map(Row::new).collect()
}

/// The names of all files with rows.
pub fn files() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).expect("the folder is there").map(|e| e.expect("an entry").path());
    let mut names: Vec<String> = entries
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .filter_map(|p| Some(p.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

impl Row {
    fn new(fields: Value) -> Self {
        let text = |name: &str| fields[name].as_str().unwrap_or_else(|| panic!("no `{name}`: {fields}")).to_owned();
        Row { entry: text("entry"), kind: text("kind"), expr: text("expr"), fields }
    }

    /// What failed, for messages.
    pub fn name(&self) -> String {
        format!("{} ({})", self.entry, self.expr)
    }

    /// Whether it is for this float type too.
    pub fn has_float(&self, float: DType) -> bool {
        self.fields["floats"].as_array().is_none_or(|floats| floats.iter().any(|f| f == float.name()))
    }

    /// A field that is a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.fields[name].as_f64()
    }

    /// A field that is a shape.
    pub fn shape(&self, name: &str) -> Vec<usize> {
        let sizes = self.fields[name].as_array().unwrap_or_else(|| panic!("{}: no shape `{name}`", self.name()));
        sizes.iter().map(|n| n.as_u64().expect("a size") as usize).collect()
    }

    /// A field that is a tensor.
    pub fn numbers(&self, name: &str) -> Option<Numbers> {
        Some(Numbers::new(self.fields.get(name)?))
    }

    /// A field with tensors by name; none if there is no such field.
    pub fn tensors(&self, name: &str) -> BTreeMap<String, Numbers> {
        let tensors = self.fields[name].as_object().into_iter().flatten();
        tensors.map(|(name, value)| (name.clone(), Numbers::new(value))).collect()
    }
}

impl Numbers {
    fn new(value: &Value) -> Self {
        let text = |name: &str| value[name].as_str().unwrap_or_else(|| panic!("no `{name}`: {value}"));
        let shape = value["shape"].as_array().expect("a shape").iter();
        let shape: Vec<usize> = shape.map(|n| n.as_u64().expect("a size") as usize).collect();
        let number = |text: &str| text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        let values: Vec<f64> = text("values").split_whitespace().map(number).collect();
        assert_eq!(values.len(), shape.iter().product::<usize>(), "{value}");
        Numbers { dtype: text("type").to_owned(), shape, values }
    }

    /// Its dtype, where floats are of this type.
    pub fn dtype(&self, float: DType) -> DType {
        if self.is_float() { float } else { self.dtype.parse().unwrap_or_else(|e| panic!("{}: {e}", self.dtype)) }
    }

    /// Whether its elements are floats.
    pub fn is_float(&self) -> bool {
        self.dtype == "float"
    }

    /// As a tensor.
    pub fn tensor(&self, float: DType) -> Tensor {
        let wide = Tensor::new(self.shape.clone(), self.values.clone()).expect("as many elements as the shape has");
        wide.convert(self.dtype(float))
    }

    /// Its type in the language, with `first` in place of the first size.
    pub fn ty(&self, first: Option<&str>) -> String {
        let sizes = self.shape.iter().enumerate().map(|(i, n)| match first.filter(|_| i == 0) {
            Some(name) => name.to_owned(),
            None => n.to_string(),
        });
        let mut text = if self.is_float() { String::new() } else { self.dtype.clone() };
        let _ = write!(text, "[{}]", sizes.collect::<Vec<_>>().join(", "));
        text
    }
}
