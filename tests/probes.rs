//! Probes and hooks against real servers in real pods: what they see, and what becomes of the containers. Needs root.

mod node;

use node::{Board, FOREVER, Node, pod};
use podling::manifest::status::{ContainerState, Phase, Reason};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::thread;

/// A web server of busybox on port 80 of a pod that has only its loopback; what it serves is /www.
const HTTPD: &str = "mkdir -p /www; echo ok > /www/healthz; exec /bin/busybox httpd -f -p 80 -h /www";

impl Board {
    fn look<T>(&self, name: &str, look: impl FnOnce(&podling::machine::pod::Container) -> T) -> T {
        look(&self.0.find("default", name).expect("the pod").machine().containers()[0])
    }

    async fn is_ready(&self, name: &str, wanted: bool) {
        self.until(&format!("{name} is ready: {wanted}"), |_| {
            (self.look(name, |it| it.ready()) == wanted).then_some(())
        })
        .await;
    }

    async fn restarted(&self, name: &str, times: u32) {
        self.until(&format!("{name} has restarted {times} times"), |_| {
            (self.restarts(name, "main") >= times).then_some(())
        })
        .await;
    }

    /// Waits for an event of a pod whose message has these words in it, and gives it whole.
    async fn said(&self, name: &str, reason: &str, words: &str) -> String {
        self.until(&format!("{name}: {reason} {words}"), |agent| {
            let events = agent.events();
            let mut of = events.iter().filter(|event| *event.object == *name && event.reason == reason);
            of.find(|event| event.message.contains(words)).map(|event| event.message.to_string())
        })
        .await
    }
}

