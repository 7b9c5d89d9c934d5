//! Threads that wait in a loop, so that starting them costs no call of the system.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Alone(AtomicUsize);

/// The calls that were begun, or `OVER`; and how many parts of them are done.
#[derive(Debug, Default)]
struct Board {
    begun: Alone,
    done: Alone,
}

const OVER: usize = usize::MAX;
/// Looks at a number before the core is offered to others: some 50 µs, more than there is between calls. Without it, threads that are
/// more than the cores would wait for each other as long as the system lets them.
const LOOKS: u32 = 1 << 12;

/// Waits until `ready` gives something.
fn wait_for<T>(ready: impl Fn() -> Option<T>) -> T {
    let mut looks = 0u32;
    loop {
        if let Some(found) = ready() {
            return found;
        }
        looks += 1;
        if looks < LOOKS { spin_loop() } else { std::thread::yield_now() }
    }
}

/// Ends the threads also if the work panics.
struct End<'a>(&'a Board);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.begun.0.store(OVER, Ordering::Release);
    }
}

/// Gives `work` a function that does all parts at the same time: the first on its own thread, each other one on a thread that waits for
/// it without sleep. Returns when these have ended.
pub fn with<R>(mut parts: Vec<impl FnMut() + Send>, work: impl FnOnce(&mut dyn FnMut()) -> R) -> Option<R> {
    let mut own = parts.pop()?;
    let (board, others) = (&Board::default(), parts.len());
    Some(std::thread::scope(|scope| {
        let _end = End(board);
        for part in parts {
            scope.spawn(move || attend(board, part));
        }
        let mut calls = 0;
        work(&mut || {
            calls += 1;
            board.begun.0.store(calls, Ordering::Release);
            own();
            wait_for(|| (board.done.0.load(Ordering::Acquire) == calls * others).then_some(()));
        })
    }))
}

/// Does a part in every call, until there are no more.
fn attend(board: &Board, mut part: impl FnMut()) {
    for calls in 0.. {
        let begun = || Some(board.begun.0.load(Ordering::Acquire)).filter(|&begun| begun > calls);
        if wait_for(begun) == OVER {
            return;
        }
        part();
        board.done.0.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_done_in_every_call_before_it_returns() {
        for threads in 1..4 {
            let counts: Vec<AtomicUsize> = (0..threads).map(|_| AtomicUsize::new(0)).collect();
            let part = |count: &'_ AtomicUsize| {
                count.fetch_add(1, Ordering::Relaxed);
            };
            let parts = counts.iter().map(|count| move || part(count)).collect();
            let seen = with(parts, |call| {
                (0..20).all(|calls| {
                    call();
                    counts.iter().all(|count| count.load(Ordering::Relaxed) == calls + 1)
                })
            });
            assert_eq!(seen, Some(true));
        }
    }

    #[test]
    fn a_panic_ends_the_threads() {
        let outcome = std::panic::catch_unwind(|| with(vec![|| (), || ()], |_| panic!("planted")));
        assert!(outcome.is_err());
        assert!(with(Vec::<fn()>::new(), |_| ()).is_none());
    }
}
