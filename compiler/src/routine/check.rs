//! The checker of schedules and memory plans: replays a program symbolically. MemoryContents holds *tokens*, one per value of the graph,
//! and every read must find the token of the value that the graph reads there.
//!
//! It takes the graph and the finished [`Step`]s and shares no code with the scheduler, like the register allocation checker of
//! regalloc2. It trusts the scheduler only in which operand of a kernel is bound to which operand or result of the node
//! ([`StepBinding`]).

mod error;
mod memory;

use dlc_ir::{DType, Function, FunctionKind, Graph, NodeId, Op, ResultRole, Type, Value};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::kernel::{AccessMode, Operand};
use crate::routine::program::{ALIGN, Address, KernelProgram, Routine, Step};
pub use error::PlanError;
use memory::{MemoryContents, Region, Span, SpanSet, Token};

/// The value to which an operand of a launched kernel is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperandBinding {
    /// The node's operand with this index; for a copy, its source.
    Operand(usize),
    /// Consecutive elements of the node's operand with this index.
    Part {
        operand: usize,
        first: usize,
        elements: usize,
    },
    /// The node's result with this index; for a copy, its destination.
    Result(usize),
    /// A temporary between the launches of one node.
    Temp(usize),
    Constant,
}

/// The bindings of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepBinding {
    /// The node that it computes; `None` for a copy.
    pub node: Option<NodeId>,
    /// For a copy, the index of the function's result.
    pub copied: Option<usize>,
    /// The bindings of a launch's operands.
    pub operands: Vec<OperandBinding>,
}

