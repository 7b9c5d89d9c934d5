//! The checker accepts plans and rejects every kind of planted defect.

use dlc_compiler::kernel::{Kernel, Ty, Verified};
use dlc_compiler::machine::Target;
use dlc_compiler::options::{Level, Options};
use dlc_compiler::pipeline::schedule;
use dlc_compiler::routine::Schedule;
use dlc_compiler::routine::check::{OperandBinding, PlanError, check};
use dlc_compiler::routine::program::{ALIGN, Address, Step};
use dlc_ir::{DType, Function, Graph, ResultRole, Value};

/// Arguments %x %w; result, and the update of %w; a function that is called twice, a view, temporaries.
const TEXT: &str = r#"func @block(%x: f32[40,30], %w: f32[30,30]) -> (f32[40,30], f32[40]) {
  %0 = dot %x, %w {lhs=[1], rhs=[0], lhs_batch=[], rhs_batch=[]} : f32[40,30]
  %1 = relu %0 : f32[40,30]
  %2 = reduce %1 {kind=sum, axes=[1]} : f32[40]
  return %1, %2
}
func @main(%x: f32[40,30] input, %w: f32[30,30] param "w") -> (sum: f32[40], f32[30,30] update %w) {
  %0:2 = call %x, %w {func=@block} : f32[40,30], f32[40]
  %1:2 = call %0.0, %w {func=@block} : f32[40,30], f32[40]
  %2 = reshape %1.0 : f32[1200]
  %3 = neg %2 : f32[1200]
  %4 = reshape %3 : f32[40,30]
  %5 = dot %4, %0.0 {lhs=[0], rhs=[0], lhs_batch=[], rhs_batch=[]} : f32[30,30]
  %6 = sub %w, %5 : f32[30,30]
  %7 = add %0.1, %1.1 : f32[40]
  return %7, %6
}"#;

fn planned() -> (Graph, Schedule) {
    planned_of(TEXT)
}

fn planned_of(text: &str) -> (Graph, Schedule) {
    let graph: Graph = text.parse().expect("the text is well formed");
    graph.verify().expect("the graph is well formed");
    let options = Options { level: Level::O0, check: false, ..Options::new(Target::X86_64V3) };
    let plan = schedule(&graph, &options).expect("the graph can be scheduled");
    (graph, plan)
}

/// Plants a defect in the entry's steps, or in the whole schedule, and expects the checker to find it.
fn rejects(what: &str, plant: impl FnOnce(&mut Schedule)) -> PlanError {
    let (graph, mut schedule) = planned();
    let before = schedule.program.clone();
    let bindings = schedule.bindings.clone();
    plant(&mut schedule);
    assert!(before != schedule.program || bindings != schedule.bindings, "{what}: nothing was planted");
    check(&graph, &schedule.program, &schedule.bindings).expect_err(what)
}

fn entry(schedule: &mut Schedule) -> &mut Vec<Step> {
    &mut schedule.program.routines.last_mut().expect("there is an entry").steps
}

/// The addresses of a step: operands of a launch or arguments of a call.
fn addresses(step: &mut Step) -> &mut Vec<Address> {
    match step {
        Step::Launch { operands, .. } => operands,
        Step::Call { arguments, .. } => arguments,
    }
}

/// The numbers of the entry's launches.
fn launches(schedule: &mut Schedule) -> Vec<usize> {
    let steps = entry(schedule);
    (0..steps.len()).filter(|&i| matches!(steps[i], Step::Launch { .. })).collect()
}

/// The numbers of the entry's calls.
fn calls(schedule: &mut Schedule) -> Vec<usize> {
    let steps = entry(schedule);
    (0..steps.len()).filter(|&i| matches!(steps[i], Step::Call { .. })).collect()
}

#[test]
fn plans_are_accepted() {
    let (graph, schedule) = planned();
    check(&graph, &schedule.program, &schedule.bindings).expect("the plan is right");
}

#[test]
fn overlapping_buffers() {
    let error = rejects("a result over an operand", |s| {
        let at = launches(s)[0];
        let operands = addresses(&mut entry(s)[at]);
        let last = operands.len() - 1;
        operands[last] = operands[0];
    });
    assert!(matches!(error, PlanError::Overlap { .. }), "{error}");
}

#[test]
fn memory_that_is_reused_too_early() {
    // The first call's activations are still needed by the last product when the second call overwrites them.
    let error = rejects("a result over a value that is read later", |s| {
        let at = calls(s);
        let first = addresses(&mut entry(s)[at[0]])[2];
        let second = addresses(&mut entry(s)[at[1]])[2];
        assert_ne!(first, second);
        for step in entry(s).iter_mut() {
            addresses(step).iter_mut().filter(|p| **p == second).for_each(|p| *p = first);
        }
    });
    assert!(matches!(error, PlanError::Overlap { .. } | PlanError::WrongValue { .. }), "{error}");
}

