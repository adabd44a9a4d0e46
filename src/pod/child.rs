//! The new process on its way to a container's program: the steps inside its own namespaces.

use super::launch::Teller;
use super::rootfs::{self, Leaf};
use super::steps::{Broken, On, take};
use super::streams::{Stdio, Theirs};
use super::wire::{Failure, Start, Step};
use crate::manifest::List;
use crate::sys::spawn::Cgroup;
use crate::sys::{mount, namespace, raw};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Gid, Mode, OFlags, Uid, openat};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, fchdir, getrlimit, setrlimit, umask};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};
use std::ffi::CString;
use std::format;
use std::vec::Vec;

/// What a new container is made of.
#[derive(Debug)]
pub struct Making<'a> {
    /// The order.
    pub start: &'a Start<'a>,
    /// The image's detached mount.
    pub image: &'a OwnedFd,
    /// The volumes' detached mounts, one per mount point.
    pub mounts: &'a [OwnedFd],
    /// The cgroups, where they are still to be joined.
    pub cgroup: Cgroup<'a>,
    /// The pod's own /proc.
    pub proc: BorrowedFd<'a>,
    /// The node's /dev, for a privileged container.
    pub devices: Option<BorrowedFd<'a>>,
    /// The pod has users of its own.
    pub own_users: bool,
    /// Its standard streams.
    pub streams: &'a Theirs,
    /// The devpts of its own, mounted nowhere yet.
    pub terminals: BorrowedFd<'a>,
    /// The new root, once there is one.
    pub root: Option<OwnedFd>,
    /// Its /dev/null, once there is one.
    pub null: Option<OwnedFd>,
    /// The working directory, once it is known.
    pub directory: Option<OwnedFd>,
}

/// What one step does.
type Act = fn(&mut Making<'_>) -> Result<(), Broken>;

/// From clone to exec.
const STEPS: &[(Step, Act)] = &[
    (Step::Cgroup, |making| making.cgroup.join().on("cgroup.procs")),
    (Step::Namespace, |_| namespace::own_cgroup_view().on("cgroup")),
    (Step::Root, |making| making.make_root()),
    (Step::SystemMounts, |making| making.mount_system()),
    (Step::Mount, |making| making.mount_volumes()),
    (Step::WorkingDirectory, |making| making.find_directory()),
    (Step::Pivot, |making| making.pivot()),
    (Step::WorkingDirectory, |making| making.enter_directory()),
    (Step::Credentials, |making| making.confine()),
];

/// Becomes the container's program, or says why not.
pub fn run(mut making: Making<'_>, teller: &Teller) -> Failure {
    umask(Mode::empty());
    match take(STEPS, &mut making) {
        Ok(()) => execute(making.start.argv, making.start.env, teller),
        Err(failure) => failure,
    }
}

/// A descriptor that an earlier step has made.
fn made(descriptor: &Option<OwnedFd>) -> Result<BorrowedFd<'_>, Broken> {
    descriptor.as_ref().map(AsFd::as_fd).ok_or(Errno::BADF).on("a step before")
}

impl Making<'_> {
    fn make_root(&mut self) -> Result<(), Broken> {
        self.root = Some(rootfs::layered(self.image.as_fd(), self.start.layer_bytes, self.start.view, self.own_users)?);
        Ok(())
    }

    fn mount_system(&mut self) -> Result<(), Broken> {
        self.null = Some(rootfs::system(made(&self.root)?, self.start, self.terminals, self.devices)?);
        Ok(())
    }

    fn mount_volumes(&mut self) -> Result<(), Broken> {
        let root = made(&self.root)?;
        let trusted = CapabilitySet::from_bits_retain(self.start.capabilities).contains(CapabilitySet::SYS_ADMIN);
        self.start
            .mounts
            .iter()
            .zip(self.mounts)
            .try_for_each(|(point, mounted)| rootfs::place(root, &point, mounted.as_fd(), trusted))
    }

    fn find_directory(&mut self) -> Result<(), Broken> {
        self.directory = Some(rootfs::resolve(made(&self.root)?, self.start.cwd, Leaf::Directory).on(self.start.cwd)?);
        Ok(())
    }

    fn pivot(&mut self) -> Result<(), Broken> {
        let root = made(&self.root)?;
        if self.start.read_only_root {
            mount::read_only(root, false).on("/")?;
        }
        mount::pivot(root).on("/")
    }

    fn enter_directory(&mut self) -> Result<(), Broken> {
        fchdir(made(&self.directory)?).on(self.start.cwd)
    }

    fn confine(&mut self) -> Result<(), Broken> {
        self.streams.give(Uid::from_raw(self.start.uid), Gid::from_raw(self.start.gid))?;
        confine(self.start, self.proc, self.streams.stdio(made(&self.null)?))
    }
}

