//! What volumes and mounts mean, and which are refused with what reason.

use super::{compile, compile_for, pod};
use podling::host::boards::BoardFile;
use podling::manifest::fact::{Fact, FileKey};
use podling::manifest::huge::PageSize;
use podling::manifest::pod::{
    Disk, FsGroup, FsGroupChange, GroupsPolicy, HostPathKind, Medium, Mount, Pod, Propagation, Qos, Source,
};
use podling::manifest::{List, check};

/// Calls `look` with the first pod of `text`.
#[track_caller]
pub fn first<T>(text: &str, look: impl FnOnce(Pod<'_>) -> T) -> T {
    let body = compile(text).body();
    look(check::manifest(&body).unwrap().pods.get(0).unwrap())
}

/// A pod with an emptyDir `v` and these mounts.
fn mounted(mounts: &str) -> String {
    let container = format!(
        "env: [{{name: A, value: x}}, {{name: UP, value: a/../b}}], volumeMounts: [{{name: v, mountPath: /v, {mounts}}}]"
    );
    pod("volumes: [{name: v, emptyDir: {}}]", &container)
}

#[track_caller]
fn mount(mounts: &str, look: impl FnOnce(Mount<'_>)) {
    first(&mounted(mounts), |pod| look(pod.containers.get(0).unwrap().mounts.get(0).unwrap()));
}

#[test]
fn spec_31_sub_paths_are_checked_and_expanded() {
    for (given, meant) in [
        ("subPath: a/./b//c/", "a/b/c"),
        ("subPath: .", ""),
        ("subPath: ''", ""),
        ("subPathExpr: $(A)/y", "x/y"),
        ("subPathExpr: $$(A)", "$(A)"),
        ("subPath: $(A)", "$(A)"),
        ("subPath: ..a", "..a"),
    ] {
        mount(given, |mount| assert_eq!(mount.sub_path, meant, "{given}"));
    }
    for (given, says) in [
        ("subPath: /a", "\"/a\" is not a path below the volume"),
        ("subPath: a/../b", "must not contain .."),
        ("subPathExpr: $(UP)", "must not contain .."),
        ("subPathExpr: $(B)", "this container has no variable \"B\""),
        ("subPath: a, subPathExpr: b", "subPath or subPathExpr, not both"),
    ] {
        compile(&mounted(given)).refused(says);
    }
}

#[test]
fn spec_31_mount_options_fit_each_other() {
    mount("readOnly: true, recursiveReadOnly: IfPossible", |mount| {
        assert!(mount.read_only && mount.recursive_read_only);
    });
    mount("readOnly: true, recursiveReadOnly: Disabled", |mount| assert!(!mount.recursive_read_only));
    mount("mountPropagation: HostToContainer", |mount| assert_eq!(mount.propagation, Propagation::HostToContainer));
    for (given, says) in [
        ("recursiveReadOnly: Enabled", "recursiveReadOnly: needs readOnly: true"),
        ("readOnly: true, recursiveReadOnly: Enabled, mountPropagation: HostToContainer", "cannot be had together"),
        ("mountPropagation: Bidirectional", "Bidirectional is possible only in a privileged container"),
        ("mountPropagation: Both", "\"Both\" is not a value for this"),
    ] {
        compile(&mounted(given)).refused(says);
    }
    let board = BoardFile { allow_privileged: true, ..super::board() };
    let privileged = mounted("mountPropagation: Bidirectional")
        .replace("volumeMounts", "securityContext: {privileged: true}, volumeMounts");
    assert!(!compile_for(&privileged, &board).said.contains("Bidirectional is possible"));
}

#[test]
fn spec_31_projected_sources_are_checked() {
    let source = |source: &str| pod(&format!("volumes: [{{name: v, projected: {{sources: [{source}]}}}}]"), "");
    for (given, says) in [
        (
            "{serviceAccountToken: {path: token}}",
            "serviceAccountToken: there is no API server on a board that would take a token",
        ),
        ("{clusterTrustBundle: {path: x}}", "there is no API server on a board"),
        ("{}", "needs one of configMap, secret and downwardAPI"),
        ("{configMap: {name: none}}", "there is no ConfigMap \"default/none\""),
        ("{downwardAPI: {items: [{path: a}]}}", "needs fieldRef or resourceFieldRef"),
        (
            "{downwardAPI: {items: [{path: ../a, fieldRef: {fieldPath: metadata.name}}]}}",
            "is not a path below the volume",
        ),
        ("{downwardAPI: {items: [{path: a, fieldRef: {fieldPath: metadata.nam}}]}}", "did you mean \"metadata.name\"?"),
        ("{downwardAPI: {items: [{path: a, resourceFieldRef: {resource: limits.cpu}}]}}", "containerName: is required"),
        (
            "{downwardAPI: {items: [{path: a, resourceFieldRef: {containerName: ap, resource: limits.cpu}}]}}",
            "the pod has no container \"ap\"; did you mean \"app\"?",
        ),
        (
            "{downwardAPI: {items: [{path: a, resourceFieldRef: {containerName: app, resource: limits.cpu, divisor: 1Mi}}]}}",
            "is not a divisor for limits.cpu",
        ),
        (
            "{downwardAPI: {items: [{path: a, fieldRef: {fieldPath: metadata.uid}}, {path: a, fieldRef: {fieldPath: metadata.name}}]}}",
            "the path \"a\" is taken by another file",
        ),
    ] {
        compile(&source(given)).refused(says);
    }
    let env = |source: &str| pod("", &format!("env: [{{name: A, valueFrom: {{{source}}}}}]"));
    compile(&env("fieldRef: {fieldPath: metadata.labels}")).refused("a variable can take one of them");
    compile(&env("resourceFieldRef: {resource: limits.gpu}")).refused("is not a resource that can be told");
    compile(&env("resourceFieldRef: {resource: limits.hugepages-3Mi}"))
        .refused("did you mean \"limits.hugepages-2Mi\"?");
}

/// What the board has to say is shown as it was asked for, and compiles to the same.
#[test]
fn spec_31_the_downward_api_is_shown_as_it_was_written() {
    let text = pod(
        "volumes: [{name: v, projected: {sources: [{downwardAPI: {items: [{path: l, fieldRef: {fieldPath: metadata.labels}}, \
         {path: m, resourceFieldRef: {containerName: app, resource: limits.memory, divisor: 1M}}]}}]}}]",
        "args: [$(UID)], env: [{name: UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}, {name: B, value: x-$(UID)-$$(UID)}, \
         {name: C, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}], volumeMounts: [{name: v, mountPath: /v, subPathExpr: a/$(UID)}]",
    );
    let body = compile(&text).body();
    let head = podling::manifest::codec::seal(podling::manifest::codec::Kind::Manifest, "qemu-virt-aarch64", 1, &body);
    let shown = podling::host::inspect::inspect(&[&head.unwrap()[..], &body].concat(), true).unwrap();
    for part in [
        "fieldPath: metadata.uid",
        "x-$(UID)-$$(UID)",
        "subPathExpr: a/$(UID)",
        "divisor: 1M",
        "fieldPath: metadata.labels",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(compile(&shown).body() == body, "{shown}");
}

#[test]
fn spec_31_fs_groups_are_read() {
    let of = |text: &str| first(&pod(&format!("securityContext: {text}"), ""), |pod| (pod.fs_group, pod.groups_policy));
    assert_eq!(of("{}"), (None, GroupsPolicy::Merge));
    assert_eq!(of("{fsGroup: 5}"), (Some(FsGroup { id: 5, change: FsGroupChange::Always }), GroupsPolicy::Merge));
    assert_eq!(
        of("{fsGroup: 0, fsGroupChangePolicy: OnRootMismatch, supplementalGroupsPolicy: Strict}"),
        (Some(FsGroup { id: 0, change: FsGroupChange::OnRootMismatch }), GroupsPolicy::Strict)
    );
    compile(&pod("securityContext: {fsGroup: -1}", "")).refused("-1 is not possible here");
    compile(&pod("securityContext: {fsGroupChangePolicy: Never}", "")).refused("\"Never\" is not a value for this");
}

#[test]
fn spec_31_kinds_that_a_board_has_in_its_own_way() {
    let volume = |source: &str| pod(&format!("volumes: [{{name: v, {source}}}]"), "");
    let source =
        |text: &str, look: &dyn Fn(Source<'_>)| first(&volume(text), |pod| look(pod.volumes.get(0).unwrap().source));
    source("image: {reference: nginx}", &|it| assert_eq!(it.image(), Some("docker.io/library/nginx:latest")));
    let template = "{spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}";
    let plain = Source::EmptyDir { medium: Medium::Disk, size_limit: None };
    source(&format!("ephemeral: {{volumeClaimTemplate: {template}}}"), &|it| assert_eq!(it, plain));
    compile(&volume("image: {}")).refused("image.reference: is required");
    compile(&volume("image: {reference: 'a b'}")).refused("is not an image reference");
    let limited = Source::EmptyDir { medium: Medium::Disk, size_limit: Some(500 << 20) };
    source("emptyDir: {sizeLimit: 500Mi}", &|it| assert_eq!(it, limited));
}

#[test]
fn spec_36_variables_come_out_of_files_of_an_empty_dir() {
    let asks = |source: &str| {
        pod(
            "volumes: [{name: v, emptyDir: {}}, {name: h, hostPath: {path: /h}}]",
            &format!("command: [echo, $(A)], env: [{{name: A, valueFrom: {{fileKeyRef: {source}}}}}]"),
        )
    };
    let text = asks("{volumeName: v, path: a/env, key: B, optional: true}");
    first(&text, |pod| {
        let container = pod.containers.get(0).unwrap();
        let it = FileKey { volume: 0, path: "a/env", key: "B", optional: true };
        assert!(container.facts.iter().eq([Fact::File(it)]));
        assert_eq!(container.command.unwrap().get(1), container.env.get(0).map(|variable| variable.value));
    });
    let body = compile(&text).body();
    let head = podling::manifest::codec::seal(podling::manifest::codec::Kind::Manifest, "qemu-virt-aarch64", 1, &body);
    let shown = podling::host::inspect::inspect(&[&head.unwrap()[..], &body].concat(), true).unwrap();
    assert!(compile(&shown).body() == body, "{shown}");
    for (source, says) in [
        ("{volumeName: w, path: env, key: A}", "the pod has no volume \"w\""),
        ("{volumeName: h, path: env, key: A}", "is not an emptyDir"),
        ("{volumeName: v, path: ../env, key: A}", "is not a path below the volume"),
        ("{volumeName: v, path: /env, key: A}", "is not a path below the volume"),
        ("{volumeName: v, path: env, key: 'A='}", "is not the name of a variable"),
        ("{volumeName: v, path: env}", "key: is required"),
    ] {
        compile(&asks(source)).refused(says);
    }
}

#[test]
fn spec_93_huge_pages_are_whole_and_asked_for_once() {
    let asks = |volume: &str, resources: &str| {
        let volumes =
            if volume.is_empty() { String::new() } else { format!("volumes: [{{name: v, emptyDir: {volume}}}]") };
        pod(&volumes, &format!("resources: {resources}"))
    };
    let two = "{limits: {cpu: 1, hugepages-2Mi: 8Mi}, requests: {hugepages-2Mi: 8Mi}}";
    let both = "{limits: {memory: 1Mi, hugepages-2Mi: 8Mi, hugepages-1Gi: 1Gi}}";
    let medium = |medium, resources: &str| {
        first(&asks(&format!("{{medium: {medium}}}"), resources), |pod| {
            let pages = pod.resources.huge_pages;
            let Source::EmptyDir { medium, .. } = pod.volumes.get(0).unwrap().source else { panic!("no emptyDir") };
            (medium, pages.of(PageSize::Mi2), pages.of(PageSize::Gi1))
        })
    };
    let huge = Medium::HugePages;
    assert_eq!(medium("HugePages", two), (huge(PageSize::Mi2), 4, 0));
    assert_eq!(medium("HugePages-1Gi", both), (huge(PageSize::Gi1), 4, 1));
    for (volume, resources, says) in [
        ("", "{limits: {hugepages-2Mi: 8Mi}}", "together with cpu or memory only"),
        ("", "{limits: {cpu: 1, hugepages-2Mi: 3Mi}}", "hugepages-2Mi is not in whole pages: write a multiple of 2Mi"),
        (
            "",
            "{limits: {cpu: 1, hugepages-2Mi: 4Mi}, requests: {hugepages-2Mi: 2Mi}}",
            "request is not the hugepages-2Mi limit",
        ),
        ("", "{limits: {cpu: 1}, requests: {hugepages-2Mi: 2Mi}}", "huge pages cannot be overcommitted"),
        ("", "{limits: {cpu: 1, hugepages-3Mi: 3Mi}}", "did you mean \"hugepages-2Mi\"?"),
        ("{medium: HugePages}", "{}", "one needs hugepages-2Mi or another size under resources.limits"),
        ("{medium: HugePages-1Gi}", two, "one needs hugepages-1Gi under resources.limits"),
        ("{medium: HugePages}", both, "huge pages of several sizes: name one"),
        ("{medium: HugePages-3Mi}", two, "did you mean \"HugePages-2Mi\"?"),
    ] {
        compile(&asks(volume, resources)).refused(says);
    }
    let qos = |resources: &str| first(&asks("", resources), |pod| pod.qos());
    assert_eq!(qos("{limits: {cpu: 1, memory: 1Mi, hugepages-2Mi: 2Mi}}"), Qos::Guaranteed);
    let whole = pod(
        "resources: {limits: {memory: 8Mi, hugepages-2Mi: 2Mi}}",
        "resources: {limits: {memory: 1Mi, hugepages-2Mi: 4Mi}}",
    );
    compile(&whole).refused("the hugepages-2Mi that the containers request together is above the pod's");
}

/// The documents of Kubernetes' own task "Configure a Pod to Use a PersistentVolume for Storage".
const TASK: &str = "
apiVersion: v1
kind: PersistentVolume
metadata: {name: task-pv-volume, labels: {type: local}}
spec:
  storageClassName: manual
  capacity: {storage: 10Gi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: /mnt/data}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: task-pv-claim}
spec:
  storageClassName: manual
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 3Gi}}
---
";

#[test]
fn spec_35_a_claim_is_bound_to_a_volume_of_its_class() {
    let user = |name: &str| {
        pod(
            &format!("volumes: [{{name: v, persistentVolumeClaim: {{claimName: {name}, readOnly: true}}}}]"),
            "volumeMounts: [{name: v, mountPath: /v}]",
        )
    };
    let text = format!("{TASK}{}", user("task-pv-claim"));
    assert_eq!(compile(&text).said, "");
    let bound = Source::HostPath { path: "/mnt/data", kind: HostPathKind::Any };
    first(&text, |pod| {
        assert_eq!(pod.volumes.get(0).unwrap().source, bound);
        assert!(pod.containers.get(0).unwrap().mounts.get(0).unwrap().read_only, "the claim's readOnly");
    });
    let other = text.replacen("manual", "other", 1);
    first(&other, |pod| {
        assert_eq!(pod.volumes.get(0).unwrap().source, Source::Claim { name: "task-pv-claim", read_only: true })
    });
    let named = other.replace("resources:", "volumeName: task-pv-volume, \n  resources:").replace(", \n", "\n");
    first(&named, |pod| assert_eq!(pod.volumes.get(0).unwrap().source, bound));
    compile(&text.replace("hostPath: {path: /mnt/data}", "")).refused("needs hostPath or local");
}

#[test]
fn spec_35_a_claim_for_one_pod_is_used_by_one() {
    let user = |pod_name: &str| {
        format!("---\n{}", pod("volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]", ""))
            .replace("name: web", &format!("name: {pod_name}"))
    };
    let claim = |mode: &str| {
        format!("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: c}}\nspec: {{accessModes: [{mode}]}}\n")
    };
    let both = |mode: &str| compile(&(claim(mode) + &user("one") + &user("two")));
    both("ReadWriteOncePod").refused("the claim is ReadWriteOncePod, and the pod \"one\" uses it already");
    assert_eq!(both("ReadWriteOnce").errors, 0);
    compile(&(claim("ReadWriteTwice") + &user("one"))).refused("\"ReadWriteTwice\" is not a value for this");
}

#[test]
fn spec_35_volume_modes_decide_between_devices_and_file_systems() {
    let claim = |spec: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: c}}\nspec: {{volumeMode: Block{spec}}}\n---\n"
        )
    };
    let user = |inside: &str| pod("volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]", inside);
    let (sized, device) =
        (", resources: {requests: {storage: 1Mi}}", "volumeDevices: [{name: v, devicePath: /dev/xvda}]");
    first(&(claim(sized) + &user(device)), |pod| {
        let disk = Disk::Claim { claim: "c", bytes: 1 << 20 };
        assert_eq!(pod.volumes.get(0).unwrap().source, Source::Block { disk, read_only: false });
        assert_eq!(pod.containers.get(0).unwrap().mounts.get(0).unwrap().path, "/dev/xvda");
    });
    compile(&(claim("") + &user(device))).refused("resources.requests.storage: is required with volumeMode: Block");
    compile(&(claim(sized) + &user("volumeMounts: [{name: v, mountPath: /v}]"))).refused("it is for volumeDevices");
    compile(&user(device)).refused("this volume has a file system: volumeMode: Block makes a device of a claim");
    let two = claim(sized) + &user(device) + "---\n" + &user(device).replace("name: web", "name: other");
    compile(&two).refused("the claim is a block device for one pod, and the pod \"web\" uses it already");
    let volume = |mode: &str, of: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: p}}\nspec: {{volumeMode: {mode}, claimRef: {{name: c}}, {of}}}\n---\n"
        )
    };
    first(&(volume("Block", "local: {path: /dev/sda}") + &claim(sized) + &user(device)), |pod| {
        let disk = Disk::Device { claim: "c", path: "/dev/sda" };
        assert_eq!(pod.volumes.get(0).unwrap().source, Source::Block { disk, read_only: false });
    });
    let files = volume("Filesystem", "local: {path: /dev/sda, fsType: xfs}");
    compile(&(files.clone() + &claim(sized) + &user(device))).refused("have a different volumeMode");
    let mounted = user("volumeMounts: [{name: v, mountPath: /v}]");
    first(&(files + &claim(sized).replace("Block", "Filesystem") + &mounted), |pod| {
        let source =
            Source::Local { claim: "c", path: "/dev/sda", fs_type: "xfs", read_only: false, options: List::EMPTY };
        assert_eq!(pod.volumes.get(0).unwrap().source, source);
    });
    let with = |options: &str, of: &str, mode: &str| {
        volume(mode, &format!("mountOptions: [{options}], {of}")) + &claim(sized).replace("Block", mode) + &mounted
    };
    let device = "local: {path: /dev/sda}";
    first(&with("defaults, ro, noatime, errors=remount-ro", device, "Filesystem"), |pod| {
        let Source::Local { read_only, options, .. } = pod.volumes.get(0).unwrap().source else { panic!("not local") };
        assert!(read_only && options.iter().eq(["noatime", "errors=remount-ro"]));
    });
    compile(&with("'noatime,sync'", device, "Filesystem")).refused("is not one option of a mount");
    compile(&with("suid", device, "Filesystem")).refused("suid is not possible");
    compile(&with("sync", "hostPath: {path: /srv}", "Filesystem")).refused("are for the file system on a block device");
    compile(&(volume("Block", "hostPath: {path: /dev/sda}") + &pod("", ""))).refused("volumeMode: Block is for local");
}
