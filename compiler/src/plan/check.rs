//! The buffer checker: replays a scheduled program without its numbers. Memory holds *tokens*, one for each value of the graph,
//! and every read must find the token of the value that the graph says is read there.
//!
//! It works from the graph and the finished [`Step`]s and shares no code with what made them, as the register
//! allocation checker of regalloc2 does. Of the scheduler it believes only which operand of a kernel stands for which
//! operand or result of the node ([`Note`]).

mod fault;
mod memory;

use dlc_ir::{Def, Function, FunctionKind, Graph, NodeId, Op, ResultRole, Value};
use rustc_hash::FxHashMap;

use crate::kernel::Mode;
use crate::kernel::program::{ALIGN, KernelProgram, Place, Routine, Step};
pub use fault::Fault;
use memory::{Memory, Region, Span, Taken, Token};

/// What an operand of a launched kernel stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
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
pub struct Note {
    /// The node that it computes; none for a copy.
    pub node: Option<NodeId>,
    /// For a copy, the function's result that it is for.
    pub copied: Option<usize>,
    /// What the operands of a launch stand for.
    pub operands: Vec<Meaning>,
}

/// Checks every routine of a program against the function that it was made from. `notes` are by routine and step.
///
/// # Errors
/// The first fault.
pub fn check(graph: &Graph, program: &KernelProgram, notes: &[Vec<Note>]) -> Result<(), Fault> {
    let entry = graph.entry().name.clone();
    let functions: Vec<&Function> =
        graph.functions().filter(|f| f.kind == FunctionKind::Func || f.name == entry).collect();
    if functions.len() != program.routines.len() || notes.len() != functions.len() {
        let what = format!("{} functions, {} routines", functions.len(), program.routines.len());
        return Err(Fault::Form { routine: String::new(), what });
    }
    for (i, function) in functions.iter().enumerate() {
        let is_entry = i + 1 == functions.len();
        Checker::new(graph, program, &functions, function, &program.routines[i], &notes[i], is_entry)?.run()?;
    }
    Ok(())
}

struct Checker<'a> {
    program: &'a KernelProgram,
    graph: &'a Graph,
    functions: &'a [&'a Function],
    function: &'a Function,
    routine: &'a Routine,
    notes: &'a [Note],
    /// The sizes of the routine's arguments in bytes, and whether each may be written.
    slots: Vec<(usize, bool)>,
    /// What must stand in an argument at the end.
    finally: Vec<Option<Value>>,
    memory: Memory,
    same: FxHashMap<Value, Value>,
    step: usize,
}

