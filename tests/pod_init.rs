//! A real pod-init, driven over its socket as the agent does: what it promises of processes, namespaces, mounts and output.
//!
//! Run as root; the containers are busybox (Debian's package busybox-static).

mod pod;

use pod::{Ordered, Pod, Sandbox, UID, detached, errno, volume};
use podling::manifest::record::{ContainerRecord, Ending, Life, Stage};
use podling::manifest::status::Exit;
use podling::manifest::time::Instant;
use podling::pod::output::RECORD;
use podling::pod::wire::{MountPoint, Order, Report, Setup, Step};
use podling::sys::{socket, spawn};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn spec_41_exit_codes_and_signals_are_told() {
    let mut pod = Pod::new(&Sandbox::default());
    for (script, code) in [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("sh -c 'kill -9 $$'; exit $?", 137)] {
        let (exit, _) = pod.run(0, &Ordered::shell(script));
        assert_eq!(exit, Exit { code, signal: 0, oom: false }, "{script}");
    }
    pod.start(0, &Ordered::new(&["sleep", "1000"]));
    pod.signal(0, 9);
    assert_eq!(pod.exited(0), Exit { code: 137, signal: 9, oom: false });
    let script = "trap 'exit 7' TERM; echo ready; while :; do sleep 1000 & wait; done";
    pod.start(0, &Ordered::shell(script));
    pod.wait_for_output(0, "ready");
    pod.signal(0, 15);
    assert_eq!(pod.exited(0).code, 7);
}

#[test]
fn spec_27_a_container_has_its_own_pid_1_unless_processes_are_shared() {
    let mut pod = Pod::new(&Sandbox::default());
    pod.start(1, &Ordered::new(&["sleep", "1000"]));
    assert_eq!(pod.shell(0, "echo $$; ls /proc | grep -c '^[0-9]'").lines().next(), Some("1"));
    assert!(!pod.shell(0, "ps").contains("sleep 1000"));

    let mut pod = Pod::new(&Sandbox { share_processes: true, ..Sandbox::default() });
    pod.start(1, &Ordered::new(&["sleep", "1000"]));
    let processes = pod.shell(0, "ps; echo $$");
    assert!(processes.contains("sleep 1000") && !processes.ends_with("\n1\n"), "{processes}");
}

#[test]
fn spec_25_26_the_hostname_is_the_pods() {
    let mut pod = Pod::new(&Sandbox::default());
    assert_eq!(pod.shell(0, "hostname"), "web\n");
    assert_eq!(pod.shell(1, "hostname"), "web\n");
}

#[test]
fn spec_20_21_22_containers_meet_on_localhost() {
    let mut pod = Pod::new(&Sandbox::default());
    pod.start(0, &Ordered::shell("nc -l -p 80 -e echo hello"));
    let heard = pod.shell(1, "until nc 127.0.0.1 80 </dev/null 2>/dev/null; do sleep 0.05; done");
    assert_eq!(heard, "hello\n");
    // One port space: a second listener of the same pod is refused, one of another pod is not.
    pod.start(2, &Ordered::new(&["nc", "-l", "-p", "81"]));
    pod.shell(1, "until cat /proc/net/tcp /proc/net/tcp6 | grep -q ':0051 '; do sleep 0.01; done");
    let taken = "while :; do nc -l -p 81 2>&1 & p=$!; sleep 0.1; kill -0 $p 2>/dev/null || break; kill $p; done";
    assert!(pod.shell(1, taken).contains("in use"));
    let mut other = Pod::new(&Sandbox::default());
    other.start(0, &Ordered::shell("echo up; exec nc -l -p 81"));
    other.wait_for_output(0, "up");
}

#[test]
fn spec_23_24_shared_memory_is_the_pods_and_only_the_pods() {
    let mut pod = Pod::new(&Sandbox::default());
    pod.shell(0, "echo inside > /dev/shm/note");
    assert_eq!(pod.shell(1, "cat /dev/shm/note"), "inside\n");
    // Message queues are files of one more file system of the IPC namespace.
    pod.shell(0, "touch /dev/mqueue/q");
    assert_eq!(pod.shell(1, "ls /dev/mqueue"), "q\n");
    let mut other = Pod::new(&Sandbox::default());
    assert_eq!(other.shell(0, "ls /dev/shm /dev/mqueue | grep -v :"), "\n");
}

