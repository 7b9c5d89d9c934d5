//! A trace of a few steps in the format of Chrome (`chrome://tracing`, Perfetto): one event for each launch on each thread that took part.

use std::collections::HashMap;
use std::sync::Mutex;
use std::thread::{self, ThreadId};
use std::time::Instant;

use dlc_compiler::program::{LaunchObserver, Launched};
use serde_json::{Value, json};

use super::Subject;
use super::places::{Places, StepLaunch};
use crate::Error;

/// Steps that are traced at most.
const STEPS: usize = 10;
/// No further step is traced once there are so many events.
const EVENTS: usize = 50_000;
/// The mark of a trace.
const MARK: &str = "dlc bench --trace";

/// A traced run.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The JSON of the trace.
    pub json: Value,
    /// The steps in it.
    pub steps: usize,
    /// The launches in it, each on all of its threads.
    pub events: usize,
}

/// The work of a thread on a launch.
#[derive(Clone, Copy, Debug)]
struct Event {
    thread: usize,
    /// The number of the launch, in their order.
    launch: usize,
    step: u32,
    begin: Instant,
    end: Instant,
}

/// Records all launches, by thread.
#[derive(Debug, Default)]
struct Recorder(Mutex<Recorded>);

#[derive(Debug, Default)]
struct Recorded {
    threads: HashMap<ThreadId, usize>,
    /// For each thread the number of its last event.
    last: Vec<Option<usize>>,
    events: Vec<Event>,
    launches: usize,
}

impl Recorder {
    fn recorded(&self) -> std::sync::MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Recorded {
    fn thread(&mut self) -> usize {
        let next = self.threads.len();
        let thread = *self.threads.entry(thread::current().id()).or_insert(next);
        self.last.resize(self.threads.len(), None);
        thread
    }
}

impl LaunchObserver for Recorder {
    fn begin(&self, _: Launched) {
        self.recorded().launches += 1;
    }

    fn end(&self, _: Launched) {}

    fn enter(&self, launch: Launched) {
        let mut recorded = self.recorded();
        let thread = recorded.thread();
        let number = recorded.launches;
        if recorded.last[thread].is_some_and(|last| recorded.events[last].launch == number) {
            return;
        }
        recorded.last[thread] = Some(recorded.events.len());
        // the clock is read last, so that waiting for the lock is not part of the event
        let begin = Instant::now();
        recorded.events.push(Event { thread, launch: number, step: launch.step, begin, end: begin });
    }

    fn leave(&self, _: Launched) {
        let end = Instant::now();
        let mut recorded = self.recorded();
        let thread = recorded.thread();
        if let Some(last) = recorded.last[thread] {
            recorded.events[last].end = end;
        }
    }
}

impl Trace {
    /// Traces a few steps.
    ///
    /// # Errors
    /// If a step fails.
    pub fn record(subject: &mut Subject<'_>) -> Result<Trace, Error> {
        let places = Places::of(subject)?;
        let recorder = Recorder::default();
        // the thread that runs the program is the first
        recorder.recorded().thread();
        let start = Instant::now();
        let mut steps = vec![];
        while steps.len() < STEPS && (steps.is_empty() || recorder.recorded().events.len() < EVENTS) {
            let begin = Instant::now();
            subject.step_observed(&recorder)?;
            steps.push((begin, Instant::now()));
        }
        let recorded = recorder.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let us = |at: Instant| at.saturating_duration_since(start).as_nanos() as f64 / 1e3;
        let mut events = vec![];
        for thread in 0..recorded.threads.len() {
            let name = if thread == 0 { "main".to_owned() } else { format!("worker {thread}") };
            events.push(json!({ "ph": "M", "pid": 1, "tid": thread, "name": "thread_name", "args": { "name": name } }));
        }
        for (number, (begin, end)) in steps.iter().enumerate() {
            events.push(json!({
                "ph": "X", "pid": 1, "tid": 0, "cat": "step", "name": format!("step {number}"),
                "ts": us(*begin), "dur": us(*end) - us(*begin),
            }));
        }
        for event in &recorded.events {
            let Some(StepLaunch { place, kernel }) = places.of_step[event.step as usize] else { continue };
            let place = &places.places[place];
            let from: Vec<String> = place.lines.iter().map(ToString::to_string).collect();
            events.push(json!({
                "ph": "X", "pid": 1, "tid": event.thread, "cat": "kernel", "name": place.label,
                "ts": us(event.begin), "dur": us(event.end) - us(event.begin),
                "args": {
                    "kernel": places.kernels[kernel], "from": from, "flops": place.work.flops,
                    "bytes_read": place.work.read, "bytes_written": place.work.written, "launch": event.launch,
                },
            }));
        }
        let (steps, count) = (steps.len(), recorded.events.len());
        let json = json!({ "traceEvents": events, "displayTimeUnit": "ns", "otherData": { "producer": MARK } });
        Ok(Trace { json, steps, events: count })
    }
}

/// Whether a text is a trace of dlc, which may be overwritten.
pub fn is_ours(text: &str) -> bool {
    let object: Option<Value> = serde_json::from_str(text).ok();
    object.is_some_and(|object| object["otherData"]["producer"] == MARK)
}
