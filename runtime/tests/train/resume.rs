//! Stopped, killed and resumed trainings.

use super::*;

#[test]
fn a_stopped_training_resumes_to_the_same_bits() {
    let expected = undisturbed();
    for stops in [vec![1], vec![8], vec![11, 12], vec![24, 25, 77, 159]] {
        let folder = tempfile::tempdir().unwrap();
        for stop_at in stops {
            let mut trainer = trainer();
            let stop = Arc::new(AtomicBool::new(false));
            let (train, validation) = Split::Last(Amount::Fraction(0.2)).of(43);
            let mut evaluator = Evaluator::new([8, 1].map(|b| session(&eval_program(b))), None).unwrap();
            let run = Run {
                trainer: &mut trainer,
                data: Subset { examples: examples(), positions: Some(train) },
                constants: Tensors::new(),
                validation: Some((&mut evaluator, Subset { examples: examples(), positions: Some(validation) })),
                options: options(Some(folder.path())),
                stop: Arc::clone(&stop),
            };
            let summary = run
                .run(&mut |event| {
                    if matches!(event, Event::Step { step, .. } if *step == stop_at) {
                        stop.store(true, Ordering::Relaxed);
                    }
                })
                .unwrap();
            assert!(summary.interrupted);
            assert_eq!(summary.step, stop_at);
            assert_eq!(summary.epoch, (stop_at - 1) / 8, "the validation is stopped as well");
        }
        let mut trainer = trainer();
        let mut from = None;
        train(&mut trainer, options(Some(folder.path())), &mut |event| {
            if let Event::Start { step, .. } = event {
                from = Some(*step);
            }
        })
        .unwrap();
        assert!(from.unwrap() > 0);
        assert!(outcome(&trainer, folder.path()) == expected);
    }
}

#[test]
fn a_training_that_starts_again_replaces_the_old_one_with_its_first_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let names = || {
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let anew = |steps| TrainOptions {
        epochs: None,
        steps: Some(steps),
        resume: false,
        checkpoint_steps: Some(1),
        ..options(Some(folder.path()))
    };
    train(&mut trainer(), anew(9), &mut |_| {}).unwrap();
    let before = names();
    let mut bad = trainer();
    bad.session_mut().set_param("w", &Tensor::new([3], vec![f32::MAX, 0.0, 0.0]).unwrap()).unwrap();
    train(&mut bad, anew(9), &mut |_| {}).unwrap_err();
    assert_eq!(names(), before, "it never had anything to put there");
    let mut first = None;
    train(&mut trainer(), anew(2), &mut |event| match event {
        Event::Step { step: 1, .. } => assert_eq!(names(), before),
        Event::Checkpoint { step: 1, .. } => {
            first = Some((names(), fs::read_to_string(folder.path().join("history.csv")).unwrap()));
        }
        _ => {}
    })
    .unwrap();
    let (names, lines) = first.unwrap();
    assert_eq!(
        names,
        [".lock", "history.csv", "history.jsonl", "step-0000000001.safetensors"],
        "no stale best weights"
    );
    assert_eq!(lines, "", "nor stale lines");
}

/// An epoch has 8 steps.
#[test]
fn a_training_that_ends_within_an_epoch_resumes_to_the_same_bits() {
    let expected = undisturbed();
    for steps in [vec![6], vec![8], vec![12], vec![11, 11, 13, 20]] {
        let folder = tempfile::tempdir().unwrap();
        for &steps in &steps {
            let short = TrainOptions { epochs: None, steps: Some(steps), ..options(Some(folder.path())) };
            let summary = train(&mut trainer(), short, &mut |_| {}).unwrap();
            assert_eq!((summary.epoch, summary.step, summary.interrupted), (steps / 8, steps, false));
            let history = fs::read_to_string(folder.path().join("history.csv")).unwrap();
            let last: Vec<&str> = history.lines().last().unwrap().split(',').collect();
            assert_eq!(last[..2], [steps.div_ceil(8).to_string(), steps.to_string()], "the part is reported");
            assert!(folder.path().join("best.safetensors").exists());
        }
        let mut trainer = trainer();
        train(&mut trainer, options(Some(folder.path())), &mut |_| {}).unwrap();
        assert!(outcome(&trainer, folder.path()) == expected, "{steps:?}");
    }
}

