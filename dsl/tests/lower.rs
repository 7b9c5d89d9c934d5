//! Examples to graphs.

use dlc_dsl::{NoFiles, Program, Request, What};
use dlc_ir::{DType, Type};

fn open(name: &str) -> Program {
    let path = format!("{}/../examples/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the example is there");
    Program::load(name, &text, &mut NoFiles).unwrap_or_else(|faults| panic!("{faults}"))
}

fn lower(program: &Program, request: &Request) -> String {
    match program.lower(request) {
        Ok(lowered) => lowered.graph.to_string(),
        Err(faults) => panic!("{}", dlc_dsl::diagnostic::render_all(&faults, &program.sources, false)),
    }
}

fn digits(what: What) -> Request {
    Request::new(what)
        .dim("B", 4)
        .field("image", Type::new(DType::F32, [4, 28, 28]))
        .field("label", Type::new(DType::U8, [4]))
}

#[test]
fn mnist() {
    let program = open("mnist.dl");
    for what in [What::Infer, What::Eval, What::Train, What::Init] {
        insta::assert_snapshot!(format!("mnist_{what:?}").to_lowercase(), lower(&program, &digits(what)));
    }
}

#[test]
fn both_forms_give_the_same_graphs() {
    for name in ["mnist", "lenet"] {
        let (dl, ron) = (open(&format!("{name}.dl")), open(&format!("{name}.ron")));
        for what in [What::Infer, What::Eval, What::Train, What::Init] {
            assert_eq!(lower(&dl, &digits(what)), lower(&ron, &digits(what)), "{name} {what:?}");
        }
    }
}

#[test]
fn lenet() {
    let program = open("lenet.dl");
    for what in [What::Infer, What::Eval, What::Train, What::Init] {
        insta::assert_snapshot!(format!("lenet_{what:?}").to_lowercase(), lower(&program, &digits(what)));
    }
}
