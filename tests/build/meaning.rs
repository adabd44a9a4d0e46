//! What a right file means: the manifest that comes out, field by field.

use super::{board, compile, compile_for, fixture, pod};
use podling::host::boards::BoardFile;
use podling::host::inspect::inspect;
use podling::machine::admit::Amount;
use podling::manifest::codec::{self, Kind};
use podling::manifest::dns::DnsPolicy;
use podling::manifest::pod::{
    Container, ContainerKind, Hook, HostPathKind, Manifest, Medium, MessagePolicy, Operator, Pair, Pod, Resources,
    RestartPolicy, Security, Source, Volume,
};
use podling::manifest::{check, limits};
use std::fs;

/// A whole manifest file around `body`.
fn file(body: &[u8]) -> Vec<u8> {
    let header = codec::seal(Kind::Manifest, "qemu-virt-aarch64", 1, body).unwrap();
    [&header, body].concat()
}

fn read(name: &str) -> String {
    fs::read_to_string(fixture(name)).unwrap()
}

/// Calls `look` with the first pod of `text`.
#[track_caller]
fn first<T>(text: &str, look: impl FnOnce(Pod<'_>) -> T) -> T {
    let body = compile(text).body();
    let pod = check::manifest(&body).unwrap().pods.get(0).unwrap();
    look(pod)
}

/// Calls `look` with the one container of a pod.
#[track_caller]
fn container<T>(container: &str, look: impl FnOnce(Container<'_>) -> T) -> T {
    first(&pod("", container), |pod| look(pod.containers.get(0).unwrap()))
}

#[test]
fn what_inspect_shows_compiles_to_the_same() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/boards/qemu-virt-aarch64/pods/web.yaml");
    for text in [read("full.yaml"), fs::read_to_string(sample).unwrap(), pod("", "")] {
        let outcome = compile(&text);
        let body = outcome.body();
        let shown = inspect(&file(&body), true).unwrap();
        let again = compile(&shown);
        assert_eq!(again.errors, 0, "{}\n{shown}", again.said);
        let (first, second) = (check::manifest(&body).unwrap(), again.compiled.unwrap().body);
        let second = check::manifest(&second).unwrap();
        // A variable that came from a Secret is shown with its value, and then it is a plain one.
        let plain = |m: Manifest<'_>| format!("{m:#?}").replace("secret: true", "secret: false");
        assert!(plain(first) == plain(second), "{shown}\n{}\n{}", plain(first), plain(second));
    }
}

#[test]
fn inspect_redacts_secrets() {
    let body = compile(&read("full.yaml")).body();
    let shown = inspect(&file(&body), false).unwrap();
    for value in ["hunter2", "aHVudGVyMg"] {
        assert!(!shown.contains(value), "{shown}");
    }
    assert!(inspect(&file(&body), true).unwrap().contains("hunter2"));
}

#[test]
fn the_sample_pod_compiles_without_a_word() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/boards/qemu-virt-aarch64/pods/web.yaml");
    let outcome = compile(&fs::read_to_string(sample).unwrap());
    assert_eq!(outcome.said, "");
    assert_eq!(outcome.compiled.unwrap().containers, 2);
}

#[test]
fn spec_96_a_priority_is_a_number_or_that_of_a_class() {
    for (more, priority, critical) in [
        ("", 0, false),
        ("priority: -7", -7, false),
        ("priorityClassName: system-node-critical", 2_000_001_000, true),
        ("priorityClassName: system-cluster-critical, priority: 2000000000", 2_000_000_000, true),
    ] {
        first(&pod(more, ""), |pod| assert_eq!((pod.priority, pod.critical), (priority, critical), "{more}"));
    }
    let both = pod("priorityClassName: system-node-critical, priority: 5", "");
    compile(&both).refused("must not be provided beside a class that has 2000001000");
    compile(&pod("priority: 1000000001", "")).refused("spec.priority: ");
}

