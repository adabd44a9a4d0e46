//! What an agent gives a container: an image that is whole and for this processor, and the pod's own files of /etc. Needs root.

mod node;

use node::{Node, pod};
use podling::agent::Refusal;
use podling::manifest::limits;
use podling::manifest::status::{ContainerState, Reason};
use std::fs;

#[test]
fn an_image_that_was_cut_off_is_refused() {
    let node = Node::new();
    for file in fs::read_dir(node.data_dir().join("images")).unwrap().flatten() {
        if file.path().extension().is_some_and(|it| it == "squashfs") {
            fs::OpenOptions::new().write(true).open(file.path()).unwrap().set_len(4096).unwrap();
        }
    }
    node.run(&pod("cut", "true", "", ""), async |board| {
        let why = board.until("refused", |agent| {
            let entry = agent.find("default", "cut")?;
            let container = &entry.machine().containers()[0];
            (container.state() == ContainerState::Waiting(Reason::ImageInvalid))
                .then(|| container.message().to_string())
        });
        assert!(why.await.contains("has 4096 bytes where its record speaks of"));
    });
}

/// Without a word from the agent it would fail at exec, as "Exec format error".
#[test]
fn an_image_for_another_processor_is_refused() {
    let node = Node::new();
    node.put_image_for("riscv64");
    node.run(&pod("foreign", "true", "", ""), async |board| {
        let why = board.until("refused", |agent| {
            let entry = agent.find("default", "foreign")?;
            let container = &entry.machine().containers()[0];
            (container.state() == ContainerState::Waiting(Reason::ImageInvalid))
                .then(|| container.message().to_string())
        });
        let why = why.await;
        let wanted = "image docker.io/library/busybox:latest cannot be used: it is for riscv64, and this node is ";
        assert!(why.starts_with(wanted) && why.ends_with("; pack it again"), "{why}");
    });
}

/// The pod's own /etc/hosts is writable as with kubelet, but by whom the container's root is, and within bounds.
#[test]
fn managed_files_are_writable_within_bounds() {
    let node = Node::new();
    let user = "securityContext: {runAsUser: 1000}";
    let yaml = pod("root", "exec sleep 1000", "", "")
        + &pod("user", "exec sleep 1000", "", user)
        + &pod("fixed", "exec sleep 1000", "", "securityContext: {readOnlyRootFilesystem: true}");
    node.run(&yaml, async |board| {
        for name in ["root", "user", "fixed"] {
            board.running(name, "main").await;
        }
        let write =
            "echo 10.1.1.1 added >> /etc/hosts; echo added >> /etc/hostname; grep -c added /etc/hosts /etc/hostname";
        let (_, said) = board.shell("root", "main", write).await;
        assert_eq!(said, "/etc/hosts:1\n/etc/hostname:1\n");
        assert!(board.shell("user", "main", write).await.1.contains("Permission denied"));
        assert!(board.shell("fixed", "main", write).await.1.contains("Read-only file system"));

        let fill = "cat /dev/zero > /etc/resolv.conf; wc -c < /etc/resolv.conf";
        let (_, said) = board.shell("root", "main", fill).await;
        let (why, bytes) = said.trim().rsplit_once('\n').expect("two lines");
        assert!(why.contains("No space left") && bytes.parse::<u64>().unwrap() <= limits::MANAGED_FILES, "{said}");
        // It is the pod's own, and no harm to the next instance.
        board.0.restart("default", "root", Some("main")).unwrap();
        board.until("the next instance", |_| (board.restarts("root", "main") > 0).then_some(())).await;
        board.running("root", "main").await;
    });
}

#[test]
fn dns_config_alone_or_beside_what_the_board_has() {
    let config =
        "{nameservers: [192.0.2.1], searches: [example.org], options: [{name: ndots, value: '2'}, {name: edns0}]}";
    let yaml = pod("alone", "exec sleep 1000", &format!("dnsPolicy: None\ndnsConfig: {config}"), "")
        + &pod("beside", "exec sleep 1000", &format!("dnsConfig: {config}"), "");
    Node::new().run(&yaml, async |board| {
        board.running("alone", "main").await;
        let own = "search example.org\noptions ndots:2 edns0\nnameserver 192.0.2.1\n";
        assert_eq!(board.shell("alone", "main", "cat /etc/resolv.conf").await, (0, own.into()));
        board.running("beside", "main").await;
        let (_, text) = board.shell("beside", "main", "cat /etc/resolv.conf").await;
        assert!(text.ends_with("nameserver 192.0.2.1\n") && text.contains("example.org"), "{text}");
    });
}

