//! DOT, for Graphviz.

use std::fmt::Write;

use dlc_ir::Graph;

/// The graph as a DOT digraph, with a cluster for each function.
pub fn dot(graph: &Graph) -> String {
    let mut out =
        String::from("digraph dlc {\n  node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\"];\n");
    let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
    for (f, picture) in super::pictures(graph).iter().enumerate() {
        let _ = writeln!(out, "  subgraph cluster_{f} {{\n    label={};", quote(&picture.title));
        for (i, node) in picture.boxes.iter().enumerate() {
            let label = quote(&node.lines.join("\n"));
            let _ = writeln!(out, "    n{f}_{i} [label={label}, fillcolor=\"#{:06x}\"];", node.kind.fill());
        }
        for edge in &picture.edges {
            let _ = writeln!(out, "    n{f}_{} -> n{f}_{} [label={}];", edge.from, edge.to, quote(&edge.label));
        }
        out.push_str("  }\n");
    }
    out.push_str("}\n");
    out
}
