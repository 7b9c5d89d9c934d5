//! Dead code elimination and dense renumbering, so that kernels with the same computation are equal however they were built.

use super::ir::*;

/// Removes unused instructions and numbers values in the order of their definition.
pub(super) fn eliminate_dead_code(kernel: &mut Kernel) {
    let mut used = vec![false; kernel.values.len()];
    used[0] = true;
    used[1] = true;
    mark(&kernel.body, &mut used);
    sweep(&mut kernel.body, &used);
    let mut renumbering = Renumbering { map: vec![u32::MAX; kernel.values.len()], values: Vec::new() };
    renumbering.define(&mut Val(0), &kernel.values);
    renumbering.define(&mut Val(1), &kernel.values);
    renumbering.block(&mut kernel.body, &kernel.values);
    kernel.values = renumbering.values;
}

/// Marks backwards: uses come after definitions, except for values that a loop carries to its next iteration.
fn mark(block: &Block, used: &mut [bool]) {
    fn set(used: &mut [bool], vals: impl IntoIterator<Item = Val>) {
        vals.into_iter().for_each(|v| used[v.0 as usize] = true);
    }
    for stmt in block.iter().rev() {
        match stmt {
            Stmt::Let(val, inst) if used[val.0 as usize] => set(used, inst.operands()),
            Stmt::Let(..) => {}
            Stmt::Store(access, value) => set(used, [access.index, *value].into_iter().chain(access.active)),
            Stmt::Check(cond, _) => set(used, [*cond]),
            Stmt::Loop(l) => {
                set(used, [l.begin, l.end].into_iter().chain(l.carried.iter().flat_map(|c| [c.init, c.next])));
                mark(&l.body, used);
            }
            Stmt::If(i) => {
                set(used, [i.cond].into_iter().chain(i.results.iter().flat_map(|m| [m.then, m.otherwise])));
                mark(&i.then, used);
                mark(&i.otherwise, used);
            }
        }
    }
}

fn sweep(block: &mut Block, used: &[bool]) {
    block.retain_mut(|stmt| match stmt {
        Stmt::Let(val, _) => used[val.0 as usize],
        Stmt::Loop(l) => {
            sweep(&mut l.body, used);
            !(l.body.is_empty() && l.carried.is_empty())
        }
        Stmt::If(i) => {
            sweep(&mut i.then, used);
            sweep(&mut i.otherwise, used);
            !(i.then.is_empty() && i.otherwise.is_empty() && i.results.is_empty())
        }
        Stmt::Store(..) | Stmt::Check(..) => true,
    });
}

struct Renumbering {
    map: Vec<u32>,
    values: Vec<Ty>,
}

impl Renumbering {
    fn define(&mut self, val: &mut Val, types: &[Ty]) {
        let new = self.values.len() as u32;
        self.values.push(types[val.0 as usize]);
        self.map[val.0 as usize] = new;
        val.0 = new;
    }

    fn rename(&self, val: &mut Val) {
        val.0 = self.map[val.0 as usize];
    }

    fn access(&self, access: &mut Access) {
        self.rename(&mut access.index);
        if let Some(active) = &mut access.active {
            self.rename(active);
        }
    }

    fn block(&mut self, block: &mut Block, types: &[Ty]) {
        for stmt in block {
            match stmt {
                Stmt::Let(val, inst) => {
                    inst.for_each_operand_mut(|val| self.rename(val));
                    self.define(val, types);
                }
                Stmt::Store(access, value) => {
                    self.access(access);
                    self.rename(value);
                }
                Stmt::Check(cond, _) => self.rename(cond),
                Stmt::Loop(l) => {
                    self.rename(&mut l.begin);
                    self.rename(&mut l.end);
                    self.define(&mut l.var, types);
                    for c in &mut l.carried {
                        self.rename(&mut c.init);
                        self.define(&mut c.arg, types);
                    }
                    self.block(&mut l.body, types);
                    for c in &mut l.carried {
                        self.rename(&mut c.next);
                        self.define(&mut c.result, types);
                    }
                }
                Stmt::If(i) => {
                    self.rename(&mut i.cond);
                    self.block(&mut i.then, types);
                    self.block(&mut i.otherwise, types);
                    for m in &mut i.results {
                        self.rename(&mut m.then);
                        self.rename(&mut m.otherwise);
                        self.define(&mut m.result, types);
                    }
                }
            }
        }
    }
}
