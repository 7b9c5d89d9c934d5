//! Comparison with JAX: `tests/reference/` has the results of JAX for three networks; dlc trains the same ones from the same
//! weights on the same batches. Its README derives the tolerances from the rounding of JAX itself.

use std::path::{Path, PathBuf};

use dlc::{Compiler, DType, Model, Tensor, Tensors, Trainer};

const LOSS_F64: f64 = 1e-9;
const LOSS_F32: f64 = 1e-5;
/// Of a tensor's largest magnitude.
const TENSOR_F32: f64 = 1e-5;

struct Reference {
    model: PathBuf,
    numbers: Tensors,
    images: Tensor,
    labels: Tensor,
}

impl Reference {
    fn load(name: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = root.join("tests/reference");
        let idx = |file: &str| {
            dlc::runtime::data::idx::read(&root.join("examples/data").join(file)).expect("the data is there")
        };
        Reference {
            model: folder.join(format!("{name}.dl")),
            numbers: Tensors::load(folder.join(format!("{name}.safetensors"))).expect("the reference is there"),
            images: idx("mnist-train-images.gz"),
            labels: idx("mnist-train-labels.gz"),
        }
    }

    fn trainer(&self, float: DType) -> Trainer {
        let model = Model::open(&self.model).expect("the model is right").float(float).expect("a float");
        Compiler::new().trainer(&model, [("B", 32)]).expect("it compiles")
    }

    /// The fields of the batch of a step, as the dataset makes them.
    fn batch(&self, step: usize, float: DType) -> (Tensor, Tensor) {
        let positions: Vec<usize> =
            (0..32).map(|i| self.numbers["batches"].get(step * 32 + i).as_i64() as usize).collect();
        let bytes = self.images.as_slice::<u8>().expect("bytes");
        let pixel = |i: usize| f64::from(bytes[positions[i / 784] * 784 + i % 784]);
        let image = match float {
            // the division is done in the float type of the run
            DType::F32 => Tensor::new([32, 28, 28], (0..32 * 784).map(|i| pixel(i) as f32 / 255.0).collect()),
            _ => Tensor::new([32, 28, 28], (0..32 * 784).map(|i| pixel(i) / 255.0).collect()),
        };
        let all = self.labels.as_slice::<u8>().expect("bytes");
        let label = Tensor::new([32], positions.iter().map(|&p| all[p]).collect());
        (image.expect("as many as the shape"), label.expect("as many as the shape"))
    }

    /// The tensors under a prefix, without it.
    fn under(&self, prefix: &str) -> Tensors {
        let strip = |(n, t): (&str, &Tensor)| Some((n.strip_prefix(prefix)?.to_owned(), t.clone()));
        self.numbers.iter().filter_map(strip).collect()
    }

    /// Losses of the first steps from the initial weights.
    fn losses(&self, float: DType, steps: usize) -> Vec<f64> {
        let mut trainer = self.trainer(float);
        let init: Tensors = self.under("init/").into_iter().map(|(n, t)| (n, t.convert(float))).collect();
        trainer.set_weights(&init).expect("the names are dlc's");
        let mut step = |i| {
            let (image, label) = self.batch(i, float);
            trainer.step([("image", &image), ("label", &label)]).expect("it runs").loss
        };
        (0..steps).map(&mut step).collect()
    }
}

fn losses_agree(name: &str) {
    let reference = Reference::load(name);
    for (float, key, steps, tolerance) in
        [(DType::F64, "losses.f64", 100, LOSS_F64), (DType::F32, "losses.f32", 20, LOSS_F32)]
    {
        let expected = reference.numbers[key].to_f64s();
        let found = reference.losses(float, steps);
        for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = (found - expected).abs();
            assert!(
                error <= tolerance,
                "{name} {float} step {step}: loss {found}, JAX has {expected}: {error:e} apart"
            );
        }
    }
}

fn steps_agree(name: &str) {
    let reference = Reference::load(name);
    let mut trainer = reference.trainer(DType::F32);
    for step in [0, 25, 50, 75] {
        let at = |part: &str| reference.under(&format!("step{step:02}/{part}/"));
        let mut weights = at("param");
        weights = weights.into_iter().chain(at("state")).collect();
        trainer.set_weights(&weights).expect("the names are dlc's");
        for (weight, momentum) in at("momentum") {
            trainer.set_state(&format!("@{weight}/velocity"), &momentum).expect("sgd has this state");
        }
        let (image, label) = reference.batch(step, DType::F32);
        let batch = [("image", &image), ("label", &label)];
        let gradients = trainer.gradients(batch).expect("it runs");
        let loss = trainer.step(batch).expect("it runs").loss;
        let expected = reference.numbers[format!("step{step:02}/loss").as_str()].get(0).as_f64();
        assert!((loss - expected).abs() <= LOSS_F32, "{name} step {step}: loss {loss}, JAX has {expected}");
        let expected = at("grad");
        assert!(!expected.is_empty());
        for (weight, expected) in &expected.into_iter().collect::<Vec<_>>() {
            close(&format!("{name} step {step} gradient of {weight}"), &gradients[weight.as_str()], expected);
        }
        let updated = trainer.weights();
        let expected = at("updated");
        assert!(!expected.is_empty());
        for (weight, expected) in &expected.into_iter().collect::<Vec<_>>() {
            close(&format!("{name} step {step} updated {weight}"), &updated[weight.as_str()], expected);
        }
    }
}

fn close(what: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.ty(), expected.ty(), "{what}");
    let (found, expected) = (found.to_f64s(), expected.to_f64s());
    let largest = expected.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let error = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(error <= TENSOR_F32 * largest, "{what}: {error:e} apart, the largest is {largest:e}");
}

#[test]
fn perceptron_losses_are_those_of_jax() {
    losses_agree("perceptron");
}

#[test]
fn lenet_losses_are_those_of_jax() {
    losses_agree("lenet");
}

#[test]
fn lenet_with_batch_norm_losses_are_those_of_jax() {
    losses_agree("lenet_bn");
}

#[test]
fn perceptron_steps_are_those_of_jax() {
    steps_agree("perceptron");
}

#[test]
fn lenet_steps_are_those_of_jax() {
    steps_agree("lenet");
}

#[test]
fn lenet_with_batch_norm_steps_are_those_of_jax() {
    steps_agree("lenet_bn");
}
