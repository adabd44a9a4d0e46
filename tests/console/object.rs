//! A pod, printed as kubectl prints it, and read by other readers than ours.

use crate::fake::{arena, container, exit, pod, running, status, view, web};
use podling::console::object::{self, Format, Listing, Options};
use podling::console::view::ContainerView;
use podling::manifest::List;
use podling::manifest::huge::{HugePages, PageSize};
use podling::manifest::pod::*;
use podling::manifest::status::{ContainerState, Phase, Reason};
use serde_json::{Value, json};

fn full() -> Pod<'static> {
    let arena = arena();
    let mut server = container("server", ContainerKind::App);
    server.command = Some(arena.list(["sh", "-c", "echo $(MODE) $$ $(date) 'a: b'\nexec nginx\n"]));
    server.args = Some(List::EMPTY);
    server.env = arena.list([
        EnvVar { key: "MODE", value: "yes", secret: false },
        EnvVar { key: "TOKEN", value: "hunter2", secret: true },
    ]);
    server.ports = arena.list([Port { container: 80, udp: false }, Port { container: 53, udp: true }]);
    server.mounts = arena.list([Mount { volume: 1, path: "/etc/web", read_only: true, ..Mount::default() }]);
    server.working_dir = Some("/srv");
    server.pre_stop = Some(Hook::Exec(arena.list(["nginx", "-s", "quit"])));
    server.resources = Resources {
        cpu_request_milli: 1000,
        cpu_limit_milli: Some(1500),
        memory_request: 0,
        memory_limit: Some(64 << 20),
        storage_request: 1 << 20,
        storage_limit: Some(1 << 30),
        huge_pages: HugePages::NONE.with(PageSize::Mi2, 3),
    };
    server.security = Security {
        run_as_user: Some(101),
        no_new_privileges: true,
        capabilities: Security::DEFAULT_CAPABILITIES & !(1 << 13) | 1 << 12,
        ..Security::default()
    };
    let mut side = container("side", ContainerKind::Sidecar);
    side.pre_stop = Some(Hook::Sleep(3));
    side.security.capabilities = 0;
    let mut it = pod("web", &[container("prepare", ContainerKind::Init), side, server]);
    it.labels = arena.list([Pair { key: "app", value: "web" }, Pair { key: "on", value: "1" }]);
    it.host_aliases = arena.list([Pair { key: "10.0.0.1", value: "one uno" }]);
    it.supplemental_groups = arena.list([5u32, 6]);
    it.sharing = Sharing { host_network: true, process_namespace: true, ..Sharing::default() };
    it.hostname = "front.sub.default.svc.cluster.local";
    it.critical = true;
    let volume = |name, source| Volume { name, source };
    let file = |path, mode, data| File { path, mode, data };
    it.volumes = arena.list([
        volume("tmp", Source::EmptyDir { medium: Medium::Memory, size_limit: Some(1536 << 10) }),
        volume(
            "conf",
            Source::Files {
                secret: false,
                files: arena.list([file("a.conf", 0o644, b"x = 1\ny\n".as_slice()), file("bin", 0o644, b"\xff\0")]),
            },
        ),
        volume(
            "keys",
            Source::Files {
                secret: true,
                files: arena.list([file("deep/key", 0o400, b"hunter2"), file("b", 0o440, b"")]),
            },
        ),
        volume("data", Source::Claim { name: "web-data", read_only: false }),
        volume("dev", Source::HostPath { path: "/dev", kind: HostPathKind::Any }),
    ]);
    it
}

fn yaml(options: Options) -> String {
    let mut out = String::new();
    object::pod(&full(), None, Format::Yaml, options, &mut out).unwrap();
    out
}

