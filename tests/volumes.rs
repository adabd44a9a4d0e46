//! Volumes on real mounts: which part of one a container gets, who may write it, and what of it follows later. Needs root.

mod node;

use node::{Board, Node, pod};
use podling::manifest::pod::{Manifest, Mount, Propagation};
use podling::manifest::status::{ContainerState, Reason};
use podling::manifest::{List, check, codec};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Waits until a container is refused for such a reason, and gives the message.
async fn refused(board: &Board, name: &str, reason: Reason) -> String {
    board
        .until("refused", |agent| {
            let entry = agent.find("default", name)?;
            let container = &entry.machine().containers()[0];
            (container.state() == ContainerState::Waiting(reason)).then(|| container.message().to_string())
        })
        .await
}

/// A pod that waits, with one hostPath volume `v` and these mounts.
fn host(name: &str, path: &Path, mounts: &str) -> String {
    let volumes = format!("volumes: [{{name: v, hostPath: {{path: {}}}}}]", path.display());
    pod(name, "exec sleep 1000", &volumes, &format!("env: [{{name: WHO, value: me}}]\nvolumeMounts: [{mounts}]"))
}

#[test]
fn spec_31_sub_paths_are_parts_of_a_volume() {
    let node = Node::new();
    let dir = node.root.join("host");
    fs::create_dir_all(dir.join("a")).unwrap();
    fs::write(dir.join("a/file"), "part").unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o750)).unwrap();
    let mounts = "{name: v, mountPath: /part, subPath: a}, {name: v, mountPath: /etc/one, subPath: a/file, readOnly: true}, \
                  {name: v, mountPath: /new, subPath: new/deep}, {name: v, mountPath: /mine, subPathExpr: of-$(WHO)}";
    node.run(&host("sub", &dir, mounts), async |board| {
        board.running("sub", "main").await;
        let look = "cat /part/file /etc/one; ls /part; stat -c %a /new; echo x > /mine/own; echo y > /etc/one";
        let (_, said) = board.shell("sub", "main", look).await;
        assert!(said.starts_with("partpartfile\n750\n") && said.contains("Read-only file system"), "{said}");
        board.0.restart("default", "sub", Some("main")).unwrap();
        board.until("restarted", |_| (board.restarts("sub", "main") == 1).then_some(())).await;
        board.running("sub", "main").await;
        assert_eq!(board.shell("sub", "main", "cat /mine/own").await, (0, "x\n".into()), "spec 32");
    });
    assert!(dir.join("new/deep").is_dir() && dir.join("of-me/own").is_file());
}

#[test]
fn cve_2017_1002101_a_sub_path_that_leads_out_is_refused() {
    let node = Node::new();
    let (dir, secret) = (node.root.join("host"), node.root.join("secret"));
    fs::create_dir_all(&dir).unwrap();
    fs::create_dir(&secret).unwrap();
    symlink(&secret, dir.join("absolute")).unwrap();
    symlink("../secret", dir.join("relative")).unwrap();
    let yaml = host("one", &dir, "{name: v, mountPath: /x, subPath: absolute}")
        + &host("two", &dir, "{name: v, mountPath: /x, subPath: relative/new}");
    node.run(&yaml, async |board| {
        for name in ["one", "two"] {
            let why = refused(&board, name, Reason::CreateContainerConfigError).await;
            assert!(why.contains("failed to prepare subPath") && why.contains("leads out of the volume"), "{why}");
        }
    });
    assert_eq!(fs::read_dir(&secret).unwrap().count(), 0);
}

/// One container turns a directory of a shared volume into a link to the node's own root and back, while another mounts it.
#[test]
fn cve_2021_25741_a_hostile_neighbour_gains_nothing() {
    let node = Node::new();
    let swap = "mkdir -p /v/dir; while true; do mv /v/dir /v/was; ln -s / /v/dir; rm /v/dir; mv /v/was /v/dir; done";
    let yaml = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: race}}\nspec:\n  terminationGracePeriodSeconds: 0\n  volumes: [{{name: v, emptyDir: {{}}}}]\n  containers:\n  \
         - {{name: hostile, image: busybox, command: [/bin/sh, -c, '{swap}'], volumeMounts: [{{name: v, mountPath: /v}}]}}\n  \
         - {{name: main, image: busybox, command: [/bin/sh, -c, 'if test -e /in/etc; then exec sleep 1000; fi'], \
         volumeMounts: [{{name: v, mountPath: /in, subPath: dir}}]}}\n"
    );
    let yaml = yaml
        .replace("mv /v", "/bin/busybox mv /v")
        .replace("ln -s", "/bin/busybox ln -s")
        .replace("rm /v", "/bin/busybox rm /v");
    node.run(&yaml, async |board| {
        board.until("many starts", |_| (board.restarts("race", "main") >= 8).then_some(())).await;
    });
}

