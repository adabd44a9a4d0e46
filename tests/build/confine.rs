//! The security context in YAML: what is compiled of it, and what is refused with which words.

use super::{board, compile, compile_for, pod};
use podling::host::boards::{Arch, BoardFile};
use podling::host::diagnostic::{Diagnostics, Sources};
use podling::host::inspect::inspect;
use podling::host::lower;
use podling::host::seccomp::{parse, runtime_default};
use podling::manifest::codec::{self, Kind};
use podling::manifest::pod::{Confinement, Manifest, ProcMount, Seccomp, Security};
use podling::manifest::{check, limits};

/// A board that allows what can be allowed.
fn open_board() -> BoardFile {
    let mut board = board();
    board.allow_privileged = true;
    board.node.allowed_unsafe_sysctls = vec!["net.core.*".into(), "kernel.sem".into()];
    board.resources.clear();
    board.resources.insert("board.podling/gpio".into(), vec!["/dev/gpiochip0".into(), "/dev/gpiomem".into()]);
    board.resources.insert("board.podling/i2c".into(), vec!["/dev/i2c-1".into()]);
    board
}

#[track_caller]
fn manifest<T>(text: &str, board: &BoardFile, look: impl FnOnce(Manifest<'_>) -> T) -> T {
    let body = compile_for(text, board).body();
    look(check::manifest(&body).unwrap())
}

#[track_caller]
fn held<T>(text: &str, board: &BoardFile, look: impl FnOnce(Confinement<'_>) -> T) -> T {
    manifest(text, board, |m| look(m.pods.get(0).unwrap().containers.get(0).unwrap().confinement))
}

#[test]
fn a_filter_is_in_the_manifest_once() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  hostNetwork: true\n  securityContext: {seccompProfile: {type: RuntimeDefault}}\n  containers:\n  - {name: a, image: busybox}\n  - {name: b, image: busybox}\n  - {name: c, image: busybox, securityContext: {capabilities: {drop: [ALL]}}}\n  - {name: d, image: busybox, securityContext: {seccompProfile: {type: Unconfined}}}\n---\n";
    let text = format!("{text}{}", text.replace("name: a}\nspec", "name: b}\nspec"));
    manifest(&text, &board(), |manifest| {
        let filters: Vec<&[u8]> = manifest.filters.iter().collect();
        let of = |capabilities| runtime_default(capabilities).compile(Arch::Aarch64).unwrap();
        assert_eq!(filters, [of(Security::DEFAULT_CAPABILITIES), of(0)]);
        for pod in manifest.pods {
            let chosen: Vec<_> = pod.containers.iter().map(|c| c.confinement.seccomp.filter()).collect();
            assert_eq!(chosen, [Some(0), Some(0), Some(1), None]);
        }
    });
    // Nothing is said, and that is what Kubernetes does; unless the node says otherwise.
    assert_eq!(held(&pod("", ""), &board(), |c| c.seccomp.filter()), None);
    let mut strict = board();
    strict.node.seccomp_default = true;
    assert_eq!(held(&pod("", ""), &strict, |c| c.seccomp.filter()), Some(0));
    assert_eq!(
        held(&pod("", "securityContext: {seccompProfile: {type: Unconfined}}"), &strict, |c| c.seccomp.filter()),
        None
    );
    strict.arch = Arch::Armv7;
    manifest(&pod("", ""), &strict, |manifest| {
        let arm = runtime_default(Security::DEFAULT_CAPABILITIES).compile(Arch::Armv7).unwrap();
        assert_eq!(manifest.filters.get(0), Some(&arm[..]));
    });
}

#[test]
fn a_localhost_profile_is_found_beside_the_pod() {
    let folder = tempfile::tempdir().unwrap();
    let profile =
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["ptrace"], "action": "SCMP_ACT_ERRNO"}]}"#;
    std::fs::create_dir(folder.path().join("profiles")).unwrap();
    std::fs::write(folder.path().join("profiles/a.json"), profile).unwrap();
    std::fs::write(folder.path().join("broken.json"), "{}").unwrap();
    let compile = |path: &str| {
        let context = format!("securityContext: {{seccompProfile: {{type: Localhost, localhostProfile: {path}}}}}");
        let mut sources = Sources::default();
        sources.add(folder.path().join("pods.yaml").display().to_string(), pod("", &context));
        let diagnostics = Diagnostics::default();
        let body = lower::compile(&sources, &board(), &diagnostics).map(|compiled| compiled.body);
        (body, diagnostics.render(&sources))
    };
    let (body, said) = compile("profiles/a.json");
    let body = body.expect(&said);
    let manifest = check::manifest(&body).unwrap();
    assert_eq!(manifest.filters.get(0).unwrap(), parse(profile).unwrap().compile(Arch::Aarch64).unwrap());
    let container = manifest.pods.get(0).unwrap().containers.get(0).unwrap();
    assert_eq!(container.confinement.seccomp, Seccomp::Localhost { profile: "profiles/a.json", filter: 0 });
    let header = codec::seal(Kind::Manifest, "qemu-virt-aarch64", 1, &body).unwrap();
    let shown = inspect(&[&header[..], &body].concat(), false).unwrap();
    assert!(shown.contains("localhostProfile: profiles/a.json"), "{shown}");
    for (path, part) in [
        ("../a.json", "must be a path below the folder of this file, without .."),
        ("/etc/a.json", "must be a path below"),
        ("none.json", "none.json: No such file or directory"),
        ("broken.json", "broken.json: missing field `defaultAction`"),
    ] {
        let (body, said) = compile(path);
        assert!(body.is_none() && said.contains(part), "{path}: {said}");
    }
}

