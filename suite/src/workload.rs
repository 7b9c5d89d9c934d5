//! The workloads: one line each. Their models are in `models/`; everything is f32, token ids are i64.

use dlc::{Error, Model};

use crate::draw::Draw::{self, Constant, Ints, Normal, Uniform};

/// What is run, and timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One inference.
    Infer,
    /// One training step on a fixed batch: forward, loss, backward, update.
    Train,
    /// A generated text: a prompt, and then [`TOKENS`] steps with a cache, each fed the most probable token of the one before.
    Decode,
}

/// Timed steps of a generated text.
pub const TOKENS: usize = 64;
/// Losses of a training that are compared with the reference.
pub const LOSSES: usize = 5;

/// An input: its name, its shape, and how its elements are drawn.
pub type Input = (&'static str, &'static [usize], Draw);

/// How weights are drawn otherwise than usually, by the end of their names; none for a model without weights.
pub type Weights = Option<&'static [(&'static str, Draw)]>;

/// A workload.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name.
    pub name: &'static str,
    /// The name of its weights' file, which workloads of one model share.
    pub model: &'static str,
    /// Its source, which names its data `data/…`.
    pub source: &'static str,
    /// What is run.
    pub kind: Kind,
    /// Its inputs; the target of a training, `y`, is the last one.
    pub inputs: &'static [Input],
    /// The weights that are drawn otherwise than by [`crate::draw::usual`], by the end of their names; the first entry that matches
    /// counts. None for a model without weights.
    pub weights: Weights,
    /// Whether the interpreter takes minutes for its reference.
    pub slow: bool,
}

impl Workload {
    /// The workload of a name.
    pub fn named(name: &str) -> Option<&'static Workload> {
        ALL.iter().find(|workload| workload.name == name)
    }

    /// The model, whose data lies in `folder`.
    ///
    /// # Errors
    /// If dlc refuses it.
    pub fn model(&self, folder: &str) -> Result<Model, Error> {
        let folder = folder.replace('\\', "/");
        Model::parse(&self.source.replace("(\"data/", &format!("(\"{}/", folder.replace('"', "\\\""))))
    }

    /// The largest deviation from the reference that is right: of an output, relative to the reference's largest element; of each loss,
    /// relative to that of the reference; of a text, in tokens.
    pub fn tolerance(&self) -> f64 {
        match self.kind {
            Kind::Infer | Kind::Train => 1e-3,
            Kind::Decode => 0.0,
        }
    }
}

const USUAL: Weights = Some(&[]);
const UNIT: Draw = Normal(1.0);
const IMAGE: Input = ("x", &[1, 3, 224, 224], UNIT);
const SERIES: Input = ("x", &[32, 100, 128], UNIT);
const RNN: Weights = Some(&[
    ("w_ih", Uniform(-0.0625, 0.0625)),
    ("w_hh", Uniform(-0.0625, 0.0625)),
    ("b_ih", Uniform(-0.0625, 0.0625)),
    ("b_hh", Uniform(-0.0625, 0.0625)),
]);
/// The norm that closes a residual branch is small, so that depth does not amplify.
const RESNET18: Weights = Some(&[(".bn2.weight", Uniform(0.2, 0.4))]);
const RESNET50: Weights = Some(&[(".bn3.weight", Uniform(0.2, 0.4))]);
/// Batch norm before any training.
const FRESH: Weights = Some(&[
    ("bn.weight", Constant(1.0)),
    ("bn1.weight", Constant(1.0)),
    ("bn2.weight", Constant(1.0)),
    ("bn.bias", Constant(0.0)),
    ("bn1.bias", Constant(0.0)),
    ("bn2.bias", Constant(0.0)),
    ("running_mean", Constant(0.0)),
    ("running_var", Constant(1.0)),
]);
const BERT: Weights = Some(&[
    ("tok", Normal(0.02)),
    ("pos", Normal(0.02)),
    ("typ", Normal(0.02)),
    (".q.weight", Normal(0.03)),
    (".k.weight", Normal(0.03)),
    (".v.weight", Normal(0.03)),
    (".o.weight", Normal(0.03)),
    (".f1.weight", Normal(0.03)),
    (".f2.weight", Normal(0.03)),
]);
/// Larger than initial weights are, so that the generated text varies.
const GPT2: Weights = Some(&[
    ("wte", Normal(0.02)),
    ("wpe", Normal(0.01)),
    (".qkv.weight", Normal(0.06)),
    (".f1.weight", Normal(0.06)),
    (".o.weight", Normal(0.04)),
    (".f2.weight", Normal(0.04)),
]);
/// As before any training: the two projections into the residual stream have 0.02 / √(2 · 6 layers).
const NANO: Weights = Some(&[
    ("wte", Normal(0.02)),
    ("wpe", Normal(0.01)),
    (".qkv.weight", Normal(0.02)),
    (".f1.weight", Normal(0.02)),
    (".o.weight", Normal(0.005_773_5)),
    (".f2.weight", Normal(0.005_773_5)),
    ("ln1.weight", Constant(1.0)),
    ("ln2.weight", Constant(1.0)),
    ("lnf.weight", Constant(1.0)),
    ("ln1.bias", Constant(0.0)),
    ("ln2.bias", Constant(0.0)),
    ("lnf.bias", Constant(0.0)),
]);

