//! What a run writes, and what a failed one has overwritten.

use crate::kernel::ir::AccessMode;
use crate::routine::program::{Address, KernelProgram, Step};

/// Whether a run that failed in the step with this number (counted over all routines) has not overwritten these arguments.
/// Conservative: true only if it holds wherever the routine is called from; of several calls the last counts.
pub(super) fn is_intact(program: &KernelProgram, failed: usize, arguments_kept: &[bool]) -> bool {
    let firsts: Vec<usize> = program.first_steps().collect();
    let writes = writes(program);
    // for each routine whether it reaches the failed step
    let mut fails: Vec<bool> = vec![];
    for (routine, &first) in program.routines.iter().zip(&firsts) {
        let calls = |step: &Step| matches!(step, Step::Call { routine, .. } if fails[routine.0 as usize]);
        fails.push((first..first + routine.steps.len()).contains(&failed) || routine.steps.iter().any(calls));
    }
    let (Some(entry), Some(&first)) = (program.entry(), firsts.last()) else { return false };
    let gets_there = |(at, step): (usize, &Step)| match step {
        Step::Launch { .. } => first + at == failed,
        Step::Call { routine, .. } => fails[routine.0 as usize],
    };
    let Some(last) = entry.steps.iter().enumerate().rposition(gets_there) else { return false };
    let done = &entry.steps[..=last];
    !done
        .iter()
        .flat_map(|step| written_by(program, step, &writes))
        .any(|index| arguments_kept.get(index).is_some_and(|&s| s))
}

/// For each argument of the entry whether a run may write it. Kernels write no other operands than those of which they say so
/// ([`crate::kernel::verify`]).
pub(super) fn written(program: &KernelProgram) -> Vec<bool> {
    writes(program).pop().unwrap_or_default()
}

/// For each routine the arguments that it writes.
fn writes(program: &KernelProgram) -> Vec<Vec<bool>> {
    let mut writes: Vec<Vec<bool>> = vec![];
    for routine in &program.routines {
        let mut written = vec![false; routine.arguments];
        for step in &routine.steps {
            written_by(program, step, &writes).into_iter().for_each(|index| written[index] = true);
        }
        writes.push(written);
    }
    writes
}

/// The arguments of its routine that a step writes.
fn written_by(program: &KernelProgram, step: &Step, writes: &[Vec<bool>]) -> Vec<usize> {
    let argument_index = |address: &Address| match address {
        Address::Argument { index, .. } => Some(*index),
        _ => None,
    };
    match step {
        Step::Launch { kernel, operands } => {
            let of_kernel = program.kernel(*kernel).operands.iter().zip(operands);
            of_kernel
                .filter(|(operand, _)| operand.mode != AccessMode::Read)
                .filter_map(|(_, address)| argument_index(address))
                .collect()
        }
        Step::Call { routine, arguments, .. } => {
            let of_routine = writes[routine.0 as usize].iter().zip(arguments);
            of_routine.filter(|(written, _)| **written).filter_map(|(_, address)| argument_index(address)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Verified;
    use crate::kernel::ir::{Block, Kernel, Operand, Ty};
    use crate::routine::program::{Routine, RoutineId};
    use dlc_ir::DType;

    fn kernel(modes: &[AccessMode]) -> Verified {
        let operand = |&mode| Operand { dtype: DType::F32, elements: 1, mode };
        let operands = modes.iter().map(operand).collect();
        let values = vec![Ty::INDEX; 2];
        let kernel = Kernel { operands, scratch: vec![], tables: vec![], chunks: 1, values, body: Block::default() };
        Verified::new(kernel).expect("it does nothing")
    }

    fn argument(index: usize) -> Address {
        Address::Argument { index, offset: 0 }
    }

    /// A routine that checks (step 0), one that writes its argument (step 1), and an entry of these steps from number 2 on, whose
    /// first argument is updated.
    fn intact(failed: usize, entry: &[&str]) -> bool {
        let mut program = KernelProgram::new();
        let read = program.add_kernel("read", kernel(&[AccessMode::Read]));
        let write = program.add_kernel("write", kernel(&[AccessMode::ReadWrite]));
        let launch = |kernel, index| Step::Launch { kernel, operands: vec![argument(index)] };
        let call =
            |routine, index| Step::Call { routine: RoutineId(routine), frame: 0, arguments: vec![argument(index)] };
        let routine = |name: &str, arguments, steps| Routine { name: name.to_owned(), arguments, frame: 0, steps };
        program.add_routine(routine("checks", 1, vec![launch(read, 0)]));
        program.add_routine(routine("writes", 1, vec![launch(write, 0)]));
        let step = |word: &&str| match *word {
            "read" => launch(read, 0),
            "write" => launch(write, 0),
            "write other" => launch(write, 1),
            "call checks" => call(0, 0),
            "call writes" => call(1, 0),
            "call writes other" => call(1, 1),
            word => unreachable!("{word}"),
        };
        program.add_routine(routine("entry", 2, entry.iter().map(step).collect()));
        is_intact(&program, failed, &[true, false])
    }

    #[test]
    fn what_a_callee_writes_is_written() {
        let mut program = KernelProgram::new();
        let write = program.add_kernel("write", kernel(&[AccessMode::Write, AccessMode::Read]));
        let launch = Step::Launch { kernel: write, operands: vec![argument(1), argument(0)] };
        program.add_routine(Routine { name: "callee".to_owned(), arguments: 3, frame: 0, steps: vec![launch] });
        let arguments = vec![argument(2), argument(0), argument(1)];
        let call = Step::Call { routine: RoutineId(0), frame: 0, arguments };
        program.add_routine(Routine { name: "entry".to_owned(), arguments: 3, frame: 0, steps: vec![call] });
        assert_eq!(written(&program), [true, false, false]);
    }

    #[test]
    fn what_is_written_before_or_in_the_step_that_failed_is_lost() {
        for (failed, entry, expected) in [
            (2, &["read", "write"][..], true),
            (3, &["read", "write"], false),
            (3, &["write", "read"], false),
            (3, &["write other", "read"], true),
            (0, &["call checks", "write"], true),
            (0, &["call checks", "write", "call checks"], false),
            (0, &["call writes other", "call checks"], true),
            (0, &["call writes", "call checks"], false),
            (1, &["call writes"], false),
            (3, &["call writes", "read"], false),
            // there is no step with this number: unknown
            (9, &["read"], false),
        ] {
            assert_eq!(intact(failed, entry), expected, "{failed} of {entry:?}");
        }
    }
}
