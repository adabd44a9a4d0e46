//! Files that nobody here wrote for podling: the examples of Kubernetes' documentation, and what Helm charts render. Each compiles,
//! or is refused with a reason that names the field.

use super::{BOARD, compile};
use podling::host::diagnostic::{Diagnostics, Severity, Sources};
use podling::host::lower;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

/// What becomes of a file: one line where it compiles, else one for each thing that is refused.
fn outcome(name: &str, text: &str) -> (String, bool) {
    let mut sources = Sources::default();
    sources.add(name, text);
    let diagnostics = Diagnostics::default();
    let compiled = lower::compile(&sources, &BOARD, &diagnostics);
    let of = |severity| -> BTreeSet<String> {
        let all = diagnostics.sorted().into_iter().filter(|d| d.severity == severity);
        all.map(|d| d.message).collect()
    };
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    match compiled {
        Some(compiled) => {
            let (pods, warnings) = (compiled.pods, warnings.len());
            (format!("{name}: compiles: pods {pods}, containers {}, warnings {warnings}\n", compiled.containers), true)
        }
        None => {
            let mut out = format!("{name}: refused\n");
            for error in &errors {
                let field = error.split(": ").find(|part| !part.starts_with("The Pod ")).unwrap_or_default();
                let names_a_field = field == "kind" || field.contains('.') && !field.contains(' ');
                assert!(names_a_field, "{name}: this names no field: {error}");
                let _ = writeln!(out, "  {error}");
            }
            (out, false)
        }
    }
}

#[test]
fn real_files_compile_or_are_refused_by_field() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/files");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut out = String::new();
    let mut good = 0;
    for path in &paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        let (said, compiles) = outcome(name, &fs::read_to_string(path).unwrap());
        out += &said;
        good += usize::from(compiles);
    }
    let _ = writeln!(out, "{good} of {} compile", paths.len());
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("real-files", out);
    });
}

/// As charts render what nobody has set.
#[test]
fn what_is_empty_asks_for_nothing() {
    let outcome = compile(&super::pod(
        "resourceClaims: [], securityContext: {sysctls: [], seLinuxOptions: {}}",
        "securityContext: {seLinuxOptions: {}, windowsOptions: null}",
    ));
    assert_eq!((outcome.errors, outcome.warnings), (0, 0), "{}", outcome.said);
    let outcome = compile(&super::pod("nodeSelector: {}, affinity: {}, tolerations: [], imagePullSecrets: []", ""));
    assert_eq!((outcome.errors, outcome.warnings), (0, 0), "{}", outcome.said);
    let outcome = compile(&super::pod(
        "restartPolicy: '', hostname: '', subdomain: '', priorityClassName: '', volumes: [{name: v, emptyDir: {medium: ''}}]",
        "imagePullPolicy: '', terminationMessagePolicy: '', terminationMessagePath: '', workingDir: '', \
         ports: [{containerPort: 80, protocol: '', name: '', hostIP: '', hostPort: 0}], \
         readinessProbe: {httpGet: {port: 80, scheme: '', path: '', host: ''}}",
    ));
    assert_eq!((outcome.errors, outcome.warnings), (0, 0), "{}", outcome.said);
}

/// As the API server fills it in.
#[test]
fn a_volume_without_a_source_is_an_empty_dir() {
    let outcome = compile(&super::pod("volumes: [{name: cache}, {name: tmp, emptyDir: }]", ""));
    assert_eq!((outcome.errors, outcome.warnings), (0, 2), "{}", outcome.said);
    assert!(outcome.said.contains("no source is named, so this is an emptyDir"), "{}", outcome.said);
}

#[test]
fn what_was_meant_for_another_program_is_told_what_makes_pods_of_it() {
    compile("services:\n  web: {image: nginx}\n").refused("this is a compose file: `kompose convert`");
    let kustomization = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [web.yaml]\n";
    compile(kustomization).refused("`kubectl kustomize FOLDER | podling build -`");
}

/// Of an annotation's key, as in Kubernetes, capitals do not matter; podman writes such.
#[test]
fn keys_of_annotations_may_have_capitals_in_their_domain_and_those_of_labels_not() {
    let with = |what: &str| compile(&super::pod("", "").replace("name: web", &format!("name: web, {what}")));
    assert_eq!(with("annotations: {example.com.ID/web: a}").errors, 0);
    with("labels: {example.com.ID/web: a}").refused("is not a key");
    with("annotations: {a/b/c: a}").refused("is not a key");
}

/// What is not Kubernetes' own says something to a controller in a cluster; a mistyped kind of Kubernetes is a mistake.
#[test]
fn custom_resources_are_ignored_with_a_warning_and_mistakes_are_not() {
    let with = |version: &str, kind: &str| {
        compile(&(super::pod("", "") + &format!("---\napiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\n")))
    };
    let outcome = with("metallb.io/v1beta1", "IPAddressPool");
    assert_eq!((outcome.errors, outcome.warnings), (0, 1), "{}", outcome.said);
    assert!(
        outcome.said.contains("IPAddressPool of metallb.io means nothing on a single board, ignored"),
        "{}",
        outcome.said
    );
    // Of a name that Kubernetes has as well, or of a group that only looks like its own.
    for (version, kind) in [("serving.knative.dev/v1", "Service"), ("gateway.networking.k8s.io/v1", "HTTPRoute")] {
        let outcome = with(version, kind);
        assert_eq!((outcome.errors, outcome.warnings), (0, 1), "{}", outcome.said);
    }
    with("apps.k8s.io/v1", "Deployment").refused("write apps/v1");
    for (version, kind) in [("apps/v1", "Deploymnet"), ("networking.k8s.io/v1", "Ingres"), ("v1", "Pot")] {
        let outcome = with(version, kind);
        assert!(outcome.errors == 1 && outcome.said.contains("unknown kind"), "{}", outcome.said);
    }
}

#[test]
fn a_name_that_an_api_server_would_make_up_is_missed_only_where_there_is_none() {
    let of = |meta: &str| compile(&super::pod("", "").replace("name: web", meta));
    assert_eq!(of("generateName: web-, name: web-x2x9k").errors, 0);
    let outcome = of("generateName: web-");
    assert!(
        outcome.errors == 1 && outcome.said.contains("metadata.generateName: a board has no API server"),
        "{}",
        outcome.said
    );
}