macro_rules! source {
    ($file:literal) => {
        include_str!(concat!("../models/", $file, ".dl"))
    };
}

const fn infer(
    name: &'static str,
    model: &'static str,
    source: &'static str,
    inputs: &'static [Input],
    weights: Weights,
) -> Workload {
    Workload { name, model, source, kind: Kind::Infer, inputs, weights, slow: false }
}

const fn train(
    name: &'static str,
    model: &'static str,
    source: &'static str,
    inputs: &'static [Input],
    weights: Weights,
) -> Workload {
    Workload { name, model, source, kind: Kind::Train, inputs, weights, slow: false }
}

const fn elementwise(name: &'static str, inputs: &'static [Input]) -> Workload {
    infer(name, name, source!("ew"), inputs, None)
}

const fn product(name: &'static str, inputs: &'static [Input]) -> Workload {
    infer(name, name, source!("gemm"), inputs, None)
}

/// A workload whose reference takes minutes.
const fn slow(workload: Workload) -> Workload {
    Workload { slow: true, ..workload }
}

macro_rules! same {
    ([$($name:literal),*], $shape:expr) => {
        &[$(($name, &$shape, UNIT)),*]
    };
}

/// Every workload, in the order in which they are run.
pub const ALL: &[Workload] = &[
    elementwise("ew_16k", same!(["x", "w", "b", "r"], [1 << 14])),
    elementwise("ew_1m", same!(["x", "w", "b", "r"], [1 << 20])),
    elementwise("ew_16m", same!(["x", "w", "b", "r"], [1 << 24])),
    infer("softmax_4096x768", "softmax_4096x768", source!("softmax"), same!(["x"], [4096, 768]), None),
    infer("layernorm_4096x768", "layernorm_4096x768", source!("layernorm"), same!(["x"], [4096, 768]), USUAL),
    product("gemm_512", same!(["a", "b"], [512, 512])),
    product("gemm_1024", same!(["a", "b"], [1024, 1024])),
    product("gemm_2048", same!(["a", "b"], [2048, 2048])),
    infer("gemm_bias_gelu", "gemm_bias_gelu", source!("gemm_bias_gelu"), same!(["x"], [128, 768]), USUAL),
    infer("gemv", "gemv", source!("gemv"), same!(["x"], [1, 768]), USUAL),
    infer("mlp_infer", "mlp", source!("mlp"), same!(["x"], [128, 784]), USUAL),
    train("mlp_train", "mlp", source!("mlp"), &[("x", &[128, 784], UNIT), ("y", &[128], Ints(10))], USUAL),
    infer("lenet_infer", "lenet", source!("lenet"), same!(["x"], [64, 1, 28, 28]), USUAL),
    train("lenet_train", "lenet", source!("lenet"), &[("x", &[64, 1, 28, 28], UNIT), ("y", &[64], Ints(10))], USUAL),
    infer("resnet18", "resnet18", source!("resnet18"), &[IMAGE], RESNET18),
    infer("resnet50", "resnet50", source!("resnet50"), &[IMAGE], RESNET50),
    infer("mobilenet_v2", "mobilenet_v2", source!("mobilenet_v2"), &[IMAGE], USUAL),
    infer("efficientnet_b0", "efficientnet_b0", source!("efficientnet_b0"), &[IMAGE], USUAL),
    slow(train(
        "resnet18_cifar_train",
        "resnet18_cifar",
        source!("resnet18_cifar"),
        &[("x", &[32, 3, 32, 32], UNIT), ("y", &[32], Ints(10))],
        FRESH,
    )),
    infer("lstm_infer", "lstm", source!("lstm"), &[SERIES], RNN),
    slow(train("lstm_train", "lstm", source!("lstm"), &[SERIES, ("y", &[32, 10], UNIT)], RNN)),
    infer("gru_infer", "gru", source!("gru"), &[SERIES], RNN),
    slow(train("gru_train", "gru", source!("gru"), &[SERIES, ("y", &[32, 10], UNIT)], RNN)),
    infer("bert_base", "bert_base", source!("bert_base"), &[("ids", &[1, 128], Ints(30522))], BERT),
    infer("gpt2_prefill", "gpt2", source!("gpt2"), &[("ids", &[1, 128], Ints(50257))], GPT2),
    Workload {
        kind: Kind::Decode,
        slow: true,
        ..infer("gpt2_decode", "gpt2", source!("gpt2_decode"), &[("ids", &[1, 32], Ints(50257))], GPT2)
    },
    slow(train(
        "nanogpt_train",
        "nanogpt",
        source!("nanogpt"),
        &[("ids", &[8, 256], Ints(65)), ("y", &[8, 256], Ints(65))],
        NANO,
    )),
];

