//! What the native emitter makes of a program as text, for people.

use std::fmt::Write;

use super::{Compiler, Item, Native, body};
use crate::codegen::EmitError;
use crate::codegen::clif::{Functions, RegisterAllocation};
use crate::codegen::compiler::{Form, Kernels};
use crate::codegen::image::ImageLayout;
use crate::routine::program::KernelProgram;

impl Native {
    /// The input of Cranelift, of all functions of a program: also of kernels that it does not compile for the target.
    ///
    /// # Errors
    /// Only if Cranelift lacks the target.
    pub fn clif(&self, program: &KernelProgram) -> Result<String, EmitError> {
        let mut functions = Functions::new(self.target, RegisterAllocation::Backtracking)?;
        let layout = ImageLayout::new(program);
        let mut text = String::new();
        for item in Item::all(program) {
            let other = matches!(item, Item::Kernel(_)) && self.kernels != Kernels::Cranelift;
            let note = if other { ", which Cranelift does not compile for this target" } else { "" };
            let function = functions.text(item.number(program), body(program, &layout, item));
            let _ = writeln!(text, "; {}{note}\n{function}", item.describe(program));
        }
        Ok(text)
    }

    /// The assembly text of all functions of a program.
    ///
    /// # Errors
    /// Only if a compiler has a bug.
    pub fn assembly(&self, program: &KernelProgram) -> Result<String, EmitError> {
        self.assembly_of(program, &|_| vec![])
    }

    /// The same, with the places in the source from where each kernel is launched.
    ///
    /// # Errors
    /// As [`Native::assembly`].
    pub fn assembly_of(
        &self,
        program: &KernelProgram,
        launches: &dyn Fn(usize) -> Vec<String>,
    ) -> Result<String, EmitError> {
        let layout = ImageLayout::new(program);
        let mut compiler = Compiler::new(self, program, &layout)?;
        let mut text = String::new();
        for item in Item::all(program) {
            let code = compiler.compile(item, Form::Text)?;
            let _ = write!(text, "; {}", item.describe(program));
            if let Item::Kernel(i) = item {
                let _ = write!(text, ", by {} for {}", self.kernels.name(), self.target);
                launches(i).iter().for_each(|place| text.push_str(&format!("\n; launched at {place}")));
            }
            let _ = writeln!(text, "\n{}", code.text.unwrap_or_default());
        }
        Ok(text)
    }
}
