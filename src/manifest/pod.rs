//! The manifest's body: what one board is to run, with everything that a workstation can resolve already resolved.
//!
//! Names are Kubernetes'. References (configMap keys, `$(VAR)`, service names) are gone: the compiler has replaced them.
//! A change of anything here is a change of the format: raise [`crate::manifest::codec::VERSION`] and say so there.

pub use super::volume::*;

use super::List;
pub use super::dns::{Dns, DnsPolicy};
pub use super::ending::{MessagePolicy, Operator, RestartAction, RestartRule, StopSignal};
use super::eviction::Eviction;
use super::fact::Fact;
use super::huge::HugePages;
use super::owner::{ClaimOwner, Owner};
use super::probe::{HttpGet, Probe};
pub use super::resize::{Resize, ResizePolicy};
pub use super::security::{Confinement, Device, ProcMount, RunAs, Seccomp};
use super::terminal::Stdin;
use serde::{Deserialize, Serialize};

/// The body of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest<'a> {
    /// The settings of the node.
    pub node: Node,
    /// The pods, in the order of the source.
    #[serde(borrow)]
    pub pods: List<'a, Pod<'a>>,
    /// The seccomp filters that containers name by their index here: instructions of eight bytes, for the board's CPU.
    #[serde(borrow)]
    pub filters: List<'a, &'a [u8]>,
    /// The StatefulSets.
    #[serde(borrow)]
    pub claim_owners: List<'a, ClaimOwner<'a>>,
}

impl Default for Manifest<'_> {
    /// No pods, and a node with its own defaults.
    fn default() -> Self {
        Manifest { node: Node::default(), pods: List::EMPTY, filters: List::EMPTY, claim_owners: List::EMPTY }
    }
}

/// What a node may set for all of its pods.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The delay of the second restart, in milliseconds (spec 43: 10 s).
    pub backoff_base_ms: u32,
    /// The longest delay between restarts, in milliseconds (spec 43: 300 s).
    pub backoff_cap_ms: u32,
    /// How long a container must have run for its back-off to be forgotten, in milliseconds (spec 43: 10 min).
    pub backoff_reset_ms: u32,
    /// Processes of one pod, where the pod says no other.
    pub pod_pids_limit: u32,
    /// The time that all pods together get to end when the node shuts down, in seconds.
    pub shutdown_grace_seconds: u32,
    /// When its pods are evicted (spec 97).
    pub eviction: Eviction,
    /// Bytes of memory that are the kernel's and the agent's, not the pods'; or the board's own ([`crate::machine::admit`]).
    pub memory_reserve: Option<u64>,
}

impl Default for Node {
    fn default() -> Self {
        Node {
            backoff_base_ms: 10_000,
            backoff_cap_ms: 300_000,
            backoff_reset_ms: 600_000,
            pod_pids_limit: super::limits::POD_PIDS,
            shutdown_grace_seconds: 60,
            eviction: Eviction::DEFAULT,
            memory_reserve: None,
        }
    }
}

/// A label or an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair<'a> {
    /// The key.
    pub key: &'a str,
    /// The value.
    pub value: &'a str,
}

