//! Where the time of a step goes: by kernel and source line.

use std::sync::Mutex;
use std::time::Instant;

use dlc_compiler::program::{LaunchObserver, Launched};
use serde::Serialize;

use super::Subject;
use super::peak::{Bound, Peak};
use super::places::{Line, Place, Places, StepLaunch, shown};
use super::report::Rates;
use crate::Error;

/// Steps that are watched at most; their times by launch are kept.
const MOST_STEPS: usize = 1000;
/// Steps that are watched at least.
const LEAST_STEPS: usize = 5;

/// What the launches of one kernel from the same lines take of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What it computes: `conv 3x3 64 bias relu`.
    pub what: String,
    /// The lines of the source that it comes from: `file:line`.
    pub from: Vec<String>,
    /// The same for a table: `resnet18.dl:3,5`.
    #[serde(skip)]
    pub place: String,
    /// The names of its kernels, as `dlc compile --emit=kernels` prints them.
    pub kernels: Vec<String>,
    /// How often it is computed in a step.
    pub calls: u64,
    /// How often its kernels are launched in a step.
    pub launches: u64,
    /// Milliseconds of a step, all threads together from the begin to the end of each launch.
    pub ms: f64,
    /// The part of the step.
    pub share: f64,
    /// Of its floating-point operations in a step, and of the bytes that it reads and writes in a step, each element once in each
    /// call.
    #[serde(flatten)]
    pub rates: Rates,
}

/// Where the time of a step goes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// The steps that it is the mean of: of those that were watched, the middle half by time.
    pub steps: usize,
    /// Milliseconds of a step that is watched.
    pub step_ms: f64,
    /// Milliseconds in kernels.
    pub kernels_ms: f64,
    /// Milliseconds between them: dispatch, and the watching.
    pub outside_ms: f64,
    /// Kernels by source line, the most time first.
    pub rows: Vec<Row>,
}

/// A run that was watched.
#[derive(Clone, Debug)]
struct Watched {
    seconds: f64,
    /// The seconds in the launches of each step of the program.
    of_steps: Vec<f64>,
}

/// Takes the time of each launch.
#[derive(Debug)]
struct Clock(Mutex<Taken>);

#[derive(Debug)]
struct Taken {
    since: Instant,
    /// For each step of the program its seconds in this run.
    seconds: Vec<f64>,
    /// For each step of the program how often it was run.
    launches: Vec<u64>,
}

impl Clock {
    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl LaunchObserver for Clock {
    fn begin(&self, _: Launched) {
        self.taken().since = Instant::now();
    }

    fn end(&self, launch: Launched) {
        let now = Instant::now();
        let mut taken = self.taken();
        let seconds = (now - taken.since).as_secs_f64();
        taken.seconds[launch.step as usize] += seconds;
        taken.launches[launch.step as usize] += 1;
    }
}

impl Profile {
    /// Watches steps for so many seconds.
    ///
    /// # Errors
    /// If a step fails.
    pub fn measure(subject: &mut Subject<'_>, peak: &Peak, seconds: f64) -> Result<Profile, Error> {
        let places = Places::of(subject)?;
        let steps = places.of_step.len();
        let clock = Clock(Mutex::new(Taken { since: Instant::now(), seconds: vec![0.0; steps], launches: vec![] }));
        let mut watched: Vec<Watched> = vec![];
        let start = Instant::now();
        while watched.len() < LEAST_STEPS || (start.elapsed().as_secs_f64() < seconds && watched.len() < MOST_STEPS) {
            {
                let mut taken = clock.taken();
                taken.seconds.fill(0.0);
                taken.launches = vec![0; steps];
            }
            let begin = Instant::now();
            subject.step_observed(&clock)?;
            let seconds = begin.elapsed().as_secs_f64();
            watched.push(Watched { seconds, of_steps: clock.taken().seconds.clone() });
        }
        let launches = clock.taken().launches.clone();
        Ok(Self::of(&places, peak, watched, &launches))
    }

