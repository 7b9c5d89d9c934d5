//! dlc beside what is written by hand, on the same operands, alternating.

use dlc::Compiler;
use dlc::bench::timing::{Limits, measure, quantile};

use super::hand::{Form, Hand};
use super::set::Set;
use super::{Comparison, ROUNDS};
use crate::Outcome;
use crate::check::deviation;
use crate::host;
use crate::settings::Settings;
use crate::subject;
use crate::workload::Workload;

/// What is written by hand of a workload.
fn form(workload: &Workload) -> Option<Form> {
    match workload.name {
        "ew_16k" | "ew_1m" | "ew_16m" => Some(Form::Elementwise),
        "layernorm_4096x768" => Some(Form::LayerNorm),
        _ => None,
    }
}

/// Whether a workload is written by hand.
pub fn is_written(workload: &Workload) -> bool {
    form(workload).is_some()
}

/// Times both; an error if one of them is wrong.
pub fn run(workload: &Workload, settings: &Settings) -> Outcome<Comparison> {
    let form = form(workload).ok_or_else(|| format!("{} is not written by hand", workload.name))?;
    let set = Set::all().into_iter().next().ok_or("this machine has neither AVX-512 nor AVX2 with FMA")?;
    let &Settings { ref folder, threads, ref target, seconds, .. } = settings;
    let (inputs, reference) = folder.io(workload)?;
    let reference = reference.ok_or("there is no reference")?;
    let weights = folder.weights(workload)?;
    let mut hand = Hand::new(form, &inputs, &weights, host::last_level_cache())?;
    let compiler = Compiler::new().threads(threads).target(target);
    let mut dlc = subject::build(workload, &compiler, workload.model(&folder.text())?, weights, inputs)?;
    dlc.call()?;
    hand.with(set, threads, |call| call())?;
    for (who, result) in [("dlc", dlc.result()?), ("what is written by hand", hand.result()?)] {
        let deviation = deviation(workload.kind, &result, &reference);
        if deviation > workload.tolerance() {
            return Err(format!("{}: {who} is wrong by {deviation:.1e}", workload.name).into());
        }
    }
    let limits = Limits { seconds: seconds / (2 * ROUNDS) as f64, samples: 5, calls: usize::MAX };
    let (mut of_dlc, mut by_hand) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        of_dlc.push(quantile(&measure(limits, || dlc.call().map(|()| None))?.ms, 0.5));
        // the threads that wait in a loop end with the round, and leave the cores to dlc
        let samples = hand.with(set, threads, |call| {
            measure::<std::convert::Infallible>(limits, || {
                call();
                Ok(None)
            })
        })?;
        let Ok(samples) = samples;
        by_hand.push(quantile(&samples.ms, 0.5));
    }
    let (dlc_ms, hand_ms) = (quantile(&of_dlc, 0.0), quantile(&by_hand, 0.0));
    let (workload, instructions, target) = (workload.name, set.name(), target.clone());
    Ok(Comparison { workload, threads, target, instructions, dlc_ms, hand_ms, ratio: hand_ms / dlc_ms })
}

#[cfg(test)]
mod tests {
    use dlc::Tensor;

    use super::*;
    use crate::data::{Folder, REFERENCE};
    use crate::draw::Draw::Normal;
    use crate::generate::complete;
    use crate::workload::Input;

    const ELEMENTS: &[Input] = &[
        ("x", &[160], Normal(1.0)),
        ("w", &[160], Normal(1.0)),
        ("b", &[160], Normal(1.0)),
        ("r", &[160], Normal(1.0)),
    ];
    const ROWS_OF_LINES: &[Input] = &[("x", &[7, 48], Normal(1.0))];

    /// A workload with other inputs, whose parts on three threads are of unequal lengths.
    fn on_three_threads(name: &str, inputs: &'static [Input], change: impl Fn(f32) -> f32) -> Outcome<Comparison> {
        let guard = tempfile::tempdir()?;
        let folder = Folder::new(guard.path());
        let workload = Workload { inputs, ..*Workload::named(name).ok_or("there is one")? };
        complete(&workload, &folder, false)?;
        let (mut tensors, reference) = folder.io(&workload)?;
        let reference = reference.ok_or("it was made")?;
        let changed = reference.to_f64s().into_iter().map(|x| change(x as f32)).collect();
        tensors.insert(REFERENCE, Tensor::new(reference.shape().clone(), changed)?);
        tensors.save(folder.io_file(&workload))?;
        run(&workload, &Settings { folder, threads: 3, target: "native".to_owned(), seconds: 0.0, timeout: 600.0 })
    }

    #[test]
    fn what_is_written_by_hand_is_right_and_what_is_not_is_not_timed() {
        if Set::all().is_empty() {
            return;
        }
        for (name, inputs) in [("ew_16k", ELEMENTS), ("layernorm_4096x768", ROWS_OF_LINES)] {
            let right = on_three_threads(name, inputs, |x| x).expect("it is right");
            assert!(right.dlc_ms > 0.0 && right.hand_ms > 0.0 && right.ratio > 0.0, "{right:?}");
            let wrong = on_three_threads(name, inputs, |x| x * 1.002).expect_err("the reference is off");
            assert!(wrong.to_string().contains("wrong by"), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_written_or_fills_no_lines_is_refused() {
        if Set::all().is_empty() {
            return;
        }
        let error = on_three_threads("gemv", &[("x", &[1, 768], Normal(1.0))], |x| x).expect_err("it is not written");
        assert!(error.to_string().contains("not written by hand"), "{error}");
        let error =
            on_three_threads("layernorm_4096x768", &[("x", &[4, 20], Normal(1.0))], |x| x).expect_err("no lines");
        assert!(error.to_string().contains("whole cache lines"), "{error}");
    }
}
