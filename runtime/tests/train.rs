//! Training: progress, stopping, killing and resuming, with a hand-written step.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dlc_compiler::machine::Target;
use dlc_compiler::options::Options;
use dlc_compiler::pipeline::compile;
use dlc_ir::bounds::{self, Constants};
use dlc_ir::{Graph, Tensor};
use dlc_runtime::examples::Examples;
use dlc_runtime::train::{
    Better, DataPart, Evaluator, Event, Monitor, Run, Subset, Summary, TrainError, TrainOptions, Trainer,
};
use dlc_runtime::{Amount, Pool, Session, Split, Tensors};

#[path = "train/resume.rs"]
mod resume;
#[path = "train/scores.rs"]
mod scores;

/// The folder of the process of [`trains_in_a_child_process`].
const FOLDER: &str = "DLC_TEST_TRAIN_FOLDER";

/// Linear regression with momentum on batches of 4: the step.
const STEP: &str = r#"
func @step(%x: f32[4,3] input, %y: f32[4] input, %w: f32[3] param "w", %m: f32[3] state "w/m", %n: i64[] state "step", %key: i64[] key)
    -> ("loss": f32[], "error": f32[], f32[3] update %w, f32[3] update %m, i64[] update %n) {
  %p = dot %x, %w {lhs_batch=[], rhs_batch=[], lhs=[1], rhs=[0]} : f32[4]
  %d = sub %p, %y : f32[4]
  %s = mul %d, %d : f32[4]
  %quarter = constant 0.25 : f32[]
  %sum = reduce %s {kind=sum, axes=[0]} : f32[]
  %loss = mul %sum, %quarter : f32[]
  %a = abs %d : f32[4]
  %error = reduce %a {kind=max, axes=[0]} : f32[]
  %g = dot %d, %x {lhs_batch=[], rhs_batch=[], lhs=[0], rhs=[0]} : f32[3]
  %nine = constant [0.9, 0.9, 0.9] : f32[3]
  %decayed = mul %m, %nine : f32[3]
  %m1 = add %decayed, %g : f32[3]
  %rate = constant [0.01, 0.01, 0.01] : f32[3]
  %change = mul %m1, %rate : f32[3]
  %w1 = sub %w, %change : f32[3]
  %one = constant 1 : i64[]
  %n1 = add %n, %one : i64[]
  return %loss, %error, %w1, %m1, %n1
}
"#;

const INIT: &str = r#"
func @init(%key: i64[] key) -> ("w": f32[3], "w/m": f32[3], "step": i64[]) {
  %zero = constant [0.0, 0.0, 0.0] : f32[3]
  %step = constant 0 : i64[]
  return %zero, %zero, %step
}
"#;

fn eval_program(batch: usize) -> String {
    format!(
        r#"
func @eval(%x: f32[B,3] input, %y: f32[B] input, %w: f32[3] param "w") -> ("loss": f32[], "rmse": f32[], "largest": f32[], "smallest": f32[]) {{
  %p = dot %x, %w {{lhs_batch=[], rhs_batch=[], lhs=[1], rhs=[0]}} : f32[B]
  %d = sub %p, %y : f32[B]
  %s = mul %d, %d : f32[B]
  %part = constant {:?} : f32[]
  %sum = reduce %s {{kind=sum, axes=[0]}} : f32[]
  %loss = mul %sum, %part : f32[]
  %rmse = sqrt %loss : f32[]
  %largest = reduce %d {{kind=max, axes=[0]}} : f32[]
  %smallest = reduce %d {{kind=min, axes=[0]}} : f32[]
  return %loss, %rmse, %largest, %smallest
}}
"#,
        1.0 / batch as f32
    )
    .replace('B', &batch.to_string())
}

/// Numbers the values of a text in which they are named for readability.
fn numbered(text: &str) -> String {
    let names = text.lines().filter_map(|line| line.trim().strip_prefix('%')?.split_once(" = ")).map(|(name, _)| name);
    names.enumerate().fold(text.to_owned(), |text, (i, name)| {
        [" ", ",", "\n"].iter().fold(text, |t, end| t.replace(&format!("%{name}{end}"), &format!("%{i}{end}")))
    })
}

