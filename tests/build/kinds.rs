//! Controllers' documents: what they mean on one board (spec 54–58, 65), and what is said of wrong ones.

use super::compile;
use podling::host::inspect::inspect;
use podling::host::schema::{self, Support, Table};
use podling::manifest::check;
use podling::manifest::codec::{self, Kind};
use podling::manifest::owner::{Controller, Owner, Start, Strategy, Update};
use podling::manifest::pod::{Pod, Source};

/// A controller's document; `spec` and `template` are more lines of either, in YAML's flow style.
pub fn controller(version: &str, kind: &str, spec: &str, template: &str) -> String {
    let comma = |more: &str| {
        if more.is_empty() { String::new() } else { format!(", {more}") }
    };
    format!(
        "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: web, namespace: shop, labels: {{own: 'yes'}}}}\n\
         spec:\n  selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web, tier: front}}, annotations: {{a: b}}}}\n    \
         spec: {{hostNetwork: true, containers: [{{name: app, image: busybox}}]{}}}\n{}",
        comma(template),
        spec.lines().map(|line| format!("  {line}\n")).collect::<String>()
    )
}

fn apps(kind: &str, spec: &str) -> String {
    controller("apps/v1", kind, spec, "")
}

/// Calls `look` with all pods of `text`.
#[track_caller]
pub fn pods<T>(text: &str, look: impl FnOnce(&[Pod<'_>]) -> T) -> T {
    let body = compile(text).body();
    let pods: Vec<_> = check::manifest(&body).unwrap().pods.iter().collect();
    look(&pods)
}

#[track_caller]
pub fn names(text: &str) -> Vec<String> {
    pods(text, |pods| pods.iter().map(|pod| pod.name.to_owned()).collect())
}

#[test]
fn spec_54_55_56_58_14_a_deployment_becomes_its_pods() {
    pods(&apps("Deployment", "replicas: 3"), |pods| {
        assert_eq!(pods.len(), 3, "more instances are more pods");
        let owner = pods[0].owner.unwrap();
        assert_eq!(
            owner.controller,
            Controller::ReplicaSet(Update { strategy: Strategy::Rolling { surge: 1, unavailable: 0 }, ..Update::NONE })
        );
        let hash = owner.name.strip_prefix("web-").unwrap();
        let mut names: Vec<&str> = pods.iter().map(|pod| pod.name).collect();
        for pod in pods {
            assert_eq!((pod.namespace, pod.owner), ("shop", Some(owner)));
            let suffix = pod.name.strip_prefix(&format!("web-{hash}-")).unwrap();
            assert_eq!(suffix.len(), 5);
            let labels: Vec<_> = pod.labels.iter().map(|pair| (pair.key, pair.value)).collect();
            assert_eq!(labels, [("app", "web"), ("tier", "front"), ("pod-template-hash", hash)]);
            assert_eq!(pod.annotations.get(0).unwrap().value, "b", "the template's, not the Deployment's");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 3);
    });
}

#[test]
fn spec_54_names_are_the_same_in_every_build_and_others_for_another_template() {
    let text = apps("Deployment", "replicas: 2");
    assert_eq!(names(&text), names(&text));
    // More of the same keeps the names; so do order and layout.
    let more = names(&apps("Deployment", "replicas: 3"));
    assert_eq!(names(&text), more[..2]);
    let laid_out = text.replace("{app: web, tier: front}", "{tier: 'front',\n      app: web}");
    assert_eq!(names(&text), names(&laid_out));
    let changed = names(&text.replace("busybox", "busybox:2"));
    assert!(changed.iter().all(|name| !names(&text).contains(name)), "spec 57: a new template, new pods");
}

#[test]
fn spec_54_no_replicas_are_a_manifest_without_pods() {
    for kind in ["Deployment", "ReplicaSet", "StatefulSet"] {
        let outcome = compile(&apps(kind, "replicas: 0"));
        assert_eq!((outcome.errors, outcome.warnings), (0, 1), "{}", outcome.said);
        assert!(outcome.said.contains("no document of these files asks for a pod now"), "{}", outcome.said);
        let body = outcome.body();
        assert_eq!(check::manifest(&body).unwrap().pods.len(), 0);
    }
    let beside = compile(&format!("{}---\n{}", apps("Deployment", "replicas: 0"), super::pod("", "")));
    assert_eq!((beside.errors, beside.warnings), (0, 0), "{}", beside.said);
    compile(&apps("Deployment", "replicas: -1")).refused("-1 is not possible here");
}

#[test]
fn spec_54_inspect_names_the_owner_of_a_pod() {
    for (kind, name) in [("StatefulSet", "web"), ("DaemonSet", "web"), ("Deployment", "web-")] {
        let body = compile(&apps(kind, "")).body();
        let head = codec::seal(Kind::Manifest, "test", 1, &body).unwrap();
        let shown = inspect(&[&head[..], &body].concat(), false).unwrap();
        let kind = if kind == "Deployment" { "ReplicaSet" } else { kind };
        let owner = format!(
            "  ownerReferences:\n  - apiVersion: apps/v1\n    controller: true\n    kind: {kind}\n    name: {name}"
        );
        assert!(shown.contains(&owner), "{shown}");
    }
}

/// A StatefulSet's update where nothing is said of it.
const IN_ORDER: Update = Update { strategy: Strategy::Ordered { partition: 0, unavailable: 1 }, ..Update::NONE };

#[test]
fn spec_64_a_strategy_is_numbers_of_pods() {
    let update = |kind: &str, more: &str| pods(&apps(kind, more), |pods| pods[0].owner.unwrap().controller.update());
    let of = |kind: &str, more: &str| update(kind, more).strategy;
    let rolling = |surge, unavailable| Strategy::Rolling { surge, unavailable };
    let deployment = |replicas, more: &str| {
        of("Deployment", &format!("replicas: {replicas}\nstrategy: {{rollingUpdate: {{{more}}}}}"))
    };
    assert_eq!(
        (deployment(1, ""), deployment(4, ""), deployment(5, "")),
        (rolling(1, 0), rolling(1, 1), rolling(2, 1))
    );
    assert_eq!((deployment(1, "maxSurge: 0"), deployment(1, "maxSurge: 0%")), (rolling(0, 1), rolling(0, 1)));
    assert_eq!(deployment(10, "maxSurge: 50%, maxUnavailable: 3"), rolling(5, 3));
    assert_eq!(of("Deployment", "strategy: {type: Recreate}"), Strategy::Recreate);
    assert_eq!((of("Deployment", "paused: true"), of("ReplicaSet", "")), (Strategy::OnDelete, Strategy::OnDelete));
    assert_eq!(update("Deployment", "minReadySeconds: 7").min_ready_seconds, 7);
    let surge = "updateStrategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}";
    assert_eq!((of("DaemonSet", ""), of("DaemonSet", surge)), (rolling(0, 1), rolling(1, 0)));
    assert_eq!(of("DaemonSet", "updateStrategy: {type: OnDelete}"), Strategy::OnDelete);
}

#[test]
fn spec_65_a_stateful_sets_strategy_counts_from_its_first_pod() {
    let of = |more: &str| pods(&apps("StatefulSet", more), |pods| pods[0].owner.unwrap().controller.update().strategy);
    let ordered = |partition, unavailable| Strategy::Ordered { partition, unavailable };
    assert_eq!(of(""), ordered(0, 1));
    assert_eq!(of("updateStrategy: {type: OnDelete}"), Strategy::OnDelete);
    let rolling =
        "ordinals: {start: 3}\nreplicas: 4\nupdateStrategy: {rollingUpdate: {partition: 5, maxUnavailable: 50%}}";
    assert_eq!(of(rolling), ordered(2, 2));
}

#[test]
fn spec_55_a_daemon_set_is_one_pod_here() {
    pods(&apps("DaemonSet", ""), |pods| {
        assert_eq!(pods.len(), 1);
        assert_eq!(pods[0].name.len(), "web-xxxxx".len());
        let owner = Owner {
            controller: Controller::DaemonSet(Update {
                strategy: Strategy::Rolling { surge: 0, unavailable: 1 },
                ..Update::NONE
            }),
            name: "web",
        };
        assert_eq!(pods[0].owner, Some(owner));
    });
}

#[test]
fn spec_65_56_a_stateful_set_keeps_names_and_claims() {
    let more = "replicas: 2\nserviceName: web-svc\nordinals: {start: 3}\nvolumeClaimTemplates:\n\
                - metadata: {name: data}\n  spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}";
    let text = apps("StatefulSet", more)
        .replace("image: busybox}", "image: busybox, volumeMounts: [{name: data, mountPath: /data}]}");
    pods(&text, |pods| {
        let all: Vec<_> = pods.iter().map(|pod| (pod.name, pod.hostname)).collect();
        assert_eq!(all, [("web-3", "web-3"), ("web-4", "web-4")]);
        for pod in pods {
            let volume = pod.volumes.get(0).unwrap();
            let claim = format!("data-{}", pod.name);
            assert_eq!(volume.source, Source::Claim { name: &claim, read_only: false });
            assert_eq!(pod.containers.get(0).unwrap().mounts.get(0).unwrap().volume, 0);
            let owner = Owner { controller: Controller::StatefulSet(Start::OrderedReady, IN_ORDER), name: "web" };
            assert_eq!(pod.owner, Some(owner));
            let index = pod.labels.iter().find(|pair| pair.key == "apps.kubernetes.io/pod-index").unwrap();
            assert!(pod.name.ends_with(index.value));
        }
    });
    pods(&apps("StatefulSet", "podManagementPolicy: Parallel"), |pods| {
        assert_eq!(pods[0].owner.unwrap().controller, Controller::StatefulSet(Start::Parallel, IN_ORDER));
    });
    let qualified = controller("apps/v1", "StatefulSet", "serviceName: svc", "setHostnameAsFQDN: true");
    pods(&qualified, |pods| assert_eq!(pods[0].hostname, "web-0.svc.shop.svc.cluster.local"));
}

#[test]
fn older_controllers_are_known_too() {
    assert_eq!(names(&apps("ReplicaSet", "replicas: 2")).len(), 2);
    let old = controller("v1", "ReplicationController", "", "").replace("{matchLabels: {app: web}}", "{app: web}");
    pods(&old, |pods| assert_eq!(pods[0].owner.unwrap().controller, Controller::ReplicationController));
}

#[test]
fn a_list_holds_controllers_and_pods() {
    let indented = |text: String| text.replace('\n', "\n  ");
    let text = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {}\n- {}\n",
        indented(super::pod("", "").trim_end().into()),
        indented(apps("Deployment", "replicas: 2").trim_end().into())
    );
    assert_eq!(names(&text).len(), 3);
}

#[test]
fn a_template_is_checked_like_a_pod_and_its_mistakes_are_said_once() {
    let wrong = apps("Deployment", "replicas: 3").replace("image: busybox", "image: busybox, comand: [x]");
    compile(&wrong).refused("unknown field \"comand\" in spec.template.spec.containers[0]");
}

#[test]
fn what_is_wrong_with_a_controller_is_said() {
    let cases = [
        (
            apps("Deployment", "").replace("{matchLabels: {app: web}}", "{matchLabels: {app: web2}}"),
            "spec.selector.matchLabels.app: does not select",
        ),
        (apps("Deployment", "").replace("{matchLabels: {app: web}}", "{}"), "spec.selector: selects nothing"),
        (
            apps("Deployment", "")
                .replace("matchLabels: {app: web}", "matchExpressions: [{key: app, operator: NotIn, values: [web]}]"),
            "spec.selector.matchExpressions[0]: does not select",
        ),
        (apps("Deployment", "replicas: 65"), "spec.replicas: 65 is not possible here: from 0 to 64"),
        (
            apps("Deployment", "strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}}"),
            "is for the type RollingUpdate only",
        ),
        (apps("Deployment", "strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}"), "cannot both be 0"),
        (apps("Deployment", "strategy: {rollingUpdate: {maxSurge: many}}"), "neither a number nor a percentage"),
        (
            controller("apps/v1", "Deployment", "", "restartPolicy: Never"),
            "spec.template.spec.restartPolicy: \"Never\" is not",
        ),
        (controller("v1", "Deployment", "", ""), "write apps/v1"),
        (
            apps("StatefulSet", "persistentVolumeClaimRetentionPolicy: {whenDeleted: Keep}"),
            "Retain or Delete is possible",
        ),
    ];
    for (text, part) in cases {
        compile(&text).refused(part);
    }
}

#[test]
fn replicas_that_want_the_same_port_of_the_board_are_refused() {
    let text =
        apps("Deployment", "replicas: 2").replace("image: busybox", "image: busybox, ports: [{containerPort: 80}]");
    compile(&text).refused("the port 80/TCP of the board is taken by the container web-");
}

#[test]
fn what_only_a_cluster_understands_is_accepted_with_a_warning() {
    for kind in ["Namespace", "ServiceAccount", "ClusterRoleBinding", "PodDisruptionBudget", "PodTemplate"] {
        let text = format!("apiVersion: whatever/v1\nkind: {kind}\nmetadata: {{name: x}}\n---\n{}", super::pod("", ""));
        let outcome = compile(&text);
        assert_eq!((outcome.errors, outcome.warnings), (0, 1), "{}", outcome.said);
        assert!(
            outcome.said.contains(&format!("warning: kind: {kind} means nothing on a single board")),
            "{}",
            outcome.said
        );
    }
}

#[test]
fn spec_12_another_system_is_refused() {
    compile(&super::pod("os: {name: windows}", ""))
        .refused("spec.os.name: \"windows\" is not what a board runs: linux is");
    assert_eq!(compile(&super::pod("os: {name: linux}", "")).errors, 0);
}

#[test]
fn spec_2_a_pod_is_taken_with_all_of_its_containers_or_not_at_all() {
    let wrong =
        super::pod("", "").replace("image: busybox}", "image: busybox}, {name: second, image: busybox, nope: 1}");
    let outcome = compile(&format!("{wrong}---\n{}", super::pod("", "").replace("name: web", "name: other")));
    assert!(outcome.compiled.is_none() && outcome.errors == 1, "{}", outcome.said);
}

#[test]
fn spec_57_a_change_of_a_template_is_another_pod() {
    let (before, after) = (apps("StatefulSet", ""), apps("StatefulSet", "").replace("busybox", "busybox:2"));
    let hash = |text: &str| {
        pods(text, |pods| {
            pods[0].labels.iter().find(|pair| pair.key == "controller-revision-hash").unwrap().value.to_owned()
        })
    };
    assert_ne!(hash(&before), hash(&after), "the name stays, and the label tells them apart");
    let deployments = [apps("Deployment", ""), apps("Deployment", "").replace("busybox", "busybox:2")];
    assert_ne!(names(&deployments[0]), names(&deployments[1]));
}

/// etcd as kubeadm writes it for the kubelet, but for its probe.
#[test]
fn spec_91_the_parts_of_a_control_plane_are_pods_like_others() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/kubeadm-etcd.yaml")).unwrap();
    let (before, rest) = text.split_once("    livenessProbe:\n").unwrap();
    let (_, after) = rest.split_once("    name: etcd\n").unwrap();
    let text = format!("{before}    name: etcd\n{after}").replace("RuntimeDefault", "Unconfined");
    pods(&text, |pods| {
        assert!(pods[0].critical && pods[0].sharing.host_network);
        assert_eq!(pods[0].volumes.len(), 2);
    });
}

