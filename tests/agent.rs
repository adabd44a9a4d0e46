//! The agent on real namespaces, mounts and cgroups: what a pod's life looks like from outside. Needs root.

mod node;

use node::{Board, FOREVER, Node, pod};
use podling::agent::{self, Error, Refusal, Shutdown, Streams};
use podling::manifest::status::{ContainerState, Phase, Reason};
use podling::manifest::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[test]
fn a_pod_runs_and_leaves_nothing_behind() {
    let node = Node::new();
    node.run(&pod("web", "echo hello; exec sleep 1000", "", ""), async |board| {
        board.running("web", "main").await;
        board.phase("web", Phase::Running).await;
        let (code, output) = board.shell("web", "main", "echo from $FROM; hostname; cat /etc/hostname; exit 3").await;
        assert_eq!((code, output.as_str()), (3, "from image\nweb\nweb\n"));
        let refused = board.0.exec("default", "web", "nobody", &["true"], Streams::Files(nulls())).err();
        assert_eq!(refused, Some(Refusal::NoSuchContainer("nobody".into())));
        assert_eq!(board.event("Started").await, "Started container main");
        board.0.delete("default", "web", Some(Duration::from_secs(1)), false).unwrap();
        assert_eq!(board.event("Killing").await, "Stopping container main");
    });
}

fn nulls() -> [std::os::fd::OwnedFd; 3] {
    [(); 3].map(|()| fs::File::open("/dev/null").unwrap().into())
}

#[test]
fn spec_43_restart_policies() {
    let node = Node::new();
    let yaml = pod("always", "exit 0", "restartPolicy: Always", "")
        + &pod("onfailure", "exit 3", "restartPolicy: OnFailure", "")
        + &pod("done", "exit 0", "restartPolicy: OnFailure", "")
        + &pod("never", "exit 5", "restartPolicy: Never", "");
    node.run(&yaml, async |board| {
        board.phase("done", Phase::Succeeded).await;
        board.phase("never", Phase::Failed).await;
        let how = board.ended("never", "main").await;
        assert_eq!((how.reason, how.exit.code), (Reason::Error, 5));
        for name in ["always", "onfailure"] {
            board.until("three restarts", |_| (board.restarts(name, "main") >= 3).then_some(())).await;
        }
        assert_eq!((board.restarts("done", "main"), board.restarts("never", "main")), (0, 0));
        board.event("BackOff").await;
    });
}

#[test]
fn spec_74_failure_f20_term_ignored_is_killed_at_the_end_of_the_grace() {
    let node = Node::new();
    node.run(
        &pod("deaf", "trap '' TERM; while true; do sleep 1; done", "terminationGracePeriodSeconds: 2", ""),
        async |board| {
            board.running("deaf", "main").await;
            let (uid, begun) = (board.uid("deaf"), Instant::now());
            board.0.delete("default", "deaf", None, false).unwrap();
            assert!(board.0.find("default", "deaf").unwrap().machine().is_terminating(), "spec 68");
            board.gone(&uid).await;
            let took = begun.elapsed().as_millis();
            assert!(took >= 1900, "{took} ms");
        },
    );
}

#[test]
fn spec_71_term_is_heard_and_ends_the_pod_at_once() {
    let node = Node::new();
    let script = "trap 'exit 0' TERM; touch /ready; while true; do sleep 0.05; done";
    // Whoever waited for the grace period would not come to the test's end.
    node.run(&pod("polite", script, FOREVER, ""), async |board| {
        board.ready("polite").await;
        let uid = board.uid("polite");
        board.0.delete("default", "polite", None, false).unwrap();
        board.gone(&uid).await;
        assert!(board.0.find("default", "polite").is_none(), "a deleted pod stays away");
    });
}

#[test]
fn spec_69_prestop_runs_inside_before_term() {
    let node = Node::new();
    let script = "trap 'cat /shared/hook > /shared/seen; exit 0' TERM; touch /ready; while true; do sleep 0.05; done";
    let hook = "lifecycle: {preStop: {exec: {command: [/bin/sh, -c, 'echo hooked > /shared/hook']}}}\n\
                volumeMounts: [{name: v, mountPath: /shared}]";
    let volume = node.root.join("shared");
    fs::create_dir(&volume).unwrap();
    let more =
        format!("terminationGracePeriodSeconds: 20\nvolumes: [{{name: v, hostPath: {{path: {}}}}}]", volume.display());
    node.run(&pod("hooked", script, &more, hook), async |board| {
        board.ready("hooked").await;
        let uid = board.uid("hooked");
        board.0.delete("default", "hooked", None, false).unwrap();
        board.gone(&uid).await;
    });
    assert_eq!(fs::read_to_string(volume.join("seen")).unwrap(), "hooked\n");
}

