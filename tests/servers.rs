//! Real servers in real pods, confined as their users would write it: nginx and redis from Debian's packages, and gRPC's own server.
//!
//! Probes, hooks and signals meet programs that nobody here wrote, under the default seccomp filter, as no root, without
//! capabilities, with a root file system that is read-only. Needs root, and what scripts/setup installs.

mod node;

use node::{Board, FOREVER, Node};
use podling::manifest::status::{ContainerState, Reason};
use std::fs;
use std::mem::ManuallyDrop;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// The sample images for this machine's processor, packed once: nginx, busybox, redis.
fn packed() -> &'static Path {
    static PACKED: OnceLock<PathBuf> = OnceLock::new();
    PACKED.get_or_init(|| {
        let clone = Path::new(env!("CARGO_MANIFEST_DIR"));
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("servers");
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let layout = stdout(Command::new(clone.join("scripts/images")).arg(arch));
        for image in ["busybox", "nginx", "redis"] {
            let from = format!("oci:{}:localhost/{image}:demo", layout.trim());
            stdout(Command::new(env!("CARGO_BIN_EXE_podling")).args(["pack", &from, "-o"]).arg(&to));
        }
        to
    })
}

fn stdout(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// A node with the sample images, and a directory that its pods share with the test.
fn node() -> (Node, PathBuf) {
    let node = Node::new();
    for file in fs::read_dir(packed()).unwrap().flatten() {
        fs::copy(file.path(), node.data_dir().join("images").join(file.file_name())).unwrap();
    }
    let shared = node.root.join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
    (node, shared)
}

/// The same node once more, for a script to look at while the agent runs on it.
fn beside(node: &Node) -> ManuallyDrop<Node> {
    let (root, cgroup) = (node.root.clone(), node.cgroup.clone());
    ManuallyDrop::new(Node { root, cgroup, settings: node.settings, tune: node.tune })
}

/// What a pod that trusts nobody says of its containers.
const HARD: &str = "{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}";

impl Board {
    fn is_ready(&self, pod: &str, container: &str) -> bool {
        let entry = self.0.find("default", pod).expect("the pod");
        let at = entry.manifest().containers.iter().position(|it| it.name == container).expect("the container");
        entry.machine().containers()[at].ready()
    }

    async fn until_ready(&self, pod: &str, container: &str, wanted: bool) {
        let what = format!("{pod}/{container} is ready: {wanted}");
        self.until(&what, |_| (self.is_ready(pod, container) == wanted).then_some(())).await;
    }

    async fn told(&self, reason: &str, words: &str) {
        self.until(&format!("{reason}: {words}"), |agent| {
            let events = agent.events();
            events.iter().any(|event| event.reason == reason && event.message.contains(words)).then_some(())
        })
        .await;
    }

    /// A script in a container, which must end well; what it wrote.
    async fn does(&self, pod: &str, container: &str, script: &str) -> String {
        let (code, said) = self.shell(pod, container, script).await;
        assert_eq!(code, 0, "{script}: {said}");
        said
    }
}

/// Waits for a file that a pod writes; there is no bell for it.
async fn comes(file: &Path) {
    while fs::metadata(file).map_or(true, |it| it.len() == 0) {
        smol::Timer::after(Duration::from_millis(5)).await;
    }
}

/// That every process of that name is confined, as `/proc` of the host shows it.
fn assert_confined(processes: &[i32], name: &str, uid: u32) {
    let mut seen = 0;
    for status in processes.iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok()) {
        if !status.starts_with(&format!("Name:\t{name}\n")) {
            continue;
        }
        seen += 1;
        let mine = format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n");
        for line in
            [&mine, "CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n"]
        {
            assert!(status.contains(line), "{line} in {status}");
        }
    }
    assert!(seen > 0, "no {name} runs");
}

