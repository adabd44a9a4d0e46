//! Every field that Kubernetes has for a pod is honoured, warned about or refused: the table of fields against the compiler.

use super::compile;
use podling::host::schema::{self, Field, Support, Table};

/// For each type, a pod that has one object of it, `@` being where one more of its fields goes.
const PLACES: &[(&Table, &str)] = &[
    (&schema::POD, "@"),
    (&schema::METADATA, "metadata: {name: web, @}"),
    (&schema::POD_SPEC, "spec: {@}"),
    (&schema::POD_OS, "spec: {os: {@}}"),
    (&schema::HOST_ALIAS, "spec: {hostAliases: [{@}]}"),
    (&schema::POD_SECURITY, "spec: {securityContext: {@}}"),
    (&schema::CONTAINER, "spec: {containers: [{@}]}"),
    (&schema::SECURITY, "spec: {containers: [{securityContext: {@}}]}"),
    (&schema::SECCOMP, "spec: {containers: [{securityContext: {seccompProfile: {@}}}]}"),
    (&schema::APP_ARMOR, "spec: {containers: [{securityContext: {appArmorProfile: {@}}}]}"),
    (&schema::SE_LINUX, "spec: {containers: [{securityContext: {seLinuxOptions: {@}}}]}"),
    (&schema::WINDOWS, "spec: {containers: [{securityContext: {windowsOptions: {@}}}]}"),
    (&schema::SYSCTL, "spec: {securityContext: {sysctls: [{@}]}}"),
    (&schema::CAPABILITIES, "spec: {containers: [{securityContext: {capabilities: {@}}}]}"),
    (&schema::PORT, "spec: {containers: [{ports: [{@}]}]}"),
    (&schema::ENV_VAR, "spec: {containers: [{env: [{@}]}]}"),
    (&schema::ENV_SOURCE, "spec: {containers: [{env: [{name: A, valueFrom: {@}}]}]}"),
    (&schema::FILE_KEY_REF, "spec: {containers: [{env: [{name: A, valueFrom: {fileKeyRef: {@}}}]}]}"),
    (&schema::KEY_REF, "spec: {containers: [{env: [{name: A, valueFrom: {secretKeyRef: {@}}}]}]}"),
    (&schema::FIELD_REF, "spec: {containers: [{env: [{name: A, valueFrom: {fieldRef: {@}}}]}]}"),
    (&schema::ENV_FROM, "spec: {containers: [{envFrom: [{@}]}]}"),
    (&schema::ENV_REF, "spec: {containers: [{envFrom: [{secretRef: {@}}]}]}"),
    (&schema::RESOURCES, "spec: {containers: [{resources: {@}}]}"),
    (&schema::QUANTITIES, "spec: {containers: [{resources: {limits: {@}}}]}"),
    (&schema::READINESS_GATE, "spec: {readinessGates: [{@}]}"),
    (&schema::RESTART_RULE, "spec: {containers: [{restartPolicyRules: [{@}]}]}"),
    (&schema::EXIT_CODES, "spec: {containers: [{restartPolicyRules: [{exitCodes: {@}}]}]}"),
    (&schema::RESIZE, "spec: {containers: [{resizePolicy: [{@}]}]}"),
    (&schema::LIFECYCLE, "spec: {containers: [{lifecycle: {@}}]}"),
    (&schema::HANDLER, "spec: {containers: [{lifecycle: {preStop: {@}}}]}"),
    (&schema::EXEC, "spec: {containers: [{lifecycle: {preStop: {exec: {@}}}}]}"),
    (&schema::SLEEP, "spec: {containers: [{lifecycle: {preStop: {sleep: {@}}}}]}"),
    (&schema::PROBE, "spec: {containers: [{livenessProbe: {@}}]}"),
    (&schema::HTTP_GET, "spec: {containers: [{livenessProbe: {httpGet: {@}}}]}"),
    (&schema::HTTP_HEADER, "spec: {containers: [{livenessProbe: {httpGet: {httpHeaders: [{@}]}}}]}"),
    (&schema::TCP_SOCKET, "spec: {containers: [{livenessProbe: {tcpSocket: {@}}}]}"),
    (&schema::GRPC, "spec: {containers: [{livenessProbe: {grpc: {@}}}]}"),
    (&schema::MOUNT, "spec: {containers: [{volumeMounts: [{@}]}]}"),
    (&schema::DNS_CONFIG, "spec: {dnsConfig: {@}}"),
    (&schema::DNS_OPTION, "spec: {dnsConfig: {options: [{@}]}}"),
    (&schema::VOLUME_DEVICE, "spec: {containers: [{volumeDevices: [{@}]}]}"),
    (&schema::VOLUME, "spec: {volumes: [{name: v, @}]}"),
    (&schema::EMPTY_DIR, "spec: {volumes: [{name: v, emptyDir: {@}}]}"),
    (&schema::HOST_PATH, "spec: {volumes: [{name: v, hostPath: {@}}]}"),
    (&schema::CLAIM_VOLUME, "spec: {volumes: [{name: v, persistentVolumeClaim: {@}}]}"),
    (&schema::CONFIG_MAP_VOLUME, "spec: {volumes: [{name: v, configMap: {@}}]}"),
    (&schema::SECRET_VOLUME, "spec: {volumes: [{name: v, secret: {@}}]}"),
    (&schema::IMAGE_VOLUME, "spec: {volumes: [{name: v, image: {@}}]}"),
    (&schema::EPHEMERAL, "spec: {volumes: [{name: v, ephemeral: {@}}]}"),
    (&schema::CLAIM_TEMPLATE, "spec: {volumes: [{name: v, ephemeral: {volumeClaimTemplate: {@}}}]}"),
    (&schema::RESOURCE_REF, "spec: {containers: [{env: [{name: A, valueFrom: {resourceFieldRef: {@}}}]}]}"),
    (&schema::DOWNWARD_VOLUME, "spec: {volumes: [{name: v, downwardAPI: {@}}]}"),
    (&schema::DOWNWARD_PROJECTION, "spec: {volumes: [{name: v, projected: {sources: [{downwardAPI: {@}}]}}]}"),
    (&schema::DOWNWARD_FILE, "spec: {volumes: [{name: v, downwardAPI: {items: [{@}]}}]}"),
    (&schema::PROJECTED, "spec: {volumes: [{name: v, projected: {@}}]}"),
    (&schema::PROJECTION, "spec: {volumes: [{name: v, projected: {sources: [{@}]}}]}"),
    (&schema::CONFIG_MAP_PROJECTION, "spec: {volumes: [{name: v, projected: {sources: [{configMap: {@}}]}}]}"),
    (&schema::SECRET_PROJECTION, "spec: {volumes: [{name: v, projected: {sources: [{secret: {@}}]}}]}"),
    (&schema::KEY_TO_PATH, "spec: {volumes: [{name: v, configMap: {name: data, items: [{@}]}}]}"),
];

