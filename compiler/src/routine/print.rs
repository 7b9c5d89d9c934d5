//! The text form of programs, as `--emit=kernels` shows it.

use std::fmt;

use super::program::{Address, KernelProgram, Step};
use crate::kernel::print::kernel;

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Address::Frame(offset) => write!(f, "frame+{offset}"),
            Address::Argument { index, offset: 0 } => write!(f, "arg{index}"),
            Address::Argument { index, offset } => write!(f, "arg{index}+{offset}"),
            Address::Constant(offset) => write!(f, "const+{offset}"),
        }
    }
}

impl fmt::Display for KernelProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, k) in self.names.iter().zip(&self.kernels) {
            f.write_str(&kernel(name, k))?;
        }
        for routine in &self.routines {
            writeln!(f, "routine @{}(args {}) frame {} {{", routine.name, routine.arguments, routine.frame)?;
            for step in &routine.steps {
                let (verb, name, addresses) = match step {
                    Step::Launch { kernel, operands } => ("launch", &self.names[kernel.0 as usize], operands),
                    Step::Call { routine, arguments, .. } => {
                        ("call", &self.routines[routine.0 as usize].name, arguments)
                    }
                };
                write!(f, "  {verb} @{name}(")?;
                for (i, address) in addresses.iter().enumerate() {
                    write!(f, "{}{address}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str(")")?;
                if let Step::Call { frame, .. } = step {
                    write!(f, " at frame+{frame}")?;
                }
                f.write_str("\n")?;
            }
            f.write_str("}\n")?;
        }
        Ok(())
    }
}