#[test]
fn spec_72_http_readiness_from_within_the_pods_own_network() {
    let probe = "ports: [{name: web, containerPort: 80}]\n\
        readinessProbe: {httpGet: {port: web, path: /healthz}, periodSeconds: 1, failureThreshold: 1}";
    Node::new().run(&pod("web", HTTPD, "", probe), async |board| {
        board.is_ready("web", true).await;
        assert_eq!(board.shell("web", "main", "rm /www/healthz").await.0, 0);
        board.is_ready("web", false).await;
        board.said("web", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404").await;
        assert_eq!(board.shell("web", "main", "echo ok > /www/healthz").await.0, 0);
        board.is_ready("web", true).await;
        assert_eq!(board.restarts("web", "main"), 0, "readiness never restarts");
    });
}

#[test]
fn spec_42_43_a_failing_liveness_restarts_with_back_off() {
    // It is healthy for a moment only; each instance is a fresh one. The probe looks once the script hears TERM.
    let script = "trap 'exit 0' TERM; touch /healthy /ready; sleep 0.3; rm /healthy; while true; do sleep 0.05; done";
    let look = "until test -e /ready; do sleep 0.01; done; cat /healthy";
    let probe = format!(
        "livenessProbe: {{exec: {{command: [sh, -c, '{look}']}}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 60}}"
    );
    let more = format!("restartPolicy: OnFailure\n{FOREVER}");
    Node::new().run(&pod("sick", script, &more, &probe), async |board| {
        // Its exit code is 0: that it failed its probe is what counts.
        board.restarted("sick", 5).await;
        let why = board.said("sick", "Unhealthy", "Liveness probe failed").await;
        assert_eq!(why, "Liveness probe failed: cat: can't open '/healthy': No such file or directory");
        board.said("sick", "Killing", "Container main failed liveness probe, will be restarted").await;
        board.said("sick", "BackOff", "back-off").await;
        let last = board.look("sick", |it| it.last()).unwrap();
        assert_eq!((last.reason, last.exit.code), (Reason::Completed, 0));
    });
}

#[test]
fn spec_42_a_refused_connection_and_a_hanging_program_are_failures() {
    let closed = "livenessProbe: {tcpSocket: {port: 81}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 60}";
    let hangs =
        "livenessProbe: {exec: {command: [sleep, '1000']}, periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 1}";
    let missing = "livenessProbe: {exec: {command: [/no/such/program]}, periodSeconds: 1, failureThreshold: 1}";
    let yaml = pod("closed", HTTPD, "restartPolicy: Never", closed)
        + &pod("hangs", "exec sleep 1000", "", hangs)
        + &pod("missing", "exec sleep 1000", "", missing)
        + &pod("open", HTTPD, "", &closed.replace("81", "80").replace("liveness", "readiness"));
    Node::new().run(&yaml, async |board| {
        board.is_ready("open", true).await;
        let why = board.said("closed", "Unhealthy", "Liveness").await;
        assert_eq!(why, "Liveness probe failed: dial tcp 127.0.0.1:81: connect: connection refused");
        board.phase("closed", Phase::Failed).await;
        let why = board.said("hangs", "Unhealthy", "Liveness").await;
        assert_eq!(why, "Liveness probe failed: command timed out: \"sleep 1000\" timed out after 1s");
        board.restarted("hangs", 2).await;
        // As in Kubernetes, a probe that cannot be carried out says nothing about the container.
        board.said("missing", "Unhealthy", "Liveness probe errored and resulted in unknown state").await;
        assert_eq!(board.restarts("missing", "main"), 0);
    });
}

#[test]
fn spec_44_a_slow_start_is_waited_for_by_the_startup_probe_alone() {
    let probes = "startupProbe: {exec: {command: [cat, /up]}, periodSeconds: 1, timeoutSeconds: 60, failureThreshold: 500}\n\
        livenessProbe: {exec: {command: [cat, /up]}, periodSeconds: 1, timeoutSeconds: 60, failureThreshold: 1}";
    let never = "startupProbe: {exec: {command: ['false']}, periodSeconds: 1, failureThreshold: 2}";
    let yaml = pod("slow", "exec sleep 1000", "", probes) + &pod("never", "exec sleep 1000", "", never);
    Node::new().run(&yaml, async |board| {
        board.running("slow", "main").await;
        board.said("slow", "Unhealthy", "Startup probe failed: cat: can't open '/up'").await;
        assert!(board.look("slow", |it| !it.has_started() && !it.ready()));
        assert_eq!(board.shell("slow", "main", "touch /up").await.0, 0);
        board.is_ready("slow", true).await;
        assert!(board.look("slow", |it| it.has_started()));
        assert_eq!(board.restarts("slow", "main"), 0);
        board.said("never", "Killing", "Container main failed startup probe, will be restarted").await;
        board.restarted("never", 2).await;
        board.said("never", "Unhealthy", "Startup probe failed: exit code 1").await;
    });
}

#[test]
fn spec_36_a_sidecar_with_a_startup_probe_holds_the_rest() {
    let yaml = pod(
        "mesh",
        "cat /shared/up && touch /shared/seen; exec sleep 1000",
        "
volumes: [{name: v, emptyDir: {}}]
initContainers:
- name: proxy
  image: busybox
  restartPolicy: Always
  command: [sleep, '1000']
  volumeMounts: [{name: v, mountPath: /shared}]
  startupProbe: {exec: {command: [cat, /shared/up]}, periodSeconds: 1, timeoutSeconds: 60, failureThreshold: 500}",
        "volumeMounts: [{name: v, mountPath: /shared}]",
    );
    Node::new().run(&yaml, async |board| {
        board.running("mesh", "proxy").await;
        board.said("mesh", "Unhealthy", "Startup probe failed").await;
        assert!(matches!(board.state("mesh", "main"), ContainerState::Waiting(Reason::PodInitializing)));
        assert_eq!(board.shell("mesh", "proxy", "touch /shared/up").await.0, 0);
        board.running("mesh", "main").await;
        let seen = board.shell("mesh", "main", "until test -e /shared/seen; do sleep 0.01; done").await;
        assert_eq!(seen.0, 0, "the sidecar was up before");
    });
}

/// A web server that answers `/a` by leading to `/b`, `/b` by whether it is greeted, `/elsewhere` by leading away, and the rest never.
fn web() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut hanging = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                request.push(byte[0]);
            }
            let request = String::from_utf8(request).unwrap();
            let greeted = request.contains("X-Hello: you\r\n") && request.contains("User-Agent: kube-probe/");
            let answer = match request.split(' ').nth(1) {
                Some("/a") => "HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n",
                Some("/b") if greeted => "HTTP/1.1 204 No Content\r\n\r\n",
                Some("/b") => "HTTP/1.1 403 Forbidden\r\n\r\n",
                Some("/elsewhere") => "HTTP/1.1 301 Moved\r\nLocation: http://example.org/\r\n\r\n",
                _ => {
                    hanging.push(stream);
                    continue;
                }
            };
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

