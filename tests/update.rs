//! A new manifest under running pods: what they take up, what replaces them, and what is refused. Needs root.

mod node;

use node::{Node, pod};
use podling::agent::{Reload, Source};
use podling::manifest::image::platform_of_machine;
use podling::manifest::status::{ContainerState, Reason};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

const FOREVER: &str = "exec sleep 100000";

/// What one agent tells the next.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn tell(&self, words: &[String]) {
        *self.0.lock().unwrap() = words.to_vec();
    }
    fn told(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A second image, of the same files as `busybox`.
fn put_second_image(node: &Node) {
    node.put_image_as("busybox:2", platform_of_machine(rustix::system::uname().machine().to_str().unwrap()));
}

/// The main process of a container, as whoever looks for it in its group sees it.
fn main_process(node: &Node, uid: &str, instance: &str) -> String {
    let group = node.groups().into_iter().find(|group| group.ends_with(&format!("{uid}/{instance}")));
    fs::read_to_string(Path::new(&group.expect("the group")).join("cgroup.procs")).unwrap()
}

/// A bound of a container's group, in the words of cgroup v1 or v2.
fn bound(node: &Node, group: &str, files: [&str; 2]) -> String {
    let groups = node.groups().into_iter().filter(|path| path.ends_with(group));
    let found = groups.flat_map(|path| files.map(|file| fs::read_to_string(Path::new(&path).join(file)).ok()));
    found.flatten().next().expect("the bound").trim().to_string()
}

const MEMORY: [&str; 2] = ["memory.max", "memory.limit_in_bytes"];

#[test]
fn spec_40_an_image_is_replaced_and_nothing_else_is_touched() {
    let node = Node::new();
    put_second_image(&node);
    let yaml = |image: &str, policy: &str| {
        let volumes = format!("restartPolicy: {policy}\nvolumes:\n- {{name: data, emptyDir: {{}}}}");
        let mut yaml = pod("web", FOREVER, &volumes, "volumeMounts: [{name: data, mountPath: /data}]");
        yaml.push_str(&format!("  - {{name: second, image: '{image}', command: [sleep, '100000']}}\n"));
        yaml
    };
    for policy in ["Always", "Never"] {
        let told = Told::default();
        let (tell, untouched) = (told.clone(), told.clone());
        node.run_first(&yaml("busybox", policy), async move |board| {
            board.running("web", "main").await;
            board.running("web", "second").await;
            assert_eq!(board.shell("web", "main", "echo kept > /data/file").await.0, 0);
            tell.tell(&[board.uid("web")]);
        });
        let uid = told.told()[0].clone();
        let main = main_process(&node, &uid, "main.1");
        let here = &node;
        let root = here.root.clone();
        node.run(&yaml("busybox:2", policy), async move |board| {
            board
                .until("the second container runs again", |_| {
                    let again = board.restarts("web", "second") == 1;
                    (again && matches!(board.state("web", "second"), ContainerState::Running(_))).then_some(())
                })
                .await;
            assert_eq!(board.uid("web"), untouched.told()[0], "spec 9");
            assert_eq!(board.restarts("web", "main"), 0);
            assert_eq!(board.shell("web", "main", "cat /data/file").await, (0, "kept\n".into()), "spec 32");
            let node = Node::at(root);
            assert_eq!(main_process(&node, &untouched.told()[0], "main.1"), main);
            let said = board.event("Killing").await;
            assert_eq!(said, "Container second definition changed, will be restarted");
        });
    }
}

#[test]
fn spec_40_a_back_off_with_the_old_image_says_nothing_about_the_new_one() {
    let mut node = Node::new();
    put_second_image(&node);
    node.settings.backoff_base_ms = 600_000;
    node.settings.backoff_cap_ms = 600_000;
    let yaml = |image: &str| pod("web", FOREVER, "", "").replace("image: busybox", &format!("image: '{image}'"));
    node.run_first(&yaml("busybox:3"), async |board| {
        board
            .until("there is no such image", |_| {
                (board.state("web", "main") == ContainerState::Waiting(Reason::ImageMissing)).then_some(())
            })
            .await;
    });
    node.run(&yaml("busybox:2"), async |board| {
        board.running("web", "main").await;
    });
}

#[test]
fn spec_93_resources_change_in_place() {
    let node = Node::new();
    let yaml = |limit: &str, cpu: &str, policy: &str| {
        let inside = format!(
            "resizePolicy: [{{resourceName: memory, restartPolicy: {policy}}}]\nresources: {{limits: {{memory: {limit}, cpu: {cpu}}}}}"
        );
        pod("web", FOREVER, "", &inside)
    };
    for (policy, restarts) in [("NotRequired", 0), ("RestartContainer", 1)] {
        let told = Told::default();
        let tell = told.clone();
        node.run_first(&yaml("32Mi", "100m", policy), async move |board| {
            board.running("web", "main").await;
            tell.tell(&[board.uid("web")]);
        });
        let pod = told.told()[0].clone();
        assert_eq!(bound(&node, &format!("{pod}/main.1"), MEMORY), (32 << 20).to_string());
        let tell = told.clone();
        node.run_first(&yaml("64Mi", "200m", policy), async move |board| {
            board
                .until("it runs with that", |_| {
                    let runs = matches!(board.state("web", "main"), ContainerState::Running(_));
                    (runs && board.restarts("web", "main") == restarts).then_some(())
                })
                .await;
            assert_eq!(board.event("ResizeCompleted").await, "Pod resize completed");
            assert_eq!(tell.told(), [board.uid("web")]);
        });
        let main = format!("{pod}/main.{}", restarts + 1);
        assert_eq!(bound(&node, &main, MEMORY), (64 << 20).to_string());
        assert_eq!(bound(&node, &pod, MEMORY), (64 << 20).to_string());
        assert!(["20000 100000", "20000"].contains(&&*bound(&node, &main, ["cpu.max", "cpu.cfs_quota_us"])));
        node.run(&yaml("64Mi", "200m", policy), async move |board| {
            assert_eq!(board.restarts("web", "main"), restarts, "once is enough");
        });
    }
}

#[test]
fn spec_93_a_limit_below_what_is_used_is_refused() {
    let node = Node::new();
    let yaml = |limit: &str| {
        let volumes = "volumes: [{name: memory, emptyDir: {medium: Memory}}]";
        let inside = format!(
            "resources: {{limits: {{memory: {limit}, cpu: 100m}}}}\nvolumeMounts: [{{name: memory, mountPath: /memory}}]"
        );
        pod("web", "dd if=/dev/zero of=/memory/file bs=1M count=24; touch /ready; exec sleep 100000", volumes, &inside)
    };
    let told = Told::default();
    let tell = told.clone();
    node.run_first(&yaml("64Mi"), async move |board| {
        board.ready("web").await;
        tell.tell(&[board.uid("web")]);
    });
    let tell = told.clone();
    node.run_first(&yaml("16Mi"), async move |board| {
        board.running("web", "main").await;
        let said = board.event("ResizeError").await;
        assert!(said.starts_with("attempting to set a memory limit (16777216) below the current usage ("), "{said}");
        assert_eq!(tell.told(), [board.uid("web")]);
    });
    assert_eq!(bound(&node, &format!("{}/main.1", told.told()[0]), MEMORY), (64 << 20).to_string());
    node.run(&yaml("16Mi"), async |board| assert_eq!(board.restarts("web", "main"), 0));
}

#[test]
fn spec_31_labels_and_files_are_brought_up_to_date() {
    let node = Node::new();
    let yaml = |value: &str, label: &str, key: &str| {
        let volumes = "volumes:\n- {name: files, configMap: {name: files}}\n- {name: labels, downwardAPI: {items: [{path: tier, fieldRef: {fieldPath: 'metadata.labels[''tier'']'}}]}}";
        let mounts = "volumeMounts: [{name: files, mountPath: /files}, {name: labels, mountPath: /labels}]";
        let pod = pod("web", FOREVER, volumes, mounts)
            .replace("  name: web\n", &format!("  name: web\n  labels: {{tier: {label}}}\n"));
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: files}}\ndata: {{stays: {value}, {key}: x}}\n{pod}")
    };
    let told = Told::default();
    let tell = told.clone();
    node.run_first(&yaml("one", "front", "old"), async move |board| {
        board.running("web", "main").await;
        assert_eq!(
            board.shell("web", "main", "cat /files/stays /labels/tier; ls /files").await.1,
            "onefrontold\nstays\n"
        );
        tell.tell(&[board.uid("web")]);
    });
    node.run(&yaml("two", "back", "new"), async move |board| {
        board.running("web", "main").await;
        assert_eq!(
            board.shell("web", "main", "cat /files/stays /labels/tier; ls /files").await.1,
            "twobacknew\nstays\n"
        );
        assert_eq!(told.told(), [board.uid("web")]);
        assert_eq!(board.restarts("web", "main"), 0);
    });
}