#[cfg(test)]
mod tests {
    use dlc::{Compiler, Tensors, inspect};

    use super::*;
    use crate::data::Folder;
    use crate::draw::Stream;
    use crate::generate::complete;

    #[test]
    fn every_workload_is_there_once() {
        let names: Vec<&str> = ALL.iter().map(|workload| workload.name).collect();
        let expected = "ew_16k ew_1m ew_16m softmax_4096x768 layernorm_4096x768 gemm_512 gemm_1024 gemm_2048 \
            gemm_bias_gelu gemv mlp_infer mlp_train lenet_infer lenet_train resnet18 resnet50 mobilenet_v2 efficientnet_b0 \
            resnet18_cifar_train lstm_infer lstm_train gru_infer gru_train bert_base gpt2_prefill gpt2_decode nanogpt_train";
        assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
        assert!(ALL.iter().all(|workload| Workload::named(workload.name).is_some_and(|w| w.name == workload.name)));
    }

    #[test]
    fn every_model_is_lowered_for_its_inputs() {
        for workload in ALL {
            let mut model = workload.model("nowhere").expect(workload.name);
            let mut stream = Stream::named("any");
            // a training reads its data, which is not there; its forward part is lowered without
            let of_model = workload.inputs.iter().filter(|(name, ..)| workload.kind != Kind::Train || *name != "y");
            let mut inputs: Tensors = of_model.map(|(n, shape, draw)| (*n, stream.tensor(*draw, shape))).collect();
            if workload.kind == Kind::Decode {
                let next = model.clone().named("next");
                next.graph([]).expect(workload.name);
                model = model.named("prefill");
                inputs = [("ids", stream.tensor(Ints(9), &[32]))].into_iter().collect();
            }
            let sizes = inspect::sizes_by_inputs(&model, &inputs, &[]).expect(workload.name);
            let graph = model.graph(sizes.iter().map(|(name, size)| (name.as_str(), *size)));
            graph.unwrap_or_else(|e| panic!("{}: {e}", workload.name));
        }
    }

    #[test]
    fn a_training_is_checked_with_data_of_ours() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(folder.path());
        let workload = Workload { slow: true, ..*Workload::named("mlp_train").expect("there is one") };
        assert!(complete(&workload, &folder, false).expect("it can be written"));
        assert!(!complete(&workload, &folder, false).expect("it is there"));
        let model = workload.model(&folder.text()).expect("it is right");
        inspect::check_training(&Compiler::new(), &model, &[]).expect("it trains");
    }
}
