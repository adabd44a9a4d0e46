//! failure F1: the agent is killed at every step of starting and stopping pods, and at any instant; 500 times. Containers never notice,
//! and nothing is doubled, lost or left behind. Needs root.

mod node;

use node::{Node, PATIENCE, SETTINGS, pod};
use podling::agent::{self, Agent, Shutdown};
use podling::manifest::pod::Node as Settings;
use podling::manifest::status::ContainerState;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// How often the agent dies.
const KILLS: u32 = 500;
/// What tells this program that it is to be the agent, and on which node.
const ROLE: &str = "PODLING_TEST_AGENT";
/// What tells it which of two manifests it has.
const EDITION: &str = "PODLING_TEST_EDITION";
/// So many agents after each other have the same one.
const SAME: u32 = 4;
/// What tells it to run one pod in which nothing happens: what to do with it.
const QUIET: &str = "PODLING_TEST_QUIET";
/// The grace period of that pod, in seconds.
const GRACE: u64 = 8;

/// The pods: those of a Deployment that each manifest has otherwise, one that nobody touches, one that keeps crashing, one that each agent restarts, one that waits for its init container.
fn yaml() -> String {
    let polite = "trap 'exit 0' TERM; while true; do sleep 0.02; done";
    let volumes = "volumes:\n- {name: disk, emptyDir: {}}\n- {name: memory, emptyDir: {medium: Memory}}\n- {name: files, configMap: {name: files}}";
    let mounts = "volumeMounts: [{name: disk, mountPath: /disk}, {name: memory, mountPath: /memory}, {name: files, mountPath: /files}]";
    let mut steady = pod("steady", "exec sleep 100000", volumes, mounts);
    steady.push_str("  - {name: second, image: busybox, command: [sleep, '100000']}\n");
    let inits = format!("{volumes}\ninitContainers:\n- {{name: first, image: busybox, command: ['true']}}");
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: files}\ndata: {a: b}\n".to_string()
        + &steady
        + &pod("crash", "sleep 0.03; exit 1", "", "")
        + &pod("cycle", polite, volumes, mounts)
        + &pod("inits", polite, &inits, mounts)
        + &format!(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: roll}}\nspec:\n  selector: {{matchLabels: {{app: roll}}}}\n  \
             template:\n    metadata: {{labels: {{app: roll}}}}\n    spec:\n      terminationGracePeriodSeconds: 1\n      \
             containers: [{{name: main, image: busybox, command: [sleep, '100000'], env: [{{name: EDITION, value: 'e{}'}}]}}]\n",
            std::env::var(EDITION).unwrap_or_default()
        )
}

fn quiet_yaml() -> String {
    pod("steady", "exec sleep 100000", &format!("terminationGracePeriodSeconds: {GRACE}"), "")
}

/// Not a test: the agent that the test below kills.
#[test]
fn agent_process() {
    let Some(root) = std::env::var_os(ROLE) else { return };
    let mut node = Node::at(root);
    node.settings = settings();
    let quiet = std::env::var(QUIET).ok();
    let outcome = agent::run(node.config(&if quiet.is_some() { quiet_yaml() } else { yaml() }), |agent| {
        say("ready");
        let agent = agent.clone();
        agent.clone().spawn(async move {
            let _ = match quiet.as_deref() {
                Some("delete") => agent.delete("default", "steady", None, false).map(drop),
                Some(_) => Ok(()),
                None => agent.restart("default", "cycle", None),
            };
            loop {
                let seen = agent.generation();
                say(&status(&agent));
                agent.changed(seen).await;
            }
        });
    });
    assert_eq!(outcome.expect("the agent").shutdown, Shutdown::Exit);
    say("over");
}

fn settings() -> Settings {
    Settings { backoff_base_ms: 5, backoff_cap_ms: 20, ..SETTINGS }
}

fn say(line: &str) {
    // Past the test harness, which captures what is printed.
    let _ = fs::OpenOptions::new()
        .write(true)
        .open("/proc/self/fd/2")
        .and_then(|mut out| out.write_all(format!("@{line}\n").as_bytes()));
}

/// One line: `pod/container:state:instance` for each.
fn status(agent: &Agent) -> String {
    let mut line = String::from("status");
    for entry in agent.pods().iter().filter(|entry| !entry.machine().is_hidden()) {
        for (container, it) in entry.manifest().containers.iter().zip(entry.machine().containers()) {
            let state = match it.state() {
                _ if entry.machine().is_terminating() => "terminating",
                ContainerState::Running(_) => "running",
                ContainerState::Waiting(_) => "waiting",
                ContainerState::Terminated(_) => "terminated",
            };
            let _ = write!(line, " {}/{}:{state}", entry.manifest().name, container.name);
        }
    }
    line
}