#[test]
fn spec_57_anything_else_replaces_the_pod_gracefully() {
    let node = Node::new();
    let said = node.root.join("said");
    fs::create_dir(&said).unwrap();
    let yaml = |names: &[&str], word: &str| -> String {
        let script = "trap 'echo $WORD >> /said/ends; exit 0' TERM; touch /ready; while true; do sleep 0.05; done";
        let volumes = format!(
            "terminationGracePeriodSeconds: 20\nvolumes: [{{name: said, hostPath: {{path: {}}}}}]",
            said.display()
        );
        let inside = format!("env: [{{name: WORD, value: {word}}}]\nvolumeMounts: [{{name: said, mountPath: /said}}]");
        names.iter().map(|name| pod(name, script, &volumes, &inside)).collect::<String>()
            + &pod("other", FOREVER, "", "")
    };
    let told = Told::default();
    let tell = told.clone();
    node.run_first(&yaml(&["web", "removed"], "old"), async move |board| {
        board.ready("web").await;
        board.ready("removed").await;
        board.running("other", "main").await;
        tell.tell(&["web", "removed", "other"].map(|name| board.uid(name)));
    });
    let ends = said.join("ends");
    node.run(&yaml(&["web"], "new"), async move |board| {
        let before = told.told();
        board.gone(&before[0]).await;
        board.gone(&before[1]).await;
        assert_eq!(fs::read_to_string(&ends).unwrap(), "old\nold\n", "both have heard TERM");
        board.ready("web").await;
        assert_eq!(board.shell("web", "main", "echo $WORD").await.1, "new\n");
        assert_ne!(board.uid("web"), before[0], "spec 5");
        assert_eq!(board.uid("other"), before[2]);
        assert!(board.0.find("default", "removed").is_none());
    });
}

