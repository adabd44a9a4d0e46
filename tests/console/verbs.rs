//! What the verbs print, and what they ask of the board.

use crate::fake::{Fake, NOW, arena, container, event, exit, pod, running, status, view, web};
use podling::console::board::Board;
use podling::console::grammar;
use podling::console::outbox::{Outbox, Style};
use podling::console::verbs::{Io, run};
use podling::console::view::ContainerView;
use podling::console::wire::{self, Kind};
use podling::manifest::owner::{Controller, Owner, Update};
use podling::manifest::pod::*;
use podling::manifest::status::{ContainerState, Phase, Reason, Uid};
use podling::manifest::time::Instant;
use std::rc::Rc;

/// What a command printed on its two outputs, and its exit code.
pub struct Printed {
    pub out: String,
    pub err: String,
    pub code: u8,
}

/// Everything that a stream takes, without end.
pub struct Sink(pub Vec<u8>);

impl embedded_io::ErrorType for Sink {
    type Error = core::convert::Infallible;
}
impl embedded_io::WriteReady for Sink {
    fn write_ready(&mut self) -> Result<bool, Self::Error> {
        Ok(true)
    }
}
impl embedded_io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

fn decode(bytes: &[u8], printed: &mut Printed) {
    let mut rest = bytes;
    while let Some((kind, body, length)) = wire::decode(rest).unwrap() {
        let text = std::str::from_utf8(body).unwrap();
        match kind {
            Kind::Out => printed.out.push_str(text),
            Kind::Err => printed.err.push_str(text),
            kind => panic!("{kind:?}"),
        }
        rest = &rest[length..];
    }
}

/// Carries a line out to its end, while `meanwhile` is called each time that it waits.
pub fn told_meanwhile(board: &Rc<Fake>, line: &str, mut meanwhile: impl FnMut(&Fake)) -> Printed {
    let outbox = Rc::new(Outbox::new(Style::Frames));
    let io = Io { outbox: outbox.clone(), width: None, stdin: None, terminal: None };
    let command = grammar::line(line.as_bytes()).unwrap().unwrap();
    let mut printed = Printed { out: String::new(), err: String::new(), code: 255 };
    let mut sink = Sink(Vec::new());
    smol::block_on(async {
        let mut work = Box::pin(run(&**board, command, &io));
        let code = std::future::poll_fn(|cx| {
            let polled = work.as_mut().poll(cx);
            outbox.drain(&mut sink).unwrap();
            if polled.is_pending() {
                meanwhile(board);
            }
            polled
        });
        printed.code = code.await;
    });
    decode(&sink.0, &mut printed);
    printed
}

pub fn told(board: &Rc<Fake>, line: &str) -> Printed {
    told_meanwhile(board, line, |_| {})
}