    /// That of runs in which each step of the program was launched so often.
    fn of(places: &Places, peak: &Peak, mut watched: Vec<Watched>, launches: &[u64]) -> Profile {
        // what disturbed some of them is left out, and sums are of the same steps
        watched.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let quarter = watched.len() / 4;
        let middle = &watched[quarter..watched.len() - quarter];
        let count = middle.len() as f64;
        let mean = |of: &dyn Fn(&Watched) -> f64| middle.iter().map(of).sum::<f64>() * 1e3 / count;
        let step_ms = mean(&|run| run.seconds);
        let mut groups: Vec<Group> = vec![];
        let mut group_of: Vec<Option<usize>> = vec![None; places.places.len()];
        for (step, launch) in places.of_step.iter().enumerate() {
            let Some(StepLaunch { place, kernel }) = *launch else { continue };
            if launches[step] == 0 {
                continue;
            }
            let at = group_of[place].unwrap_or_else(|| {
                let found = &places.places[place];
                let same = |group: &Group| group.row.what == found.label && group.lines == found.lines;
                let at = groups.iter().position(same).unwrap_or(groups.len());
                if at == groups.len() {
                    groups.push(Group::new(found));
                }
                // the steps of a place are run equally often, and its work is that of all of them
                groups[at].add(found, launches[step], peak);
                at
            });
            group_of[place] = Some(at);
            let row = &mut groups[at].row;
            row.launches += launches[step];
            row.ms += mean(&|run| run.of_steps[step]);
            let name = &places.kernels[kernel];
            if !row.kernels.contains(name) {
                row.kernels.push(name.clone());
            }
        }
        let kernels_ms = groups.iter().map(|group| group.row.ms).sum();
        let mut rows: Vec<Row> = groups.into_iter().map(|group| group.close(step_ms)).collect();
        rows.sort_by(|a, b| b.ms.total_cmp(&a.ms));
        Profile { steps: middle.len(), step_ms, kernels_ms, outside_ms: step_ms - kernels_ms, rows }
    }
}

/// A row that is being filled.
struct Group {
    row: Row,
    lines: Vec<Line>,
    /// Milliseconds of the roofline, by what bounds each call: computing, and moving.
    bounds: [f64; 2],
}

impl Group {
    fn new(place: &Place) -> Self {
        let row = Row {
            what: place.label.clone(),
            from: place.lines.iter().map(ToString::to_string).collect(),
            place: shown(&place.lines),
            kernels: vec![],
            calls: 0,
            launches: 0,
            ms: 0.0,
            share: 0.0,
            rates: Rates::default(),
        };
        Group { row, lines: place.lines.clone(), bounds: [0.0; 2] }
    }

    /// Adds calls of a place.
    fn add(&mut self, place: &Place, calls: u64, peak: &Peak) {
        let (flops, bytes) = (place.work.flops, place.work.read.saturating_add(place.work.written));
        let bound = peak.bound(flops as f64, bytes as f64);
        self.bounds[usize::from(bound.by == "memory")] += bound.ms * calls as f64;
        self.row.calls += calls;
        let rates = &mut self.row.rates;
        rates.flops = rates.flops.saturating_add(flops.saturating_mul(calls));
        rates.bytes = rates.bytes.saturating_add(bytes.saturating_mul(calls));
    }

    /// The row, of a step of so many milliseconds.
    fn close(self, step_ms: f64) -> Row {
        let Group { row, bounds: [compute, memory], .. } = self;
        let bound = Bound { ms: compute + memory, by: if compute >= memory { "compute" } else { "memory" } };
        let rates = Rates::of(bound, row.rates.flops, row.rates.bytes, row.ms);
        Row { share: row.ms / step_ms, rates, ..row }
    }
}

#[cfg(test)]
mod tests {
    use dlc_compiler::work::Work;

    use super::*;
    use crate::bench::peak::Bandwidth;

    fn place(label: &str, number: usize, flops: u64, bytes: u64) -> Place {
        let work = Work { flops, products: 0, read: bytes, written: 0 };
        Place { label: label.to_owned(), lines: vec![Line { file: "m.dl".to_owned(), number }], work }
    }

    #[test]
    fn launches_of_one_place_are_a_row_and_calls_of_equal_ones_merge() {
        let places = Places {
            // the second is computed by two kernels
            places: vec![place("a", 1, 4_000_000, 8), place("b", 2, 0, 1_000_000), place("a", 1, 4_000_000, 8)],
            of_step: [(0, 0), (1, 1), (1, 2), (2, 0)].map(|(place, kernel)| Some(StepLaunch { place, kernel })).into(),
            kernels: ["a", "b.0", "b.1"].map(str::to_owned).into(),
        };
        let peak = Peak { gflops: 1.0, bandwidth: vec![Bandwidth { bytes: 1.0, gbs: 1.0 }] };
        let seconds = vec![0.01, 0.001, 0.003, 0.006];
        // what took longer was disturbed
        let runs = [(9.0, vec![5.0; 4]), (0.025, seconds.clone()), (0.025, seconds), (0.0, vec![0.0; 4])];
        let watched = runs.map(|(seconds, of_steps)| Watched { seconds, of_steps }).into();
        let profile = Profile::of(&places, &peak, watched, &[2, 1, 1, 1]);
        assert_eq!((profile.steps, profile.rows.len()), (2, 2));
        let [a, b] = &profile.rows[..] else { panic!("{profile:?}") };
        assert_eq!((&*a.what, &*a.place, a.calls, a.launches, a.rates.flops), ("a", "m.dl:1", 3, 3, 12_000_000));
        assert_eq!((&*b.what, b.calls, b.launches, b.rates.bytes), ("b", 1, 2, 1_000_000));
        assert_eq!((&*a.kernels[0], b.kernels.len(), a.rates.bound, b.rates.bound), ("a", 2, "compute", "memory"));
        let close = |x: f64, y: f64| (x - y).abs() < 1e-9;
        assert!(
            close(a.ms, 16.0)
                && close(a.share, 0.64)
                && close(a.rates.roofline, 12.0 / 16.0)
                && close(b.rates.roofline, 0.25)
        );
        assert!(close(profile.kernels_ms, 20.0) && close(profile.outside_ms, 5.0) && close(b.rates.gbs, 0.25));
    }
}
