//! Every rule of the check is broken once, and the message names the pod, the field and the fault (spec 7, 12, 93; failure F11).

#[path = "golden/sample.rs"]
mod sample;

use podling::manifest::job::{ConditionPattern, FailureAction, FailurePattern, FailureRule, SuccessRule};
use podling::manifest::owner::{Controller, JobRules, Owner, Schedule};
use podling::manifest::pod::*;
use podling::manifest::zone::{Change, Summer, Zone};
use podling::manifest::{List, board::Board, check, image::Image, limits};
use sample::{app, body, list, small};

fn manifest_error(manifest: &Manifest<'_>) -> String {
    check::manifest(&body(manifest)).expect_err("the check finds nothing").to_string()
}

/// The message about a manifest of this one pod.
fn pod_error(pod: Pod<'_>) -> String {
    manifest_error(&Manifest { pods: list([pod]), ..Manifest::default() })
}

/// The message about a pod of this one container, which has one volume.
fn container_error(container: Container<'_>) -> String {
    let source = Source::EmptyDir { medium: Medium::Disk, size_limit: None };
    let message =
        pod_error(Pod { volumes: list([Volume { name: "v", source }]), containers: list([container]), ..small() });
    let message = message.strip_prefix("pod default/small: containers[0]").expect("it names pod and container");
    message.trim_start_matches('.').to_string()
}

fn volume_error(source: Source<'_>) -> String {
    pod_error(Pod { volumes: list([Volume { name: "v", source }]), ..small() })
}

