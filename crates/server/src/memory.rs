//! How much memory there is: the control group's limit, else the machine's.

use std::fs;

/// A share of this when nothing says how much there is.
const FALLBACK_BYTES: u64 = 1024 * 1024 * 1024;

/// The memory that this process may use, in bytes.
pub(crate) fn limit_bytes() -> u64 {
    let groups = [
        // Version 2 as a container sees it, then version 1.
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let group = groups
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .find_map(|text| text.trim().parse::<u64>().ok());
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| total(&text));
    // A group without a limit names a number beyond all memory.
    match (group, machine) {
        (Some(group), Some(machine)) => group.min(machine),
        (one, other) => one.or(other).unwrap_or(FALLBACK_BYTES),
    }
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_is_in_kib() {
        assert_eq!(
            total("MemFree: 1 kB\nMemTotal:       24 kB\n"),
            Some(24 * 1024).filter(|_| true)
        );
        assert_eq!(total("nothing"), None);
    }

    #[test]
    fn there_is_some_memory() {
        assert!(limit_bytes() > 1024 * 1024);
    }
}
