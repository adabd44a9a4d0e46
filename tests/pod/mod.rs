//! A stand-in for the agent: starts a real pod-init, gives it orders over its socket, and keeps what it reports.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::result_large_err, reason = "as in the face that is tested")]

use podling::manifest::List;
use podling::manifest::limits;
use podling::manifest::pod::Pair;
use podling::manifest::record::Memo;
use podling::manifest::status::{Exit, Uid};
use podling::manifest::terminal::Stdin;
use podling::pod::output::{RECORD, Reader, Stream};
use podling::pod::wire::{self, Exec, Failure, Hello, MountPoint, Order, Report, Setup, Start, View};
use podling::sys::mount;
use podling::sys::namespace::Namespaces;
use podling::sys::socket::{self, Descriptors, Received};
use podling::sys::spawn::{self, Cgroup, Child, Program};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, memfd_create, open};
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
use serde::Serialize;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// How long anything may take that does not depend on time.
const PATIENCE: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 180, tv_nsec: 0 };

/// The capabilities that Docker gives by default.
pub const DEFAULT_CAPABILITIES: u64 = 0xa804_25fb;

/// A list on the wire.
pub fn list<T: Serialize>(elements: &[T]) -> Vec<u8> {
    elements.iter().flat_map(|element| postcard::to_stdvec(element).expect("encode")).collect()
}

/// A scratch directory that goes away.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        assert!(rustix::process::geteuid().is_root(), "these tests make namespaces and mounts: run them as root");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("podling-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("make a scratch directory");
        Scratch(path)
    }

    /// An image: busybox from Debian's package, and nothing else.
    pub fn image(&self) -> PathBuf {
        let root = self.0.join("image");
        for directory in ["bin", "etc", "tmp"] {
            fs::create_dir_all(root.join(directory)).expect("make the image");
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox: install Debian's package busybox-static");
        for applet in [
            "sh", "true", "cat", "ls", "sleep", "hostname", "nc", "id", "grep", "head", "dd", "ps", "mount", "ln",
            "touch", "readlink", "stat", "kill", "mkdir", "umount", "chmod", "yes", "wc", "seq", "mknod",
        ] {
            let _ = symlink("busybox", root.join("bin").join(applet));
        }
        root
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a container is started with; the rest is ordinary.
pub struct Ordered<'a> {
    pub argv: Vec<&'a str>,
    pub env: Vec<&'a str>,
    pub cwd: &'a str,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub capabilities: u64,
    pub read_only_root: bool,
    pub oom_score_adj: i16,
    pub mounts: Vec<(MountPoint<'a>, OwnedFd)>,
    /// A cgroup v2 directory, or `cgroup.procs` files of v1.
    pub cgroups: Vec<OwnedFd>,
    pub cgroup_v2: bool,
    pub image: Option<PathBuf>,
    pub view: View,
    pub seccomp: Vec<u8>,
    pub no_new_privileges: bool,
    pub stdin: Stdin,
    pub tty: bool,
    pub target: Option<u8>,
}

impl Ordered<'_> {
    pub fn shell(script: &str) -> Ordered<'_> {
        Ordered::new(&["sh", "-c", script])
    }

    pub fn new<'a>(argv: &[&'a str]) -> Ordered<'a> {
        Ordered {
            argv: argv.to_vec(),
            env: vec!["PATH=/bin", "HELLO=world"],
            cwd: "/",
            uid: 0,
            gid: 0,
            groups: vec![],
            capabilities: DEFAULT_CAPABILITIES,
            read_only_root: false,
            oom_score_adj: 0,
            mounts: vec![],
            cgroups: vec![],
            cgroup_v2: false,
            image: None,
            view: View::Masked,
            seccomp: vec![],
            no_new_privileges: true,
            stdin: Stdin::None,
            tty: false,
            target: None,
        }
    }
}

/// How the pod is set up.
pub struct Sandbox {
    pub share_processes: bool,
    pub hostname: &'static str,
    pub containers: u8,
    pub sysctls: &'static [Pair<'static>],
}

impl Default for Sandbox {
    fn default() -> Sandbox {
        Sandbox { share_processes: false, hostname: "web", containers: 3, sysctls: &[] }
    }
}

pub const UID: Uid = Uid([7; 16]);

/// A real pod-init, and this end of its socket.
pub struct Pod {
    pub init: Child,
    pub socket: OwnedFd,
    pub scratch: Scratch,
    pub hello: Hello,
    image: PathBuf,
    logs: Vec<[OwnedFd; 2]>,
    pub instances: Vec<u32>,
    early: Vec<Report>,
    /// What came beside the reports, in order.
    pub beside: Vec<OwnedFd>,
}