fn session(text: &str) -> Session {
    let graph: Graph = numbered(text).parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    graph.verify().unwrap();
    let program = compile(graph, &Options::new(Target::host().expect("a machine that dlc has code for"))).unwrap();
    Session::new(Arc::new(program), Arc::new(Pool::new(2)))
}

fn trainer() -> Trainer {
    let mut trainer = Trainer::new(session(STEP), None, ["w/m", "step"]).unwrap();
    trainer.initialize(&mut session(INIT), 1).unwrap();
    trainer
}

/// y = 2 a - b + 0.5 c and a small nonlinear term.
fn examples() -> Arc<Examples> {
    let x: Vec<f32> = (0..3 * 43).map(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0).collect();
    let y = x.as_chunks::<3>().0.iter().enumerate().map(|(i, [a, b, c])| 2.0 * a - b + 0.5 * c + 0.01 * (i % 3) as f32);
    let y: Vec<f32> = y.collect();
    let fields: Tensors =
        [("x", Tensor::new([43, 3], x).unwrap()), ("y", Tensor::new([43], y).unwrap())].into_iter().collect();
    Arc::new(Examples::new(fields).unwrap())
}

fn options(folder: Option<&Path>) -> TrainOptions {
    TrainOptions {
        folder: folder.map(Into::into),
        resume: true,
        checkpoint_steps: Some(3),
        fingerprint: "linear".into(),
        ..TrainOptions::new(4, 20)
    }
}

fn train(
    trainer: &mut Trainer,
    options: TrainOptions,
    observe: &mut dyn FnMut(&Event<'_>),
) -> Result<Summary, TrainError> {
    let (train, validation) = Split::Last(Amount::Fraction(0.2)).of(43);
    let mut evaluator = Evaluator::new([8, 1].map(|b| session(&eval_program(b))), None).unwrap();
    Run {
        trainer,
        data: Subset { examples: examples(), positions: Some(train) },
        constants: Tensors::new(),
        validation: Some((&mut evaluator, Subset { examples: examples(), positions: Some(validation) })),
        options,
        stop: Arc::new(AtomicBool::new(false)),
    }
    .run(observe)
}

/// Everything that must be equal: weights, states, and the history without its times.
fn outcome(trainer: &Trainer, folder: &Path) -> (Tensors, Tensors, Vec<String>, Vec<u8>) {
    let history = fs::read_to_string(folder.join("history.csv")).unwrap();
    let lines = history.lines().map(|l| l.rsplitn(3, ',').last().unwrap().to_owned()).collect();
    let best = fs::read(folder.join("best.safetensors")).unwrap();
    (trainer.session().params(), trainer.session().states(), lines, best)
}

fn undisturbed() -> (Tensors, Tensors, Vec<String>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = trainer();
    train(&mut trainer, options(Some(folder.path())), &mut |_| {}).unwrap();
    outcome(&trainer, folder.path())
}

#[test]
fn learns_and_reports_its_progress() {
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = trainer();
    let (mut reports, mut steps) = (Vec::new(), 0);
    let summary = train(&mut trainer, options(Some(folder.path())), &mut |event| match event {
        Event::Epoch(report) => reports.push((*report).clone()),
        Event::Step { .. } => steps += 1,
        _ => {}
    })
    .unwrap();
    assert_eq!((summary.epoch, summary.step, summary.interrupted), (20, 160, false));
    assert_eq!((reports.len(), steps), (20, 160));
    let (first, last) = (&reports[0], &reports[19]);
    assert!(last.train.loss < first.train.loss / 100.0, "{first:?} {last:?}");
    assert!(last.train.metrics["error"] < 0.1);
    assert!(last.validation.as_ref().unwrap().loss < 0.001);
    let w = trainer.weights()["w"].to_f64s();
    assert!(w.iter().zip([2.0, -1.0, 0.5]).all(|(w, expected)| (w - expected).abs() < 0.02), "{w:?}");
    assert_eq!(trainer.weights().names().collect::<Vec<_>>(), ["w"]);
    assert_eq!(trainer.session().state("step"), Some(Tensor::scalar(160i64)));
    // metrics may have any name, so that ours have to differ
    let history = fs::read_to_string(folder.path().join("history.csv")).unwrap();
    let columns = "epoch,step,train.loss,train.error,\
        validation.loss,validation.rmse,validation.largest,validation.smallest,examples_per_second,seconds";
    assert_eq!(history.lines().next(), Some(columns));
    let best = Tensors::load(folder.path().join("best.safetensors")).unwrap();
    assert_eq!(best.names().collect::<Vec<_>>(), ["w"]);
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            ".lock",
            "best.safetensors",
            "history.csv",
            "history.jsonl",
            "step-0000000159.safetensors",
            "step-0000000160.safetensors"
        ]
    );
    // 34 examples in batches of 4, and no program for the remainder of 2
    assert_eq!(summary.examples, 20 * 32);
    let times = summary.times;
    assert!(times.steps > 0.0 && times.validation > 0.0 && times.writing > 0.0, "{times:?}");
}

