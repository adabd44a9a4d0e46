//! Control groups: v2, v1, and v1 with a v2 tree beside it (hybrid), behind a handful of verbs.
//!
//! cgroups-rs writes the limits that v1 and v2 have in common; what it lacks on v2 (`cgroup.kill`, `memory.oom.group`,
//! `memory.events`, delegation) is written beside it. Its `build`, `delete` and `set_swappiness` are not used: they leave
//! unlimited directories, sleep, and write the wrong file. Every limit is read back: what does not hold is an error.

use cgroups_rs::fs::MaxValue;
use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
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

/// The period of the processor bandwidth limit, in microseconds.
const CPU_PERIOD_US: u64 = 100_000;
/// The controllers that carry limits.
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

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

/// The bounds of one group. `None` is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, with no swap beside them.
    pub memory: Option<u64>,
    /// Kill the whole group where one of it must die for memory (v2).
    pub memory_group: bool,
    /// Thousandths of a processor.
    pub cpu_milli: Option<u32>,
    /// The share of a busy processor, as requested thousandths; `None` leaves the kernel's.
    pub cpu_request_milli: Option<u32>,
    /// Processes.
    pub pids: Option<u32>,
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

/// One mounted tree, at the directory that is ours in it.
#[derive(Clone, Debug)]
struct Tree {
    /// Our directory.
    home: PathBuf,
    /// It is of v2.
    v2: bool,
    /// The limits that it can carry, as bits of [`CONTROLLERS`].
    carries: u8,
    /// It counts processor time in `cpuacct.usage`.
    cpuacct: bool,
}

impl Tree {
    fn carries(&self, controller: &str) -> bool {
        CONTROLLERS.iter().position(|name| *name == controller).is_some_and(|bit| self.carries & 1 << bit != 0)
    }
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
        let mut trees = find_trees(&mounts, |root| fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default());
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
        CONTROLLERS.iter().filter(|name| !self.trees.iter().any(|tree| tree.carries(name))).map(|name| match *name {
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
        let asked = [("memory", limits.memory.is_some()), ("cpu", limits.cpu_milli.is_some()), ("pids", limits.pids.is_some())];
        self.lacks().find(|fix| asked.iter().any(|(name, asked)| *asked && fix.starts_with(word(name))))
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
            if let Err(error) = limit(tree, &dir, limits).and_then(|()| if parent { delegate(tree, &dir) } else { Ok(()) }) {
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
            let fd =
                rustix::fs::open(&path, flags | OFlags::CLOEXEC, Mode::empty()).map_err(|e| failed("open", &path)(e.into()))?;
            fds.push(fd);
        }
        Ok(Doors { fds, v2 })
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
                usage.cpu_us = fs::read_to_string(dir.join("cpu.stat")).ok().and_then(|text| keyed(&text, "usage_usec"));
            } else if tree.cpuacct && usage.cpu_us.is_none() {
                usage.cpu_us = number("cpuacct.usage").map(|ns| ns / 1000);
            }
        }
        usage
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

/// The trees that matter, from the text of mountinfo: for each controller the tree that has it, and one v2 tree.
fn find_trees(mountinfo: &str, controllers: impl Fn(&Path) -> String) -> Vec<Tree> {
    let mut trees: Vec<Tree> = Vec::new();
    let mut taken = 0u8;
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let (Some(home), Some(kind)) = (left.split(' ').nth(4), right.split(' ').next()) else {
            continue;
        };
        let home = PathBuf::from(home);
        let v2 = kind == "cgroup2";
        let offers = match kind {
            "cgroup2" if !trees.iter().any(|tree| tree.v2) => controllers(&home).split_whitespace().collect::<Vec<_>>().join(","),
            "cgroup" => right.rsplit(' ').next().unwrap_or_default().to_owned(),
            _ => continue,
        };
        let offers: Vec<&str> = offers.split(',').collect();
        let bits = CONTROLLERS.iter().enumerate().filter(|(_, name)| offers.contains(name)).fold(0, |bits, (n, _)| bits | 1 << n);
        let carries = bits & !taken;
        let cpuacct = !v2 && offers.contains(&"cpuacct") && !trees.iter().any(|tree| tree.cpuacct);
        taken |= carries;
        if v2 || carries != 0 || cpuacct {
            trees.push(Tree { home, v2, carries, cpuacct });
        }
    }
    // A v2 tree counts processor time by itself, so that a tree of nothing but cpuacct is one to join for nothing.
    if trees.iter().any(|tree| tree.v2) {
        trees.retain(|tree| tree.v2 || tree.carries != 0);
    }
    trees
}

