//! Fitting a file of weights to a model.

use std::fmt;

use dlc_ir::Type;

use crate::Tensors;
use crate::near::near;

/// How the tensors of a file and the weights of a model differ. Shows itself as the table of an error message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Tensors that fit.
    pub fit: usize,
    /// Weights whose tensor in the file has another type: name, the model's type, the file's.
    pub misshapen: Vec<(String, Type, Type)>,
    /// Weights that the file lacks, and the unused tensors of the file that could be meant.
    pub missing: Vec<(String, Type, Vec<String>)>,
    /// Tensors of the file that the model has no weight for.
    pub unused: Vec<(String, Type)>,
}

impl std::error::Error for Mismatch {}

impl Mismatch {
    /// The kind of problem as a word, as it stands in `error[...]`.
    pub fn code(&self) -> &'static str {
        "weights-mismatch"
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.fit + self.misshapen.len() + self.unused.len();
        let (tensors, fit) = (count(total, "tensor", "tensors"), count(self.fit, "fits", "fit"));
        let bad = count(self.misshapen.len(), "has", "have");
        let missing = count(self.missing.len(), "weight is", "weights are");
        write!(f, "of {tensors} {fit}, {bad} another type; {missing} missing")?;
        let names = self.misshapen.iter().map(|m| &m.0).chain(self.missing.iter().map(|m| &m.0));
        let width = names.chain(self.unused.iter().map(|u| &u.0)).map(|n| n.chars().count()).max().unwrap_or(0);
        for (name, model, file) in &self.misshapen {
            write!(f, "\n  misshapen  {name:width$}  model {model}, file {file}")?;
        }
        for (name, ty, candidates) in &self.missing {
            write!(f, "\n  missing    {name:width$}  {ty}")?;
            if !candidates.is_empty() {
                write!(f, "; is it {}?", candidates.join(" or "))?;
            }
        }
        for (name, ty) in &self.unused {
            write!(f, "\n  unused     {name:width$}  {ty}")?;
        }
        Ok(())
    }
}

/// A number with the words that go with one, or with any other number.
fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Whether a file has exactly the weights that a model wants.
///
/// # Errors
/// If a weight is missing or has another type, or a tensor of the file is no weight of the model.
pub fn fit<'a>(model: impl IntoIterator<Item = (&'a str, &'a Type)>, file: &Tensors) -> Result<(), Mismatch> {
    let mut mismatch = Mismatch::default();
    let model: Vec<(&str, &Type)> = model.into_iter().collect();
    let wanted = |name: &str| model.iter().any(|(n, _)| *n == name);
    mismatch.unused = file.iter().filter(|(n, _)| !wanted(n)).map(|(n, t)| (n.to_owned(), t.ty().clone())).collect();
    for &(name, ty) in &model {
        match file.get(name) {
            Some(tensor) if tensor.ty() == ty => mismatch.fit += 1,
            Some(tensor) => mismatch.misshapen.push((name.to_owned(), ty.clone(), tensor.ty().clone())),
            None => {
                let same_type = mismatch.unused.iter().filter(|(_, t)| t == ty).map(|(n, _)| n.as_str());
                mismatch.missing.push((name.to_owned(), ty.clone(), near(name, same_type)));
            }
        }
    }
    let fits = mismatch.misshapen.is_empty() && mismatch.missing.is_empty() && mismatch.unused.is_empty();
    if fits { Ok(()) } else { Err(mismatch) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dlc_ir::{DType, Tensor};

    #[test]
    fn the_difference_is_shown_as_a_table() {
        let ty = |shape: &[usize]| Type::new(DType::F32, shape);
        let model = [("fc.weight", ty(&[102, 512])), ("fc.bias", ty(&[102])), ("layer4.1.conv2.weight", ty(&[3, 3]))];
        let model = || model.iter().map(|(n, t)| (*n, t));
        let file = |names: &[(&str, &[usize])]| -> Tensors {
            names.iter().map(|(n, shape)| (*n, Tensor::zeros(ty(shape)))).collect()
        };
        let good = file(&[("fc.bias", &[102]), ("layer4.1.conv2.weight", &[3, 3]), ("fc.weight", &[102, 512])]);
        assert_eq!(fit(model(), &good), Ok(()));
        let bad = file(&[("fc.weight", &[1000, 512]), ("fc.bias", &[102]), ("layer4.1.conv3.weight", &[3, 3])]);
        insta::assert_snapshot!(fit(model(), &bad).unwrap_err());
    }
}