#[test]
fn defaults_are_written_out() {
    first(&pod("", ""), |pod| {
        assert_eq!((pod.namespace, pod.name, pod.hostname), ("default", "web", "web"));
        assert_eq!(pod.restart_policy, RestartPolicy::Always, "spec 43");
        assert_eq!(pod.grace_seconds, 30, "spec 66");
        assert!(!pod.sharing.process_namespace, "spec 27");
        assert_eq!((pod.resources, pod.pids_limit, pod.critical), (Resources::default(), None, false));
        let container = pod.containers.get(0).unwrap();
        assert_eq!(container.image, "docker.io/library/busybox:latest");
        assert_eq!((container.kind, container.command, container.args), (ContainerKind::App, None, None));
        assert_eq!(container.security, Security::default());
    });
}

#[test]
fn a_full_pod_keeps_everything() {
    first(&read("full.yaml"), |pod| {
        assert_eq!(pod.hostname, "full.sub.home.svc.cluster.local", "spec 26");
        assert_eq!((pod.restart_policy, pod.grace_seconds), (RestartPolicy::OnFailure, 7));
        assert!(pod.sharing.host_network && pod.sharing.host_ipc && pod.sharing.process_namespace && pod.critical);
        assert_eq!(pod.readiness_gates.iter().collect::<Vec<_>>(), ["example.com/served", "Warm"]);
        assert_eq!((pod.pids_limit, pod.active_deadline_seconds), (Some(99), Some(90)));
        assert_eq!(pod.supplemental_groups.iter().collect::<Vec<_>>(), [5, 6]);
        assert_eq!(pod.host_aliases.get(0), Some(Pair { key: "10.0.0.1", value: "one one.example.com" }));
        let kinds: Vec<_> = pod.containers.iter().map(|c| (c.name, c.kind)).collect();
        assert_eq!(
            kinds,
            [("setup", ContainerKind::Init), ("proxy", ContainerKind::Sidecar), ("app", ContainerKind::App)],
            "spec 36"
        );
        volumes(&pod);
        let app = pod.containers.get(2).unwrap();
        let args: Vec<_> = app.args.unwrap().iter().collect();
        assert_eq!(args, ["--name=full.pod", "--label=full"]);
        assert_eq!(app.working_dir, Some("/srv"));
        let security = app.security;
        assert_eq!(
            (security.run_as_user, security.run_as_group, security.run_as_non_root),
            (Some(7), Some(1001), true)
        );
        assert!(security.read_only_root && security.no_new_privileges);
        assert_eq!(security.capabilities, 1 << 10 | 1);
        let Some(Hook::Exec(words)) = app.pre_stop else { panic!("spec 69") };
        assert_eq!(words.iter().collect::<Vec<_>>(), ["sync", "$(NAME)"], "Kubernetes expands nothing in a hook");
        assert_eq!(pod.containers.get(1).unwrap().pre_stop, Some(Hook::Sleep(2)));
        assert_eq!((app.message_path, app.message_policy), ("/srv/words", MessagePolicy::FallbackToLogsOnError));
        assert_eq!(app.restart_policy, Some(RestartPolicy::Never));
        let rules: Vec<_> =
            app.restart_rules.iter().map(|r| (r.operator, r.codes.iter().collect::<Vec<_>>())).collect();
        assert_eq!(rules, [(Operator::In, vec![42, 7]), (Operator::NotIn, vec![0, 1])]);
        let setup: Vec<_> = pod.containers.get(0).unwrap().command.unwrap().iter().collect();
        assert_eq!(setup, ["sh", "-c", "echo fast $(UNSET) $(MODE)"]);
    });
}