#[test]
fn spec_9_a_restarted_container_finds_its_pod_unchanged() {
    let mut pod = Pod::new(&Sandbox::default());
    let namespaces =
        "readlink /proc/self/ns/ipc /proc/self/ns/net /proc/self/ns/uts; touch /dev/shm/kept /own; ls /dev/shm /own";
    let before = pod.shell(0, namespaces);
    assert_eq!(pod.shell(0, namespaces), before);
    // Its own layer is gone with the instance.
    assert_eq!(pod.shell(0, "test -e /dev/shm/kept && test ! -e /own && echo right"), "right\n");
}

#[test]
fn spec_31_33_volumes_are_mounted_shared_and_read_only_where_asked() {
    let mut pod = Pod::new(&Sandbox::default());
    let data = pod.scratch.0.join("data");
    fs::create_dir(&data).expect("make the volume");
    let file = pod.scratch.0.join("hosts");
    fs::write(&file, "127.0.0.1 localhost\n").expect("write");
    let mounts = || vec![volume(&data, "/deep/er/data"), volume(&file, "/etc/hosts")];
    let (exit, output) =
        pod.run(0, &Ordered { mounts: mounts(), ..Ordered::shell("echo a > /deep/er/data/f && cat /etc/hosts") });
    assert!(exit.success(), "{output}");
    assert_eq!(output, "127.0.0.1 localhost\n");
    let mut mounts = mounts();
    mounts.iter_mut().for_each(|(point, _)| point.read_only = true);
    let (_, output) = pod.run(
        1,
        &Ordered { mounts, ..Ordered::shell("cat /deep/er/data/f; echo b > /deep/er/data/f; echo c > /etc/hosts") },
    );
    assert!(output.starts_with("a\n") && output.matches("Read-only file system").count() == 2, "{output}");
}

#[test]
fn spec_94_oom_score_and_sane_limits() {
    let mut pod = Pod::new(&Sandbox::default());
    let script = "cat /proc/self/oom_score_adj; ulimit -n; ulimit -c";
    let (_, output) = pod.run(0, &Ordered { oom_score_adj: 997, ..Ordered::shell(script) });
    assert_eq!(output, "997\n1024\n0\n");
    let (_, output) = pod.run(0, &Ordered::new(&["grep", "-E", "SigBlk|SigIgn", "/proc/self/status"]));
    assert!(output.ends_with("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"), "{output}");
}

#[test]
fn programs_are_found_in_path_and_refusals_are_named() {
    let mut pod = Pod::new(&Sandbox::default());
    let failed = |pod: &mut Pod, argv: &[&str]| {
        let failure = pod.start_failing(0, &Ordered::new(argv));
        (failure.step, failure.errno, failure.subject.as_str().to_owned())
    };
    assert_eq!(failed(&mut pod, &["nonsense"]), (Step::Exec, errno::ENOENT, "nonsense".into()));
    assert_eq!(failed(&mut pod, &["/etc"]), (Step::Exec, errno::EACCES, "/etc".into()));
    assert_eq!(failed(&mut pod, &[""]), (Step::Exec, errno::ENOENT, "".into()));
    assert_eq!(
        pod.run(0, &Ordered { env: vec!["PATH=/nowhere::/bin"], cwd: "/tmp", ..Ordered::new(&["true"]) }).0,
        Exit::OK
    );
    // What an adopting agent is told of them: 128 where there was no such program, as Kubernetes says it.
    pod.start_failing(1, &Ordered::new(&["nonsense"]));
    pod.start_failing(2, &Ordered { cwd: "/bin/busybox", ..Ordered::new(&["true"]) });
    pod.reconnect();
    let codes = [1, 2].map(|n| match pod.hello.containers[n].life {
        Life::Ended { started: None, exit, .. } => exit.code,
        other => panic!("{other:?}"),
    });
    assert_eq!(codes, [128, 137]);
    // A start while another instance is there, and one of a container that does not exist.
    pod.start(0, &Ordered::new(&["sleep", "1000"]));
    assert_eq!(pod.start_failing(0, &Ordered::new(&["true"])).errno, errno::EBUSY);
    assert!(pod.exec(1, &["true"]).0.is_err(), "executed in a container that does not run");
}

