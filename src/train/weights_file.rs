//! The weights that a training begins with, from a file with other names, more tensors, or other layouts.

use dlc_dsl::diagnostic::did_you_mean;
use dlc_dsl::lower::pattern;
use dlc_dsl::lower::settings::WeightsFile;
use dlc_dsl::{Diagnostic, Span};
use dlc_ir::{Tensor, Type};
use dlc_runtime::weights::{self, Mismatch};
use dlc_runtime::{Tensors, data};

use crate::data::labels::word_within;
use crate::data::resolve;
use crate::{Error, Model};

/// The weights of a file in place of first values, by the names of the model.
pub(crate) fn start_weights(model: &Model, file: &WeightsFile, first: Tensors) -> Result<Tensors, Error> {
    let path = resolve(&file.from, &file.path, model.folder());
    let read = data::safetensors::read(&path).map_err(|e| {
        let diagnostic = Diagnostic::error(e.code(), e.to_string());
        model.error(vec![diagnostic.primary(file.span, "read here")])
    })?;
    let fitting = Fitting { model, file, first, read: read.tensors };
    let idle = fitting.idle_words();
    if !idle.is_empty() {
        return Err(model.error(idle));
    }
    fitting.fit()
}

/// A file and the weights that it is to give.
struct Fitting<'a> {
    model: &'a Model,
    file: &'a WeightsFile,
    /// The first values, by the names of the model.
    first: Tensors,
    /// What the file holds, by its own names.
    read: Tensors,
}

impl Fitting<'_> {
    /// The weights that the file is to give: their names in the model and in the file.
    fn wanted(&self) -> impl Iterator<Item = (&str, String)> {
        let taken = self.first.names().filter(|name| !pattern::selects(&self.file.skip, name));
        taken.map(|name| (name, self.theirs(name)))
    }

    /// What a weight of the model is called in the file. Of several renamings that fit, the one with the most levels counts.
    fn theirs(&self, name: &str) -> String {
        let fitting = self.file.rename.iter().filter_map(|(theirs, ours)| Some((theirs, below(name, ours)?)));
        let (theirs, rest) =
            fitting.min_by_key(|(_, rest)| rest.len()).map_or(("", name), |(theirs, rest)| (theirs, rest));
        joined(&self.file.prefix, &joined(theirs, rest))
    }

    /// Words of the section that say nothing of this model and this file, most likely slips.
    fn idle_words(&self) -> Vec<Diagnostic> {
        let ours: Vec<&str> = self.first.names().collect();
        let theirs: Vec<&str> = self.read.names().collect();
        let wanted: Vec<(&str, String)> = self.wanted().collect();
        let both = || ours.iter().chain(&theirs).copied();
        let mut idle = vec![];
        let plain = |pattern: &str| pattern.strip_prefix('!').unwrap_or(pattern).to_owned();
        for word in &self.file.skip {
            if !both().any(|name| pattern::fits(&plain(word), name)) {
                idle.push(self.idle(word, format!("`skip`: no weight is named `{}`", plain(word)), &ours));
            }
        }
        for (theirs, word) in &self.file.rename {
            if !ours.iter().any(|name| below(name, word).is_some()) {
                let message = format!("`rename`: no weight of the model lies below `{word}`, which `{theirs}` becomes");
                idle.push(self.idle(word, message, &ours));
            }
        }
        let word = &self.file.prefix;
        if !theirs.iter().any(|name| below(name, word).is_some()) {
            let message = format!("`prefix`: no tensor of the file lies below `{word}`");
            return vec![self.idle(word, message, &theirs)];
        }
        for word in &self.file.transpose {
            if !wanted.iter().any(|(_, name)| pattern::fits(&plain(word), name)) {
                let message = format!("`transpose`: no tensor that is read is named `{}`", plain(word));
                idle.push(self.idle(word, message, &theirs));
            }
        }
        idle
    }

    /// A word that fits none of these names.
    fn idle(&self, word: &str, message: String, names: &[&str]) -> Diagnostic {
        let label = match did_you_mean(word, names.iter().copied()) {
            Some(meant) => format!("do you mean `{meant}`?"),
            None => "fits nothing".to_owned(),
        };
        let more = if names.len() > 6 { ", …" } else { "" };
        let some = names.iter().take(6).copied().collect::<Vec<_>>().join(", ");
        Diagnostic::error("bad-pattern", message)
            .primary(self.place(word), label)
            .help(format!("the names are {some}{more}"))
    }

    /// Where a word stands in the section: the string, or the whole call if it is put together.
    fn place(&self, word: &str) -> Span {
        word_within(self.model, self.file.span, &format!("\"{word}\""))
    }

    /// The first values with those of the file in their place.
    fn fit(mut self) -> Result<Tensors, Error> {
        let (mut found, mut used) = (Tensors::new(), vec![]);
        for (ours, theirs) in self.wanted() {
            let Some(tensor) = self.read.get(&theirs) else { continue };
            let turned = pattern::selects(&self.file.transpose, &theirs);
            let tensor = if turned { transposed(tensor) } else { tensor.clone() };
            found.insert(ours, tensor.convert(self.first[ours].dtype()));
            used.push(theirs);
        }
        // A name of the model that stands for another tensor of the file would count as fitting.
        let unused = self.unused(&used);
        let (shadowed, unused): (Vec<_>, Vec<_>) =
            unused.into_iter().partition(|(name, _)| self.first.get(name).is_some());
        let both: Tensors = found.iter().map(|(n, t)| (n.to_owned(), t.clone())).chain(unused).collect();
        let wanted: Vec<(&str, &Type)> = self.wanted().map(|(name, _)| (name, self.first[name].ty())).collect();
        let mut mismatch = weights::fit(wanted, &both).err().unwrap_or_default();
        mismatch.unused.extend(shadowed.into_iter().map(|(name, tensor)| (name, tensor.ty().clone())));
        if mismatch != (Mismatch { fit: mismatch.fit, ..Mismatch::default() }) {
            return Err(self.mismatch(&mismatch));
        }
        for (name, tensor) in found {
            self.first.insert(name, tensor);
        }
        Ok(self.first)
    }

    /// The tensors of the file, or of its part below the prefix, that no weight takes: without those that are skipped, and counters of
    /// batches, which PyTorch keeps and dlc does not need.
    fn unused(&self, used: &[String]) -> Vec<(String, Tensor)> {
        let is_counter = |tensor: &Tensor| tensor.ty().rank() == 0 && tensor.dtype().is_int();
        let skipped = |name: &str| {
            let bare = below(name, &self.file.prefix).unwrap_or(name);
            [name, bare].iter().any(|name| pattern::selects(&self.file.skip, name))
                || self.first.names().any(|ours| pattern::selects(&self.file.skip, ours) && self.theirs(ours) == name)
        };
        let rest = self.read.iter().filter(|(name, tensor)| {
            below(name, &self.file.prefix).is_some()
                && !used.iter().any(|u| u == name)
                && !is_counter(tensor)
                && !skipped(name)
        });
        rest.map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect()
    }

    /// The table of what does not fit, and what to write so that it does.
    fn mismatch(&self, mismatch: &Mismatch) -> Error {
        let table = mismatch.to_string();
        let mut lines = table.lines();
        let of = lines.next().unwrap_or_default();
        let diagnostic = Diagnostic::error("weights-mismatch", format!("{} does not fit the model", self.file.path));
        let diagnostic = lines.fold(diagnostic.primary(self.file.span, of), |d, line| d.note(line));
        let help = "`skip: [\"fc.*\"]` leaves tensors out, `rename: { \"theirs\": \"ours\" }` names them";
        self.model.error(vec![diagnostic.help(help)])
    }
}

