//! What a run that failed has overwritten.

use crate::kernel::ir::Mode;
use crate::kernel::program::{KernelProgram, Place, Step};

/// Whether a run whose step of that number failed, as steps are counted over all routines, has left these slots as they were. It is said of a run
/// only if it is so wherever the step stands: of a routine that is called several times, the last call counts.
pub(super) fn is_intact(program: &KernelProgram, failed: usize, slots: &[bool]) -> bool {
    let firsts: Vec<usize> = program.first_steps().collect();
    // by routine: the arguments that it writes, and whether it gets to the step that failed
    let mut writes: Vec<Vec<bool>> = vec![];
    let mut fails: Vec<bool> = vec![];
    for (routine, &first) in program.routines.iter().zip(&firsts) {
        let mut written = vec![false; routine.arguments];
        for step in &routine.steps {
            written_by(program, step, &writes).into_iter().for_each(|slot| written[slot] = true);
        }
        let calls = |step: &Step| matches!(step, Step::Call { routine, .. } if fails[routine.0 as usize]);
        fails.push((first..first + routine.steps.len()).contains(&failed) || routine.steps.iter().any(calls));
        writes.push(written);
    }
    let (Some(entry), Some(&first)) = (program.entry(), firsts.last()) else { return false };
    let gets_there = |(at, step): (usize, &Step)| match step {
        Step::Launch { .. } => first + at == failed,
        Step::Call { routine, .. } => fails[routine.0 as usize],
    };
    let Some(last) = entry.steps.iter().enumerate().rposition(gets_there) else { return false };
    let done = &entry.steps[..=last];
    !done.iter().flat_map(|step| written_by(program, step, &writes)).any(|slot| slots.get(slot).is_some_and(|&s| s))
}

/// The arguments of its routine that a step writes.
fn written_by(program: &KernelProgram, step: &Step, writes: &[Vec<bool>]) -> Vec<usize> {
    let slot = |place: &Place| match place {
        Place::Argument { slot, .. } => Some(*slot),
        _ => None,
    };
    match step {
        Step::Launch { kernel, operands } => {
            let of_kernel = program.kernel(*kernel).operands.iter().zip(operands);
            of_kernel.filter(|(operand, _)| operand.mode != Mode::Read).filter_map(|(_, place)| slot(place)).collect()
        }
        Step::Call { routine, arguments, .. } => {
            let of_routine = writes[routine.0 as usize].iter().zip(arguments);
            of_routine.filter(|(written, _)| **written).filter_map(|(_, place)| slot(place)).collect()
        }
    }
}