/// The mounts of the first container of the first pod, with another propagation.
fn with_propagation(file: &[u8], propagation: Propagation) -> Vec<u8> {
    let (header, body) = codec::open(file, codec::Kind::Manifest).unwrap();
    let manifest = check::manifest(body).unwrap();
    let mut pod = manifest.pods.get(0).unwrap();
    let mut container = pod.containers.get(0).unwrap();
    let changed = |mount| postcard::to_stdvec(&Mount { propagation, ..mount }).unwrap();
    let mounts: Vec<u8> = container.mounts.iter().flat_map(changed).collect();
    container.mounts = List::from_bytes(&mounts);
    let containers = postcard::to_stdvec(&container).unwrap();
    pod.containers = List::from_bytes(&containers);
    let pods = postcard::to_stdvec(&pod).unwrap();
    let body = postcard::to_stdvec(&Manifest { pods: List::from_bytes(&pods), ..manifest }).unwrap();
    let head = codec::seal(codec::Kind::Manifest, header.class, header.sequence, &body).unwrap();
    [&head[..], &body].concat()
}

/// A tmpfs with a propagation of its own.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn new(propagation: rustix::mount::MountPropagationFlags) -> Tmpfs {
        let dir = tempfile::tempdir().unwrap();
        mount_tmpfs(dir.path());
        rustix::mount::mount_change(dir.path(), propagation).unwrap();
        Tmpfs(dir)
    }
}