#[track_caller]
fn says(message: String, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

#[test]
fn the_samples_pass() {
    check::manifest(&body(&sample::manifest())).unwrap();
    check::image(&body(&sample::image())).unwrap();
    check::board(&body(&sample::board())).unwrap();
    check::manifest(&body(&Manifest::default())).unwrap();
}

/// Spec 43, 66: what a pod leaves out is what Kubernetes takes, and only names cannot be left out.
#[test]
fn a_pod_needs_no_more_than_names() {
    let container = Container { name: "c", image: "docker.io/library/c:1", ..Container::default() };
    let pod = Pod { name: "p", hostname: "p", containers: list([container]), ..Pod::default() };
    check::manifest(&body(&Manifest { pods: list([pod]), ..Manifest::default() })).unwrap();
    assert_eq!((pod.namespace, pod.restart_policy, pod.grace_seconds), ("default", RestartPolicy::Always, 30));
    assert_eq!((container.kind, pod.qos()), (ContainerKind::App, Qos::BestEffort));
    says(pod_error(Pod { containers: list([Container::default()]), ..pod }), &["name: \"\""]);
}

/// Spec 7.
#[test]
fn names_are_dns_names() {
    says(container_error(app("Web")), &["name: \"Web\" is not a DNS label (RFC 1123)"]);
    says(pod_error(Pod { name: "a..b", ..small() }), &["pod default/a..b: metadata.name: ", "DNS subdomain"]);
    says(pod_error(Pod { namespace: "a.b", ..small() }), &["metadata.namespace: \"a.b\" is not a DNS label"]);
    says(pod_error(Pod { hostname: "", ..small() }), &["hostname: \"\""]);
    let volume = Volume { name: "V", source: Source::EmptyDir { medium: Medium::Disk, size_limit: None } };
    says(pod_error(Pod { volumes: list([volume]), ..small() }), &["volumes[0].name: \"V\""]);
    says(volume_error(Source::Claim { name: "../x", read_only: false }), &["claimName: \"../x\""]);
}

#[test]
fn nothing_is_there_twice() {
    says(
        manifest_error(&Manifest { pods: list([small(), small()]), ..Manifest::default() }),
        &["pod default/small: ", "another pod of that namespace and name"],
    );
    let other = Pod { namespace: "other", ..small() };
    check::manifest(&body(&Manifest { pods: list([small(), other]), ..Manifest::default() })).unwrap();
    says(
        pod_error(Pod { containers: list([app("a"), app("a")]), ..small() }),
        &["containers[1].name: \"a\" is there twice"],
    );
    let volume = Volume { name: "v", source: Source::EmptyDir { medium: Medium::Memory, size_limit: None } };
    says(pod_error(Pod { volumes: list([volume, volume]), ..small() }), &["volumes[1].name: \"v\" is there twice"]);
    let mount = Mount { volume: 0, path: "/a", read_only: false, ..Mount::default() };
    says(
        container_error(Container { mounts: list([mount, mount]), ..app("a") }),
        &["volumeMounts[1].mountPath: \"/a\" is there twice"],
    );
    for (one, two) in [("a", "a"), ("a", "a/b"), ("a/b", "a")] {
        let files = list([one, two].map(|path| File { path, mode: 0o644, data: b"" }));
        says(volume_error(Source::Files { secret: false, files }), &["volumes[0].files[1].path", "is there twice"]);
    }
    let files = list(["a", "ab"].map(|path| File { path, mode: 0o644, data: b"" }));
    let volumes = list([Volume { name: "v", source: Source::Files { secret: false, files } }]);
    check::manifest(&body(&Manifest { pods: list([Pod { volumes, ..small() }]), ..Manifest::default() })).unwrap();
}

/// Spec 1 and 36.
#[test]
fn a_pod_has_its_containers_in_start_order() {
    says(pod_error(Pod { containers: List::EMPTY, ..small() }), &["containers: ", "at least one app container"]);
    let init = Container { kind: ContainerKind::Init, ..app("i") };
    says(pod_error(Pod { containers: list([init]), ..small() }), &["at least one app container"]);
    let sidecar = Container { kind: ContainerKind::Sidecar, ..app("s") };
    says(
        pod_error(Pod { containers: list([app("a"), sidecar]), ..small() }),
        &["containers[1]: ", "comes after an app container"],
    );
}

#[test]
fn volumes_and_mounts_fit_each_other() {
    let mount = |volume, path| {
        container_error(Container {
            mounts: list([Mount { volume, path, read_only: false, ..Mount::default() }]),
            ..app("a")
        })
    };
    says(mount(1, "/a"), &["volumeMounts[0].name: 1 is not the index"]);
    for path in ["/", "a", "/a/../b", "/a//b", "/a/", "/a\0"] {
        says(mount(0, path), &["volumeMounts[0].mountPath: "]);
    }
    says(volume_error(Source::HostPath { path: "/a/../b", kind: HostPathKind::Any }), &["hostPath.path: \"/a/../b\""]);
    says(volume_error(Source::EmptyDir { medium: Medium::Memory, size_limit: Some(0) }), &["sizeLimit: 0"]);
    let file = |path, mode| volume_error(Source::Files { secret: true, files: list([File { path, mode, data: b"" }]) });
    says(file("../x", 0o644), &["files[0].path: \"../x\""]);
    says(file("x", 0o1000), &["files[0].mode: 512"]);
}

#[test]
fn what_a_container_runs_can_be_run() {
    says(
        container_error(Container { image: "nginx", ..app("a") }),
        &["image: \"nginx\" is not an image reference in full"],
    );
    says(container_error(Container { command: Some(List::EMPTY), ..app("a") }), &["command: names no program"]);
    says(container_error(Container { command: Some(list([""])), ..app("a") }), &["command: names no program"]);
    says(
        container_error(Container { args: Some(list(["a", "b\0"])), ..app("a") }),
        &["args[1]: \"b\u{fffd}\" holds a NUL byte"],
    );
    says(container_error(Container { working_dir: Some("srv"), ..app("a") }), &["workingDir: \"srv\""]);
    says(
        container_error(Container { pre_stop: Some(Hook::Exec(List::EMPTY)), ..app("a") }),
        &["lifecycle.preStop.exec.command: "],
    );
    says(
        container_error(Container { pre_stop: Some(Hook::Sleep(86_401)), ..app("a") }),
        &["lifecycle.preStop.sleep.seconds: 86401"],
    );
    for key in ["", "A=B", "A\0"] {
        says(
            container_error(Container { env: list([EnvVar { key, value: "", secret: false }]), ..app("a") }),
            &["env[0].name: "],
        );
    }
    says(
        container_error(Container { env: list([EnvVar { key: "A", value: "\0", secret: false }]), ..app("a") }),
        &["env[0].value: "],
    );
    says(
        container_error(Container { ports: list([Port { container: 0, udp: false }]), ..app("a") }),
        &["ports[0].containerPort: 0"],
    );
    let security = Security { capabilities: 1 << 41, ..Security::default() };
    says(container_error(Container { security, ..app("a") }), &["securityContext.capabilities: "]);
    let security = Security { run_as_user: Some(u32::MAX), ..Security::default() };
    says(container_error(Container { security, ..app("a") }), &["securityContext.runAsUser: 4294967295"]);
}

/// Spec 93.
#[test]
fn limits_are_at_least_the_requests() {
    let none = Resources::default();
    let error = |resources| container_error(Container { resources, ..app("a") });
    says(
        error(Resources { cpu_request_milli: 2, cpu_limit_milli: Some(1), ..none }),
        &["resources.limits.cpu: 1 is zero, less than"],
    );
    says(error(Resources { memory_request: 2, memory_limit: Some(1), ..none }), &["resources.limits.memory: 1"]);
    says(error(Resources { memory_limit: Some(0), ..none }), &["resources.limits.memory: 0"]);
    says(error(Resources { cpu_limit_milli: Some(0), ..none }), &["resources.limits.cpu: 0"]);
    says(error(Resources { cpu_request_milli: u32::MAX, ..none }), &["resources.requests.cpu: "]);
    says(error(Resources { memory_request: u64::MAX, ..none }), &["resources.requests.memory: "]);
    says(
        pod_error(Pod { resources: Resources { memory_limit: Some(0), ..none }, ..small() }),
        &["small: resources.limits.memory"],
    );
}

#[test]
fn what_a_pod_asks_of_the_node_makes_sense() {
    says(pod_error(Pod { grace_seconds: 86_401, ..small() }), &["terminationGracePeriodSeconds: 86401"]);
    says(pod_error(Pod { pids_limit: Some(0), ..small() }), &["pids_limit: 0"]);
    says(pod_error(Pod { supplemental_groups: list([u32::MAX]), ..small() }), &["supplementalGroups[0]: "]);
    says(
        pod_error(Pod { labels: list([Pair { key: "", value: "" }]), ..small() }),
        &["metadata.labels[0]: has an empty key"],
    );
    let sharing = Sharing { host_pid: true, process_namespace: true, ..Sharing::default() };
    says(pod_error(Pod { sharing, ..small() }), &["shareProcessNamespace: "]);
    for (key, value) in [("x", "a"), ("10.0.0.1", ""), ("10.0.0.1", "a\n10.0.0.2 bank")] {
        says(pod_error(Pod { host_aliases: list([Pair { key, value }]), ..small() }), &["hostAliases[0]."]);
    }
    let node = Node::default();
    for (node, field) in [
        (Node { backoff_base_ms: 0, ..node }, "node.backoff_base_ms: 0"),
        (Node { backoff_cap_ms: 9_999, ..node }, "node.backoff_cap_ms: 9999"),
        (Node { backoff_reset_ms: 0, ..node }, "node.backoff_reset_ms: 0"),
        (Node { pod_pids_limit: 0, ..node }, "node.pod_pids_limit: 0"),
        (Node { shutdown_grace_seconds: u32::MAX, ..node }, "node.shutdown_grace_seconds: "),
    ] {
        says(manifest_error(&Manifest { node, ..Manifest::default() }), &[field]);
    }
}

#[test]
fn what_holds_a_container_fits_the_pod_and_the_manifest() {
    let confined = |confinement: Confinement<'static>| Container { confinement, ..app("app") };
    let held = |confinement| container_error(confined(confinement));
    let seccomp = Seccomp::RuntimeDefault { filter: 0 };
    says(held(Confinement { seccomp, ..Confinement::default() }), &["seccompProfile: 0 is not the index of one"]);
    let filters = list([&[6u8, 0, 0, 0, 0, 0, 0, 0][..]]);
    let with = |confinement, filters| Manifest {
        pods: list([Pod { containers: list([confined(confinement)]), ..small() }]),
        filters,
        ..Manifest::default()
    };
    check::manifest(&body(&with(Confinement { seccomp, ..Confinement::default() }, filters))).unwrap();
    let both = Confinement { seccomp, privileged: true, ..Confinement::default() };
    says(manifest_error(&with(both, filters)), &["seccompProfile: cannot be had together with privileged"]);
    for bytes in [0usize, 7, 9, limits::FILTER_BYTES + 8] {
        let filters = list([&*vec![0u8; bytes].leak()]);
        says(manifest_error(&with(Confinement::default(), filters)), &["filters[0]: ", "not a seccomp filter"]);
    }
    let devices = list([Device { resource: "board.podling/disk", path: "/etc/shadow" }]);
    says(held(Confinement { devices, ..Confinement::default() }), &["devices[0].path: \"/etc/shadow\""]);
    // CVE-2022-0811: whatever a compiler let through, nothing but a namespace's own gets to the kernel.
    for (key, sharing) in [
        ("kernel.core_pattern", Sharing::default()),
        ("net.ipv4.ip_forward", Sharing { host_network: true, ..Sharing::default() }),
        ("kernel.sem", Sharing { host_ipc: true, ..Sharing::default() }),
    ] {
        let sysctls = list([Pair { key, value: "1" }]);
        says(pod_error(Pod { sysctls, sharing, ..small() }), &["securityContext.sysctls[0].name: "]);
    }
    let sharing = Sharing { own_users: true, host_pid: true, ..Sharing::default() };
    says(pod_error(Pod { sharing, ..small() }), &["hostUsers: cannot be false together with"]);
}

/// Spec 43, 44, 46, 51.
#[test]
fn what_decides_about_a_life_makes_sense() {
    let deadline = |seconds| pod_error(Pod { active_deadline_seconds: Some(seconds), ..small() });
    says(deadline(0), &["activeDeadlineSeconds: 0 is not a number of seconds"]);
    says(deadline(1 << 31), &["activeDeadlineSeconds: 2147483648"]);
    for name in ["", "-a", "a b", "UPPER/a", "a/b/c", "a/"] {
        says(
            pod_error(Pod { readiness_gates: list([name]), ..small() }),
            &["readinessGates[0].conditionType: ", "is not a qualified name"],
        );
    }
    let gates = list(["a"; limits::READINESS_GATES + 1]);
    says(pod_error(Pod { readiness_gates: gates, ..small() }), &["readinessGates: more than 16 elements"]);
    for message_path in ["", "/", "words", "/a/../words"] {
        says(container_error(Container { message_path, ..app("a") }), &["terminationMessagePath: "]);
    }
    let rule = RestartRule {
        operator: Operator::In,
        codes: list([0u8; limits::EXIT_CODES + 1]),
        action: RestartAction::Restart,
    };
    says(
        container_error(Container { restart_rules: list([rule]), ..app("a") }),
        &["restartPolicyRules[0].exitCodes.values: more than 255 elements"],
    );
}

/// Failure F11: counts are capped, and lists hold exactly their elements, each in its one encoding.
#[test]
fn every_list_is_bounded_and_strict() {
    let pods = list((0..=limits::PODS).map(|n| Pod { name: format!("p{n}").leak(), ..small() }));
    says(manifest_error(&Manifest { pods, ..Manifest::default() }), &["pods: more than 64 elements"]);
    let words = list((0..=limits::ARGS).map(|_| "a"));
    says(container_error(Container { args: Some(words), ..app("a") }), &["args: more than 128 elements"]);
    let long = "a".repeat(limits::STRING + 1).leak();
    says(
        container_error(Container { args: Some(list([&*long])), ..app("a") }),
        &["args[0]: 131073 bytes, and there is room for 131072"],
    );
    let broken: &[(&[u8], &str)] = &[
        (&[1, b'a', 0x80], "args[1]: the encoding is broken"),
        (&[0x81, 0x00, b'a'], "args[0]: the encoding is not the shortest"),
    ];
    for (bytes, message) in broken {
        says(container_error(Container { args: Some(List::from_bytes(bytes)), ..app("a") }), &[message]);
    }
    let mut bytes = body(&sample::manifest());
    bytes.push(0);
    says(check::manifest(&bytes).unwrap_err().to_string(), &["bytes follow the encoded value"]);
}

/// A text from outside cannot take over the terminal that shows the message.
#[test]
fn messages_are_short_and_harmless() {
    let name = format!("\u{1b}[2J{}", "x".repeat(5000)).leak();
    let message = pod_error(Pod { name, ..small() });
    assert!(message.len() < 500 && !message.contains('\u{1b}'), "{message:?}");
}

#[test]
fn image_records_and_boards_are_checked_too() {
    let image = |image: Image<'_>| check::image(&body(&image)).unwrap_err().to_string();
    says(image(Image { reference: "nginx", ..sample::image() }), &["reference: "]);
    for platform in ["", "arm64 ", "arm/", "arm/v7/x", "a\u{1b}", &"x".repeat(33)] {
        says(image(Image { platform, ..sample::image() }), &["platform: "]);
    }
    says(image(Image { size: 0, ..sample::image() }), &["size: 0"]);
    says(image(Image { env: list(["A"]), ..sample::image() }), &["Env[0]: \"A\" is not of the form NAME=value"]);
    says(image(Image { working_dir: "", ..sample::image() }), &["WorkingDir: "]);
    says(image(Image { uid: u32::MAX, ..sample::image() }), &["User: "]);
    says(image(Image { stop_signal: 65, ..sample::image() }), &["StopSignal: 65"]);
    let board = |board: Board<'_>| check::board(&body(&board)).unwrap_err().to_string();
    says(board(Board { class: "", ..sample::board() }), &["class: "]);
    says(board(Board { console: "/dev/tty", ..sample::board() }), &["console: "]);
    says(board(Board { modules: list(["../x.ko"]), ..sample::board() }), &["modules[0]: "]);
    says(board(Board { slots: "vda1", ..sample::board() }), &["slots: "]);
    says(board(Board { slot_bytes: 6000, ..sample::board() }), &["slot_bytes: 6000"]);
    says(board(Board { data: "/dev/vda1", ..sample::board() }), &["data: ", "as well"]);
    let network = podling::manifest::board::Network { prefix: 33, ..sample::board().network.unwrap() };
    says(board(Board { network: Some(network), ..sample::board() }), &["network.prefix: 33"]);
}

/// Spec 54: what a Job asks for is something that a board can do.
#[test]
fn owners_are_sound() {
    let owned = |controller| pod_error(Pod { owner: Some(Owner { controller, name: "pi" }), ..small() });
    let rules = sample::job();
    let many = JobRules { parallelism: 65, ..rules };
    says(owned(Controller::Job(many)), &["metadata.ownerReferences.parallelism: 65 pods at once"]);
    let schedule = rules.schedule.unwrap();
    let wrong = [
        Schedule { minutes: 0, ..schedule },
        Schedule { minutes: 1 << 60, ..schedule },
        Schedule { hours: 1 << 24, ..schedule },
        Schedule { days: 1, ..schedule },
        Schedule { months: 1, ..schedule },
        Schedule { weekdays: 1 << 7, ..schedule },
    ];
    for schedule in wrong {
        let rules = JobRules { schedule: Some(schedule), ..rules };
        says(owned(Controller::Job(rules)), &["metadata.ownerReferences.schedule: names no time"]);
    }
    let times = |schedule| owned(Controller::Job(JobRules { schedule: Some(schedule), ..rules }));
    says(times(Schedule { runs: 4, ..schedule }), &["schedule.runs: 4 runs at once"]);
    let zone = Zone { standard: 2000, ..schedule.zone };
    says(times(Schedule { zone, ..schedule }), &["schedule.timeZone: is no time zone"]);
    let summer = schedule.zone.summer.unwrap();
    let zone =
        Zone { summer: Some(Summer { begins: Change { month: 13, ..summer.begins }, ..summer }), ..schedule.zone };
    says(times(Schedule { zone, ..schedule }), &["schedule.timeZone: is no time zone"]);
    let success_policy = list([SuccessRule { indexes: 0b11, count: 3 }]);
    says(owned(Controller::Job(JobRules { success_policy, ..rules })), &["successPolicy[0].succeededCount: 3"]);
    let pattern = FailurePattern::Conditions(list([ConditionPattern { kind: "a b", status: true }]));
    let failure_policy = list([FailureRule { action: FailureAction::Count, pattern }]);
    says(
        owned(Controller::Job(JobRules { failure_policy, ..rules })),
        &["podFailurePolicy[0].onPodConditions[0].type"],
    );
    let nameless = Owner { controller: Controller::ReplicationController, name: "A" };
    says(pod_error(Pod { owner: Some(nameless), ..small() }), &["metadata.ownerReferences.name", "\"A\""]);
}