impl<'a> Checker<'a> {
    fn new(
        graph: &'a Graph,
        program: &'a KernelProgram,
        functions: &'a [&'a Function],
        function: &'a Function,
        routine: &'a Routine,
        notes: &'a [Note],
        entry: bool,
    ) -> Result<Self, Fault> {
        let mut slots: Vec<(usize, bool)> = function.args().iter().map(|a| (a.ty.bytes(), false)).collect();
        let mut finally: Vec<Option<Value>> = function.arg_values().iter().copied().map(Some).collect();
        for result in &function.results {
            match result.role {
                ResultRole::Update(arg) if entry => {
                    slots[arg].1 = true;
                    finally[arg] = Some(result.value);
                }
                _ => {
                    slots.push((function.ty(result.value).bytes(), true));
                    finally.push(Some(result.value));
                }
            }
        }
        let mut checker = Checker {
            program,
            graph,
            functions,
            function,
            routine,
            notes,
            slots,
            finally,
            memory: Memory::default(),
            same: FxHashMap::default(),
            step: 0,
        };
        if routine.arguments != checker.slots.len() {
            return Err(checker.form(format!("{} arguments, not {}", routine.arguments, checker.slots.len())));
        }
        if routine.steps.len() != notes.len() {
            return Err(checker.form(format!("{} notes for {} steps", notes.len(), routine.steps.len())));
        }
        checker.start();
        Ok(checker)
    }

    fn form(&self, what: String) -> Fault {
        Fault::Form { routine: self.routine.name.clone(), what }
    }

    /// Arguments and constants hold their values; reshapes are the same token as what they reshape.
    fn start(&mut self) {
        for (slot, &value) in self.function.arg_values().iter().enumerate() {
            self.write(Span::new(Place::Argument { slot, offset: 0 }, self.slots[slot].0), Token::Value(value));
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

    fn run(mut self) -> Result<(), Fault> {
        for (step, note) in self.routine.steps.iter().zip(self.notes) {
            match step {
                Step::Launch { kernel, operands } => self.launch(kernel.0 as usize, operands, note)?,
                Step::Call { routine, frame, arguments } => self.call(routine.0 as usize, *frame, arguments, note)?,
            }
            self.step += 1;
        }
        for slot in 0..self.slots.len() {
            let value = self.finally[slot].expect("every slot has a value at the end");
            self.read(Place::Argument { slot, offset: 0 }, self.slots[slot].0, Token::Value(value))?;
        }
        Ok(())
    }

    fn launch(&mut self, kernel: usize, places: &[Place], note: &Note) -> Result<(), Fault> {
        let Some(kernel) = self.program.kernels.get_index(kernel) else {
            return Err(self.form(format!("there is no kernel {kernel}")));
        };
        if kernel.operands.len() != places.len() || note.operands.len() != places.len() {
            return Err(self.form(format!("{} places for {} operands", places.len(), kernel.operands.len())));
        }
        let mut read: Vec<(Span, Place, Mode)> = vec![];
        let mut written: Vec<(Span, Place, Mode, Token)> = vec![];
        for ((&place, operand), meaning) in places.iter().zip(&kernel.operands).zip(&note.operands) {
            let bytes = operand.elements * operand.dtype.size();
            let span = self.span(place, bytes)?;
            let token = self.meant(*meaning, note)?;
            let writes = matches!(meaning, Meaning::Result(_))
                || (matches!(meaning, Meaning::Temp(_)) && operand.mode != Mode::Read);
            match (writes, token) {
                (true, Some(token)) => {
                    if operand.mode == Mode::Read {
                        // A later launch of the node reads what an earlier one has written.
                        self.read(place, bytes, token)?;
                        read.push((span, place, operand.mode));
                        continue;
                    }
                    self.check_size(token, bytes)?;
                    written.push((span, place, operand.mode, token));
                }
                (false, Some(token)) => {
                    if operand.mode == Mode::Write {
                        return Err(self.forbidden(place));
                    }
                    self.check_size(token, bytes)?;
                    self.read(place, bytes, token)?;
                    read.push((span, place, operand.mode));
                }
                // Constants do not change.
                (_, None) => match (span.region, operand.mode) {
                    (Region::Constants, Mode::Read) => {}
                    _ => return Err(self.form("a constant outside of the constants".to_owned())),
                },
            }
        }
        for (i, (span, place, mode, _)) in written.iter().enumerate() {
            self.writable(*span, *place)?;
            for (other, second, other_mode) in &read {
                let in_place = span == other && *mode == Mode::ReadWrite && *other_mode == Mode::ReadWrite;
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
    fn meant(&self, meaning: Meaning, note: &Note) -> Result<Option<Token>, Fault> {
        if let Some(result) = note.copied {
            let result = self.function.results.get(result);
            let result = result.ok_or_else(|| self.form("a copy of no result".to_owned()))?;
            return Ok(Some(Token::Value(self.canonical(result.value))));
        }
        let node = note.node.ok_or_else(|| self.form("a step for nothing".to_owned()))?;
        let operands = &self.function.node(node).operands;
        Ok(match meaning {
            Meaning::Operand(i) => {
                let value = operands.get(i).ok_or_else(|| self.form(format!("there is no operand {i}")))?;
                Some(Token::Value(self.canonical(*value)))
            }
            Meaning::Result(i) => Some(Token::Value(self.canonical(Value { node, result: i as u32 }))),
            Meaning::Temp(i) => Some(Token::Temp(node, i)),
            Meaning::Constant => None,
        })
    }

    fn check_size(&self, token: Token, bytes: usize) -> Result<(), Fault> {
        match token {
            Token::Value(value) if self.function.ty(value).bytes() != bytes => {
                Err(self.form(format!("{bytes} bytes for a value of {}", self.function.ty(value))))
            }
            _ => Ok(()),
        }
    }

    fn call(&mut self, routine: usize, frame: usize, places: &[Place], note: &Note) -> Result<(), Fault> {
        let (Some(callee), Some(function)) = (self.program.routines.get(routine), self.functions.get(routine)) else {
            return Err(self.form(format!("there is no routine {routine}")));
        };
        let node = note.node.ok_or_else(|| self.form("a call for nothing".to_owned()))?;
        let node_data = self.function.node(node);
        match &node_data.def {
            Def::Op(Op::Call(call)) if call.func == function.name => {}
            _ => return Err(self.form(format!("a call of {} where the graph has none", function.name))),
        }
        if places.len() != node_data.operands.len() + node_data.types.len() {
            return Err(self.form(format!("{} arguments for {}", places.len(), function.name)));
        }
        let frame_span = self.span(Place::Frame(frame), callee.frame)?;
        let mut taken = Taken::default();
        taken.add(frame_span, Place::Frame(frame));
        let (reads, writes) = places.split_at(node_data.operands.len());
        for (&value, &place) in node_data.operands.iter().zip(reads) {
            let bytes = self.function.ty(value).bytes();
            let span = self.span(place, bytes)?;
            self.read(place, bytes, Token::Value(self.canonical(value)))?;
            if span.overlaps(&frame_span) {
                return Err(self.overlap(place, Place::Frame(frame)));
            }
            taken.add(span, place);
        }
        self.memory.erase(frame_span);
        for (i, (&place, ty)) in writes.iter().zip(&node_data.types).enumerate() {
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
    fn span(&self, place: Place, bytes: usize) -> Result<Span, Fault> {
        let span = Span::new(place, bytes);
        if !span.begin.is_multiple_of(ALIGN) {
            return Err(Fault::Unaligned { routine: self.routine.name.clone(), step: self.step, place });
        }
        let size = match span.region {
            Region::Frame => Some(self.routine.frame),
            Region::Slot(slot) => self.slots.get(slot).map(|s| s.0),
            Region::Constants => Some(self.program.constants.len()),
        };
        if size.is_none_or(|size| span.end > size) {
            return Err(Fault::Outside { routine: self.routine.name.clone(), step: self.step, place, bytes });
        }
        Ok(span)
    }

    fn writable(&self, span: Span, place: Place) -> Result<(), Fault> {
        let allowed = match span.region {
            Region::Frame => true,
            Region::Slot(slot) => self.slots[slot].1,
            Region::Constants => false,
        };
        if allowed { Ok(()) } else { Err(self.forbidden(place)) }
    }

    fn forbidden(&self, place: Place) -> Fault {
        Fault::Forbidden { routine: self.routine.name.clone(), step: self.step, place }
    }

    fn overlap(&self, first: Place, second: Place) -> Fault {
        Fault::Overlap { routine: self.routine.name.clone(), step: self.step, first, second }
    }

    /// Checks that every byte holds the token.
    fn read(&self, place: Place, bytes: usize, wanted: Token) -> Result<(), Fault> {
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
        Err(Fault::WrongValue { routine: self.routine.name.clone(), step: self.step, place, wanted })
    }

    /// Whether a value is a constant whose bytes stand there.
    fn constant(&self, value: Value, span: Span) -> bool {
        match self.function.op(value.node) {
            Some(Op::Constant(c)) => self.program.constants.get(span.begin..span.end) == Some(&c.value.to_le_bytes()),
            _ => false,
        }
    }

    fn write(&mut self, span: Span, token: Token) {
        self.memory.write(span, self.named(token));
    }

    /// The token under the one name of its value.
    fn named(&self, token: Token) -> Token {
        match token {
            Token::Value(value) => Token::Value(self.canonical(value)),
            temp => temp,
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