impl Pod {
    /// A pod-init that has not been told anything yet.
    pub fn bare() -> Pod {
        let scratch = Scratch::new();
        let path = scratch.0.join("socket");
        let listener = socket::listen(&path).expect("listen");
        let program = spawn::program(env!("CARGO_BIN_EXE_podlingd")).expect("open podlingd");
        let null = spawn::null().expect("open /dev/null");
        let stderr = rustix::stdio::stderr();
        let namespaces =
            Namespaces::PID.and(Namespaces::NETWORK).and(Namespaces::IPC).and(Namespaces::NAMES).and(Namespaces::MOUNT);
        let init = spawn::spawn_exec(&Program {
            file: program.as_fd(),
            argv: &[c"pod-init"],
            env: &[],
            descriptors: &[null.as_fd(), null.as_fd(), stderr, listener.as_fd()],
            namespaces,
            cgroup: Cgroup::Inherit,
            users: None,
        })
        .expect("start pod-init");
        drop(listener);
        let socket = socket::connect(&path).expect("connect");
        let image = scratch.image();
        let hello = Hello { version: 0, uid: None, pod: Default::default(), containers: Default::default() };
        let mut pod =
            Pod { init, socket, scratch, hello, image, logs: vec![], instances: vec![], early: vec![], beside: vec![] };
        pod.hello = pod.greeting();
        pod
    }

    /// A pod that stands.
    pub fn new(sandbox: &Sandbox) -> Pod {
        let mut pod = Pod::set_up(sandbox);
        assert_eq!(pod.report(), Report::SetupDone);
        pod
    }

    /// Why a pod does not stand.
    pub fn refused(sandbox: &Sandbox) -> Failure {
        match Pod::set_up(sandbox).report() {
            Report::SetupFailed(failure) => failure,
            other => panic!("it should have failed: {other:?}"),
        }
    }

    fn set_up(sandbox: &Sandbox) -> Pod {
        let mut pod = Pod::bare();
        for _ in 0..sandbox.containers {
            let segment = || memfd_create("log", MemfdFlags::CLOEXEC).expect("make a log segment");
            pod.logs.push([segment(), segment()]);
            pod.instances.push(0);
        }
        let sysctls = list(sandbox.sysctls);
        let setup = Setup {
            uid: UID,
            hostname: sandbox.hostname,
            containers: sandbox.containers,
            share_processes: sandbox.share_processes,
            host_network: false,
            shm_bytes: 1 << 20,
            sysctls: List::from_bytes(&sysctls),
        };
        pod.order(&Order::Setup(setup), &[]);
        pod
    }

    /// Connects anew, as a new agent does.
    pub fn reconnect(&mut self) {
        self.socket = socket::connect(&self.scratch.0.join("socket")).expect("connect again");
        self.hello = self.greeting();
    }

    fn greeting(&mut self) -> Hello {
        match self.report() {
            Report::Hello(hello) => hello,
            other => panic!("not a hello: {other:?}"),
        }
    }