#[test]
fn spec_70_failure_f21_a_hanging_prestop_gives_way() {
    let node = Node::new();
    let hook = "lifecycle: {preStop: {exec: {command: [sleep, '1000']}}}";
    let script = "trap 'exit 0' TERM; touch /ready; while true; do sleep 0.05; done";
    node.run(&pod("stuck", script, "terminationGracePeriodSeconds: 1", hook), async |board| {
        board.ready("stuck").await;
        let (uid, begun) = (board.uid("stuck"), Instant::now());
        board.0.delete("default", "stuck", None, false).unwrap();
        board.gone(&uid).await;
        let took = begun.elapsed().as_millis();
        assert!(took >= 900, "{took} ms");
    });
}

#[test]
fn spec_33_34_35_volumes_live_as_long_as_they_should() {
    let node = Node::new();
    let yaml = "
apiVersion: v1
kind: Pod
metadata: {name: vol}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
  - {name: disk, emptyDir: {}}
  - {name: mem, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - {name: claim, persistentVolumeClaim: {claimName: kept}}
  containers:
  - &c
    name: a
    image: busybox
    command: [/bin/sh, -c, 'while true; do sleep 1; done']
    volumeMounts: [{name: disk, mountPath: /disk}, {name: mem, mountPath: /mem}, {name: claim, mountPath: /claim}]
  - name: b
    image: busybox
    command: [/bin/sh, -c, 'while true; do sleep 1; done']
    volumeMounts: [{name: disk, mountPath: /d}, {name: mem, mountPath: /m, readOnly: true}, {name: claim, mountPath: /c}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: kept}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
"
    .replace("&c\n    ", "");
    node.run(&yaml, async |board| {
        board.running("vol", "a").await;
        board.running("vol", "b").await;
        let wrote = board
            .shell("vol", "a", "for d in disk mem claim; do echo $d > /$d/file || exit 1; done; stat -c %a /disk /mem")
            .await;
        assert_eq!(wrote, (0, "777\n777\n".into()));
        let read = "cat /d/file /m/file /c/file";
        assert_eq!(board.shell("vol", "b", read).await, (0, "disk\nmem\nclaim\n".into()), "spec 33");
        assert_ne!(board.shell("vol", "b", "echo x > /m/file").await.0, 0, "readOnly");
        assert_ne!(board.shell("vol", "a", "dd if=/dev/zero of=/mem/big bs=1M count=4").await.0, 0, "sizeLimit");
        board.shell("vol", "a", "rm -f /mem/big").await;

        board.0.restart("default", "vol", Some("b")).unwrap();
        board.until("b is restarted", |_| (board.restarts("vol", "b") == 1).then_some(())).await;
        board.running("vol", "b").await;
        assert_eq!(board.shell("vol", "b", read).await, (0, "disk\nmem\nclaim\n".into()), "spec 32");

        let uid = board.uid("vol");
        board.0.restart("default", "vol", None).unwrap();
        board.gone(&uid).await;
        board.running("vol", "b").await;
        assert_ne!(board.uid("vol"), uid, "spec 5");
        assert_eq!(
            board.shell("vol", "b", "ls /d /m; cat /c/file").await,
            (0, "/d:\n\n/m:\nclaim\n".into()),
            "spec 34, 35"
        );
    });
    assert_eq!(fs::read_to_string(node.data_dir().join("volumes/default/kept/file")).unwrap(), "claim\n");
}

#[test]
fn spec_31_config_maps_and_secrets_are_files_with_modes() {
    let node = Node::new();
    let yaml = "
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {greeting: hello}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {token: s3cret}
"
    .to_string()
        + &pod(
            "files",
            "exec sleep 1000",
            "volumes:\n- {name: c, configMap: {name: conf}}\n- {name: s, secret: {secretName: key, defaultMode: 256}}",
            "volumeMounts: [{name: c, mountPath: /conf}, {name: s, mountPath: /key}]",
        );
    node.run(&yaml, async |board| {
        board.running("files", "main").await;
        let (code, output) = board
            .shell("files", "main", "cat /conf/greeting /key/token; stat -L -c %a /conf/greeting /key/token")
            .await;
        assert_eq!((code, output.as_str()), (0, "hellos3cret644\n400\n"));
        assert_ne!(board.shell("files", "main", "echo x > /conf/greeting").await.0, 0, "read-only");
    });
}

/// A file of a group, wherever its controller is: the development machine has them on v1, a board on v2.
fn group_file(group: &str, controller: &str, v1: &str, v2: &str) -> String {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let home = |line: &str| PathBuf::from(line.split(' ').nth(4).unwrap()).join(group);
    let on_v1 = mounts.lines().find(|line| line.contains(" - cgroup ") && line.ends_with(controller));
    let on_v2 = mounts.lines().find(|line| line.contains(" - cgroup2 "));
    let file = on_v1.map_or_else(|| home(on_v2.unwrap()).join(v2), |line| home(line).join(v1));
    fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())).trim().to_string()
}

