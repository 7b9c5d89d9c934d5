//! The buffer checker: replays a scheduled program without its numbers. Memory holds *tokens*, one for each value of the graph,
//! and every read must find the token of the value that the graph says is read there.
//!
//! It works from the graph and the finished [`Step`]s and shares no code with what made them, as the register
//! allocation checker of regalloc2 does. Of the scheduler it believes only which operand of a kernel is bound to which
//! operand or result of the node ([`StepBinding`]).

mod error;
mod memory;

use dlc_ir::{DType, Function, FunctionKind, Graph, NodeId, Op, ResultRole, Type, Value};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::kernel::AccessMode;
use crate::routine::program::{ALIGN, Address, KernelProgram, Routine, Step};
pub use error::PlanError;
use memory::{Memory, Region, Span, Taken, Token};

/// What an operand of a launched kernel is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperandBinding {
    /// The node's operand of that number; of a copy, what is copied.
    Operand(usize),
    /// The node's result of that number; of a copy, where it is copied to.
    Result(usize),
    /// Memory between the launches of one node, by its number.
    Temp(usize),
    /// A constant.
    Constant,
}

/// What a step is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepBinding {
    /// The node that it computes; none for a copy.
    pub node: Option<NodeId>,
    /// For a copy, the function's result that it is for.
    pub copied: Option<usize>,
    /// What the operands of a launch are bound to.
    pub operands: Vec<OperandBinding>,
}

/// Checks every routine of a program against the function that it was made from. `bindings` are by routine and step.
///
/// What a program passes runs on memory without any further check: it keeps every operand of a launch, with its dtype and number
/// of elements, inside of the memory of a value of that type.
///
/// # Errors
/// The first defect.
pub fn check(graph: &Graph, program: &KernelProgram, bindings: &[Vec<StepBinding>]) -> Result<(), PlanError> {
    let entry = graph.entry().name.clone();
    let functions: Vec<&Function> =
        graph.functions().filter(|f| f.kind == FunctionKind::Func || f.name == entry).collect();
    if functions.len() != program.routines.len() || bindings.len() != functions.len() {
        let what = format!("{} functions, {} routines", functions.len(), program.routines.len());
        return Err(PlanError::Form { routine: String::new(), what });
    }
    for (i, bindings) in bindings.iter().enumerate() {
        Checker::new(graph, program, &functions, i, bindings)?.run()?;
    }
    Ok(())
}

struct Checker<'a> {
    program: &'a KernelProgram,
    graph: &'a Graph,
    /// The functions of the routines, as far as this one may call them: a routine calls only those before it.
    callees: &'a [&'a Function],
    function: &'a Function,
    routine: &'a Routine,
    bindings: &'a [StepBinding],
    /// The sizes of the routine's arguments in bytes, and whether each may be written.
    slots: Vec<(usize, bool)>,
    /// What an argument must hold at the end.
    finally: Vec<Option<Value>>,
    /// What must have been computed by the end, though no step reads it.
    kept: Vec<Value>,
    /// What was written at any time.
    written: FxHashSet<Token>,
    memory: Memory,
    same: FxHashMap<Value, Value>,
    step: usize,
}