#[test]
fn a_wrong_offset() {
    let error = rejects("an operand one block further", |s| {
        let at = launches(s)[0];
        let address = &mut addresses(&mut entry(s)[at])[0];
        let Address::Frame(offset) = *address else { panic!("the operand lies in the frame") };
        *address = Address::Frame(offset + ALIGN);
    });
    assert!(matches!(error, PlanError::WrongValue { .. } | PlanError::Outside { .. }), "{error}");
}

#[test]
fn a_step_that_is_missing() {
    let error = rejects("a missing step", |s| {
        let at = launches(s)[0];
        entry(s).remove(at);
        s.bindings.last_mut().expect("there is an entry").remove(at);
    });
    assert!(matches!(error, PlanError::WrongValue { .. }), "{error}");
}

#[test]
fn an_update_before_the_last_reader() {
    let error = rejects("the update in front of a call that reads the weight", |s| {
        // Everything that the update needs is in memory already: move the last call after it.
        let (last, update) = (calls(s)[1], entry(s).len() - 1);
        let update = (0..=update)
            .rev()
            .find(|&i| addresses(&mut entry(s)[i]).last() == Some(&Address::Argument { index: 1, offset: 0 }))
            .expect("the weight is updated in place");
        let step = entry(s).remove(update);
        entry(s).insert(last, step);
        let bindings = s.bindings.last_mut().expect("there is an entry");
        let note = bindings.remove(update);
        bindings.insert(last, note);
    });
    assert!(matches!(error, PlanError::WrongValue { .. }), "{error}");
}

#[test]
fn an_address_outside_of_the_frame() {
    let error = rejects("a result at the end of the frame", |s| {
        let end = s.program.routines.last().expect("there is an entry").frame;
        let at = launches(s)[0];
        *addresses(&mut entry(s)[at]).last_mut().expect("it has operands") = Address::Frame(end);
    });
    assert!(matches!(error, PlanError::Outside { .. }), "{error}");
}

#[test]
fn a_frame_that_is_too_small() {
    let error = rejects("half a frame", |s| {
        let routine = s.program.routines.last_mut().expect("there is an entry");
        routine.frame = routine.frame / 2 / ALIGN * ALIGN;
    });
    assert!(matches!(error, PlanError::Outside { .. }), "{error}");
}

#[test]
fn an_unaligned_address() {
    let error = rejects("an odd offset", |s| {
        let at = launches(s)[0];
        *addresses(&mut entry(s)[at]).last_mut().expect("it has operands") = Address::Frame(4);
    });
    assert!(matches!(error, PlanError::Unaligned { .. }), "{error}");
}

#[test]
fn a_callee_in_the_wrong_frame() {
    let error = rejects("a callee's frame over its own result", |s| {
        let at = calls(s)[0];
        let Step::Call { frame, arguments, .. } = &mut entry(s)[at] else { panic!("a call") };
        let Address::Frame(result) = arguments[2] else { panic!("the result lies in the frame") };
        *frame = result;
    });
    assert!(matches!(error, PlanError::Overlap { .. } | PlanError::Outside { .. }), "{error}");
}

#[test]
fn swapped_arguments() {
    let error = rejects("swapped operands of a product", |s| {
        let index = launches(s)
            .into_iter()
            .find(|&i| {
                let operands = addresses(&mut entry(s)[i]).clone();
                operands.len() == 3 && operands[0] != operands[1] && matches!(operands[1], Address::Frame(_))
            })
            .expect("there is a product");
        addresses(&mut entry(s)[index]).swap(0, 1);
    });
    assert!(matches!(error, PlanError::WrongValue { .. } | PlanError::Form { .. }), "{error}");
}

#[test]
fn swapped_arguments_of_a_call() {
    let error = rejects("swapped results of a call", |s| {
        let at = calls(s)[1];
        addresses(&mut entry(s)[at]).swap(0, 1);
    });
    assert!(matches!(error, PlanError::WrongValue { .. } | PlanError::Outside { .. }), "{error}");
}

#[test]
fn a_stale_alias() {
    // The negation reads a view of the second call's result; the first call's has the same size but not the same value.
    let error = rejects("a view of the wrong value", |s| {
        let at = calls(s);
        let stale = addresses(&mut entry(s)[at[0]])[2];
        let index = launches(s)[0];
        addresses(&mut entry(s)[index])[0] = stale;
    });
    assert!(matches!(error, PlanError::WrongValue { .. }), "{error}");
}

#[test]
fn a_write_to_an_input() {
    let error = rejects("a result over an argument", |s| {
        let at = launches(s)[0];
        *addresses(&mut entry(s)[at]).last_mut().expect("it has operands") = Address::Argument { index: 0, offset: 0 };
    });
    assert!(matches!(error, PlanError::Forbidden { .. }), "{error}");
}

