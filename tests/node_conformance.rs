//! The cases of Kubernetes' own node conformance list that concern pods, told of a real agent. Needs root.
//!
//! | the list's cases | proven here, or in |
//! |---|---|
//! | a container that exits runs with the expected status | here |
//! | termination message: path, user, log on failure, empty on success, file before log | agent_words.rs |
//! | lifecycle hooks: postStart and preStop by exec and http | probes.rs, agent.rs, servers.rs |
//! | image defaults; command, args, and both overridden | here |
//! | variables composed, and put into command, args and a volume's subpath | here; volumes.rs |
//! | init containers: RestartNever, RestartAlways, failing under each | here |
//! | output in the log, reason of a failing command, its deletion, read-only root, hostAliases | here |
//! | the managed /etc/hosts | here; agent_gives.rs |
//! | restart count over five restarts; liveness by exec, http, tcp, grpc; slow exec; own grace period | here; probes.rs, servers.rs |
//! | readiness: initial delay, never ready, never restarts, false while the pod ends | here; servers.rs |
//! | startup probes | probes.rs |
//! | redirects of http probes | probes.rs |
//! | runAsUser 65534 and 0, runAsNonRoot, read-only root, privileged, allowPrivilegeEscalation | here; secure.rs, pod_confinement.rs |
//! | sysctls: set, allowed unsafe ones, refused ones | secure.rs, build/confine.rs |
//! | configMap and secret: variables, volumes with modes, mappings, many volumes, optional, non-root | here; agent.rs, volumes.rs |
//! | emptyDir and hostPath: modes, owners, shared | here; agent.rs, volumes.rs |
//! | downward API and projected volumes | volumes.rs |
//! | shared process namespace | here; pod_init.rs |
//! | graceful deletion, back-off, activeDeadlineSeconds, readiness gates | agent.rs, agent_life.rs |

mod node;

use node::{Board, FOREVER, Node, bytes, pod};
use podling::manifest::List;
use podling::manifest::codec::{self, Kind};
use podling::manifest::image::{Image, normalise, record_name};
use podling::manifest::status::{ConditionKind, ContainerState, Phase, Reason};
use std::fs;

const NEVER: &str = "restartPolicy: Never";
const IDLE: &str = "exec sleep 1000";

/// Puts an image beside busybox: the same files, with another configuration.
fn put_image(node: &Node, name: &str, entrypoint: &[&str], cmd: &[&str], uid: u32) {
    let record =
        |name: &str| node.data_dir().join("images").join(record_name(&normalise(name).unwrap()).unwrap().as_str());
    let file = fs::read(record("busybox")).unwrap();
    let (_, body) = codec::open(&file, Kind::Image).unwrap();
    let (entrypoint, cmd, reference) = (bytes(entrypoint), bytes(cmd), normalise(name).unwrap());
    let image: Image<'_> = postcard::from_bytes(body).unwrap();
    let (entrypoint, cmd) = (List::from_bytes(&entrypoint), List::from_bytes(&cmd));
    let image = Image { reference: &reference, entrypoint, cmd, uid, ..image };
    let body = postcard::to_stdvec(&image).unwrap();
    let head = codec::seal(Kind::Image, "", 0, &body).unwrap();
    fs::write(record(name), [&head[..], &body].concat()).unwrap();
}

impl Board {
    /// What a container of a pod that runs once has written when it has ended well.
    async fn output(&self, name: &str) -> String {
        self.phase(name, Phase::Succeeded).await;
        self.wrote(name, "main", "").await
    }

    /// Whether a pod's containers are ready, as the condition has it.
    fn is_ready(&self, name: &str) -> bool {
        self.0.find("default", name).expect("the pod").machine().containers()[0].ready()
    }

    async fn until_ready(&self, name: &str, wanted: bool) {
        self.until(&format!("{name} is ready: {wanted}"), |_| (self.is_ready(name) == wanted).then_some(())).await;
    }

    /// Waits until a probe or hook of a pod has said this so often.
    async fn said(&self, name: &str, reason: &str, words: &str, times: u32) {
        self.until(&format!("{name}: {reason} {words}, {times} times"), |agent| {
            let events = agent.events();
            let of =
                events.iter().filter(|it| *it.object == *name && it.reason == reason && it.message.contains(words));
            (of.map(|event| event.count).sum::<u32>() >= times).then_some(())
        })
        .await;
    }