#[test]
fn validation_counts_every_example_once() {
    let (_, validation) = Split::Last(Amount::Fraction(0.2)).of(43);
    let w = Tensor::new([3], vec![1.0f32, 1.0, 1.0]).unwrap();
    let run = |sizes: &[usize]| {
        let mut evaluator = Evaluator::new(sizes.iter().map(|&b| session(&eval_program(b))), None).unwrap();
        evaluator.sessions().for_each(|s| s.set_param("w", &w).unwrap());
        evaluator.run(&Subset { examples: examples(), positions: Some(validation.clone()) })
    };
    assert_eq!(validation.len(), 9);
    let (by_8, by_9, by_1) = (run(&[1, 8]).unwrap().loss, run(&[9]).unwrap().loss, run(&[1]).unwrap().loss);
    // One batch of all is within its bound of the mean. Smaller batches round less often, and their means are combined in f64.
    let graph: Graph = numbered(&eval_program(9)).parse().unwrap();
    let batch = examples().gather(&validation, false, 0).unwrap();
    let args = [batch["x"].clone(), batch["y"].clone(), w.clone()];
    // one ninth is not an f32, and so as inexact as a folded constant
    let radius = bounds::interpret(&graph, &args, Constants::Folded).unwrap()[0].radius[0] + 9.0 * f64::EPSILON * by_9;
    assert!(
        (by_8 - by_9).abs() <= 2.0 * radius && (by_1 - by_9).abs() <= 2.0 * radius,
        "{by_8} {by_9} {by_1} ± {radius}"
    );
    assert_eq!(run(&[4]).unwrap_err().to_string(), "no program for batches of 1: 9 examples need programs for [4, 1]");
    assert_eq!(Evaluator::sizes(1500, 64), [64, 28]);
    assert_eq!(Evaluator::sizes(1500, 100), [100]);
    assert_eq!(Evaluator::sizes(10, 64), [10]);
}

/// The monitored score falls with every epoch of this training, and so never improves if it should rise.
#[test]
fn patience_ends_a_training_that_does_not_improve_also_over_an_interruption() {
    let rising = Monitor { part: Some(DataPart::Train), score: "loss".into(), better: Better::Higher };
    let with = |monitor: &Monitor, patience, folder: Option<&Path>| TrainOptions {
        monitor: monitor.clone(),
        patience: Some(patience),
        ..options(folder)
    };
    let folder = tempfile::tempdir().unwrap();
    // the first epoch is the best, and three more end it; longer patience continues from there
    for (patience, epoch, epochs) in [(3, 4, 4), (3, 4, 0), (5, 6, 2)] {
        let (mut stops, mut done) = (vec![], 0);
        let summary = train(&mut trainer(), with(&rising, patience, Some(folder.path())), &mut |event| match event {
            Event::EarlyStop { epoch, patience, best, .. } => stops.push((*epoch, *patience, best.map(|b| b.epoch))),
            Event::Epoch(_) => done += 1,
            _ => {}
        })
        .unwrap();
        assert_eq!(stops, [(epoch, patience, Some(1))]);
        assert_eq!((summary.stopped_early, summary.interrupted, summary.epoch, done), (true, false, epoch, epochs));
    }
    // a score that improves, and patience for the whole length, train to the end
    let falling = Monitor { better: Better::Lower, ..rising.clone() };
    for (monitor, patience) in [(falling, 8), (rising.clone(), 19), (rising, 20)] {
        let summary = train(&mut trainer(), with(&monitor, patience, None), &mut |event| {
            assert!(!matches!(event, Event::EarlyStop { .. }), "{event:?}");
        })
        .unwrap();
        assert_eq!((summary.stopped_early, summary.epoch), (false, 20));
    }
}