/// What follows the levels `root` in a name, if they are its first: `weight` of `head.weight` below `head`, but nothing of
/// `header.weight`. Names are parted by dots, and those at the ends of `root` say nothing more.
fn below<'n>(name: &'n str, root: &str) -> Option<&'n str> {
    let root = root.trim_matches('.');
    if root.is_empty() {
        return Some(name);
    }
    let rest = name.strip_prefix(root)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
}

/// Levels, and further levels below them.
fn joined(root: &str, rest: &str) -> String {
    match (root.trim_matches('.'), rest) {
        ("", name) | (name, "") => name.to_owned(),
        (root, rest) => format!("{root}.{rest}"),
    }
}

/// A matrix with its axes exchanged; anything else as it is.
fn transposed(tensor: &Tensor) -> Tensor {
    let &[rows, columns] = &tensor.shape()[..] else { return tensor.clone() };
    let ty = tensor.ty().with_shape([columns, rows]);
    Tensor::from_fn(ty, |i| tensor.get(i % rows * columns + i / rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_at_their_dots() {
        for (name, root, rest) in [
            ("head.weight", "head", Some("weight")),
            ("head.weight", "head.", Some("weight")),
            ("head.weight", "h", None),
            ("head", "head", Some("")),
            ("header.weight", "head", None),
            ("head.0.weight", "head.0", Some("weight")),
            ("head.00.weight", "head.0", None),
            ("head.weight", "", Some("head.weight")),
        ] {
            assert_eq!(below(name, root), rest, "{name} below {root}");
        }
        for (root, rest, name) in
            [("a.b", "c", "a.b.c"), ("a.", "c", "a.c"), ("", "c", "c"), ("a", "", "a"), ("", "", "")]
        {
            assert_eq!(joined(root, rest), name, "{root} and {rest}");
        }
    }
}