    async fn does(&self, name: &str, script: &str) -> String {
        let (code, said) = self.shell(name, "main", script).await;
        assert_eq!(code, 0, "{script}: {said}");
        said
    }
}

#[test]
fn spec_43_container_runtime_a_container_that_exits_runs_with_the_expected_status() {
    let script = "[ -e /kept/been ] && exit 0; touch /kept/been; exit 1";
    let kept = |policy: &str| format!("restartPolicy: {policy}\nvolumes: [{{name: kept, emptyDir: {{}}}}]");
    let of = |policy: &str| {
        pod(&policy.to_lowercase(), script, &kept(policy), "volumeMounts: [{name: kept, mountPath: /kept}]")
    };
    Node::new().run(&(of("Always") + &of("OnFailure") + &of("Never")), async |board| {
        board.phase("onfailure", Phase::Succeeded).await;
        assert_eq!((board.restarts("onfailure", "main"), board.ended("onfailure", "main").await.exit.code), (1, 0));
        board.phase("never", Phase::Failed).await;
        assert_eq!((board.restarts("never", "main"), board.ended("never", "main").await.exit.code), (0, 1));
        board.until("two restarts", |_| (board.restarts("always", "main") >= 2).then_some(())).await;
        board.phase("always", Phase::Running).await;
        assert!(!board.is_ready("never") && !board.is_ready("onfailure"));
    });
}

#[test]
fn containers_use_image_defaults_and_override_command_arguments_and_both() {
    let node = Node::new();
    put_image(&node, "agnhost", &["/bin/echo", "entry"], &["cmd", "of image"], 0);
    let of = |name: &str, more: &str| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  \
             containers: [{{name: main, image: agnhost{more}}}]\n"
        )
    };
    let yaml = of("blank", "")
        + &of("empty", ", command: [], args: []")
        + &of("args", ", args: [override, 'the args']")
        + &of("command", ", command: [/bin/echo, another]")
        + &of("both", ", command: [/bin/echo, another], args: [with, args]");
    node.run(&yaml, async |board| {
        for (name, wanted) in [
            ("blank", "entry cmd of image\n"),
            ("empty", "entry cmd of image\n"),
            ("args", "entry override the args\n"),
            // The image's arguments are those of its own entry point only.
            ("command", "another\n"),
            ("both", "another with args\n"),
        ] {
            assert_eq!(board.output(name).await, wanted, "{name}");
        }
    });
}

#[test]
fn variable_expansion_composes_variables_and_substitutes_in_command_and_args() {
    let inside = "env:
- {name: FOO, value: foo-value}
- {name: BAR, value: bar-value}
- {name: FOOBAR, value: '$(FOO);;$(BAR)'}
- {name: LATER, value: '$(NOT_YET)'}
- {name: NOT_YET, value: x}
- {name: LITERAL, value: '$$(FOO) $(FOO'}
args: [$(FOOBAR), $(LATER), $$(FOO), $(NOBODY), '`hostname`']";
    let yaml = pod("env", "printf '%s|' \"$FOOBAR\" \"$LATER\" \"$LITERAL\" \"$0\" \"$@\"", NEVER, inside);
    Node::new().run(&yaml, async |board| {
        let wanted =
            "foo-value;;bar-value|$(NOT_YET)|$(FOO) $(FOO|foo-value;;bar-value|$(NOT_YET)|$(FOO)|$(NOBODY)|`hostname`|";
        assert_eq!(board.output("env").await, wanted);
    });
}

/// A pod of two init containers and an app, each of which leaves a line in the pod's volume.
fn inits(name: &str, policy: &str, first: &str, second: &str) -> String {
    let init = |name: &str, script: &str| {
        format!(
            "- {{name: {name}, image: busybox, command: [sh, -c, '{script}'], volumeMounts: [{{name: v, mountPath: /v}}]}}\n"
        )
    };
    let more = format!(
        "restartPolicy: {policy}\nvolumes: [{{name: v, emptyDir: {{}}}}]\ninitContainers:\n{}{}",
        init("init1", first),
        init("init2", second)
    );
    let script = match policy {
        "Never" => "cat /v/log",
        _ => "cat /v/log; exec sleep 1000",
    };
    pod(name, script, &more, "volumeMounts: [{name: v, mountPath: /v}]")
}

