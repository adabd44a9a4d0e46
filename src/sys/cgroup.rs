//! Control groups: v2, v1, and v1 with a v2 tree beside it (hybrid), behind a handful of verbs.
//!
//! cgroups-rs writes the limits that v1 and v2 have in common; what it lacks on v2 (`cgroup.kill`, `memory.oom.group`,
//! `memory.events`, delegation) is written beside it. Its `build`, `delete` and `set_swappiness` are not used: they leave
//! unlimited directories, sleep, and write the wrong file. Every limit is read back: what does not hold is an error.

mod limit;
mod tree;

pub use limit::Limits;

use crate::manifest::huge::HugePages;
use limit::limit;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use std::borrow::ToOwned;
use std::fmt;
use std::format;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::prelude::v1::*;
use std::vec;
use tree::{Tree, delegate, find_trees, prepare};

/// The controllers that carry limits: those that every node should have, and the one of huge pages.
const CONTROLLERS: [&str; 4] = ["memory", "cpu", "pids", "hugetlb"];
/// How many of them every node should have.
const COMMON: usize = 3;

/// What could not be done, on what, and the kernel's word for it.
#[derive(Debug)]
pub struct Error {
    what: String,
    source: io::Error,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cgroup: {}: {}", self.what, self.source)
    }
}

impl std::error::Error for Error {}

fn failed(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let what = format!("{verb} {}", path.display());
    move |source| Error { what, source }
}

/// How the node's cgroups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One v2 tree.
    V2,
    /// Limits on v1, a v2 tree beside them for what only it can do.
    Hybrid,
    /// v1 only.
    V1,
}

impl Kind {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::V2 => "v2",
            Kind::Hybrid => "hybrid",
            Kind::V1 => "v1",
        }
    }
}

/// What a group uses; `None` where the node does not count it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Microseconds of processor time so far.
    pub cpu_us: Option<u64>,
    /// Processes.
    pub pids: Option<u64>,
}

/// The node's cgroups, and our place in them.
#[derive(Clone, Debug)]
pub struct Hierarchy {
    kind: Kind,
    trees: Vec<Tree>,
}

impl Hierarchy {
    /// Finds what is mounted, makes the directory `name` in each tree, and lets its children have limits.
    pub fn detect(name: &str) -> Result<Hierarchy, Error> {
        let path = Path::new("/proc/self/mountinfo");
        let mounts = fs::read_to_string(path).map_err(failed("read", path))?;
        // Without huge pages nobody needs to be kept from them, which would cost each start a little.
        let used = if super::huge::there() == HugePages::NONE { COMMON } else { CONTROLLERS.len() };
        let mut trees = find_trees(&mounts, &CONTROLLERS[..used], |root| {
            fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default()
        });
        if trees.is_empty() {
            let source = io::Error::from(Errno::NODEV);
            return Err(Error { what: "find one: mount -t cgroup2 none /sys/fs/cgroup".to_owned(), source });
        }
        for tree in &mut trees {
            prepare(tree, name)?;
        }
        let v1 = trees.iter().any(|tree| !tree.v2);
        let v2 = trees.iter().any(|tree| tree.v2);
        let kind = match (v1, v2) {
            (false, _) => Kind::V2,
            (true, true) => Kind::Hybrid,
            (true, false) => Kind::V1,
        };
        Ok(Hierarchy { kind, trees })
    }

