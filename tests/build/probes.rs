//! What probes and hooks come out as: the API server's defaults, ports by name, commands with their variables.

use super::{compile, pod};
use podling::manifest::check;
use podling::manifest::pod::{Container, Hook};
use podling::manifest::probe::{Action, HttpGet, Probe, ProbeKind, Timing};

/// Calls `look` with the one container of a pod, and its probes.
#[track_caller]
fn container(text: &str, look: impl FnOnce(Container<'_>, Vec<Probe<'_>>)) {
    let body = compile(&pod("", text)).body();
    let container = check::manifest(&body).unwrap().pods.get(0).unwrap().containers.get(0).unwrap();
    look(container, container.probes.iter().collect());
}

#[test]
fn spec_42_defaults_are_the_api_servers_and_a_zero_asks_for_them() {
    let zeroes =
        "timeoutSeconds: 0, periodSeconds: 0, successThreshold: 0, failureThreshold: 0, initialDelaySeconds: 0";
    let text = format!(
        "readinessProbe: {{tcpSocket: {{port: 1}}}}, livenessProbe: {{grpc: {{port: 2}}, {zeroes}}}, startupProbe: {{httpGet: {{port: 3}}}}"
    );
    container(&text, |_, probes| {
        let default = Timing {
            delay_seconds: 0,
            period_seconds: 10,
            timeout_seconds: 1,
            successes: 1,
            failures: 3,
            grace_seconds: None,
        };
        assert!(probes.iter().all(|probe| probe.timing == default), "{probes:?}");
        let kinds: Vec<ProbeKind> = probes.iter().map(|probe| probe.kind).collect();
        assert_eq!(kinds, ProbeKind::ALL, "in their order, whatever that of the file");
        let Action::HttpGet(HttpGet { host, path, headers, .. }) = probes[0].action else { panic!("{probes:?}") };
        assert_eq!((host, path, headers.len()), ("", "/", 0));
        assert_eq!(probes[1].action, Action::Grpc { port: 2, service: "" });
        assert_eq!(probes[2].action, Action::TcpSocket { host: "", port: 1 });
    });
}

#[test]
fn spec_42_ports_have_names_and_a_probes_command_has_variables() {
    let text = "ports: [{name: web, containerPort: 80}, {name: admin, containerPort: 81}],
      env: [{name: WHO, value: me}],
      livenessProbe: {exec: {command: [check, $(WHO), $$(WHO)]}, terminationGracePeriodSeconds: 7},
      readinessProbe: {httpGet: {port: admin, host: localhost, path: up?a=b, scheme: HTTP}, successThreshold: 4},
      lifecycle: {postStart: {exec: {command: [greet, $(WHO)]}}, preStop: {httpGet: {port: web}}}";
    container(text, |container, probes| {
        let Action::Exec(words) = probes[0].action else { panic!("{probes:?}") };
        assert_eq!(words.iter().collect::<Vec<_>>(), ["check", "me", "$(WHO)"]);
        assert_eq!(probes[0].timing.grace_seconds, Some(7));
        let Action::HttpGet(get) = probes[1].action else { panic!("{probes:?}") };
        assert_eq!((get.port, get.host, get.path), (81, "127.0.0.1", "/up?a=b"));
        assert_eq!(probes[1].timing.successes, 4);
        let Some(Hook::Exec(words)) = container.post_start else { panic!("{container:?}") };
        assert_eq!(words.iter().collect::<Vec<_>>(), ["greet", "$(WHO)"], "Kubernetes expands nothing in a hook");
        let Some(Hook::HttpGet(get)) = container.pre_stop else { panic!("{container:?}") };
        assert_eq!(get.port, 80);
    });
}