    pub fn order(&self, order: &Order<'_>, descriptors: &[BorrowedFd<'_>]) {
        let mut buffer = vec![0; limits::POD_MESSAGE];
        let packet = wire::encode(order, &mut buffer).expect("encode");
        socket::send(&self.socket, packet, descriptors).expect("send");
    }

    /// The next report; `None` where pod-init has closed the connection.
    pub fn try_report(&mut self) -> Option<Report> {
        if !self.early.is_empty() {
            return Some(self.early.remove(0));
        }
        let mut buffer = [0; 4096];
        let mut descriptors = Descriptors::new();
        wait_readable(self.socket.as_fd(), "a report of pod-init");
        match socket::receive(&self.socket, &mut buffer, &mut descriptors).expect("receive") {
            Received::Packet(length) => {
                self.beside.extend(descriptors);
                Some(wire::decode_report(&buffer[..length]).expect("decode"))
            }
            Received::Closed => None,
            other => panic!("{other:?}"),
        }
    }

    pub fn report(&mut self) -> Report {
        self.try_report().expect("pod-init has closed the connection")
    }

    /// The next report that is about this.
    pub fn report_like(&mut self, wanted: impl Fn(&Report) -> bool) -> Report {
        let mut others = vec![];
        loop {
            let report = self.report();
            if wanted(&report) {
                self.early.splice(0..0, others);
                return report;
            }
            others.push(report);
        }
    }

    /// Orders a start; its number.
    pub fn order_start(&mut self, container: u8, ordered: &Ordered<'_>) -> u32 {
        let index = usize::from(container);
        self.instances[index] += 1;
        let (argv, env, groups) = (list(&ordered.argv), list(&ordered.env), list(&ordered.groups));
        let points: Vec<MountPoint<'_>> = ordered.mounts.iter().map(|(point, _)| *point).collect();
        let mounts = list(&points);
        let start = Start {
            container,
            instance: self.instances[index],
            memo: Memo::default(),
            argv: List::from_bytes(&argv),
            env: List::from_bytes(&env),
            cwd: ordered.cwd,
            uid: ordered.uid,
            gid: ordered.gid,
            groups: List::from_bytes(&groups),
            capabilities: ordered.capabilities,
            no_new_privileges: ordered.no_new_privileges,
            read_only_root: ordered.read_only_root,
            layer_bytes: 4 << 20,
            oom_score_adj: ordered.oom_score_adj,
            cgroups: ordered.cgroups.len() as u8,
            cgroup_v2: ordered.cgroup_v2,
            mounts: List::from_bytes(&mounts),
            view: ordered.view,
            seccomp: &ordered.seccomp,
            stdin: ordered.stdin,
            tty: ordered.tty,
            target: ordered.target,
        };
        let image = detached(ordered.image.as_deref().unwrap_or(&self.image));
        let [a, b] = &self.logs[index];
        let mut descriptors = vec![image.as_fd(), a.as_fd(), b.as_fd()];
        descriptors.extend(ordered.cgroups.iter().map(AsFd::as_fd));
        descriptors.extend(ordered.mounts.iter().map(|(_, mounted)| mounted.as_fd()));
        let dev = open("/dev", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).expect("open /dev");
        if ordered.view == View::Privileged {
            descriptors.push(dev.as_fd());
        }
        self.order(&Order::Start(start), &descriptors);
        self.instances[index]
    }

    /// Starts a container.
    pub fn try_start(&mut self, container: u8, ordered: &Ordered<'_>) -> Result<(), Failure> {
        let number = self.order_start(container, ordered);
        let about = |report: &Report| matches!(report, Report::Started { container: c, .. } | Report::StartFailed { container: c, .. } if *c == container);
        match self.report_like(about) {
            Report::Started { instance, .. } if instance == number => Ok(()),
            Report::StartFailed { instance, failure, .. } if instance == number => Err(failure),
            other => panic!("about another instance: {other:?}"),
        }
    }

    /// Starts a container, which must work.
    pub fn start(&mut self, container: u8, ordered: &Ordered<'_>) {
        if let Err(failure) = self.try_start(container, ordered) {
            panic!("{failure}");
        }
    }

    /// Starts a container, which must fail.
    pub fn start_failing(&mut self, container: u8, ordered: &Ordered<'_>) -> Failure {
        self.try_start(container, ordered).expect_err("it should have failed")
    }

    /// Waits for a container to end.
    pub fn exited(&mut self, container: u8) -> Exit {
        match self.report_like(|report| matches!(report, Report::Exited { container: c, .. } if *c == container)) {
            Report::Exited { exit, .. } => exit,
            _ => unreachable!(),
        }
    }

    /// Runs a container to its end: its exit, and everything that it has written.
    pub fn run(&mut self, container: u8, ordered: &Ordered<'_>) -> (Exit, String) {
        self.start(container, ordered);
        let exit = self.exited(container);
        let instance = self.instances[usize::from(container)];
        (exit, self.output(container, instance))
    }

    /// A script's output; it must end well.
    pub fn shell(&mut self, container: u8, script: &str) -> String {
        let (exit, output) = self.run(container, &Ordered::shell(script));
        assert!(exit.success(), "{script}: {exit:?}, {output}");
        output
    }

    pub fn reader(&self, container: u8) -> Reader {
        let [a, b] = &self.logs[usize::from(container)];
        Reader::new([a.try_clone().expect("dup"), b.try_clone().expect("dup")])
    }

    /// What an instance has written, both streams.
    pub fn output(&self, container: u8, instance: u32) -> String {
        let reader = self.reader(container);
        let mut at = reader.oldest().expect("read the log");
        let (mut text, mut buffer) = (String::new(), [0; RECORD]);
        while let Some(record) = reader.next(&mut at, &mut buffer).expect("read the log") {
            if record.instance == instance {
                assert!(matches!(record.stream, Stream::Out | Stream::Err));
                text.push_str(&String::from_utf8_lossy(record.bytes));
            }
        }
        text
    }

    /// The bytes of its log segments.
    pub fn log_sizes(&self, container: u8) -> [u64; 2] {
        self.logs[usize::from(container)]
            .each_ref()
            .map(|segment| rustix::fs::fstat(segment).expect("stat").st_size as u64)
    }

    /// Waits until a running container has written this. The ring is in memory without a bell, so look, with a bound.
    pub fn wait_for_output(&self, container: u8, wanted: &str) -> String {
        let instance = self.instances[usize::from(container)];
        until(wanted, || self.output(container, instance).contains(wanted));
        self.output(container, instance)
    }

    /// Waits until the processes of a running container, as its own `ps` shows them, are as wanted.
    pub fn wait_for_processes(&mut self, container: u8, wanted: impl Fn(&str) -> bool) {
        until("the processes are as wanted", || wanted(&self.exec(container, &["ps"]).1));
    }

    /// Executes a program in a container: how it ended, and what it wrote to standard output.
    pub fn exec(&mut self, container: u8, argv: &[&str]) -> (Result<Exit, Failure>, String) {
        let output = memfd_create("output", MemfdFlags::CLOEXEC).expect("make a file");
        self.order_exec(1, container, argv, &output, &[], false);
        let result = self.exec_ended(1);
        let mut text = String::new();
        std::io::Read::read_to_string(&mut file_from_start(&output), &mut text).expect("read");
        (result, text)
    }

    pub fn order_exec(
        &self,
        id: u32,
        container: u8,
        argv: &[&str],
        output: &OwnedFd,
        cgroups: &[OwnedFd],
        cgroup_v2: bool,
    ) {
        let argv = list(argv);
        let null = spawn::null().expect("open /dev/null");
        let exec = Exec {
            id,
            container,
            argv: List::from_bytes(&argv),
            cgroups: cgroups.len() as u8,
            cgroup_v2,
            terminal: None,
        };
        let mut descriptors = vec![null.as_fd(), output.as_fd(), output.as_fd()];
        descriptors.extend(cgroups.iter().map(AsFd::as_fd));
        self.order(&Order::Exec(exec), &descriptors);
    }

    pub fn exec_ended(&mut self, wanted: u32) -> Result<Exit, Failure> {
        match self.report_like(|report| matches!(report, Report::ExecEnded { id, .. } if *id == wanted)) {
            Report::ExecEnded { result, .. } => result,
            _ => unreachable!(),
        }
    }

    pub fn signal(&self, container: u8, signal: u8) {
        self.order(&Order::Signal { container, instance: self.instances[usize::from(container)], signal }, &[]);
    }

    /// Waits for the end of pod-init itself.
    pub fn wait_gone(&self) -> i32 {
        wait_readable(self.init.pidfd.as_fd(), "the end of pod-init");
        let status =
            waitid(WaitId::PidFd(self.init.pidfd.as_fd()), WaitIdOptions::EXITED).expect("wait").expect("an end");
        status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0))
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = spawn::signal(&self.init.pidfd, Signal::KILL);
        let _ = waitid(WaitId::PidFd(self.init.pidfd.as_fd()), WaitIdOptions::EXITED);
    }
}

