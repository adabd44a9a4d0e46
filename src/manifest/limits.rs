//! Every bound of the system, in one place. A table, queue or length that is not here is a bug.

/// Pods in one manifest, and on one board.
pub const PODS: usize = 64;
/// Containers of one pod, init containers and sidecars included.
pub const CONTAINERS: usize = 16;
/// Ephemeral containers of one pod, within [`CONTAINERS`]; one that has ended makes room for the next.
pub const EPHEMERAL: usize = 4;
/// Volumes of one pod.
pub const VOLUMES: usize = 32;
/// Volume mounts of one container.
pub const MOUNTS: usize = 32;
/// Probes of one container: one of each kind.
pub const PROBES: usize = 3;
/// Headers of one HTTP probe or hook.
pub const HTTP_HEADERS: usize = 16;
/// Directories in one another in a volume that is given to a pod's fsGroup.
pub const VOLUME_DEPTH: usize = 128;
/// Files of one configMap or secret volume.
pub const FILES: usize = 64;
/// Environment variables of one container, the image's not counted.
pub const ENV: usize = 256;
/// `mountOptions` of one PersistentVolume.
pub const MOUNT_OPTIONS: usize = 32;
/// Bytes of a file of environment variables, as Kubernetes has it.
pub const ENV_FILE: usize = 64 * 1024;
/// Words of one command, args or hook.
pub const ARGS: usize = 128;
/// Labels, annotations or host aliases of one pod.
pub const PAIRS: usize = 64;
/// Supplemental groups of one pod or image user.
pub const GROUPS: usize = 32;
/// Ports declared by one container.
pub const PORTS: usize = 32;
/// Facts of the board that the texts of one container refer to.
pub const FACTS: usize = 32;
/// Bytes of a DNS label (RFC 1123): container, volume and host names.
pub const LABEL: usize = 63;
/// Bytes of a DNS subdomain (RFC 1123): pod and namespace names.
pub const SUBDOMAIN: usize = 253;
/// Bytes of a path in a manifest.
pub const PATH: usize = 1024;
/// Bytes of an image reference, so that its escaped form is still a file name.
pub const IMAGE: usize = 200;
/// Bytes of an image's platform: `arm/v7`.
pub const PLATFORM: usize = 32;
/// Bytes of any other string: an argument, an environment value.
pub const STRING: usize = 128 * 1024;
/// Bytes of a whole manifest file, header included.
pub const MANIFEST: usize = 1024 * 1024;
/// Bytes of one image record.
pub const IMAGE_RECORD: usize = 64 * 1024;
/// Bytes of a board record.
pub const BOARD: usize = 16 * 1024;
/// Bytes of a board class name.
pub const BOARD_CLASS: usize = 32;
/// Kernel modules that a board loads.
pub const MODULES: usize = 256;
/// Thousandths of a processor that anything may ask for: more than any machine has.
pub const CPU_MILLI: u32 = 1_024_000;
/// Bytes of memory or disk that anything may ask for: more than any machine has.
pub const BYTES: u64 = 1 << 50;
/// The largest user or group number: above it some kernel interfaces see a negative one.
pub const ID: u32 = i32::MAX as u32;
/// Processes that a pod may ask for: the kernel's own bound on process numbers.
pub const PIDS: u32 = 4_194_304;
/// Bytes of memory that are the kernel's and the agent's: what a Debian kernel with a small board's modules has taken before the first pod.
pub const MEMORY_RESERVE: u64 = 32 << 20;
/// The part of the memory that is theirs besides, since they need more where there is more: one in this many.
pub const MEMORY_RESERVE_PART: u64 = 32;
/// The most that is theirs on a small board: one part in this many.
pub const MEMORY_RESERVE_MOST_PART: u64 = 2;
/// Bytes of memory below which the node is under pressure, however large the board: kubelet's `memory.available`.
pub const EVICT_MEMORY: u64 = 100 << 20;
/// The part of a small board's memory that is so: one in this many.
pub const EVICT_MEMORY_PART: u64 = 32;
/// Ten-thousandths of the file system of volumes that are so: kubelet's `nodefs.available`.
pub const EVICT_NODEFS_SHARE: u16 = 1000;
/// Ten-thousandths of its files: kubelet's `nodefs.inodesFree`.
pub const EVICT_INODES_SHARE: u16 = 500;
/// The highest `priority` that a pod may have without a class, and the classes' own.
pub const PRIORITY: i32 = 1_000_000_000;
/// `priorityClassName: system-cluster-critical`.
pub const CLUSTER_CRITICAL: i32 = 2_000_000_000;
/// `priorityClassName: system-node-critical`.
pub const NODE_CRITICAL: i32 = 2_000_001_000;
/// `readinessGates` of one pod: as many as a word has bits.
pub const READINESS_GATES: usize = 16;
/// `resizePolicy` of one container: more are said to be too many than one for each resource.
pub const RESIZE_POLICIES: usize = 8;
/// Name servers of one pod: as many as the C library heeds.
pub const DNS_SERVERS: usize = 3;
/// Domains to search of one pod, and options of its resolver.
pub const DNS_WORDS: usize = 32;
/// `restartPolicyRules` of one container.
pub const RESTART_RULES: usize = 20;
/// Exit codes of one of them.
pub const EXIT_CODES: usize = 255;
/// Rules of one `podFailurePolicy` or `successPolicy`, and conditions of one of them.
pub const JOB_RULES: usize = 20;
/// StatefulSets of one manifest: those without pods are there too.
pub const CLAIM_OWNERS: usize = 64;
/// Claims that a board remembers as their StatefulSets'; what it does not remember it keeps for ever.
pub const KEPT_CLAIMS: usize = 1024;
/// Runs of one CronJob with `concurrencyPolicy: Allow` that there may be at once, ended ones that are kept among them.
pub const CRON_RUNS: usize = 3;
/// The longest grace period that a manifest may ask for, in seconds (one day).
pub const GRACE_SECONDS: u32 = 86_400;
/// The longest `activeDeadlineSeconds` that Kubernetes takes.
pub const DEADLINE_SECONDS: u32 = i32::MAX as u32;
/// Bytes of one output ring of a container (two segments of half of it), by default.
pub const LOG_RING: u64 = 256 * 1024;
/// Bytes of a pod's /etc/hosts, /etc/hostname and /etc/resolv.conf together: more than the longest list of hosts has.
pub const MANAGED_FILES: u64 = 4 << 20;
/// Bytes of a container's last words, of which the end is kept (`terminationMessagePath`).
pub const LAST_WORDS: usize = 4096;
/// Bytes of the last words of all containers of a pod; each has an equal part.
pub const POD_LAST_WORDS: usize = 12 * 1024;
/// Bytes from the end of a log that stand for the last words of a container that failed without any.
pub const LOG_WORDS: usize = 2048;
/// Lines from the end of a log that do so.
pub const LOG_LINES: u64 = 80;
/// Bytes of one message between the agent and a pod-init.
pub const POD_MESSAGE: usize = 128 * 1024;
/// Descriptors that travel with one such message (the kernel's own bound is 253).
pub const POD_MESSAGE_FDS: usize = 64;
/// Events that the board remembers.
pub const EVENTS: usize = 256;
/// Bytes of the text of an event or a reason.
pub const MESSAGE: usize = 200;
/// Console sessions at once.
pub const SESSIONS: usize = 16;
/// Bytes of one console line.
pub const LINE: usize = 4096;
/// Console lines that the line editor remembers.
pub const HISTORY: usize = 32;
/// The default bound on the processes of one pod, where neither the board nor the pod says another.
pub const POD_PIDS: u32 = 1024;
/// Programs executed in the containers of one pod at once: hooks and the `exec` verb.
pub const EXECUTIONS: usize = 32;
/// Different seccomp filters of one manifest.
pub const FILTERS: usize = 16;
/// Users and groups of a pod that has its own: as many as every image may use.
pub const POD_IDS: u32 = 65_536;
/// Devices of one container.
pub const DEVICES: usize = 16;
/// Sysctls of one pod.
pub const SYSCTLS: usize = 16;
/// Bytes of one seccomp filter: the kernel takes 4096 instructions of eight bytes.
pub const FILTER_BYTES: usize = 4096 * 8;
/// The longest period, delay or timeout of a probe, in seconds, and its largest threshold (one day).
pub const PROBE_NUMBER: u32 = 86_400;
/// Bytes of the path or of one header of an HTTP probe or hook.
pub const HTTP_TEXT: usize = 1024;
/// Bytes of an HTTP answer's status line and headers: as much as is read of it.
pub const HTTP_HEAD: usize = 8 * 1024;