/// Checks every routine of a program against the function that it was made from. `bindings` are by routine and step.
///
/// A program that passes runs without further checks: every operand of a launch, with its dtype and number of elements, is in
/// bounds of the memory of a value of that dtype: a result or temporary whole, of an operand some consecutive elements.
///
/// # Errors
/// The first violation.
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
    /// The functions of the routines that may be called: those before this one.
    callees: &'a [&'a Function],
    function: &'a Function,
    routine: &'a Routine,
    bindings: &'a [StepBinding],
    /// The sizes of the routine's arguments in bytes, and whether each may be written.
    arguments: Vec<(usize, bool)>,
    /// The value that an argument must hold at the end.
    finally: Vec<Option<Value>>,
    /// Values that must be computed though no step reads them.
    kept: Vec<Value>,
    /// Everything that was written.
    written: FxHashSet<Token>,
    memory: MemoryContents,
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
        let mut arguments: Vec<(usize, bool)> = function.args().iter().map(|a| (a.ty.bytes(), false)).collect();
        let mut kept = vec![];
        let mut finally: Vec<Option<Value>> = function.arg_values().iter().copied().map(Some).collect();
        for result in &function.results {
            let ty = function.ty(result.value);
            match result.role {
                ResultRole::Update(arg) if entry => {
                    let (routine, step) = (routine.name.clone(), routine.steps.len());
                    match function.args().get(arg) {
                        Some(argument) if argument.ty != *ty => {
                            let expected = format!("%{}: {}", argument.name, argument.ty);
                            return Err(PlanError::Type {
                                routine,
                                step,
                                found: format!("an update of {ty}"),
                                expected,
                            });
                        }
                        Some(argument) if arguments[arg].1 => {
                            return Err(PlanError::Form {
                                routine,
                                what: format!("two updates of %{}", argument.name),
                            });
                        }
                        Some(_) => {}
                        None => return Err(PlanError::Form { routine, what: format!("an update of argument {arg}") }),
                    }
                    arguments[arg].1 = true;
                    finally[arg] = Some(result.value);
                }
                ResultRole::Check if entry => kept.push(result.value),
                _ => {
                    arguments.push((ty.bytes(), true));
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
            arguments,
            finally,
            kept,
            written: FxHashSet::default(),
            memory: MemoryContents::default(),
            same: FxHashMap::default(),
            step: 0,
        };
        if routine.arguments != checker.arguments.len() {
            return Err(checker.form(format!(
                "expected {} arguments, found {}",
                checker.arguments.len(),
                routine.arguments
            )));
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

    /// Arguments and constants hold their values; a reshape has the token of its operand.
    fn start(&mut self) {
        for (index, &value) in self.function.arg_values().iter().enumerate() {
            self.write(Span::new(Address::Argument { index, offset: 0 }, self.arguments[index].0), Token::Value(value));
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
        for (step, binding) in self.routine.steps.iter().zip(self.bindings) {
            match step {
                Step::Launch { kernel, operands } => self.launch(kernel.0 as usize, operands, binding)?,
                Step::Call { routine, frame, arguments } => {
                    self.call(routine.0 as usize, *frame, arguments, binding)?
                }
            }
            self.step += 1;
        }
        for index in 0..self.arguments.len() {
            let value = self.finally[index].expect("every index has a value at the end");
            self.read(Address::Argument { index, offset: 0 }, self.arguments[index].0, Token::Value(value))?;
        }
        for &value in &self.kept {
            let known = matches!(self.function.op(value.node), Some(Op::Constant(_)));
            if !known && !self.written.contains(&self.named(Token::Value(value))) {
                return Err(self.form(format!("no step computes the check {value:?}")));
            }
        }
        Ok(())
    }

    fn launch(&mut self, kernel: usize, addresses: &[Address], binding: &StepBinding) -> Result<(), PlanError> {
        let Some(kernel) = self.program.kernels.get_index(kernel) else {
            return Err(self.form(format!("unknown kernel {kernel}")));
        };
        if kernel.operands.len() != addresses.len() || binding.operands.len() != addresses.len() {
            return Err(self.form(format!(
                "found {} addresses for {} operands",
                addresses.len(),
                kernel.operands.len()
            )));
        }
        let mut read: SmallVec<[(Span, Address, AccessMode); 4]> = SmallVec::new();
        let mut written: SmallVec<[(Span, Address, AccessMode, Token); 2]> = SmallVec::new();
        for ((&address, operand), bound) in addresses.iter().zip(&kernel.operands).zip(&binding.operands) {
            let first = if let OperandBinding::Part { first, .. } = bound { *first } else { 0 };
            let bytes = |elements: usize| {
                let bytes = elements.checked_mul(operand.dtype.size());
                bytes.ok_or_else(|| self.form(format!("an operand of {elements} elements is too large")))
            };
            let start = address.minus(bytes(first)?);
            let address = start.ok_or_else(|| self.form(format!("{address:?} is before element {first}")))?;
            let bytes = bytes(first.saturating_add(operand.elements))?;
            let span = self.span(address, bytes)?;
            let Some(token) = self.expected_token(*bound, binding, operand.dtype)? else {
                // Constants are read-only.
                if (span.region, operand.mode) != (Region::Constants, AccessMode::Read) {
                    return Err(self.form("a constant operand is not in the constants".to_owned()));
                }
                continue;
            };
            let whole = self.check_type(token, operand, *bound)?.unwrap_or(bytes);
            let writes = match bound {
                // A later launch of the node may read what an earlier one has written.
                OperandBinding::Result(_) | OperandBinding::Temp(_) => operand.mode != AccessMode::Read,
                _ if operand.mode.is_write_only() => return Err(self.forbidden(address)),
                _ => false,
            };
            if writes {
                written.push((span, address, operand.mode, token));
            } else {
                self.read(address, whole, token)?;
                read.push((span, address, operand.mode));
            }
        }
        for (i, (span, address, mode, _)) in written.iter().enumerate() {
            self.writable(*span, *address)?;
            for (other, second, other_mode) in &read {
                let in_place = span == other && *mode == AccessMode::ReadWrite && *other_mode == AccessMode::ReadWrite;
                if span.overlaps(other) && !in_place {
                    return Err(self.overlap(*address, *second));
                }
            }
            for (other, second, ..) in &written[..i] {
                if span.overlaps(other) {
                    return Err(self.overlap(*address, *second));
                }
            }
        }
        for (span, _, _, token) in written {
            self.write(span, token);
        }
        Ok(())
    }

    /// The token that an operand should hold; `None` for a constant.
    fn expected_token(
        &self,
        binding: OperandBinding,
        step: &StepBinding,
        dtype: DType,
    ) -> Result<Option<Token>, PlanError> {
        if let Some(result) = step.copied {
            let result = self.function.results.get(result);
            let result = result.ok_or_else(|| self.form("a copy of a result that does not exist".to_owned()))?;
            return Ok(Some(Token::Value(self.canonical(result.value))));
        }
        let node = step.node.ok_or_else(|| self.form("a step without a node".to_owned()))?;
        let operands = &self.function.node(node).operands;
        Ok(match binding {
            OperandBinding::Operand(i) | OperandBinding::Part { operand: i, .. } => {
                let value = operands.get(i).ok_or_else(|| self.form(format!("unknown operand {i}")))?;
                Some(Token::Value(self.canonical(*value)))
            }
            OperandBinding::Result(i) if i < self.function.node(node).types.len() => {
                Some(Token::Value(self.canonical(Value { node, result: i as u32 })))
            }
            OperandBinding::Result(i) => return Err(self.form(format!("unknown result {i}"))),
            OperandBinding::Temp(i) => Some(Token::Temp(node, i, dtype)),
            OperandBinding::Constant => None,
        })
    }

    /// Checks that an operand has the dtype and the number of elements of the value that it is bound to, or of a part of it.
    /// Returns the bytes of the whole value.
    fn check_type(&self, token: Token, operand: &Operand, bound: OperandBinding) -> Result<Option<usize>, PlanError> {
        let Token::Value(value) = token else { return Ok(None) };
        let ty = self.function.ty(value);
        let size = ty.shape.elements();
        let expected = match bound {
            OperandBinding::Part { first, elements, .. } if first.saturating_add(elements) <= size => elements,
            _ => size,
        };
        if (ty.dtype, expected) == (operand.dtype, operand.elements) {
            return Ok(Some(ty.bytes()));
        }
        let found = format!("an operand of {}", Type::new(operand.dtype, [operand.elements]));
        Err(self.wrong_type(found, format!("{expected} elements of a value of {ty}")))
    }

    fn wrong_type(&self, found: String, expected: String) -> PlanError {
        PlanError::Type { routine: self.routine.name.clone(), step: self.step, found, expected }
    }

    fn call(
        &mut self,
        routine: usize,
        frame: usize,
        addresses: &[Address],
        binding: &StepBinding,
    ) -> Result<(), PlanError> {
        let (Some(callee), Some(function)) = (self.program.routines.get(routine), self.callees.get(routine)) else {
            return Err(self.form(format!("routine {routine} is not defined before this one")));
        };
        let node = binding.node.ok_or_else(|| self.form("a call without a node".to_owned()))?;
        let node_data = self.function.node(node);
        match node_data.op() {
            Some(Op::Call(call)) if call.func == function.name => {}
            _ => return Err(self.form(format!("a call of {} that the graph does not have", function.name))),
        }
        if addresses.len() != node_data.operands.len() + node_data.types.len() {
            return Err(self.form(format!("found {} arguments for {}", addresses.len(), function.name)));
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
                let expected = format!("{kind}s {} of {}", show(&theirs), function.name);
                return Err(self.wrong_type(format!("{kind}s {}", show(&own)), expected));
            }
        }
        let frame_span = self.span(Address::Frame(frame), callee.frame)?;
        let mut taken = SpanSet::default();
        taken.add(frame_span, Address::Frame(frame));
        let (reads, writes) = addresses.split_at(node_data.operands.len());
        for (&value, &address) in node_data.operands.iter().zip(reads) {
            let bytes = self.function.ty(value).bytes();
            let span = self.span(address, bytes)?;
            self.read(address, bytes, Token::Value(self.canonical(value)))?;
            if span.overlaps(&frame_span) {
                return Err(self.overlap(address, Address::Frame(frame)));
            }
            taken.add(span, address);
        }
        self.memory.erase(frame_span);
        for (i, (&address, ty)) in writes.iter().zip(node_data.types.iter()).enumerate() {
            let span = self.span(address, ty.bytes())?;
            self.writable(span, address)?;
            if let Some(other) = taken.overlapping(&span) {
                return Err(self.overlap(address, other));
            }
            taken.add(span, address);
            self.write(span, Token::Value(Value { node, result: i as u32 }));
        }
        Ok(())
    }

    /// The bytes at an address, if they are aligned and in bounds.
    fn span(&self, address: Address, bytes: usize) -> Result<Span, PlanError> {
        let span = Span::new(address, bytes);
        if !span.begin.is_multiple_of(ALIGN) {
            return Err(PlanError::Unaligned { routine: self.routine.name.clone(), step: self.step, address });
        }
        let size = match span.region {
            Region::Frame => Some(self.routine.frame),
            Region::Argument(index) => self.arguments.get(index).map(|s| s.0),
            Region::Constants => Some(self.program.constants.len()),
        };
        if size.is_none_or(|size| span.end > size) {
            return Err(PlanError::Outside { routine: self.routine.name.clone(), step: self.step, address, bytes });
        }
        Ok(span)
    }

    fn writable(&self, span: Span, address: Address) -> Result<(), PlanError> {
        let allowed = match span.region {
            Region::Frame => true,
            Region::Argument(index) => self.arguments[index].1,
            Region::Constants => false,
        };
        if allowed { Ok(()) } else { Err(self.forbidden(address)) }
    }

    fn forbidden(&self, address: Address) -> PlanError {
        PlanError::Forbidden { routine: self.routine.name.clone(), step: self.step, address }
    }

    fn overlap(&self, first: Address, second: Address) -> PlanError {
        PlanError::Overlap { routine: self.routine.name.clone(), step: self.step, first, second }
    }

    /// Checks that every byte holds the token.
    fn read(&self, address: Address, bytes: usize, expected: Token) -> Result<(), PlanError> {
        let expected = self.named(expected);
        let span = Span::new(address, bytes);
        if bytes == 0 {
            return Ok(());
        }
        let holds = match (span.region, expected) {
            (Region::Constants, Token::Value(value)) => self.constant(value, span),
            _ => self.memory.holds(span, expected),
        };
        if holds {
            return Ok(());
        }
        let expected = format!("{expected:?}");
        Err(PlanError::WrongValue { routine: self.routine.name.clone(), step: self.step, address, expected })
    }

    /// Whether a value is a constant with these bytes.
    fn constant(&self, value: Value, span: Span) -> bool {
        match self.function.op(value.node) {
            Some(Op::Constant(c)) => self.program.constants.get(span.begin..span.end) == Some(&*c.value.le_bytes()),
            _ => false,
        }
    }

    fn write(&mut self, span: Span, token: Token) {
        let token = self.named(token);
        self.written.insert(token);
        self.memory.write(span, token);
    }

    /// The canonical token of a value.
    fn named(&self, token: Token) -> Token {
        match token {
            Token::Value(value) => Token::Value(self.canonical(value)),
            temp @ Token::Temp(..) => temp,
        }
    }
}

/// If a kernel function only reshapes an argument, its index: the result aliases it.
fn reshaped(kernel: &Function) -> Option<usize> {
    let [result] = kernel.results.as_slice() else { return None };
    let chain = std::iter::successors(Some(result.value), |value| match kernel.op(value.node) {
        Some(Op::Reshape(_)) => kernel.node(value.node).operands.first().copied(),
        _ => None,
    });
    let source = chain.last().filter(|source| *source != result.value)?;
    kernel.arg_index(source)
}
