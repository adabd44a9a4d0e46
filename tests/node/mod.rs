//! A node to test the agent on: directories of its own, an image of busybox, a manifest from YAML, an agent in this process or
//! in one of its own.
#![allow(dead_code, reason = "each test file uses its part")]

use podling::agent::{self, Agent, Config, Outcome, Shutdown, Streams};
use podling::host::boards::{self, Arch, BoardFile};
use podling::host::diagnostic::{Diagnostics, Sources};
use podling::host::lower;
use podling::machine::pod::Container;
use podling::manifest::List;
use podling::manifest::codec::{self, Kind};
use podling::manifest::eviction::Eviction;
use podling::manifest::image::{Image, normalise, platform_of_machine, record_name, squashfs_name};
use podling::manifest::pod::{Manifest, Node as Settings};
use podling::manifest::status::{ContainerState, Phase, Terminated};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// The longest that a test may take, on a machine that has much else to do. A grace that nobody is to wait for is [`FOREVER`].
pub const PATIENCE: Duration = Duration::from_secs(180);

/// How often a test looks for what rings no bell.
const GLANCE: Duration = Duration::from_millis(5);

/// A grace period that no test waits for: more than [`PATIENCE`].
pub const FOREVER: &str = "terminationGracePeriodSeconds: 3600";

/// Back-off as short as it can be without being none.
pub const SETTINGS: Settings = Settings {
    backoff_base_ms: 200,
    backoff_cap_ms: 400,
    backoff_reset_ms: 60_000,
    pod_pids_limit: 64,
    shutdown_grace_seconds: 20,
    memory_reserve: None,
    eviction: Eviction::DEFAULT,
};

/// One node.
pub struct Node {
    pub root: PathBuf,
    pub cgroup: String,
    pub settings: Settings,
    /// What is different about its board.
    pub tune: fn(&mut BoardFile),
}

impl Node {
    pub fn new() -> Node {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests make namespaces, mounts and cgroups: run them as root"
        );
        let name = format!("podling-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let root = Path::new("/run").join(&name);
        fs::create_dir_all(root.join("data/images")).expect("make the node's directories");
        let node = Node { root, cgroup: name, settings: SETTINGS, tune: |_| {} };
        node.put_image();
        node
    }

    /// The node at that place, which is another process's, or another variable's: it goes with that.
    pub fn at(root: impl Into<PathBuf>) -> ManuallyDrop<Node> {
        let root = root.into();
        let cgroup = root.file_name().unwrap().to_str().unwrap().to_string();
        ManuallyDrop::new(Node { root, cgroup, settings: SETTINGS, tune: |_| {} })
    }

    pub fn run_dir(&self) -> PathBuf {
        self.root.join("run")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Puts the image `busybox` where the agent looks for it.
    fn put_image(&self) {
        let uname = rustix::system::uname();
        self.put_image_for(platform_of_machine(uname.machine().to_str().unwrap()));
    }

    /// The same, as if it were for that platform.
    pub fn put_image_for(&self, platform: &str) {
        self.put_image_as("busybox", platform);
    }

    /// The same under another name.
    pub fn put_image_as(&self, name: &str, platform: &str) {
        let images = self.data_dir().join("images");
        let (squashfs, sha256) = busybox();
        let reference = normalise(name).unwrap();
        fs::copy(&squashfs, images.join(squashfs_name(&sha256).as_str())).expect("copy the image");
        let env = bytes(&["PATH=/bin", "FROM=image"]);
        let cmd = bytes(&["/bin/sh"]);
        let image = Image {
            reference: &reference,
            platform,
            sha256,
            size: fs::metadata(&squashfs).unwrap().len(),
            entrypoint: List::EMPTY,
            cmd: List::from_bytes(&cmd),
            env: List::from_bytes(&env),
            working_dir: "/",
            uid: 0,
            gid: 0,
            groups: List::EMPTY,
            stop_signal: 15,
            ports: List::EMPTY,
        };
        let body = postcard::to_stdvec(&image).unwrap();
        let header = codec::seal(Kind::Image, "", 0, &body).unwrap();
        fs::write(images.join(record_name(&reference).unwrap().as_str()), [&header[..], &body].concat()).unwrap();
    }

    /// The board of the tests, with this machine's processor.
    pub fn board(&self) -> BoardFile {
        let mut board = boards::load("qemu-virt-aarch64").expect("the board of the tests");
        board.arch = Arch::host().expect("a processor that podling knows");
        (self.tune)(&mut board);
        board
    }

    /// Compiles YAML as `podling build` does, with this node's settings.
    pub fn manifest(&self, yaml: &str) -> Vec<u8> {
        let board = self.board();
        let mut sources = Sources::default();
        sources.add("test.yaml", yaml);
        let diagnostics = Diagnostics::default();
        let compiled = lower::compile(&sources, &board, &diagnostics);
        let body = compiled.unwrap_or_else(|| panic!("{}", diagnostics.render(&sources))).body;
        let manifest: Manifest<'_> = codec::decode(&body).unwrap();
        let body = postcard::to_stdvec(&Manifest { node: self.settings, ..manifest }).unwrap();
        let header = codec::seal(Kind::Manifest, &board.class, 1, &body).unwrap();
        [&header[..], &body].concat()
    }

    pub fn config(&self, yaml: &str) -> Config {
        let mut config = Config::board("testnode", "qemu-virt-aarch64");
        config.run_dir = self.run_dir();
        config.data_dir = self.data_dir();
        config.cgroup = self.cgroup.clone();
        config.manifest = Some(self.manifest(yaml));
        config.program = Some(PathBuf::from(env!("CARGO_BIN_EXE_podlingd")));
        config.protect = false;
        // The machine that runs the tests may be short of something itself.
        config.evict = false;
        config.allow_privileged = self.board().allow_privileged;
        config
    }

    /// Runs an agent in a thread of its own, and the script beside it on its executor; afterwards everything ends, and nothing is left.
    pub fn run<F: Future<Output = ()> + 'static>(&self, yaml: &str, script: impl FnOnce(Board) -> F + Send) {
        let config = self.config(yaml);
        let outcome = self.run_config(config, script);
        assert_eq!(outcome.shutdown, Shutdown::Exit);
        self.assert_clean();
    }