const NGINX: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: nginx}
data:
  nginx.conf: |
    worker_processes 1;
    error_log stderr warn;
    pid /tmp/nginx.pid;
    events { worker_connections 64; }
    http {
        access_log /dev/stdout;
        client_body_temp_path /tmp/body;
        proxy_temp_path /tmp/proxy;
        fastcgi_temp_path /tmp/fastcgi;
        uwsgi_temp_path /tmp/uwsgi;
        scgi_temp_path /tmp/scgi;
        server {
            listen 8080;
            root /content;
            location = /ready {
                if ($http_x_probe != "readiness") { return 403; }
            }
            location = /slow { limit_rate 32k; }
            location = /old { return 301 /healthz; }
        }
    }
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  FOREVER
  automountServiceAccountToken: false
  enableServiceLinks: false
  securityContext:
    runAsNonRoot: true
    runAsUser: 33
    runAsGroup: 33
    fsGroup: 33
    seccompProfile: {type: RuntimeDefault}
  volumes:
  - {name: content, emptyDir: {sizeLimit: 8Mi}}
  - {name: tmp, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - {name: conf, configMap: {name: nginx}}
  - {name: shared, hostPath: {path: SHARED, type: Directory}}
  initContainers:
  - name: content
    image: localhost/busybox:demo
    command: [sh, -c, 'echo ok > /content/healthz; echo ok > /content/ready; head -c 131072 /dev/zero > /content/slow']
    volumeMounts: [{name: content, mountPath: /content}]
    securityContext: HARD
  # A client that is there before the server and after it.
  - name: client
    image: localhost/busybox:demo
    restartPolicy: Always
    command:
    - sh
    - -c
    - |
      trap 'until test -e /shared/done; do sleep 0.02; done; exit 0' TERM
      until test -e /shared/go; do sleep 0.02; done
      wget -q -O /shared/got http://127.0.0.1:8080/slow; echo $? > /shared/done
      while true; do sleep 0.02; done
    volumeMounts: [{name: content, mountPath: /content}, {name: shared, mountPath: /shared}]
    securityContext: HARD
  containers:
  - name: nginx
    image: localhost/nginx:demo
    args: ["-e", "stderr", "-c", "/etc/conf/nginx.conf", "-g", "daemon off;"]
    ports: [{name: http, containerPort: 8080}]
    startupProbe: {tcpSocket: {port: http}, periodSeconds: 1, failureThreshold: 120, timeoutSeconds: 10}
    livenessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1, timeoutSeconds: 60}
    readinessProbe:
      httpGet: {path: /ready, port: http, httpHeaders: [{name: X-Probe, value: readiness}]}
      periodSeconds: 1
      timeoutSeconds: 60
      failureThreshold: 1
    lifecycle: {preStop: {httpGet: {path: /old, port: http}}}
    resources: {requests: {cpu: 10m, memory: 8Mi}, limits: {memory: 64Mi}}
    volumeMounts:
    - {name: content, mountPath: /content, readOnly: true}
    - {name: conf, mountPath: /etc/conf}
    - {name: tmp, mountPath: /tmp}
    securityContext: HARD
"#;