/// The step for another batch size.
fn step_for(batch: usize) -> String {
    let text = STEP.replace("f32[4", &format!("f32[{batch}"));
    text.replace("constant 0.25", &format!("constant {:?}", 1.0 / batch as f32))
}

/// A trainer of batches of 4, and of the remainder of 2 of 34 examples.
fn whole_trainer() -> Trainer {
    let mut trainer = trainer();
    trainer.add(session(&step_for(2))).unwrap();
    trainer
}

#[test]
fn the_examples_that_fill_no_batch_are_a_last_smaller_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = whole_trainer();
    let (mut batches, mut left_out, mut metrics) = (vec![], None, vec![]);
    let one = TrainOptions { epochs: Some(1), shuffle: None, ..options(Some(folder.path())) };
    let summary = train(&mut trainer, one, &mut |event| match event {
        Event::Start { left_out: n, steps_per_epoch, .. } => left_out = Some((*n, *steps_per_epoch)),
        Event::Step { batch, batches: of, loss, .. } => batches.push((*batch, *of, *loss)),
        Event::Epoch(report) => metrics.push(report.train.loss),
        _ => {}
    })
    .unwrap();
    assert_eq!((left_out, summary.step, summary.examples), (Some((0, 9)), 9, 34));
    assert_eq!(
        batches.iter().map(|(i, n, _)| (*i, *n)).collect::<Vec<_>>(),
        (1..=9).map(|i| (i, 9)).collect::<Vec<_>>()
    );
    let counts = |i: usize| if i < 8 { 4.0 } else { 2.0 };
    let mean = batches.iter().enumerate().map(|(i, (.., loss))| counts(i) * loss).sum::<f64>() / 34.0;
    assert_eq!(metrics, [mean], "each example counts once");
    // by hand: the same batches in sequence
    let (mut by_hand, examples) = (whole_trainer(), examples());
    for start in (0..34).step_by(4) {
        let positions: Vec<usize> = (start..34.min(start + 4)).collect();
        let batch = examples.gather(&positions, false, 0).unwrap();
        by_hand.step(batch.iter()).unwrap();
    }
    assert_eq!(by_hand.snapshot(), trainer.snapshot());
}

#[test]
fn a_bad_batch_changes_nothing() {
    let mut trainer = whole_trainer();
    let batch = |n: usize| examples().gather(&(0..n).collect::<Vec<_>>(), false, 0).unwrap();
    trainer.step(batch(4).iter()).unwrap();
    let before = trainer.snapshot();
    let nan = Tensor::new([4], vec![0.0, 1.0, f32::NAN, 3.0]).unwrap();
    let good = batch(4);
    for (bad, code, expected) in [
        (vec![("x", &good["x"])], "missing-argument", "missing inputs: `y` f32[4]"),
        (vec![], "missing-argument", "missing inputs: `x` f32[4,3], `y` f32[4]"),
        (vec![("x", &good["x"]), ("y", &nan)], "not-finite", "input `y` of the batch has NaN at element 2"),
        (vec![("x", &good["x"]), ("y", &good["x"])], "shape-mismatch", "`y`: expected f32[4], found f32[4,3]"),
        (vec![("x", &good["x"]), ("y", &good["y"]), ("x", &good["x"])], "duplicate-name", "duplicate input `x`"),
    ] {
        let error = trainer.step(bad).unwrap_err();
        assert!(error.code() == code && error.to_string().contains(expected), "{expected}: {error}");
        assert_eq!(trainer.snapshot(), before);
    }
    let loss = |trainer: &mut Trainer, n: usize| trainer.step(batch(n).iter()).unwrap().loss;
    let then = [4, 2, 4].map(|n| loss(&mut trainer, n));
    trainer.restore(&before).unwrap();
    assert_eq!([4, 2, 4].map(|n| loss(&mut trainer, n)), then, "a snapshot has all that there is");
    let other = session(&STEP.replace("\"w/m\"", "\"w/v\"").replace("f32[4", "f32[1"));
    assert_eq!(trainer.add(other).unwrap_err().code(), "other-weights");
}

