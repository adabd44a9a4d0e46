//! How probes and hooks are shown: by `get -o yaml` as what was asked for, by `describe` in kubectl's words.

use super::fake::*;
use super::verbs::told_meanwhile;
use podling::console::object::{self, Format, Options};
use podling::manifest::pod::{Container, ContainerKind, EnvVar, Hook, Pair};
use podling::manifest::probe::{Action, HttpGet, Probe, ProbeKind, Scheme, Timing};
use podling::manifest::status::Phase;

fn server() -> Container<'static> {
    let arena = arena();
    let mut server = container("server", ContainerKind::App);
    server.env = arena.list([EnvVar { key: "WHO", value: "me", secret: false }]);
    let headers = arena.list([Pair { key: "X-A", value: "b" }]);
    let get = HttpGet { host: "", port: 80, path: "/healthz", headers, scheme: Scheme::Http };
    server.post_start = Some(Hook::HttpGet(get));
    server.pre_stop = Some(Hook::Sleep(3));
    let timing = Timing { delay_seconds: 3, period_seconds: 5, grace_seconds: Some(7), ..Timing::default() };
    server.probes = arena.list([
        Probe { kind: ProbeKind::Startup, timing, action: Action::Exec(arena.list(["check", "$(WHO)"])) },
        Probe { kind: ProbeKind::Liveness, timing: Timing::default(), action: Action::HttpGet(get) },
        Probe {
            kind: ProbeKind::Readiness,
            timing: Timing { successes: 2, ..Timing::default() },
            action: Action::TcpSocket { host: "10.0.0.9", port: 81 },
        },
    ]);
    server
}

#[test]
fn a_pod_shows_its_probes_and_hooks() {
    let mut text = String::new();
    object::pod(&pod("web", &[server()]), None, Format::Yaml, Options::default(), &mut text).unwrap();
    insta::assert_snapshot!(text, @r#"
    apiVersion: v1
    kind: Pod
    metadata:
      name: web
      namespace: default
    spec:
      containers:
      - env:
        - name: WHO
          value: me
        image: docker.io/library/nginx:latest
        lifecycle:
          postStart:
            httpGet:
              httpHeaders:
              - name: X-A
                value: b
              path: /healthz
              port: 80
              scheme: HTTP
          preStop:
            sleep:
              seconds: 3
        livenessProbe:
          failureThreshold: 3
          httpGet:
            httpHeaders:
            - name: X-A
              value: b
            path: /healthz
            port: 80
            scheme: HTTP
          periodSeconds: 10
          successThreshold: 1
          timeoutSeconds: 1
        name: server
        readinessProbe:
          failureThreshold: 3
          periodSeconds: 10
          successThreshold: 2
          tcpSocket:
            host: 10.0.0.9
            port: 81
          timeoutSeconds: 1
        startupProbe:
          exec:
            command:
            - check
            - $$(WHO)
          failureThreshold: 3
          initialDelaySeconds: 3
          periodSeconds: 5
          successThreshold: 1
          terminationGracePeriodSeconds: 7
          timeoutSeconds: 1
      restartPolicy: Always
      terminationGracePeriodSeconds: 30
    "#);
}

#[test]
fn describe_has_a_line_for_each_probe() {
    let mut other = container("other", ContainerKind::App);
    let action = Action::Grpc { port: 9090, service: "db" };
    other.probes = arena().list([Probe { kind: ProbeKind::Liveness, timing: Timing::default(), action }]);
    let views = [view(ContainerKind::App, running()), view(ContainerKind::App, running())];
    let board = Fake::new(&[(pod("web", &[server(), other]), status(Phase::Running, &views))]);
    let text = told_meanwhile(&board, "describe pod web", |_| {}).out;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| line.contains("delay=")).collect();
    assert_eq!(
        lines,
        [
            "Liveness:       http-get http://:80/healthz delay=0s timeout=1s period=10s #success=1 #failure=3",
            "Readiness:      tcp-socket 10.0.0.9:81 delay=0s timeout=1s period=10s #success=2 #failure=3",
            "Startup:        exec [check $(WHO)] delay=3s timeout=1s period=5s #success=1 #failure=3",
            "Liveness:       grpc <pod>:9090 db delay=0s timeout=1s period=10s #success=1 #failure=3",
        ]
    );
}

/// spec 44: `started` and `ready` are two things.
#[test]
fn spec_44_a_container_that_has_started_need_not_be_ready() {
    let mut text = String::new();
    let unready = podling::console::view::ContainerView { ready: false, ..view(ContainerKind::App, running()) };
    let status = status(Phase::Running, &[unready]);
    object::pod(&pod("web", &[server()]), Some(&status), Format::Yaml, Options::default(), &mut text).unwrap();
    assert!(text.contains("    ready: false\n    restartCount: 0\n    started: true\n"), "{text}");
}