#[test]
fn spec_42_http_redirects_headers_and_timeouts() {
    let port = web();
    let probe = |path: &str, more: &str| {
        format!(
            "readinessProbe: {{httpGet: {{port: {port}, path: {path}{more}}}, periodSeconds: 1, failureThreshold: 1}}"
        )
    };
    let hello = ", httpHeaders: [{name: X-Hello, value: you}]";
    let of = |name: &str, probe: &str| pod(name, "exec sleep 1000", "hostNetwork: true", probe);
    let yaml = of("led", &probe("/a", hello))
        + &of("unknown", &probe("/a", ""))
        + &of("away", &probe("/elsewhere", ""))
        // A host that is named is reached from the node, whatever network the pod has.
        + &pod("named", "exec sleep 1000", "", &probe("/b", &format!("{hello}, host: 127.0.0.1")))
        + &of("hung", &probe("/hang", ""));
    Node::new().run(&yaml, async move |board| {
        for name in ["led", "away", "named"] {
            board.is_ready(name, true).await;
        }
        board.said("away", "ProbeWarning", "Readiness probe warning: Probe terminated redirects").await;
        board.said("unknown", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 403").await;
        let why = board.said("hung", "Unhealthy", "Readiness").await;
        let wanted = format!(
            "Readiness probe failed: Get \"http://127.0.0.1:{port}/hang\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        );
        assert_eq!(why, wanted);
        assert!(!board.look("hung", |it| it.ready()) && !board.look("unknown", |it| it.ready()));
    });
}

/// A gRPC health server as small as it can be: it answers every request on a connection with `serving`.
struct Health {
    port: u16,
    serving: Arc<AtomicU8>,
    asked: Arc<AtomicU32>,
}

impl Health {
    fn new() -> Health {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (serving, asked) = (Arc::new(AtomicU8::new(1)), Arc::new(AtomicU32::new(0)));
        let (status, count) = (serving.clone(), asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let status = status.load(Ordering::Relaxed);
                count.fetch_add(1, Ordering::Relaxed);
                let _ = Health::serve(stream, status);
            }
        });
        Health { port, serving, asked }
    }

    /// Reads frames as a server does, and answers after the request's end: settings, ping, head, message, trailers.
    fn serve(mut stream: TcpStream, status: u8) -> std::io::Result<()> {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface)?;
        assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        stream.write_all(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100])?;
        stream.write_all(&[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])?;
        let (mut path, mut acknowledged) = (false, 0);
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head)?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            stream.read_exact(&mut payload)?;
            match head[3] {
                1 => path = payload.windows(28).any(|part| part == b"/grpc.health.v1.Health/Check"),
                4 | 6 if head[4] & 1 == 1 => acknowledged += 1,
                0 if head[4] & 1 == 1 => {
                    assert!(path && payload.ends_with(b"db"), "{payload:?}");
                    // :status 200 by its index.
                    stream.write_all(&[0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88])?;
                    // Padded, as it may be, and in two parts.
                    stream.write_all(&[0, 0, 7, 0, 8, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0])?;
                    stream.write_all(&[0, 0, 3, 0, 0, 0, 0, 0, 1, 2, 8, status])?;
                }
                _ => {}
            }
            if acknowledged == 2 {
                return Ok(());
            }
        }
    }
}

