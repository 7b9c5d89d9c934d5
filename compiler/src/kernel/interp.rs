//! The kernel interpreter: defines what emitters must implement, and detects accesses outside of buffers.

use dlc_ir::DType;

use super::eval;
use super::ir::*;

/// The memory of a kernel's operands. Scratch memory and tables belong to the interpreter.
pub trait OperandMemory {
    /// The bits of one element: unsigned and zero-extended, as in memory.
    fn read(&self, operand: usize, dtype: DType, element: usize) -> u64;
    /// Writes the low bits of `bits` to one element.
    fn write(&mut self, operand: usize, dtype: DType, element: usize, bits: u64);
}

/// Reads the bits of an element out of bytes.
pub(crate) fn read_bytes(bytes: &[u8], dtype: DType, element: usize) -> u64 {
    let size = dtype.size();
    let mut raw = [0u8; 8];
    raw[..size].copy_from_slice(&bytes[element * size..][..size]);
    u64::from_le_bytes(raw)
}

/// Writes the bits of an element into bytes.
pub(crate) fn write_bytes(bytes: &mut [u8], dtype: DType, element: usize, bits: u64) {
    let size = dtype.size();
    bytes[element * size..][..size].copy_from_slice(&bits.to_le_bytes()[..size]);
}

impl OperandMemory for [Vec<u8>] {
    fn read(&self, operand: usize, dtype: DType, element: usize) -> u64 {
        read_bytes(&self[operand], dtype, element)
    }

    fn write(&mut self, operand: usize, dtype: DType, element: usize, bits: u64) {
        write_bytes(&mut self[operand], dtype, element, bits);
    }
}

/// Why a kernel stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// A [`Stmt::Check`] failed.
    #[error("check failed with status {0}")]
    Check(i32),
    /// A bug in the kernel: it accesses an element outside of its buffer.
    #[error("element {element} of buffer {buf:?}, which has {elements}")]
    OutOfBounds {
        buf: Buf,
        element: i64,
        /// The size of the buffer.
        elements: usize,
    },
}

type Lanes = [u64; Ty::MAX_LANES as usize];

/// Executes the chunks `begin..end` of a kernel.
pub fn run(
    kernel: &Kernel,
    memory: &mut (impl OperandMemory + ?Sized),
    begin: usize,
    end: usize,
) -> Result<(), KernelError> {
    let scratch = kernel.scratch.iter().map(|s| vec![0xa5; s.elements * s.dtype.size()]).collect();
    let mut machine = Execution { kernel, memory, scratch, values: vec![[0; 16]; kernel.values.len()] };
    machine.values[0] = [begin as u64; 16];
    machine.values[1] = [end as u64; 16];
    machine.block(&kernel.body)
}

struct Execution<'a, M: ?Sized> {
    kernel: &'a Kernel,
    memory: &'a mut M,
    scratch: Vec<Vec<u8>>,
    values: Vec<Lanes>,
}