/// An agent in a process of its own.
struct Life {
    child: Child,
    said: Receiver<String>,
}

impl Life {
    fn start(node: &Node, fail_at: Option<u32>) -> Life {
        Life::with(node, fail_at.map(|step| ("PODLING_FAIL_AT", step.to_string())))
    }

    fn with(node: &Node, variable: Option<(&str, String)>) -> Life {
        // Blocked from the first thread on, as podlingd does by itself: the harness runs tests in threads of their own.
        let mut command = Command::new("env");
        command.arg("--block-signal=TERM").arg(std::env::current_exe().unwrap());
        command.args(["--exact", "agent_process", "--nocapture"]).env(ROLE, &node.root).env("RUST_BACKTRACE", "0");
        static LIVES: AtomicU32 = AtomicU32::new(0);
        command.env(EDITION, (LIVES.fetch_add(1, Ordering::Relaxed) / SAME % 2).to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.envs(variable);
        let mut child = command.spawn().expect("start an agent");
        let output = BufReader::new(child.stderr.take().unwrap());
        let (tell, said) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                match line.strip_prefix('@') {
                    Some(line) => drop(tell.send(line.to_string())),
                    None => eprintln!("agent: {line}"),
                }
            }
        });
        Life { child, said }
    }

    /// Waits for a line that satisfies; `false` where the agent has died before.
    fn hears(&self, wanted: impl Fn(&str) -> bool) -> bool {
        let until = Instant::now() + PATIENCE;
        let mut last = String::new();
        loop {
            match self.said.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if wanted(&line) => return true,
                Ok(line) => last = line,
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("the agent takes too long; the last it said: {last}"),
            }
        }
    }

    fn settles(&self) -> bool {
        let running = ["steady/main:running", "steady/second:running", "cycle/main:running", "inits/main:running"];
        self.hears(|line| running.iter().all(|wanted| line.contains(wanted)))
    }

    fn dies_within(&mut self, span: Duration) -> bool {
        let until = Instant::now() + span;
        loop {
            match self.said.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// SIGKILL, and the wait for its end.
    fn die(self) {
        drop(self);
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process, told from any later one with its number.
type Process = (i32, u64);

fn started(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after = stat.rsplit(") ").next()?;
    Some((pid, after.split(' ').nth(19)?.parse().ok()?))
}

fn parent(pid: i32) -> Option<i32> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()?.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok()
}

/// What there is in the world of one node's pods: group below the node's own (`UID/init`, `UID/main.3`) → processes.
fn world(node: &Node) -> BTreeMap<String, Vec<Process>> {
    let mut groups: BTreeMap<String, Vec<Process>> = BTreeMap::new();
    for group in node.groups() {
        let (_, name) = group.split_once(&format!("{}/", node.cgroup)).unwrap();
        let pids = fs::read_to_string(Path::new(&group).join("cgroup.procs")).unwrap_or_default();
        let inside = groups.entry(name.to_string()).or_default();
        inside.extend(pids.lines().filter_map(|pid| started(pid.parse().ok()?)));
        inside.sort_unstable();
        inside.dedup();
    }
    groups
}

/// The one pod-init of a pod. On v1 a container is born in its group, and leaves it as its first act.
fn pod_init(groups: &BTreeMap<String, Vec<Process>>, uid: &str) -> Option<Process> {
    let inside = groups.get(&format!("{uid}/init"))?;
    let is_child =
        |process: &&Process| parent(process.0).is_some_and(|parent| inside.iter().any(|(pid, _)| *pid == parent));
    let mut inits = inside.iter().filter(|process| !is_child(process));
    let init = inits.next().copied();
    inits.next().is_none().then_some(init).flatten()
}

fn directories(path: &Path) -> BTreeSet<String> {
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.file_name().into_string().unwrap()).collect()
}

fn pod_name(node: &Node, uid: &str) -> String {
    let meta = fs::read(node.run_dir().join("pods").join(uid).join("meta")).unwrap_or_default();
    String::from_utf8_lossy(&meta).lines().nth(2).unwrap_or("?").to_string()
}

/// Nothing is there that is not a pod's.
fn assert_nothing_stray(node: &Node, after: &str) {
    let pods = directories(&node.run_dir().join("pods"));
    let groups = world(node);
    for name in groups.keys() {
        let uid = name.split('/').next().unwrap();
        assert!(pods.contains(uid), "{after}: group {name} is no pod's: {groups:#?}");
    }
    for uid in &pods {
        assert!(pod_init(&groups, uid).is_some(), "{after}: pod-inits of {} ({uid}): {groups:#?}", pod_name(node, uid));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    for line in mounts.lines().filter(|line| line.contains(node.root.to_str().unwrap())) {
        assert!(!line.contains("nsfs"), "{after}: a namespace is kept by a mount: {line}");
        let at = line.split(' ').nth(4).unwrap();
        let is_pods = pods.iter().any(|uid| at.contains(uid));
        assert!(is_pods || at.contains("/run/images/"), "{after}: mount {line}");
    }
    assert!(node.loops().len() <= 1, "{after}: {:?}", node.loops());
    assert!(directories(&node.data_dir().join("pods")).is_subset(&pods), "{after}: files on disk");
}

/// The main processes of the pod that nobody touches.
fn steady(node: &Node) -> Vec<(String, Process)> {
    let groups = world(node);
    let uid = directories(&node.run_dir().join("pods"))
        .into_iter()
        .find(|uid| pod_name(node, uid) == "steady")
        .expect("the pod");
    ["init", "main.1", "second.1"]
        .map(|name| {
            let path = format!("{uid}/{name}");
            let inside = groups.get(&path).unwrap_or_else(|| panic!("no {path} in {groups:#?}"));
            // Nothing is started in this pod any more, so that nothing passes through its pod-init's group.
            assert_eq!(inside.len(), 1, "{path}: {groups:#?}");
            (path, inside[0])
        })
        .to_vec()
}

/// When everything has settled: one pod-init for each pod, one process for each container that is to run.
fn assert_settled(node: &Node, after: &str) {
    let groups = world(node);
    let mut names: Vec<String> =
        directories(&node.run_dir().join("pods")).iter().map(|uid| pod_name(node, uid)).collect();
    // An old one and a new one for the while of an update.
    let roll = names.extract_if(.., |name| name.starts_with("roll-")).count();
    assert!(roll <= 2, "{after}: {roll} pods of one that may surge by one");
    names.sort_unstable();
    assert_eq!(names, ["crash", "cycle", "inits", "steady"], "{after}");
    for uid in directories(&node.run_dir().join("pods")) {
        let init = pod_init(&groups, &uid)
            .unwrap_or_else(|| panic!("{after}: pod-inits of {}: {groups:#?}", pod_name(node, &uid)));
        let of_pod = groups.iter().filter(|(path, _)| path.starts_with(&format!("{uid}/main.")));
        let mains = of_pod.flat_map(|(_, inside)| inside).filter(|(pid, _)| parent(*pid) == Some(init.0)).count();
        assert!(mains <= 1, "{after}: {} runs {mains} times: {groups:#?}", pod_name(node, &uid));
    }
}

#[test]
fn failure_f1_500_kills_lose_double_and_leak_nothing() {
    let mut node = Node::new();
    node.settings = settings();
    let life = Life::start(&node, None);
    assert!(life.settles());
    let untouched = steady(&node);
    life.die();

    let begun = Instant::now();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let (mut by_step, mut step) = (0, 0);
    let mut rolled = BTreeSet::new();
    for kill in 1..=KILLS {
        // Two of three at the next step, in turn; one at any instant.
        step += u32::from(kill % 3 != 0);
        let fail_at = (kill % 3 != 0).then_some(step);
        let after = format!("kill {kill} ({})", fail_at.map_or("any instant".into(), |step| format!("step {step}")));
        let mut life = Life::start(&node, fail_at);
        if fail_at.is_none() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            thread::sleep(Duration::from_micros(random % 150_000));
        } else if life.hears(|line| line == "ready") {
            assert_eq!(steady(&node), untouched, "{after}: a container has noticed");
            // It dies by itself, or it has fewer steps to take than that: then from the first one again.
            if life.dies_within(Duration::from_millis(400)) {
                by_step += 1;
            } else {
                step = 0;
            }
        } else {
            by_step += 1;
        }
        life.die();
        if kill % 20 == 0 {
            look(&node, &after);
            let names = directories(&node.run_dir().join("pods")).into_iter().map(|uid| pod_name(&node, &uid));
            rolled.extend(names.filter(|name| name.starts_with("roll-")));
            assert_eq!(steady(&node), untouched, "{after}: a container has noticed");
        }
    }
    println!("{KILLS} kills in {:.1} s, {by_step} of them at a step", begun.elapsed().as_secs_f32());

    assert_eq!(rolled.len(), 2, "updates have come and gone: {rolled:?}");

    let mut life = Life::start(&node, None);
    assert!(life.settles());
    assert_eq!(steady(&node), untouched);
    life.signal(Signal::TERM);
    assert!(life.hears(|line| line == "over"), "it ends by SIGTERM");
    assert!(life.child.wait().unwrap().success());
    assert_eq!(node.processes(), Vec::<i32>::new());
    node.assert_clean();
}

/// Lets an agent settle, and looks at everything.
fn look(node: &Node, after: &str) {
    let life = Life::start(node, None);
    assert!(life.settles(), "{after}: the agent died");
    assert_settled(node, after);
    life.die();
    // With no agent alive nothing moves but the containers themselves.
    assert_nothing_stray(node, after);
}

/// How often the threads of a process have been woken, by themselves or by force.
fn wakings(pid: i32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process").flatten();
    let count = |status: String| -> u64 {
        status
            .lines()
            .filter(|line| line.contains("ctxt_switches"))
            .filter_map(|line| line.rsplit('\t').next()?.parse::<u64>().ok())
            .sum()
    };
    tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok()).map(count).sum()
}