/// One pod.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pod<'a> {
    /// `metadata.namespace`.
    pub namespace: &'a str,
    /// `metadata.name` (spec 7).
    pub name: &'a str,
    /// `metadata.labels`.
    #[serde(borrow)]
    pub labels: List<'a, Pair<'a>>,
    /// `metadata.annotations`.
    #[serde(borrow)]
    pub annotations: List<'a, Pair<'a>>,
    /// The host name inside (spec 26), already cut and, with `setHostnameAsFQDN`, already qualified.
    pub hostname: &'a str,
    /// `spec.restartPolicy` (spec 43).
    pub restart_policy: RestartPolicy,
    /// `spec.terminationGracePeriodSeconds` (spec 66).
    pub grace_seconds: u32,
    /// The namespaces that the pod shares with the node or among its containers.
    pub sharing: Sharing,
    /// `spec.securityContext.supplementalGroups`.
    #[serde(borrow)]
    pub supplemental_groups: List<'a, u32>,
    /// `spec.hostAliases`, one line of /etc/hosts each: key the address, value the names.
    #[serde(borrow)]
    pub host_aliases: List<'a, Pair<'a>>,
    /// The bounds of the whole pod (spec 19): `spec.resources`, else the sum of the containers.
    pub resources: Resources,
    /// Processes in the whole pod, or the node's setting.
    pub pids_limit: Option<u32>,
    /// `priorityClassName: system-node-critical` and its like end in the second wave of a node shutdown.
    pub critical: bool,
    /// `spec.volumes`.
    #[serde(borrow)]
    pub volumes: List<'a, Volume<'a>>,
    /// The containers, in start order: init containers and sidecars as written, then the app containers.
    #[serde(borrow)]
    pub containers: List<'a, Container<'a>>,
    /// `spec.activeDeadlineSeconds`: how long it may take from when it was accepted, all restarts included.
    pub active_deadline_seconds: Option<u32>,
    /// The controller that it came from.
    #[serde(borrow)]
    pub owner: Option<Owner<'a>>,
    /// `spec.securityContext.sysctls`, set in the pod's own namespaces.
    #[serde(borrow)]
    pub sysctls: List<'a, Pair<'a>>,
    /// `spec.readinessGates`: conditions set from outside that count towards Ready (spec 46).
    #[serde(borrow)]
    pub readiness_gates: List<'a, &'a str>,
    /// `spec.priority`, or that of its class: who is admitted first where there is not room for all (spec 96).
    pub priority: i32,
    /// `spec.securityContext.fsGroup`.
    pub fs_group: Option<FsGroup>,
    /// `spec.securityContext.supplementalGroupsPolicy`.
    pub groups_policy: GroupsPolicy,
    /// `dnsPolicy` and `dnsConfig`.
    #[serde(borrow)]
    pub dns: Dns<'a>,
    /// `spec.overhead`: what it takes beside its containers. Requests only.
    pub overhead: Resources,
    /// `spec.securityContext`: who runs it.
    pub run_as: RunAs,
}

impl Default for Pod<'_> {
    /// A nameless pod without containers, and for the rest what Kubernetes takes where nothing is said.
    fn default() -> Self {
        Pod {
            namespace: "default",
            name: "",
            labels: List::EMPTY,
            annotations: List::EMPTY,
            hostname: "",
            restart_policy: RestartPolicy::Always,
            grace_seconds: 30,
            sharing: Sharing::default(),
            supplemental_groups: List::EMPTY,
            host_aliases: List::EMPTY,
            resources: Resources::default(),
            pids_limit: None,
            critical: false,
            volumes: List::EMPTY,
            containers: List::EMPTY,
            active_deadline_seconds: None,
            owner: None,
            sysctls: List::EMPTY,
            readiness_gates: List::EMPTY,
            priority: 0,
            fs_group: None,
            groups_policy: GroupsPolicy::Merge,
            dns: Dns::default(),
            overhead: Resources::default(),
            run_as: RunAs::default(),
        }
    }
}

impl<'a> Pod<'a> {
    /// The references of all images that the pod needs: its containers', and its volumes'. One may be there twice.
    pub fn images(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let volumes = self.volumes.iter().filter_map(|volume| volume.source.image());
        self.containers.iter().map(|container| container.image).chain(volumes)
    }

    /// `status.qosClass` (spec 93), from what the containers ask for.
    pub fn qos(&self) -> Qos {
        let mut best_effort = true;
        let mut guaranteed = true;
        for asked in self.containers.iter().map(|container| container.resources) {
            // Only processors and memory count.
            let counted = Resources { storage_request: 0, storage_limit: None, huge_pages: HugePages::NONE, ..asked };
            best_effort &= counted == Resources::default();
            // An absent request is the limit.
            let whole = |request: u64, limit: Option<u64>| {
                limit.is_some_and(|limit| limit != 0 && (request == 0 || request == limit))
            };
            guaranteed &= whole(asked.memory_request, asked.memory_limit)
                && whole(asked.cpu_request_milli.into(), asked.cpu_limit_milli.map(u64::from));
        }
        match (best_effort, guaranteed) {
            (true, _) => Qos::BestEffort,
            (false, true) => Qos::Guaranteed,
            (false, false) => Qos::Burstable,
        }
    }
}