impl<M: OperandMemory + ?Sized> Execution<'_, M> {
    fn get(&self, val: Val) -> &Lanes {
        &self.values[val.0 as usize]
    }

    fn scalar(&self, val: Val) -> i64 {
        self.get(val)[0] as i64
    }

    fn copy(&mut self, to: Val, from: Val) {
        self.values[to.0 as usize] = self.values[from.0 as usize];
    }

    fn block(&mut self, block: &Block) -> Result<(), KernelError> {
        for stmt in block {
            match stmt {
                Stmt::Let(val, inst) => {
                    let lanes = self.inst(inst, self.kernel.ty(*val))?;
                    self.values[val.0 as usize] = lanes;
                }
                Stmt::Store(access, value) => self.store(access, *value)?,
                Stmt::Check(cond, status) => {
                    if self.scalar(*cond) == 0 {
                        return Err(KernelError::Check(*status));
                    }
                }
                Stmt::Loop(l) => self.repeat(l)?,
                Stmt::If(i) => {
                    let taken = self.scalar(i.cond) != 0;
                    self.block(if taken { &i.then } else { &i.otherwise })?;
                    for m in &i.results {
                        self.copy(m.result, if taken { m.then } else { m.otherwise });
                    }
                }
            }
        }
        Ok(())
    }

    fn repeat(&mut self, l: &Loop) -> Result<(), KernelError> {
        for c in &l.carried {
            self.copy(c.arg, c.init);
        }
        let (mut i, end) = (self.scalar(l.begin), self.scalar(l.end));
        let mut next = vec![[0; 16]; l.carried.len()];
        while i < end {
            self.values[l.var.0 as usize] = [i as u64; 16];
            self.block(&l.body)?;
            // Assign all at once: a carried value may be the previous value of another one.
            for (slot, c) in next.iter_mut().zip(&l.carried) {
                *slot = *self.get(c.next);
            }
            for (slot, c) in next.iter().zip(&l.carried) {
                self.values[c.arg.0 as usize] = *slot;
            }
            i += l.step;
        }
        for c in &l.carried {
            self.copy(c.result, c.arg);
        }
        Ok(())
    }

    /// The lanes that an access has.
    fn active(&self, access: &Access, lanes: u8) -> impl Iterator<Item = usize> + use<M> {
        let mask = match access.active {
            Some(mask) if self.kernel.ty(mask).elem == Elem::Bool => self.get(mask).map(|lane| lane != 0),
            Some(n) => std::array::from_fn(|lane| (lane as i64) < self.scalar(n)),
            None => [true; 16],
        };
        (0..usize::from(lanes)).filter(move |&lane| mask[lane])
    }

    fn element(&self, buf: Buf, element: i64) -> Result<(DType, usize), KernelError> {
        let (dtype, elements) = self.kernel.extent(buf);
        match usize::try_from(element) {
            Ok(e) if e < elements => Ok((dtype, e)),
            _ => Err(KernelError::OutOfBounds { buf, element, elements }),
        }
    }

    fn read(&self, buf: Buf, element: i64) -> Result<u64, KernelError> {
        let (dtype, element) = self.element(buf, element)?;
        let bits = match self.kernel.buffer(buf) {
            BufKind::Operand(i) => self.memory.read(i, dtype, element),
            BufKind::Scratch(i) => read_bytes(&self.scratch[i], dtype, element),
            BufKind::Table(i) => read_bytes(&self.kernel.tables[i].bytes, dtype, element),
        };
        Ok(if dtype == DType::I32 { i64::from(bits as i32) as u64 } else { bits })
    }

    fn store(&mut self, access: &Access, value: Val) -> Result<(), KernelError> {
        let lanes = self.kernel.ty(value).lanes;
        let base = self.scalar(access.index).wrapping_add(access.offset);
        for lane in self.active(access, lanes) {
            let (dtype, element) =
                self.element(access.buf, base.wrapping_add(access.stride.wrapping_mul(lane as i64)))?;
            let bits = self.get(value)[lane];
            match self.kernel.buffer(access.buf) {
                BufKind::Operand(i) => self.memory.write(i, dtype, element, bits),
                BufKind::Scratch(i) => write_bytes(&mut self.scratch[i], dtype, element, bits),
                BufKind::Table(_) => unreachable!("the verifier forbids stores to tables"),
            }
        }
        Ok(())
    }

    fn inst(&self, inst: &Inst, ty: Ty) -> Result<Lanes, KernelError> {
        let mut out = [0; 16];
        let n = usize::from(ty.lanes);
        let elem_of = |v: Val| self.kernel.ty(v).elem;
        match *inst {
            Inst::Const(c) => out = [eval::constant(c); 16],
            Inst::Iota => (0..n).for_each(|i| out[i] = i as u64),
            Inst::Unary(op, x) => (0..n).for_each(|i| out[i] = eval::unary(op, ty.elem, self.get(x)[i])),
            Inst::Binary(op, x, y) => {
                (0..n).for_each(|i| out[i] = eval::binary(op, ty.elem, self.get(x)[i], self.get(y)[i]));
            }
            Inst::Fma(a, b, c) => {
                let (a, b, c) = (self.get(a), self.get(b), self.get(c));
                (0..n).for_each(|i| out[i] = eval::fma(ty.elem, a[i], b[i], c[i]));
            }
            Inst::DivFloor(x, d) => {
                (0..n).for_each(|i| out[i] = eval::div_mod(ty.elem, self.get(x)[i], d, false));
            }
            Inst::Mod(x, d) => (0..n).for_each(|i| out[i] = eval::div_mod(ty.elem, self.get(x)[i], d, true)),
            Inst::Compare(op, x, y) => {
                (0..n).for_each(|i| out[i] = eval::compare(op, elem_of(x), self.get(x)[i], self.get(y)[i]));
            }
            Inst::Select(c, x, y) => {
                (0..n).for_each(|i| out[i] = if self.get(c)[i] != 0 { self.get(x)[i] } else { self.get(y)[i] });
            }
            Inst::Convert(x) => (0..n).for_each(|i| out[i] = eval::convert(elem_of(x), ty.elem, self.get(x)[i])),
            Inst::Bitcast(x) => (0..n).for_each(|i| out[i] = eval::bitcast(ty.elem, self.get(x)[i])),
            Inst::Splat(x) => out = [self.get(x)[0]; 16],
            Inst::Lane(x, lane) => out[0] = self.get(x)[usize::from(lane)],
            Inst::Half(x, upper) => {
                let start = if upper { n } else { 0 };
                out[..n].copy_from_slice(&self.get(x)[start..start + n]);
            }
            Inst::Interleave(x, y, upper) => {
                let start = if upper { n / 2 } else { 0 };
                let (x, y) = (self.get(x), self.get(y));
                (0..n).for_each(|i| out[i] = if i % 2 == 0 { x[start + i / 2] } else { y[start + i / 2] });
            }
            Inst::Any(x) => {
                let lanes = usize::from(self.kernel.ty(x).lanes);
                out[0] = u64::from(self.get(x)[..lanes].iter().any(|&l| l != 0));
            }
            Inst::Load(ref access) => {
                let base = self.scalar(access.index).wrapping_add(access.offset);
                for lane in self.active(access, ty.lanes) {
                    out[lane] = self.read(access.buf, base.wrapping_add(access.stride.wrapping_mul(lane as i64)))?;
                }
            }
            Inst::Gather { buf, index, offset } => {
                for (out, &index) in out.iter_mut().zip(self.get(index)).take(n) {
                    *out = self.read(buf, (index as i64).wrapping_add(offset))?;
                }
            }
        }
        Ok(out)
    }
}
