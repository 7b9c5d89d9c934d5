//! Register allocation: linear scan (Poletto and Sarkar, 1999) over the lifetimes of virtual registers.
//!
//! A lifetime goes from the definition to the last use, or, if that is in a loop which the definition is not in, to the end of that
//! loop. Values that a loop carries have a register that holds them where the body begins; it is free for others from their last use
//! to the end of the body, where the next values are copied to it, usually from itself. Where registers run out, the value that is used
//! least often for its lifetime is in memory for all of it: instructions read it there. Constants need no memory of their own.

use super::code::{Code, FIXED, Function};
use super::inst::{Class, Reg};
use super::isa::Isa;
use super::operands::Use;

/// Where a virtual register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is never used.
    Nowhere,
    /// A register of the machine.
    Register(u8),
    /// Memory of the frame, at this offset from the spilled values.
    Slot(u32),
    /// It is made again from the pool.
    Constant,
}

/// A place for every virtual register.
#[derive(Debug)]
pub(super) struct Allocation {
    places: Vec<Place>,
    /// Bytes of memory.
    pub slots: u32,
    /// Registers that are left free for values in memory, by class.
    pub spare: [&'static [u8]; 3],
}

impl Allocation {
    pub fn place(&self, reg: Reg) -> Place {
        self.places[(reg.0 - FIXED) as usize]
    }

    /// The general registers that hold values.
    pub fn used_general<'a>(&'a self, function: &'a Function) -> impl Iterator<Item = u8> + 'a {
        let general = self.places.iter().zip(&function.regs).filter(|(_, reg)| reg.class == Class::General);
        let spare = self.spare[Class::General as usize].iter().copied();
        general
            .filter_map(|(place, _)| match place {
                Place::Register(n) => Some(*n),
                _ => None,
            })
            .chain(spare)
    }
}

/// General registers, those that calls do not preserve first. `rax` and `rdx` are [for selection](super::code::RAX).
const GENERAL: [u8; 13] = [1, 6, 7, 8, 9, 10, 11, 3, 5, 12, 13, 14, 15];
/// `k0` is no mask, but the absence of one.
const MASKS: [u8; 7] = [1, 2, 3, 4, 5, 6, 7];
/// The registers in which the parameters arrive.
pub(super) const PARAMETERS: [u8; 4] = [7, 6, 2, 1];

/// The lifetime of a virtual register. Position 2i is that of the reads of item i of the code, 2i + 1 that of its writes.
#[derive(Clone, Copy, Debug)]
struct Lifetime {
    start: u32,
    end: u32,
    /// The uses, by how often they are executed.
    weight: f32,
}

const NEVER: u32 = u32::MAX;

/// Finds places for all virtual registers.
pub(super) fn allocate(function: &Function, isa: Isa) -> Allocation {
    let lifetimes = lifetimes(function);
    let mut order: Vec<u32> =
        (0..function.regs.len() as u32).filter(|&i| lifetimes[i as usize].start != NEVER).collect();
    order.sort_by_key(|&i| lifetimes[i as usize].start);
    let vectors: Vec<u8> = (0..isa.vector_registers() as u8).collect();
    let mut allocation = Allocation { places: vec![], slots: 0, spare: [&[], &[], &[]] };
    allocation.places = vec![Place::Nowhere; function.regs.len()];
    for class in [Class::General, Class::Vector, Class::Mask] {
        let registers: &[u8] = match class {
            Class::General => &GENERAL,
            Class::Vector => &vectors,
            Class::Mask => &MASKS,
        };
        let order: Vec<u32> = order.iter().copied().filter(|&i| function.regs[i as usize].class == class).collect();
        let mut scan = Scan { function, lifetimes: &lifetimes, places: &mut allocation.places, class };
        if scan.run(&order, registers) {
            // Instructions with several operands in memory need registers for them.
            let spare = spare(function, class, isa);
            let left: Vec<u8> = registers.iter().copied().filter(|n| !spare.contains(n)).collect();
            scan.run(&order, &left);
            allocation.spare[class as usize] = spare;
        }
    }
    for (place, reg) in allocation.places.iter_mut().zip(&function.regs) {
        if let Place::Slot(offset) = place {
            let bytes = u32::from(reg.bytes).max(8);
            *offset = allocation.slots.next_multiple_of(bytes);
            allocation.slots = *offset + bytes;
        }
    }
    allocation
}

/// As many registers as the operands of an instruction that cannot be memory, where all are.
fn spare(function: &Function, class: Class, isa: Isa) -> &'static [u8] {
    let gathers = |code: &Code| matches!(code, Code::Inst(inst) if inst.op.clears_mask() && !inst.op.has_evex());
    match (class, isa) {
        (Class::General, _) => &[10, 11],
        (Class::Mask, _) => &[6, 7],
        (Class::Vector, Isa::Avx512) => &[29, 30, 31],
        (Class::Vector, Isa::Avx2) if function.code.iter().any(gathers) => &[13, 14, 15],
        (Class::Vector, Isa::Avx2) => &[14, 15],
    }
}

