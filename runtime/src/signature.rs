//! The inputs and outputs of a program, by name.

use std::sync::Arc;

use dlc_ir::{Function, ResultRole, Role, Type};
use indexmap::IndexMap;

/// The arguments and results of a program, as its entry function declares them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signature {
    /// Every argument, in the order of the entry.
    pub arguments: Vec<TensorInfo>,
    /// The outputs, in order; an unnamed one is named by its number.
    pub outputs: Vec<TensorInfo>,
    /// The destination of each result of the entry.
    pub results: Vec<Target>,
    inputs: IndexMap<Arc<str>, usize>,
    params: IndexMap<Arc<str>, usize>,
    states: IndexMap<Arc<str>, usize>,
    keys: Vec<usize>,
    prepared: Vec<usize>,
}

/// An argument or output.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// That of the weight or state, otherwise that of the argument or result.
    pub name: Arc<str>,
    pub ty: Type,
}

/// The destination of a result of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An output.
    Output(usize),
    /// An argument, whose new value it is.
    Argument(usize),
    /// None: a check.
    Nowhere,
}

impl Signature {
    /// The signature of an entry function, some of whose arguments (`prepared`) are computed from its weights instead of set by
    /// the user.
    pub fn of(entry: &Function, prepared: &[usize]) -> Self {
        let computed: std::collections::HashSet<usize> = prepared.iter().copied().collect();
        let mut signature = Signature { prepared: prepared.to_vec(), ..Signature::default() };
        for (i, argument) in entry.args().iter().enumerate() {
            let (names, name) = match &argument.role {
                Role::Param { name, .. } => (Some(&mut signature.params), name),
                Role::State { name } => (Some(&mut signature.states), name),
                Role::Key => {
                    signature.keys.push(i);
                    (None, &argument.name)
                }
                Role::Input | Role::Plain => (Some(&mut signature.inputs), &argument.name),
            };
            if let Some(names) = names.filter(|_| !computed.contains(&i)) {
                names.insert(Arc::clone(name), i);
            }
            signature.arguments.push(TensorInfo { name: Arc::clone(name), ty: argument.ty.clone() });
        }
        for result in &entry.results {
            let target = match result.role {
                ResultRole::Update(argument) => Target::Argument(argument),
                ResultRole::Check => Target::Nowhere,
                ResultRole::Output => {
                    let i = signature.outputs.len();
                    let name = result.name.clone().unwrap_or_else(|| i.to_string().into());
                    signature.outputs.push(TensorInfo { name, ty: entry.ty(result.value).clone() });
                    Target::Output(i)
                }
            };
            signature.results.push(target);
        }
        signature
    }

    /// What the user passes, by name.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = (&str, &Type)> {
        self.by_name(&self.inputs)
    }

    /// The weights, by name, without prepared ones.
    pub fn params(&self) -> impl ExactSizeIterator<Item = (&str, &Type)> {
        self.by_name(&self.params)
    }

    /// What the program carries from step to step, by name.
    pub fn states(&self) -> impl ExactSizeIterator<Item = (&str, &Type)> {
        self.by_name(&self.states)
    }

    fn by_name<'a>(
        &'a self,
        names: &'a IndexMap<Arc<str>, usize>,
    ) -> impl ExactSizeIterator<Item = (&'a str, &'a Type)> {
        names.iter().map(|(name, &i)| (&**name, &self.arguments[i].ty))
    }

    pub fn has_input(&self, name: &str) -> bool {
        self.inputs.contains_key(name)
    }

    pub(crate) fn input(&self, name: &str) -> Option<usize> {
        self.inputs.get(name).copied()
    }

    pub(crate) fn param(&self, name: &str) -> Option<usize> {
        self.params.get(name).copied()
    }

    pub(crate) fn state(&self, name: &str) -> Option<usize> {
        self.states.get(name).copied()
    }

    pub(crate) fn output(&self, name: &str) -> Option<usize> {
        self.outputs.iter().position(|o| &*o.name == name)
    }

    pub(crate) fn prepared(&self) -> &[usize] {
        &self.prepared
    }

    pub(crate) fn keys(&self) -> &[usize] {
        &self.keys
    }
}
