//! One manifest, image record and board record that between them hold every variant of the format.
#![allow(dead_code, reason = "each of the tests that include this file uses its own part of it")]

use podling::manifest::board::{Board, Network};
use podling::manifest::huge::{HugePages, PageSize};
use podling::manifest::image::Image;
use podling::manifest::job::{ConditionPattern, FailureAction, FailurePattern, FailureRule, SuccessRule};
use podling::manifest::owner::{
    ClaimOwner, ClaimRetention, Concurrency, Controller, Goal, JobRules, Owner, Retention, Schedule, Strategy, Update,
};
use podling::manifest::pod::*;
use podling::manifest::probe::{Action, HttpGet, Probe, ProbeKind, Scheme, Timing};
use podling::manifest::terminal::Stdin;
use podling::manifest::zone::{Change, Summer, Zone};
use podling::manifest::{List, codec};
use serde::Serialize;

/// The class of all samples.
pub const CLASS: &str = "qemu-virt-aarch64";

/// A list that lives as long as the test.
pub fn list<T: Serialize>(elements: impl IntoIterator<Item = T>) -> List<'static, T> {
    let mut bytes = Vec::new();
    for element in elements {
        bytes = encode(&element, bytes);
    }
    List::from_bytes(bytes.leak())
}

/// The body of a file.
pub fn body<T: Serialize>(value: &T) -> Vec<u8> {
    encode(value, Vec::new())
}

/// A whole file.
pub fn file(kind: codec::Kind, sequence: u64, body: &[u8]) -> Vec<u8> {
    let class = if kind == codec::Kind::Image { "" } else { CLASS };
    let header = codec::seal(kind, class, sequence, body).expect("a sample can be sealed");
    [&header[..], body].concat()
}

fn encode<T: Serialize>(value: &T, bytes: Vec<u8>) -> Vec<u8> {
    postcard::to_extend(value, bytes).expect("memory takes everything")
}

/// The manifest.
pub fn manifest() -> Manifest<'static> {
    Manifest {
        node: Node::default(),
        pods: list([full(), small()]),
        filters: list([&[6u8, 0, 0, 0, 0, 0, 0xff, 0x7f][..], &[6, 0, 0, 0, 1, 0, 5, 0]]),
        claim_owners: list([ClaimOwner {
            namespace: "shop",
            name: "db",
            retention: ClaimRetention { when_deleted: Retention::Retain, when_scaled: Retention::Delete },
        }]),
    }
}

/// The least of a pod.
pub fn small() -> Pod<'static> {
    Pod {
        namespace: "default",
        name: "small",
        labels: List::EMPTY,
        annotations: List::EMPTY,
        hostname: "small",
        restart_policy: RestartPolicy::Never,
        grace_seconds: 0,
        sharing: Sharing::default(),
        supplemental_groups: List::EMPTY,
        host_aliases: List::EMPTY,
        resources: Resources::default(),
        pids_limit: None,
        critical: false,
        volumes: List::EMPTY,
        containers: list([app("app")]),
        active_deadline_seconds: None,
        owner: Some(Owner { controller: Controller::Job(job()), name: "small" }),
        sysctls: List::EMPTY,
        readiness_gates: List::EMPTY,
        priority: -5,
        fs_group: None,
        run_as: RunAs::default(),
        groups_policy: GroupsPolicy::Merge,
        dns: Dns::default(),
        overhead: Resources::default(),
    }
}

/// What a Job asks for.
pub fn job() -> JobRules<'static> {
    let schedule = Schedule {
        minutes: 1 << 59 | 1,
        hours: 1 << 23,
        days: 1 << 31 | 1 << 1,
        months: 1 << 12,
        weekdays: 1 << 6,
        concurrency: Concurrency::Replace,
        deadline_seconds: Some(90),
        zone: Zone {
            standard: 60,
            summer: Some(Summer {
                offset: 120,
                begins: Change { month: 3, week: 5, weekday: 0, minute: 120 },
                ends: Change { month: 10, week: 5, weekday: 0, minute: 180 },
            }),
        },
        runs: 1,
        keeps: [1, 0],
    };
    let codes = FailurePattern::ExitCodes { container: Some("app"), operator: Operator::In, codes: list([42]) };
    let disrupted = [ConditionPattern { kind: "DisruptionTarget", status: true }];
    let failures = [
        FailureRule { action: FailureAction::FailJob, pattern: codes },
        FailureRule { action: FailureAction::Ignore, pattern: FailurePattern::Conditions(list(disrupted)) },
    ];
    JobRules {
        goal: Goal::Any,
        parallelism: 3,
        backoff_limit: 6,
        deadline_seconds: Some(3600),
        ttl_seconds: Some(0),
        schedule: Some(schedule),
        index_backoff_limit: Some(2),
        max_failed_indexes: Some(1),
        failure_policy: list(failures),
        success_policy: list([SuccessRule { indexes: 0b110, count: 1 }]),
    }
}