fn mount_tmpfs(at: &Path) {
    rustix::mount::mount("tmpfs", at, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let below = fs::read_to_string("/proc/self/mountinfo").unwrap();
        for line in below.lines().rev().filter(|line| line.contains(self.0.path().to_str().unwrap())) {
            let at = line.split(' ').nth(4).unwrap();
            let _ = rustix::mount::unmount(at, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

fn is_mounted(at: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().any(|line| line.split(' ').nth(4) == at.to_str())
}

#[test]
fn spec_31_mounts_propagate_where_they_are_asked_to() {
    let tmpfs = Tmpfs::new(rustix::mount::MountPropagationFlags::SHARED);
    let dir = tmpfs.0.path().to_owned();
    for name in ["later", "inside", "none"] {
        fs::create_dir(dir.join(name)).unwrap();
    }
    let mount =
        "{name: v, mountPath: /v}\nsecurityContext: {capabilities: {add: [SYS_ADMIN]}}".replace("}\ns", "}]\ns");
    let volumes = format!("volumes: [{{name: v, hostPath: {{path: {}}}}}]", dir.display());
    let yaml = |name: &str| pod(name, "exec sleep 1000", &volumes, &format!("volumeMounts: [{mount}"));
    for (propagation, seen, left) in [
        (Propagation::None, false, false),
        (Propagation::HostToContainer, true, false),
        (Propagation::Bidirectional, true, true),
    ] {
        let node = Node::new();
        let mut config = node.config(&yaml("flow"));
        config.manifest = config.manifest.map(|file| with_propagation(&file, propagation));
        let place = dir.clone();
        node.run_config(config, async move |board| {
            board.running("flow", "main").await;
            mount_tmpfs(&place.join("later"));
            fs::write(place.join("later/file"), "late").unwrap();
            let (code, said) = board.shell("flow", "main", "cat /v/later/file").await;
            assert_eq!(code == 0, seen, "{propagation:?}: {said}");
            let (code, said) =
                board.shell("flow", "main", "mount -t tmpfs none /v/inside && echo x > /v/inside/file").await;
            assert_eq!(code, 0, "{propagation:?}: {said}");
            assert_eq!(place.join("inside/file").exists(), left, "{propagation:?}");
            rustix::mount::unmount(place.join("later"), rustix::mount::UnmountFlags::DETACH).unwrap();
        });
        assert_eq!(is_mounted(&dir.join("inside")), left, "{propagation:?}");
        node.assert_clean();
    }
}

#[test]
fn spec_31_propagation_from_a_private_mount_is_refused_with_what_to_do() {
    let node = Node::new();
    let tmpfs = Tmpfs::new(rustix::mount::MountPropagationFlags::PRIVATE);
    node.run(
        &host("alone", tmpfs.0.path(), "{name: v, mountPath: /v, mountPropagation: HostToContainer}"),
        async |board| {
            let why = refused(&board, "alone", Reason::CreateContainerError).await;
            assert!(why.contains("mount that is not shared"), "{why}");
        },
    );
}

#[test]
fn spec_31_read_only_reaches_below_only_where_it_is_recursive() {
    let node = Node::new();
    let tmpfs = Tmpfs::new(rustix::mount::MountPropagationFlags::PRIVATE);
    fs::create_dir(tmpfs.0.path().join("below")).unwrap();
    mount_tmpfs(&tmpfs.0.path().join("below"));
    let mounts = "{name: v, mountPath: /plain, readOnly: true}, {name: v, mountPath: /all, readOnly: true, recursiveReadOnly: Enabled}";
    node.run(&host("ro", tmpfs.0.path(), mounts), async |board| {
        board.running("ro", "main").await;
        for (path, writable) in [("/plain", false), ("/plain/below", true), ("/all", false), ("/all/below", false)] {
            let (code, said) = board.shell("ro", "main", &format!("echo x > {path}/file")).await;
            assert_eq!(code == 0, writable, "{path}: {said}");
        }
    });
}

/// A pod that shows everything of itself, in variables and files.
const TOLD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: told, labels: {tier: back, app: web}, annotations: {note: \"a \\\"b\\\"\"}}
spec:
  terminationGracePeriodSeconds: 1
  hostNetwork: true
  serviceAccountName: robot
  volumes:
  - name: v
    downwardAPI:
      defaultMode: 0400
      items:
      - {path: labels, fieldRef: {fieldPath: metadata.labels}}
      - {path: notes, fieldRef: {fieldPath: metadata.annotations}}
      - {path: deep/uid, mode: 0444, fieldRef: {fieldPath: metadata.uid}}
      - {path: tier, fieldRef: {fieldPath: \"metadata.labels['tier']\"}}
      - {path: cpu, resourceFieldRef: {containerName: main, resource: limits.cpu, divisor: 1m}}
      - {path: mem, resourceFieldRef: {containerName: main, resource: requests.memory, divisor: 1Mi}}
      - {path: ip, fieldRef: {fieldPath: status.hostIP}}
  containers:
  - name: main
    image: busybox
    command: [/bin/sh, -c, 'echo $(POD_UID)@$(NODE) > /said; exec sleep 1000']
    resources: {requests: {memory: 10M}, limits: {cpu: 150m}}
    env:
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: ROBOT, valueFrom: {fieldRef: {fieldPath: spec.serviceAccountName}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
    - {name: URL, value: 'http://$(IP):80/$(NAME)'}
    - {name: CPUS, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    - {name: MEM, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Ki}}}
    volumeMounts:
    - {name: v, mountPath: /etc/told}
    - {name: v, mountPath: /frozen, subPath: deep/uid}
";

#[test]
fn spec_31_the_downward_api_tells_a_pod_of_itself() {
    let node = Node::new();
    node.run(TOLD, async |board| {
        board.running("told", "main").await;
        let uid = board.uid("told");
        let print = "echo $NAME $POD_UID $NODE $ROBOT $CPUS; test $IP = $HOST && test -n $IP && test $URL = http://$IP:80/told && echo same; until test -s /said; do sleep 0.01; done; cat /said";
        assert_eq!(board.shell("told", "main", print).await.1, format!("told {uid} testnode robot 1\nsame\n{uid}@testnode\n"));
        let memory = board.0.node().memory.div_ceil(1024);
        assert_eq!(board.shell("told", "main", "echo $MEM").await.1, format!("{memory}\n"), "the node's, for want of a limit");
        let files = "cd /etc/told; cat labels; echo; cat notes; echo; cat deep/uid /frozen; echo; cat tier cpu; echo; cat mem; echo; stat -L -c %a labels deep/uid; \
                     test $(cat ip) = $HOST && echo same";
        let expected = format!("app=\"web\"\ntier=\"back\"\nnote=\"a \\\"b\\\"\"\n{uid}{uid}\nback150\n10\n400\n444\nsame\n");
        assert_eq!(board.shell("told", "main", files).await.1, expected);
        let links = "cd /etc/told; for n in ..data deep labels; do /bin/busybox readlink $n; done";
        assert_eq!(board.shell("told", "main", links).await.1, "..v1\n..data/deep\n..data/labels\n");
    });
}

#[test]
fn spec_31_a_projected_volume_is_one_directory_of_many_sources() {
    let node = Node::new();
    let yaml = "
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {greeting: hello, other: left out}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {token: s3cret}
"
    .to_string()
        + &pod(
            "all",
            "exec sleep 1000",
            "volumes:\n- name: p\n  projected:\n    defaultMode: 0440\n    sources:\n    \
             - {configMap: {name: conf, items: [{key: greeting, path: in/word, mode: 0404}]}}\n    \
             - {secret: {name: key}}\n    - {secret: {name: none, optional: true}}\n    \
             - {downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}",
            "volumeMounts: [{name: p, mountPath: /p}]",
        );
    node.run(&yaml, async |board| {
        board.running("all", "main").await;
        let look = "cd /p; ls; cat in/word token name; echo; stat -L -c %a in in/word token name; echo x > in/word";
        let (_, said) = board.shell("all", "main", look).await;
        assert!(said.starts_with("in\nname\ntoken\nhellos3cretall\n755\n404\n440\n440\n"), "{said}");
        assert!(said.contains("Read-only file system"), "{said}");
    });
}

#[test]
fn spec_31_volumes_belong_to_the_fs_group() {
    let node = Node::new();
    let kept = node.data_dir().join("volumes/default/kept");
    fs::create_dir_all(kept.join("old")).unwrap();
    for n in 0..500 {
        fs::write(kept.join(format!("old/{n}")), "").unwrap();
    }
    fs::set_permissions(kept.join("old/7"), fs::Permissions::from_mode(0o600)).unwrap();
    let host = node.root.join("host");
    fs::create_dir(&host).unwrap();
    let more = format!(
        "securityContext: {{runAsUser: 1000, runAsGroup: 1000, fsGroup: 4242, supplementalGroups: [5]}}\nvolumes:\n\
         - {{name: disk, emptyDir: {{}}}}\n- {{name: mem, emptyDir: {{medium: Memory}}}}\n- {{name: host, hostPath: {{path: {}}}}}\n\
         - {{name: claim, persistentVolumeClaim: {{claimName: kept}}}}\n\
         - {{name: told, downwardAPI: {{defaultMode: 0400, items: [{{path: a/uid, fieldRef: {{fieldPath: metadata.uid}}}}]}}}}",
        host.display()
    );
    let mounts: Vec<String> =
        ["disk", "mem", "host", "claim", "told"].map(|name| format!("{{name: {name}, mountPath: /v/{name}}}")).into();
    node.run(&pod("owned", "exec sleep 1000", &more, &format!("volumeMounts: [{}]", mounts.join(", "))), async |board| {
        board.running("owned", "main").await;
        assert_eq!(board.shell("owned", "main", "id -G").await.1, "1000 5 4242\n");
        let look = "cd /v; stat -c '%g %a' disk mem host claim claim/old claim/old/7 told; stat -L -c '%g %a' told/a/uid; cat told/a/uid >/dev/null || echo no";
        let expected = "4242 2777\n4242 2777\n0 755\n4242 2775\n4242 2775\n4242 660\n4242 2777\n4242 440\n";
        assert_eq!(board.shell("owned", "main", look).await.1, expected);
        let write = "cd /v; for d in disk mem claim; do echo x > $d/new && stat -c %g $d/new; done";
        assert_eq!(board.shell("owned", "main", write).await.1, "4242\n4242\n4242\n", "set-gid directories");
    });
}

#[test]
fn spec_31_an_image_is_a_volume_that_can_only_be_read() {
    let node = Node::new();
    let volumes = "volumes: [{name: i, image: {reference: busybox, pullPolicy: IfNotPresent}}]";
    let mounts = "volumeMounts: [{name: i, mountPath: /image}, {name: i, mountPath: /part, subPath: bin}]";
    let lost = volumes.replace("busybox", "nowhere");
    node.run(&(pod("of", "exec sleep 1000", volumes, mounts) + &pod("lost", "true", &lost, mounts)), async |board| {
        board.running("of", "main").await;
        let (_, said) = board.shell("of", "main", "test -e /image/bin/busybox && test -e /part/busybox && echo there; echo x > /image/x; /part/busybox true; echo $?").await;
        assert!(said.starts_with("there\n") && said.contains("Read-only file system") && said.ends_with("126\n"), "{said}");
        let why = refused(&board, "lost", Reason::ImageMissing).await;
        assert!(why.contains("nowhere:latest is not on this board"), "{why}");
    });
}

#[test]
fn spec_31_memory_is_bounded_by_the_pods_own() {
    let node = Node::new();
    let volumes =
        "volumes: [{name: a, emptyDir: {medium: Memory}}, {name: b, emptyDir: {medium: Memory, sizeLimit: 1Mi}}]";
    let inside =
        "resources: {limits: {memory: 8Mi}}\nvolumeMounts: [{name: a, mountPath: /a}, {name: b, mountPath: /b}]";
    node.run(&pod("small", "exec sleep 1000", volumes, inside), async |board| {
        board.running("small", "main").await;
        let size = "for d in a b; do /bin/busybox df -k /$d | /bin/busybox awk 'NR==2 {print $2}'; done";
        assert_eq!(board.shell("small", "main", size).await.1, "8192\n1024\n");
    });
}
