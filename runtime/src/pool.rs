//! The thread pool. Idle threads sleep; work is claimed, not assigned.
//!
//! A job is a number of chunks, fixed by the program and not by the pool. Idle threads claim the next few of them from a counter.
//! The calling thread claims like all others, so a job ends even if no worker ever wakes up, and a worker that the system has
//! descheduled delays only the chunks that it has claimed. As chunks are independent and their number does not depend on that of
//! the threads, results have the same bits on any number of threads.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// How often a thread polls for the next job, or for the end of one, before it sleeps: some ten microseconds, about the cost of a
/// wake-up. The kernels of one step follow each other within that.
const SPINS: u32 = 1000;

/// Claims per thread into which a job is divided: enough for a fast thread to relieve a slow one.
const CLAIMS_PER_THREAD: u64 = 8;

/// Limit of the threads of a pool per processor. More of them only wait for each other, and a system that runs out of memory for
/// stacks may kill the process instead of reporting an error.
const THREADS_PER_PROCESSOR: usize = 4;

/// Threads that a pool may have regardless of the number of processors.
const THREADS_ANYWHERE: usize = 16;

/// A pool of threads, to be shared by sessions through an `Arc`.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// A chunk panicked. The other chunks may have run or not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a thread of the pool panicked: {message}")]
pub struct JobPanicked {
    pub message: String,
}

#[derive(Debug, Default)]
struct Shared {
    slot: Mutex<Slot>,
    /// Signalled when a job is posted and when the pool stops.
    posted: Condvar,
    /// Signalled when the last worker has left a job.
    left: Condvar,
    /// A copy of the slot's generation, to be polled without the lock.
    generation: AtomicU64,
    /// A copy of the slot's count of workers inside, likewise.
    inside: AtomicU64,
}

#[derive(Debug, Default)]
struct Slot {
    /// The job that workers may join.
    job: Option<&'static Job<'static>>,
    /// Number of jobs posted so far: a worker joins each at most once.
    generation: u64,
    /// Workers that hold a reference to the job, or to one that is being withdrawn.
    inside: u64,
    sleeping: usize,
    stop: bool,
}

struct Job<'a> {
    task: &'a (dyn Fn(usize, u64, u64) + Sync),
    chunks: u64,
    grain: u64,
    next: AtomicU64,
    failed: AtomicBool,
    panic: Mutex<Option<String>>,
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("chunks", &self.chunks).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool of this many threads, including the caller of [`Pool::run`]; at least 1, and at most a few per processor.
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let workers = (1..threads.min(most_threads()))
            .map_while(|i| {
                let shared = Arc::clone(&shared);
                // A pool that gets fewer threads from the system is slower, but correct.
                thread::Builder::new().name(format!("dlc-{i}")).spawn(move || shared.work(i)).ok()
            })
            .collect();
        Pool { shared, workers }
    }

    /// A pool with a thread for every processor that this process may use.
    pub fn with_all_processors() -> Self {
        Self::new(processors())
    }

    /// Number of threads, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task(thread, begin, end)` for ranges that together cover `0 .. chunks` exactly once, on any threads in any order,
    /// and returns when all calls have. Concurrent calls of one job have different numbers `thread`, below [`Pool::threads`].
    /// While another caller's job occupies the pool, the calling thread does everything.
    ///
    /// # Errors
    /// If a call panics; unclaimed chunks are then skipped.
    pub fn run(&self, chunks: u64, task: &(dyn Fn(usize, u64, u64) + Sync)) -> Result<(), JobPanicked> {
        let grain = (chunks / (self.threads() as u64 * CLAIMS_PER_THREAD)).max(1);
        let job = Job {
            task,
            chunks,
            grain,
            next: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            panic: Mutex::new(None),
        };
        if chunks > grain && !self.workers.is_empty() {
            let _posted = self.shared.post(&job);
            job.work(0);
        } else {
            job.work(0);
        }
        match job.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(message) => Err(JobPanicked { message }),
        }
    }
}

/// The processors that this process may use.
fn processors() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}

/// The most threads that a pool has.
fn most_threads() -> usize {
    processors().saturating_mul(THREADS_PER_PROCESSOR).max(THREADS_ANYWHERE)
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.posted.notify_all();
        for worker in self.workers.drain(..) {
            // A worker cannot panic: it catches the panics of its jobs.
            let _ = worker.join();
        }
    }
}

/// While this exists, workers may join a job; dropping it waits for those that did.
struct Posted<'a>(Option<&'a Shared>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        // No code that can panic runs under the lock.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts a job for the workers, unless there is one already.
    #[allow(unsafe_code)]
    fn post<'a>(&'a self, job: &'a Job<'_>) -> Posted<'a> {
        let mut slot = self.lock();
        if slot.job.is_some() {
            return Posted(None);
        }
        // SAFETY: only the lifetimes are changed. Workers take the reference out of the slot under the lock and count
        // themselves in `inside` under the same lock. `Posted::drop`, which runs before `'a` ends since `Posted`
        // borrows from it and `run` does not leak it, empties the slot and returns only once `inside` is 0; a worker
        // counts itself out after its last use of the reference.
        let job = unsafe { std::mem::transmute::<&'a Job<'_>, &'static Job<'static>>(job) };
        slot.job = Some(job);
        slot.generation += 1;
        self.generation.store(slot.generation, Ordering::Release);
        let sleeping = slot.sleeping;
        drop(slot);
        if sleeping > 0 {
            self.posted.notify_all();
        }
        Posted(Some(self))
    }

    /// The loop of a worker until the pool is dropped.
    fn work(&self, thread: usize) {
        let mut seen = 0;
        loop {
            spin_until(|| self.generation.load(Ordering::Acquire) != seen);
            let mut slot = self.lock();
            let job = loop {
                if slot.stop {
                    return;
                }
                if slot.generation != seen {
                    seen = slot.generation;
                    if let Some(job) = slot.job {
                        break job;
                    }
                }
                slot.sleeping += 1;
                slot = self.posted.wait(slot).unwrap_or_else(PoisonError::into_inner);
                slot.sleeping -= 1;
            };
            slot.inside += 1;
            self.inside.store(slot.inside, Ordering::Release);
            drop(slot);
            job.work(thread);
            let mut slot = self.lock();
            slot.inside -= 1;
            self.inside.store(slot.inside, Ordering::Release);
            if slot.inside == 0 {
                self.left.notify_all();
            }
        }
    }
}