#[test]
fn spec_42_grpc_health_of_a_pod_on_the_nodes_network() {
    let server = Health::new();
    let probe = format!(
        "readinessProbe: {{grpc: {{port: {}, service: db}}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 60}}",
        server.port
    );
    let serving = server.serving.clone();
    Node::new().run(&pod("db", "exec sleep 1000", "hostNetwork: true", &probe), async move |board| {
        board.is_ready("db", true).await;
        serving.store(2, Ordering::Relaxed);
        board.is_ready("db", false).await;
        let why = board.said("db", "Unhealthy", "Readiness").await;
        assert_eq!(why, "Readiness probe failed: service unhealthy (responded with \"NOT_SERVING\")");
        serving.store(1, Ordering::Relaxed);
        board.is_ready("db", true).await;
    });
    assert!(server.asked.load(Ordering::Relaxed) >= 3);
}

#[test]
fn spec_44_post_start_comes_before_running_and_its_failure_kills() {
    let node = Node::new();
    let gate = node.root.join("gate");
    std::fs::create_dir(&gate).unwrap();
    let volume = format!("volumes: [{{name: gate, hostPath: {{path: {}}}}}]", gate.display());
    let good =
        "lifecycle: {postStart: {exec: {command: [sh, -c, 'until test -e /gate/open; do sleep 0.01; done; touch /hooked']}}}
volumeMounts: [{name: gate, mountPath: /gate}]";
    let bad = "lifecycle: {postStart: {exec: {command: [sh, -c, 'exit 7']}}}";
    let yaml = pod("good", "exec sleep 1000", &volume, good) + &pod("bad", "exec sleep 1000", "", bad);
    node.run(&yaml, async move |board| {
        board
            .until("the hook runs", |agent| {
                let started = agent.events().iter().any(|event| event.reason == "Started" && *event.object == *"good");
                started.then_some(())
            })
            .await;
        assert_eq!(board.state("good", "main"), ContainerState::Waiting(Reason::ContainerCreating));
        std::fs::write(gate.join("open"), "").unwrap();
        board.running("good", "main").await;
        assert_eq!(board.shell("good", "main", "test -e /hooked").await.0, 0);
        board.said("bad", "FailedPostStartHook", "PostStartHook failed: exit code 7").await;
        board.restarted("bad", 2).await;
    });
}

#[test]
fn spec_69_http_hooks_after_the_start_and_before_the_end() {
    // Each request is a line of the log that a volume keeps.
    let node = Node::new();
    let shared = node.root.join("shared");
    std::fs::create_dir(&shared).unwrap();
    let script = "printf 'HTTP/1.0 500 no\\r\\n\\r\\n' > /answer
        trap 'until grep -q bye /shared/log; do sleep 0.01; done; exit 0' TERM
        (while true; do nc -l -p 80 < /answer | head -n 1 >> /shared/log; done) & while true; do sleep 0.05; done";
    let inside = "volumeMounts: [{name: v, mountPath: /shared}]
lifecycle:
  preStop: {httpGet: {port: 80, path: /bye, httpHeaders: [{name: X-A, value: b}]}}";
    let more = format!("volumes: [{{name: v, hostPath: {{path: {}}}}}]\n{FOREVER}", shared.display());
    node.run(&pod("polite", script, &more, inside), async |board| {
        board.running("polite", "main").await;
        let listens = "until grep -q ':0050 ' /proc/net/tcp /proc/net/tcp6; do sleep 0.01; done";
        assert_eq!(board.shell("polite", "main", listens).await.0, 0);
        let uid = board.uid("polite");
        board.0.delete("default", "polite", None, false).unwrap();
        // An answer is an answer, whatever its status: nobody waits for the grace period.
        board.gone(&uid).await;
    });
    assert_eq!(std::fs::read_to_string(shared.join("log")).unwrap().trim_end(), "GET /bye HTTP/1.1");
    let refused = "lifecycle: {postStart: {httpGet: {port: 80}}}";
    Node::new().run(&pod("early", "exec sleep 1000", "", refused), async |board| {
        let why = board.said("early", "FailedPostStartHook", "connection refused").await;
        assert!(why.starts_with("PostStartHook failed: Get \"http://127.0.0.1:80/\": dial tcp"), "{why}");
    });
}
