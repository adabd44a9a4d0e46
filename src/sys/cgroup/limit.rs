//! The limits of one group: written through cgroups-rs, and each read back.

use super::tree::Tree;
use super::{Error, failed};
use crate::manifest::huge::{HugePages, PageSize};
use cgroups_rs::fs::MaxValue;
use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
use std::borrow::ToOwned;
use std::format;
use std::fs;
use std::io;
use std::path::Path;
use std::prelude::v1::*;

/// The period of the processor bandwidth limit, in microseconds.
const CPU_PERIOD_US: u64 = 100_000;

/// The bounds of one group. `None` is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, with no swap beside them.
    pub memory: Option<u64>,
    /// Bytes of memory above which it is slowed down, and has to give back what it can (v2).
    pub memory_high: Option<u64>,
    /// Kill the whole group where one of it must die for memory (v2).
    pub memory_group: bool,
    /// Thousandths of a processor.
    pub cpu_milli: Option<u32>,
    /// The share of a busy processor, as requested thousandths; `None` leaves the kernel's.
    pub cpu_request_milli: Option<u32>,
    /// Processes.
    pub pids: Option<u32>,
    /// Huge pages; not one of a size of which none is asked for. Set when the group is made, and never changed.
    pub huge_pages: HugePages,
}

/// Sets the limits of one directory, and reads each back.
pub(super) fn limit(tree: &Tree, dir: &Path, limits: &Limits) -> Result<(), Error> {
    let at = || (dir.to_owned(), dir.to_owned(), tree.v2);
    let refused = |what: &str, value: u64, e: cgroups_rs::fs::error::Error| Error {
        what: format!("set {what} of {} to {value}", dir.display()),
        source: io::Error::other(format!("{e:?}")),
    };
    if let (Some(bytes), true) = (limits.memory, tree.carries("memory")) {
        let (point, root, v2) = at();
        let memory = MemController::new(point, root, v2);
        let signed = i64::try_from(bytes).unwrap_or(i64::MAX);
        memory.set_limit(signed).map_err(|e| refused("memory", bytes, e))?;
        let page = rustix::param::page_size() as u64;
        holds(&dir.join(if v2 { "memory.max" } else { "memory.limit_in_bytes" }), &[bytes / page * page])?;
        // No swap beside it: v1 bounds both together, v2 swap alone. A kernel without swap accounting has neither file.
        let swap = dir.join(if v2 { "memory.swap.max" } else { "memory.memsw.limit_in_bytes" });
        if swap.exists() {
            memory.set_memswap_limit(if v2 { 0 } else { signed }).map_err(|e| refused("swap", bytes, e))?;
            holds(&swap, &[if v2 { 0 } else { bytes / page * page }])?;
        }
    }
    if let (Some(bytes), true) = (limits.memory_high, tree.v2 && tree.carries("memory")) {
        let (high, page) = (dir.join("memory.high"), rustix::param::page_size() as u64);
        fs::write(&high, format!("{bytes}")).map_err(failed("write", &high))?;
        holds(&high, &[bytes / page * page])?;
    }
    let group = dir.join("memory.oom.group");
    if limits.memory_group && tree.v2 && tree.carries("memory") && group.exists() {
        fs::write(&group, "1").map_err(failed("write", &group))?;
    }
    if tree.carries("cpu") {
        let (point, root, v2) = at();
        let cpu = CpuController::new(point, root, v2);
        if let Some(milli) = limits.cpu_request_milli {
            let weight = if v2 { weight(milli) } else { shares(milli) };
            cpu.set_shares(weight).map_err(|e| refused("cpu weight", weight, e))?;
            holds(&dir.join(if v2 { "cpu.weight" } else { "cpu.shares" }), &[weight])?;
        }
        if let Some(milli) = limits.cpu_milli {
            let quota = quota_us(milli);
            cpu.set_cfs_quota_and_period(i64::try_from(quota).ok(), Some(CPU_PERIOD_US))
                .map_err(|e| refused("cpu", quota, e))?;
            match v2 {
                true => holds(&dir.join("cpu.max"), &[quota, CPU_PERIOD_US])?,
                false => holds(&dir.join("cpu.cfs_quota_us"), &[quota])?,
            }
        }
    }
    if let (Some(count), true) = (limits.pids, tree.carries("pids")) {
        let (point, root, v2) = at();
        let pids = PidController::new(point, root, v2);
        pids.set_pid_max(MaxValue::Value(count.into())).map_err(|e| refused("pids", count.into(), e))?;
        holds(&dir.join("pids.max"), &[count.into()])?;
    }
    Ok(())
}