    /// How they are mounted.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The controllers that this node lacks, each with its fix (spec 98).
    pub fn lacks(&self) -> impl Iterator<Item = &'static str> {
        CONTROLLERS[..COMMON].iter().filter(|name| !self.trees.iter().any(|tree| tree.carries(name))).map(|name| match *name {
            "memory" => {
                "memory limits cannot be enforced: this kernel runs without the memory controller; add cgroup_enable=memory to its \
                 command line (on a Raspberry Pi after the firmware's cgroup_disable=memory)"
            }
            "cpu" => "cpu limits cannot be enforced: this kernel has no cpu controller; it needs CONFIG_CFS_BANDWIDTH",
            _ => "limits of processes cannot be enforced: this kernel has no pids controller; it needs CONFIG_CGROUP_PIDS",
        })
    }

    /// Why `limits` cannot be enforced here; `None` where they can (spec 98).
    pub fn refuses(&self, limits: &Limits) -> Option<&'static str> {
        let asked =
            [("memory", limits.memory.is_some()), ("cpu", limits.cpu_milli.is_some()), ("pids", limits.pids.is_some())];
        self.lacks().find(|fix| asked.iter().any(|(name, asked)| *asked && fix.starts_with(word(name))))
    }

    /// Whether huge pages can be bounded.
    pub fn bounds_huge_pages(&self) -> bool {
        self.trees.iter().any(|tree| tree.carries("hugetlb"))
    }

    /// The group at `path` below our directory, whether it exists or not.
    pub fn group(&self, path: &str) -> Group<'_> {
        Group { hierarchy: self, path: PathBuf::from(path) }
    }

    /// Makes a group. Where `parent` is set its children may have limits, and on v2 no process may be in it itself.
    pub fn create(&self, path: &str, parent: bool, limits: &Limits) -> Result<Group<'_>, Error> {
        let group = self.group(path);
        for tree in &self.trees {
            let dir = tree.home.join(path);
            match fs::create_dir(&dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed("make", &dir)(error));
                }
                _ => {}
            }
            if let Err(error) = limit(tree, &dir, limits)
                .and_then(|()| limit::huge(tree, &dir, limits.huge_pages))
                .and_then(|()| if parent { delegate(tree, &dir) } else { Ok(()) })
            {
                group.remove().ok();
                return Err(error);
            }
        }
        Ok(group)
    }

    /// The names of the groups directly below our directory, or below `path` in it.
    pub fn children(&self, path: &str) -> Vec<String> {
        let mut names: Vec<String> = self.trees.iter().flat_map(|tree| subdirectories(&tree.home.join(path))).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Removes our own directory, if no group is left in it.
    pub fn leave(&self) {
        for tree in &self.trees {
            let _ = fs::remove_dir(&tree.home);
        }
    }

    /// The tree that tells whether a group has processes: the v2 one where there is one.
    fn tracker(&self) -> &Tree {
        self.trees.iter().find(|tree| tree.v2).unwrap_or(&self.trees[0])
    }
}

fn word(controller: &str) -> &str {
    if controller == "pids" { "limits of processes" } else { controller }
}

/// One group: a directory in each tree.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    hierarchy: &'a Hierarchy,
    path: PathBuf,
}

/// What a process is put into a group by.
#[derive(Debug)]
pub struct Doors {
    /// On v2 the one directory, for CLONE_INTO_CGROUP; else a `cgroup.procs` file for each tree.
    pub fds: Vec<OwnedFd>,
    /// Which of the two it is.
    pub v2: bool,
}