#[test]
fn spec_71_a_stop_signal_of_the_pods_own() {
    let node = Node::new();
    let heard = node.root.join("heard");
    std::fs::create_dir(&heard).unwrap();
    let more =
        format!("terminationGracePeriodSeconds: 1000\nvolumes: [{{name: v, hostPath: {{path: {}}}}}]", heard.display());
    let inside = "lifecycle: {stopSignal: SIGUSR1}\nvolumeMounts: [{name: v, mountPath: /heard}]";
    let script = "trap 'echo usr1 > /heard/it; exit 0' USR1; touch /ready; while true; do sleep 0.05; done";
    node.run(&pod("own", script, &more, inside), async |board| {
        board.ready("own").await;
        let uid = board.uid("own");
        board.0.delete("default", "own", None, false).unwrap();
        board.gone(&uid).await;
    });
    assert_eq!(std::fs::read_to_string(heard.join("it")).unwrap(), "usr1\n");
}

#[test]
fn spec_26_a_host_name_may_be_overridden() {
    Node::new().run(&pod("named", "exec sleep 1000", "hostnameOverride: db.example.org", ""), async |board| {
        board.running("named", "main").await;
        assert_eq!(board.shell("named", "main", "hostname").await, (0, "db.example.org\n".into()));
    });
}

/// Variables out of a file that an init container has written, as `fileKeyRef` asks for them: `of` is more of it.
fn from_file(name: &str, write: &str, of: &str) -> String {
    let init = format!(
        "initContainers: [{{name: write, image: busybox, command: [/bin/sh, -c, {}], volumeMounts: [{{name: v, mountPath: /v}}]}}]",
        serde_json::to_string(write).unwrap()
    );
    let more = format!("volumes: [{{name: v, emptyDir: {{}}}}]\n{init}");
    let script = "echo env=$ONE=; echo is '$(ONE)'; exec sleep 1000";
    pod(
        name,
        script,
        &more,
        &format!("env: [{{name: ONE, valueFrom: {{fileKeyRef: {{volumeName: v, path: d/env, {of}}}}}}}]"),
    )
}

#[test]
fn spec_36_variables_come_out_of_a_file_that_an_init_container_has_written() {
    let node = Node::new();
    let write = "mkdir /v/d; printf \"# comment\\nA='first'\\nB='two\\nlines'\\n\" > /v/d/file; ln -s file /v/d/env";
    let yaml = from_file("plain", write, "key: A")
        + &from_file("missing", write, "key: C, optional: true")
        + &from_file("nothing", "true", "key: A, optional: true");
    node.run(&yaml, async |board| {
        for name in ["plain", "missing", "nothing"] {
            board.running(name, "main").await;
        }
        // The command refers to it as well.
        assert!(board.wrote("plain", "main", "is first\n").await.starts_with("env=first=\n"));
        for name in ["missing", "nothing"] {
            let env = board.wrote(name, "main", "is $(ONE)\n").await;
            assert!(env.starts_with("env==\n"), "{env}");
        }
    });
}

#[test]
fn spec_36_a_file_that_is_none_of_variables_is_refused() {
    let node = Node::new();
    let write = |what: &str| format!("mkdir /v/d; {what}");
    let cases = [
        ("key", write("echo \"B='1'\" > /v/d/env"), "environment variable key A not found"),
        ("file", write("true"), "No such file"),
        ("form", write("echo \"A='1'\" > /v/d/env; echo B=2 >> /v/d/env"), "line 2 is not of the form NAME='value'"),
        (
            "large",
            write("/bin/busybox head -c 65537 /dev/zero | /bin/busybox tr '\\0' '\\n' > /v/d/env"),
            "it has more than 64 KiB",
        ),
        ("out", write("ln -s /etc/hostname /v/d/env"), "cross-device link"),
        ("pipe", write("/bin/busybox mkfifo /v/d/env"), "it is not a file"),
    ];
    let yaml: String = cases.iter().map(|(name, write, _)| from_file(name, write, "key: A")).collect();
    node.run(&yaml, async move |board| {
        for (name, _, says) in cases {
            let refused = board.until("refused", |agent| {
                let entry = agent.find("default", name)?;
                let container = &entry.machine().containers()[1];
                (container.state() == ContainerState::Waiting(Reason::CreateContainerConfigError))
                    .then(|| container.message().to_string())
            });
            let why = refused.await;
            assert!(why.starts_with("file d/env of volume v: ") && why.contains(says), "{name}: {why}");
            let logs = board.0.logs("default", name, "main", false);
            assert!(matches!(logs, Err(Refusal::NotRunning(_))), "it has written nothing yet");
        }
    });
}