#[test]
fn spec_19_93_limits_are_what_the_kernel_says() {
    let node = Node::new();
    let home = node.cgroup.clone();
    let inside = "resources: {limits: {memory: 32Mi, cpu: 250m}, requests: {cpu: 100m}}";
    node.run(&pod("bound", "exec sleep 1000", "", inside), async move |board| {
        board.running("bound", "main").await;
        let whole = format!("{home}/{}", board.uid("bound"));
        for group in [whole.clone(), format!("{whole}/main.1")] {
            assert_eq!(group_file(&group, "memory", "memory.limit_in_bytes", "memory.max"), (32 << 20).to_string());
            let cpu = group_file(&group, "cpu", "cpu.cfs_quota_us", "cpu.max");
            assert!(cpu == "25000" || cpu == "25000 100000", "{cpu}");
            let weight = group_file(&group, "cpu", "cpu.shares", "cpu.weight");
            assert!(weight == "102" || weight == "4", "{weight}");
        }
        assert_eq!(group_file(&whole, "pids", "pids.max", "pids.max"), "64", "the node's");
        let usage = board.0.usage(&board.0.find("default", "bound").unwrap(), 0);
        assert!(
            usage.memory.is_some_and(|bytes| bytes > 0) && usage.pids == Some(1) && usage.cpu_us.is_some(),
            "{usage:?}"
        );
        let usage = board.0.pod_usage(&board.0.find("default", "bound").unwrap());
        assert_eq!(usage.pids, Some(2), "the container and its pod-init");
    });
}

#[test]
fn failure_f14_a_fork_bomb_stays_within_its_pod() {
    let node = Node::new();
    let bomb = "n=0; while [ $n -lt 200 ]; do sleep 1000 & n=$((n+1)); done; wait";
    node.run(
        &(pod("bomb", bomb, "restartPolicy: Never", "") + &pod("calm", "exec sleep 1000", "", "")),
        async |board| {
            board.running("calm", "main").await;
            board.phase("bomb", Phase::Failed).await;
            assert_eq!(board.shell("calm", "main", "echo well").await, (0, "well\n".into()));
        },
    );
}

#[test]
fn spec_95_failure_f13_out_of_memory_reads_oomkilled_137() {
    let node = Node::new();
    let inside = "resources: {limits: {memory: 16Mi}}";
    let greedy = "x=xxxxxxxxxxxxxxxx; while true; do x=$x$x; done";
    node.run(&pod("greedy", greedy, "restartPolicy: Never", inside), async |board| {
        board.phase("greedy", Phase::Failed).await;
        let how = board.ended("greedy", "main").await;
        assert_eq!((how.reason, how.exit.code, how.exit.oom), (Reason::OomKilled, 137, true));
    });
}

#[test]
fn spec_36_init_containers_run_one_after_another() {
    let node = Node::new();
    let init = |name: &str, script: &str| {
        format!(
            "- {{name: {name}, image: busybox, command: [/bin/sh, -c, '{script}'], volumeMounts: [{{name: v, mountPath: /v}}]}}\n"
        )
    };
    let more = format!(
        "volumes: [{{name: v, emptyDir: {{}}}}]\ninitContainers:\n{}{}",
        init("first", "sleep 0.2; echo first >> /v/log"),
        init("second", "echo second >> /v/log")
    );
    node.run(
        &pod("inits", "cat /v/log; exec sleep 1000", &more, "volumeMounts: [{name: v, mountPath: /v}]"),
        async |board| {
            board.running("inits", "main").await;
            assert_eq!(board.shell("inits", "main", "cat /v/log").await, (0, "first\nsecond\n".into()));
            assert_eq!(board.ended("inits", "first").await.reason, Reason::Completed);
        },
    );
}