#[test]
fn the_best_weights_are_kept_also_over_an_interruption() {
    let judged = |monitor: Monitor, folder: &Path, epochs| TrainOptions {
        monitor,
        epochs: Some(epochs),
        ..options(Some(folder))
    };
    let monitor = |score: &str, better, part| Monitor { part, score: score.to_owned(), better };
    for monitor in [
        monitor("loss", Better::Lower, None),
        monitor("rmse", Better::Higher, Some(DataPart::Validation)),
        monitor("error", Better::Lower, Some(DataPart::Train)),
    ] {
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let expected = train(&mut trainer(), judged(monitor.clone(), whole.path(), 12), &mut |_| {}).unwrap();
        train(&mut trainer(), judged(monitor.clone(), parts.path(), 7), &mut |_| {}).unwrap();
        // the file is for users: training relies on the checkpoint only
        fs::remove_file(parts.path().join("best.safetensors")).unwrap();
        let found = train(&mut trainer(), judged(monitor.clone(), parts.path(), 12), &mut |_| {}).unwrap();
        assert_eq!((&found.best, &found.best_weights), (&expected.best, &expected.best_weights), "{monitor}");
        let file = || Tensors::load(parts.path().join("best.safetensors")).unwrap();
        assert_eq!(Some(file()), found.best_weights);
        // of an epoch that a kill has lost: nothing is left to do, and the file is restored
        let other: Tensors = [("w", Tensor::new([3], vec![7f32; 3]).unwrap())].into_iter().collect();
        other.save(parts.path().join("best.safetensors")).unwrap();
        train(&mut trainer(), judged(monitor.clone(), parts.path(), 12), &mut |_| {}).unwrap();
        assert_eq!(Some(file()), found.best_weights);
        if monitor.better == Better::Higher {
            assert_eq!(found.best.unwrap().epoch, 1, "it only falls");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let error = train(&mut trainer(), judged(monitor("rmes", Better::Lower, None), folder.path(), 1), &mut |_| {});
    assert!(error.unwrap_err().to_string().contains("unknown score `validation.rmes`; do you mean `rmse`?"));
}

#[test]
fn a_training_that_diverges_leaves_its_history_and_its_best_weights() {
    let folder = tempfile::tempdir().unwrap();
    let wild = STEP.replace("[0.01, 0.01, 0.01]", "[1.5, 1.5, 1.5]");
    let mut trainer = Trainer::new(session(&wild), None, ["w/m", "step"]).unwrap();
    trainer.initialize(&mut session(INIT), 1).unwrap();
    let seldom = TrainOptions { checkpoint_steps: None, epochs: Some(1000), ..options(Some(folder.path())) };
    let mut reports = vec![];
    let error = train(&mut trainer, seldom, &mut |event| {
        if let Event::Epoch(report) = event {
            reports.push((report.epoch, report.best));
        }
    });
    assert!(matches!(error, Err(TrainError::NotFinite { .. })), "{error:?}");
    let last = reports.last().expect("it diverges after some epochs").0;
    assert!(reports.contains(&(1, true)), "{reports:?}");
    let history = fs::read_to_string(folder.path().join("history.csv")).unwrap();
    assert_eq!(history.lines().count() as u64, 1 + last);
    assert!(
        Tensors::load(folder.path().join("best.safetensors")).unwrap()["w"].to_f64s().iter().all(|w| w.is_finite())
    );
}

#[test]
fn checkpoints_come_by_time_and_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let by_time = TrainOptions { checkpoint_steps: None, resume: false, ..options(Some(folder.path())) };
    let mut saved = vec![];
    train(&mut trainer(), by_time, &mut |event| {
        if let Event::Checkpoint { step, .. } = event {
            saved.push(*step);
        }
        if let Event::Step { step: 41, .. } = event {
            std::thread::sleep(Duration::from_millis(1100));
        }
    })
    .unwrap();
    assert_eq!(saved, [41, 160], "one that was due, and the last; 20 epochs take no second");
    let history = fs::read_to_string(folder.path().join("history.csv")).unwrap();
    assert_eq!(history.lines().count(), 21);
}