#[test]
fn spec_36_init_containers_are_invoked_on_pods_of_never_and_always() {
    let (first, second) = ("echo one >> /v/log", "echo two >> /v/log");
    let yaml = inits("never", "Never", first, second) + &inits("always", "Always", first, second);
    Node::new().run(&yaml, async |board| {
        assert_eq!(board.output("never").await, "one\ntwo\n");
        board.running("always", "main").await;
        assert_eq!(board.wrote("always", "main", "two").await, "one\ntwo\n");
        for (name, init) in [("never", "init1"), ("never", "init2"), ("always", "init1"), ("always", "init2")] {
            let how = board.ended(name, init).await;
            assert_eq!((how.reason, how.exit.code, board.restarts(name, init)), (Reason::Completed, 0, 0));
        }
    });
}

#[test]
fn spec_36_43_51_init_containers_that_fail_keep_the_app_from_starting() {
    let yaml = inits("always", "Always", "false", "true") + &inits("never", "Never", "true", "exit 7");
    Node::new().run(&yaml, async |board| {
        board.phase("never", Phase::Failed).await;
        assert_eq!(board.ended("never", "init1").await.exit.code, 0);
        assert_eq!(board.ended("never", "init2").await.exit.code, 7);
        assert!(matches!(board.state("never", "main"), ContainerState::Waiting(Reason::PodInitializing)));
        // It is tried again and again, and whoever comes after it waits.
        board.until("three restarts", |_| (board.restarts("always", "init1") >= 3).then_some(())).await;
        board.phase("always", Phase::Pending).await;
        for later in ["init2", "main"] {
            assert!(
                matches!(board.state("always", later), ContainerState::Waiting(Reason::PodInitializing)),
                "{later}"
            );
            assert_eq!(board.restarts("always", later), 0);
        }
    });
}

#[test]
fn spec_41_44_kubelet_prints_output_to_logs_and_gives_a_failing_command_its_reason() {
    let yaml = pod("logs", "echo 'Hello World'; echo to err >&2", NEVER, "")
        + &pod("fails", "", "", "").replace("[\"/bin/sh\", \"-c\", \"\"]", "[/bin/false]")
        + &pod("fixed", "echo test > /file; sleep 1000", "", "securityContext: {readOnlyRootFilesystem: true}")
        + &pod(
            "aliases",
            "cat /etc/hosts",
            "restartPolicy: Never\nhostAliases: [{ip: 123.45.67.89, hostnames: [foo, bar]}]",
            "",
        );
    Node::new().run(&yaml, async |board| {
        let said = board.output("logs").await;
        assert!(said.contains("Hello World\n") && said.contains("to err\n"), "{said}");
        let how = board.ended("fails", "main").await;
        assert_eq!((how.reason, how.exit.code), (Reason::Error, 1));
        let uid = board.uid("fails");
        board.0.delete("default", "fails", None, false).unwrap();
        board.gone(&uid).await;
        board.running("fixed", "main").await;
        board.wrote("fixed", "main", "Read-only file system").await;
        let hosts = board.output("aliases").await;
        assert!(hosts.lines().any(|line| line == "123.45.67.89\tfoo bar"), "{hosts}");
    });
}

#[test]
fn kubelet_managed_etc_hosts_is_the_pods_but_where_the_node_or_the_container_has_its_own() {
    let mount = "volumes: [{name: own, hostPath: {path: /etc/hosts, type: File}}]";
    let yaml = pod("managed", IDLE, "", "")
        + &pod("host", IDLE, "hostNetwork: true", "")
        + &pod("own", IDLE, mount, "volumeMounts: [{name: own, mountPath: /etc/hosts}]");
    Node::new().run(&yaml, async |board| {
        for name in ["managed", "host", "own"] {
            board.running(name, "main").await;
        }
        let node = fs::read_to_string("/etc/hosts").unwrap();
        let managed = board.does("managed", "cat /etc/hosts").await;
        assert!(
            managed.starts_with("# Managed by podling.\n") && managed.contains("127.0.0.1\tmanaged\n"),
            "{managed}"
        );
        let host = board.does("host", "cat /etc/hosts").await;
        assert_eq!(host, format!("# Managed by podling.\n{node}"));
        assert_eq!(board.does("own", "cat /etc/hosts").await, node, "what a container mounts there is left alone");
    });
}

