//! Loss and metrics of many batches.

use std::sync::Arc;

use dlc_ir::Tensor;
use dlc_runtime::train::{
    Accumulated, Better, Combine, DataPart, Evaluator, Event, Finish, Finished, Measures, Monitor, Subset, TrainError,
    TrainOptions, Trainer,
};

use super::{INIT, eval_program, examples, options, outcome, session, step_for, train};

/// Computes the parts from which [`OfParts`] makes the outputs of [`eval_program`].
fn parts_program(batch: usize) -> String {
    r#"
func @parts(%x: f32[B,3] input, %y: f32[B] input, %w: f32[3] param "w") -> ("squares": f32[], "largest": f32[], "smallest": f32[], "rows": f32[B], "weights": f32[3]) {
  %p = dot %x, %w {lhs_batch=[], rhs_batch=[], lhs=[1], rhs=[0]} : f32[B]
  %d = sub %p, %y : f32[B]
  %s = mul %d, %d : f32[B]
  %sum = reduce %s {kind=sum, axes=[0]} : f32[]
  %largest = reduce %d {kind=max, axes=[0]} : f32[]
  %smallest = reduce %d {kind=min, axes=[0]} : f32[]
  %same = neg %w : f32[3]
  return %sum, %largest, %smallest, %d, %same
}
"#
    .replace('B', &batch.to_string())
}

/// Computes them from parts, for all examples or for one size only.
#[derive(Debug)]
struct OfParts {
    only: Option<usize>,
}

impl Finish for OfParts {
    fn program(&self, examples: usize) -> Result<Finished, TrainError> {
        let examples = self.only.unwrap_or(examples);
        let rows = if self.only.is_none() { "%rows: f32[B] input, " } else { "" };
        let first = if self.only.is_none() {
            "slice %rows {start=[0], limit=[1], stride=[1]}"
        } else {
            "broadcast %largest {axes=[]}"
        };
        let text = format!(
            r#"
func @finish(%squares: f32[] input, %largest: f32[] input, %smallest: f32[] input, {rows}%weights: f32[3] input) -> ("loss": f32[], "rmse": f32[], "largest": f32[], "smallest": f32[], "first": f32[1], "weights": f32[3]) {{
  %part = constant {:?} : f32[]
  %loss = mul %squares, %part : f32[]
  %rmse = sqrt %loss : f32[]
  %a = neg %largest : f32[]
  %most = neg %a : f32[]
  %b = neg %smallest : f32[]
  %least = neg %b : f32[]
  %first = {first} : f32[1]
  %back = neg %weights : f32[3]
  return %loss, %rmse, %most, %least, %first, %back
}}
"#,
            1.0 / examples as f32
        );
        Ok(Finished { session: session(&text.replace('B', &examples.to_string())), examples })
    }
}

