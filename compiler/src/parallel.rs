//! Work on several threads. The result is the same for any number of them.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Maps items in any order on up to `threads` threads, the calling one included; the results are in the order of the items.
pub(crate) fn map<I: Sync, R: Send>(threads: usize, items: &[I], work: impl Fn(&I) -> R + Sync) -> Vec<R> {
    map_with(threads, items, |_| 0, || (), |(), item| work(item))
}

/// [`map`], beginning with the largest items: a large one that begins last is waited for.
pub(crate) fn map_largest_first<I: Sync, R: Send>(
    threads: usize,
    items: &[I],
    size: impl Fn(&I) -> usize,
    work: impl Fn(&I) -> R + Sync,
) -> Vec<R> {
    map_with(threads, items, size, || (), |(), item| work(item))
}

/// [`map_largest_first`] with a state for each thread, which its items share.
///
/// # Panics
/// If `work` does, on any thread.
pub(crate) fn map_with<S, I: Sync, R: Send>(
    threads: usize,
    items: &[I],
    size: impl Fn(&I) -> usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &I) -> R + Sync,
) -> Vec<R> {
    let sizes: Vec<usize> = items.iter().map(size).collect();
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&i| Reverse(sizes[i]));
    let largest = order.first().map_or(0, |&i| sizes[i]);
    let total = sizes.iter().copied().fold(0, usize::saturating_add);
    let next = AtomicUsize::new(0);
    let take = || {
        let mut state = state();
        let mut done = vec![];
        while let Some(&i) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push((i, work(&mut state, &items[i])));
        }
        done
    };
    // Beside an item that is nearly all of the work, the others take less time than a thread takes to start.
    let is_divisible = total - largest >= largest / 32;
    let helpers = if is_divisible { threads.min(items.len()).saturating_sub(1) } else { 0 };
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
