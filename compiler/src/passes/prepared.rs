//! The two programs in a graph that [`prepare`](super::prepare) has cut.

use dlc_ir::{Argument, Function, Graph, ResultRole, Role, Symbol};
use rustc_hash::{FxHashMap, FxHashSet};

use super::lossless::count_type;

/// What the names of prepared values begin with.
pub(super) const ROLE: &str = "prepared.";

/// What the function that prepares for another is called, if that name is free.
pub(super) fn prepare_name(entry: &Symbol) -> Symbol {
    Symbol::new(&format!("{}.prepare", entry.as_str()))
}

/// A graph that [`prepare`](super::prepare) has cut, as two programs.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Weights to prepared values, to be run once when weights are loaded or changed.
    pub preparation: Graph,
    /// What is run every time.
    pub main: Graph,
    /// Of each argument of the preparation the argument of the main program that is the same weight.
    pub weights: Vec<usize>,
    /// Of each result of the preparation the argument of the main program that takes it.
    pub prepared: Vec<usize>,
    /// What counts the elements that the preparation loses, where it can lose any.
    pub lossless: Option<Lossless>,
}

/// A program that returns, as `i64[]`, how many elements of weights a preparation lost to infinity or to zero. If it is not 0, the
/// program is to be compiled without the rules that move factors and terms into weights
/// ([`PassOptions::weights`](crate::options::PassOptions::weights)).
#[derive(Clone, Debug)]
pub struct Lossless {
    /// The program.
    pub graph: Graph,
    /// Of each argument the argument of the main program that is the same weight.
    pub weights: Vec<usize>,
}

/// The two programs in a graph; none if nothing is prepared.
///
/// # Errors
/// If they do not fit each other: the pass never makes such a graph, but a file may hold one.
pub fn parts(graph: &Graph) -> Result<Option<Parts>, String> {
    let entry = graph.entry();
    let Some(preparation) = &graph.preparation else { return Ok(None) };
    let named_by = |name: &Symbol| graph.function(name).ok_or_else(|| format!("there is no {name}"));
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
            .ok_or_else(|| format!("{} has no fixed argument \"{name}\" like it", entry.name))
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
        let name = name.ok_or_else(|| format!("a result of {} is no prepared value", prepare.name))?;
        let (ty, frozen) =
            (prepare.ty(result.value), |role: &Role| matches!(role, Role::Param { trainable: false, .. }));
        prepared.push(find(name, &|a| a.ty == *ty && frozen(&a.role))?);
    }
    let weight: FxHashSet<usize> = weights.iter().copied().collect();
    if prepared.iter().any(|p| weight.contains(p)) {
        return Err(format!("{} takes what it prepares", prepare.name));
    }
    let lossless = match &preparation.lossless {
        None => None,
        Some(name) => {
            let function = named_by(name)?;
            let weights = weights_of(function)?;
            let counts = matches!(&*function.results, [one] if *function.ty(one.value) == count_type());
            if !counts || weights.iter().any(|w| prepared.contains(w)) {
                return Err(format!("{} does not count what {} loses", function.name, prepare.name));
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
    // Callers come after what they call.
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