#[test]
fn exec_runs_inside_and_is_killed_on_order() {
    let mut pod = Pod::new(&Sandbox::default());
    pod.start(0, &Ordered { cwd: "/tmp", ..Ordered::shell("echo mine > /tmp/f; echo up; exec sleep 1000") });
    pod.wait_for_output(0, "up");
    let (result, output) = pod.exec(
        0,
        &["sh", "-c", "cat f; pwd; echo $HELLO; ps; readlink /proc/self/ns/pid; readlink /proc/1/ns/pid; exit 5"],
    );
    assert_eq!(result, Ok(Exit { code: 5, signal: 0, oom: false }));
    assert!(output.starts_with("mine\n/tmp\nworld\n") && output.contains("sleep 1000"), "{output}");
    let namespaces: Vec<&str> = output.lines().rev().take(2).collect();
    assert_eq!(namespaces[0], namespaces[1], "not in the container's PID namespace");
    assert_eq!(
        pod.exec(0, &["nonsense"]).0.map_err(|failure| (failure.step, failure.errno)),
        Err((Step::Exec, errno::ENOENT))
    );

    let null = spawn::null().expect("open /dev/null");
    pod.order_exec(9, 0, &["sh", "-c", "sleep 1001 & sleep 1002"], &null, &[], false);
    pod.wait_for_processes(0, |ps| ps.contains(" sleep 1001\n") && ps.contains(" sleep 1002\n"));
    pod.order(&Order::ExecKill { id: 9 }, &[]);
    assert_eq!(pod.exec_ended(9), Ok(Exit::by_signal(9)));
    pod.wait_for_processes(0, |ps| !ps.contains(" sleep 1001\n") && !ps.contains(" sleep 1002\n"));
    assert!(pod.exec(0, &["ps"]).1.contains("sleep 1000"), "the container itself lives on");
}

#[test]
fn failure_f17_a_flood_of_output_stays_in_its_ring() {
    let mut pod = Pod::new(&Sandbox::default());
    let resident = |pod: &Pod| {
        let status = fs::read_to_string(format!("/proc/{}/status", pod.init.pid.as_raw_nonzero())).expect("read");
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("RssAnon").to_owned();
        line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).expect("a number")
    };
    pod.shell(0, "echo warm");
    let before = resident(&pod);
    pod.start(0, &Ordered::new(&["yes", "0123456789abcdef"]));
    // Orders and ends are served meanwhile.
    for _ in 0..20 {
        assert_eq!(pod.shell(1, "echo through"), "through\n");
    }
    let reader = pod.reader(0);
    let (first, mut buffer) = (reader.oldest().expect("read"), [0; RECORD]);
    pod::until("the oldest output is overwritten", || reader.oldest().expect("read") != first);
    let mut at = first;
    let record = reader.next(&mut at, &mut buffer).expect("read").expect("a record");
    assert!(
        record.lost && record.bytes.ends_with(b"\n") == record.bytes.ends_with(b"f\n"),
        "the reader was overtaken and is told"
    );
    pod.signal(0, 9);
    assert_eq!(pod.exited(0).code, 137);
    assert!(resident(&pod) <= before + 64, "{before} KiB have grown to {} KiB", resident(&pod));
    let size: u64 = pod.log_sizes(0).iter().sum();
    assert!(size <= podling::manifest::limits::LOG_RING, "{size}");
}

#[test]
fn failure_f16_orphans_are_reaped_and_hold_up_nothing() {
    let mut pod = Pod::new(&Sandbox { share_processes: true, ..Sandbox::default() });
    // Each inner shell leaves a child behind, which pod-init inherits: 20,000 here, for the time that a shell takes for more.
    pod.start(
        0,
        &Ordered::shell("i=0; while [ $i -lt 20000 ]; do (true & ); i=$((i+1)); done; echo done; exec sleep 1000"),
    );
    for _ in 0..5 {
        pod.shell(1, "true");
    }
    pod.wait_for_output(0, "done");
    pod::until("no ended process is left uncollected", || pod_zombies(&pod) == 0);
}

/// Ended processes that pod-init has not collected, as the host sees them.
fn pod_zombies(pod: &Pod) -> usize {
    let children =
        fs::read_to_string(format!("/proc/{0}/task/{0}/children", pod.init.pid.as_raw_nonzero())).expect("children");
    let is_zombie =
        |pid: &&str| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    children.split_whitespace().filter(is_zombie).count()
}