fn lifetimes(function: &Function) -> Vec<Lifetime> {
    let mut lifetimes = vec![Lifetime { start: NEVER, end: 0, weight: 0.0 }; function.regs.len()];
    // The parameters are defined before all else.
    lifetimes.iter_mut().take(PARAMETERS.len()).for_each(|l| (l.start, l.end) = (0, 0));
    // The last loop to whose end each register is live.
    let mut until: Vec<u32> = vec![NEVER; function.regs.len()];
    let mut ends: Vec<u32> = vec![];
    let mut loops: Vec<u32> = vec![];
    let mut frequency = 1f32;
    let mut outer: Vec<f32> = vec![];
    for (i, code) in function.code.iter().enumerate() {
        let at = 2 * i as u32;
        match code {
            Code::LoopBegin => {
                loops.push(ends.len() as u32);
                ends.push(NEVER);
                outer.push(frequency);
                frequency = (frequency * 8.0).min(1e6);
            }
            Code::LoopEnd => {
                let number = loops.pop().expect("loops are nested");
                ends[number as usize] = at + 1;
                frequency = outer.pop().expect("loops are nested");
            }
            Code::RareBegin => {
                outer.push(frequency);
                frequency /= 1024.0;
            }
            Code::RareEnd => frequency = outer.pop().expect("they are nested"),
            _ => {}
        }
        code.for_each_use(|reg, how| {
            let index = (reg.0 - FIXED) as usize;
            let known = function.reg(reg);
            let lifetime = &mut lifetimes[index];
            lifetime.weight += frequency;
            if how == Use::Write {
                if lifetime.start == NEVER {
                    (lifetime.start, lifetime.end) = (at + 1, at + 1);
                }
                return;
            }
            let depth = usize::from(known.depth);
            // What a loop has carried is read right behind it, where its register still has it.
            if depth > loops.len() {
                return;
            }
            lifetime.end = lifetime.end.max(at + u32::from(how == Use::Modify));
            if depth < loops.len() {
                until[index] = loops[depth];
            }
        });
    }
    for (lifetime, until) in lifetimes.iter_mut().zip(until) {
        if until != NEVER {
            lifetime.end = lifetime.end.max(ends[until as usize]);
        }
    }
    lifetimes
}

/// The scan of one class.
struct Scan<'a> {
    function: &'a Function,
    lifetimes: &'a [Lifetime],
    places: &'a mut [Place],
    class: Class,
}

impl Scan<'_> {
    /// Places all registers of the class, in the order of their definitions; returns whether any is not in a register.
    fn run(&mut self, order: &[u32], registers: &[u8]) -> bool {
        // What is in each register, and from when on it is free.
        let mut occupants = [0u32; 32];
        let mut free_from = [u32::MAX; 32];
        registers.iter().for_each(|&n| free_from[usize::from(n)] = 0);
        let mut spilled = false;
        for &current in order {
            let Lifetime { start, end, .. } = self.lifetimes[current as usize];
            let is_free = |n: u8| free_from[usize::from(n)] <= start;
            let wanted = self.wanted(current).filter(|&n| is_free(n));
            let free = wanted.or_else(|| registers.iter().copied().find(|&n| is_free(n)));
            if let Some(n) = free {
                (occupants[usize::from(n)], free_from[usize::from(n)]) = (current, end + 1);
                self.places[current as usize] = Place::Register(n);
                continue;
            }
            spilled = true;
            let victim = registers
                .iter()
                .map(|&n| (n, occupants[usize::from(n)]))
                .min_by(|&(_, x), &(_, y)| self.density(x).total_cmp(&self.density(y)))
                .filter(|&(_, occupant)| self.density(occupant) < self.density(current));
            let loser = match victim {
                Some((n, occupant)) => {
                    (occupants[usize::from(n)], free_from[usize::from(n)]) = (current, end + 1);
                    self.places[current as usize] = Place::Register(n);
                    occupant
                }
                None => current,
            };
            let constant = self.function.regs[loser as usize].constant.is_some();
            self.places[loser as usize] = if constant { Place::Constant } else { Place::Slot(0) };
        }
        spilled
    }

    /// How much a register is worth to a value.
    fn density(&self, reg: u32) -> f32 {
        let lifetime = &self.lifetimes[reg as usize];
        // A constant is read from memory, but never written.
        let factor = if self.function.regs[reg as usize].constant.is_some() { 0.5 } else { 1.0 };
        factor * lifetime.weight / (lifetime.end - lifetime.start + 2) as f32
    }

    /// The register that saves a copy.
    fn wanted(&self, reg: u32) -> Option<u8> {
        if self.class == Class::General && (reg as usize) < PARAMETERS.len() {
            return Some(PARAMETERS[reg as usize]);
        }
        let other = self.function.regs[reg as usize].hint?;
        if !other.is_virtual() {
            return None;
        }
        match self.places[(other.0 - FIXED) as usize] {
            Place::Register(n) => Some(n),
            _ => None,
        }
    }
}
