//! The texts of stages: the same at every compilation, and for both forms of a model. `examples/snapshot.rs` keeps one of them.

use dlc::{Compiler, Mode, Model, Program, Stage, inspect};
use dlc_compiler::machine::Target;

fn perceptron() -> Program {
    let model = Model::open(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/mnist.dl")).expect("it is right");
    Compiler::new().target("x86-64").compile(&model, [("B", 64)]).expect("it compiles")
}

#[test]
fn every_compilation_gives_the_same_bytes() {
    for stage in [Stage::Ir, Stage::Opt, Stage::Kernels, Stage::Clif] {
        let text = perceptron().text(stage).expect("it has compiled");
        for _ in 0..3 {
            assert_eq!(perceptron().text(stage).expect("it has compiled"), text, "{}", stage.name());
        }
    }
}

#[test]
fn both_forms_of_a_model_give_the_same_graph() {
    for name in ["mnist", "lenet"] {
        let open = |ending: &str| {
            let path = format!("{}/examples/{name}.{ending}", env!("CARGO_MANIFEST_DIR"));
            Model::open(path).expect("it is right").graph([("B", 4)]).expect("it lowers").to_string()
        };
        assert_eq!(open("dl"), open("ron"), "{name}");
    }
}

#[test]
fn a_training_step_is_shown_for_every_machine_and_runs_on_its_own() {
    let model = Model::open(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/breast_cancer.dl")).expect("it is right");
    for target in Target::ALL {
        let compiler = Compiler::new().threads(1).target(target.name());
        let request = inspect::request_for(&model, Mode::Train, &[], &compiler).expect("the data is there");
        let graph = inspect::lower(&model, &request).expect("it is right");
        for stage in [Stage::Opt, Stage::Asm] {
            let text = inspect::stage_text(&compiler, &model, graph.clone(), stage).unwrap_or_else(|e| panic!("{e}"));
            assert!(text.lines().count() > 5, "{target} {}", stage.name());
        }
        let built = inspect::build(&compiler, &model, &request).map(|_| ()).map_err(|e| e.code());
        assert_eq!(built, if target.runs_here() { Ok(()) } else { Err("wrong-target") });
    }
}
