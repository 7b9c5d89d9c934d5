//! Work on several threads. The result is the same for any number of them.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Maps items in any order on up to `threads` threads, the calling one included; the results are in the order of the items.
pub(crate) fn map<I: Sync, R: Send>(threads: usize, items: &[I], work: impl Fn(&I) -> R + Sync) -> Vec<R> {
    map_with(threads, items, || (), |(), item| work(item))
}

/// [`map`] with a state for each thread, which its items share.
///
/// # Panics
/// If `work` does, on any thread.
pub(crate) fn map_with<S, I: Sync, R: Send>(
    threads: usize,
    items: &[I],
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &I) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut state = state();
        let mut done = vec![];
        while let i = next.fetch_add(1, Ordering::Relaxed)
            && let Some(item) = items.get(i)
        {
            done.push((i, work(&mut state, item)));
        }
        done
    };
    let helpers = threads.min(items.len()).saturating_sub(1);
    let mut done = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..helpers).map(|_| scope.spawn(take)).collect();
        let mut done = take();
        for handle in handles {
            done.extend(handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}
