//! Ctrl-C: what it does depends on how far the work is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::super::Exit;

/// What is still to be done when the process is ended.
type Last = Box<dyn FnOnce() + Send>;

/// Listens for Ctrl-C.
#[derive(Clone, Default)]
pub struct Interrupt {
    stop: Arc<AtomicBool>,
    last: Arc<Mutex<Option<Last>>>,
}

impl Interrupt {
    /// From now on, the first Ctrl-C only asks to stop, and a second one ends the process.
    pub fn listen() -> Self {
        let interrupt = Interrupt::default();
        let handler = interrupt.clone();
        // a second handler cannot be set; then Ctrl-C kills, which a checkpoint survives as well
        let _ = ctrlc::set_handler(move || handler.raise());
        interrupt
    }

    /// From now on, Ctrl-C ends the process at once, but for this.
    pub fn end_with(&self, last: impl FnOnce() + Send + 'static) {
        self.set(Some(Box::new(last)));
    }

    /// From now on, Ctrl-C asks to stop: what is raised then.
    pub fn ask(&self) -> Arc<AtomicBool> {
        self.set(None);
        Arc::clone(&self.stop)
    }

    /// Whether somebody asked to stop.
    pub fn is_asked(&self) -> bool {
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
