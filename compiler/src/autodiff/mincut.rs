//! Minimum cuts of directed networks by Dinic's algorithm.

/// A capacity that no minimum cut contains.
pub(super) const INFINITE: u64 = u64::MAX / 4;

/// A directed network with capacities.
///
/// All traversals are iterative: the networks of deep functions have paths of thousands of edges.
#[derive(Debug)]
pub(super) struct Network {
    /// Edge `2k` and its reverse `2k + 1`.
    edges: Vec<Edge>,
    outgoing: Vec<Vec<usize>>,
}

#[derive(Debug)]
struct Edge {
    to: usize,
    residual: u64,
}

impl Network {
    /// A network without edges.
    pub(super) fn new(vertices: usize) -> Self {
        Network { edges: vec![], outgoing: vec![vec![]; vertices] }
    }

    /// Adds an edge.
    pub(super) fn edge(&mut self, from: usize, to: usize, capacity: u64) {
        self.outgoing[from].push(self.edges.len());
        self.edges.push(Edge { to, residual: capacity });
        self.outgoing[to].push(self.edges.len());
        self.edges.push(Edge { to: from, residual: 0 });
    }

    /// Computes a maximum flow from `source` to `sink`. Returns its value, at most [`INFINITE`], and for each vertex whether it
    /// is on the source's side of the minimum cut that is nearest to the source.
    pub(super) fn cut(&mut self, source: usize, sink: usize) -> (u64, Vec<bool>) {
        let mut flow: u64 = 0;
        loop {
            let level = self.levels(source);
            if level[sink].is_none() || flow >= INFINITE {
                return (flow.min(INFINITE), level.iter().map(Option::is_some).collect());
            }
            flow = flow.saturating_add(self.blocking_flow(source, sink, &level));
        }
    }

    /// Each vertex's distance from the source in the residual network.
    fn levels(&self, source: usize) -> Vec<Option<u32>> {
        let mut level = vec![None; self.outgoing.len()];
        level[source] = Some(0);
        let mut queue = std::collections::VecDeque::from([(source, 0)]);
        while let Some((vertex, distance)) = queue.pop_front() {
            for &e in &self.outgoing[vertex] {
                let Edge { to, residual } = self.edges[e];
                if residual > 0 && level[to].is_none() {
                    level[to] = Some(distance + 1);
                    queue.push_back((to, distance + 1));
                }
            }
        }
        level
    }

    /// Augments along shortest paths until none is left.
    fn blocking_flow(&mut self, source: usize, sink: usize, level: &[Option<u32>]) -> u64 {
        let mut next_edge = vec![0; self.outgoing.len()];
        let mut path: Vec<usize> = vec![];
        let mut flow: u64 = 0;
        loop {
            let vertex = path.last().map_or(source, |&e| self.edges[e].to);
            if vertex == sink {
                let pushed = path.iter().map(|&e| self.edges[e].residual).min().unwrap_or(0);
                for &e in &path {
                    self.edges[e].residual -= pushed;
                    self.edges[e ^ 1].residual += pushed;
                }
                flow = flow.saturating_add(pushed);
                let full = path.iter().position(|&e| self.edges[e].residual == 0).unwrap_or(0);
                path.truncate(full);
                continue;
            }
            let deeper = |e: usize| {
                let Edge { to, residual } = self.edges[e];
                residual > 0 && level[to].is_some() && level[to] == level[vertex].map(|l| l + 1)
            };
            let untried = &self.outgoing[vertex][next_edge[vertex]..];
            match untried.iter().position(|&e| deeper(e)) {
                Some(skipped) => {
                    next_edge[vertex] += skipped;
                    path.push(self.outgoing[vertex][next_edge[vertex]]);
                }
                None => {
                    next_edge[vertex] = self.outgoing[vertex].len();
                    let Some(dead_end) = path.pop() else { return flow };
                    let from = self.edges[dead_end ^ 1].to;
                    next_edge[from] += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(vertices: usize, edges: &[(usize, usize, u64)]) -> Network {
        let mut network = Network::new(vertices);
        for &(from, to, capacity) in edges {
            network.edge(from, to, capacity);
        }
        network
    }

    fn capacity(edges: &[(usize, usize, u64)], side: impl Fn(usize) -> bool) -> u64 {
        edges.iter().filter(|&&(from, to, _)| side(from) && !side(to)).map(|e| e.2).sum()
    }

    #[test]
    fn finds_the_bottleneck() {
        let edges = [(0, 1, 3), (0, 2, 2), (1, 2, 5), (1, 3, 2), (2, 3, 3)];
        assert_eq!(network(4, &edges).cut(0, 3), (5, vec![true, false, false, false]));
    }

    #[test]
    fn nothing_flows_to_an_unreachable_sink() {
        assert_eq!(network(3, &[(0, 1, 7)]).cut(0, 2), (0, vec![true, true, false]));
    }

    #[test]
    fn an_infinite_path_cannot_be_cut() {
        assert_eq!(network(3, &[(0, 1, INFINITE), (1, 2, INFINITE), (0, 2, INFINITE)]).cut(0, 2).0, INFINITE);
    }

    #[test]
    fn long_chains_need_no_deep_stack() {
        let edges: Vec<_> = (0..100_000).map(|i| (i, i + 1, 5 + i as u64 % 7)).collect();
        assert_eq!(network(100_001, &edges).cut(0, 100_000).0, 5);
    }

    /// Whether the cut between 0 and 7 is a minimum one, by trying all.
    fn is_cheapest(edges: &[(usize, usize, u64)]) -> Result<(), TestCaseError> {
        let (flow, side) = network(8, edges).cut(0, 7);
        let all = (0u32..1 << 6).map(|mask| capacity(edges, |v| v == 0 || (v < 7 && mask >> (v - 1) & 1 == 1)));
        prop_assert_eq!(Some(flow), all.min());
        prop_assert!(side[0] && !side[7]);
        prop_assert_eq!(flow, capacity(edges, |v| side[v]));
        Ok(())
    }

    proptest! {
        #[test]
        fn is_the_cheapest_of_all_cuts(
            edges in proptest::collection::vec((0usize..8, 0usize..8, 0u64..20), 0..24),
        ) {
            is_cheapest(&edges)?;
        }

        /// Between two layers of three, the first augmenting paths often use edges that later ones need, so that flow has to be
        /// sent back.
        #[test]
        fn is_the_cheapest_of_all_cuts_between_layers(
            (order, capacities) in (Just((0..15).collect::<Vec<usize>>()).prop_shuffle(), proptest::collection::vec(0u64..4, 15)),
        ) {
            let ends = |i: usize| match i {
                0..3 => (0, 1 + i),
                3..6 => (1 + i, 7),
                _ => (1 + i % 3, 4 + (i - 6) / 3),
            };
            let edges: Vec<_> = order.iter().map(|&i| (ends(i).0, ends(i).1, capacities[i])).collect();
            is_cheapest(&edges)?;
        }
    }
}
