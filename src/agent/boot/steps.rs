//! The steps of the boot. Each says what it did, or in one line why it could not.

use super::Boot;
use super::ethernet;
use super::facts::{self, resolv_conf};
use crate::manifest::board::Board;
use crate::sys::netlink::Uevents;
use crate::sys::{Error, huge, module, mount, namespace};
use core::ffi::CStr;
use core::time::Duration;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::MountAttrFlags;
use rustix::process::{chroot, fchdir};
use rustix::system::{RebootCommand, reboot, sethostname};
use std::ffi::CString;
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, fs};

/// How long a device that the rest of the boot stands on may take to come up. An SD card takes one second.
const PATIENCE: Duration = Duration::from_secs(10);

type Said = Result<String, String>;

fn words(error: impl ToString) -> String {
    error.to_string()
}

/// Runs a step that needs the board's record.
fn with_board(boot: &Boot, step: impl FnOnce(&Board<'static>) -> Said) -> Said {
    boot.board.as_ref().map_or_else(|| Ok("left out, for want of a board record".into()), step)
}

/// pivot_root, which every pod does, is refused on the kernel's first root. So a second mount of the same files is put over it.
pub(super) fn root(_: &mut Boot) -> Said {
    let copy = mount::clone_tree(CWD, "/", false).map_err(words)?;
    let over = || {
        fchdir(&copy)?;
        mount::attach_at(&copy, c"/")?;
        chroot(c".")
    };
    over().map_err(|errno| words(Error::new("put a mount of itself over", "/", errno)))?;
    Ok("a mount of its own".into())
}

/// A file system that the kernel makes out of nothing.
struct Virtual {
    kind: &'static CStr,
    at: &'static CStr,
    options: &'static [(&'static CStr, &'static CStr)],
    attributes: MountAttrFlags,
}

const NOTHING: MountAttrFlags = MountAttrFlags::empty();

const VIRTUAL: [Virtual; 6] = [
    Virtual { kind: c"devtmpfs", at: c"/dev", options: &[(c"mode", c"0755")], attributes: mount::NOSUID },
    Virtual { kind: c"proc", at: c"/proc", options: &[], attributes: mount::PLAIN },
    Virtual { kind: c"sysfs", at: c"/sys", options: &[], attributes: mount::PLAIN },
    Virtual {
        kind: c"tmpfs",
        at: c"/run",
        options: &[(c"mode", c"0755")],
        attributes: mount::NOSUID.union(mount::NODEV),
    },
    Virtual {
        kind: c"tmpfs",
        at: c"/tmp",
        options: &[(c"mode", c"1777")],
        attributes: mount::NOSUID.union(mount::NODEV),
    },
    Virtual {
        kind: c"devpts",
        at: c"/dev/pts",
        options: &[(c"mode", c"0620"), (c"ptmxmode", c"0666")],
        attributes: NOTHING,
    },
];

impl Virtual {
    fn mount(&self) -> Result<(), String> {
        let at = self.at.to_string_lossy();
        fs::create_dir_all(&*at).map_err(|error| format!("make the directory {at}: {error}"))?;
        let mounted =
            mount::new_mount(self.kind, self.options, self.attributes).and_then(|new| mount::attach_at(new, self.at));
        let subject = || format!("{} on {at}", self.kind.to_string_lossy());
        mounted.map_err(|errno| words(Error::new("mount", subject(), errno)))
    }
}

pub(super) fn file_systems(_: &mut Boot) -> Said {
    all("mounted", VIRTUAL.iter().map(Virtual::mount))
}

/// The board's record from the initramfs.
pub(super) fn board(boot: &mut Boot) -> Said {
    let board = facts::read_board(Path::new(facts::BOARD))?;
    boot.board = Some(board);
    Ok(board.class.into())
}

/// Standard input, output and error of all that follows.
pub(super) fn console(boot: &mut Boot) -> Said {
    with_board(boot, |board| {
        let path = format!("/dev/{}", board.console);
        let fail = |errno| words(Error::new("open the console", &*path, errno));
        // Not as controlling terminal: a Ctrl-C there is for the session's line editor.
        let tty = openat(CWD, &*path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
        rustix::stdio::dup2_stdin(&tty).map_err(fail)?;
        rustix::stdio::dup2_stdout(&tty).map_err(fail)?;
        rustix::stdio::dup2_stderr(&tty).map_err(fail)?;
        Ok(path)
    })
}

/// What the kernel and this process are told once.
const SETTINGS: [(&str, &str); 3] = [
    // A kernel that panics starts again by itself.
    ("/proc/sys/kernel/panic", "10"),
    // Only the kernel's errors come between what people type on the console.
    ("/proc/sys/kernel/printk", "4 4 1 7"),
    // Neither this process nor the agent and the pod-inits that come of it are what ends when memory is short (failure F13).
    ("/proc/self/oom_score_adj", "-1000"),
];

pub(super) fn settings(_: &mut Boot) -> Said {
    // Ctrl-Alt-Del is a request to this process, not a reset.
    let _ = reboot(RebootCommand::CadOff);
    all(
        "made",
        SETTINGS.iter().map(|(path, value)| fs::write(path, value).map_err(|error| format!("write {path}: {error}"))),
    )
}

/// As early as can be: they are made of memory that lies together.
pub(super) fn huge_pages(boot: &mut Boot) -> Said {
    with_board(boot, |board| {
        all("sizes", board.huge_pages.iter().map(|(size, pages)| huge::reserve(size, pages).map_err(words)))
    })
}

/// In the order of the record, which is that of their dependencies.
pub(super) fn modules(boot: &mut Boot) -> Said {
    with_board(boot, |board| {
        all("loaded", board.modules.iter().map(|name| module::load(&format!("/modules/{name}")).map_err(words)))
    })
}

/// cgroup v2 with the controllers that limits need. One that this kernel lacks is no failure of the boot: the agent warns of it, and
/// refuses the pods that ask for it (spec 98).
pub(super) fn cgroups(_: &mut Boot) -> Said {
    Virtual { kind: c"cgroup2", at: c"/sys/fs/cgroup", options: &[], attributes: mount::PLAIN }.mount()?;
    let there = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").map_err(words)?;
    let (there, lacking) = wanted(&there);
    let enable = |name: &&str| {
        fs::write("/sys/fs/cgroup/cgroup.subtree_control", format!("+{name}"))
            .map_err(|error| format!("enable the {name} controller: {error}"))
    };
    let said = all("controllers", there.iter().map(enable))?;
    Ok(if lacking.is_empty() { said } else { format!("{said}, without {}", lacking.join(" and ")) })
}

/// Of the controllers that limits need, those that a kernel with `controllers` has, and those that it lacks.
fn wanted(controllers: &str) -> (Vec<&'static str>, Vec<&'static str>) {
    ["cpu", "memory", "pids"].into_iter().partition(|name| controllers.split_whitespace().any(|there| there == *name))
}

pub(super) fn host_name(boot: &mut Boot) -> Said {
    with_board(boot, |board| {
        sethostname(board.hostname.as_bytes())
            .map_err(|errno| words(Error::new("set the host name", board.hostname, errno)))?;
        Ok(board.hostname.into())
    })
}

pub(super) fn slots(boot: &mut Boot) -> Said {
    with_board(boot, |board| await_device(board.slots).map(|()| board.slots.into()))
}

/// The data partition; where it cannot be had, memory in its place, so that the console and what needs no data still work.
pub(super) fn data(boot: &mut Boot) -> Said {
    with_board(boot, |board| {
        let mounted = await_device(board.data).and_then(|()| mount_data(board.data_fs, board.data));
        mounted.map(|()| format!("{} on {}", board.data_fs, board.data)).map_err(|error| {
            let memory =
                Virtual { kind: c"tmpfs", at: c"/data", options: &[(c"mode", c"0755")], attributes: mount::NODEV }
                    .mount();
            let instead = memory.map_or_else(|error| error, |()| "/data is in memory and will be lost".into());
            format!("{error}; {instead}: mend the data partition, then reboot")
        })
    })
}

/// Containers with `mountPropagation` see what is mounted later only where the node's own mounts are shared.
pub(super) fn propagation(_: &mut Boot) -> Said {
    mount::make_shared().map_err(|errno| words(Error::new("share the mounts below", "/", errno)))?;
    Ok("mounts are shared with the pods that ask for it".into())
}

fn mount_data(kind: &str, device: &str) -> Result<(), String> {
    let (c_kind, c_device) = (CString::new(kind).map_err(words)?, CString::new(device).map_err(words)?);
    fs::create_dir_all("/data").map_err(|error| format!("make the directory /data: {error}"))?;
    let attributes = mount::NODEV.union(mount::NOSUID).union(MountAttrFlags::MOUNT_ATTR_NOATIME);
    let new = mount::new_mount(&c_kind, &[(c"source", &c_device)], attributes)
        .and_then(|new| mount::attach_at(new, c"/data"));
    new.map_err(|errno| words(Error::new("mount", format!("{kind} of {device} on /data"), errno)))
}

fn await_device(path: &str) -> Result<(), String> {
    let there = || Path::new(path).exists();
    if there() || Uevents::listen().map_err(words)?.wait_until(PATIENCE, there) {
        return Ok(());
    }
    Err(format!(
        "{path} has not come up in {} s: is it there, and is its driver in the list of modules?",
        PATIENCE.as_secs()
    ))
}

/// The loopback, and the Ethernet with the address of the board's record if it is there by now.
pub(super) fn network(boot: &mut Boot) -> Said {
    namespace::loopback_up().map_err(|errno| words(Error::new("bring up", "lo", errno)))?;
    with_board(boot, |board| {
        let Some(network) = board.network else { return Ok("loopback only".into()) };
        fs::create_dir_all("/etc").and_then(|()| fs::write("/etc/resolv.conf", resolv_conf(board))).map_err(words)?;
        ethernet::at_boot(&network).map_err(words)
    })
}

/// The outcome of a step of many parts: each is tried, and those that fail are told together.
fn all(done: &str, results: impl Iterator<Item = Result<(), String>>) -> Said {
    let (mut good, mut bad) = (0, Vec::new());
    results.for_each(|result| result.map_or_else(|error| bad.push(error), |()| good += 1));
    if bad.is_empty() { Ok(format!("{good} {done}")) } else { Err(format!("{} ({good} {done})", bad.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_fail_are_told_together() {
        let results = [Ok(()), Err("a: no".to_string()), Ok(()), Err("b: no".to_string())];
        assert_eq!(all("done", results.into_iter()), Err("a: no; b: no (2 done)".into()));
        assert_eq!(all("done", [Ok(())].into_iter()), Ok("1 done".into()));
    }

    #[test]
    fn a_controller_that_is_not_there_is_not_asked_for() {
        assert_eq!(wanted("cpuset cpu io pids hugetlb"), (Vec::from(["cpu", "pids"]), Vec::from(["memory"])));
        assert_eq!(wanted("cpu memory pids"), (Vec::from(["cpu", "memory", "pids"]), Vec::new()));
    }

    #[test]
    fn without_a_board_record_a_step_is_left_out() {
        let mut boot = Boot::default();
        for step in [console, huge_pages, modules, host_name, slots, data] {
            assert!(step(&mut boot).unwrap().starts_with("left out"));
        }
    }

    #[test]
    fn a_device_that_is_there_is_not_waited_for() {
        let start = std::time::Instant::now();
        await_device("/dev/null").unwrap();
        assert!(start.elapsed() < PATIENCE / 2);
    }
}