/// A step that also returns the parts from which loss and error of many batches are computed.
fn step_of_parts(batch: usize) -> String {
    let parts = format!(r#""error": f32[], "squares": f32[], "rows": f32[{batch}], "#);
    let text = step_for(batch).replace(r#""error": f32[], "#, &parts);
    text.replace("return %loss, %error, ", "return %loss, %error, %sum, %a, ")
}

/// Computes them from the parts of a step.
#[derive(Debug)]
struct OfStep;

impl Finish for OfStep {
    fn program(&self, examples: usize) -> Result<Finished, TrainError> {
        let text = format!(
            r#"
func @finish(%squares: f32[] input, %rows: f32[{examples}] input) -> ("loss": f32[], "error": f32[]) {{
  %part = constant {:?} : f32[]
  %loss = mul %squares, %part : f32[]
  %error = reduce %rows {{kind=max, axes=[0]}} : f32[]
  return %loss, %error
}}
"#,
            1.0 / examples as f32
        );
        Ok(Finished { session: session(&text), examples })
    }
}

/// A trainer of batches of 4, and of the remainder of 2 of 34 examples, whose scores of an epoch are exact.
fn trainer_of_parts() -> Trainer {
    let parts = [("squares", Combine::Sum), ("rows", Combine::Rows { axis: 0, per: 1 })];
    let part = |(name, combine): (&str, Combine)| Accumulated { name: name.to_owned(), combine };
    let measures = Measures {
        parts: parts.into_iter().map(part).collect(),
        scores: ["loss", "error"].map(str::to_owned).to_vec(),
        finish: Arc::new(OfStep),
    };
    let mut trainer = Trainer::new(session(&step_of_parts(4)), Some(&measures), ["w/m", "step"]).unwrap();
    trainer.initialize(&mut session(INIT), 1).unwrap();
    let error = trainer.add(session(&step_for(2))).unwrap_err().to_string();
    assert!(error.ends_with("outputs differ"), "{error}");
    trainer.add(session(&step_of_parts(2))).unwrap();
    trainer
}

#[test]
fn scores_of_an_epoch_of_unequal_batches_are_exact_also_over_an_interruption() {
    let (mut trainer, mut by_hand, examples) = (trainer_of_parts(), trainer_of_parts(), examples());
    let mut found = None;
    let one = TrainOptions { epochs: Some(1), shuffle: None, ..options(None) };
    train(&mut trainer, one, &mut |event| {
        if let Event::Epoch(report) = event {
            found = Some(report.train.clone());
        }
    })
    .unwrap();
    let (mut loss, mut error) = (0.0, 0.0_f64);
    for start in (0..34).step_by(4) {
        let positions: Vec<usize> = (start..34.min(start + 4)).collect();
        let scores = by_hand.step(examples.gather(&positions, false, 0).unwrap().iter()).unwrap();
        assert!(scores.metrics.keys().eq(["error"]) && scores.tables.is_empty(), "parts are no scores: {scores:?}");
        loss += scores.loss * positions.len() as f64;
        error = error.max(scores.metrics["error"]);
    }
    let found = found.expect("an epoch");
    assert_eq!(found.metrics["error"], error);
    assert!((found.loss * 34.0 - loss).abs() <= 43.0 * f64::from(f32::EPSILON) * loss, "{found:?}");

    let (whole, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let judged = |folder: &std::path::Path| TrainOptions {
        monitor: Monitor { part: Some(DataPart::Train), score: "error".to_owned(), better: Better::Lower },
        ..options(Some(folder))
    };
    let mut undisturbed = trainer_of_parts();
    train(&mut undisturbed, judged(whole.path()), &mut |_| {}).unwrap();
    // an epoch has 9 steps
    for steps in [3, 8, 9, 13, 18, 27, 100] {
        let short = TrainOptions { epochs: None, steps: Some(steps), ..judged(folder.path()) };
        train(&mut trainer_of_parts(), short, &mut |_| {}).unwrap();
    }
    let mut resumed = trainer_of_parts();
    train(&mut resumed, judged(folder.path()), &mut |_| {}).unwrap();
    assert!(outcome(&resumed, folder.path()) == outcome(&undisturbed, whole.path()));
}

#[test]
fn metrics_of_many_batches_are_those_of_all_examples() {
    let subset = Subset::all(examples());
    let weights = Tensor::new([3], vec![0.5_f32, -1.0, 2.0]).unwrap();
    let measures = |only: Option<usize>| {
        let rows = Combine::Rows { axis: 0, per: 1 };
        let mut parts = vec![
            ("squares", Combine::Sum),
            ("largest", Combine::Max),
            ("smallest", Combine::Min),
            ("rows", rows),
            ("weights", Combine::Mean),
        ];
        parts.retain(|(name, _)| only.is_none() || *name != "rows");
        let part = |(name, combine): (&str, Combine)| Accumulated { name: name.to_owned(), combine };
        let scores = ["loss", "rmse", "largest", "smallest"].map(str::to_owned).to_vec();
        Measures { parts: parts.into_iter().map(part).collect(), scores, finish: Arc::new(OfParts { only }) }
    };
    let evaluate = |sizes: &[usize], program: fn(usize) -> String, measures: Option<Measures>| {
        let sessions = sizes.iter().map(|&batch| session(&program(batch)));
        let mut evaluator = Evaluator::new(sessions, measures.as_ref()).unwrap();
        for session in evaluator.sessions() {
            session.set_param("w", &weights).unwrap();
        }
        evaluator.run(&subset)
    };
    let whole = evaluate(&[43], eval_program, None).unwrap();
    let many = evaluate(&[8, 3], parts_program, Some(measures(None))).unwrap();
    let one_size = evaluate(&[8, 3], parts_program, Some(measures(Some(8)))).unwrap();
    // Sums of at most 43 squares in f32, in different orders.
    let close = |a: f64, b: f64| (a - b).abs() <= 43.0 * f64::from(f32::EPSILON) * b;
    for parts in [&many, &one_size] {
        for name in ["largest", "smallest"] {
            assert_eq!(parts.metrics[name], whole.metrics[name], "{name}");
        }
        assert!(close(parts.loss, whole.loss) && close(parts.metrics["rmse"], whole.metrics["rmse"]));
        assert_eq!(parts.tables["weights"], weights);
    }
    let error = examples().rows()["x"].to_f64s()[..3].iter().zip([0.5, -1.0, 2.0]).map(|(x, w)| x * w).sum::<f64>()
        - examples().rows()["y"].to_f64s()[0];
    assert!((many.tables["first"].get(0).as_f64() - error).abs() < 1e-6);
    // The mean of the batches' own scores is another number.
    let means = evaluate(&[8, 3], eval_program, None).unwrap();
    assert!(!close(means.metrics["rmse"], whole.metrics["rmse"]));
}