/// The quality of service that a pod's requests and limits promise (spec 93, 94).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// Every container has its limits as its requests.
    Guaranteed,
    /// Something is asked for.
    Burstable,
    /// Nothing is asked for.
    BestEffort,
}

impl Qos {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Qos::Guaranteed => "Guaranteed",
            Qos::Burstable => "Burstable",
            Qos::BestEffort => "BestEffort",
        }
    }
}

/// `spec.restartPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// Restart whatever ends.
    Always,
    /// Restart what ends in failure.
    OnFailure,
    /// Restart nothing.
    Never,
}

/// What a pod does not have to itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sharing {
    /// `hostNetwork`.
    pub host_network: bool,
    /// `hostPID`.
    pub host_pid: bool,
    /// `hostIPC`.
    pub host_ipc: bool,
    /// `shareProcessNamespace` (spec 27): else each container has a PID namespace of its own inside the pod's.
    pub process_namespace: bool,
    /// `hostUsers: false`: the pod's users and groups are its own, and its root is nobody on the node.
    pub own_users: bool,
}

/// One container.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Container<'a> {
    /// `name`.
    pub name: &'a str,
    /// What part it has in the life of the pod.
    pub kind: ContainerKind,
    /// `image`, normalised by [`crate::manifest::image::normalise`].
    pub image: &'a str,
    /// `command`: replaces the image's ENTRYPOINT, and its CMD with it.
    #[serde(borrow)]
    pub command: Option<List<'a, &'a str>>,
    /// `args`: replaces the image's CMD.
    #[serde(borrow)]
    pub args: Option<List<'a, &'a str>>,
    /// `workingDir`.
    pub working_dir: Option<&'a str>,
    /// `env` and `envFrom`, resolved, in order; over the image's.
    #[serde(borrow)]
    pub env: List<'a, EnvVar<'a>>,
    /// `ports`.
    #[serde(borrow)]
    pub ports: List<'a, Port>,
    /// `volumeMounts`.
    #[serde(borrow)]
    pub mounts: List<'a, Mount<'a>>,
    /// `resources`.
    pub resources: Resources,
    /// `securityContext`, with the pod's already folded in.
    pub security: Security,
    /// `lifecycle.preStop` (spec 69).
    #[serde(borrow)]
    pub pre_stop: Option<Hook<'a>>,
    /// `terminationMessagePath`: the file in which it may leave its last words.
    pub message_path: &'a str,
    /// `terminationMessagePolicy`.
    pub message_policy: MessagePolicy,
    /// `restartPolicy`, over the pod's. A sidecar's is told by its kind.
    pub restart_policy: Option<RestartPolicy>,
    /// `restartPolicyRules`, over both.
    #[serde(borrow)]
    pub restart_rules: List<'a, RestartRule<'a>>,
    /// What `env`, `command`, `args` and the sub-paths of `mounts` say of the board ([`super::fact`]).
    #[serde(borrow)]
    pub facts: List<'a, Fact<'a>>,
    /// What of `securityContext` is more than numbers.
    #[serde(borrow)]
    pub confinement: Confinement<'a>,
    /// `lifecycle.postStart`.
    #[serde(borrow)]
    pub post_start: Option<Hook<'a>>,
    /// `startupProbe`, `livenessProbe` and `readinessProbe`, those that there are, in this order.
    #[serde(borrow)]
    pub probes: List<'a, Probe<'a>>,
    /// `stdin` and `stdinOnce`.
    pub stdin: Stdin,
    /// `tty`: its standard streams are a terminal of its own.
    pub tty: bool,
    /// `resizePolicy`.
    pub resize: ResizePolicy,
    /// `lifecycle.stopSignal`, over the image's.
    #[serde(borrow)]
    pub stop_signal: Option<StopSignal<'a>>,
}

impl Container<'_> {
    /// `terminationMessagePath`, where nothing is said.
    pub const MESSAGE_PATH: &'static str = "/dev/termination-log";
}

