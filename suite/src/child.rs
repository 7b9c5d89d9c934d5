//! The run of one workload in this process: it is alone there, so that its memory and its first call are its own.

use std::time::Instant;

use dlc::bench::timing::{Limits, measure, quantile};
use dlc::{Compiler, Tensor};

use crate::Outcome;
use crate::check::deviation;
use crate::host;
use crate::row::{Deviation, Row};
use crate::settings::Settings;
use crate::subject::{self, Subject};
use crate::workload::{Kind, LOSSES, Workload};

/// Calls before timing.
const WARM_UP: usize = 3;
/// Steps of a training at most, so that no value becomes denormal.
const STEPS: usize = 300;

/// Runs a workload, compares its results, and times it if they are right.
pub fn run(workload: &Workload, settings: &Settings) -> Row {
    match figures(workload, settings) {
        Ok(row) => row,
        Err(error) => Row::failed(workload.name, settings, error.to_string()),
    }
}

fn figures(workload: &Workload, settings: &Settings) -> Outcome<Row> {
    let &Settings { ref folder, threads, seconds, .. } = settings;
    // with as many threads as cores there is nothing to choose
    if threads < host::cores() {
        host::pin(threads);
    }
    let mut row = Row::new(workload.name, settings);
    let (inputs, reference) = folder.io(workload)?;
    let start = Instant::now();
    let (weights, model) = (folder.weights(workload)?, workload.model(&folder.text())?);
    row.load_s = Some(start.elapsed().as_secs_f64());
    let start = Instant::now();
    let compiler = Compiler::new().threads(threads).target(&settings.target);
    let mut subject = subject::build(workload, &compiler, model, weights, inputs)?;
    subject.first()?;
    row.first_s = Some(start.elapsed().as_secs_f64());
    row.ttfr_s = row.load_s.zip(row.first_s).map(|(load, first)| load + first);
    let results = results(workload.kind, &mut *subject)?;
    row.rss_load_mb = host::peak_memory();
    row.rss_peak_mb = row.rss_load_mb;
    let Some(reference) = reference else {
        let why = format!("unchecked: no reference; `dlc-suite gen --slow {}` makes it", workload.name);
        row.err = Some(Deviation::Reason(why));
        return Ok(row);
    };
    let worst = results.iter().map(|result| deviation(workload.kind, result, &reference)).fold(0.0, f64::max);
    (row.ok, row.err) = (Some(worst <= workload.tolerance()), Some(worst.into()));
    drop((results, reference));
    if row.ok == Some(true) {
        time(workload.kind, &mut *subject, seconds, &mut row)?;
    }
    Ok(row)
}

/// What is compared, after the first call: of an inference both outputs, since the second may come from another path; the losses of a
/// training; a whole text.
fn results(kind: Kind, subject: &mut dyn Subject) -> Outcome<Vec<Tensor>> {
    let mut results = if kind == Kind::Decode { vec![] } else { vec![subject.result()?] };
    let further = match kind {
        Kind::Infer | Kind::Decode => 1,
        Kind::Train => LOSSES - 1,
    };
    for _ in 0..further {
        subject.call()?;
        results.push(subject.result()?);
    }
    if kind == Kind::Train {
        let losses = results.iter().map(|loss| loss.get(0).as_f64()).collect();
        return Ok(vec![Tensor::new([LOSSES], losses)?]);
    }
    Ok(results)
}

fn time(kind: Kind, subject: &mut dyn Subject, seconds: f64, row: &mut Row) -> Outcome<()> {
    host::reset_peak_memory();
    let (warm_up, samples) = if kind == Kind::Decode { (1, 3) } else { (WARM_UP, 10) };
    for _ in 0..warm_up {
        subject.call()?;
    }
    let calls = if kind == Kind::Train { STEPS - LOSSES - warm_up } else { 10_000_000 };
    let mut prefill = vec![];
    let (start, before) = (Instant::now(), host::usage());
    let samples = measure(Limits { seconds, samples, calls }, || -> Outcome<Option<f64>> {
        subject.call()?;
        Ok(subject.parts().map(|(token, prompt)| {
            prefill.push(prompt);
            token
        }))
    })?;
    let (elapsed, after) = (start.elapsed().as_secs_f64(), host::usage());
    if let Some((before, after)) = before.zip(after) {
        row.cpu_util = Some((after.seconds - before.seconds) / elapsed);
        row.nivcsw = Some(after.preempted - before.preempted);
    }
    row.rss_steady_mb = host::peak_memory();
    row.rss_peak_mb = row.rss_load_mb.zip(row.rss_steady_mb).map(|(load, steady)| load.max(steady));
    (row.n, row.calls_per_sample) = (samples.ms.len(), samples.calls);
    row.median_ms = Some(quantile(&samples.ms, 0.5));
    row.p90_ms = Some(quantile(&samples.ms, 0.9));
    let least = quantile(&samples.ms, 0.0);
    row.min_ms = Some(least);
    row.prefill_ms = Some(quantile(&prefill, 0.5)).filter(|ms| ms.is_finite());
    row.gflops_best = subject.flops().map(|flops| flops as f64 / least / 1e6);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Folder;
    use crate::generate::complete;

    fn settings(folder: &Folder) -> Settings {
        let (folder, target) = (folder.clone(), "native".to_owned());
        Settings { folder, threads: host::cores(), target, seconds: 0.0, timeout: 600.0 }
    }

    fn folder_of(workload: &Workload) -> (tempfile::TempDir, Folder) {
        let guard = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(guard.path());
        complete(workload, &folder, false).expect("it can be made");
        (guard, folder)
    }

    #[test]
    fn a_right_result_is_timed_and_a_wrong_one_is_not() {
        let workload = Workload::named("gemv").expect("there is one");
        let (_guard, folder) = folder_of(workload);
        let row = run(workload, &settings(&folder));
        assert_eq!(row.ok, Some(true), "{row}");
        assert!(
            row.median_ms.is_some() && row.min_ms <= row.median_ms && row.n >= 3 && row.load_s.is_some(),
            "{row:?}"
        );
        // a reference that is a little off
        let (mut inputs, reference) = folder.io(workload).expect("it is there");
        let off = reference.expect("there is one").to_f64s().iter().map(|x| *x as f32 * 1.002).collect();
        inputs.insert("ref", Tensor::new([1, 3072], off).expect("as many"));
        inputs.save(folder.io_file(workload)).expect("written");
        let row = run(workload, &settings(&folder));
        assert!(row.ok == Some(false) && row.median_ms.is_none(), "{row:?}");
        assert!(matches!(row.err, Some(Deviation::Number(err)) if err > 1e-3), "{row:?}");
    }

    #[test]
    fn without_a_reference_nothing_is_timed() {
        let workload = Workload { slow: true, ..*Workload::named("ew_16k").expect("there is one") };
        let (_guard, folder) = folder_of(&workload);
        let row = run(&workload, &settings(&folder));
        assert!(row.ok.is_none() && row.median_ms.is_none() && row.first_s.is_some(), "{row:?}");
        assert!(row.to_string().contains("unchecked"), "{row}");
    }

    #[test]
    fn what_cannot_run_is_a_row_too() {
        let workload = Workload::named("gemv").expect("there is one");
        let row = run(workload, &settings(&Folder::new("nowhere")));
        assert!(row.ok == Some(false) && matches!(row.err, Some(Deviation::Reason(_))), "{row:?}");
    }
}