#[test]
fn get_pods() {
    let crashed = ContainerView {
        restarts: 3,
        last: Some(exit(1)),
        ..view(ContainerKind::App, ContainerState::Waiting(Reason::CrashLoopBackOff))
    };
    let mut db = status(Phase::Running, &[crashed]);
    db.uid = Uid([1; 16]);
    db.ip = None;
    let mut other = pod("dns", &[container("dns", ContainerKind::App)]);
    other.namespace = "kube-system";
    let board = Fake::new(&[web(), (pod("db", &[container("db", ContainerKind::App)]), db), (other, web().1)]);
    insta::assert_snapshot!(told(&board, "get pods").out, @r"
    NAME   READY   STATUS             RESTARTS      AGE
    web    2/2     Running            0             3m12s
    db     0/1     CrashLoopBackOff   3 (12s ago)   3m12s
    ");
    insta::assert_snapshot!(told(&board, "get pods -o wide").out, @r"
    NAME   READY   STATUS             RESTARTS      AGE     IP          NODE   READINESS GATES
    web    2/2     Running            0             3m12s   10.0.2.15   qemu   <none>
    db     0/1     CrashLoopBackOff   3 (12s ago)   3m12s   <none>      qemu   <none>
    ");
    insta::assert_snapshot!(told(&board, "get po -A").out, @r"
    NAMESPACE     NAME   READY   STATUS             RESTARTS      AGE
    default       web    2/2     Running            0             3m12s
    default       db     0/1     CrashLoopBackOff   3 (12s ago)   3m12s
    kube-system   dns    2/2     Running            0             3m12s
    ");
    assert_eq!(told(&board, "get pods -o name").out, "pod/web\npod/db\n");
    let some = told(&board, "get pods web nope");
    assert_eq!(
        (some.out.lines().count(), some.err.as_str(), some.code),
        (2, "Error from server (NotFound): pods \"nope\" not found\n", 1)
    );
    assert_eq!(told(&board, "get pods -n empty").err, "No resources found in empty namespace.\n");
    assert_eq!(told(&Fake::new(&[]), "get pods -A").err, "No resources found\n");
}

/// `-w` tells each change once, and nothing where nothing changed.
#[test]
fn get_pods_watches() {
    let board = Fake::new(&[web()]);
    let mut step = 0;
    let outbox = Rc::new(Outbox::new(Style::Terminal));
    let io = Io { outbox: outbox.clone(), width: None, stdin: None, terminal: None };
    let mut sink = Sink(Vec::new());
    let mut work = Box::pin(run(&*board, grammar::line(b"get pods -w").unwrap().unwrap(), &io));
    smol::block_on(std::future::poll_fn(|cx| {
        assert!(work.as_mut().poll(cx).is_pending());
        outbox.drain(&mut sink).unwrap();
        step += 1;
        if step == 2 {
            board.pods.borrow_mut()[0].1.terminating = true;
        }
        board.change();
        if step < 4 { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    }));
    let shown = String::from_utf8(sink.0).unwrap();
    let words: Vec<&str> = shown.lines().map(|line| line.split_whitespace().nth(2).unwrap()).collect();
    assert_eq!(words, ["STATUS", "Running", "Terminating"]);
}

#[test]
fn get_events() {
    let board = Fake::new(&[web()]);
    assert_eq!(told(&board, "events").err, "No resources found in default namespace.\n");
    let mut warning =
        event("BackOff", "Back-off restarting failed container server in pod web, which is a long story of its own");
    (warning.warning, warning.count, warning.last) = (true, 4, NOW);
    let mut node = event("NodeDegraded", "no memory controller");
    (node.namespace, node.object) = ("".into(), "qemu".into());
    *board.events.borrow_mut() = vec![event("Started", "Started container server"), node, warning];
    insta::assert_snapshot!(told(&board, "get events").out, @r"
    LAST SEEN   TYPE      REASON         OBJECT      MESSAGE
    3m12s       Normal    Started        pod/web     Started container server
    3m12s       Normal    NodeDegraded   node/qemu   no memory controller
    0s          Warning   BackOff        pod/web     Back-off restarting failed container server in pod web, which is a long story of its own
    ");
}

/// Spec 67, 77, 82: what is asked for, the warning of a forced one, and the wait for the end.
#[test]
fn spec_67_77_82_delete() {
    let board = Fake::new(&[web()]);
    let mut polls = 0;
    let printed = told_meanwhile(&board, "delete pod web nope --grace-period=5", |board| {
        polls += 1;
        board.remains.borrow_mut().clear();
        board.change();
    });
    assert_eq!(printed.out, "pod \"web\" deleted\n");
    assert_eq!(printed.err, "Error from server (NotFound): pods \"nope\" not found\n");
    assert_eq!((printed.code, polls), (1, 1));
    let board = Fake::new(&[web()]);
    let printed = told_meanwhile(&board, "delete pod web --force", |_| panic!("a forced delete does not wait"));
    assert_eq!(printed.out, "pod \"web\" force deleted\n");
    assert!(printed.err.starts_with(
        "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated."
    ));
    assert_eq!(*board.asked.borrow(), ["delete web Some(Duration(0)) true"]);
    let board = Fake::new(&[web()]);
    told_meanwhile(&board, "delete pod web --wait=false", |_| panic!("it is not waited for"));
    assert_eq!(*board.asked.borrow(), ["delete web None false"]);
}

#[test]
fn logs() {
    let board = Fake::new(&[web()]);
    *board.output.borrow_mut() =
        [(false, b"one\ntw".to_vec()), (true, b"err\n".to_vec()), (false, b"o\n".to_vec())].into();
    let printed = told(&board, "logs web");
    assert_eq!(printed.out, "one\ntwerr\no\n");
    assert_eq!(printed.err, "Defaulted container \"server\" out of: server, puller\n");
    *board.output.borrow_mut() = [(false, b"one\ntw".to_vec()), (false, b"o\n".to_vec())].into();
    let printed = told(&board, "logs web -c puller --timestamps --tail 7");
    assert_eq!(printed.out, "2026-11-20T13:00:00.000000042Z one\n2026-11-20T13:00:00.000000042Z two\n");
    assert_eq!(printed.err, "");
    let refused = |line| told(&board, line).err;
    assert_eq!(
        refused("logs web -c puller -p"),
        "Error from server (BadRequest): previous terminated container \"puller\" in pod \"web\" not found\n"
    );
    assert_eq!(refused("logs web -c nope"), "error: container nope is not valid for pod web\n");
    assert_eq!(refused("logs nope"), "Error from server (NotFound): pods \"nope\" not found\n");
    assert_eq!(*board.asked.borrow(), ["logs server false None", "logs puller false Some(7)", "logs puller true None"]);
}

/// `-f` prints what comes later, and ends with the container.
#[test]
fn logs_follow() {
    let board = Fake::new(&[web()]);
    board.running.set(true);
    let mut later = vec!["b\n", "a\n"];
    let printed = told_meanwhile(&board, "logs web -c server -f", |board| {
        match later.pop() {
            Some(text) => board.output.borrow_mut().push_back((false, text.into())),
            None => board.running.set(false),
        }
        board.change();
    });
    assert_eq!((printed.out.as_str(), printed.code), ("a\nb\n", 0));
}

/// Spec 41: the exit code is passed on, and so is every byte of both outputs.
#[test]
fn spec_41_exec() {
    let board = Fake::new(&[web()]);
    let printed = told(&board, "exec web -c server -- sh -c 'echo out; echo err >&2; exit 7'");
    assert_eq!((printed.out.as_str(), printed.code), ("out\n", 7));
    assert_eq!(printed.err, "err\ncommand terminated with exit code 7\n");
    let printed = told(&board, "exec web -c server -- sh -c 'head -c 300000 /dev/zero | tr \"\\0\" x'");
    assert_eq!((printed.out.len(), printed.code), (300_000, 0));
    // Without -i there is nothing to read.
    assert_eq!(told(&board, "exec web -c server -- cat").code, 0);
    assert_eq!(told(&board, "exec web -c nope -- cat").err, "error: container nope is not valid for pod web\n");
}

/// What a program leaves running in the background does not hold its exec up, though it holds its outputs open.
#[test]
fn exec_ends_with_its_program() {
    let mark = tempfile::NamedTempFile::new().unwrap();
    let waits = format!(
        "n=0; while test -e {} && test $n -lt 100; do sleep 0.1; n=$((n+1)); done; echo late",
        mark.path().display()
    );
    let board = Fake::new(&[web()]);
    let printed = told(&board, &format!("exec web -c server -- sh -c '({waits}) & echo early'"));
    assert_eq!((printed.out.as_str(), printed.code), ("early\n", 0));
}

#[test]
fn restart_and_power() {
    let board = Fake::new(&[web()]);
    assert_eq!(told(&board, "restart web").out, "pod \"web\" restarted\n");
    assert_eq!(told(&board, "restart pod/web -c server").out, "container \"server\" of pod \"web\" restarted\n");
    assert_eq!(told(&board, "restart nope").err, "Error from server (NotFound): pods \"nope\" not found\n");
    told(&board, "reboot");
    told(&board, "poweroff");
    assert_eq!(*board.asked.borrow(), ["restart web None", "restart web Some(\"server\")", "Reboot", "PowerOff"]);
}

#[test]
fn top_and_version() {
    let board = Fake::new(&[web()]);
    insta::assert_snapshot!(told(&board, "top pods").out, @r"
    NAME   CPU(cores)   MEMORY(bytes)
    web    0m           12Mi
    ");
    let version = told(&board, "version").out;
    assert!(version.contains("Kernel:    6.1.0 aarch64\n") && version.contains("Manifest:  sequence 3\n"), "{version}");
}

/// Help fits the terminal, and names every verb.
#[test]
fn help_fits() {
    let board = Fake::new(&[]);
    for verb in podling::console::catalog::VERBS {
        let text = told(&board, &format!("help {}", verb.name)).out;
        assert!(text.lines().all(|line| line.len() < 80), "{text}");
        assert!(told(&board, "help").out.contains(verb.name));
    }
    assert!(told(&board, "help").out.lines().all(|line| line.len() < 80));
}

#[test]
fn describe() {
    let arena = arena();
    let mut server = container("server", ContainerKind::App);
    server.command = Some(arena.list(["nginx", "-g", "daemon off;"]));
    server.env = arena.list([
        EnvVar { key: "MODE", value: "fast", secret: false },
        EnvVar { key: "TOKEN", value: "hunter2", secret: true },
    ]);
    server.ports = arena.list([Port { container: 80, udp: false }]);
    server.mounts = arena.list([Mount { volume: 0, path: "/www", read_only: true, ..Mount::default() }]);
    server.resources = Resources {
        cpu_request_milli: 100,
        cpu_limit_milli: Some(500),
        memory_request: 0,
        memory_limit: Some(64 << 20),
        ..Resources::default()
    };
    let mut it = pod("web", &[container("prepare", ContainerKind::Init), server]);
    it.labels = arena.list([Pair { key: "app", value: "web" }, Pair { key: "tier", value: "front" }]);
    let volume = |name, source| Volume { name, source };
    it.volumes = arena.list([
        volume("www", Source::EmptyDir { medium: Medium::Memory, size_limit: Some(1 << 20) }),
        volume("dev", Source::HostPath { path: "/dev", kind: HostPathKind::Directory }),
        volume(
            "keys",
            Source::Files { secret: true, files: arena.list([File { path: "key", mode: 0o600, data: b"hunter2" }]) },
        ),
    ]);
    let crashed = ContainerView { restarts: 2, last: Some(exit(3)), ..view(ContainerKind::App, running()) };
    let board = Fake::new(&[(
        it,
        status(Phase::Running, &[view(ContainerKind::Init, ContainerState::Terminated(exit(0))), crashed]),
    )]);
    *board.events.borrow_mut() = vec![event("Started", "Started container server")];
    let text = told(&board, "describe pod web").out;
    assert!(!text.contains("hunter2"), "a secret is shown");
    insta::assert_snapshot!(text, @r"
    Name:         web
    Namespace:    default
    Node:         qemu/10.0.2.15
    Start Time:   Fri, 20 Nov 2026 12:56:48 +0000
    Labels:       app=web
                  tier=front
    Annotations:  <none>
    UID:          07070707-0707-4707-8707-070707070707
    Status:       Running
    IP:           10.0.2.15
    Init Containers:
      prepare:
        Image:          docker.io/library/nginx:latest
        Port:           <none>
        State:          Terminated
          Reason:       Completed
          Exit Code:    0
          Started:      Fri, 20 Nov 2026 12:59:30 +0000
          Finished:     Fri, 20 Nov 2026 12:59:48 +0000
        Ready:          False
        Restart Count:  0
        Environment:    <none>
        Mounts:         <none>
    Containers:
      server:
        Image:  docker.io/library/nginx:latest
        Port:   80/TCP
        Command:
          nginx
          -g
          daemon off;
        State:          Running
          Started:      Fri, 20 Nov 2026 12:59:00 +0000
        Last State:     Terminated
          Reason:       Error
          Exit Code:    3
          Started:      Fri, 20 Nov 2026 12:59:30 +0000
          Finished:     Fri, 20 Nov 2026 12:59:48 +0000
        Ready:          True
        Restart Count:  2
        Limits:
          cpu:     500m
          memory:  64Mi
        Requests:
          cpu:  100m
        Environment:
          MODE:   fast
          TOKEN:  <redacted>
        Mounts:
          /www from www (ro)
    Conditions:
      Type         Status  Reason
      Initialized  True
      Ready        True
    Volumes:
      www:
        Type:       EmptyDir (a temporary directory that shares a pod's lifetime)
        Medium:     Memory
        SizeLimit:  1Mi
      dev:
        Type:          HostPath (bare host directory volume)
        Path:          /dev
        HostPathType:  Directory
      keys:
        Type:   Secret (a volume populated by a Secret)
        Files:  key (7 bytes)
    QoS Class:  Burstable
    Events:
      Type    Reason   Age    From     Message
      ----    ------   ----   ----     -------
      Normal  Started  3m12s  podling  Started container server
    ");
}

/// Spec 103: as long as the clock is not set, moments are told by how long ago they were.
#[test]
fn spec_103_no_clock() {
    let (it, mut status) = web();
    status.scene.clock = podling::console::clock::Clock::new(NOW, 5);
    status.created = Instant(NOW.0 - 192_000);
    let board = Fake::new(&[(it, status)]);
    assert!(told(&board, "describe pod web").out.contains("Start Time:   3m12s ago (clock not synced)\n"));
    assert!(!told(&board, "get pod web -o yaml").out.contains("Time"));
    assert!(board.clock().date(NOW).is_some());
}

#[test]
fn spec_54_the_owner_of_a_pod_is_shown_as_kubectl_does() {
    let (mut pod, status) = web();
    let controller = Controller::ReplicaSet(Update::NONE);
    pod.owner = Some(Owner { controller, name: "web-5f7c" });
    let board = Fake::new(&[(pod, status)]);
    let text = told(&board, "describe pod web").out;
    assert!(text.contains("Controlled By:  ReplicaSet/web-5f7c\n"), "{text}");
    let text = told(&board, "get pod web -o yaml").out;
    let owner =
        "ownerReferences:\n  - apiVersion: apps/v1\n    controller: true\n    kind: ReplicaSet\n    name: web-5f7c\n";
    assert!(text.contains(owner), "{text}");
}

#[test]
fn spec_13_a_pod_has_a_spec_and_a_status() {
    let text = told(&Fake::new(&[web()]), "get pod web -o yaml").out;
    assert!(text.contains("\nspec:\n") && text.contains("\nstatus:\n"), "{text}");
}
