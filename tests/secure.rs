//! The security context against a real kernel: what programs may ask for, what they see of the node, what they are given. Needs root.
//!
//! The programs that try are this one again: [`inside`], with this machine's root as the image.

mod node;
mod pod;

use node::Node;
use pod::{DEFAULT_CAPABILITIES, Ordered, Pod, Sandbox};
use podling::host::boards::Arch;
use podling::host::seccomp::{parse, runtime_default};
use podling::manifest::pod::Pair;
use podling::manifest::status::{ContainerState, Phase};
use podling::pod::wire::{Step, View};
use rustix::io::Errno;
use std::path::PathBuf;

fn default_filter(capabilities: u64) -> Vec<u8> {
    runtime_default(capabilities).compile(Arch::host().unwrap()).unwrap()
}

/// A raw call with null pointers and zeroes: whoever lets it through does no harm.
fn raw(number: i64, arguments: [u64; 4]) -> String {
    let [a, b, c, d] = arguments;
    // SAFETY: every call that is tried here is one that the kernel refuses with these arguments, or that changes nothing.
    let result = unsafe { libc::syscall(number, a, b, c, d) };
    if result != -1 {
        return "done".into();
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::EPERM) => "EPERM".into(),
        Some(libc::ENOSYS) => "ENOSYS".into(),
        _ => "other".into(),
    }
}

/// What [`asked`] asks for, by name.
const CALLS: [(&str, i64, [u64; 4]); 20] = [
    ("mount", libc::SYS_mount, [0; 4]),
    ("umount2", libc::SYS_umount2, [0; 4]),
    ("unshare-user", libc::SYS_unshare, [libc::CLONE_NEWUSER as u64, 0, 0, 0]),
    ("setns", libc::SYS_setns, [u64::MAX, 0, 0, 0]),
    ("fsopen", 430, [0; 4]),
    ("open_tree", 428, [u64::MAX, 0, u64::MAX, 0]),
    ("keyctl", libc::SYS_keyctl, [0; 4]),
    ("add_key", libc::SYS_add_key, [0; 4]),
    ("bpf", libc::SYS_bpf, [u64::MAX, 0, 0, 0]),
    ("perf_event_open", libc::SYS_perf_event_open, [0; 4]),
    ("userfaultfd", libc::SYS_userfaultfd, [u64::MAX, 0, 0, 0]),
    ("io_uring_setup", 425, [0; 4]),
    ("reboot", libc::SYS_reboot, [0; 4]),
    ("clock_settime", libc::SYS_clock_settime, [0; 4]),
    ("settimeofday", libc::SYS_settimeofday, [8, 0, 0, 0]),
    ("init_module", libc::SYS_init_module, [0; 4]),
    ("kexec_load", libc::SYS_kexec_load, [0, 0, 0, u64::MAX]),
    ("clone3", 435, [0; 4]),
    ("vsock", libc::SYS_socket, [40, 1, 0, 0]),
    ("the_call_of_2040", 1999, [0; 4]),
];

/// The program in the container: what each call says, a line each.
#[test]
#[ignore = "a program for the containers of the other tests"]
fn inside() {
    for (name, number, arguments) in CALLS {
        println!("> {name} {}", raw(number, arguments));
    }
    // Ordinary things, from threads to sockets.
    assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    drop((listener.accept().unwrap(), client));
    assert!(std::process::Command::new("/bin/true").status().unwrap().success());
    println!("> ordinary done");
}

/// What the calls say in a container.
fn asked(ordered: Ordered<'_>) -> Vec<(String, String)> {
    let argv = vec!["/program", "inside", "--exact", "--ignored", "--nocapture", "--test-threads=1"];
    // Mounted where everybody gets at it: on the way to the clone there may be directories that are only root's.
    let mounts = vec![pod::volume(&std::env::current_exe().unwrap(), "/program")];
    let mut pod = Pod::new(&Sandbox::default());
    let (exit, output) = pod.run(0, &Ordered { argv, mounts, image: Some(PathBuf::from("/")), ..ordered });
    assert!(exit.success(), "{output}");
    let line = |line: &str| {
        let (name, said) = line.split_once("> ")?.1.split_once(' ')?;
        Some((name.to_owned(), said.to_owned()))
    };
    let said: Vec<_> = output.lines().filter_map(line).collect();
    assert_eq!(said.last().map(|(name, _)| name.as_str()), Some("ordinary"), "{output}");
    assert_eq!(said.len(), CALLS.len() + 1, "{output}");
    said
}

