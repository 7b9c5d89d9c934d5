//! The two programs in a graph that [`prepare`](super::prepare) has split.

use dlc_ir::{Argument, Function, Graph, ResultRole, Role, Symbol};
use rustc_hash::{FxHashMap, FxHashSet};

use super::lossless::count_type;

/// The prefix of the names of prepared values.
pub(super) const ROLE: &str = "prepared.";

/// The name of a function's preparation, if it is free.
pub(super) fn prepare_name(entry: &Symbol) -> Symbol {
    Symbol::new(&format!("{}.prepare", entry.as_str()))
}

/// A graph that [`prepare`](super::prepare) has split, as two programs.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Weights to prepared values, to be run when weights are loaded or changed.
    pub preparation: Graph,
    /// The program for every run.
    pub main: Graph,
    /// For each argument of the preparation the argument of the main program that is the same weight.
    pub weights: Vec<usize>,
    /// For each result of the preparation the argument of the main program that it is.
    pub prepared: Vec<usize>,
    /// Counts the elements that the preparation loses, if it can lose any.
    pub lossless: Option<Lossless>,
}

/// A program that returns, as `i64[]`, how many elements of weights a preparation turned into infinity or zero. If it is not 0,
/// the program must be compiled without the rules that move factors and terms into weights
/// ([`PassOptions::weights`](crate::options::PassOptions::weights)).
#[derive(Clone, Debug)]
pub struct Lossless {
    pub graph: Graph,
    /// For each argument the argument of the main program that is the same weight.
    pub weights: Vec<usize>,
}

/// The two programs in a graph; `None` if nothing is prepared.
///
/// # Errors
/// If they do not match: the pass never makes such a graph, but a file may contain one.
pub fn parts(graph: &Graph) -> Result<Option<Parts>, String> {
    let entry = graph.entry();
    let Some(preparation) = &graph.preparation else { return Ok(None) };
    let named_by = |name: &Symbol| graph.function(name).ok_or_else(|| format!("unknown function {name}"));
    let prepare = named_by(&preparation.func)?;
    let updated: FxHashSet<usize> = entry
        .results
        .iter()
        .filter_map(|r| match r.role {
            ResultRole::Update(arg) => Some(arg),
            ResultRole::Output | ResultRole::Check => None,
        })
        .collect();
    let mut named: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
    for (i, arg) in entry.args().iter().enumerate() {
        role_name(&arg.role).into_iter().for_each(|name| named.entry(name).or_default().push(i));
    }
    let find = |name: &str, fits: &dyn Fn(&Argument) -> bool| {
        let found = named.get(name).and_then(|all| all.iter().copied().find(|&i| fits(&entry.args()[i])));
        found
            .filter(|i| !updated.contains(i))
            .ok_or_else(|| format!("{} has no frozen parameter \"{name}\" of the same type", entry.name))
    };
    let weights_of = |function: &Function| {
        let find = |arg: &Argument| {
            let name = role_name(&arg.role).ok_or_else(|| format!("{} takes %{}", function.name, arg.name))?;
            find(name, &|a| a.ty == arg.ty && a.role == arg.role)
        };
        function.args().iter().map(|arg| find(arg)).collect::<Result<Vec<usize>, String>>()
    };
    let weights = weights_of(prepare)?;
    let mut prepared = vec![];
    for result in &prepare.results {
        let name = result.name.as_deref().filter(|_| result.role == ResultRole::Output);
        let name = name.ok_or_else(|| format!("a result of {} is not a prepared value", prepare.name))?;
        let (ty, frozen) =
            (prepare.ty(result.value), |role: &Role| matches!(role, Role::Param { trainable: false, .. }));
        prepared.push(find(name, &|a| a.ty == *ty && frozen(&a.role))?);
    }
    let weight: FxHashSet<usize> = weights.iter().copied().collect();
    if prepared.iter().any(|p| weight.contains(p)) {
        return Err(format!("{} takes a value that it prepares", prepare.name));
    }
    let lossless = match &preparation.lossless {
        None => None,
        Some(name) => {
            let function = named_by(name)?;
            let weights = weights_of(function)?;
            let counts = matches!(&*function.results, [one] if *function.ty(one.value) == count_type());
            if !counts || weights.iter().any(|w| prepared.contains(w)) {
                return Err(format!("{} is not a counter of the losses of {}", function.name, prepare.name));
            }
            Some(Lossless { graph: program(graph, function), weights })
        }
    };
    let (preparation, main) = (program(graph, prepare), program(graph, entry));
    Ok(Some(Parts { preparation, main, weights, prepared, lossless }))
}

fn role_name(role: &Role) -> Option<&str> {
    match role {
        Role::Param { name, .. } | Role::State { name } => Some(name),
        Role::Plain | Role::Input | Role::Key => None,
    }
}

/// A function and all that it calls, as a program.
fn program(graph: &Graph, entry: &Function) -> Graph {
    let mut reached: FxHashSet<&Symbol> = FxHashSet::default();
    reached.insert(&entry.name);
    // Callers come after their callees.
    for function in graph.functions().rev() {
        if reached.contains(&function.name) {
            reached.extend(function.callees());
        }
    }
    let mut result = Graph::new();
    result.sources = graph.sources.clone();
    graph.functions().filter(|f| reached.contains(&f.name)).for_each(|f| result.insert_from(graph, &f.name));
    result
}