#[test]
fn failure_f1_an_agent_that_comes_anew_is_told_the_same() {
    let mut pod = Pod::new(&Sandbox { containers: 4, ..Sandbox::default() });
    assert!(pod.hello.uid.is_none() && pod.hello.containers.is_empty());
    pod.start(0, &Ordered::shell("echo up; while :; do sleep 1000; done"));
    let mark = |instance, stage| Order::MarkStage { container: 0, instance, stage };
    pod.order(&mark(1, Stage::Ready), &[]);
    pod.order(&mark(7, Stage::New), &[]);
    let (exit, _) = pod.run(1, &Ordered::shell("exit 4"));
    pod.order(&Order::MarkEnding(Ending { grace_ms: 1234, force: false, replace: true }), &[]);
    // What was known of a container before this pod-init is taken over, but for one that it has started itself.
    let life = Life::Ended { started: Some(Instant(5)), finished: Instant(6), exit: Exit::UNKNOWN };
    let recalled = ContainerRecord { instance: 3, life, stage: Stage::Earlier, ..ContainerRecord::NEW };
    for container in [1, 3] {
        pod.order(&Order::Recall { container, record: recalled }, &[]);
    }
    pod.reconnect();
    let hello = pod.hello.clone();
    assert_eq!(hello.containers[0].stage, Stage::Ready, "and of another instance nothing is remembered");
    assert_eq!(
        (hello.uid, hello.pod.ending),
        (Some(UID), Some(Ending { grace_ms: 1234, force: false, replace: true }))
    );
    assert!(matches!(hello.containers[0].life, Life::Running { .. }) && hello.containers[0].instance == 1);
    assert!(matches!(hello.containers[1].life, Life::Ended { started: Some(_), exit: e, .. } if e == exit));
    assert!(matches!(hello.containers[2].life, Life::None));
    assert_eq!(hello.containers[3], recalled);
    pod.reconnect();
    assert_eq!(pod.hello, hello);
    // A second set-up is refused and changes nothing.
    let setup = Setup {
        uid: UID,
        hostname: "other",
        containers: 1,
        share_processes: true,
        host_network: false,
        shm_bytes: 1,
        sysctls: podling::manifest::List::EMPTY,
    };
    pod.order(&Order::Setup(setup), &[]);
    assert!(matches!(pod.report(), Report::SetupFailed(failure) if failure.step == Step::Order));
    assert_eq!(pod.shell(2, "hostname"), "web\n");
}

#[test]
fn failure_f11_nonsense_ends_the_connection_and_nothing_else() {
    let mut pod = Pod::new(&Sandbox::default());
    pod.start(0, &Ordered::new(&["sleep", "1000"]));
    let large = vec![0; podling::manifest::limits::POD_MESSAGE + 1];
    for packet in [&[255][..], &[2, 1, 0x82, 0x00, 15], &[6, 0], &large] {
        socket::send(&pod.socket, packet, &[]).expect("send");
        assert_eq!(pod.try_report(), None, "{:?} was understood", &packet[..1]);
        pod.reconnect();
        assert!(matches!(pod.hello.containers[0].life, Life::Running { .. }));
    }
    // Orders that are understood but make no sense.
    pod.order(&Order::Signal { container: 9, instance: 1, signal: 9 }, &[]);
    pod.order(&Order::Signal { container: 0, instance: 7, signal: 9 }, &[]);
    pod.order(&Order::Signal { container: 0, instance: 1, signal: 200 }, &[]);
    pod.order(&Order::ExecKill { id: 77 }, &[]);
    assert!(pod.exec(0, &["true"]).0.is_ok());
}

#[test]
fn failure_f3_pod_init_killed_ends_everything() {
    let mut pod = Pod::new(&Sandbox { share_processes: true, ..Sandbox::default() });
    pod.start(0, &Ordered::shell("sleep 1000 & echo up; wait"));
    pod.wait_for_output(0, "up");
    let members = members(&pod);
    assert!(members.len() >= 3, "{members:?}");
    // TERM is no order: the first process of a namespace without a handler does not even see it.
    spawn::signal(&pod.init.pidfd, Signal::TERM).expect("signal");
    pod.shell(1, "true");
    spawn::signal(&pod.init.pidfd, Signal::KILL).expect("signal");
    assert_eq!(pod.wait_gone(), 137);
    assert!(members.iter().all(|pid| !Path::new(&format!("/proc/{pid}/exe")).exists()), "something is left");
}

/// The processes in the pod's PID namespace, as the host numbers them.
fn members(pod: &Pod) -> Vec<String> {
    let init = pod.init.pid.as_raw_nonzero();
    let own = fs::read_link(format!("/proc/{init}/ns/pid")).expect("the pod's namespace");
    let all = fs::read_dir("/proc").expect("list").filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    all.filter(|pid| fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|namespace| namespace == own)).collect()
}

#[test]
fn quit_leaves_no_process_and_no_mount() {
    let mut pod = Pod::new(&Sandbox::default());
    let own = pod.scratch.0.to_string_lossy().into_owned();
    let mounts =
        || fs::read_to_string("/proc/self/mountinfo").expect("read").lines().filter(|line| line.contains(&own)).count();
    pod.start(0, &Ordered::new(&["sleep", "1000"]));
    let members = members(&pod);
    pod.order(&Order::Quit, &[]);
    assert_eq!(pod.wait_gone(), 0);
    assert_eq!(mounts(), 0);
    assert!(members.iter().all(|pid| !Path::new(&format!("/proc/{pid}/exe")).exists()));
}