/// The least of a container.
pub fn app(name: &'static str) -> Container<'static> {
    Container {
        name,
        kind: ContainerKind::App,
        image: "docker.io/library/busybox:latest",
        command: None,
        args: None,
        working_dir: None,
        env: List::EMPTY,
        ports: List::EMPTY,
        mounts: List::EMPTY,
        resources: Resources::default(),
        security: Security::default(),
        pre_stop: None,
        message_path: Container::MESSAGE_PATH,
        message_policy: MessagePolicy::File,
        restart_policy: None,
        restart_rules: List::EMPTY,
        resize: ResizePolicy::default(),
        facts: List::EMPTY,
        confinement: Confinement::default(),
        post_start: None,
        stop_signal: None,
        probes: List::EMPTY,
        stdin: Stdin::None,
        tty: false,
    }
}

/// A pod with everything.
pub fn full() -> Pod<'static> {
    let resources = Resources {
        cpu_request_milli: 250,
        cpu_limit_milli: Some(1500),
        memory_request: 16 << 20,
        memory_limit: Some(64 << 20),
        storage_request: 1 << 20,
        storage_limit: Some(1 << 30),
        huge_pages: HugePages::NONE.with(PageSize::Mi2, 3),
    };
    Pod {
        namespace: "kube-system",
        name: "full.example",
        labels: list([Pair { key: "app", value: "web" }, Pair { key: "empty", value: "" }]),
        annotations: list([Pair { key: "note", value: "größer" }]),
        hostname: "full",
        restart_policy: RestartPolicy::Always,
        grace_seconds: 30,
        sharing: Sharing {
            host_network: true,
            host_pid: false,
            host_ipc: false,
            process_namespace: true,
            own_users: false,
        },
        supplemental_groups: list([1000u32, 20]),
        host_aliases: list([Pair { key: "10.0.0.9", value: "db db.example" }]),
        resources,
        pids_limit: Some(200),
        critical: true,
        sysctls: list([Pair { key: "kernel.shm_rmid_forced", value: "1" }]),
        fs_group: Some(FsGroup { id: 4242, change: FsGroupChange::OnRootMismatch }),
        run_as: RunAs { user: Some(33), group: None, non_root: true },
        groups_policy: GroupsPolicy::Strict,
        dns: Dns {
            policy: DnsPolicy::None,
            servers: list(["1.1.1.1", "2001:db8::1"]),
            searches: list(["example.org"]),
            options: list(["ndots:2", "edns0"]),
        },
        overhead: Resources { cpu_request_milli: 10, memory_request: 1 << 20, ..Resources::default() },
        volumes: volumes(),
        containers: list([
            Container {
                kind: ContainerKind::Init,
                command: Some(list(["/bin/sh", "-c"])),
                args: Some(list(["true", ""])),
                ..app("init")
            },
            Container {
                kind: ContainerKind::Sidecar,
                pre_stop: Some(Hook::Sleep(5)),
                confinement: Confinement {
                    seccomp: Seccomp::Localhost { profile: "profiles/a.json", filter: 1 },
                    proc_mount: ProcMount::Unmasked,
                    ..Confinement::default()
                },
                ..app("puller")
            },
            Container {
                confinement: Confinement { privileged: true, ..Confinement::default() },
                stdin: Stdin::Once,
                tty: true,
                ..app("plugin")
            },
            Container {
                confinement: Confinement {
                    seccomp: Seccomp::RuntimeDefault { filter: 0 },
                    devices: list([Device { resource: "board.podling/gpio", path: "/dev/gpiochip0" }]),
                    ..Confinement::default()
                },
                working_dir: Some("/srv"),
                env: list([
                    EnvVar { key: "MODE", value: "a=b", secret: false },
                    EnvVar { key: "PASSWORD", value: "", secret: true },
                ]),
                ports: list([Port { container: 80, udp: false }, Port { container: 53, udp: true }]),
                mounts: list([
                    Mount { volume: 0, path: "/srv/www", read_only: true, ..Mount::default() },
                    Mount { volume: 12, path: "/etc/app", read_only: false, ..Mount::default() },
                ]),
                resources,
                security: Security {
                    run_as_user: Some(33),
                    run_as_group: Some(33),
                    run_as_non_root: true,
                    read_only_root: true,
                    no_new_privileges: true,
                    capabilities: 1 << 40 | 1,
                },
                pre_stop: Some(Hook::Exec(list(["nginx", "-s", "quit"]))),
                message_path: "/srv/last-words",
                message_policy: MessagePolicy::FallbackToLogsOnError,
                restart_policy: Some(RestartPolicy::Never),
                restart_rules: list([
                    RestartRule {
                        operator: Operator::In,
                        codes: list([42u8, 0]),
                        action: RestartAction::RestartAllContainers,
                    },
                    RestartRule { operator: Operator::NotIn, codes: list([255u8]), action: RestartAction::Restart },
                ]),
                resize: ResizePolicy { cpu: Resize::InPlace, memory: Resize::Restart },
                stop_signal: Some(StopSignal { name: "SIGUSR1", number: 10 }),
                post_start: Some(Hook::HttpGet(http_get())),
                probes: list([
                    probe(ProbeKind::Startup, Action::HttpGet(http_get())),
                    probe(ProbeKind::Liveness, Action::TcpSocket { host: "10.0.0.9", port: 80 }),
                    Probe {
                        kind: ProbeKind::Readiness,
                        timing: Timing { successes: 2, ..Timing::default() },
                        action: Action::Grpc { port: 9090, service: "db" },
                    },
                ]),
                ..app("web")
            },
        ]),
        active_deadline_seconds: Some(3600),
        owner: Some(Owner {
            controller: Controller::ReplicaSet(Update {
                strategy: Strategy::Rolling { surge: 1, unavailable: 2 },
                min_ready_seconds: 5,
            }),
            name: "full-5f7c",
        }),
        readiness_gates: list(["example.com/served", "Warm"]),
        priority: 2_000_001_000,
    }
}