/// Spec 31–35.
fn volumes(pod: &Pod<'_>) {
    let volumes: Vec<Volume<'_>> = pod.volumes.iter().collect();
    assert_eq!(volumes[0].source, Source::EmptyDir { medium: Medium::Disk, size_limit: None });
    assert_eq!(volumes[1].source, Source::EmptyDir { medium: Medium::Memory, size_limit: Some(3 << 19) });
    assert_eq!(volumes[2].source, Source::HostPath { path: "/var/tmp", kind: HostPathKind::DirectoryOrCreate });
    assert_eq!(volumes[3].source, Source::Claim { name: "store", read_only: true });
    let files = |n: usize| match volumes[n].source {
        Source::Files { secret, files } => (secret, files.iter().map(|f| (f.path, f.mode, f.data)).collect::<Vec<_>>()),
        _ => panic!("{:?}", volumes[n]),
    };
    let conf: &[u8] = b"a = 1\nb = \"$(NOT)\"\n";
    assert_eq!(
        files(4),
        (false, vec![("blob", 0o400, &[0, 1, 2, 255][..]), ("conf", 0o400, conf), ("mode", 0o400, b"fast")])
    );
    assert_eq!(files(5), (false, vec![("etc/app.conf", 0o600, conf)]));
    assert_eq!(files(6), (true, vec![("password", 0o644, &b"hunter2"[..]), ("user", 0o644, b"root")]));
    assert_eq!(files(7), (true, vec![]));
    let mounts: Vec<_> =
        pod.containers.get(2).unwrap().mounts.iter().map(|m| (m.volume, m.path, m.read_only)).collect();
    let expected = [
        (0, "/data", false),
        (1, "/fast", true),
        (2, "/host", false),
        (3, "/store", true),
        (4, "/conf", true),
        (5, "/some", true),
        (6, "/login", true),
    ];
    assert_eq!(mounts, expected);
}

#[test]
fn the_environment_is_resolved() {
    first(&read("full.yaml"), |pod| {
        let app = pod.containers.get(2).unwrap();
        let env: Vec<_> = app.env.iter().map(|v| (v.key, v.value, v.secret)).collect();
        let conf = "a = 1\nb = \"$(NOT)\"\n";
        let expected = [
            ("C_conf", conf, false),
            ("C_mode", "fast", false),
            ("password", "hunter2", true),
            ("user", "root", true),
            ("NAME", "full.pod", false),
            ("SPACE", "home", false),
            ("LABEL", "full", false),
            ("NOTE", "two\nlines", false),
            ("BOTH", "full.pod/root", true),
            ("LATER", "$(AFTER) costs 5$", false),
            ("AFTER", "", false),
        ];
        assert_eq!(env, expected);
    });
}

#[test]
fn a_later_variable_replaces_an_earlier_one() {
    container("env: [{name: A, value: '1'}, {name: B, value: $(A)}, {name: A, value: $(A)2}]", |c| {
        let env: Vec<_> = c.env.iter().map(|v| (v.key, v.value)).collect();
        assert_eq!(env, [("A", "12"), ("B", "1")]);
    });
}

#[test]
fn spec_26_host_names_are_cut() {
    let name = format!("{}-{}", "a".repeat(62), "b".repeat(20));
    let text = pod("", "").replace("name: web", &format!("name: {name}"));
    assert_eq!(first(&text, |pod| pod.hostname.to_owned()), "a".repeat(62));
    assert_eq!(first(&pod("hostname: other", ""), |pod| pod.hostname.to_owned()), "other");
}

#[test]
fn spec_93_limits_are_requests_where_there_are_none() {
    let resources = |text: &str| container(&format!("resources: {text}"), |c| c.resources);
    let all = |cpu_request_milli, cpu_limit_milli, memory_request, memory_limit| Resources {
        cpu_request_milli,
        cpu_limit_milli,
        memory_request,
        memory_limit,
        ..Resources::default()
    };
    assert_eq!(resources("{limits: {cpu: 0.5, memory: 64M}}"), all(500, Some(500), 64_000_000, Some(64_000_000)));
    assert_eq!(
        resources("{limits: {cpu: 2}, requests: {cpu: 1500m, memory: 1Gi}}"),
        all(1500, Some(2000), 1 << 30, None)
    );
    assert_eq!(resources("{limits: {cpu: 0, memory: '0'}}"), Resources::default());
    let storage = Resources { storage_request: 2 << 20, storage_limit: Some(2 << 20), ..Resources::default() };
    assert_eq!(resources("{limits: {ephemeral-storage: 2Mi}}"), storage);
    compile(&pod("resources: {limits: {ephemeral-storage: 1Mi}}", ""))
        .refused("ephemeral-storage is bounded by container");
    compile(&pod("", "resources: {limits: {ephemeral-storage: 1Mi}, requests: {ephemeral-storage: 2Mi}}"))
        .refused("the ephemeral-storage request is above the ephemeral-storage limit");
}

