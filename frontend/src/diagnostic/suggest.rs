//! "Do you mean": the nearest known name to an unknown one.

/// Names in other libraries, and their names here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("adaptive_avg_pool2d", "global_avg_pool"),
    ("amax", "max"),
    ("amin", "min"),
    ("arange", "range"),
    ("bce", "binary_cross_entropy"),
    ("bce_with_logits", "binary_cross_entropy"),
    ("binary_cross_entropy_with_logits", "binary_cross_entropy"),
    ("cat", "concat"),
    ("categorical_crossentropy", "cross_entropy"),
    ("clip", "clamp"),
    ("clip_by_value", "clamp"),
    ("concatenate", "concat"),
    ("cosine_annealing", "cosine"),
    ("dense", "linear"),
    ("detach", "stop_gradient"),
    ("expand", "broadcast"),
    ("fc", "linear"),
    ("fully_connected", "linear"),
    ("index_select", "take"),
    ("int_div", "floor_div"),
    ("nll_loss", "cross_entropy"),
    ("numel", "size"),
    ("permute", "transpose"),
    ("reduce_max", "max"),
    ("reduce_mean", "mean"),
    ("reduce_min", "min"),
    ("reduce_sum", "sum"),
    ("sigmoid_cross_entropy", "binary_cross_entropy"),
    ("smooth_l1", "huber"),
    ("smooth_l1_loss", "huber"),
    ("softmax_cross_entropy", "cross_entropy"),
    ("sparse_categorical_crossentropy", "cross_entropy"),
    ("swapaxes", "transpose"),
    ("swish", "silu"),
    ("top_k", "top_k_accuracy"),
    ("view", "reshape"),
    ("weight_decay", "decay"),
];

/// Functions of other libraries, and how they are written here.
const IDIOMS: &[(&str, &str)] = &[
    ("astype", "convert by the name of the type: `float(x)`, `i32(x)`"),
    ("bmm", "write `a @ b`"),
    ("cast", "convert by the name of the type: `float(x)`, `i32(x)`"),
    ("dot", "write `a @ b`"),
    ("einsum", "write it with `@`, `transpose` and `sum`"),
    ("float_div", "write `float(x) / y`"),
    ("fmod", "write `x % y`"),
    ("hstack", "write `concat([a, b], axis: 1)`"),
    ("mod", "write `x % y`"),
    ("norm", "write `sqrt(sum(x ** 2))`"),
    ("one_hot", "write `float(label[..., _] == iota([C]))`"),
    ("true_div", "write `float(x) / y`"),
    ("vstack", "write `concat([a, b], axis: 0)`"),
    ("expand_dims", "write `x[:, _]`: `_` is a new axis"),
    ("matmul", "write `a @ b`"),
    ("mm", "write `a @ b`"),
    ("ndim", "write `rank(x)`"),
    ("square", "write `x ** 2`"),
    ("std", "write `sqrt(mean((x - mean(x)) ** 2))`"),
    ("unsqueeze", "write `x[:, _]`: `_` is a new axis"),
    ("var", "write `mean((x - mean(x)) ** 2)`"),
];

/// Arguments of earlier versions, and how they are written now.
const REPLACED: &[(&str, &str, &str)] = &[
    ("safetensors", "skip", "write `weights = { \"**\": safetensors(\"file\"), \"fc.*\": none }`"),
    ("safetensors", "prefix", "write `weights = { \"**\": safetensors(\"file\")[\"model.**\"] }`"),
    (
        "safetensors",
        "transpose",
        "write `weights = { \"h.*.c_fc.weight\": safetensors(\"file\")[\"h.*.c_fc.weight\"].T }`",
    ),
];

/// The replacement of an argument of an earlier version.
pub fn replaced(callee: &str, argument: &str) -> Option<&'static str> {
    REPLACED.iter().find(|(of, name, _)| *of == callee && *name == argument).map(|(.., remedy)| *remedy)
}

/// The names of other libraries, with ours, or with how they are written here.
pub fn names_elsewhere() -> impl Iterator<Item = (&'static str, Result<&'static str, &'static str>)> {
    let ours = ELSEWHERE.iter().map(|(theirs, ours)| (*theirs, Ok(*ours)));
    ours.chain(IDIOMS.iter().map(|(theirs, written)| (*theirs, Err(*written))))
}

/// How a function of other libraries is written here.
pub fn idiom(name: &str) -> Option<&'static str> {
    IDIOMS.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}

/// The name here of what is called `name` in other libraries.
pub fn translated(name: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}

/// The function of two values that has the name of this reduction in other libraries.
pub fn of_two(reduction: &str) -> Option<&'static str> {
    [("max", "maximum"), ("min", "minimum")].into_iter().find(|(theirs, _)| *theirs == reduction).map(|(_, ours)| ours)
}

/// The label that asks for the candidate nearest to `name`, see [`did_you_mean`], or else this one.
pub fn meant_or<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>, otherwise: impl Into<String>) -> String {
    let meant = did_you_mean(name, candidates);
    meant.map_or_else(|| otherwise.into(), |meant| format!("do you mean `{meant}`?"))
}

/// The candidate nearest to `name`, if it is near enough to be meant. Ties go to the first candidate.
///
/// Case, `_` and `-` are ignored, so that `batchnorm` finds `batch_norm`; otherwise a third of the name may differ.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |s: &str| s.to_lowercase().replace(['_', '-'], "");
    let letters = |s: &str| s.chars().count();
    let wanted = plain(name);
    let limit = (letters(&wanted).max(2) / 3).max(1);
    let elsewhere = translated(name).or_else(|| translated(&name.to_lowercase()));
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        if candidate == name {
            continue;
        }
        if elsewhere == Some(candidate) {
            return elsewhere;
        }
        let found = plain(candidate);
        let prefix = found.starts_with(&wanted) || wanted.starts_with(&found);
        // The difference in length is a lower bound of the distance.
        if !prefix && letters(&wanted).abs_diff(letters(&found)) > limit {
            continue;
        }
        let mut cost = strsim::osa_distance(&wanted, &found);
        // A shortened name (`conv` for `conv2d`, `stride` for `strides`) is suggested even if much is missing.
        if cost > limit && letters(&wanted) >= 3 && prefix && letters(&found) >= 3 {
            cost = limit;
        }
        // Replacing a single letter by another is not a similarity.
        if cost <= limit && cost < letters(&wanted).max(letters(&found)) && best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn finds_what_was_meant() {
        let names = ["conv2d", "batch_norm", "linear", "relu", "max_pool", "dropout"];
        for (wrong, right) in [
            ("batchnorm", Some("batch_norm")),
            ("lienar", Some("linear")),
            ("Relu", Some("relu")),
            ("conv", Some("conv2d")),
            ("maxpool", Some("max_pool")),
            ("transformer", None),
            ("x", None),
        ] {
            assert_eq!(did_you_mean(wrong, names), right, "{wrong}");
        }
        assert_eq!(did_you_mean("strides", ["padding", "stride"]), Some("stride"));
        assert_eq!(did_you_mean("h", ["w", "x"]), None);
    }
}