/// Spec 42, 69, 71, 72: nginx's image asks for SIGQUIT, with which it answers whom it has begun to answer; TERM would cut it off.
#[test]
fn spec_71_nginx_is_probed_restarted_and_ends_gracefully() {
    let (node, shared) = node();
    let yaml = NGINX.replace("SHARED", shared.to_str().unwrap()).replace("HARD", HARD).replace("FOREVER", FOREVER);
    let beside = beside(&node);
    let place = shared.clone();
    node.run(&yaml, async move |board| {
        board.until_ready("web", "nginx", true).await;
        assert_confined(&beside.processes(), "nginx", 33);
        let get = "wget -q -O - http://127.0.0.1:8080/ready 2>&1";
        let (code, said) = board.shell("web", "client", get).await;
        assert!(code != 0 && said.contains("403 Forbidden"), "without the probe's header: {said}");
        // Readiness comes and goes; nothing is restarted for it.
        board.does("web", "client", "rm /content/ready").await;
        board.until_ready("web", "nginx", false).await;
        board.told("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404").await;
        board.does("web", "client", "echo ok > /content/ready").await;
        board.until_ready("web", "nginx", true).await;
        assert_eq!(board.restarts("web", "nginx"), 0);
        // Liveness does restart, and the client beside it is not touched.
        board.does("web", "client", "rm /content/healthz").await;
        board.told("Killing", "Container nginx failed liveness probe, will be restarted").await;
        board.does("web", "client", "echo ok > /content/healthz").await;
        board.until("a restart", |_| (board.restarts("web", "nginx") >= 1).then_some(())).await;
        board.until_ready("web", "nginx", true).await;
        assert_eq!(board.restarts("web", "client"), 0);
        // A download that is under way when the pod is deleted.
        fs::write(place.join("go"), "").unwrap();
        comes(&place.join("got")).await;
        let uid = board.uid("web");
        board.0.delete("default", "web", None, false).unwrap();
        let how = board.ended("web", "nginx").await;
        assert_eq!((how.reason, how.exit.code), (Reason::Completed, 0), "{how:?}");
        board.gone(&uid).await;
    });
    assert_eq!(fs::read_to_string(shared.join("done")).unwrap(), "0\n");
    assert_eq!(fs::metadata(shared.join("got")).unwrap().len(), 131_072, "the whole file");
}

const REDIS: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: redis}
type: Opaque
stringData: {password: "s3 cret"}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: redis}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 8Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: db, labels: {app: redis}}
spec:
  FOREVER
  securityContext:
    runAsNonRoot: true
    runAsUser: 999
    runAsGroup: 1000
    fsGroup: 1000
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  volumes: [{name: data, persistentVolumeClaim: {claimName: redis}}]
  containers:
  - name: redis
    image: localhost/redis:demo
    command: [redis-server]
    args: [--dir, /data, --save, "3600 1", --requirepass, $(REDISCLI_AUTH)]
    env: [{name: REDISCLI_AUTH, valueFrom: {secretKeyRef: {name: redis, key: password}}}]
    ports: [{name: redis, containerPort: 6379, protocol: TCP}]
    startupProbe: {tcpSocket: {port: redis}, periodSeconds: 1, failureThreshold: 120, timeoutSeconds: 10}
    livenessProbe: {tcpSocket: {port: redis}, initialDelaySeconds: 1, periodSeconds: 2, timeoutSeconds: 60}
    readinessProbe:
      exec: {command: [sh, -c, redis-cli ping | grep -q ^PONG]}
      periodSeconds: 1
      timeoutSeconds: 60
      failureThreshold: 1
    lifecycle:
      postStart: {exec: {command: [sh, -c, 'until redis-cli incr starts; do sleep 0.1; done']}}
      preStop: {exec: {command: [redis-cli, set, stopped, "yes"]}}
    volumeMounts: [{name: data, mountPath: /data}]
    securityContext: HARD
"#;

/// Spec 35, 65, 69, 71: what the hooks told redis is in the file that it wrote when it was asked to end, and in the next pod.
#[test]
fn spec_35_redis_is_probed_and_keeps_its_data_over_its_pods() {
    let (node, _) = node();
    let file = node.data_dir().join("volumes/default/redis/dump.rdb");
    let beside = beside(&node);
    node.run(&REDIS.replace("HARD", HARD).replace("FOREVER", FOREVER), async move |board| {
        board.until_ready("db", "redis", true).await;
        assert_confined(&beside.processes(), "redis-server", 999);
        assert_eq!(board.does("db", "redis", "redis-cli mget starts stopped").await, "1\n\n");
        let change = r#"redis-cli config set requirepass "other""#;
        board.does("db", "redis", change).await;
        board.until_ready("db", "redis", false).await;
        let back = r#"redis-cli --no-auth-warning -a other config set requirepass "$REDISCLI_AUTH""#;
        board.does("db", "redis", back).await;
        board.until_ready("db", "redis", true).await;
        let uid = board.uid("db");
        board.0.restart("default", "db", None).unwrap();
        board.gone(&uid).await;
        let dump = fs::metadata(&file).expect("redis has saved what it knew");
        assert_eq!((dump.uid(), dump.gid()), (999, 1000));
        board.until_ready("db", "redis", true).await;
        assert_eq!(board.does("db", "redis", "redis-cli mget starts stopped").await, "2\nyes\n");
        assert_eq!(board.restarts("db", "redis"), 0);
    });
}