#[test]
fn cve_2022_0185_the_default_filter_refuses_what_is_forbidden_and_nothing_else() {
    for (uid, no_new_privileges) in [(0, true), (0, false), (1000, true), (1000, false)] {
        let seccomp = default_filter(DEFAULT_CAPABILITIES);
        let ordered = Ordered { uid, gid: uid, no_new_privileges, seccomp, ..Ordered::new(&[]) };
        for (name, said) in asked(ordered) {
            let wanted = match name.as_str() {
                "clone3" | "the_call_of_2040" => "ENOSYS",
                "ordinary" => "done",
                _ => "EPERM",
            };
            assert_eq!(said, wanted, "{name} as {uid}, no_new_privs {no_new_privileges}");
        }
    }
    // The same program without the filter: it is the filter that refuses.
    let free = asked(Ordered::new(&[]));
    for name in ["fsopen", "keyctl", "clone3", "io_uring_setup"] {
        let said = &free.iter().find(|(n, _)| n == name).unwrap().1;
        assert!(name == "fsopen" || said != "EPERM", "{name}: {said}");
    }
}

#[test]
fn a_filter_holds_for_what_is_executed_later_and_leaves_no_capability_behind() {
    for no_new_privileges in [true, false] {
        let mut pod = Pod::new(&Sandbox::default());
        let seccomp = default_filter(DEFAULT_CAPABILITIES);
        let ordered = Ordered { seccomp, no_new_privileges, uid: 1000, gid: 1000, ..Ordered::new(&["sleep", "1000"]) };
        pod.start(0, &ordered);
        let (exit, status) = pod.exec(0, &["grep", "-E", "^(Seccomp|NoNewPrivs|CapPrm|CapEff):", "/proc/self/status"]);
        assert!(exit.is_ok_and(|exit| exit.success()));
        let wanted = format!(
            "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nNoNewPrivs:\t{}\nSeccomp:\t2\n",
            u8::from(no_new_privileges)
        );
        assert_eq!(status, wanted);
        assert_eq!(pod.exec(0, &["grep", "^Seccomp:", "/proc/1/status"]).1, "Seccomp:\t2\n");
    }
}

#[test]
fn a_profile_of_its_own_is_enforced_and_a_broken_filter_is_told() {
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}"#;
    let seccomp = parse(profile).unwrap().compile(Arch::host().unwrap()).unwrap();
    let mut pod = Pod::new(&Sandbox::default());
    let (_, output) =
        pod.run(0, &Ordered { seccomp, ..Ordered::shell("mkdir /tmp/x 2>&1; touch /tmp/y && echo made") });
    assert!(output.contains("No space left on device") && output.ends_with("made\n"), "{output}");
    // A jump out of the program: the kernel takes no such thing, and the container is not started without.
    let failure = pod.start_failing(1, &Ordered { seccomp: vec![5, 0, 0, 0, 9, 0, 0, 0], ..Ordered::shell("true") });
    assert_eq!(failure.step, Step::Credentials, "{failure}");
    assert!(failure.to_string().contains("seccomp filter (does this kernel have CONFIG_SECCOMP_FILTER?)"), "{failure}");
}

#[test]
fn spec_83_a_privileged_container_has_the_nodes_devices_and_nothing_hidden() {
    let mut pod = Pod::new(&Sandbox::default());
    let script = "test -c /dev/kmsg && test -c /dev/tty0 && test -c /dev/null && test -d /dev/pts && test -d /dev/shm && echo devices;
        mknod /x c 1 5 && head -c 3 /x | wc -c; test -w /proc/sys/kernel/core_pattern && echo sysctl;
        grep -E '^(CapEff|Seccomp):' /proc/self/status; mkdir /m && mount -t tmpfs none /m && echo mounted;
        grep -c ' /proc/' /proc/self/mountinfo; grep ' /sys ' /proc/self/mountinfo | grep -c 'rw,'";
    let capabilities = (1 << 41) - 1;
    let privileged =
        Ordered { view: View::Privileged, capabilities, no_new_privileges: false, ..Ordered::shell(script) };
    let (_, output) = pod.run(0, &privileged);
    // Where this machine itself has all of them, that is all.
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let held = own.lines().find(|line| line.starts_with("CapEff:")).unwrap();
    assert_eq!(output, format!("devices\n3\nsysctl\n{held}\nSeccomp:\t0\nmounted\n0\n1\n"));
}

#[test]
fn proc_is_unmasked_where_it_is_ordered() {
    let mut pod = Pod::new(&Sandbox::default());
    let script = "grep -c ' /proc/' /proc/self/mountinfo; grep ' /sys ' /proc/self/mountinfo | grep -c 'ro,'";
    assert_eq!(pod.run(0, &Ordered { view: View::Unmasked, ..Ordered::shell(script) }).1, "0\n1\n");
}