/// For each type of the controllers' documents one that has an object of it: kind, version, spec; `@` is where one more of its fields
/// goes, `T` a template.
const PLACES: &[(&Table, &str, &str, &str)] = &[
    (&schema::DEPLOYMENT_SPEC, "Deployment", "apps/v1", "{T, @}"),
    (&schema::STRATEGY, "Deployment", "apps/v1", "{T, strategy: {@}}"),
    (&schema::ROLLING, "Deployment", "apps/v1", "{T, strategy: {rollingUpdate: {@}}}"),
    (&schema::SELECTOR, "Deployment", "apps/v1", "{T, selector: {@}}"),
    (&schema::REQUIREMENT, "Deployment", "apps/v1", "{T, selector: {matchExpressions: [{@}]}}"),
    (&schema::TEMPLATE, "Deployment", "apps/v1", "{template: {@}}"),
    (&schema::REPLICA_SET_SPEC, "ReplicaSet", "apps/v1", "{T, @}"),
    (&schema::REPLICATION_SPEC, "ReplicationController", "v1", "{T, @}"),
    (&schema::DAEMON_SET_SPEC, "DaemonSet", "apps/v1", "{T, @}"),
    (&schema::DAEMON_STRATEGY, "DaemonSet", "apps/v1", "{T, updateStrategy: {@}}"),
    (&schema::STATEFUL_SET_SPEC, "StatefulSet", "apps/v1", "{T, @}"),
    (&schema::STATEFUL_ROLLING, "StatefulSet", "apps/v1", "{T, updateStrategy: {rollingUpdate: {@}}}"),
    (&schema::STATEFUL_STRATEGY, "StatefulSet", "apps/v1", "{T, updateStrategy: {@}}"),
    (&schema::ORDINALS, "StatefulSet", "apps/v1", "{T, ordinals: {@}}"),
    (&schema::RETENTION, "StatefulSet", "apps/v1", "{T, persistentVolumeClaimRetentionPolicy: {@}}"),
    (&schema::CLAIM_TEMPLATE, "StatefulSet", "apps/v1", "{T, volumeClaimTemplates: [{@}]}"),
    (&schema::JOB_SPEC, "Job", "batch/v1", "{T, @}"),
    (&schema::FAILURE_POLICY, "Job", "batch/v1", "{T, podFailurePolicy: {@}}"),
    (&schema::FAILURE_RULE, "Job", "batch/v1", "{T, podFailurePolicy: {rules: [{@}]}}"),
    (&schema::FAILURE_CODES, "Job", "batch/v1", "{T, podFailurePolicy: {rules: [{action: Count, onExitCodes: {@}}]}}"),
    (
        &schema::FAILURE_CONDITION,
        "Job",
        "batch/v1",
        "{T, podFailurePolicy: {rules: [{action: Count, onPodConditions: [{@}]}]}}",
    ),
    (&schema::SUCCESS_POLICY, "Job", "batch/v1", "{T, successPolicy: {@}}"),
    (&schema::SUCCESS_RULE, "Job", "batch/v1", "{T, successPolicy: {rules: [{@}]}}"),
    (&schema::CRON_JOB_SPEC, "CronJob", "batch/v1", "{jobTemplate: {spec: {T}}, @}"),
    (&schema::JOB_TEMPLATE, "CronJob", "batch/v1", "{schedule: '@daily', jobTemplate: {@}}"),
];

