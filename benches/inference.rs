//! Inference of resnet18 on one thread with batch norm folded when weights are loaded, and without, alternately.
//!
//! `cargo bench --bench inference`

use std::time::Instant;

use dlc::{Compiler, Mode, Model, Session, Tensor, inspect};

/// Runs of each program.
const RUNS: usize = 30;

fn main() {
    let compiler = Compiler::new().threads(1);
    let path = format!("{}/examples/resnet18.dl", env!("CARGO_MANIFEST_DIR"));
    let model = Model::open(path).expect("the example is right");
    let weights = compiler.initial_weights(&model, [], 0).expect("it has weights");
    for side in [64, 224] {
        let sizes = [("B", 1), ("H", side), ("W", side)].map(|(n, s)| (n.to_owned(), s));
        let build = |frozen| -> Session {
            let mut request = inspect::request_for(&model, Mode::Infer, &sizes, &compiler).expect("the sizes fit");
            request.frozen = frozen;
            let (program, _) = inspect::build(&compiler, &model, &request).expect("it compiles");
            let mut session = program.session();
            for (name, tensor) in weights.iter() {
                let state = session.signature().states().any(|(n, _)| n == name);
                let set = if state { session.set_state(name, tensor) } else { session.set_param(name, tensor) };
                set.expect("the weights are the model's");
            }
            let image =
                Tensor::new([1, 3, side, side], (0..3 * side * side).map(|i| (i % 255) as f32 / 255.0).collect());
            session.set_input("image", &image.expect("so many numbers")).expect("it is the model's input");
            session
        };
        let (mut folded, mut plain) = (build(true), build(false));
        let start = Instant::now();
        folded.prepare().expect("weights are there");
        println!("{side} x {side}: {:.2} ms to prepare", start.elapsed().as_secs_f64() * 1e3);
        let mut times = [vec![], vec![]];
        let sessions = [&mut folded, &mut plain];
        for run in 0..RUNS {
            // Alternate, so that both find the caches in the state that the other leaves.
            for which in if run % 2 == 0 { [0, 1] } else { [1, 0] } {
                let start = Instant::now();
                sessions[which].step().expect("it runs");
                times[which].push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        let ratio = {
            let mut ratios: Vec<f64> = times[0].iter().zip(&times[1]).map(|(f, p)| f / p).collect();
            ratios.sort_by(f64::total_cmp);
            ratios[RUNS / 2]
        };
        let least = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
        println!(
            "  folded {:.2} ms, not folded {:.2} ms; ratio {ratio:.3} (median of iterations)",
            least(&times[0]),
            least(&times[1])
        );
    }
}