#[test]
fn cve_2022_0811_sysctls_are_set_in_the_pod_and_nowhere_else() {
    let ports = "/proc/sys/net/ipv4/ip_local_port_range";
    let before = std::fs::read_to_string(ports).unwrap();
    let sysctls = &[
        Pair { key: "net.ipv4.ip_local_port_range", value: "20000 20100" },
        Pair { key: "kernel.shm_rmid_forced", value: "1" },
    ];
    let mut pod = Pod::new(&Sandbox { sysctls, ..Sandbox::default() });
    let seen = pod.shell(0, "cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/kernel/shm_rmid_forced");
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["20000", "20100", "1"]);
    assert_eq!(std::fs::read_to_string(ports).unwrap(), before);
    for sysctls in [
        &[Pair { key: "kernel.core_pattern", value: "|/bin/sh" }],
        &[Pair { key: "net.ipv4.no_such_thing", value: "1" }],
        &[Pair { key: "net.ipv4.ip_local_port_range", value: "x" }],
    ] {
        let failure = Pod::refused(&Sandbox { sysctls, ..Sandbox::default() });
        assert_eq!(failure.step, Step::Names);
        assert!(failure.to_string().contains(sysctls[0].key), "{failure}");
    }
}

// ---- from YAML to the container ----------------------------------------------------------------------------------

fn allow(board: &mut podling::host::boards::BoardFile) {
    board.allow_privileged = true;
    board.resources.insert("board.podling/zero".into(), vec!["/dev/zero".into(), "/dev/full".into()]);
    board.node.allowed_unsafe_sysctls = vec!["kernel.msg*".into()];
}

#[test]
fn a_security_context_holds_from_yaml_to_container() {
    let mut node = Node::new();
    node.tune = allow;
    let run = "exec sleep 1000";
    let yaml = node::pod("plain", run, "", "")
        + &node::pod("pod", run, "securityContext: {seccompProfile: {type: RuntimeDefault}}", "")
        + &node::pod("own", run, "", "securityContext: {seccompProfile: {type: RuntimeDefault}, runAsUser: 7}")
        + &node::pod(
            "free",
            run,
            "securityContext: {seccompProfile: {type: RuntimeDefault}}",
            "securityContext: {privileged: true}",
        )
        + &node::pod("tuned", run, "securityContext: {sysctls: [{name: kernel.msgmax, value: '12345'}]}", "")
        + &node::pod("given", run, "", "resources: {limits: {board.podling/zero: 1}}\nsecurityContext: {runAsUser: 7}");
    node.run(&yaml, async |board| {
        for (pod, mode) in [("plain", 0), ("pod", 2), ("own", 2), ("free", 0)] {
            board.running(pod, "main").await;
            let (_, said) = board.shell(pod, "main", "grep ^Seccomp: /proc/1/status").await;
            assert_eq!(said, format!("Seccomp:\t{mode}\n"), "{pod}");
        }
        assert_eq!(board.shell("free", "main", "test -c /dev/kmsg; echo $?").await.1, "0\n");
        board.running("tuned", "main").await;
        assert_eq!(board.shell("tuned", "main", "cat /proc/sys/kernel/msgmax").await.1, "12345\n");
        board.running("given", "main").await;
        let (_, said) = board.shell("given", "main", "head -c 3 /dev/zero | wc -c; test -c /dev/full; echo $?").await;
        assert_eq!(said, "3\n0\n");
    });
}

#[test]
fn spec_84_a_privileged_pod_can_be_a_network_or_volume_plugin() {
    let mut node = Node::new();
    node.tune = allow;
    let yaml = node::pod("plugin", "exec sleep 1000", "hostNetwork: true", "securityContext: {privileged: true}")
        + &node::pod("plain", "exec sleep 1000", "hostNetwork: true", "");
    node.run(&yaml, async |board| {
        // As it is already: it takes the right to change the node's network, and changes nothing.
        let script = "busybox ip link set lo mtu $(cat /sys/class/net/lo/mtu) 2>&1 && mkdir -p /m && mount -t tmpfs none /m 2>&1; echo $?";
        for (pod, wanted) in [("plugin", "0\n"), ("plain", "2\n")] {
            board.running(pod, "main").await;
            let (_, said) = board.shell(pod, "main", script).await;
            assert!(said.ends_with(wanted) && said.contains("not permitted") == (pod == "plain"), "{pod}: {said}");
        }
    });
}

