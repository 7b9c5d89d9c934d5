//! Matches a file of weights with a model.

use std::fmt;

use dlc_ir::Type;

use crate::Tensors;
use crate::near::near;

/// The differences between the tensors of a file and the weights of a model. Its `Display` is the table of an error message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Number of tensors that match.
    pub fit: usize,
    /// Weights whose tensor in the file has another type: name, the model's type, the file's.
    pub misshapen: Vec<(String, Type, Type)>,
    /// Weights that the file lacks, and unused tensors of the file that may be meant.
    pub missing: Vec<(String, Type, Vec<String>)>,
    /// Tensors of the file that are not weights of the model.
    pub unused: Vec<(String, Type)>,
}

impl std::error::Error for Mismatch {}

impl Mismatch {
    /// The code in `error[...]`.
    pub fn code(&self) -> &'static str {
        "weights-mismatch"
    }

    /// Whether nothing differs.
    pub fn is_match(&self) -> bool {
        self.misshapen.is_empty() && self.missing.is_empty() && self.unused.is_empty()
    }
}

/// The unused tensors of a file that may be meant for a missing weight: of its type, with a similar name.
pub fn candidates(name: &str, ty: &Type, unused: &[(String, Type)]) -> Vec<String> {
    near(name, unused.iter().filter(|(_, other)| other == ty).map(|(other, _)| other.as_str()))
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weights = self.fit + self.misshapen.len() + self.missing.len();
        let match_ = if self.fit == 1 { "matches" } else { "match" };
        write!(f, "{} of {weights} weights {match_}", self.fit)?;
        let names = self.misshapen.iter().map(|m| &m.0).chain(self.missing.iter().map(|m| &m.0));
        let width = names.chain(self.unused.iter().map(|u| &u.0)).map(|n| n.chars().count()).max().unwrap_or(0);
        let heading = |f: &mut fmt::Formatter<'_>, count: usize, text: &str| match count {
            0 => Ok(()),
            _ => write!(f, "\n  {text}:"),
        };
        heading(f, self.missing.len(), "missing key(s)")?;
        for (name, ty, candidates) in &self.missing {
            write!(f, "\n    {name:width$}  {ty}")?;
            if !candidates.is_empty() {
                write!(f, "; is it {}?", candidates.join(" or "))?;
            }
        }
        heading(f, self.unused.len(), "unexpected key(s)")?;
        for (name, ty) in &self.unused {
            write!(f, "\n    {name:width$}  {ty}")?;
        }
        heading(f, self.misshapen.len(), "size mismatch")?;
        for (name, model, file) in &self.misshapen {
            write!(f, "\n    {name:width$}  checkpoint {file}, model {model}")?;
        }
        Ok(())
    }
}

/// Checks that a file has exactly the weights of a model.
///
/// # Errors
/// If a weight is missing or has another type, or a tensor of the file is not a weight of the model.
pub fn fit<'a>(model: impl IntoIterator<Item = (&'a str, &'a Type)>, file: &Tensors) -> Result<(), Mismatch> {
    let mut mismatch = Mismatch::default();
    let model: Vec<(&str, &Type)> = model.into_iter().collect();
    let expected = |name: &str| model.iter().any(|(n, _)| *n == name);
    mismatch.unused = file.iter().filter(|(n, _)| !expected(n)).map(|(n, t)| (n.to_owned(), t.ty().clone())).collect();
    for &(name, ty) in &model {
        match file.get(name) {
            Some(tensor) if tensor.ty() == ty => mismatch.fit += 1,
            Some(tensor) => mismatch.misshapen.push((name.to_owned(), ty.clone(), tensor.ty().clone())),
            None => {
                let candidates = candidates(name, ty, &mismatch.unused);
                mismatch.missing.push((name.to_owned(), ty.clone(), candidates));
            }
        }
    }
    if mismatch.is_match() { Ok(()) } else { Err(mismatch) }
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