#[test]
fn spec_87_privileged_is_refused_for_a_board_that_does_not_allow_it() {
    let text = pod("", "securityContext: {privileged: true}");
    compile(&text).refused(r#"The Pod "web" is invalid: spec.containers[0].securityContext.privileged: forbidden"#);
    let more = "seccompProfile: {type: RuntimeDefault}, capabilities: {drop: [ALL]}, privileged: true";
    let text = pod("", &format!("securityContext: {{{more}}}"));
    manifest(&text, &open_board(), |manifest| {
        let container = manifest.pods.get(0).unwrap().containers.get(0).unwrap();
        assert_eq!(container.security.capabilities, (1 << Security::CAPABILITIES.len()) - 1, "spec 83");
        assert!(container.confinement.privileged && container.confinement.seccomp == Seccomp::Unconfined);
        assert!(manifest.filters.is_empty());
    });
    let text = pod("", "securityContext: {privileged: true, allowPrivilegeEscalation: false}");
    compile_for(&text, &open_board()).refused("allowPrivilegeEscalation: cannot be false for a privileged container");
}

#[test]
fn sysctls_are_safe_or_allowed_by_the_board() {
    let with = |name: &str, spec: &str| {
        let text = format!("securityContext: {{sysctls: [{{name: {name}, value: '1'}}]}}{spec}");
        pod("", "").replace("hostNetwork: true", &text)
    };
    for name in ["kernel.shm_rmid_forced", "net/ipv4/tcp_syncookies", "net.core.somaxconn", "kernel.sem"] {
        manifest(&with(name, ""), &open_board(), |m| {
            let set = m.pods.get(0).unwrap().sysctls.get(0).unwrap();
            assert_eq!((set.key, set.value), (&*name.replace('/', "."), "1"));
        });
    }
    for (name, spec, part) in [
        ("kernel.panic", "", "is not a sysctl of a namespace"),
        ("vm.overcommit_memory", "", "is not a sysctl of a namespace"),
        ("net.ipv4.ip_forward", "", "is not one of the safe sysctls: the board must allow it"),
        ("kernel.msgmax", "", "is not one of the safe sysctls"),
        ("net.ipv4.tcp_syncookies", ", hostNetwork: true", "may not be set by a pod with hostNetwork"),
        ("kernel.shm_rmid_forced", ", hostIPC: true", "may not be set by a pod with hostIPC"),
    ] {
        let outcome = compile_for(&with(name, spec), &open_board());
        outcome.refused(part);
        assert!(outcome.said.contains("spec.securityContext.sysctls[0].name"), "{}", outcome.said);
    }
}

#[test]
fn devices_are_asked_for_as_of_a_device_plugin() {
    let with = |resources: &str| pod("", &format!("resources: {{{resources}}}"));
    held(&with("limits: {board.podling/gpio: 1, board.podling/i2c: '1'}"), &open_board(), |held| {
        let paths: Vec<_> = held.devices.iter().map(|device| device.path).collect();
        assert_eq!(paths, ["/dev/gpiochip0", "/dev/gpiomem", "/dev/i2c-1"]);
    });
    for (resources, part) in [
        ("limits: {board.podling/gpi: 1}", "it has board.podling/gpio or board.podling/i2c; did you mean"),
        ("limits: {board.podling/gpio: 2}", "1 is possible"),
        ("requests: {board.podling/gpio: 1}", "a request needs the same limit"),
    ] {
        compile_for(&with(resources), &open_board()).refused(part);
    }
    let mut bare = board();
    bare.resources.clear();
    let outcome = compile_for(&with("limits: {board.podling/gpio: 1}"), &bare);
    outcome.refused("is not a resource of the board qemu-virt-aarch64: it names none");
    let whole = pod("resources: {limits: {board.podling/gpio: 1}}", "");
    compile_for(&whole, &open_board()).refused("is for containers");
}

#[test]
fn what_no_board_has_is_refused_with_the_reason() {
    for (context, part) in [
        ("appArmorProfile: {type: RuntimeDefault}", "appArmorProfile.type: RuntimeDefault cannot be honoured"),
        ("seLinuxOptions: {level: 's0:c1'}", "seLinuxOptions: cannot be honoured: no board's kernel enforces SELinux"),
        ("windowsOptions: {runAsUserName: x}", "windowsOptions: cannot be set: a board runs linux"),
    ] {
        compile(&pod("", &format!("securityContext: {{{context}}}"))).refused(part);
        compile(&pod(&format!("securityContext: {{{context}}}"), "")).refused(part);
    }
    compile(&pod("", "securityContext: {appArmorProfile: {type: Unconfined}, seLinuxOptions: {}}")).body();
    let annotated = |value: &str| {
        let note = format!("annotations: {{container.apparmor.security.beta.kubernetes.io/app: {value}}}");
        pod("", "").replace("name: web}", &format!("name: web, {note}}}"))
    };
    compile(&annotated("runtime/default")).refused("cannot be honoured: no board's kernel has AppArmor");
    compile(&annotated("unconfined")).body();
    compile(&pod("", "securityContext: {procMount: Unmasked}"))
        .refused("procMount: Unmasked needs spec.hostUsers: false");
    let own = pod("hostUsers: false", "securityContext: {procMount: Unmasked}").replace("hostNetwork: true, ", "");
    assert_eq!(held(&own, &board(), |c| c.proc_mount), ProcMount::Unmasked);
    compile(&pod("hostUsers: false", "")).refused("spec.hostNetwork: forbidden when hostUsers is false");
    let privileged = pod("hostUsers: false", "securityContext: {privileged: true}").replace("hostNetwork: true, ", "");
    compile_for(&privileged, &open_board()).refused("privileged: cannot be had with hostUsers: false");
    assert_eq!(held(&pod("", "securityContext: {procMount: Default}"), &board(), |c| c.proc_mount), ProcMount::Default);
}

#[test]
fn too_many_filters_are_told() {
    let container = |n: usize| {
        let name = Security::CAPABILITIES[n];
        format!("{{name: c{n}, image: busybox, securityContext: {{capabilities: {{add: [{name}]}}}}}}")
    };
    let mut strict = board();
    strict.node.seccomp_default = true;
    let mut text = String::new();
    // Each of these capabilities lets other calls through.
    for (n, bit) in [2, 16, 17, 20, 21, 22, 23, 25, 26, 34, 38, 39, 19].into_iter().enumerate() {
        text += &format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p{n}}}\nspec: {{hostNetwork: true, containers: [{}]}}\n---\n",
            container(bit)
        );
    }
    manifest(&text, &strict, |m| assert_eq!(m.filters.len(), 13));
    let two = |a: &str, b: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {}}}\nspec: {{hostNetwork: true, containers: [{{name: c, image: busybox, securityContext: {{capabilities: {{add: [{a}, {b}]}}}}}}]}}\n---\n",
            format!("{a}-{b}").to_lowercase().replace('_', "-")
        )
    };
    text += &[two("SYS_BOOT", "SYS_TIME"), two("SYS_BOOT", "SYS_NICE"), two("SYS_BOOT", "BPF"), two("SYS_TIME", "BPF")]
        .concat();
    let outcome = compile_for(&text, &strict);
    outcome.refused(&format!("at most {} different filters", limits::FILTERS));
}
