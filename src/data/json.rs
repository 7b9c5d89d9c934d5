//! Tensors as JSON, for the inputs and outputs of `dlc run`.

use dlc_ir::{DType, Scalar, Tensor, Type};
use dlc_runtime::Tensors;
use dlc_runtime::data::{kind, names};
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;

/// A tensor as JSON: `{"dtype":"f32","shape":[1,2],"data":[0.5,1]}`. NaN and infinities are null.
pub fn tensor_to_json(tensor: &Tensor) -> Value {
    let data: Vec<Value> = tensor
        .scalars()
        .map(|x| match x {
            Scalar::Float(x) => json!(shortest(x, tensor.dtype())),
            Scalar::Int(x) => json!(x),
            Scalar::Bool(x) => json!(x),
        })
        .collect();
    json!({ "dtype": tensor.dtype().name(), "shape": tensor.shape().to_vec(), "data": data })
}

/// The shortest decimal that rounds to this value in its dtype.
fn shortest(x: f64, dtype: DType) -> f64 {
    if dtype == DType::F32 { (x as f32).to_string().parse().unwrap_or(x) } else { x }
}

/// The inputs in a JSON text: `{"inputs":{"x":{"dtype":"f32","shape":[1,2],"data":[0.5,1]}}}`.
///
/// # Errors
/// If the text is not of this form, has a name twice, or a value that its dtype cannot represent.
pub fn tensors_from_json(text: &str) -> Result<Tensors, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Request {
        inputs: IndexMap<String, Input>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        dtype: String,
        shape: Vec<usize>,
        data: Vec<Value>,
    }
    let bad = |message: String| Error::plain("bad-input", message);
    names::expect_unique(text.as_bytes()).map_err(|e| bad(format!("invalid JSON input: {e}")))?;
    let request: Request = serde_json::from_str(text).map_err(|e| bad(format!("invalid JSON input: {e}")))?;
    let mut tensors = Tensors::new();
    for (name, input) in request.inputs {
        let dtype: DType = input.dtype.parse().map_err(|e| bad(format!("`{name}`: {e}")))?;
        let ty = Type::new(dtype, input.shape);
        if ty.checked_bytes().is_none() || ty.shape.elements() != input.data.len() {
            return Err(bad(format!("`{name}`: expected the elements of {ty}, found {}", input.data.len())));
        }
        let scalar = |value: &Value| {
            scalar(value, dtype).ok_or_else(|| bad(format!("`{name}`: {value} is not {}", kind(dtype))))
        };
        let scalars = input.data.iter().map(scalar).collect::<Result<Vec<Scalar>, Error>>()?;
        tensors.insert(name, Tensor::from_fn(ty, |i| scalars[i]));
    }
    Ok(tensors)
}

/// Converts an element to a dtype: a float is rounded, an integer must be exact.
fn scalar(value: &Value, dtype: DType) -> Option<Scalar> {
    let float = |x: f64| {
        let rounded = Scalar::Float(x).convert(dtype);
        rounded.as_f64().is_finite().then_some(rounded)
    };
    let int = |i: i64| (Scalar::Int(i).round(dtype) == Scalar::Int(i)).then_some(Scalar::Int(i));
    match value {
        Value::Null if dtype.is_float() => Some(Scalar::Float(f64::NAN)),
        Value::Bool(b) if dtype == DType::Bool => Some(Scalar::Bool(*b)),
        Value::Number(n) if dtype.is_float() => n.as_f64().and_then(float),
        Value::Number(n) if dtype == DType::Bool => {
            n.as_i64().filter(|i| matches!(i, 0 | 1)).map(|i| Scalar::Bool(i == 1))
        }
        Value::Number(n) => {
            // 3.0 is accepted, since some JSON writers know only floats
            let whole = |x: f64| (x.fract() == 0.0 && x.abs() < 9e15).then_some(x as i64);
            n.as_i64().or_else(|| n.as_f64().and_then(whole)).and_then(int)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dtype: &str, data: &str) -> Result<Tensor, Error> {
        let text = format!("{{\"inputs\":{{\"x\":{{\"dtype\":\"{dtype}\",\"shape\":[1],\"data\":[{data}]}}}}}}");
        tensors_from_json(&text).map(|tensors| tensors["x"].clone())
    }

    #[test]
    fn numbers_that_a_dtype_cannot_represent_are_refused() {
        for (dtype, data) in [
            ("u8", "300"),
            ("u8", "-1"),
            ("u8", "1.7"),
            ("u8", "true"),
            ("i32", "3000000000"),
            ("i64", "18446744073709551615"),
            ("bool", "2"),
            ("f32", "1e39"),
            ("i32", "null"),
        ] {
            let error = read(dtype, data).expect_err("it is refused");
            assert_eq!(error.code(), "bad-input", "{dtype} {data}");
        }
        for (dtype, data) in
            [("u8", "255"), ("i32", "3.0"), ("bool", "1"), ("bool", "true"), ("f32", "0.1"), ("f64", "null")]
        {
            read(dtype, data).unwrap_or_else(|e| panic!("{dtype} {data}: {e}"));
        }
    }

    #[test]
    fn duplicate_and_unknown_fields_are_refused() {
        let x = r#""x":{"dtype":"f32","shape":[1],"data":[1]}"#;
        let twice = x.replacen(r#""shape":[1],"#, r#""shape":[1],"shape":[1],"#, 1);
        for text in [
            format!(r#"{{"inputs":{{{x},{x}}}}}"#),
            format!(r#"{{"inputs":{{{x}}},"inputs":{{}}}}"#),
            format!(r#"{{"inputs":{{{twice}}}}}"#),
            format!(r#"{{"inputs":{{{x}}},"sizes":{{}}}}"#),
        ] {
            assert_eq!(tensors_from_json(&text).expect_err("it is refused").code(), "bad-input", "{text}");
        }
        tensors_from_json(&format!(r#"{{"inputs":{{{x}}}}}"#)).expect("it is right");
    }

    #[test]
    fn numbers_have_the_shortest_decimals() {
        let tensor = read("f32", "0.038124").expect("a number");
        assert_eq!(tensor_to_json(&tensor)["data"].to_string(), "[0.038124]");
    }
}