/// Sets the limits of huge pages of one directory, on pages as they are reserved and as they are used, and reads each back.
pub(super) fn huge(tree: &Tree, dir: &Path, pages: HugePages) -> Result<(), Error> {
    let files = if tree.v2 { ["rsvd.max", "max"] } else { ["rsvd.limit_in_bytes", "limit_in_bytes"] };
    for size in PageSize::ALL.into_iter().filter(|_| tree.carries("hugetlb")) {
        let name = size.quantity().trim_end_matches('i');
        let files = files.map(|file| dir.join(format!("hugetlb.{name}B.{file}")));
        for file in files.iter().filter(|file| file.exists()) {
            fs::write(file, format!("{}", pages.bytes(size))).map_err(failed("write", file))?;
            holds(file, &[pages.bytes(size)])?;
        }
    }
    Ok(())
}

/// Takes the limits of memory and processors away. So the order in which others are set does not matter: v1 takes none for memory
/// alone above that for memory and swap.
pub(super) fn lift(tree: &Tree, dir: &Path) -> Result<(), Error> {
    let (memory, cpu): (&[&str], &str) = match tree.v2 {
        true => (&["memory.swap.max", "memory.high", "memory.max"], "cpu.max"),
        false => (&["memory.memsw.limit_in_bytes", "memory.limit_in_bytes"], "cpu.cfs_quota_us"),
    };
    let (memory, cpu) =
        (memory.iter().copied().filter(|_| tree.carries("memory")), Some(cpu).filter(|_| tree.carries("cpu")));
    for file in memory.chain(cpu).map(|name| dir.join(name)).filter(|file| file.exists()) {
        fs::write(&file, if tree.v2 { "max" } else { "-1" }).map_err(failed("write", &file))?;
    }
    Ok(())
}

/// Whether the file says these numbers now.
fn holds(file: &Path, numbers: &[u64]) -> Result<(), Error> {
    let text = fs::read_to_string(file).map_err(failed("read", file))?;
    if text.split_whitespace().map(str::parse).eq(numbers.iter().map(|n| Ok(*n))) {
        return Ok(());
    }
    let source = io::Error::other(format!("{numbers:?} was set, {} holds", text.trim()));
    Err(Error { what: format!("limit {}", file.display()), source })
}

/// v1's shares, as kubelet counts them.
pub(super) fn shares(milli: u32) -> u64 {
    (u64::from(milli) * 1024 / 1000).clamp(2, 262_144)
}

/// v2's weight, as kubelet counts it.
pub(super) fn weight(milli: u32) -> u64 {
    1 + (shares(milli) - 2) * 9999 / 262_142
}

/// Microseconds of each period; the kernel takes no less than 1 ms.
pub(super) fn quota_us(milli: u32) -> u64 {
    (u64::from(milli) * CPU_PERIOD_US / 1000).max(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spec_93_cpu_numbers_are_kubelets() {
        assert_eq!((shares(0), shares(100), shares(1000)), (2, 102, 1024));
        assert_eq!((weight(0), weight(1000), weight(u32::MAX)), (1, 39, 10000));
        assert_eq!((quota_us(500), quota_us(1)), (50_000, 1000));
    }
}