#[test]
fn spec_93_overhead_comes_on_top() {
    let text = pod(
        "overhead: {cpu: 250m, memory: 8Mi, ephemeral-storage: 1Gi}",
        "resources: {requests: {cpu: 1, memory: 64Mi}}",
    );
    let asked = first(&text, |pod| Amount::of(&pod));
    assert_eq!(asked, Amount { cpu_milli: 1250, memory: 72 << 20, storage: 1 << 30, pods: 1, ..Amount::default() });
}

#[test]
fn spec_19_a_pod_is_bounded_by_the_sum_of_its_containers() {
    let limits = |memory: &str| format!("resources: {{limits: {{memory: {memory}, cpu: 100m}}}}");
    let one = |name: &str, more: &str| format!("{{name: {name}, image: busybox, {more}}}");
    let spec = |init: &str, app: &str| pod(&format!("initContainers: [{init}]"), app);
    let of = |text: &str| {
        first(text, |pod| {
            (
                pod.resources.memory_limit.map(|m| m >> 20),
                pod.resources.memory_request >> 20,
                pod.resources.cpu_limit_milli,
            )
        })
    };
    assert_eq!(of(&pod("", &limits("8Mi"))), (Some(8), 8, Some(100)));
    // The largest init container counts where it needs more than everything after it.
    assert_eq!(of(&spec(&one("a", &limits("20Mi")), &limits("8Mi"))), (Some(20), 20, Some(100)));
    // A sidecar counts beside what comes after it.
    let sidecar = one("s", &format!("restartPolicy: Always, {}", limits("5Mi")));
    assert_eq!(
        of(&spec(&format!("{sidecar}, {}", one("b", &limits("6Mi"))), &limits("8Mi"))),
        (Some(13), 13, Some(200))
    );
    // One without a limit leaves the pod without.
    assert_eq!(of(&spec(&one("a", "restartPolicy: Always"), &limits("8Mi"))), (None, 8, None));
    // What the pod says itself wins.
    assert_eq!(of(&pod("resources: {limits: {memory: 50Mi}}", &limits("8Mi"))), (Some(50), 8, Some(100)));
    assert_eq!(of(&pod("resources: {limits: {memory: 50Mi}}", "")), (Some(50), 50, None));
}

#[test]
fn capabilities_are_folded_as_the_runtimes_do() {
    let of = |text: &str| container(&format!("securityContext: {{capabilities: {text}}}"), |c| c.security.capabilities);
    let all = (1 << Security::CAPABILITIES.len()) - 1;
    assert_eq!(of("{}"), Security::DEFAULT_CAPABILITIES);
    assert_eq!(of("{drop: [ALL]}"), 0);
    assert_eq!(of("{add: [ALL]}"), all);
    assert_eq!(of("{add: [ALL], drop: [NET_RAW]}"), all & !(1 << 13));
    assert_eq!(of("{drop: [all], add: [cap_net_admin]}"), 1 << 12);
    assert_eq!(of("{add: [CHOWN], drop: [CHOWN]}"), Security::DEFAULT_CAPABILITIES & !1);
}