#[test]
fn a_training_with_a_last_smaller_batch_resumes_to_the_same_bits() {
    let whole = tempfile::tempdir().unwrap();
    let mut undisturbed = whole_trainer();
    train(&mut undisturbed, options(Some(whole.path())), &mut |_| {}).unwrap();
    assert_eq!(undisturbed.steps(), 180);
    let expected = outcome(&undisturbed, whole.path());
    // an epoch has 9 steps
    let folder = tempfile::tempdir().unwrap();
    for steps in [8, 9, 13, 18, 27, 100] {
        let short = TrainOptions { epochs: None, steps: Some(steps), ..options(Some(folder.path())) };
        train(&mut whole_trainer(), short, &mut |_| {}).unwrap();
    }
    let error = train(&mut trainer(), options(Some(folder.path())), &mut |_| {}).unwrap_err().to_string();
    assert!(error.ends_with("remainder of an epoch was trained on, is left out"), "{error}");
    let mut resumed = whole_trainer();
    train(&mut resumed, options(Some(folder.path())), &mut |_| {}).unwrap();
    assert!(outcome(&resumed, folder.path()) == expected);
}

#[test]
fn a_training_for_longer_reports_the_length_of_its_schedule() {
    let folder = tempfile::tempdir().unwrap();
    let first = TrainOptions { epochs: Some(2), fingerprint: "2".into(), ..options(Some(folder.path())) };
    let length = first.length();
    train(&mut trainer(), first, &mut |_| {}).unwrap();
    let longer =
        |fingerprint_of| TrainOptions { fingerprint: "20".into(), fingerprint_of, ..options(Some(folder.path())) };
    train(&mut trainer(), longer(None), &mut |_| {}).unwrap_err();
    train(&mut trainer(), longer(Some((length, "other".into()))), &mut |_| {}).unwrap_err();
    let mut events = vec![];
    let summary = train(&mut trainer(), longer(Some((length, "2".into()))), &mut |event| {
        if let Event::Length { was, is, scheduled, step } = event {
            events.push((was.to_string(), is.to_string(), *scheduled, *step));
        }
    })
    .unwrap();
    assert_eq!((summary.epoch, events), (20, vec![("epochs = 2".to_owned(), "epochs = 20".to_owned(), true, 16)]));
}

#[test]
fn a_training_without_a_checkpoint_starts_again_and_reports_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = vec![];
    let mut note = |event: &Event<'_>| match event {
        Event::FromScratch { folder } => events.push(format!("anew in {}", folder.file_name().is_some())),
        Event::Start { step, from, .. } => events.push(format!("from {step} {}", from.is_some())),
        _ => {}
    };
    train(&mut trainer(), options(Some(folder.path())), &mut note).unwrap();
    train(&mut trainer(), options(Some(folder.path())), &mut note).unwrap();
    assert_eq!(events, ["anew in true", "from 0 false", "from 160 true"]);
}

/// Not a test by itself: the process that `a_killed_training_resumes_to_the_same_bits` kills.
#[test]
fn trains_in_a_child_process() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let mut trainer = trainer();
    let observe = &mut |event: &Event<'_>| {
        if matches!(event, Event::Start { .. }) {
            println!("it starts");
        }
        // As slow as a real step, so that kills hit it everywhere.
        std::thread::sleep(Duration::from_micros(300));
    };
    train(&mut trainer, options(Some(Path::new(&folder))), observe).unwrap();
    println!("it ends");
}

