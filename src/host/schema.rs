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
    /// Whether a name that is not among them is one that Kubernetes has all the same.
    pub later: fn(&str) -> bool,
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
            later: |_| false,
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
    volumeAttributesClassName: Cluster, volumeMode: Only(&["Filesystem"]), volumeName: Read,
});
table!(CLAIM_RESOURCES "VolumeResourceRequirements" { limits: Read, requests: Read });
table!(PERSISTENT_VOLUME "PersistentVolume" { apiVersion: Read, kind: Read, metadata: Read, spec: Read, status: Cluster });
table!(PERSISTENT_VOLUME_SPEC "PersistentVolumeSpec" {
    accessModes: Read, capacity: Read, claimRef: Read, hostPath: Read, local: Read, mountOptions: NotYet, nodeAffinity: Cluster,
    persistentVolumeReclaimPolicy: Only(&["Retain"]), storageClassName: Read, volumeAttributesClassName: Cluster,
    volumeMode: Only(&["Filesystem"]), awsElasticBlockStore: NotYet, azureDisk: NotYet, azureFile: NotYet, cephfs: NotYet,
    cinder: NotYet, csi: NotYet, fc: NotYet, flexVolume: NotYet, flocker: NotYet, gcePersistentDisk: NotYet, glusterfs: NotYet,
    iscsi: NotYet, nfs: NotYet, photonPersistentDisk: NotYet, portworxVolume: NotYet, quobyte: NotYet, rbd: NotYet,
    scaleIO: NotYet, storageos: NotYet, vsphereVolume: NotYet,
});
table!(LOCAL "LocalVolumeSource" { fsType: Only(&[""]), path: Read });
table!(METADATA "ObjectMeta" {
    name: Read, namespace: Read, labels: Read, annotations: Read, generateName: NotYet, creationTimestamp: Cluster,
    deletionGracePeriodSeconds: Cluster, deletionTimestamp: Cluster, finalizers: Cluster, generation: Cluster,
    managedFields: Cluster, ownerReferences: Cluster, resourceVersion: Cluster, selfLink: Cluster, uid: Cluster,
});
table!(POD_SPEC "PodSpec" {
    activeDeadlineSeconds: NotYet, affinity: Cluster, automountServiceAccountToken: Cluster, containers: Read, dnsConfig: NotYet,
    dnsPolicy: Only(&["Default", "ClusterFirst", "ClusterFirstWithHostNet"]), enableServiceLinks: Cluster,
    ephemeralContainers: NotYet, hostAliases: Read, hostIPC: Read, hostNetwork: Read, hostPID: Only(&["false"]),
    hostUsers: Only(&["true"]), hostname: Read, hostnameOverride: NotYet, imagePullSecrets: Cluster, initContainers: Read,
    nodeName: Cluster, nodeSelector: Cluster, os: Read, overhead: Cluster, preemptionPolicy: Cluster,
    priority: Only(&["0", "2000000000", "2000001000"]), priorityClassName: Read, readinessGates: NotYet, resourceClaims: NotYet,
    resources: Read, restartPolicy: Read, runtimeClassName: NotYet, schedulerName: Cluster, schedulingGates: NotYet,
    securityContext: Read, serviceAccount: Cluster, serviceAccountName: Cluster, setHostnameAsFQDN: Read,
    shareProcessNamespace: Read, subdomain: Read, terminationGracePeriodSeconds: Read, tolerations: Cluster,
    topologySpreadConstraints: Cluster, volumes: Read,
});
table!(POD_OS "PodOS" { name: Read });
table!(HOST_ALIAS "HostAlias" { ip: Read, hostnames: Read });
table!(POD_SECURITY "PodSecurityContext" {
    appArmorProfile: NotYet, fsGroup: Read, fsGroupChangePolicy: Read, runAsGroup: Read, runAsNonRoot: Read, runAsUser: Read,
    seLinuxChangePolicy: NotYet, seLinuxOptions: NotYet, seccompProfile: Read, supplementalGroups: Read,
    supplementalGroupsPolicy: Read, sysctls: NotYet, windowsOptions: NotYet,
});
table!(CONTAINER "Container" {
    args: Read, command: Read, env: Read, envFrom: Read, image: Read, imagePullPolicy: Read, lifecycle: Read, livenessProbe: NotYet,
    name: Read, ports: Read, readinessProbe: NotYet, resizePolicy: NotYet, resources: Read, restartPolicy: Read,
    restartPolicyRules: NotYet, securityContext: Read, startupProbe: NotYet, stdin: Only(&["false"]), stdinOnce: Only(&["false"]),
    terminationMessagePath: Only(&["/dev/termination-log"]), terminationMessagePolicy: Only(&["File"]), tty: Only(&["false"]),
    volumeDevices: NotYet, volumeMounts: Read, workingDir: Read,
});
table!(SECURITY "SecurityContext" {
    allowPrivilegeEscalation: Read, appArmorProfile: NotYet, capabilities: Read, privileged: Read, procMount: Only(&["Default"]),
    readOnlyRootFilesystem: Read, runAsGroup: Read, runAsNonRoot: Read, runAsUser: Read, seLinuxOptions: NotYet,
    seccompProfile: Read, windowsOptions: NotYet,
});
table!(SECCOMP "SeccompProfile" { localhostProfile: NotYet, r#type: Read });
table!(CAPABILITIES "Capabilities" { add: Read, drop: Read });
table!(PORT "ContainerPort" {
    containerPort: Read, hostIP: Only(&["0.0.0.0"]), hostPort: Read, name: Read, protocol: Read,
});
table!(ENV_VAR "EnvVar" { name: Read, value: Read, valueFrom: Read });
table!(ENV_SOURCE "EnvVarSource" {
    configMapKeyRef: Read, fieldRef: Read, fileKeyRef: NotYet, resourceFieldRef: Read, secretKeyRef: Read,
});
table!(KEY_REF "KeySelector" { key: Read, name: Read, optional: Read });
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
        Field { name: "ephemeral-storage", support: NotYet },
    ],
    // Huge pages by their size, and what device plugins bring, as in `example.com/camera`.
    later: |name| name.starts_with("hugepages-") || name.contains('/'),
};
table!(LIFECYCLE "Lifecycle" { postStart: NotYet, preStop: Read, stopSignal: NotYet });
table!(HANDLER "LifecycleHandler" { exec: Read, httpGet: NotYet, sleep: Read, tcpSocket: NotYet });
table!(EXEC "ExecAction" { command: Read });
table!(SLEEP "SleepAction" { seconds: Read });
table!(MOUNT "VolumeMount" {
    mountPath: Read, mountPropagation: Read, name: Read, readOnly: Read, recursiveReadOnly: Read, subPath: Read, subPathExpr: Read,
});
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
table!(CLAIM_TEMPLATE "PersistentVolumeClaimTemplate" { metadata: Cluster, spec: Read });
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