#[test]
fn spec_42_probing_has_a_monotonically_increasing_restart_count() {
    let probe =
        "livenessProbe: {exec: {command: ['false']}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 60}";
    Node::new().run(&pod("sick", IDLE, "terminationGracePeriodSeconds: 0", probe), async |board| {
        let mut seen = 0;
        board
            .until("five restarts", |_| {
                let restarts = board.restarts("sick", "main");
                assert!((seen..=seen + 1).contains(&restarts), "{restarts} after {seen}");
                seen = restarts;
                (restarts >= 5).then_some(())
            })
            .await;
    });
}

#[test]
fn spec_42_probing_restarts_for_a_liveness_that_fails_and_for_no_other() {
    let exec = |script: &str| {
        format!(
            "livenessProbe: {{exec: {{command: [sh, -c, '{script}']}}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 60}}"
        )
    };
    let httpd = "mkdir /www; echo ok > /www/healthz; exec /bin/busybox httpd -f -p 8080 -h /www";
    let up = "startupProbe: {tcpSocket: {port: 8080}, periodSeconds: 1, failureThreshold: 100, timeoutSeconds: 60}";
    let http = format!(
        "{up}\nlivenessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 60}}"
    );
    // Three successes in a row are seen by the readiness beside it.
    let tcp = format!("{up}\nlivenessProbe: &tcp {{tcpSocket: {{port: 8080}}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 60}}\n\
                       readinessProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1, successThreshold: 3, timeoutSeconds: 60}}").replace("&tcp ", "");
    let deaf = "trap '' TERM; while true; do sleep 1; done";
    let own = "livenessProbe: {exec: {command: ['false']}, terminationGracePeriodSeconds: 1, periodSeconds: 1, failureThreshold: 1}";
    let yaml = pod("cat", IDLE, "terminationGracePeriodSeconds: 0", &exec("cat /tmp/health"))
        + &pod("well", IDLE, "", &exec("echo x >> /tmp/looks"))
        + &pod("http", httpd, "terminationGracePeriodSeconds: 0", &http)
        + &pod("tcp", httpd, "", &tcp)
        + &pod("own", deaf, FOREVER, own);
    Node::new().run(&yaml, async |board| {
        for name in ["cat", "own"] {
            board.until(name, |_| (board.restarts(name, "main") >= 1).then_some(())).await;
        }
        board.running("http", "main").await;
        board.until_ready("http", true).await;
        board.does("http", "rm /www/healthz").await;
        board.until("http", |_| (board.restarts("http", "main") >= 1).then_some(())).await;
        board.until_ready("tcp", true).await;
        board.running("well", "main").await;
        board.does("well", "until [ $(wc -l < /tmp/looks) -ge 3 ]; do sleep 0.05; done").await;
        assert_eq!((board.restarts("tcp", "main"), board.restarts("well", "main")), (0, 0));
    });
}

#[test]
fn spec_72_probing_readiness_waits_for_its_delay_never_restarts_and_is_false_while_the_pod_ends() {
    let node = Node::new();
    let gate = node.root.join("gate");
    fs::create_dir(&gate).unwrap();
    let volume = format!("{FOREVER}\nvolumes: [{{name: gate, hostPath: {{path: {}}}}}]", gate.display());
    let ends =
        "readinessProbe: {exec: {command: [cat, /up]}, periodSeconds: 1, timeoutSeconds: 60, failureThreshold: 1}
lifecycle: {preStop: {exec: {command: [sh, -c, 'until [ -e /gate/open ]; do sleep 0.02; done']}}}
volumeMounts: [{name: gate, mountPath: /gate}]";
    let script = "trap 'exit 0' TERM; touch /up /ready; while true; do sleep 0.02; done";
    let probe = |command: &str, more: &str| {
        format!("readinessProbe: {{exec: {{command: ['{command}']}}, periodSeconds: 1, timeoutSeconds: 60{more}}}")
    };
    let yaml = pod("delayed", IDLE, "", &probe("true", ", initialDelaySeconds: 2"))
        + &pod("never", IDLE, "", &probe("false", ", failureThreshold: 1"))
        + &pod("ends", script, &volume, ends);
    node.run(&yaml, async move |board| {
        board.until_ready("delayed", true).await;
        let ContainerState::Running(since) = board.state("delayed", "main") else { panic!("it runs") };
        assert!(board.0.now().since(since).0 >= 2000, "not before its initial delay");
        board.said("never", "Unhealthy", "Readiness probe failed", 4).await;
        assert!(!board.is_ready("never"));
        assert_eq!((board.restarts("never", "main"), board.restarts("delayed", "main")), (0, 0));
        board.ready("ends").await;
        board.until_ready("ends", true).await;
        let uid = board.uid("ends");
        board.0.delete("default", "ends", None, false).unwrap();
        let ready = |kind| {
            let entry = board.0.find("default", "ends").unwrap();
            entry.machine().conditions().iter().any(|it| it.kind == kind && it.status)
        };
        assert!(!ready(ConditionKind::Ready), "at the same moment it stops counting as ready");
        assert!(ready(ConditionKind::ContainersReady), "it may still serve what reaches it");
        // Readiness is asked for to the end, and alone.
        board.does("ends", "rm /up").await;
        board.until_ready("ends", false).await;
        assert!(matches!(board.state("ends", "main"), ContainerState::Running(_)), "its hook is under way");
        fs::write(gate.join("open"), "").unwrap();
        board.gone(&uid).await;
    });
}