#[test]
fn a_call_of_the_wrong_function() {
    let error = rejects("a routine that does not exist", |s| {
        let at = calls(s)[0];
        let Step::Call { routine, .. } = &mut entry(s)[at] else { panic!("a call") };
        routine.0 += 1;
    });
    assert!(matches!(error, PlanError::Form { .. }), "{error}");
}

#[test]
fn a_result_in_the_wrong_slot() {
    let error = rejects("an output in the wrong memory", |s| {
        for step in entry(s).iter_mut() {
            for address in addresses(step) {
                if matches!(address, Address::Argument { index: 2, .. }) {
                    *address = Address::Frame(0);
                }
            }
        }
    });
    assert!(matches!(error, PlanError::WrongValue { .. }), "{error}");
}

/// Replaces a kernel of a schedule: with changed operands, none of which it accesses, since it must verify by itself.
fn change_kernel(schedule: &mut Schedule, number: usize, change: impl FnOnce(&mut Kernel)) {
    let mut kernels: Vec<Verified> = schedule.program.kernels.iter().cloned().collect();
    let values = vec![Ty::INDEX; 2];
    let mut kernel =
        Kernel { body: vec![], values, scratch: vec![], tables: vec![], ..Kernel::clone(&kernels[number]) };
    change(&mut kernel);
    kernels[number] = Verified::new(kernel).expect("it does nothing");
    schedule.program.kernels = kernels.into_iter().collect();
}

/// The number of the kernel that the first launch of the entry runs.
fn first_kernel(schedule: &mut Schedule) -> usize {
    let first = launches(schedule)[0];
    let Step::Launch { kernel, .. } = &entry(schedule)[first] else { unreachable!("a launch") };
    kernel.0 as usize
}

#[test]
fn operands_of_another_dtype() {
    for operand in [0, 1] {
        let error = rejects("i32 for f32", |s| {
            let kernel = first_kernel(s);
            change_kernel(s, kernel, |k| k.operands[operand].dtype = DType::I32);
        });
        assert!(matches!(error, PlanError::Type { .. }), "operand {operand}: {error}");
    }
}

#[test]
fn operands_of_another_size() {
    for (operand, more) in [(0, false), (1, false), (0, true), (1, true)] {
        let error = rejects("another number of elements", |s| {
            let kernel = first_kernel(s);
            change_kernel(s, kernel, |k| {
                let elements = &mut k.operands[operand].elements;
                *elements = if more { *elements + 1 } else { *elements - 1 };
            });
        });
        assert!(matches!(error, PlanError::Type { .. } | PlanError::Outside { .. }), "operand {operand}: {error}");
    }
}

#[test]
fn memory_between_launches_of_another_dtype_or_size() {
    let text = "func @main(%x: f32[4194304] input) -> (sum: f32[]) {
  %0 = reduce %x {kind=sum, axes=[0]} : f32[]
  return %0
}";
    for change in [|k: &mut Kernel| k.operands[0].dtype = DType::I32, |k: &mut Kernel| k.operands[0].elements /= 2] {
        let (graph, mut schedule) = planned_of(text);
        check(&graph, &schedule.program, &schedule.bindings).expect("the plan is right");
        let last = *launches(&mut schedule).last().expect("there are launches");
        assert!(last > 0, "the sum has parts");
        let Step::Launch { kernel, .. } = entry(&mut schedule)[last] else { unreachable!("a launch") };
        change_kernel(&mut schedule, kernel.0 as usize, change);
        let error =
            check(&graph, &schedule.program, &schedule.bindings).expect_err("parts that are read as something else");
        assert!(matches!(error, PlanError::WrongValue { .. }), "{error}");
    }
}

/// Checks the plan against another graph than the one that it was made for.
fn rejects_for(what: &str, change: impl FnOnce(&mut Graph)) -> PlanError {
    let (mut graph, schedule) = planned();
    change(&mut graph);
    check(&graph, &schedule.program, &schedule.bindings).expect_err(what)
}

/// Changes the entry of a graph.
fn change_entry(graph: &mut Graph, change: impl FnOnce(&mut Function)) {
    let mut entry = graph.entry().clone();
    change(&mut entry);
    graph.insert(entry);
}

/// The value of the entry whose type is written so.
fn of_type(function: &Function, ty: &str) -> Value {
    let mut values = function.nodes().map(|(node, _)| Value { node, result: 0 });
    values.rfind(|&v| function.ty(v).to_string() == ty).expect("there is such a value")
}

#[test]
fn states_of_another_type() {
    for (ty, what) in [("f32[1200]", "more elements"), ("f32[40]", "fewer elements")] {
        let error = rejects_for(what, |graph| {
            change_entry(graph, |entry| entry.results[1].value = of_type(entry, ty));
        });
        assert!(matches!(error, PlanError::Type { .. }), "{what}: {error}");
    }
}

