//! Copies of functions with changes.

use smallvec::SmallVec;

use super::{Def, Function, Node, NodeId, ResultRole, Value, values_of};

impl Function {
    /// For each node, by index, whether a result depends on it. Arguments always count as live.
    pub fn live(&self) -> Vec<bool> {
        let mut live = vec![false; self.node_count()];
        for result in &self.results {
            live[result.value.node.index()] = true;
        }
        for (id, node) in self.nodes().rev() {
            live[id.index()] |= matches!(node.def, Def::Argument(_));
            if live[id.index()] {
                for operand in &node.operands {
                    live[operand.node.index()] = true;
                }
            }
        }
        live
    }

    /// A copy with the same arguments in front, followed by what `rebuild` makes of each live operator, in order. `rebuild` gets
    /// the new function, the old node and the new operands, and returns the new values of its results.
    ///
    /// # Errors
    /// The first error of `rebuild`.
    pub fn try_rewrite<E>(
        &self,
        rebuild: impl FnMut(&mut Function, NodeId, &Node, &[Value]) -> Result<SmallVec<[Value; 1]>, E>,
    ) -> Result<Function, E> {
        self.rewrite_from(0..self.args.len(), rebuild)
    }

    /// [`try_rewrite`](Self::try_rewrite) with these arguments only, in this order.
    fn rewrite_from<E>(
        &self,
        args: impl Iterator<Item = usize>,
        mut rebuild: impl FnMut(&mut Function, NodeId, &Node, &[Value]) -> Result<SmallVec<[Value; 1]>, E>,
    ) -> Result<Function, E> {
        let mut new = self.like();
        let mut map: Vec<SmallVec<[Value; 1]>> = vec![SmallVec::new(); self.node_count()];
        let mut number = vec![None; self.args.len()];
        for (i, arg) in args.enumerate() {
            number[arg] = Some(i);
            map[self.arg_values[arg].node.index()].push(new.copy_arg(self, arg));
        }
        let live = self.live();
        for (id, node, _) in self.ops() {
            if live[id.index()] {
                let operands: SmallVec<[Value; 3]> =
                    node.operands.iter().map(|v| map[v.node.index()][v.result as usize]).collect();
                map[id.index()] = rebuild(&mut new, id, node, &operands)?;
            }
        }
        new.results = self.results.clone();
        for result in &mut new.results {
            result.value = map[result.value.node.index()][result.value.result as usize];
            if let ResultRole::Update(arg) = &mut result.role {
                *arg = number[*arg].expect("what is updated is an argument");
            }
        }
        Ok(new)
    }

    /// Whether [`compact`](Self::compact) would change nothing.
    pub fn is_compact(&self) -> bool {
        let in_front = self.arg_values.iter().enumerate().all(|(i, v)| v.node.index() == i);
        in_front && self.live().iter().skip(self.args.len()).all(|&live| live)
    }

    /// The function without dead operators, arguments in front.
    pub fn compacted(self) -> Function {
        if self.is_compact() { self } else { self.compact() }
    }

    /// A copy without dead operators, arguments in front.
    pub fn compact(&self) -> Function {
        self.copy_from(0..self.args.len())
    }

    /// A copy without dead operators, with these arguments only, in this order, in front.
    ///
    /// # Panics
    /// If another argument is used or updated.
    pub fn with_args(&self, order: &[usize]) -> Function {
        self.copy_from(order.iter().copied())
    }

    fn copy_from(&self, args: impl Iterator<Item = usize>) -> Function {
        let copied: Result<_, std::convert::Infallible> = self.rewrite_from(args, |new, _, node, operands| {
            let id = new.copy_node(node, operands);
            Ok(values_of(id, node.types.len()))
        });
        match copied {
            Ok(function) => function,
        }
    }
}