#[test]
fn security_context_runs_as_the_user_that_is_asked_for_and_as_no_root_where_none_may_be() {
    let node = Node::new();
    put_image(&node, "nonroot", &[], &[], 1234);
    let of = |name: &str, more: &str| pod(name, "id -u", NEVER, &format!("securityContext: {more}"));
    let image = |yaml: String| yaml.replace("image: busybox", "image: nonroot");
    let yaml = of("nobody", "{runAsUser: 65534}")
        + &of("root", "{runAsUser: 0}")
        + &of("explicit", "{runAsNonRoot: true, runAsUser: 1000}")
        + &image(of("by-image", "{runAsNonRoot: true}"))
        + &of("unset", "{runAsNonRoot: true}")
        + &image(of("made-root", "{runAsNonRoot: false, runAsUser: 0}"));
    node.run(&yaml, async |board| {
        for (name, uid) in [
            ("nobody", "65534\n"),
            ("root", "0\n"),
            ("explicit", "1000\n"),
            ("by-image", "1234\n"),
            ("made-root", "0\n"),
        ] {
            assert_eq!(board.output(name).await, uid, "{name}");
        }
        let refused = ContainerState::Waiting(Reason::CreateContainerConfigError);
        board.until("unset is refused", |_| (board.state("unset", "main") == refused).then_some(())).await;
        board.phase("unset", Phase::Pending).await;
    });
}

#[test]
fn security_context_read_only_root_privileged_false_and_escalation() {
    let status = "grep ^NoNewPrivs /proc/self/status";
    let dummy = "/bin/busybox ip link add dummy0 type dummy 2>&1; /bin/busybox ip link show dummy0 2>&1";
    let of = |name: &str, script: &str, more: &str| pod(name, script, NEVER, &format!("securityContext: {more}"));
    let yaml = of("writable", "touch /file && echo written", "{readOnlyRootFilesystem: false}")
        + &of("fixed", "touch /file 2>&1; echo", "{readOnlyRootFilesystem: true}")
        + &of("plain", &format!("{dummy}; echo"), "{privileged: false}")
        + &of("unset", status, "{runAsUser: 1000}")
        + &of("forbidden", status, "{runAsUser: 1000, allowPrivilegeEscalation: false}")
        + &of("allowed", status, "{runAsUser: 1000, allowPrivilegeEscalation: true}");
    Node::new().run(&yaml, async |board| {
        assert_eq!(board.output("writable").await, "written\n");
        assert!(board.output("fixed").await.contains("Read-only file system"));
        let said = board.output("plain").await;
        assert!(said.contains("Operation not permitted") && said.contains("can't find device"), "{said}");
        for (name, held) in [("unset", 0), ("forbidden", 1), ("allowed", 0)] {
            assert_eq!(board.output(name).await, format!("NoNewPrivs:\t{held}\n"), "{name}");
        }
    });
}