#[test]
fn spec_27_a_pod_with_users_of_its_own_is_root_only_to_itself() {
    let mut node = Node::new();
    node.tune = allow;
    let run = "echo note > /data/note; exec sleep 1000";
    let volume = "hostUsers: false\nvolumes: [{name: data, emptyDir: {}}, {name: mem, emptyDir: {medium: Memory}}]\nsecurityContext: {sysctls: [{name: net.ipv4.ip_local_port_range, value: '30000 30100'}]}";
    let mounts = "volumeMounts: [{name: data, mountPath: /data}, {name: mem, mountPath: /mem}]\n";
    let yaml = node::pod("one", run, volume, &format!("{mounts}resources: {{limits: {{board.podling/zero: 1}}}}"))
        + &node::pod(
            "two",
            run,
            volume,
            &format!("{mounts}securityContext: {{runAsUser: 1000, seccompProfile: {{type: RuntimeDefault}}}}"),
        );
    let data = node.data_dir();
    node.run(&yaml, async move |board| {
        let mut ranges = Vec::new();
        for (pod, user) in [("one", 0), ("two", 1000)] {
            board.running(pod, "main").await;
            let (_, map) = board.shell(pod, "main", "cat /proc/self/uid_map; cat /proc/self/gid_map").await;
            let fields: Vec<u32> = map.split_whitespace().map(|n| n.parse().unwrap()).collect();
            assert_eq!([fields[0], fields[2], fields[3], fields[5]], [0, 65536, 0, 65536], "{map}");
            assert!(fields[1] >= 65536 && fields[1] == fields[4]);
            ranges.push(fields[1]);
            let script = "until test -e /data/note; do sleep 0.01; done; id -u; stat -c %u /data/note /bin/busybox /etc/hosts; cat /proc/sys/net/ipv4/ip_local_port_range;
                echo x > /dev/null && head -c 2 /dev/zero | wc -c; echo m > /mem/m; stat -c %u /mem/m";
            let (_, said) = board.shell(pod, "main", script).await;
            let wanted = format!("{user} {user} 0 0 30000 30100 2 {user}");
            assert_eq!(said.split_whitespace().collect::<Vec<_>>().join(" "), wanted, "{pod}");
        }
        assert_ne!(ranges[0], ranges[1], "each pod has its own");
        // Its root is nobody here: what it may not do is the node's, and what it may is its own.
        let script = "mount -t tmpfs none /tmp 2>&1; echo 1 2>&1 > /proc/sys/vm/swappiness; hostname other 2>&1; id -u; rm -r /tmp && mkdir /tmp && echo again";
        let (_, said) = board.shell("one", "main", script).await;
        assert!(said.contains("Operation not permitted") && said.ends_with("0\nagain\n"), "{said}");
        let (_, said) = board.shell("one", "main", "grep Groups /proc/1/status; test -c /dev/full && head -c 1 /dev/zero | wc -c").await;
        assert!(said.ends_with("1\n"), "{said}");
        // On disk the files are nobody else's: the volume's owner is the one that the pod knows.
        let uid = board.uid("two");
        let note = walk(&data.join("pods").join(uid), "note").expect("the note");
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(note).unwrap()), 1000);
    });
}

/// The file of that name somewhere below.
fn walk(directory: &std::path::Path, name: &str) -> Option<PathBuf> {
    std::fs::read_dir(directory).ok()?.flatten().find_map(|entry| match entry.file_type().ok()?.is_dir() {
        true => walk(&entry.path(), name),
        false => (entry.file_name() == name).then(|| entry.path()),
    })
}

#[test]
fn spec_85_86_a_node_that_forbids_it_keeps_a_privileged_pod_pending() {
    let mut node = Node::new();
    node.tune = allow;
    let mut config = node.config(&node::pod("free", "true", "", "securityContext: {privileged: true}"));
    config.allow_privileged = false;
    node.run_config(config, async |board| {
        let message = board.event("FailedCreatePodSandBox").await;
        let wanted =
            "spec.containers[0].securityContext.privileged: forbidden: this node does not allow privileged containers";
        assert!(message.contains(wanted), "{message}");
        board.phase("free", Phase::Pending).await;
        let entry = board.0.find("default", "free").unwrap();
        assert!(matches!(entry.machine().containers()[0].state(), ContainerState::Waiting(_)));
    });
    node.assert_clean();
}

#[test]
fn the_errors_of_the_kernel_are_those_of_the_table() {
    assert_eq!(i32::from(podling::host::seccomp::ENOSYS), Errno::NOSYS.raw_os_error());
    assert_eq!(i32::from(podling::host::seccomp::EPERM), Errno::PERM.raw_os_error());
}