#[test]
fn every_field_of_a_controller_is_honoured_warned_about_or_refused() {
    let mut missed = Vec::new();
    for (table, kind, version, place) in PLACES {
        for field in table.fields {
            // The template is in its place already; that of a CronJob is a Job's.
            if matches!(field.name, "template" | "jobTemplate") {
                continue;
            }
            let template = "template: {spec: {containers: [{name: a, image: a}]}}";
            let spec =
                place.replace("@}", &format!("{}: [[{{}}]]}}", field.name)).replacen("T}", &format!("{template}}}"), 1);
            let spec = spec.replacen("{T,", &format!("{{{template},"), 1);
            let said =
                compile(&format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: web}}\nspec: {spec}\n")).said;
            let words = match field.support {
                Support::Read | Support::Only(_) => "expected",
                Support::Cluster => "warning",
                Support::NotYet => "not supported on the board",
            };
            if !said.lines().any(|line| line.contains(field.name) && line.contains(words)) {
                missed.push(format!("{}.{} ({words}):\n{said}", table.name, field.name));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    let is_document = |table: &Table| table.field("kind").is_some() && table.name != "PersistentVolumeClaimTemplate";
    for table in schema::tables().filter(|table| schema::CONTROLLER_TYPES.iter().any(|it| it.name == table.name)) {
        assert!(is_document(table) || PLACES.iter().any(|(it, ..)| it.name == table.name), "{}", table.name);
    }
}