#[test]
fn spec_3_a_container_is_born_into_its_cgroup_on_v2_and_joins_it_on_v1() {
    let mut pod = Pod::new(&Sandbox::default());
    let name = format!("podling-test-{}", std::process::id());
    let v2 = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.join("cgroup.controllers").exists());
    let v1 = Path::new("/sys/fs/cgroup/pids/cgroup.procs").exists().then(|| Path::new("/sys/fs/cgroup/pids"));
    assert!(v2.is_some() || v1.is_some(), "no cgroups are mounted here");
    if let Some(v2) = v2 {
        let directory = CgroupDirectory::new(v2.join(&name));
        let handle =
            || open(&directory.0, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).expect("open");
        let script = "grep ^0: /proc/self/cgroup; ls /sys/fs/cgroup | grep -c cgroup.procs; mkdir /sys/fs/cgroup/x 2>&1; echo up; exec sleep 1000";
        pod.start(0, &Ordered { cgroups: vec![handle()], cgroup_v2: true, ..Ordered::shell(script) });
        let output = pod.wait_for_output(0, "up");
        assert!(
            output.starts_with("0::/\n1\n") && output.contains("Read-only file system"),
            "its view starts at its own cgroup: {output}"
        );
        let output = rustix::fs::memfd_create("output", rustix::fs::MemfdFlags::CLOEXEC).expect("make a file");
        pod.order_exec(3, 0, &["sleep", "1000"], &output, &[handle()], true);
        pod::until("the executed program is in the cgroup", || directory.processes() == 2);
        pod.order(&Order::ExecKill { id: 3 }, &[]);
        let _ = pod.exec_ended(3);
        pod.signal(0, 9);
        pod.exited(0);
        assert_eq!(directory.processes(), 0);
    }
    if let Some(v1) = v1 {
        let directory = CgroupDirectory::new(v1.join(&name));
        let file =
            || open(directory.0.join("cgroup.procs"), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).expect("open");
        pod.start(
            0,
            &Ordered {
                cgroups: vec![file()],
                ..Ordered::shell("grep pids: /proc/self/cgroup; echo up; exec sleep 1000")
            },
        );
        assert!(pod.wait_for_output(0, "up").contains("pids:/\n"), "its view starts at its own cgroup");
        assert_eq!(directory.processes(), 1);
        pod.signal(0, 9);
        pod.exited(0);
    }
}

/// A cgroup that goes away.
struct CgroupDirectory(PathBuf);

impl CgroupDirectory {
    fn new(path: PathBuf) -> CgroupDirectory {
        fs::create_dir(&path).expect("make a cgroup");
        CgroupDirectory(path)
    }

    fn processes(&self) -> usize {
        fs::read_to_string(self.0.join("cgroup.procs")).expect("read").lines().count()
    }
}

impl Drop for CgroupDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn an_image_on_squashfs_is_mounted_through_a_loop_device() {
    let mut pod = Pod::new(&Sandbox::default());
    let file = pod.scratch.0.join("image.squashfs");
    let made = std::process::Command::new("mksquashfs")
        .arg(pod.scratch.image())
        .arg(&file)
        .args(["-quiet", "-no-progress"])
        .status();
    assert!(made.expect("mksquashfs: install Debian's package squashfs-tools").success());
    let target = pod.scratch.0.join("mounted");
    fs::create_dir(&target).expect("make a directory");
    podling::sys::device::mount_squashfs(&file, &target).expect("mount");
    let (exit, output) =
        pod.run(0, &Ordered { image: Some(target.clone()), ..Ordered::shell("touch /bin/new && ls /bin/new") });
    rustix::mount::unmount(&target, rustix::mount::UnmountFlags::empty()).expect("unmount");
    assert!(exit.success() && output == "/bin/new\n", "{output}");
    let missing = podling::sys::device::mount_squashfs(Path::new("/nonexistent"), &target).unwrap_err();
    assert_eq!(missing.to_string(), "open /nonexistent: No such file or directory");
}

#[test]
fn a_mount_point_that_is_no_directory_is_refused_for_one() {
    let mut pod = Pod::new(&Sandbox::default());
    let data = pod.scratch.0.join("data");
    fs::create_dir(&data).expect("make a directory");
    let mounted: OwnedFd = detached(&data);
    let mounts = vec![(MountPoint { path: "/bin/busybox", directory: true, read_only: false }, mounted)];
    let failure = pod.start_failing(0, &Ordered { mounts, ..Ordered::shell("true") });
    assert_eq!(failure.to_string(), "mounting /bin/busybox: Not a directory");
}