#[test]
fn the_whole_pod() {
    insta::assert_snapshot!(yaml(Options { files: true, secrets: false }), @r#"
    apiVersion: v1
    kind: Pod
    metadata:
      labels:
        app: web
        "on": "1"
      name: web
      namespace: default
    spec:
      containers:
      - args: []
        command:
        - sh
        - -c
        - |
          echo $$(MODE) $$$ $(date) 'a: b'
          exec nginx
        env:
        - name: MODE
          value: "yes"
        - name: TOKEN
          value: <redacted>
        image: docker.io/library/nginx:latest
        lifecycle:
          preStop:
            exec:
              command:
              - nginx
              - -s
              - quit
        name: server
        ports:
        - containerPort: 80
          protocol: TCP
        - containerPort: 53
          protocol: UDP
        resources:
          limits:
            cpu: 1500m
            ephemeral-storage: 1Gi
            hugepages-2Mi: 6Mi
            memory: 64Mi
          requests:
            cpu: "1"
            ephemeral-storage: 1Mi
            hugepages-2Mi: 6Mi
        securityContext:
          allowPrivilegeEscalation: false
          capabilities:
            add:
            - NET_ADMIN
            drop:
            - NET_RAW
          runAsUser: 101
        volumeMounts:
        - mountPath: /etc/web
          name: conf
          readOnly: true
        workingDir: /srv
      hostAliases:
      - hostnames:
        - one
        - uno
        ip: 10.0.0.1
      hostNetwork: true
      hostname: front
      initContainers:
      - image: docker.io/library/nginx:latest
        name: prepare
      - image: docker.io/library/nginx:latest
        lifecycle:
          preStop:
            sleep:
              seconds: 3
        name: side
        restartPolicy: Always
        securityContext:
          capabilities:
            drop:
            - ALL
      priorityClassName: system-node-critical
      restartPolicy: Always
      securityContext:
        supplementalGroups:
        - 5
        - 6
      setHostnameAsFQDN: true
      shareProcessNamespace: true
      subdomain: sub
      terminationGracePeriodSeconds: 30
      volumes:
      - emptyDir:
          medium: Memory
          sizeLimit: 1536Ki
        name: tmp
      - configMap:
          defaultMode: 420
          name: web.conf
        name: conf
      - name: keys
        secret:
          defaultMode: 256
          items:
          - key: file-0
            mode: 256
            path: deep/key
          - key: file-1
            mode: 288
            path: b
          secretName: web.keys
      - name: data
        persistentVolumeClaim:
          claimName: web-data
      - hostPath:
          path: /dev
          type: ""
        name: dev
    ---
    apiVersion: v1
    binaryData:
      bin: "/wA="
    data:
      a.conf: |
        x = 1
        y
    kind: ConfigMap
    metadata:
      name: web.conf
      namespace: default
    ---
    apiVersion: v1
    kind: Secret
    metadata:
      name: web.keys
      namespace: default
    stringData:
      file-0: <redacted>
      file-1: <redacted>
    type: Opaque
    "#);
}

/// Secrets are shown only when asked for, whether they are files or variables.
#[test]
fn secrets_are_redacted() {
    let base64 = "aHVudGVyMg==";
    for (secrets, shown) in [(false, false), (true, true)] {
        let text = yaml(Options { files: true, secrets });
        assert_eq!((text.contains("hunter2"), text.contains(base64)), (shown, shown), "{text}");
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Spec 44, 45: the status, in JSON, as a client of Kubernetes reads it.
#[test]
fn spec_44_45_status_in_json() {
    let crashed = ContainerView {
        restarts: 2,
        last: Some(exit(3)),
        message: "back-off 10s",
        ..view(ContainerKind::App, ContainerState::Waiting(Reason::CrashLoopBackOff))
    };
    let (it, _) = web();
    let status = status(Phase::Running, &[view(ContainerKind::App, running()), crashed]);
    let mut out = String::new();
    object::pod(&it, Some(&status), Format::Json, Options::default(), &mut out).unwrap();
    let value = parsed(&out);
    assert_eq!(value["metadata"]["uid"], "07070707-0707-4707-8707-070707070707");
    assert_eq!(value["status"]["phase"], "Running");
    assert_eq!(
        value["status"]["conditions"][1],
        json!({
            "lastTransitionTime": "2026-11-20T12:59:00Z", "reason": "ContainersNotReady", "status": "False", "type": "Ready",
        })
    );
    assert_eq!(
        value["status"]["containerStatuses"][0]["state"],
        json!({ "running": { "startedAt": "2026-11-20T12:59:00Z" } })
    );
    assert_eq!(
        value["status"]["containerStatuses"][1],
        json!({
            "image": "docker.io/library/nginx:latest",
            "lastState": { "terminated": {
                "exitCode": 3, "finishedAt": "2026-11-20T12:59:48Z", "reason": "Error", "startedAt": "2026-11-20T12:59:30Z",
            } },
            "name": "puller", "ready": false, "restartCount": 2, "started": false,
            "state": { "waiting": { "message": "back-off 10s", "reason": "CrashLoopBackOff" } },
        })
    );
}

/// Several objects are one list in JSON, and documents or a list in YAML.
#[test]
fn lists() {
    let (it, status) = web();
    let mut out = String::new();
    let mut listing = Listing::new(Format::Json, Options::default(), &mut out);
    listing.begin().unwrap();
    listing.pod(&it, Some(&status)).unwrap();
    listing.pod(&it, None).unwrap();
    listing.finish().unwrap();
    drop(listing);
    let value = parsed(&out);
    assert_eq!((value["kind"].as_str(), value["items"].as_array().map(Vec::len)), (Some("List"), Some(2)));
    let mut out = String::new();
    object::pod(&full(), None, Format::Json, Options { files: true, secrets: true }, &mut out).unwrap();
    let kinds: Vec<String> =
        parsed(&out)["items"].as_array().unwrap().iter().map(|item| item["kind"].to_string()).collect();
    assert_eq!(kinds, ["\"Pod\"", "\"ConfigMap\"", "\"Secret\""]);
}
