//! LimitRange documents, in the words and with the numbers of Kubernetes' admission plugin.

use super::kinds::{controller, pods};
use super::{compile, pod};
use podling::manifest::pod::Resources;

/// A LimitRange of the namespace `namespace` with one item.
fn range(namespace: &str, item: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: LimitRange\nmetadata: {{name: bounds, namespace: {namespace}}}\nspec:\n  limits:\n  - {{{item}}}\n"
    )
}

/// The default pod under that LimitRange.
fn under(item: &str, container: &str) -> String {
    pod("", container) + &range("default", item)
}

const MI: u64 = 1 << 20;

#[track_caller]
fn resources(text: &str) -> (Resources, Vec<(String, String)>) {
    pods(text, |pods| {
        let annotations = pods[0].annotations.iter().map(|pair| (pair.key.into(), pair.value.into())).collect();
        (pods[0].containers.get(0).unwrap().resources, annotations)
    })
}

#[test]
fn spec_93_a_limit_range_gives_containers_what_they_do_not_say() {
    let both = "type: Container, default: {memory: 100Mi, cpu: 500m}, defaultRequest: {memory: 50Mi}";
    let (found, annotations) = resources(&under(both, ""));
    assert_eq!(
        found,
        Resources {
            memory_request: 50 * MI,
            memory_limit: Some(100 * MI),
            cpu_request_milli: 500,
            cpu_limit_milli: Some(500),
            ..Resources::default()
        }
    );
    let said = "LimitRanger plugin set: cpu, memory request for container app; cpu, memory limit for container app";
    assert_eq!(annotations, [("kubernetes.io/limit-ranger".to_owned(), said.to_owned())]);
    // What is said stays, and a limit of its own is its own request.
    let (found, annotations) = resources(&under(both, "resources: {limits: {memory: 30Mi}, requests: {cpu: 100m}}"));
    assert_eq!((found.memory_request, found.memory_limit), (30 * MI, Some(30 * MI)));
    assert_eq!((found.cpu_request_milli, found.cpu_limit_milli), (100, Some(500)));
    assert_eq!(annotations[0].1, "LimitRanger plugin set: cpu limit for container app");
    // A limit of max, a request of min.
    let (found, _) = resources(&under("type: Container, max: {memory: 80Mi}, min: {memory: 10Mi, cpu: 10m}", ""));
    assert_eq!((found.memory_request, found.memory_limit), (80 * MI, Some(80 * MI)));
    assert_eq!((found.cpu_request_milli, found.cpu_limit_milli), (10, None));
    // Of another namespace.
    let (found, annotations) = resources(&(pod("", "") + &range("shop", both)));
    assert_eq!((found, annotations.len()), (Resources::default(), 0));
}

#[test]
fn spec_93_a_limit_range_is_for_init_containers_and_pods_of_controllers_too() {
    let template = "initContainers: [{name: first, image: busybox}]";
    let text = controller("apps/v1", "Deployment", "", template) + &range("shop", "type: Container, default: {cpu: 1}");
    pods(&text, |pods| {
        assert!(pods[0].containers.iter().all(|container| container.resources.cpu_limit_milli == Some(1000)));
        let said = pods[0].annotations.iter().last().unwrap().value;
        assert!(said.ends_with("cpu request for init container first; cpu limit for init container first"), "{said}");
    });
}

#[test]
fn spec_93_what_breaks_a_limit_range_is_told_in_the_plugins_words() {
    let max = "type: Container, max: {memory: 100Mi}";
    let outcome = compile(&under(max, "resources: {limits: {memory: 200Mi}}"));
    let says =
        "spec.containers[0].resources.limits.memory: maximum memory usage per Container is 100Mi, but limit is 200Mi";
    outcome.refused(&format!("pods.yaml:4:97: {says}"));
    let min = "type: Container, min: {cpu: 100m, memory: 64Mi}";
    compile(&under(min, "resources: {requests: {cpu: 50m}}"))
        .refused("resources.requests.cpu: minimum cpu usage per Container is 100m, but request is 50m");
    let ratio = "type: Container, maxLimitRequestRatio: {memory: 2}";
    compile(&under(ratio, "resources: {requests: {memory: 10Mi}, limits: {memory: 25Mi}}"))
        .refused("memory max limit to request ratio per Container is 2, but provided ratio is 2.500000");
    assert_eq!(compile(&under(ratio, "resources: {requests: {memory: 10Mi}, limits: {memory: 20Mi}}")).errors, 0);
    compile(&under(ratio, "resources: {requests: {memory: 10Mi}}"))
        .refused("memory max limit to request ratio per Container is 2, but no limit is specified or limit is 0");
    // A limit that comes from the LimitRange, below a request that does not.
    compile(&under("type: Container, default: {cpu: 500m}", "resources: {requests: {cpu: 700m}}"))
        .refused("spec.containers[0].resources: the cpu request is above the cpu limit");
}

