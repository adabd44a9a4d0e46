//! Every field that Kubernetes core/v1 has for what a board takes, and what becomes of each: data, not code.

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It is honoured.
    Read,
    /// These values are what a board does anyway; any other is refused for now.
    Only(&'static [&'static str]),
    /// It speaks to a cluster and means nothing on one board: accepted with a warning.
    Cluster,
    /// It would mean something, and the board cannot do it yet: refused.
    NotYet,
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What becomes of it.
    pub support: Support,
}

/// The fields of one type.
#[derive(Debug)]
pub struct Table {
    /// The type's name in Kubernetes.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
    /// Whether a name that is not among them is read by its own reader.
    pub elsewhere: fn(&str) -> bool,
}

impl Table {
    /// The field called `name`.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.name == name)
    }
}

/// `table!(CONSTANT "Type" { name: Support, … })`.
macro_rules! table {
    ($constant:ident $name:literal { $($field:ident: $support:expr),* $(,)? }) => {
        #[doc = concat!("`", $name, "`.")]
        pub static $constant: Table = Table {
            name: $name,
            fields: &[$(Field { name: unraw(stringify!($field)), support: $support }),*],
            elsewhere: |_| false,
        };
    };
}

/// The name of a field that is a keyword of Rust: `r#type` is `type`.
const fn unraw(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

mod controllers;

pub use controllers::*;

use Support::{Cluster, NotYet, Only, Read};

table!(POD "Pod" { apiVersion: Read, kind: Read, metadata: Read, spec: Read, status: Cluster });
table!(LIST "List" { apiVersion: Read, kind: Read, metadata: Cluster, items: Read });
table!(CONFIG_MAP "ConfigMap" {
    apiVersion: Read, kind: Read, metadata: Read, data: Read, binaryData: Read, immutable: Only(&["true", "false"]),
});
table!(SECRET "Secret" {
    apiVersion: Read, kind: Read, metadata: Read, data: Read, stringData: Read, r#type: Read, immutable: Only(&["true", "false"]),
});
table!(CLAIM "PersistentVolumeClaim" { apiVersion: Read, kind: Read, metadata: Read, spec: Read, status: Cluster });
table!(CLAIM_SPEC "PersistentVolumeClaimSpec" {
    accessModes: Read, dataSource: NotYet, dataSourceRef: NotYet, resources: Read, selector: Cluster, storageClassName: Read,
    volumeAttributesClassName: Cluster, volumeMode: Read, volumeName: Read,
});
table!(CLAIM_RESOURCES "VolumeResourceRequirements" { limits: Read, requests: Read });
table!(PERSISTENT_VOLUME "PersistentVolume" { apiVersion: Read, kind: Read, metadata: Read, spec: Read, status: Cluster });
table!(PERSISTENT_VOLUME_SPEC "PersistentVolumeSpec" {
    accessModes: Read, capacity: Read, claimRef: Read, hostPath: Read, local: Read, mountOptions: Read, nodeAffinity: Cluster,
    persistentVolumeReclaimPolicy: Only(&["Retain", "Delete", "Recycle"]), storageClassName: Read, volumeAttributesClassName: Cluster,
    volumeMode: Read, awsElasticBlockStore: NotYet, azureDisk: NotYet, azureFile: NotYet, cephfs: NotYet,
    cinder: NotYet, csi: NotYet, fc: NotYet, flexVolume: NotYet, flocker: NotYet, gcePersistentDisk: NotYet, glusterfs: NotYet,
    iscsi: NotYet, nfs: NotYet, photonPersistentDisk: NotYet, portworxVolume: NotYet, quobyte: NotYet, rbd: NotYet,
    scaleIO: NotYet, storageos: NotYet, vsphereVolume: NotYet,
});
table!(LOCAL "LocalVolumeSource" { fsType: Read, path: Read });
table!(METADATA "ObjectMeta" {
    name: Read, namespace: Read, labels: Read, annotations: Read, generateName: Read, creationTimestamp: Cluster,
    deletionGracePeriodSeconds: Cluster, deletionTimestamp: Cluster, finalizers: Cluster, generation: Cluster,
    managedFields: Cluster, ownerReferences: Cluster, resourceVersion: Cluster, selfLink: Cluster, uid: Cluster,
});
table!(POD_SPEC "PodSpec" {
    activeDeadlineSeconds: Read, affinity: Cluster, automountServiceAccountToken: Cluster, containers: Read, dnsConfig: Read,
    dnsPolicy: Read, enableServiceLinks: Cluster,
    ephemeralContainers: NotYet, hostAliases: Read, hostIPC: Read, hostNetwork: Read, hostPID: Read,
    hostUsers: Read, hostname: Read, hostnameOverride: Read, imagePullSecrets: Cluster, initContainers: Read,
    nodeName: Cluster, nodeSelector: Cluster, os: Read, overhead: Read, preemptionPolicy: Cluster,
    priority: Read, priorityClassName: Read, readinessGates: Read, resourceClaims: NotYet,
    resources: Read, restartPolicy: Read, runtimeClassName: NotYet, schedulerName: Cluster, schedulingGates: NotYet,
    securityContext: Read, serviceAccount: Cluster, serviceAccountName: Cluster, setHostnameAsFQDN: Read,
    shareProcessNamespace: Read, subdomain: Read, terminationGracePeriodSeconds: Read, tolerations: Cluster,
    topologySpreadConstraints: Cluster, volumes: Read,
    workloadRef: Cluster,
});
table!(DNS_CONFIG "PodDNSConfig" { nameservers: Read, options: Read, searches: Read });
table!(DNS_OPTION "PodDNSConfigOption" { name: Read, value: Read });
table!(PRIORITY_CLASS "PriorityClass" {
    apiVersion: Read, kind: Read, metadata: Read, description: Read, globalDefault: Read, preemptionPolicy: Cluster, value: Read,
});
table!(LIMIT_RANGE "LimitRange" { apiVersion: Read, kind: Read, metadata: Read, spec: Read });
table!(LIMIT_RANGE_SPEC "LimitRangeSpec" { limits: Read });
table!(LIMIT_RANGE_ITEM "LimitRangeItem" {
    default: Read, defaultRequest: Read, max: Read, maxLimitRequestRatio: Read, min: Read, r#type: Read,
});
table!(POD_OS "PodOS" { name: Read });
table!(HOST_ALIAS "HostAlias" { ip: Read, hostnames: Read });
table!(POD_SECURITY "PodSecurityContext" {
    appArmorProfile: Read, fsGroup: Read, fsGroupChangePolicy: Read, runAsGroup: Read, runAsNonRoot: Read, runAsUser: Read,
    seLinuxChangePolicy: NotYet, seLinuxOptions: Read, seccompProfile: Read, supplementalGroups: Read,
    supplementalGroupsPolicy: Read, sysctls: Read, windowsOptions: Read,
});
table!(CONTAINER "Container" {
    args: Read, command: Read, env: Read, envFrom: Read, image: Read, imagePullPolicy: Read, lifecycle: Read, livenessProbe: Read,
    name: Read, ports: Read, readinessProbe: Read, resizePolicy: Read, resources: Read, restartPolicy: Read,
    restartPolicyRules: Read, securityContext: Read, startupProbe: Read, stdin: Read, stdinOnce: Read,
    terminationMessagePath: Read, terminationMessagePolicy: Read, tty: Read,
    volumeDevices: Read, volumeMounts: Read, workingDir: Read,
});
table!(SECURITY "SecurityContext" {
    allowPrivilegeEscalation: Read, appArmorProfile: Read, capabilities: Read, privileged: Read, procMount: Read,
    readOnlyRootFilesystem: Read, runAsGroup: Read, runAsNonRoot: Read, runAsUser: Read, seLinuxOptions: Read,
    seccompProfile: Read, windowsOptions: Read,
});
table!(SECCOMP "SeccompProfile" { localhostProfile: Read, r#type: Read });
table!(APP_ARMOR "AppArmorProfile" { localhostProfile: Read, r#type: Read });
table!(SE_LINUX "SELinuxOptions" { level: Read, role: Read, r#type: Read, user: Read });
table!(WINDOWS "WindowsSecurityContextOptions" {
    gmsaCredentialSpec: Read, gmsaCredentialSpecName: Read, hostProcess: Read, runAsUserName: Read,
});
table!(SYSCTL "Sysctl" { name: Read, value: Read });
table!(CAPABILITIES "Capabilities" { add: Read, drop: Read });
table!(PORT "ContainerPort" {
    containerPort: Read, hostIP: Only(&["0.0.0.0"]), hostPort: Read, name: Read, protocol: Read,
});
table!(ENV_VAR "EnvVar" { name: Read, value: Read, valueFrom: Read });
table!(ENV_SOURCE "EnvVarSource" {
    configMapKeyRef: Read, fieldRef: Read, fileKeyRef: Read, resourceFieldRef: Read, secretKeyRef: Read,
});
table!(KEY_REF "KeySelector" { key: Read, name: Read, optional: Read });
table!(FILE_KEY_REF "FileKeySelector" { key: Read, optional: Read, path: Read, volumeName: Read });
table!(FIELD_REF "ObjectFieldSelector" { apiVersion: Only(&["v1"]), fieldPath: Read });
table!(ENV_FROM "EnvFromSource" { configMapRef: Read, prefix: Read, secretRef: Read });
table!(ENV_REF "EnvSource" { name: Read, optional: Read });
table!(RESOURCES "ResourceRequirements" { claims: NotYet, limits: Read, requests: Read });
/// The resources themselves.
pub static QUANTITIES: Table = Table {
    name: "ResourceList",
    fields: &[
        Field { name: "cpu", support: Read },
        Field { name: "memory", support: Read },
        Field { name: "ephemeral-storage", support: Read },
        Field { name: "hugepages-64Ki", support: Read },
        Field { name: "hugepages-2Mi", support: Read },
        Field { name: "hugepages-32Mi", support: Read },
        Field { name: "hugepages-512Mi", support: Read },
        Field { name: "hugepages-1Gi", support: Read },
        Field { name: "hugepages-16Gi", support: Read },
    ],
    // What device plugins bring elsewhere, as in `board.podling/gpio`.
    elsewhere: |name| name.contains('/'),
};
table!(LIFECYCLE "Lifecycle" { postStart: Read, preStop: Read, stopSignal: Read });
// tcpSocket is there for old clients only: in Kubernetes, too, every such hook fails.
table!(HANDLER "LifecycleHandler" { exec: Read, httpGet: Read, sleep: Read, tcpSocket: NotYet });
table!(PROBE "Probe" {
    exec: Read, failureThreshold: Read, grpc: Read, httpGet: Read, initialDelaySeconds: Read, periodSeconds: Read,
    successThreshold: Read, tcpSocket: Read, terminationGracePeriodSeconds: Read, timeoutSeconds: Read,
});
table!(HTTP_GET "HTTPGetAction" { host: Read, httpHeaders: Read, path: Read, port: Read, scheme: Read });
table!(HTTP_HEADER "HTTPHeader" { name: Read, value: Read });
table!(TCP_SOCKET "TCPSocketAction" { host: Read, port: Read });
table!(GRPC "GRPCAction" { port: Read, service: Read });
table!(READINESS_GATE "PodReadinessGate" { conditionType: Read });
table!(RESTART_RULE "ContainerRestartRule" { action: Read, exitCodes: Read });
table!(EXIT_CODES "ContainerRestartRuleOnExitCodes" { operator: Read, values: Read });
table!(RESIZE "ContainerResizePolicy" { resourceName: Read, restartPolicy: Read });
table!(EXEC "ExecAction" { command: Read });
table!(SLEEP "SleepAction" { seconds: Read });
table!(MOUNT "VolumeMount" {
    mountPath: Read, mountPropagation: Read, name: Read, readOnly: Read, recursiveReadOnly: Read, subPath: Read, subPathExpr: Read,
});
table!(VOLUME_DEVICE "VolumeDevice" { devicePath: Read, name: Read });
table!(VOLUME "Volume" {
    name: Read, configMap: Read, emptyDir: Read, hostPath: Read, persistentVolumeClaim: Read, secret: Read,
    awsElasticBlockStore: NotYet, azureDisk: NotYet, azureFile: NotYet, cephfs: NotYet, cinder: NotYet, csi: NotYet,
    downwardAPI: Read, ephemeral: Read, fc: NotYet, flexVolume: NotYet, flocker: NotYet, gcePersistentDisk: NotYet,
    gitRepo: NotYet, glusterfs: NotYet, image: Read, iscsi: NotYet, nfs: NotYet, photonPersistentDisk: NotYet,
    portworxVolume: NotYet, projected: Read, quobyte: NotYet, rbd: NotYet, scaleIO: NotYet, storageos: NotYet,
    vsphereVolume: NotYet,
});
table!(EMPTY_DIR "EmptyDirVolumeSource" { medium: Read, sizeLimit: Read });
table!(HOST_PATH "HostPathVolumeSource" { path: Read, r#type: Read });
table!(CLAIM_VOLUME "PersistentVolumeClaimVolumeSource" { claimName: Read, readOnly: Read });
table!(CONFIG_MAP_VOLUME "ConfigMapVolumeSource" { defaultMode: Read, items: Read, name: Read, optional: Read });
table!(SECRET_VOLUME "SecretVolumeSource" { defaultMode: Read, items: Read, optional: Read, secretName: Read });
table!(IMAGE_VOLUME "ImageVolumeSource" { pullPolicy: Read, reference: Read });
table!(EPHEMERAL "EphemeralVolumeSource" { volumeClaimTemplate: Read });
table!(RESOURCE_REF "ResourceFieldSelector" { containerName: Read, divisor: Read, resource: Read });
table!(DOWNWARD_VOLUME "DownwardAPIVolumeSource" { defaultMode: Read, items: Read });
table!(DOWNWARD_PROJECTION "DownwardAPIProjection" { items: Read });
table!(DOWNWARD_FILE "DownwardAPIVolumeFile" { fieldRef: Read, mode: Read, path: Read, resourceFieldRef: Read });
table!(PROJECTED "ProjectedVolumeSource" { defaultMode: Read, sources: Read });
table!(PROJECTION "VolumeProjection" {
    clusterTrustBundle: Read, configMap: Read, downwardAPI: Read, podCertificate: Read, secret: Read, serviceAccountToken: Read,
});
table!(CONFIG_MAP_PROJECTION "ConfigMapProjection" { items: Read, name: Read, optional: Read });
table!(SECRET_PROJECTION "SecretProjection" { items: Read, name: Read, optional: Read });
table!(KEY_TO_PATH "KeyToPath" { key: Read, mode: Read, path: Read });

/// The API groups of Kubernetes itself that have a domain; whatever others there are, are those of custom resources.
pub const GROUPS: &[&str] = &[
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

const NO_DRIVERS: &str = "ask for a device of the board by its name, under resources.limits";

/// Kinds that Kubernetes has and a board does not take yet, with what to write for now.
pub const OTHER_KINDS: &[(&str, &str)] = &[
    ("Service", "a pod with hostNetwork: true serves on the board's address"),
    ("Ingress", "a pod with hostNetwork: true serves on the board's address"),
    ("NetworkPolicy", "leave it out"),
    ("Endpoints", "a pod with hostNetwork: true serves on the board's address"),
    ("EndpointSlice", "a pod with hostNetwork: true serves on the board's address"),
    ("ResourceClaim", NO_DRIVERS),
    ("ResourceClaimTemplate", NO_DRIVERS),
    ("Kustomization", "have kubectl fill it in first: `kubectl kustomize FOLDER | podling build -`"),
];

/// Kinds that say something to a cluster only: accepted with a warning, and why they change nothing.
pub const CLUSTER_KINDS: &[(&str, &str)] = &[
    ("Namespace", "a namespace of a board needs no object"),
    ("ServiceAccount", "there is no API server on a board"),
    ("Role", "there is no API server on a board"),
    ("RoleBinding", "there is no API server on a board"),
    ("ClusterRole", "there is no API server on a board"),
    ("ClusterRoleBinding", "there is no API server on a board"),
    ("CustomResourceDefinition", "there is no API server on a board"),
    ("ResourceQuota", "these files are all that asks for anything, and a board admits what it has room for"),
    ("StorageClass", "a claim is a directory on the data partition"),
    ("HorizontalPodAutoscaler", "the replicas are those that are written"),
    ("PodDisruptionBudget", "nobody drains the one node"),
    ("PodTemplate", "nothing makes pods of it"),
    ("ValidatingWebhookConfiguration", "there is no API server on a board"),
    ("MutatingWebhookConfiguration", "there is no API server on a board"),
    ("ValidatingAdmissionPolicy", "there is no API server on a board"),
    ("ValidatingAdmissionPolicyBinding", "there is no API server on a board"),
    ("APIService", "there is no API server on a board"),
    ("MutatingAdmissionPolicy", "there is no API server on a board"),
    ("MutatingAdmissionPolicyBinding", "there is no API server on a board"),
    ("PodSecurityPolicy", "there is no API server on a board"),
    ("CertificateSigningRequest", "there is no API server on a board"),
    ("FlowSchema", "there is no API server on a board"),
    ("PriorityLevelConfiguration", "there is no API server on a board"),
    ("Lease", "there is no API server on a board"),
    ("ControllerRevision", "the board compares templates by themselves"),
    ("Event", "the board writes those itself"),
    ("Node", "the board is the one node, by its board.toml"),
    ("DeviceClass", "a board has no drivers of dynamic resource allocation"),
    ("ResourceSlice", "a board has no drivers of dynamic resource allocation"),
    ("VolumeAttachment", "a board runs no storage drivers"),
    ("VolumeAttributesClass", "a board runs no storage drivers"),
    ("CSINode", "a board runs no storage drivers"),
    ("CSIStorageCapacity", "a board runs no storage drivers"),
    ("IngressClass", "nothing on a board reads it"),
    ("CSIDriver", "a board runs no storage drivers"),
    ("RuntimeClass", "podlingd is the only container runtime of a board"),
];

/// The kinds that a board takes, each with its version.
pub const KINDS: &[(&str, &str)] = &[
    ("Pod", "v1"),
    ("ConfigMap", "v1"),
    ("Secret", "v1"),
    ("PersistentVolumeClaim", "v1"),
    ("PersistentVolume", "v1"),
    ("PriorityClass", "scheduling.k8s.io/v1"),
    ("LimitRange", "v1"),
    ("List", "v1"),
    ("Deployment", "apps/v1"),
    ("ReplicaSet", "apps/v1"),
    ("ReplicationController", "v1"),
    ("DaemonSet", "apps/v1"),
    ("StatefulSet", "apps/v1"),
    ("Job", "batch/v1"),
    ("CronJob", "batch/v1"),
];

/// The types that are not below `Pod`.
static OTHER_TYPES: &[&Table] = &[
    &LIST,
    &CONFIG_MAP,
    &SECRET,
    &CLAIM,
    &CLAIM_SPEC,
    &CLAIM_RESOURCES,
    &PERSISTENT_VOLUME,
    &PERSISTENT_VOLUME_SPEC,
    &PRIORITY_CLASS,
    &LIMIT_RANGE,
    &LIMIT_RANGE_SPEC,
    &LIMIT_RANGE_ITEM,
    &LOCAL,
];

/// Every type that the compiler reads.
pub fn tables() -> impl Iterator<Item = &'static Table> {
    POD_TYPES.iter().chain(OTHER_TYPES).chain(CONTROLLER_TYPES).copied()
}

/// Every type below `Pod`, for those who want to walk them all.
pub static POD_TYPES: &[&Table] = &[
    &POD,
    &METADATA,
    &POD_SPEC,
    &POD_OS,
    &DNS_CONFIG,
    &DNS_OPTION,
    &HOST_ALIAS,
    &POD_SECURITY,
    &CONTAINER,
    &SECURITY,
    &SECCOMP,
    &APP_ARMOR,
    &SE_LINUX,
    &WINDOWS,
    &SYSCTL,
    &CAPABILITIES,
    &PORT,
    &ENV_VAR,
    &ENV_SOURCE,
    &KEY_REF,
    &FILE_KEY_REF,
    &FIELD_REF,
    &ENV_FROM,
    &ENV_REF,
    &RESOURCES,
    &QUANTITIES,
    &READINESS_GATE,
    &RESTART_RULE,
    &EXIT_CODES,
    &RESIZE,
    &LIFECYCLE,
    &HANDLER,
    &EXEC,
    &SLEEP,
    &PROBE,
    &HTTP_GET,
    &HTTP_HEADER,
    &TCP_SOCKET,
    &GRPC,
    &MOUNT,
    &VOLUME_DEVICE,
    &VOLUME,
    &EMPTY_DIR,
    &HOST_PATH,
    &CLAIM_VOLUME,
    &CONFIG_MAP_VOLUME,
    &SECRET_VOLUME,
    &KEY_TO_PATH,
    &IMAGE_VOLUME,
    &EPHEMERAL,
    &RESOURCE_REF,
    &DOWNWARD_VOLUME,
    &DOWNWARD_PROJECTION,
    &DOWNWARD_FILE,
    &PROJECTED,
    &PROJECTION,
    &CONFIG_MAP_PROJECTION,
    &SECRET_PROJECTION,
];