    /// The same for one of several agents after each other: the pods live on for the next one, with another manifest.
    pub fn run_first<F: Future<Output = ()> + 'static>(&self, yaml: &str, script: impl FnOnce(Board) -> F + Send) {
        let outcome = self.run_until(self.config(yaml), Shutdown::Again, script);
        assert_eq!(outcome.shutdown, Shutdown::Again);
    }

    pub fn run_config<F: Future<Output = ()> + 'static>(
        &self,
        config: Config,
        script: impl FnOnce(Board) -> F + Send,
    ) -> Outcome {
        self.run_until(config, Shutdown::Exit, script)
    }

    fn run_until<F: Future<Output = ()> + 'static>(
        &self,
        config: Config,
        how: Shutdown,
        script: impl FnOnce(Board) -> F + Send,
    ) -> Outcome {
        let failed = std::sync::Arc::new(Mutex::new(true));
        let told = failed.clone();
        let outcome = thread::scope(|scope| {
            let agent = scope.spawn(|| {
                agent::run(config, |agent| {
                    let board = Board(agent.clone());
                    let task = script(board.clone());
                    agent.spawn(async move {
                        let late = async {
                            smol::Timer::after(PATIENCE).await;
                            panic!("the test takes too long; {}", board.describe());
                        };
                        // A panic must not leave the agent running for ever.
                        let end = End(board.0.clone(), how);
                        smol::future::or(task, late).await;
                        *told.lock().unwrap() = false;
                        drop(end);
                    });
                })
            });
            agent.join()
        });
        let outcome = outcome.expect("the script").expect("the agent");
        assert!(!*failed.lock().unwrap(), "the script did not come to its end");
        outcome
    }

    /// Nothing of this node is left on this machine.
    pub fn assert_clean(&self) {
        self.assert_no_pods();
        assert_eq!(self.mounts(), Vec::<String>::new(), "mounts");
        self.assert_no_loops();
        self.assert_empty("run/images");
    }

    /// A pod of another node that is just being made has a copy of all mounts until it has left the old root: for so long it keeps the
    /// loop device of an image that is unmounted here.
    fn assert_no_loops(&self) {
        let end = Instant::now() + PATIENCE;
        while !self.loops().is_empty() {
            assert!(Instant::now() < end, "loop devices: {:?}", self.loops());
            thread::sleep(GLANCE);
        }
    }

    /// Nothing of any pod is left; the images that the manifest names may be.
    pub fn assert_no_pods(&self) {
        let mut mounts = self.mounts();
        mounts.retain(|line| !line.contains("/run/images/"));
        assert_eq!(mounts, Vec::<String>::new(), "mounts");
        assert_eq!(self.groups(), Vec::<String>::new(), "cgroups");
        self.assert_empty("run/pods");
        self.assert_empty("data/pods");
    }

    fn assert_empty(&self, directory: &str) {
        let entries = fs::read_dir(self.root.join(directory)).into_iter().flatten().flatten();
        let left: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "{directory}: {left:?}");
    }

    fn mounts(&self) -> Vec<String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        mounts.lines().filter(|line| line.contains(self.root.to_str().unwrap())).map(String::from).collect()
    }

    /// The loop devices with files of this node behind them.
    pub fn loops(&self) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/sys/block").unwrap().flatten() {
            let behind = fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
            if behind.contains(self.root.to_str().unwrap()) {
                found.push(format!("{} {}", entry.path().display(), behind.trim()));
            }
        }
        found
    }

    /// All groups of this node, below its own.
    pub fn groups(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        for line in mounts.lines().filter(|line| line.contains(" - cgroup")) {
            let home = Path::new(line.split(' ').nth(4).unwrap()).join(&self.cgroup);
            walk(&home, &mut |path| found.push(path.display().to_string()));
        }
        found
    }

    /// The processes in this node's groups.
    pub fn processes(&self) -> Vec<i32> {
        let mut pids: Vec<i32> = Vec::new();
        for group in self.groups() {
            let text = fs::read_to_string(Path::new(&group).join("cgroup.procs")).unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // What a test that failed has left.
        for pid in self.processes() {
            let _ = rustix::process::kill_process(
                rustix::process::Pid::from_raw(pid).unwrap(),
                rustix::process::Signal::KILL,
            );
        }
        if thread::panicking() {
            thread::sleep(Duration::from_millis(300));
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
            for line in mounts.lines().rev().filter(|line| line.contains(self.root.to_str().unwrap())) {
                let _ = rustix::mount::unmount(line.split(' ').nth(4).unwrap(), rustix::mount::UnmountFlags::DETACH);
            }
        }
        for group in self.groups().iter().rev() {
            let _ = fs::remove_dir(group);
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        for line in mounts.lines() {
            if let Some(home) = line.contains(" - cgroup").then(|| line.split(' ').nth(4)).flatten() {
                let _ = fs::remove_dir(Path::new(home).join(&self.cgroup));
            }
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}

struct End(Agent, Shutdown);

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.0.shutdown(if thread::panicking() { Shutdown::Exit } else { self.1 });
    }
}

fn walk(directory: &Path, found: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found(&entry.path());
            walk(&entry.path(), found);
        }
    }
}