#[test]
fn yaml_reads_as_in_kubernetes() {
    // YAML 1.1: octal modes, words for booleans; anchors and merge keys.
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: v}\n---\n".to_owned()
        + &pod("shareProcessNamespace: yes, volumes: [{name: v, configMap: {name: c, defaultMode: 0644}}]", "");
    first(&text, |pod| {
        assert!(pod.sharing.process_namespace);
        let Source::Files { files, .. } = pod.volumes.get(0).unwrap().source else { panic!() };
        assert_eq!(files.get(0).unwrap().mode, 0o644);
    });
    let body = compile(&read("full.yaml")).body();
    let small = check::manifest(&body).unwrap().pods.get(1).unwrap();
    let containers: Vec<_> = small.containers.iter().map(|c| (c.name, c.image, c.resources.memory_limit)).collect();
    assert_eq!(
        containers,
        [("a", "docker.io/library/busybox:latest", None), ("b", "docker.io/library/busybox:latest", Some(4 << 20))]
    );
}

#[test]
fn the_board_sets_the_node() {
    let mut board: BoardFile = board();
    board.node.backoff_base_seconds = Some(3);
    board.node.pod_pids_limit = Some(77);
    board.eviction.pressure_transition_seconds = Some(7);
    let body = compile_for(&pod("", ""), &board).body();
    let node = check::manifest(&body).unwrap().node;
    assert_eq!((node.backoff_base_ms, node.backoff_cap_ms, node.pod_pids_limit), (3000, 300_000, 77), "spec 43");
    assert_eq!(node.eviction, board.eviction.settings(), "spec 97");
    assert_eq!(node.eviction.transition_seconds, 7);
}

#[test]
fn a_manifest_of_the_largest_size_passes() {
    let word = "x".repeat(limits::STRING);
    let words: Vec<&str> = vec![&word; 7];
    let body = compile(&pod("", &format!("args: [{}]", words.join(", ")))).body();
    assert!(body.len() > 7 * limits::STRING && body.len() < limits::MANIFEST);
}

#[test]
fn spec_97_priority_classes_are_numbers() {
    let class = |more: &str| {
        format!(
            "---\napiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {{name: high}}\nvalue: 1000\n{more}"
        )
    };
    let priority = |spec: &str, more: &str| first(&(pod(spec, "") + &class(more)), |pod| pod.priority);
    assert_eq!(priority("priorityClassName: high", ""), 1000);
    assert_eq!((priority("", ""), priority("", "globalDefault: true\n")), (0, 1000));
    assert_eq!(priority("priorityClassName: system-node-critical", "globalDefault: true\n"), 2_000_001_000);
    let wrong = pod("priorityClassName: hihg", "") + &class("");
    compile(&wrong).refused("\"hihg\" is not a priority class of these files; did you mean \"high\"?");
    let two = pod("", "") + &class("") + &class("");
    compile(&two).refused("the PriorityClass high is declared already");
}

#[test]
fn what_a_pod_says_of_its_resolver() {
    first(
        &pod("dnsPolicy: None, dnsConfig: {nameservers: [192.0.2.1], options: [{name: ndots, value: '2'}]}", ""),
        |pod| {
            assert_eq!((pod.dns.policy, pod.dns.servers.get(0)), (DnsPolicy::None, Some("192.0.2.1")));
            assert_eq!(pod.dns.options.get(0), Some("ndots:2"));
        },
    );
    compile(&pod("dnsPolicy: None", "")).refused("None needs at least one of dnsConfig.nameservers");
    compile(&pod("dnsConfig: {nameservers: [example.org]}", "")).refused("is not an IP address");
    compile(&pod("dnsConfig: {searches: ['a b']}", "")).refused("is not one word of /etc/resolv.conf");
    compile(&pod("", "lifecycle: {stopSignal: USR1}")).refused("\"USR1\" is no signal: SIGTERM is one");
    first(&pod("", "lifecycle: {stopSignal: SIGUSR1}"), |pod| {
        assert_eq!(pod.containers.get(0).unwrap().stop_signal.unwrap().number, 10);
    });
}