#[test]
fn a_bad_manifest_is_refused_and_the_same_one_is_no_news() {
    let node = Node::new();
    let yaml = pod("web", FOREVER, "", "");
    let mut config = node.config(&yaml);
    let next = Arc::new(Mutex::new(node.manifest(&yaml)));
    let read = next.clone();
    config.source = Some(Source(Arc::new(move || Ok(read.lock().unwrap().clone()))));
    node.run_config(config, async move |board| {
        board.running("web", "main").await;
        assert_eq!(board.0.reload(), Ok(Reload::Unchanged));
        let size = next.lock().unwrap().len();
        next.lock().unwrap()[size - 1] ^= 1;
        let refused = board.0.reload().unwrap_err().to_string();
        assert!(refused.starts_with("manifest: the body's checksum does not match"), "{refused}");
        assert_eq!(board.event("FailedReload").await, format!("{refused}; the one in force stays"));
        assert_eq!(board.restarts("web", "main"), 0);
    });
}

/// `podlingd run`, as a process of its own.
struct Process {
    child: std::process::Child,
    socket: PathBuf,
}

impl Process {
    fn start(node: &Node, manifest: &Path) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podlingd"));
        let child = command.arg("run").arg(manifest).arg(node.data_dir().join("images")).spawn().unwrap();
        let socket = PathBuf::from(format!("/run/podling-run.{}/run/console.sock", child.id()));
        Process { child, socket }
    }

    /// Asks its console until the answer satisfies.
    fn until(&mut self, command: &[&str], satisfies: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + node::PATIENCE;
        loop {
            let mut ask = Command::new(env!("CARGO_BIN_EXE_podlingd"));
            let output = ask.arg("--socket").arg(&self.socket).args(command).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            if satisfies(&text) {
                return text;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "it has ended");
            assert!(Instant::now() < end, "{command:?}: {text}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

#[test]
fn sighup_has_the_agent_start_anew_with_the_pods_in_place() {
    let node = Node::new();
    let manifest = node.root.join("manifest");
    let yaml = |word: &str| pod("changes", &format!(": {word}; {FOREVER}"), "", "") + &pod("stays", FOREVER, "", "");
    fs::write(&manifest, node.manifest(&yaml("one"))).unwrap();
    let mut run = Process::start(&node, &manifest);
    let uid = |run: &mut Process, pod: &str| {
        let yaml = run.until(&["get", "pod", pod, "-o", "yaml"], |yaml| yaml.contains("phase: Running"));
        yaml.lines().find_map(|line| line.trim().strip_prefix("uid: ")).expect("its UID").to_string()
    };
    let before = ["changes", "stays"].map(|pod| uid(&mut run, pod));

    fs::write(&manifest, "no manifest").unwrap();
    run.signal(Signal::HUP);
    run.until(&["events"], |events| events.contains("FailedReload"));
    assert_eq!(["changes", "stays"].map(|pod| uid(&mut run, pod)), before);

    fs::write(&manifest, node.manifest(&yaml("two"))).unwrap();
    run.signal(Signal::HUP);
    run.until(&["get", "pod", "changes", "-o", "yaml"], |yaml| {
        yaml.contains(": two;") && yaml.contains("phase: Running")
    });
    let after = ["changes", "stays"].map(|pod| uid(&mut run, pod));
    assert!(after[0] != before[0] && after[1] == before[1], "{before:?} {after:?}");

    run.signal(Signal::TERM);
    assert!(run.child.wait().unwrap().success());
    let name = format!("podling-run.{}", run.child.id());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!Path::new("/run").join(&name).exists() && !mounts.contains(&name), "{mounts}");
}