#[test]
fn a_killed_training_resumes_to_the_same_bits() {
    let expected = undisturbed();
    let folder = tempfile::tempdir().unwrap();
    let mut kills = 0;
    for round in 0..60u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "resume::trains_in_a_child_process", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|l| l.contains("it starts")), "the training goes on");
        std::thread::sleep(Duration::from_micros(1_000 + round * 7_919 % 30_000));
        child.kill().unwrap();
        child.wait().unwrap();
        if lines.any(|l| l.contains("it ends")) {
            break;
        }
        kills += 1;
    }
    assert!(kills >= 3, "only {kills} kills hit the training");
    let mut trainer = trainer();
    train(&mut trainer, options(Some(folder.path())), &mut |_| {}).unwrap();
    assert!(outcome(&trainer, folder.path()) == expected, "after {kills} kills");
}

/// Resumes the training of which `folder` has a checkpoint with other data or settings.
fn resumed(
    folder: &Path,
    fields: Tensors,
    (training, validation): (Vec<usize>, Option<Vec<usize>>),
    options: TrainOptions,
) -> Result<Summary, TrainError> {
    let examples = Arc::new(Examples::new(fields).unwrap());
    let mut evaluator = Evaluator::new([8, 1].map(|b| session(&eval_program(b))), None).unwrap();
    let select = |positions| Subset { examples: Arc::clone(&examples), positions: Some(positions) };
    let validation = validation.map(|positions| (&mut evaluator, select(positions)));
    let options = TrainOptions { folder: Some(folder.to_owned()), ..options };
    let stop = Arc::new(AtomicBool::new(false));
    Run { trainer: &mut trainer(), data: select(training), constants: Tensors::new(), validation, options, stop }
        .run(&mut |_| {})
}

#[test]
fn a_training_resumes_with_the_same_data_and_settings_only() {
    let folder = tempfile::tempdir().unwrap();
    let fields = || examples().rows().clone();
    let split = |fraction| {
        let (training, validation) = Split::Last(Amount::Fraction(fraction)).of(43);
        (training, Some(validation))
    };
    let texts = [("optimizer", "adam(lr: 0.1)"), ("text of m.dl", "#1")];
    let texts = || texts.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
    let settings = || TrainOptions { shuffle: Some(0), settings: texts(), ..options(None) };
    let first = TrainOptions { epochs: Some(1), ..settings() };
    resumed(folder.path(), fields(), split(0.2), first).unwrap();
    let (mut value, mut name) = (fields(), fields());
    let y = value.remove("y").unwrap();
    value.insert("y", Tensor::from_fn(y.ty().clone(), |i| if i == 42 { y.get(41) } else { y.get(i) }));
    let z = fields()["y"].clone();
    name.insert("z", z);
    let fewer: Vec<usize> = split(0.2).0.into_iter().skip(1).collect();
    let history = || fs::read_to_string(folder.path().join("history.csv")).unwrap();
    let before = history();
    let rmse = Monitor { part: None, score: "rmse".into(), better: Better::Lower };
    let text = |texts: &[(&str, &str)]| texts.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
    let other = |settings: TrainOptions, texts: &[(&str, &str)]| TrainOptions {
        fingerprint: "quadratic".into(),
        settings: text(texts),
        ..settings
    };
    let written = [("optimizer", "sgd(lr: 0.1)"), ("text of m.dl", "#1")];
    for (fields, split, options, expected) in [
        (value, split(0.2), settings(), "data was x f32[43,3], y f32[43] (content "),
        (name, split(0.2), settings(), "is x f32[43,3], y f32[43], z f32[43] (content "),
        (fields(), split(0.3), settings(), "validation was 9 examples ("),
        (fields(), (split(0.2).0, None), settings(), "), is none"),
        (fields(), (fewer, split(0.2).1), settings(), "training examples was 34 ("),
        (fields(), split(0.2), TrainOptions { shuffle: None, ..settings() }, "shuffle was true (seed 0), is false"),
        (fields(), split(0.2), TrainOptions { shuffle: Some(1), ..settings() }, "is true (seed 1)"),
        (fields(), split(0.2), TrainOptions { seed: 5, ..settings() }, "another run: seed was 0, is 5"),
        (
            fields(),
            split(0.2),
            TrainOptions { monitor: rmse, ..settings() },
            "best epoch was lowest validation.loss, is lowest validation.rmse",
        ),
        (fields(), split(0.2), other(settings(), &written), "optimizer was adam(lr: 0.1), is sgd(lr: 0.1)"),
        (
            fields(),
            split(0.2),
            other(settings(), &[("optimizer", "adam(lr: 0.1)"), ("text of m.dl", "#2")]),
            "another run: text of m.dl was #1, is #2",
        ),
        (
            fields(),
            split(0.2),
            TrainOptions { seed: 5, shuffle: None, ..other(settings(), &written) },
            "seed was 0, is 5; optimizer was",
        ),
    ] {
        let error = resumed(folder.path(), fields, split, options).expect_err(expected);
        assert_eq!(error.code(), "other-training");
        assert!(error.to_string().contains("the checkpoint belongs to another run: "), "{error}");
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        assert_eq!(history(), before, "nothing is touched");
    }
    let longer = TrainOptions { epochs: None, steps: Some(20), ..settings() };
    assert_eq!(resumed(folder.path(), fields(), split(0.2), longer).unwrap().step, 20);
}