impl Group<'_> {
    fn dirs(&self) -> impl Iterator<Item = (&Tree, PathBuf)> {
        self.hierarchy.trees.iter().map(|tree| (tree, tree.home.join(&self.path)))
    }

    fn tracked(&self) -> PathBuf {
        self.hierarchy.tracker().home.join(&self.path)
    }

    /// Opens the ways in.
    pub fn doors(&self) -> Result<Doors, Error> {
        let v2 = self.hierarchy.kind == Kind::V2;
        let mut fds = Vec::new();
        for (_, dir) in self.dirs() {
            let (path, flags) =
                if v2 { (dir, OFlags::RDONLY | OFlags::DIRECTORY) } else { (dir.join("cgroup.procs"), OFlags::WRONLY) };
            let fd = rustix::fs::open(&path, flags | OFlags::CLOEXEC, Mode::empty())
                .map_err(|e| failed("open", &path)(e.into()))?;
            fds.push(fd);
        }
        Ok(Doors { fds, v2 })
    }

    /// Lets a user start processes in it, who is not the node's root. On v2 whoever does must be allowed to write `cgroup.procs`
    /// here and in the nearest group above both; on v1 the open door is enough.
    pub fn admit(&self, user: u32) -> Result<(), Error> {
        for (_, dir) in self.dirs().filter(|_| self.hierarchy.kind == Kind::V2) {
            let door = dir.join("cgroup.procs");
            std::os::unix::fs::chown(&door, Some(user), None).map_err(failed("hand over", &door))?;
        }
        Ok(())
    }

    /// The processes in it and in all groups below it.
    pub fn processes(&self) -> Vec<Pid> {
        let mut pids = Vec::new();
        // A process on its way in may be in one tree and not yet in another.
        for (_, dir) in self.dirs() {
            collect(&dir, &mut pids);
        }
        pids.sort_unstable_by_key(|pid| pid.as_raw_nonzero());
        pids.dedup();
        pids
    }

    /// Kills everything in it and below it. What is killed needs a moment to be gone.
    pub fn kill(&self) {
        // On v2 one write does it, forks in flight included; a kernel before 5.14 has no such file.
        if self.hierarchy.kind == Kind::V2 && fs::write(self.tracked().join("cgroup.kill"), "1").is_ok() {
            return;
        }
        // A process with SIGKILL pending forks no more: when a pass finds only known ones, all are dying.
        let mut known: Vec<Pid> = Vec::new();
        loop {
            let fresh: Vec<Pid> = self.processes().into_iter().filter(|pid| !known.contains(pid)).collect();
            if fresh.is_empty() {
                return;
            }
            for pid in fresh {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
                known.push(pid);
            }
        }
    }

    /// Gives it other limits: what has none now has none.
    pub fn relimit(&self, limits: &Limits) -> Result<(), Error> {
        for (tree, dir) in self.dirs() {
            limit::lift(tree, &dir)?;
            limit(tree, &dir, limits)?;
        }
        Ok(())
    }

    /// How often the kernel has killed something in it for want of memory.
    pub fn oom_kills(&self) -> u64 {
        self.dirs()
            .filter(|(tree, _)| tree.carries("memory"))
            .filter_map(|(tree, dir)| {
                let file = if tree.v2 { "memory.events" } else { "memory.oom_control" };
                keyed(&fs::read_to_string(dir.join(file)).ok()?, "oom_kill")
            })
            .sum()
    }

    /// What it uses.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for (tree, dir) in self.dirs() {
            let number = |file: &str| fs::read_to_string(dir.join(file)).ok()?.trim().parse::<u64>().ok();
            if tree.carries("memory") {
                usage.memory = number(if tree.v2 { "memory.current" } else { "memory.usage_in_bytes" });
            }
            if tree.carries("pids") {
                usage.pids = number("pids.current");
            }
            if tree.v2 {
                usage.cpu_us =
                    fs::read_to_string(dir.join("cpu.stat")).ok().and_then(|text| keyed(&text, "usage_usec"));
            } else if tree.cpuacct && usage.cpu_us.is_none() {
                usage.cpu_us = number("cpuacct.usage").map(|ns| ns / 1000);
            }
        }
        usage
    }

    /// Bytes of its memory that cannot be had back at once: without what it read from files and has not looked at of late.
    pub fn working_set(&self) -> Option<u64> {
        self.without(&["inactive_file"])
    }

    /// Bytes of its memory that cannot be had back at all: without what it read from files.
    pub fn held(&self) -> Option<u64> {
        self.without(&["inactive_file", "active_file"])
    }

    fn without(&self, caches: &[&str]) -> Option<u64> {
        let (tree, dir) = self.dirs().find(|(tree, _)| tree.carries("memory"))?;
        let stat = fs::read_to_string(dir.join("memory.stat")).ok()?;
        let all = if tree.v2 { "" } else { "total_" };
        let cached = caches.iter().filter_map(|cache| keyed(&stat, &format!("{all}{cache}")));
        Some(self.usage().memory?.saturating_sub(cached.sum()))
    }

    /// Removes it and all groups below it. Err(EBUSY) while a process is in one.
    pub fn remove(&self) -> Result<(), Error> {
        for (_, dir) in self.dirs() {
            remove_tree(&dir)?;
        }
        Ok(())
    }

    /// Whether any tree still has it.
    pub fn exists(&self) -> bool {
        self.dirs().any(|(_, dir)| dir.exists())
    }
}

impl Error {
    /// Whether it only needs some process to be gone.
    pub fn is_busy(&self) -> bool {
        self.source.raw_os_error() == Some(Errno::BUSY.raw_os_error())
    }
}

/// The number behind a key of a flat keyed file.
fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

fn subdirectories(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return vec![];
    };
    let is_dir = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.flatten().filter(is_dir).filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn collect(dir: &Path, pids: &mut Vec<Pid>) {
    for name in subdirectories(dir) {
        collect(&dir.join(name), pids);
    }
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?)));
}

fn remove_tree(dir: &Path) -> Result<(), Error> {
    let remove = || fs::remove_dir(dir).or_else(gone);
    // Most have none below them, and then this is all.
    let removed = match remove() {
        Err(error) if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => {
            for name in subdirectories(dir) {
                remove_tree(&dir.join(name))?;
            }
            remove()
        }
        done => done,
    };
    removed.map_err(failed("remove", dir))
}

/// What is not there need not be removed.
fn gone(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spec_98_a_missing_controller_is_named_with_its_fix() {
        let trees =
            find_trees("30 29 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw", &CONTROLLERS, |_| "cpu pids".to_owned());
        let hierarchy = Hierarchy { kind: Kind::V2, trees };
        let limits = Limits { memory: Some(1 << 20), ..Limits::default() };
        assert!(hierarchy.refuses(&limits).unwrap().contains("cgroup_enable=memory"));
        assert_eq!(hierarchy.refuses(&Limits { cpu_milli: Some(5), pids: Some(1), ..Limits::default() }), None);
    }
}