/// The elements of a list.
pub fn bytes(elements: &[&str]) -> Vec<u8> {
    elements.iter().flat_map(|element| postcard::to_stdvec(element).unwrap()).collect()
}

/// A squashfs of Debian's busybox-static, made once for all tests.
fn busybox() -> (PathBuf, [u8; 32]) {
    static ONCE: Mutex<Option<(PathBuf, [u8; 32])>> = Mutex::new(None);
    let mut once = ONCE.lock().unwrap_or_else(|e| e.into_inner());
    once.get_or_insert_with(|| {
        use sha2::Digest;
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (root, file) = (target.join("busybox-root"), target.join(format!("busybox.{}.squashfs", std::process::id())));
        for directory in ["bin", "etc", "tmp", "root", "proc", "sys", "dev"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox: install Debian's package busybox-static");
        for applet in
            "sh true false cat ls sleep echo env id kill dd head tail mkdir touch stat wc grep seq test hostname nc printf mount"
                .split(' ')
        {
            let _ = std::os::unix::fs::symlink("busybox", root.join("bin").join(applet));
        }
        let done =
            Command::new("mksquashfs").arg(&root).arg(&file).args(["-noappend", "-quiet", "-no-progress", "-all-root"]).output();
        let done = done.expect("mksquashfs: install Debian's package squashfs-tools");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let sha256 = sha2::Sha256::digest(fs::read(&file).unwrap()).into();
        (file, sha256)
    })
    .clone()
}

/// What a script does with the agent.
#[derive(Clone)]
pub struct Board(pub Agent);

impl Board {
    /// Waits until something is so.
    pub async fn until<T>(&self, what: &str, mut so: impl FnMut(&Agent) -> Option<T>) -> T {
        log_wait(what);
        loop {
            let seen = self.0.generation();
            if let Some(found) = so(&self.0) {
                return found;
            }
            self.0.changed(seen).await;
        }
    }

    fn container<T>(&self, pod: &str, container: &str, look: impl FnOnce(&Container) -> T) -> Option<T> {
        let entry = self.0.find("default", pod)?;
        let at =
            entry.manifest().containers.iter().position(|it| it.name == container).expect("there is such a container");
        entry.machine().containers().get(at).map(look)
    }

    /// Waits until an instance runs, and gives its number.
    pub async fn running(&self, pod: &str, container: &str) -> u32 {
        self.until(&format!("{pod}/{container} runs"), |_| {
            self.container(pod, container, |it| matches!(it.state(), ContainerState::Running(_)).then(|| it.instance()))
                .flatten()
        })
        .await
    }

    /// Waits until the one container runs, and its script has come to `touch /ready`.
    pub async fn ready(&self, pod: &str) {
        self.running(pod, "main").await;
        assert_eq!(self.shell(pod, "main", "until test -e /ready; do sleep 0.01; done").await.0, 0);
    }

    /// Waits until the newest instance has ended, for good or for now.
    pub async fn ended(&self, pod: &str, container: &str) -> Terminated {
        self.until(&format!("{pod}/{container} has ended"), |_| {
            self.container(pod, container, |it| match it.state() {
                ContainerState::Terminated(how) => Some(how),
                ContainerState::Waiting(_) => it.last(),
                ContainerState::Running(_) => None,
            })
            .flatten()
        })
        .await
    }

    pub async fn phase(&self, pod: &str, wanted: Phase) {
        self.until(&format!("{pod} is {wanted:?}"), |agent| {
            (agent.find("default", pod)?.machine().phase() == wanted).then_some(())
        })
        .await;
    }

    pub fn restarts(&self, pod: &str, container: &str) -> u32 {
        self.container(pod, container, Container::restarts).unwrap()
    }

    pub fn state(&self, pod: &str, container: &str) -> ContainerState {
        self.container(pod, container, Container::state).unwrap()
    }

    pub fn uid(&self, pod: &str) -> String {
        self.0.find("default", pod).expect("the pod").uid().to_string()
    }

    /// Waits until no entry has this UID.
    pub async fn gone(&self, uid: &str) {
        self.until("gone", |agent| (!agent.pods().iter().any(|entry| entry.uid().to_string() == uid)).then_some(()))
            .await;
    }

    /// Waits until a container has written this, and gives all that the ring has of it. It rings no bell: look again and again.
    pub async fn wrote(&self, pod: &str, container: &str, wanted: &str) -> String {
        let log = self.0.logs("default", pod, container, false).expect("a log");
        let mut buffer = [0; podling::pod::output::RECORD];
        loop {
            let (mut at, mut text) = (log.ring.oldest().unwrap(), String::new());
            while let Some(record) = log.ring.next(&mut at, &mut buffer).unwrap() {
                assert_eq!(record.instance, log.instance);
                text.push_str(std::str::from_utf8(record.bytes).unwrap());
            }
            if text.contains(wanted) {
                return text;
            }
            smol::Timer::after(GLANCE).await;
        }
    }

    /// Waits for an event with that reason, and gives its message.
    pub async fn event(&self, reason: &str) -> String {
        self.until(&format!("event {reason}"), |agent| {
            agent.events().iter().find(|event| event.reason == reason).map(|event| event.message.to_string())
        })
        .await
    }

    /// Runs a shell script in a container; gives its exit code and what it wrote.
    pub async fn shell(&self, pod: &str, container: &str, script: &str) -> (u8, String) {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let stdio = [fs::File::open("/dev/null").unwrap().into(), write.try_clone().unwrap(), write];
        let exec =
            self.0.exec("default", pod, container, &["/bin/sh", "-c", script], Streams::Files(stdio)).expect("exec");
        let exit = exec.ended().await.expect("executed");
        let mut output = String::new();
        std::io::Read::read_to_string(&mut fs::File::from(read), &mut output).unwrap();
        (exit.code, output)
    }

    pub fn describe(&self) -> String {
        let pods: Vec<String> = self
            .0
            .pods()
            .iter()
            .map(|entry| {
                let states: Vec<String> =
                    entry.machine().containers().iter().map(|c| format!("{:?} {}", c.state(), c.message())).collect();
                format!("{} {:?} {states:#?}", entry.manifest().name, entry.machine().phase())
            })
            .collect();
        let events: Vec<String> = self
            .0
            .events()
            .iter()
            .map(|e| format!("{} {} {}: {}", e.object, e.container, e.reason, e.message))
            .collect();
        format!("{pods:#?}\n{events:#?}")
    }
}

fn log_wait(what: &str) {
    if std::env::var_os("PODLING_TEST_TRACE").is_some() {
        eprintln!("waiting until {what}");
    }
}

/// A pod with one container of busybox that runs a script; `more` is put into its spec, `inside` into the container.
pub fn pod(name: &str, script: &str, more: &str, inside: &str) -> String {
    let lines = |text: &str, depth: usize| -> String {
        text.lines().map(|line| format!("{}{line}\n", " ".repeat(depth))).collect()
    };
    // A shell that is process 1 of its namespace hears no TERM that it has no trap for.
    let grace =
        if more.contains("terminationGracePeriodSeconds") { "" } else { "  terminationGracePeriodSeconds: 1\n" };
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n{grace}{}  containers:\n  - name: main\n    image: busybox\n    \
         command: [\"/bin/sh\", \"-c\", {}]\n{}",
        lines(more, 2),
        serde_json::to_string(script).unwrap(),
        lines(inside, 4),
    )
}