/// A value that has the right type for no field at all.
const WRONG: &str = "[[{}]]";

/// A document of `place` with `field` in it, and a ConfigMap to refer to.
fn document(place: &str, field: &str) -> String {
    let text = place.replace('@', field);
    let meta = if place.contains("metadata:") { "" } else { "metadata: {name: web}\n" };
    format!("apiVersion: v1\nkind: Pod\n{meta}{text}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: data}}\n")
}

/// Whether something is said of the field by its name, with `words` in the same line.
fn said(text: &str, field: &Field, words: &str) -> bool {
    text.lines().any(|line| line.contains(field.name) && line.contains(words))
}

#[test]
fn every_type_has_a_place() {
    for table in schema::POD_TYPES {
        assert!(PLACES.iter().any(|(known, _)| known.name == table.name), "{}", table.name);
    }
}

#[test]
fn every_field_is_honoured_warned_about_or_refused() {
    let mut missed = Vec::new();
    for (table, place) in PLACES {
        for field in table.fields {
            // A second one of what the place has already would be a duplicate.
            if is_given(place, field) {
                continue;
            }
            let outcome = compile(&document(place, &format!("{}: {WRONG}", field.name)));
            let words = match field.support {
                // It is read: so a value of the wrong type cannot pass.
                Support::Read => "expected",
                Support::Only(_) => "expected",
                Support::Cluster => "warning",
                Support::NotYet => "not supported on the board",
            };
            if !said(&outcome.said, field, words) {
                missed.push(format!("{}.{} ({words}):\n{}", table.name, field.name, outcome.said));
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Whether `field` stands beside the `@` of its place.
fn is_given(place: &str, field: &Field) -> bool {
    let before = place.split('@').next().unwrap_or("");
    let own = before.rfind('{').map_or("apiVersion: kind: metadata: ", |at| &before[at..]);
    own.contains(&format!("{}: ", field.name))
}

#[test]
fn only_the_values_that_are_listed_pass() {
    for (table, place) in PLACES {
        for field in table.fields {
            let Support::Only(values) = field.support else {
                continue;
            };
            let other = compile(&document(place, &format!("{}: something-else", field.name)));
            assert!(said(&other.said, field, "not supported on the board yet: only"), "{}.{}", table.name, field.name);
            for value in values {
                let listed = compile(&document(place, &format!("{}: {value}", field.name)));
                assert!(!said(&listed.said, field, "not supported"), "{}.{}: {}", table.name, field.name, listed.said);
            }
        }
    }
}

#[test]
fn null_is_as_good_as_absent() {
    let nulls: String = schema::CONTAINER
        .fields
        .iter()
        .filter(|f| !matches!(f.name, "name" | "image"))
        .map(|f| format!(", {}: null", f.name))
        .collect();
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec: {{hostNetwork: true, containers: [{{name: app, image: busybox{nulls}}}]}}\n"
    );
    let outcome = compile(&text);
    assert_eq!((outcome.errors, outcome.warnings), (0, 0), "{}", outcome.said);
}
