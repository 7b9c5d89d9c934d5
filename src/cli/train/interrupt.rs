//! Ctrl-C: stops a training at the next step, and ends the process before and after it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::super::Exit;

/// What is still to do before the process ends.
type Last = Box<dyn FnOnce() + Send>;

/// Listens for Ctrl-C.
#[derive(Clone, Default)]
pub struct Interrupt {
    stop: Arc<AtomicBool>,
    last: Arc<Mutex<Option<Last>>>,
}

impl Interrupt {
    /// From now on, the first Ctrl-C requests a stop, and a second one ends the process.
    pub fn listen() -> Self {
        let interrupt = Interrupt::default();
        let handler = interrupt.clone();
        // if a handler is set already, Ctrl-C kills the process, and the training resumes from its last checkpoint
        let _ = ctrlc::set_handler(move || handler.raise());
        interrupt
    }

    /// From now on, Ctrl-C runs `last` and ends the process.
    pub fn end_with(&self, last: impl FnOnce() + Send + 'static) {
        self.set(Some(Box::new(last)));
    }

    /// The flag that Ctrl-C sets from now on.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        self.set(None);
        Arc::clone(&self.stop)
    }

    /// Whether a stop was requested.
    pub fn is_requested(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn set(&self, last: Option<Last>) {
        if let Ok(mut held) = self.last.lock() {
            *held = last;
        }
    }

    fn raise(&self) {
        let last = self.last.lock().ok().and_then(|mut held| held.take());
        let ends = last.is_some() || self.stop.swap(true, Ordering::Relaxed);
        if let Some(last) = last {
            last();
        }
        if ends {
            std::process::exit(Exit::Interrupted as i32);
        }
    }
}