/// Waits for what rings no bell: looks again and again, with patience.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(PATIENCE.tv_sec as u64);
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "did not come: {what}");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Waits for a descriptor, with patience.
pub fn wait_readable(fd: BorrowedFd<'_>, what: &str) {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    assert_ne!(poll(&mut fds, Some(&PATIENCE)).expect("poll"), 0, "{what} did not come");
}

fn file_from_start(fd: &OwnedFd) -> fs::File {
    let mut file = fs::File::from(fd.try_clone().expect("dup"));
    std::io::Seek::rewind(&mut file).expect("rewind");
    file
}

/// A detached copy of the mount of a directory or file, as the agent hands out volumes and images.
pub fn detached(path: &Path) -> OwnedFd {
    mount::clone_tree(CWD, path.to_str().expect("a path in UTF-8"), false).expect("open the tree")
}

/// A directory as a volume at `path`.
pub fn volume<'a>(from: &Path, path: &'a str) -> (MountPoint<'a>, OwnedFd) {
    (MountPoint { path, directory: from.is_dir(), read_only: false }, detached(from))
}

/// The few error numbers that these tests name.
pub mod errno {
    pub const EPERM: i32 = 1;
    pub const ENOENT: i32 = 2;
    pub const EACCES: i32 = 13;
    pub const EBUSY: i32 = 16;
    pub const EINVAL: i32 = 22;
    pub const ELOOP: i32 = 40;
}