#[test]
fn spec_93_a_limit_range_for_pods_adds_up() {
    let with = |item: &str, sizes: [&str; 2]| {
        let containers: Vec<String> = (0..)
            .zip(sizes)
            .map(|(n, size)| format!("{{name: c{n}, image: busybox, resources: {{limits: {{memory: {size}}}}}}}"))
            .collect();
        let list = format!("containers: [{}]", containers.join(", "));
        let text = pod("", "").replace("containers: [{name: app, image: busybox}]", &list);
        compile(&(text + &range("default", item)))
    };
    let max = "type: Pod, max: {memory: 100Mi}";
    assert_eq!(with(max, ["60Mi", "40Mi"]).errors, 0);
    with(max, ["60Mi", "41Mi"]).refused("spec: maximum memory usage per Pod is 100Mi, but limit is 101Mi");
    with("type: Pod, min: {cpu: 1}", ["1Mi", "1Mi"])
        .refused("spec: minimum cpu usage per Pod is 1.  No request is specified");
    compile(&under(max, "")).refused("spec: maximum memory usage per Pod is 100Mi.  No limit is specified");
    let whole = pod("resources: {limits: {memory: 50Mi}}", "") + &range("default", max);
    assert_eq!(compile(&whole).errors, 0, "the pod says one itself");
    with("type: Pod, default: {cpu: 1}", ["1Mi", "1Mi"])
        .refused("spec.limits[0].default: may not be specified when `type` is 'Pod'");
}

#[test]
fn spec_35_a_limit_range_bounds_what_claims_ask_for() {
    let claim = |size: &str| {
        let spec = format!("{{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: {size}}}}}}}");
        let document =
            format!("---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data}}\nspec: {spec}\n");
        let of_set = format!("volumeClaimTemplates: [{{metadata: {{name: data}}, spec: {spec}}}]");
        let own = format!("volumes: [{{name: own, ephemeral: {{volumeClaimTemplate: {{spec: {spec}}}}}}}]");
        let item = "type: PersistentVolumeClaim, min: {storage: 1Gi}, max: {storage: 2Gi}";
        [
            pod("", "") + &document + &range("default", item),
            pod(&own, "") + &range("default", item),
            controller("apps/v1", "StatefulSet", &format!("replicas: 2\n{of_set}"), "") + &range("shop", item),
        ]
        .map(|text| compile(&text))
    };
    claim("2Gi").iter().for_each(|outcome| assert_eq!(outcome.errors, 0, "{}", outcome.said));
    for outcome in claim("3Gi") {
        outcome.refused("maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi");
    }
    for outcome in claim("500Mi") {
        outcome.refused("minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi");
    }
}

#[test]
fn a_limit_range_that_contradicts_itself_is_refused() {
    for (item, says) in [
        ("type: Container, min: {cpu: 2}, max: {cpu: 1}", "min value 2 is greater than max value 1"),
        (
            "type: Container, defaultRequest: {memory: 3Mi}, default: {memory: 2Mi}",
            "default request value 3Mi is greater than default limit value 2Mi",
        ),
        ("type: Container, default: {cpu: 3}, max: {cpu: 2}", "default limit value 3 is greater than max value 2"),
        ("type: Container, maxLimitRequestRatio: {cpu: 500m}", "ratio 500m is less than 1"),
        ("type: PersistentVolumeClaim, min: {}", "either minimum or maximum storage value is required"),
        ("type: Node, max: {cpu: 1}", "spec.limits[0].type: \"Node\" is not a value for this"),
        ("type: Pod, max: {cpu: lots}", "spec.limits[0].max.cpu: \"lots\" is not a quantity"),
        ("type: Pod, maxx: {cpu: 1}", "did you mean \"max\"?"),
    ] {
        let outcome = compile(&under(item, ""));
        assert!(outcome.errors > 0 && outcome.said.contains(says), "{item}: {}", outcome.said);
    }
    let outcome = compile(&under("type: Container, max: {nvidia.com/gpu: 1}", ""));
    assert_eq!((outcome.errors, outcome.warnings), (0, 1), "{}", outcome.said);
}
