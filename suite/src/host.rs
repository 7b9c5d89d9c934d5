//! What the operating system knows of this process: cores, memory, processor time. On other systems than Linux none of it is known.

/// Restricts this process, with the threads that it starts later, to its first `count` cores; whether that is in force.
pub fn pin(count: usize) -> bool {
    system::pin(&|allowed: &[usize]| allowed.iter().copied().take(count).collect())
}

/// Restricts this process to the last of its cores.
pub fn pin_to_last() -> bool {
    system::pin(&|allowed: &[usize]| allowed.last().copied().into_iter().collect())
}

/// The cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The bytes of the last cache before the memory, as far as the system says it.
pub fn last_level_cache() -> Option<usize> {
    system::last_level_cache()
}

/// The largest resident memory so far, in MiB.
pub fn peak_memory() -> Option<f64> {
    system::peak_memory()
}

/// Lets [`peak_memory`] begin again.
pub fn reset_peak_memory() {
    system::reset_peak_memory();
}

/// What this process has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Processor time of all threads, in seconds.
    pub seconds: f64,
    /// How often the system gave a core to another process.
    pub preempted: i64,
}

/// Processor time, and how often it was taken away.
pub fn usage() -> Option<Usage> {
    system::usage()
}

#[cfg(target_os = "linux")]
mod system {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::unistd::Pid;

    use super::Usage;

    pub fn pin(choose: &dyn Fn(&[usize]) -> Vec<usize>) -> bool {
        let this = Pid::from_raw(0);
        let Ok(allowed) = sched_getaffinity(this) else { return false };
        let cores: Vec<usize> = (0..CpuSet::count()).filter(|&core| allowed.is_set(core).unwrap_or(false)).collect();
        let mut chosen = CpuSet::new();
        choose(&cores).into_iter().all(|core| chosen.set(core).is_ok()) && sched_setaffinity(this, &chosen).is_ok()
    }

    pub fn last_level_cache() -> Option<usize> {
        let size = |index: usize| {
            let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size");
            let text = std::fs::read_to_string(path).ok()?;
            Some(text.trim().strip_suffix('K')?.parse::<usize>().ok()? << 10)
        };
        (0..).map_while(size).last()
    }

    pub fn peak_memory() -> Option<f64> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
    }

    pub fn reset_peak_memory() {
        // A system that refuses reports the peak of the whole process.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
    }

    pub fn usage() -> Option<Usage> {
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
        let seconds = [usage.user_time(), usage.system_time()].map(|t| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6);
        Some(Usage { seconds: seconds.iter().sum(), preempted: usage.involuntary_context_switches() })
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::Usage;

    pub fn pin(_: &dyn Fn(&[usize]) -> Vec<usize>) -> bool {
        false
    }

    pub fn last_level_cache() -> Option<usize> {
        None
    }

    pub fn peak_memory() -> Option<f64> {
        None
    }

    pub fn reset_peak_memory() {}

    pub fn usage() -> Option<Usage> {
        None
    }
}