impl Drop for Posted<'_> {
    fn drop(&mut self) {
        let Some(shared) = self.0 else { return };
        shared.lock().job = None;
        spin_until(|| shared.inside.load(Ordering::Acquire) == 0);
        let mut slot = shared.lock();
        while slot.inside > 0 {
            slot = shared.left.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Job<'_> {
    /// Claims and runs chunks until none are left. Does not panic.
    fn work(&self, thread: usize) {
        while !self.failed.load(Ordering::Relaxed) {
            // The counter only assigns numbers; the lock at the job's end publishes what the chunks write.
            let begin = self.next.fetch_add(self.grain, Ordering::Relaxed);
            if begin >= self.chunks {
                return;
            }
            let end = self.chunks.min(begin + self.grain);
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (self.task)(thread, begin, end))) {
                self.failed.store(true, Ordering::Relaxed);
                let message = panic_message(&*payload);
                self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
            }
        }
    }
}

fn spin_until(done: impl Fn() -> bool) {
    for _ in 0..SPINS {
        if done() {
            return;
        }
        std::hint::spin_loop();
    }
}

/// The message of a panic.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pool: &Pool, chunks: u64) -> Vec<u64> {
        let counts: Vec<AtomicU64> = (0..chunks).map(|_| AtomicU64::new(0)).collect();
        pool.run(chunks, &|_, begin, end| {
            for i in begin..end {
                counts[i as usize].fetch_add(1, Ordering::Relaxed);
            }
        })
        .unwrap();
        counts.into_iter().map(AtomicU64::into_inner).collect()
    }

    #[test]
    fn every_chunk_runs_once() {
        for threads in [0, 1, 2, 3, 8] {
            let pool = Pool::new(threads);
            assert_eq!(pool.threads(), threads.max(1));
            for chunks in [0, 1, 2, 7, 64, 1001] {
                assert!(counts(&pool, chunks).iter().all(|&n| n == 1), "{threads} threads, {chunks} chunks");
            }
        }
    }

    #[test]
    fn a_pool_of_too_many_threads_has_fewer() {
        for threads in [1_000_000, usize::MAX] {
            let pool = Pool::new(threads);
            assert_eq!(pool.threads(), most_threads());
            assert!(counts(&pool, 1001).iter().all(|&n| n == 1));
        }
    }

    #[test]
    fn many_small_jobs_from_many_callers() {
        let pool = Pool::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for chunks in 0..1500 {
                        assert!(counts(&pool, chunks % 40).iter().all(|&n| n == 1));
                    }
                });
            }
        });
    }

    #[test]
    fn a_job_may_run_a_job() {
        let pool = Pool::new(3);
        let total = AtomicU64::new(0);
        pool.run(10, &|_, begin, end| {
            for _ in begin..end {
                total.fetch_add(counts(&pool, 5).iter().sum(), Ordering::Relaxed);
            }
        })
        .unwrap();
        assert_eq!(total.into_inner(), 50);
    }

    #[test]
    fn no_two_calls_share_a_thread_number() {
        let pool = Pool::new(4);
        let busy: Vec<AtomicBool> = (0..pool.threads()).map(|_| AtomicBool::new(false)).collect();
        for _ in 0..200 {
            pool.run(64, &|thread, _, _| {
                assert!(!busy[thread].swap(true, Ordering::SeqCst));
                thread::yield_now();
                busy[thread].store(false, Ordering::SeqCst);
            })
            .unwrap();
        }
    }

    #[test]
    fn a_panic_is_an_error_and_the_pool_continues() {
        let pool = Pool::new(4);
        for round in 0..50 {
            let bad = round * 2;
            let failed = pool.run(100, &|_, begin, end| {
                if (begin..end).contains(&bad) {
                    std::panic::resume_unwind(Box::new(format!("chunk {bad}")));
                }
            });
            assert_eq!(failed, Err(JobPanicked { message: format!("chunk {bad}") }));
            assert!(counts(&pool, 100).iter().all(|&n| n == 1));
        }
    }

    #[test]
    fn the_caller_finishes_alone_when_the_workers_do_not_come() {
        let pool = Pool::new(3);
        // Both workers are occupied by another caller's job; this thread's job must end nevertheless.
        let (held, go_on) = (AtomicU64::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                pool.run(3, &|_, _, _| {
                    held.fetch_add(1, Ordering::SeqCst);
                    while !go_on.load(Ordering::SeqCst) {
                        thread::yield_now();
                    }
                })
            });
            while held.load(Ordering::SeqCst) < 3 {
                thread::yield_now();
            }
            assert!(counts(&pool, 100).iter().all(|&n| n == 1));
            go_on.store(true, Ordering::SeqCst);
        });
    }
}