const MAPS: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {data_1: value-1, data_2: value-2}
binaryData: {dump: 3q2+7w==}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
data: {data_1: dmFsdWUtMQ==}
---
apiVersion: v1
kind: Pod
metadata: {name: maps}
spec:
  restartPolicy: Never
  securityContext: {runAsUser: 1000, fsGroup: 1001}
  volumes:
  - {name: whole, configMap: {name: conf, defaultMode: 0400}}
  - {name: mapped, configMap: {name: conf, items: [{key: data_2, path: path/to/data_2, mode: 0444}]}}
  - {name: key, secret: {secretName: key, defaultMode: 0440}}
  - {name: again, secret: {secretName: key, items: [{key: data_1, path: new-path}]}}
  - {name: lost, configMap: {name: nowhere, optional: true}}
  - {name: gone, secret: {secretName: nowhere, optional: true}}
  containers:
  - name: main
    image: busybox
    env:
    - {name: ONE, valueFrom: {configMapKeyRef: {name: conf, key: data_1}}}
    - {name: NONE, valueFrom: {secretKeyRef: {name: key, key: data_9, optional: true}}}
    envFrom: [{configMapRef: {name: conf}, prefix: p_}, {secretRef: {name: key}, prefix: s_}, {secretRef: {name: nowhere, optional: true}}]
    command: [sh, -c]
    args:
    - |
      env | grep -E '^(ONE|NONE|p_data_1|p_data_2|s_data_1)=' | /bin/busybox sort
      cat /whole/data_1 /mapped/path/to/data_2 /key/data_1 /again/new-path; echo
      stat -L -c '%a %g' /whole/data_1 /mapped/path/to/data_2 /key/data_1
      /bin/busybox od -An -tx1 /whole/dump
      ls /mapped /lost /gone
    volumeMounts:
    - {name: whole, mountPath: /whole}
    - {name: mapped, mountPath: /mapped}
    - {name: key, mountPath: /key, readOnly: true}
    - {name: again, mountPath: /again}
    - {name: lost, mountPath: /lost}
    - {name: gone, mountPath: /gone}
";

#[test]
fn spec_31_config_maps_and_secrets_are_consumable_in_variables_and_in_volumes_as_non_root() {
    Node::new().run(MAPS, async |board| {
        let wanted = "ONE=value-1\np_data_1=value-1\np_data_2=value-2\ns_data_1=value-1\n\
                      value-1value-2value-1value-1\n440 1001\n444 1001\n440 1001\n de ad be ef\n/gone:\n\n/lost:\n\n/mapped:\npath\n";
        assert_eq!(board.output("maps").await, wanted);
    });
}

#[test]
fn spec_33_empty_dirs_are_open_to_every_user_and_shared_by_their_containers() {
    let volumes =
        "restartPolicy: Never\nvolumes: [{name: disk, emptyDir: {}}, {name: memory, emptyDir: {medium: Memory}}]";
    let mounts = "volumeMounts: [{name: disk, mountPath: /disk}, {name: memory, mountPath: /memory}]";
    let script = "for d in disk memory; do stat -c %a /$d; for m in 644 666 777; do echo $m > /$d/$m; /bin/busybox chmod $m /$d/$m; done; stat -c '%a %u' /$d/*; done; \
                  grep -c ' /memory tmpfs ' /proc/mounts";
    let other = format!(
        "  - name: other\n    image: busybox\n    command: [sh, -c, 'until [ -s /memory/777 ]; do sleep 0.02; done; cat /disk/777 /memory/666']\n    {mounts}\n"
    );
    let yaml = pod("user", script, volumes, &format!("{mounts}\nsecurityContext: {{runAsUser: 1001}}")) + &other;
    Node::new().run(&yaml, async |board| {
        let each = "777\n644 1001\n666 1001\n777 1001\n";
        assert_eq!(board.output("user").await, format!("{each}{each}1\n"));
        assert_eq!(board.wrote("user", "other", "").await, "777\n666\n");
    });
}

#[test]
fn spec_27_containers_of_a_shared_process_namespace_see_each_other() {
    let other = |name: &str| format!("  - name: {name}\n    image: busybox\n    command: [/bin/sleep, '2000']\n");
    let yaml = pod("shared", IDLE, "shareProcessNamespace: true", "")
        + &other("other")
        + &pod("apart", IDLE, "", "")
        + &other("other");
    Node::new().run(&yaml, async |board| {
        for (name, sees) in [("shared", true), ("apart", false)] {
            board.running(name, "main").await;
            board.running(name, "other").await;
            let processes = board.does(name, "/bin/busybox ps -o pid,args").await;
            assert_eq!(processes.contains("/bin/sleep 2000"), sees, "{name}: {processes}");
        }
        let first = board.does("shared", "/bin/busybox ps -o pid,comm | /bin/busybox awk '$1 == 1'").await;
        assert!(!first.contains("sleep"), "process 1 is the pod's: {first}");
    });
}