impl Default for Container<'_> {
    /// A nameless app container without an image, and for the rest what Kubernetes takes where nothing is said.
    fn default() -> Self {
        Container {
            name: "",
            kind: ContainerKind::App,
            image: "",
            command: None,
            args: None,
            working_dir: None,
            env: List::EMPTY,
            ports: List::EMPTY,
            mounts: List::EMPTY,
            resources: Resources::default(),
            security: Security::default(),
            pre_stop: None,
            message_path: Container::MESSAGE_PATH,
            message_policy: MessagePolicy::File,
            restart_policy: None,
            restart_rules: List::EMPTY,
            facts: List::EMPTY,
            confinement: Confinement::default(),
            post_start: None,
            probes: List::EMPTY,
            stdin: Stdin::None,
            tty: false,
            resize: ResizePolicy::default(),
            stop_signal: None,
        }
    }
}

/// A variable of a container's environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVar<'a> {
    /// Its name.
    pub key: &'a str,
    /// Its value.
    pub value: &'a str,
    /// It came from a Secret, in whole or in part: redacted wherever it is shown.
    pub secret: bool,
}

/// The part of a container in the life of its pod (spec 36).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerKind {
    /// Runs to success before the next one starts.
    Init,
    /// An init container with `restartPolicy: Always`: the next starts once it has started, and it ends after the app containers.
    Sidecar,
    /// An app container.
    App,
    /// Put into a running pod by hand ([`super::ephemeral`]), never in a manifest: it changes nothing of the life of the pod.
    Ephemeral,
}

impl ContainerKind {
    /// Whether it is one of `initContainers`.
    pub const fn is_init(self) -> bool {
        matches!(self, ContainerKind::Init | ContainerKind::Sidecar)
    }
}

/// `ports[*]`. Only told to people so far: a pod on the host network has the node's ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// `containerPort`.
    pub container: u16,
    /// `protocol: UDP`, else TCP.
    pub udp: bool,
}

/// Requests and limits (spec 93). Zero requests mean "none"; an absent limit means "none".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// `requests.cpu` in thousandths of a processor.
    pub cpu_request_milli: u32,
    /// `limits.cpu` in thousandths of a processor.
    pub cpu_limit_milli: Option<u32>,
    /// `requests.memory` in bytes.
    pub memory_request: u64,
    /// `limits.memory` in bytes.
    pub memory_limit: Option<u64>,
    /// `requests.ephemeral-storage` in bytes; of containers only.
    pub storage_request: u64,
    /// `limits.ephemeral-storage` in bytes; of containers only.
    pub storage_limit: Option<u64>,
    /// `requests.hugepages-SIZE` and `limits.hugepages-SIZE`, which are the same.
    pub huge_pages: HugePages,
}

/// Who a container runs as and what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// `runAsUser`, else the image's.
    pub run_as_user: Option<u32>,
    /// `runAsGroup`, else the image's.
    pub run_as_group: Option<u32>,
    /// `runAsNonRoot`: refuse to start as user 0.
    pub run_as_non_root: bool,
    /// `readOnlyRootFilesystem`.
    pub read_only_root: bool,
    /// `allowPrivilegeEscalation: false` sets no_new_privs.
    pub no_new_privileges: bool,
    /// The capabilities that it keeps, bit n being capability n of capabilities(7).
    pub capabilities: u64,
}

impl Security {
    /// The names of the capabilities, as Kubernetes writes them; the index is the bit.
    #[rustfmt::skip]
    pub const CAPABILITIES: [&'static str; 41] = [
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
        "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
        "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
        "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
        "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
        "CHECKPOINT_RESTORE",
    ];

    /// Docker's default set: CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP.
    pub const DEFAULT_CAPABILITIES: u64 = 1
        | 1 << 1
        | 1 << 3
        | 1 << 4
        | 1 << 5
        | 1 << 6
        | 1 << 7
        | 1 << 8
        | 1 << 10
        | 1 << 13
        | 1 << 18
        | 1 << 27
        | 1 << 29
        | 1 << 31;
}

impl Default for Security {
    fn default() -> Self {
        Security {
            run_as_user: None,
            run_as_group: None,
            run_as_non_root: false,
            read_only_root: false,
            no_new_privileges: false,
            capabilities: Self::DEFAULT_CAPABILITIES,
        }
    }
}

/// What runs at a point of a container's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hook<'a> {
    /// `exec.command`, inside the container.
    Exec(#[serde(borrow)] List<'a, &'a str>),
    /// `sleep.seconds`.
    Sleep(u32),
    /// `httpGet`.
    HttpGet(#[serde(borrow)] HttpGet<'a>),
}