#[test]
fn a_validation_may_not_be_added_to_a_training_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let fields = || examples().rows().clone();
    let (training, validation) = Split::Last(Amount::Fraction(0.2)).of(43);
    let first = TrainOptions { epochs: Some(1), ..options(None) };
    resumed(folder.path(), fields(), (training.clone(), None), first).unwrap();
    let error = resumed(folder.path(), fields(), (training, Some(validation)), options(None)).unwrap_err();
    assert!(error.to_string().contains("another run: validation was none, is 9 examples ("), "{error}");
}

#[test]
fn what_cannot_be_resumed_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let short = |folder| TrainOptions { epochs: Some(1), ..options(Some(folder)) };
    train(&mut trainer(), short(folder.path()), &mut |_| {}).unwrap();
    let mut report = String::new();
    let mut note = |e: TrainError| {
        let text = e.to_string().replace(&folder.path().display().to_string(), "DIR");
        report.push_str(&format!("error[{}]: {text}\n", e.code()));
    };
    let other = TrainOptions { fingerprint: "cubic".into(), ..options(Some(folder.path())) };
    note(train(&mut trainer(), other, &mut |_| {}).unwrap_err());
    let other_seed = TrainOptions { seed: 5, ..options(Some(folder.path())) };
    note(train(&mut trainer(), other_seed, &mut |_| {}).unwrap_err());
    note(train(&mut trainer(), TrainOptions { batch: 5, ..options(None) }, &mut |_| {}).unwrap_err());
    note(Trainer::new(session(INIT), None, []).unwrap_err());
    let mut bad = trainer();
    bad.session_mut().set_param("w", &Tensor::new([3], vec![f32::MAX, 0.0, 0.0]).unwrap()).unwrap();
    note(train(&mut bad, options(None), &mut |_| {}).unwrap_err());
    let mut fresh = Trainer::new(session(STEP), None, ["w/m", "step"]).unwrap();
    note(fresh.step([]).unwrap_err());
    note(fresh.step([("z", &Tensor::scalar(1f32))]).unwrap_err());
    note(fresh.step([("y", &Tensor::scalar(1f32))]).unwrap_err());
    note(fresh.step(examples().gather(&[0, 1, 2, 3], true, 0).unwrap().iter()).unwrap_err());
    note(fresh.set_weights(&[("v", Tensor::scalar(1f32))].into_iter().collect()).unwrap_err());
    let fields = [("x", examples().rows()["x"].clone()), ("yy", examples().rows()["y"].clone())];
    let data = Subset::all(Arc::new(Examples::new(fields.into_iter().collect()).unwrap()));
    let stop = Arc::new(AtomicBool::new(false));
    let run = Run {
        trainer: &mut trainer(),
        data,
        constants: Tensors::new(),
        validation: None,
        options: options(None),
        stop,
    };
    note(run.run(&mut |_| {}).unwrap_err());
    insta::assert_snapshot!(report);
}
