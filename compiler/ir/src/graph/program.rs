//! Programs: functions that call each other.

use std::sync::Arc;

use indexmap::IndexMap;

use super::{Function, Symbol};

/// Computes some of the entry's frozen parameters from the other ones, whenever those are set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Preparation {
    /// The function that computes them. Its arguments are identified with arguments of the entry by their roles, its results by
    /// their names.
    pub func: Symbol,
    /// The function that counts lost elements, as `i64[]`, if any can be lost; its arguments are arguments of the entry too.
    pub lossless: Option<Symbol>,
}

/// A program: functions, each before its callers; the last one is the entry.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The names of the sources, which [`Loc::file`](super::Loc::file) counts from 1.
    pub sources: Vec<Arc<str>>,
    pub preparation: Option<Preparation>,
    /// Shared between copies of a program: most passes change few functions.
    functions: IndexMap<Symbol, Arc<Function>>,
}

impl Graph {
    /// An empty program.
    pub fn new() -> Self {
        Self::default()
    }

    /// A program without functions yet, with the sources and the preparation of this one.
    #[must_use]
    pub fn like(&self) -> Self {
        Graph { sources: self.sources.clone(), preparation: self.preparation.clone(), ..Graph::default() }
    }

    /// A program of one function.
    pub fn from_function(function: Function) -> Self {
        let mut graph = Graph::new();
        graph.insert(function);
        graph
    }

    /// Adds a function at the end, or replaces the one of the same name in its position.
    pub fn insert(&mut self, function: Function) {
        self.functions.insert(function.name.clone(), Arc::new(function));
    }

    /// Adds a function of another program, as [`insert`](Self::insert) does.
    ///
    /// # Panics
    /// If the other program has no such function.
    pub fn insert_from(&mut self, graph: &Graph, name: &Symbol) {
        self.functions.insert(name.clone(), Arc::clone(&graph.functions[name]));
    }

    /// The function that is run, the last one.
    ///
    /// # Panics
    /// If the program is empty. Parser and verifier reject an empty graph.
    pub fn entry(&self) -> &Function {
        self.functions.last().expect("a graph has at least one function").1
    }

    /// The function of a name.
    pub fn function(&self, name: &Symbol) -> Option<&Function> {
        self.functions.get(name).map(Arc::as_ref)
    }

    /// All functions, each before its callers.
    pub fn functions(&self) -> impl DoubleEndedIterator<Item = &Function> + ExactSizeIterator {
        self.functions.values().map(Arc::as_ref)
    }

    /// A free name, derived from `base`.
    pub fn fresh_name(&self, base: &str) -> Symbol {
        let first = Symbol::new(base);
        if !self.functions.contains_key(&first) {
            return first;
        }
        let numbered = (2..).map(|n| Symbol::new(&format!("{base}_{n}")));
        numbered.into_iter().find(|s| !self.functions.contains_key(s)).expect("there are finitely many functions")
    }
}

/// Equality of the functions, their order, and the preparation. Sources do not count.
impl PartialEq for Graph {
    fn eq(&self, other: &Self) -> bool {
        self.preparation == other.preparation
            && self.functions.len() == other.functions.len()
            && self.functions().zip(other.functions()).all(|(a, b)| a == b)
    }
}
impl Eq for Graph {}