/// Open files, by default: what programs that use select(2) bear. They may raise it up to what the board gave the agent.
const FILES: u64 = 1024;

/// Takes on the standard descriptors, limits, user and capabilities of a container: all but its program.
pub fn confine(start: &Start<'_>, proc: BorrowedFd<'_>, stdio: Stdio<'_>) -> Result<(), Broken> {
    stdio.take()?;
    umask(Mode::WGRP | Mode::WOTH);
    let adjust =
        openat(proc, c"self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).on("oom_score_adj")?;
    match rustix::io::write(&adjust, format!("{}", start.oom_score_adj).as_bytes()) {
        // Without CAP_SYS_RESOURCE, inside somebody else's container, it cannot be lowered: then the pod is only sooner a victim.
        Ok(_) | Err(Errno::ACCESS) => {}
        Err(errno) => return Err(errno).on("oom_score_adj"),
    }
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(most.map_or(FILES, |most| most.min(FILES))), maximum: most })
        .on("RLIMIT_NOFILE")?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: None }).on("RLIMIT_CORE")?;
    raw::close_on_exec_from(3).on("descriptors")?;
    raw::default_sigpipe();
    raw::mask_signals(false).on("signals")?;
    credentials(start)
}

fn credentials(start: &Start<'_>) -> Result<(), Broken> {
    let keep = CapabilitySet::from_bits_retain(start.capabilities);
    for number in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if keep.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            // One past the last that this kernel knows.
            Err(Errno::INVAL) => break,
            done => done.on("capabilities")?,
        }
    }
    let groups: Vec<Gid> = start.groups.iter().map(Gid::from_raw).collect();
    set_thread_groups(&groups).on("groups")?;
    let (uid, gid) = (Uid::from_raw(start.uid), Gid::from_raw(start.gid));
    // Without no_new_privs it takes SYS_ADMIN to install a filter: that is kept over the change of the user, until the filter is there.
    let by_privilege = !start.seccomp.is_empty() && !start.no_new_privileges;
    let known = known();
    if by_privilege {
        set_keep_capabilities(true).on("capabilities")?;
    }
    set_thread_res_gid(gid, gid, gid).on("group")?;
    set_thread_res_uid(uid, uid, uid).on("user")?;
    clear_ambient_capability_set().on("capabilities")?;
    let held = if start.uid == 0 { keep & known } else { CapabilitySet::empty() };
    if by_privilege {
        hold(CapabilitySet::SYS_ADMIN, held | CapabilitySet::SYS_ADMIN)?;
        filter(start.seccomp)?;
    }
    hold(held, held)?;
    if start.no_new_privileges {
        set_no_new_privs(true).on("no_new_privs")?;
        filter(start.seccomp)?;
    }
    Ok(())
}

fn hold(effective: CapabilitySet, permitted: CapabilitySet) -> Result<(), Broken> {
    let sets = CapabilitySets { effective, permitted, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).on("capabilities")
}

/// Installs the seccomp filter, where there is one. What comes after it must pass it.
fn filter(instructions: &[u8]) -> Result<(), Broken> {
    match instructions {
        [] => Ok(()),
        some => raw::seccomp_filter(some).on("seccomp filter (does this kernel have CONFIG_SECCOMP_FILTER?)"),
    }
}

/// The capabilities that this kernel knows and this process has.
fn known() -> CapabilitySet {
    rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted)
}

/// Executes the program, looked up in the PATH of `env` where it has no `/`. Comes back only with a failure.
pub fn execute(argv: List<'_, &str>, env: List<'_, &str>, teller: &Teller) -> Failure {
    let name = argv.get(0).unwrap_or_default();
    let failed = |errno: Errno| Failure::new(Step::Exec, errno.raw_os_error(), name);
    let strings = |list: List<'_, &str>| list.iter().map(CString::new).collect::<Result<Vec<CString>, _>>();
    let (Ok(words), Ok(variables)) = (strings(argv), strings(env)) else { return failed(Errno::INVAL) };
    if name.is_empty() {
        return failed(Errno::NOENT);
    }
    let path = env
        .iter()
        .find_map(|variable| variable.strip_prefix("PATH="))
        .unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let places = if name.contains('/') { "" } else { path };
    let candidates: Vec<CString> = places
        .split(':')
        .filter_map(|place| CString::new(if place.is_empty() { name.into() } else { format!("{place}/{name}") }).ok())
        .collect();
    teller.ready();
    let mut worst = Errno::NOENT;
    for candidate in candidates {
        match raw::execve(&candidate, &words, &variables) {
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::ACCESS => worst = Errno::ACCESS,
            errno => return failed(errno),
        }
    }
    failed(worst)
}
