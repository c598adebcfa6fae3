//! What Linux tells about a process: the time its threads ran, and the memory it has.

use std::fs;
use std::io;
use std::path::PathBuf;

/// Of one moment, summed over processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Time on a core, in nanoseconds, of all threads that still run.
    pub(super) cpu_ns: u64,
    /// Resident memory, in bytes.
    pub(super) resident_bytes: u64,
}

/// Reads the usage of these processes.
///
/// # Errors
/// One of them is not there, or the system does not tell.
pub(super) fn usage(pids: &[u32]) -> io::Result<Usage> {
    let mut sum = Usage::default();
    for pid in pids {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        for task in fs::read_dir(folder.join("task"))? {
            // A thread that has ended since is no error.
            let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            sum.cpu_ns += cpu_ns(&text).unwrap_or(0);
        }
        let status = fs::read_to_string(folder.join("status"))?;
        sum.resident_bytes += resident_bytes(&status).unwrap_or(0);
    }
    Ok(sum)
}

/// The first number of `schedstat`: nanoseconds on a core.
fn cpu_ns(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// `VmRSS:     1234 kB`.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::{cpu_ns, resident_bytes, usage};

    #[test]
    fn what_linux_shows_is_read() {
        assert_eq!(cpu_ns("123456789 42 7\n"), Some(123_456_789));
        assert_eq!(cpu_ns(""), None);
        let status = "Name:\trupor\nVmPeak:\t  999 kB\nVmRSS:\t   1234 kB\nThreads:\t3\n";
        assert_eq!(resident_bytes(status), Some(1234 * 1024));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_used_something() {
        let pid = std::process::id();
        let own = usage(&[pid]).unwrap();
        assert!(own.resident_bytes > 0, "{own:?}");
        let twice = usage(&[pid, pid]).unwrap();
        assert!(twice.cpu_ns >= own.cpu_ns && twice.resident_bytes > own.resident_bytes);
        assert!(usage(&[u32::MAX]).is_err());
    }
}