/// Makes our directory in a tree, and on v2 hands it the controllers that the kernel lets go of.
fn prepare(tree: &mut Tree, name: &str) -> Result<(), Error> {
    if tree.v2 && tree.carries != 0 {
        let mut dir = tree.home.clone();
        for part in Path::new(name).components() {
            tree.carries = enable(&dir, tree.carries);
            dir.push(part);
            fs::create_dir_all(&dir).map_err(failed("make", &dir))?;
        }
        tree.carries = enable(&dir, tree.carries);
    }
    tree.home.push(name);
    fs::create_dir_all(&tree.home).map_err(failed("make", &tree.home))?;
    if !tree.v2 && tree.carries("memory") {
        // Kernels before 5.11 count a child's memory for its parent only where told to; later ones know nothing else.
        let _ = fs::write(tree.home.join("memory.use_hierarchy"), "1");
    }
    Ok(())
}

/// Enables controllers for the children of `dir`, and gives those that are enabled now.
fn enable(dir: &Path, wanted: u8) -> u8 {
    let file = dir.join("cgroup.subtree_control");
    for (n, name) in CONTROLLERS.iter().enumerate() {
        if wanted & 1 << n != 0 {
            let _ = fs::write(&file, format!("+{name}"));
        }
    }
    let now = fs::read_to_string(&file).unwrap_or_default();
    let on = |name: &&str| now.split_whitespace().any(|word| word == *name);
    CONTROLLERS.iter().enumerate().filter(|(_, name)| on(name)).fold(0, |bits, (n, _)| bits | 1 << n) & wanted
}

/// Lets the children of a group have limits.
fn delegate(tree: &Tree, dir: &Path) -> Result<(), Error> {
    if !tree.v2 || enable(dir, tree.carries) == tree.carries {
        return Ok(());
    }
    Err(failed("hand on the controllers of", dir)(io::Error::from(Errno::OPNOTSUPP)))
}

/// Sets the limits of one directory, and reads each back.
fn limit(tree: &Tree, dir: &Path, limits: &Limits) -> Result<(), Error> {
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
        let group = dir.join("memory.oom.group");
        if limits.memory_group && v2 && group.exists() {
            fs::write(&group, "1").map_err(failed("write", &group))?;
        }
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
            cpu.set_cfs_quota_and_period(i64::try_from(quota).ok(), Some(CPU_PERIOD_US)).map_err(|e| refused("cpu", quota, e))?;
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
fn shares(milli: u32) -> u64 {
    (u64::from(milli) * 1024 / 1000).clamp(2, 262_144)
}

/// v2's weight, as kubelet counts it.
fn weight(milli: u32) -> u64 {
    1 + (shares(milli) - 2) * 9999 / 262_142
}

/// Microseconds of each period; the kernel takes no less than 1 ms.
fn quota_us(milli: u32) -> u64 {
    (u64::from(milli) * CPU_PERIOD_US / 1000).max(1000)
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
    for name in subdirectories(dir) {
        remove_tree(&dir.join(name))?;
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", dir)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "30 29 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
32 30 0:28 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
33 30 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
34 30 0:30 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
35 30 0:31 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
36 30 0:32 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";

    fn summary(trees: &[Tree]) -> Vec<(&str, bool, u8, bool)> {
        trees.iter().map(|t| (t.home.to_str().unwrap(), t.v2, t.carries, t.cpuacct)).collect()
    }

    #[test]
    fn spec_98_every_layout_of_trees_is_recognised() {
        let hybrid = find_trees(HYBRID, |_| "hugetlb".to_owned());
        assert_eq!(
            summary(&hybrid),
            [
                ("/sys/fs/cgroup/cpu", false, 0b010, false),
                ("/sys/fs/cgroup/memory", false, 0b001, false),
                ("/sys/fs/cgroup/pids", false, 0b100, false),
                ("/sys/fs/cgroup/unified", true, 0, false),
            ]
        );
        let v1 = find_trees(HYBRID.rsplit_once('\n').unwrap().0, |_| String::new());
        assert_eq!(v1.len(), 4);
        assert!(v1[1].cpuacct);
        let v2 = "30 29 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        assert_eq!(summary(&find_trees(v2, |_| "cpu memory pids".to_owned())), [("/sys/fs/cgroup", true, 0b111, false)]);
    }

    #[test]
    fn spec_98_a_missing_controller_is_named_with_its_fix() {
        let trees = find_trees("30 29 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw", |_| "cpu pids".to_owned());
        let hierarchy = Hierarchy { kind: Kind::V2, trees };
        let limits = Limits { memory: Some(1 << 20), ..Limits::default() };
        assert!(hierarchy.refuses(&limits).unwrap().contains("cgroup_enable=memory"));
        assert_eq!(hierarchy.refuses(&Limits { cpu_milli: Some(5), pids: Some(1), ..Limits::default() }), None);
    }

    #[test]
    fn spec_93_cpu_numbers_are_kubelets() {
        assert_eq!((shares(0), shares(100), shares(1000)), (2, 102, 1024));
        assert_eq!((weight(0), weight(1000), weight(u32::MAX)), (1, 39, 10000));
        assert_eq!((quota_us(500), quota_us(1)), (50_000, 1000));
    }
}