#[test]
fn spec_102_an_idle_agent_and_its_pod_inits_never_wake() {
    let node = Node::new();
    let mut life = Life::with(&node, Some((QUIET, "look".into())));
    assert!(life.hears(|line| line.contains("steady/main:running")));
    let groups = world(&node);
    let uid = directories(&node.run_dir().join("pods")).into_iter().next().unwrap();
    let processes = [life.child.id() as i32, pod_init(&groups, &uid).unwrap().0];
    // Whatever follows upon the start is done when a whole second has brought nothing.
    let count = || processes.map(wakings);
    let settled = (0..60).any(|_| {
        let before = count();
        thread::sleep(Duration::from_secs(1));
        before == count()
    });
    assert!(settled, "it does not come to rest");
    let before = count();
    thread::sleep(Duration::from_secs(5));
    assert_eq!(count(), before, "wakings of the agent and its pod-init within five seconds");
    life.signal(Signal::TERM);
    assert!(life.hears(|line| line == "over"));
    assert!(life.child.wait().unwrap().success());
    node.assert_clean();
}

#[test]
fn failure_f2_a_pod_that_an_agent_of_another_version_has_made_is_ended_and_made_anew() {
    let mut node = Node::new();
    node.settings = settings();
    let life = Life::start(&node, None);
    assert!(life.settles());
    let before = steady(&node);
    life.die();
    // As if its manifest were in a format of another version.
    let uid = before[0].0.split('/').next().unwrap();
    let meta = node.run_dir().join("pods").join(uid).join("meta");
    let mut bytes = fs::read(&meta).unwrap();
    let version = bytes.windows(8).position(|magic| magic == b"podlingM").expect("its manifest") + 8;
    bytes[version] += 1;
    fs::write(&meta, bytes).unwrap();

    let mut life = Life::start(&node, None);
    assert!(life.settles());
    let after = steady(&node);
    assert_ne!(after[0].0, before[0].0, "a new identity");
    assert!(before.iter().all(|(_, process)| !node.processes().contains(&process.0)), "nothing of the old one runs");
    assert!(!node.run_dir().join("pods").join(uid).exists());
    life.signal(Signal::TERM);
    assert!(life.hears(|line| line == "over"));
    life.child.wait().unwrap();
    node.assert_clean();
}

#[test]
fn spec_76_an_ending_begins_again_with_its_full_grace_and_a_deleted_pod_stays_away() {
    let node = Node::new();
    let quiet = |verb: &str| Life::with(&node, Some((QUIET, verb.into())));
    let life = quiet("look");
    assert!(life.hears(|line| line.contains("steady/main:running")));
    life.die();
    let life = quiet("delete");
    assert!(life.hears(|line| line.contains("steady/main:terminating")));
    // Enough of it to be missed, and far from all of it.
    thread::sleep(Duration::from_secs(GRACE / 4));
    life.die();

    let begun = Instant::now();
    let life = quiet("look");
    assert!(life.hears(|line| line.contains("steady/main:terminating")), "the new agent knows that it is being ended");
    assert!(life.hears(|line| line == "status"), "the pod is gone");
    assert!(begun.elapsed() >= Duration::from_secs(GRACE), "after {:?}", begun.elapsed());
    life.die();
    node.assert_no_pods();

    let mut life = quiet("look");
    assert!(life.hears(|line| line == "status"));
    life.signal(Signal::TERM);
    assert!(life.hears(|line| line == "over"), "it never comes back");
    assert!(life.child.wait().unwrap().success());
    node.assert_clean();
}