/// Kinds that Kubernetes has and a board does not take yet, with what to write for now.
pub const OTHER_KINDS: &[(&str, &str)] = &[
    ("Deployment", "write its pod template as a Pod"),
    ("DaemonSet", "write its pod template as a Pod"),
    ("StatefulSet", "write its pod template as a Pod"),
    ("ReplicaSet", "write its pod template as a Pod"),
    ("ReplicationController", "write its pod template as a Pod"),
    ("Job", "write its pod template as a Pod with restartPolicy: OnFailure"),
    ("CronJob", "write its pod template as a Pod"),
    ("Service", "a pod with hostNetwork: true serves on the board's address"),
    ("Ingress", "a pod with hostNetwork: true serves on the board's address"),
    ("Namespace", "leave it out: a namespace of a board needs no object"),
    ("ServiceAccount", "leave it out: there is no API server on a board"),
    ("Role", "leave it out: there is no API server on a board"),
    ("RoleBinding", "leave it out: there is no API server on a board"),
    ("ClusterRole", "leave it out: there is no API server on a board"),
    ("ClusterRoleBinding", "leave it out: there is no API server on a board"),
    ("NetworkPolicy", "leave it out"),
    ("StorageClass", "leave it out: a claim is a folder on the data partition"),
    ("HorizontalPodAutoscaler", "leave it out"),
    ("PodDisruptionBudget", "leave it out"),
    ("PodTemplate", "write it as a Pod"),
    ("PriorityClass", "leave it out: system-node-critical and system-cluster-critical are there"),
];

/// The kinds that a board takes.
pub const KINDS: &[&str] = &["Pod", "ConfigMap", "Secret", "PersistentVolumeClaim", "PersistentVolume", "List"];

/// Every type below `Pod`, for those who want to walk them all.
pub static POD_TYPES: &[&Table] = &[
    &POD,
    &METADATA,
    &POD_SPEC,
    &POD_OS,
    &HOST_ALIAS,
    &POD_SECURITY,
    &CONTAINER,
    &SECURITY,
    &SECCOMP,
    &CAPABILITIES,
    &PORT,
    &ENV_VAR,
    &ENV_SOURCE,
    &KEY_REF,
    &FIELD_REF,
    &ENV_FROM,
    &ENV_REF,
    &RESOURCES,
    &QUANTITIES,
    &LIFECYCLE,
    &HANDLER,
    &EXEC,
    &SLEEP,
    &MOUNT,
    &VOLUME,
    &EMPTY_DIR,
    &HOST_PATH,
    &CLAIM_VOLUME,
    &CONFIG_MAP_VOLUME,
    &SECRET_VOLUME,
    &KEY_TO_PATH,
    &IMAGE_VOLUME,
    &EPHEMERAL,
    &CLAIM_TEMPLATE,
    &RESOURCE_REF,
    &DOWNWARD_VOLUME,
    &DOWNWARD_PROJECTION,
    &DOWNWARD_FILE,
    &PROJECTED,
    &PROJECTION,
    &CONFIG_MAP_PROJECTION,
    &SECRET_PROJECTION,
];
