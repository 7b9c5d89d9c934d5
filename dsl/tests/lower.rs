//! Examples to graphs.

use dlc_dsl::{Mode, NoFiles, Program, Request};
use dlc_ir::{DType, Type};

fn open(name: &str) -> Program {
    let path = format!("{}/../examples/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the example is there");
    Program::load(name, &text, &mut NoFiles).unwrap_or_else(|errors| panic!("{errors}"))
}

fn lower(program: &Program, request: &Request) -> String {
    match program.lower(request) {
        Ok(lowered) => lowered.graph.to_string(),
        Err(errors) => panic!("{}", dlc_dsl::diagnostic::render_all(&errors, &program.sources, false)),
    }
}

fn digits(what: Mode) -> Request {
    Request::new(what)
        .dim("B", 4)
        .field("image", Type::new(DType::F32, [4, 28, 28]))
        .field("label", Type::new(DType::U8, [4]))
}

#[test]
fn mnist() {
    let program = open("mnist.dl");
    for what in [Mode::Infer, Mode::Eval, Mode::Train, Mode::Init] {
        insta::assert_snapshot!(format!("mnist_{what:?}").to_lowercase(), lower(&program, &digits(what)));
    }
}

#[test]
fn both_forms_give_the_same_graphs() {
    for name in ["mnist", "lenet"] {
        let (dl, ron) = (open(&format!("{name}.dl")), open(&format!("{name}.ron")));
        for what in [Mode::Infer, Mode::Eval, Mode::Train, Mode::Init] {
            assert_eq!(lower(&dl, &digits(what)), lower(&ron, &digits(what)), "{name} {what:?}");
        }
    }
}

#[test]
fn lenet() {
    let program = open("lenet.dl");
    for what in [Mode::Infer, Mode::Eval, Mode::Train, Mode::Init] {
        insta::assert_snapshot!(format!("lenet_{what:?}").to_lowercase(), lower(&program, &digits(what)));
    }
}

#[test]
fn resnet18() {
    let program = open("resnet18.dl");
    let request = Request::new(Mode::Infer).dim("B", 1).dim("H", 64).dim("W", 64);
    let lowered = program.lower(&request).expect("is right");
    let names: Vec<&str> = lowered.weights.iter().map(|w| &*w.name).collect();
    assert_eq!(names.len(), 102);
    for name in ["conv1.weight", "bn1.running_var", "layer2.0.downsample.1.bias", "layer4.1.conv2.weight", "fc.bias"] {
        assert!(names.contains(&name), "{name} of {names:?}");
    }
    let weights: usize = lowered.layers.iter().map(|layer| layer.weights).sum();
    assert_eq!(weights, 11_689_512);
    insta::assert_snapshot!(lowered.graph.to_string());
}

/// Batch norm refuses to train on one value for each channel; initial values need no batch.
#[test]
fn initial_values_need_no_sizes_that_can_be_trained() {
    lower(&open("resnet18.dl"), &Request::new(Mode::Init).dim("B", 1).dim("H", 1).dim("W", 1));
}

#[test]
fn tables() {
    let request = |what| {
        let data = Request::new(what).dim("B", 8).field("label", Type::new(DType::I32, [8]));
        data.field("actual", Type::new(DType::F32, [8]))
    };
    for (name, inputs) in [("breast_cancer.dl", 30), ("diabetes.dl", 10)] {
        let program = open(name);
        for what in [Mode::Infer, Mode::Eval, Mode::Train, Mode::Init] {
            let text = lower(&program, &request(what).field("measures", Type::new(DType::F32, [8, inputs])));
            insta::assert_snapshot!(format!("{}_{what:?}", name.trim_end_matches(".dl")).to_lowercase(), text);
        }
    }
}

#[test]
fn datasets() {
    for (name, types) in [
        ("mnist.dl", vec![Type::new(DType::U8, [100, 28, 28]), Type::new(DType::U8, [100])]),
        ("breast_cancer.dl", vec![Type::new(DType::F32, [100, 30]), Type::new(DType::F32, [100])]),
        ("diabetes.dl", vec![Type::new(DType::F32, [100, 10]), Type::new(DType::F32, [100])]),
    ] {
        let program = open(name);
        let settings = program.train_settings(&Request::new(Mode::Train)).expect("is right").expect("is there");
        let dataset = program.dataset(&settings.data).expect("is right");
        let survey = program.survey(&dataset, &types, DType::F32).expect("is right");
        assert_eq!(survey.examples, 100);
        let graph = program.lower_all_fields(&dataset, &survey, 100, DType::F32).expect("is right");
        let readers = dataset.readers.iter().map(|r| format!("{r:?}\n")).collect::<String>();
        let name = name.trim_end_matches(".dl");
        let text = format!("{settings:#?}\n{:?}\n{readers}\n{graph}", dataset.fields);
        insta::assert_snapshot!(format!("{name}_data"), text);
    }
}

/// Not a test of speed, which belongs to the benchmarks: a guard against lowering that grows out of hand.
#[test]
fn lowering_takes_milliseconds() {
    let program = open("lenet.dl");
    let start = std::time::Instant::now();
    for _ in 0..20 {
        lower(&program, &digits(Mode::Train));
    }
    let each = start.elapsed() / 20;
    println!("lenet, train: {each:?}");
    assert!(each < std::time::Duration::from_millis(100), "{each:?}");
}

#[test]
fn summaries() {
    let program = open("lenet.dl");
    let lowered = program.lower(&Request::new(Mode::Infer).dim("B", 1)).expect("is right");
    let rows: Vec<String> = lowered.layers.iter().map(|l| format!("{l:?}")).collect();
    insta::assert_snapshot!(rows.join("\n"));
}