impl<'a> Checker<'a> {
    fn new(
        graph: &'a Graph,
        program: &'a KernelProgram,
        functions: &'a [&'a Function],
        at: usize,
        bindings: &'a [StepBinding],
    ) -> Result<Self, PlanError> {
        let (function, routine, entry) = (functions[at], &program.routines[at], at + 1 == functions.len());
        let mut slots: Vec<(usize, bool)> = function.args().iter().map(|a| (a.ty.bytes(), false)).collect();
        let mut kept = vec![];
        let mut finally: Vec<Option<Value>> = function.arg_values().iter().copied().map(Some).collect();
        for result in &function.results {
            let ty = function.ty(result.value);
            match result.role {
                ResultRole::Update(arg) if entry => {
                    let (routine, step) = (routine.name.clone(), routine.steps.len());
                    match function.args().get(arg) {
                        Some(argument) if argument.ty != *ty => {
                            let wanted = format!("%{}: {}", argument.name, argument.ty);
                            return Err(PlanError::Type { routine, step, found: format!("an update of {ty}"), wanted });
                        }
                        Some(argument) if slots[arg].1 => {
                            return Err(PlanError::Form {
                                routine,
                                what: format!("two updates of %{}", argument.name),
                            });
                        }
                        Some(_) => {}
                        None => return Err(PlanError::Form { routine, what: format!("an update of argument {arg}") }),
                    }
                    slots[arg].1 = true;
                    finally[arg] = Some(result.value);
                }
                ResultRole::Check if entry => kept.push(result.value),
                _ => {
                    slots.push((ty.bytes(), true));
                    finally.push(Some(result.value));
                }
            }
        }
        let mut checker = Checker {
            program,
            graph,
            callees: &functions[..at],
            function,
            routine,
            bindings,
            slots,
            finally,
            kept,
            written: FxHashSet::default(),
            memory: Memory::default(),
            same: FxHashMap::default(),
            step: 0,
        };
        if routine.arguments != checker.slots.len() {
            return Err(checker.form(format!("{} arguments, not {}", routine.arguments, checker.slots.len())));
        }
        if routine.steps.len() != bindings.len() {
            return Err(checker.form(format!("{} bindings for {} steps", bindings.len(), routine.steps.len())));
        }
        checker.start();
        Ok(checker)
    }

    fn form(&self, what: String) -> PlanError {
        PlanError::Form { routine: self.routine.name.clone(), what }
    }

    /// Arguments and constants hold their values; reshapes are the same token as what they reshape.
    fn start(&mut self) {
        for (slot, &value) in self.function.arg_values().iter().enumerate() {
            self.write(Span::new(Address::Argument { slot, offset: 0 }, self.slots[slot].0), Token::Value(value));
        }
        for (id, node, op) in self.function.ops() {
            let value = Value { node: id, result: 0 };
            let same = match op {
                Op::Reshape(_) => Some(node.operands[0]),
                Op::Call(call) => self
                    .graph
                    .function(&call.func)
                    .filter(|f| f.kind == FunctionKind::Kernel)
                    .and_then(reshaped)
                    .map(|argument| node.operands[argument]),
                _ => None,
            };
            if let Some(operand) = same {
                self.same.insert(value, self.canonical(operand));
            }
        }
    }

    fn canonical(&self, value: Value) -> Value {
        self.same.get(&value).copied().unwrap_or(value)
    }

    fn run(mut self) -> Result<(), PlanError> {
        for (step, note) in self.routine.steps.iter().zip(self.bindings) {
            match step {
                Step::Launch { kernel, operands } => self.launch(kernel.0 as usize, operands, note)?,
                Step::Call { routine, frame, arguments } => self.call(routine.0 as usize, *frame, arguments, note)?,
            }
            self.step += 1;
        }
        for slot in 0..self.slots.len() {
            let value = self.finally[slot].expect("every slot has a value at the end");
            self.read(Address::Argument { slot, offset: 0 }, self.slots[slot].0, Token::Value(value))?;
        }
        for &value in &self.kept {
            let known = matches!(self.function.op(value.node), Some(Op::Constant(_)));
            if !known && !self.written.contains(&self.named(Token::Value(value))) {
                return Err(self.form(format!("nothing does the check {value:?}")));
            }
        }
        Ok(())
    }

    fn launch(&mut self, kernel: usize, places: &[Address], note: &StepBinding) -> Result<(), PlanError> {
        let Some(kernel) = self.program.kernels.get_index(kernel) else {
            return Err(self.form(format!("there is no kernel {kernel}")));
        };
        if kernel.operands.len() != places.len() || note.operands.len() != places.len() {
            return Err(self.form(format!("{} places for {} operands", places.len(), kernel.operands.len())));
        }
        let mut read: SmallVec<[(Span, Address, AccessMode); 4]> = SmallVec::new();
        let mut written: SmallVec<[(Span, Address, AccessMode, Token); 2]> = SmallVec::new();
        for ((&place, operand), bound) in places.iter().zip(&kernel.operands).zip(&note.operands) {
            let bytes = operand.elements.checked_mul(operand.dtype.size());
            let bytes = bytes.ok_or_else(|| self.form(format!("{} elements in one operand", operand.elements)))?;
            let span = self.span(place, bytes)?;
            let Some(token) = self.meant(*bound, note, operand.dtype)? else {
                // Constants do not change.
                if (span.region, operand.mode) != (Region::Constants, AccessMode::Read) {
                    return Err(self.form("a constant outside of the constants".to_owned()));
                }
                continue;
            };
            self.check_type(token, operand.dtype, operand.elements)?;
            let writes = match bound {
                // A later launch of the node may read what an earlier one has written.
                OperandBinding::Result(_) | OperandBinding::Temp(_) => operand.mode != AccessMode::Read,
                _ if operand.mode == AccessMode::Write => return Err(self.forbidden(place)),
                _ => false,
            };
            if writes {
                written.push((span, place, operand.mode, token));
            } else {
                self.read(place, bytes, token)?;
                read.push((span, place, operand.mode));
            }
        }
        for (i, (span, place, mode, _)) in written.iter().enumerate() {
            self.writable(*span, *place)?;
            for (other, second, other_mode) in &read {
                let in_place = span == other && *mode == AccessMode::ReadWrite && *other_mode == AccessMode::ReadWrite;
                if span.overlaps(other) && !in_place {
                    return Err(self.overlap(*place, *second));
                }
            }
            for (other, second, ..) in &written[..i] {
                if span.overlaps(other) {
                    return Err(self.overlap(*place, *second));
                }
            }
        }
        for (span, _, _, token) in written {
            self.write(span, token);
        }
        Ok(())
    }

    /// What an operand should hold; nothing for a constant.
    fn meant(&self, meaning: OperandBinding, note: &StepBinding, dtype: DType) -> Result<Option<Token>, PlanError> {
        if let Some(result) = note.copied {
            let result = self.function.results.get(result);
            let result = result.ok_or_else(|| self.form("a copy of no result".to_owned()))?;
            return Ok(Some(Token::Value(self.canonical(result.value))));
        }
        let node = note.node.ok_or_else(|| self.form("a step for nothing".to_owned()))?;
        let operands = &self.function.node(node).operands;
        Ok(match meaning {
            OperandBinding::Operand(i) => {
                let value = operands.get(i).ok_or_else(|| self.form(format!("there is no operand {i}")))?;
                Some(Token::Value(self.canonical(*value)))
            }
            OperandBinding::Result(i) if i < self.function.node(node).types.len() => {
                Some(Token::Value(self.canonical(Value { node, result: i as u32 })))
            }
            OperandBinding::Result(i) => return Err(self.form(format!("there is no result {i}"))),
            OperandBinding::Temp(i) => Some(Token::Temp(node, i, dtype)),
            OperandBinding::Constant => None,
        })
    }

    /// Checks that an operand has the dtype of the value that it is bound to, and as many elements.
    fn check_type(&self, token: Token, dtype: DType, elements: usize) -> Result<(), PlanError> {
        let Token::Value(value) = token else { return Ok(()) };
        let ty = self.function.ty(value);
        if ty.dtype == dtype && ty.shape.elements() == elements {
            return Ok(());
        }
        Err(self.wrong_type(format!("an operand of {}", Type::new(dtype, [elements])), format!("a value of {ty}")))
    }

    fn wrong_type(&self, found: String, wanted: String) -> PlanError {
        PlanError::Type { routine: self.routine.name.clone(), step: self.step, found, wanted }
    }

    fn call(&mut self, routine: usize, frame: usize, places: &[Address], note: &StepBinding) -> Result<(), PlanError> {
        let (Some(callee), Some(function)) = (self.program.routines.get(routine), self.callees.get(routine)) else {
            return Err(self.form(format!("there is no routine {routine} before this one")));
        };
        let node = note.node.ok_or_else(|| self.form("a call for nothing".to_owned()))?;
        let node_data = self.function.node(node);
        match node_data.op() {
            Some(Op::Call(call)) if call.func == function.name => {}
            _ => return Err(self.form(format!("a call of {} where the graph has none", function.name))),
        }
        if places.len() != node_data.operands.len() + node_data.types.len() {
            return Err(self.form(format!("{} arguments for {}", places.len(), function.name)));
        }
        let operands = node_data.operands.iter().map(|&v| self.function.ty(v));
        let arguments = function.args().iter().map(|a| &a.ty);
        let results = function.results.iter().map(|r| function.ty(r.value));
        for (kind, own, theirs) in [
            ("argument", operands.collect::<Vec<_>>(), arguments.collect::<Vec<_>>()),
            ("result", node_data.types.iter().collect(), results.collect()),
        ] {
            if own != theirs {
                let show = |types: &[&Type]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let wanted = format!("{kind}s {} of {}", show(&theirs), function.name);
                return Err(self.wrong_type(format!("{kind}s {}", show(&own)), wanted));
            }
        }
        let frame_span = self.span(Address::Frame(frame), callee.frame)?;
        let mut taken = Taken::default();
        taken.add(frame_span, Address::Frame(frame));
        let (reads, writes) = places.split_at(node_data.operands.len());
        for (&value, &place) in node_data.operands.iter().zip(reads) {
            let bytes = self.function.ty(value).bytes();
            let span = self.span(place, bytes)?;
            self.read(place, bytes, Token::Value(self.canonical(value)))?;
            if span.overlaps(&frame_span) {
                return Err(self.overlap(place, Address::Frame(frame)));
            }
            taken.add(span, place);
        }
        self.memory.erase(frame_span);
        for (i, (&place, ty)) in writes.iter().zip(node_data.types.iter()).enumerate() {
            let span = self.span(place, ty.bytes())?;
            self.writable(span, place)?;
            if let Some(other) = taken.overlapping(&span) {
                return Err(self.overlap(place, other));
            }
            taken.add(span, place);
            self.write(span, Token::Value(Value { node, result: i as u32 }));
        }
        Ok(())
    }

    /// The bytes at a place, if they are aligned and inside of their memory.
    fn span(&self, place: Address, bytes: usize) -> Result<Span, PlanError> {
        let span = Span::new(place, bytes);
        if !span.begin.is_multiple_of(ALIGN) {
            return Err(PlanError::Unaligned { routine: self.routine.name.clone(), step: self.step, place });
        }
        let size = match span.region {
            Region::Frame => Some(self.routine.frame),
            Region::Slot(slot) => self.slots.get(slot).map(|s| s.0),
            Region::Constants => Some(self.program.constants.len()),
        };
        if size.is_none_or(|size| span.end > size) {
            return Err(PlanError::Outside { routine: self.routine.name.clone(), step: self.step, place, bytes });
        }
        Ok(span)
    }

    fn writable(&self, span: Span, place: Address) -> Result<(), PlanError> {
        let allowed = match span.region {
            Region::Frame => true,
            Region::Slot(slot) => self.slots[slot].1,
            Region::Constants => false,
        };
        if allowed { Ok(()) } else { Err(self.forbidden(place)) }
    }

    fn forbidden(&self, place: Address) -> PlanError {
        PlanError::Forbidden { routine: self.routine.name.clone(), step: self.step, place }
    }

    fn overlap(&self, first: Address, second: Address) -> PlanError {
        PlanError::Overlap { routine: self.routine.name.clone(), step: self.step, first, second }
    }

    /// Checks that every byte holds the token.
    fn read(&self, place: Address, bytes: usize, wanted: Token) -> Result<(), PlanError> {
        let wanted = self.named(wanted);
        let span = Span::new(place, bytes);
        if bytes == 0 {
            return Ok(());
        }
        let holds = match (span.region, wanted) {
            (Region::Constants, Token::Value(value)) => self.constant(value, span),
            _ => self.memory.holds(span, wanted),
        };
        if holds {
            return Ok(());
        }
        let wanted = format!("{wanted:?}");
        Err(PlanError::WrongValue { routine: self.routine.name.clone(), step: self.step, place, wanted })
    }

    /// Whether a value is a constant with the bytes that are there.
    fn constant(&self, value: Value, span: Span) -> bool {
        match self.function.op(value.node) {
            Some(Op::Constant(c)) => self.program.constants.get(span.begin..span.end) == Some(&c.value.to_le_bytes()),
            _ => false,
        }
    }

    fn write(&mut self, span: Span, token: Token) {
        let token = self.named(token);
        self.written.insert(token);
        self.memory.write(span, token);
    }

    /// The token under the one name of its value.
    fn named(&self, token: Token) -> Token {
        match token {
            Token::Value(value) => Token::Value(self.canonical(value)),
            temp @ Token::Temp(..) => temp,
        }
    }
}

/// If all that a kernel function does is to reshape an argument, which: its result is that argument's bytes.
fn reshaped(kernel: &Function) -> Option<usize> {
    let [result] = kernel.results.as_slice() else { return None };
    let chain = std::iter::successors(Some(result.value), |value| match kernel.op(value.node) {
        Some(Op::Reshape(_)) => kernel.node(value.node).operands.first().copied(),
        _ => None,
    });
    let source = chain.last().filter(|source| *source != result.value)?;
    kernel.arg_index(source)
}