fn probe(kind: ProbeKind, action: Action<'static>) -> Probe<'static> {
    let timing = Timing {
        delay_seconds: 1,
        period_seconds: 300,
        timeout_seconds: 2,
        grace_seconds: Some(5),
        ..Timing::default()
    };
    Probe { kind, timing, action }
}

fn http_get() -> HttpGet<'static> {
    HttpGet {
        host: "",
        port: 8080,
        path: "/healthz?full=1",
        headers: list([Pair { key: "X-Probe", value: "größer" }]),
        scheme: Scheme::Https,
    }
}

fn volumes() -> List<'static, Volume<'static>> {
    use HostPathKind::*;
    let kinds = [
        ("any", Any),
        ("dir-or-create", DirectoryOrCreate),
        ("dir", Directory),
        ("file-or-create", FileOrCreate),
        ("file", File),
        ("socket", Socket),
        ("char", CharDevice),
        ("block", BlockDevice),
    ];
    let files = list([
        podling::manifest::pod::File { path: "app.conf", mode: 0o644, data: b"key = 1\n" },
        podling::manifest::pod::File { path: "d/raw", mode: 0o400, data: &[0, 255] },
    ]);
    let first = [
        ("scratch", Source::EmptyDir { medium: Medium::Disk, size_limit: None }),
        ("memory", Source::EmptyDir { medium: Medium::Memory, size_limit: Some(1 << 20) }),
        ("huge", Source::EmptyDir { medium: Medium::HugePages(PageSize::Mi2), size_limit: None }),
        ("claim", Source::Claim { name: "www.data", read_only: true }),
        (
            "local",
            Source::Local {
                claim: "local",
                path: "/dev/sda1",
                fs_type: "ext4",
                read_only: false,
                options: list(["noatime", "commit=7"]),
            },
        ),
        ("device", Source::Block { disk: Disk::Device { claim: "device", path: "/dev/sdb" }, read_only: true }),
        ("disk", Source::Block { disk: Disk::Claim { claim: "disk", bytes: 1 << 20 }, read_only: false }),
        ("own", Source::Block { disk: Disk::Own { bytes: 1 << 16 }, read_only: false }),
    ];
    let last = [("config", Source::Files { secret: false, files }), ("secret", Source::Files { secret: true, files })];
    let hosts = kinds.map(|(name, kind)| (name, Source::HostPath { path: "/run/x", kind }));
    list(first.into_iter().chain(hosts).chain(last).map(|(name, source)| Volume { name, source }))
}

/// The image record.
pub fn image() -> Image<'static> {
    Image {
        reference: "docker.io/library/nginx:1.22",
        platform: "arm/v7",
        sha256: core::array::from_fn(|n| n as u8),
        size: 1 << 33,
        entrypoint: list(["/usr/sbin/nginx"]),
        cmd: list(["-g", "daemon off;"]),
        env: list(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "EMPTY="]),
        working_dir: "/",
        uid: 0,
        gid: 33,
        groups: list([4u32]),
        stop_signal: 3,
        ports: list([Port { container: 80, udp: false }]),
    }
}

/// The board record.
pub fn board() -> Board<'static> {
    Board {
        class: CLASS,
        hostname: "board-1",
        console: "ttyAMA0",
        modules: list(["virtio_blk.ko", "kernel/net/virtio_net.ko.xz"]),
        slots: "/dev/vda1",
        slot_bytes: 1 << 20,
        data: "/dev/vda2",
        data_fs: "ext4",
        network: Some(Network {
            interface: "eth0",
            address: [10, 0, 2, 15],
            prefix: 24,
            gateway: Some([10, 0, 2, 2]),
            dns: Some([10, 0, 2, 3]),
        }),
        allow_privileged: true,
        huge_pages: HugePages::NONE.with(PageSize::Mi2, 16),
    }
}