const GRPC: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: health}
data:
  server.py: |
    import grpc
    from concurrent.futures import ThreadPoolExecutor

    def check(request, context):
        # A HealthCheckRequest: field 1 is the service's name.
        service = request[2:].decode() or "all"
        try:
            return bytes([8, int(open("/state/" + service).read())])
        except FileNotFoundError:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")

    class Health(grpc.GenericRpcHandler):
        def service(self, call):
            if call.method == "/grpc.health.v1.Health/Check":
                return grpc.unary_unary_rpc_method_handler(check)

    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([Health()])
    server.add_insecure_port("127.0.0.1:50051")
    server.start()
    server.wait_for_termination()
---
apiVersion: v1
kind: Pod
metadata: {name: rpc}
spec:
  terminationGracePeriodSeconds: 1
  securityContext: {runAsNonRoot: true, runAsUser: 65534, fsGroup: 65534, seccompProfile: {type: RuntimeDefault}}
  volumes:
  - {name: state, emptyDir: {}}
  - {name: script, configMap: {name: health}}
  HOST
  initContainers:
  - name: state
    image: busybox
    command: [sh, -c, 'cd /state; for service in all db web; do echo 1 > $service; done']
    volumeMounts: [{name: state, mountPath: /state}]
  containers:
  - name: server
    image: busybox
    command: [/usr/bin/python3, -B, /script/server.py]
    startupProbe: {grpc: {port: 50051}, periodSeconds: 1, failureThreshold: 170, timeoutSeconds: 60}
    livenessProbe: {grpc: {port: 50051, service: db}, periodSeconds: 1, timeoutSeconds: 60}
    readinessProbe: {grpc: {port: 50051, service: web}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 60}
    volumeMounts: [{name: state, mountPath: /state}, {name: script, mountPath: /script}MOUNTS]
    securityContext: HARD
"#;

/// Spec 42: the server is that of Debian's python3-grpcio, which is mounted from the host with its interpreter.
#[test]
fn spec_42_a_grpc_server_is_asked_for_its_services() {
    let (mut volumes, mut mounts) = (String::new(), String::new());
    for (name, path) in [("usr", "/usr"), ("lib", "/lib"), ("lib64", "/lib64")] {
        if Path::new(path).is_dir() {
            volumes += &format!("- {{name: {name}, hostPath: {{path: {path}, type: Directory}}}}\n  ");
            mounts += &format!(", {{name: {name}, mountPath: {path}, readOnly: true}}");
        }
    }
    let yaml = GRPC.replace("HOST", &volumes).replace("MOUNTS", &mounts).replace("HARD", HARD);
    let node = Node::new();
    let beside = beside(&node);
    node.run(&yaml, async move |board| {
        board.until_ready("rpc", "server", true).await;
        assert_confined(&beside.processes(), "python3", 65534);
        board.does("rpc", "server", "echo 2 > /state/web").await;
        board.until_ready("rpc", "server", false).await;
        board.told("Unhealthy", "Readiness probe failed: service unhealthy (responded with \"NOT_SERVING\")").await;
        board.does("rpc", "server", "rm /state/web").await;
        board.told("Unhealthy", "the server knows no service \"web\"").await;
        assert!(!board.is_ready("rpc", "server"));
        board.does("rpc", "server", "echo 1 > /state/web").await;
        board.until_ready("rpc", "server", true).await;
        assert_eq!(board.restarts("rpc", "server"), 0, "readiness never restarts");
        board.does("rpc", "server", "echo 2 > /state/db").await;
        board.told("Killing", "Container server failed liveness probe, will be restarted").await;
        board.until("a restart", |_| (board.restarts("rpc", "server") >= 1).then_some(())).await;
        assert!(!matches!(board.state("rpc", "server"), ContainerState::Terminated(_)));
    });
}