#[test]
fn a_state_with_two_updates() {
    let error = rejects_for("two updates", |graph| {
        change_entry(graph, |entry| entry.results.push(entry.results[1].clone()));
    });
    assert!(matches!(error, PlanError::Form { .. }), "{error}");
}

#[test]
fn an_update_of_nothing() {
    let error = rejects_for("an update of an argument that is not there", |graph| {
        change_entry(graph, |entry| entry.results[1].role = ResultRole::Update(7));
    });
    assert!(matches!(error, PlanError::Form { .. }), "{error}");
}

#[test]
fn arguments_and_results_of_another_type() {
    // The sizes are equal, so that only the types differ; and both functions belong to well-formed programs.
    let text = |taken: &str, made: &str| {
        format!(
            "func @block(%x: {taken}) -> {made} {{
  %0 = neg %x : {taken}
  %1 = reshape %0 : {made}
  return %1
}}
func @main(%x: {taken} input) -> {made} {{
  %0 = call %x {{func=@block}} : {made}
  return %0
}}"
        )
    };
    let (mut graph, schedule) = planned_of(&text("f32[6]", "f32[6,1]"));
    for (taken, made) in [("f32[2,3]", "f32[6,1]"), ("f32[6]", "f32[3,2]")] {
        let other: Graph = text(taken, made).parse().expect("the text is well formed");
        graph.insert(other.entry().clone());
        graph.verify().expect_err("the call does not fit");
        let error = check(&graph, &schedule.program, &schedule.bindings).expect_err(taken);
        assert!(matches!(error, PlanError::Type { .. }), "{taken}, {made}: {error}");
    }
}

#[test]
fn a_routine_that_calls_itself() {
    let error = rejects("recursion", |s| {
        let (at, own) = (calls(s)[0], s.program.routines.len() - 1);
        let Step::Call { routine, .. } = &mut entry(s)[at] else { panic!("a call") };
        routine.0 = own as u32;
    });
    assert!(matches!(error, PlanError::Form { .. }), "{error}");
}

#[test]
fn a_check_that_is_missing() {
    let text = "func @main(%i: i64[3] input, %x: f32[4] input) -> (f32[4], bool[] check) {
  %0 = check_index %i {size=4, by=gather} : bool[]
  %1 = neg %x : f32[4]
  return %1, %0
}";
    let (graph, mut schedule) = planned_of(text);
    check(&graph, &schedule.program, &schedule.bindings).expect("the plan is right");
    let at = launches(&mut schedule)[0];
    entry(&mut schedule).remove(at);
    schedule.bindings.last_mut().expect("there is an entry").remove(at);
    let error = check(&graph, &schedule.program, &schedule.bindings).expect_err("nothing checks the index");
    assert!(matches!(error, PlanError::Form { .. }), "{error}");
}

/// The rows of a matrix, each in a kernel of its own.
const ROWS: &str = r#"func @main(%x: f32[3,40] input) -> (a: f32[1,40], b: f32[1,40], c: f32[1,40]) {
  %0 = slice %x {start=[0,0], limit=[1,40], stride=[1,1]} : f32[1,40]
  %1 = slice %x {start=[1,0], limit=[2,40], stride=[1,1]} : f32[1,40]
  %2 = slice %x {start=[2,0], limit=[3,40], stride=[1,1]} : f32[1,40]
  return %0, %1, %2
}"#;

#[test]
fn parts_of_a_value_share_a_kernel() {
    let (graph, schedule) = planned_of(ROWS);
    check(&graph, &schedule.program, &schedule.bindings).expect("the plan is right");
    assert_eq!(schedule.program.kernels.len(), 1);
    let steps = &schedule.program.routines[0].steps;
    let read = steps.iter().map(|step| match step {
        Step::Launch { operands, .. } => operands[0],
        Step::Call { .. } => panic!("a launch"),
    });
    let rows = [0, 160, 320].map(|offset| Address::Argument { index: 0, offset });
    assert_eq!(read.collect::<Vec<_>>(), rows);
}

#[test]
fn parts_outside_of_their_value_or_elsewhere_than_bound() {
    let planted: [fn(&mut OperandBinding, &mut Address); 3] = [
        |bound, _| *bound = OperandBinding::Part { operand: 0, first: 81, elements: 40 },
        |bound, _| *bound = OperandBinding::Operand(0),
        |_, address| *address = Address::Argument { index: 0, offset: 164 },
    ];
    for plant in planted {
        let (graph, mut schedule) = planned_of(ROWS);
        let address = &mut addresses(&mut schedule.program.routines[0].steps[1])[0];
        plant(&mut schedule.bindings[0][1].operands[0], address);
        check(&graph, &schedule.program, &schedule.bindings).expect_err("a defect was planted");
    }
}