#[test]
fn a_missing_image_is_named_and_hurts_nobody_else() {
    let node = Node::new();
    let yaml = pod("lost", "true", "", "").replace("image: busybox", "image: nowhere")
        + &pod("well", "exec sleep 1000", "", "");
    node.run(&yaml, async |board| {
        board.running("well", "main").await;
        let (reason, message) = board
            .until("the reason", |agent| {
                let entry = agent.find("default", "lost")?;
                let container = &entry.machine().containers()[0];
                match container.state() {
                    ContainerState::Waiting(reason) if !container.message().is_empty() => {
                        Some((reason, container.message().to_string()))
                    }
                    _ => None,
                }
            })
            .await;
        assert_eq!(reason, Reason::ImageMissing);
        assert!(
            message
                .contains("image docker.io/library/nowhere:latest is not on this board: pack it with 'podling pack'"),
            "{message}"
        );
    });
}

#[test]
fn run_as_non_root_is_a_config_error() {
    let node = Node::new();
    node.run(&pod("root", "true", "", "securityContext: {runAsNonRoot: true}"), async |board| {
        let why = board.until("refused", |agent| {
            let entry = agent.find("default", "root")?;
            let container = &entry.machine().containers()[0];
            (container.state() == ContainerState::Waiting(Reason::CreateContainerConfigError))
                .then(|| container.message().to_string())
        });
        assert_eq!(why.await, "container has runAsNonRoot and image will run as root");
    });
}

#[test]
fn failure_f4_a_second_agent_is_refused_by_name() {
    let node = Node::new();
    let yaml = pod("one", "exec sleep 1000", "", "");
    let config = node.config(&yaml);
    node.run(&yaml, async move |board| {
        board.running("one", "main").await;
        let refused = std::thread::spawn(|| agent::run(config, |_| panic!("it must not come so far"))).join().unwrap();
        assert_eq!(refused, Err(Error::Running { pid: Some(std::process::id()) }));
        assert!(refused.unwrap_err().to_string().contains(&std::process::id().to_string()));
        assert_eq!(board.shell("one", "main", "echo well").await.0, 0);
    });
}

#[test]
fn failure_f3_a_killed_pod_init_ends_the_pod_once_and_it_comes_back() {
    let node = Node::new();
    let home = node.cgroup.clone();
    let inside = "volumeMounts: [{name: v, mountPath: /v}]";
    node.run(&pod("hit", "exec sleep 1000", "volumes: [{name: v, emptyDir: {}}]", inside), async move |board| {
        board.running("hit", "main").await;
        board.shell("hit", "main", "echo kept > /v/file").await;
        let uid = board.uid("hit");
        let init = group_file(&format!("{home}/{uid}/init"), "pids", "cgroup.procs", "cgroup.procs").parse().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(init).unwrap(), rustix::process::Signal::KILL)
            .unwrap();
        board.event("SandboxChanged").await;
        board.until("restarted", |_| (board.restarts("hit", "main") >= 1).then_some(())).await;
        board.running("hit", "main").await;
        assert_eq!(board.uid("hit"), uid, "the pod is the same");
        assert_eq!(board.shell("hit", "main", "cat /v/file").await, (0, "kept\n".into()), "spec 34");
    });
}

#[test]
fn spec_80_81_a_forced_delete_frees_the_name_at_once() {
    let node = Node::new();
    node.run(&pod("forced", "trap '' TERM; while true; do sleep 1; done", FOREVER, ""), async |board| {
        board.running("forced", "main").await;
        let (uid, begun) = (board.uid("forced"), Instant::now());
        board.0.delete("default", "forced", Some(Duration::ZERO), true).unwrap();
        assert!(board.0.find("default", "forced").is_none(), "spec 80");
        board.gone(&uid).await;
        let took = begun.elapsed().as_millis();
        assert!(took >= 1500, "spec 81: {took} ms");
        assert_eq!(board.0.delete("default", "forced", None, false), Err(Refusal::NoSuchPod));
    });
}

#[test]
fn spec_31_a_wrong_host_path_keeps_the_pod_pending_with_its_reason() {
    let node = Node::new();
    let more = "volumes: [{name: v, hostPath: {path: /nowhere/at/all, type: Directory}}]";
    node.run(&pod("wrong", "true", more, "volumeMounts: [{name: v, mountPath: /v}]"), async |board| {
        let why = board.event("FailedCreatePodSandBox").await;
        assert_eq!(why, "pod wrong: volume v: hostPath type check failed: /nowhere/at/all does not exist");
        board.phase("wrong", Phase::Pending).await;
    });
}

#[test]
fn spec_31_what_a_container_mounts_on_a_shared_host_path_stays_inside() {
    use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
    let node = Node::new();
    let shared = node.root.join("shared");
    fs::create_dir(&shared).unwrap();
    mount("tmpfs", &shared, "tmpfs", MountFlags::empty(), None).unwrap();
    mount_change(&shared, MountPropagationFlags::SHARED).unwrap();
    fs::create_dir(shared.join("sub")).unwrap();
    let more = format!("volumes: [{{name: v, hostPath: {{path: {}}}}}]", shared.display());
    let inside = "volumeMounts: [{name: v, mountPath: /v}]\nsecurityContext: {capabilities: {add: [SYS_ADMIN]}}";
    let seen = shared.clone();
    let outcome = node.run_config(node.config(&pod("mounter", "exec sleep 1000", &more, inside)), async move |board| {
        board.running("mounter", "main").await;
        assert_eq!(
            board.shell("mounter", "main", "mount -t tmpfs none /v/sub && touch /v/sub/file && ls /v/sub").await,
            (0, "file\n".into())
        );
        assert!(!seen.join("sub/file").exists());
    });
    unmount(&shared, UnmountFlags::DETACH).unwrap();
    assert_eq!(outcome.shutdown, Shutdown::Exit);
    node.assert_clean();
}

#[test]
fn shutting_down_ends_regular_pods_before_critical_ones() {
    let node = Node::new();
    let shared = node.root.join("shared");
    fs::create_dir(&shared).unwrap();
    let script = |name: &str| {
        format!("trap 'echo {name} >> /v/log; exit 0' TERM; touch /ready; while true; do sleep 0.05; done")
    };
    let more =
        format!("terminationGracePeriodSeconds: 10\nvolumes: [{{name: v, hostPath: {{path: {}}}}}]", shared.display());
    let inside = "volumeMounts: [{name: v, mountPath: /v}]";
    let critical = format!("{more}\npriorityClassName: system-node-critical");
    let yaml = pod("late", &script("critical"), &critical, inside) + &pod("early", &script("regular"), &more, inside);
    let outcome = node.run_config(node.config(&yaml), async |board| {
        board.ready("late").await;
        board.ready("early").await;
        board.0.shutdown(Shutdown::PowerOff).unwrap();
    });
    assert_eq!((outcome.shutdown, outcome.exit_code()), (Shutdown::PowerOff, agent::EXIT_POWER_OFF));
    assert_eq!(fs::read_to_string(shared.join("log")).unwrap(), "regular\ncritical\n");
    node.assert_clean();
}

#[test]
fn output_is_kept_in_a_ring() {
    let node = Node::new();
    node.run(&pod("talk", "echo to out; echo to err >&2; exec sleep 1000", "", ""), async |board| {
        board.running("talk", "main").await;
        board.wrote("talk", "main", "to out\n").await;
        let text = board.wrote("talk", "main", "to err\n").await;
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["to err", "to out"]);
        assert_eq!(board.0.logs("default", "talk", "main", true).err(), Some(Refusal::NoPrevious("main".into())));
    });
}

#[test]
fn a_local_run_leaves_nothing_behind() {
    let node = Node::new();
    let manifest = node.manifest(&pod("here", "exec sleep 1000", "", ""));
    let local = agent::local::Local {
        source: agent::Source(std::sync::Arc::new(|| Err("nobody asks for it".into()))),
        manifest,
        images: vec![node.data_dir().join("images")],
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_podlingd"))),
        claims: None,
    };
    let outcome = std::thread::spawn(|| {
        agent::local::run(local, |agent| {
            let board = Board(agent.clone());
            agent.spawn(async move {
                board.running("here", "main").await;
                assert_eq!(board.shell("here", "main", "hostname").await, (0, "here\n".into()));
                board.0.shutdown(Shutdown::Exit).unwrap();
            });
        })
    })
    .join()
    .unwrap();
    assert_eq!(outcome.unwrap().shutdown, Shutdown::Exit);
    let name = format!("podling-run.{}", std::process::id());
    assert!(!Path::new("/run").join(&name).exists());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&name), "{mounts}");
    for line in mounts.lines().filter(|line| line.contains(" - cgroup")) {
        let home = Path::new(line.split(' ').nth(4).unwrap()).join(&name);
        assert!(!home.exists(), "{}", home.display());
    }
}
