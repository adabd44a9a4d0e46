//! The Pod API on the emulated board: what confines, probes and feeds a container, on another processor and on cgroup v2.
//!
//! Many pods a boot: a board takes seconds to boot here, and a pod a fraction of one.

#[path = "common/board.rs"]
mod board;
#[path = "common/qemu.rs"]
mod qemu;

use board::{board, pod};
use qemu::Guest;

/// A pod with a network of its own.
fn apart(name: &str, spec: &str, container: &str, script: &str) -> String {
    pod(name, spec, container, script).replace("  hostNetwork: true\n", "")
}

impl Guest {
    /// Waits until a pod has written `done`, and gives all that it has written.
    fn said(&mut self, name: &str) -> String {
        self.ask_until(&format!("logs {name}"), |answer| answer.lines().any(|line| line == "done"))
    }
}

/// The major and minor number of the guest's kernel.
fn kernel(version: &str) -> (u32, u32) {
    let line = version.lines().find_map(|line| line.strip_prefix("Kernel:")).expect("a kernel");
    let mut numbers = line.trim().split(['.', '-', ' ']).map_while(|part| part.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// The filter for this processor is that of this processor: a forbidden call fails with EPERM, and only under the filter. What is
/// dropped is gone, what is added is there; a device is there for whom it was asked for.
#[test]
fn spec_83_what_confines_a_container_holds_on_the_board() {
    let break_out = "grep ^Seccomp: /proc/self/status\nunshare -U true 2>&1 && echo out\nls / > /dev/null && echo done\nexec sleep 100000";
    let user = "securityContext:\n  runAsUser: 1000\n  runAsNonRoot: true\n  readOnlyRootFilesystem: true\n  \
                allowPrivilegeEscalation: false\n  capabilities: {drop: [ALL]}\n  seccompProfile: {type: RuntimeDefault}\n";
    let own = "grep -E '^(Uid|CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status\ntouch /file 2>&1\necho done\nexec sleep 100000";
    let change = "touch /file && chown 7 /file 2>&1 && stat -c 'of %u' /file\necho done\nexec sleep 100000";
    let without = "securityContext: {capabilities: {drop: [ALL]}}\n";
    let with = "securityContext: {capabilities: {drop: [ALL], add: [CHOWN]}}\n";
    let disk = "resources: {limits: {board.podling/disk: 1}}\n";
    let read = "mknod /disk b 254 0 2>&1 && head -c 512 /disk 2>&1 | wc -c\nhead -c 512 /dev/vda 2>&1 | wc -c\necho done\nexec sleep 100000";
    let users = "cat /proc/self/uid_map\nid -u\nmount -t tmpfs none /tmp 2>&1\ntouch /file && stat -c 'of %u' /file\necho done\nexec sleep 100000";
    let profile = "securityContext:\n  seccompProfile: {type: ";
    let yaml = apart("filtered", "", &format!("{profile}RuntimeDefault}}\n"), break_out)
        + &apart("free", "", &format!("{profile}Unconfined}}\n"), break_out)
        + &apart("user", "", user, own)
        + &apart("without", "", without, change)
        + &apart("with", "", with, change)
        + &apart("given", "", disk, read)
        + &apart("plain", "", "", read)
        + &apart("users", "hostUsers: false\n", "", users);
    let resource = |board: String| board + "\"board.podling/disk\" = [\"/dev/vda\"]\n";
    let mut guest = Guest::booted(&board("confined", &yaml, resource));
    let said = guest.said("filtered");
    assert!(
        said.contains("Seccomp:\t2") && said.contains("Operation not permitted") && !said.contains("out"),
        "{said}"
    );
    let said = guest.said("free");
    assert!(said.contains("Seccomp:\t0") && said.lines().any(|line| line == "out"), "{said}");
    let said = guest.said("user");
    let none = "0000000000000000";
    let wanted = format!(
        "Uid:\t1000\t1000\t1000\t1000\nCapPrm:\t{none}\nCapEff:\t{none}\nCapBnd:\t{none}\nNoNewPrivs:\t1\nSeccomp:\t2\n"
    );
    assert!(said.starts_with(&wanted) && said.contains("Read-only file system"), "{said}");
    let said = guest.said("without");
    assert!(said.contains("Operation not permitted") && !said.contains("of "), "{said}");
    assert!(guest.said("with").contains("of 7\n"));
    // A node that a container makes by itself opens nothing.
    let said = guest.said("given");
    assert_eq!(said.lines().filter(|line| *line == "512").count(), 1, "{said}");
    let said = guest.said("plain");
    assert!(!said.contains("512"), "{said}");
    // Id-mapped squashfs and tmpfs come with Linux 6.2 and 6.3; before, the pod waits and its reason is told.
    if kernel(&guest.ask("version")) >= (6, 3) {
        let said = guest.said("users");
        let map: Vec<&str> = said.lines().next().unwrap().split_whitespace().collect();
        assert!(map[0] == "0" && map[1] != "0" && map[2] == "65536", "{said}");
        assert!(said.contains("\n0\n") && said.contains("permission denied") && said.contains("of 0\n"), "{said}");
    } else {
        let about = guest.ask_until("describe pod users", |answer| answer.contains("map the users of"));
        assert!(about.contains("does its file system have id-mapped mounts in this kernel?"), "{about}");
    }
    guest.power_off();
}

/// Probes of a pod's own network and programs; volumes on ext4, of images, of what is compiled in, and of huge pages.
#[test]
fn spec_31_42_probes_and_volumes_are_what_they_are_elsewhere() {
    let web = "ports: [{name: http, containerPort: 8080}]\n\
               startupProbe: {tcpSocket: {port: http}, periodSeconds: 1, failureThreshold: 100}\n\
               readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 10}\n\
               livenessProbe: {exec: {command: [test, -e, /www/index.html]}, periodSeconds: 2, timeoutSeconds: 20}\n\
               lifecycle: {postStart: {exec: {command: [sh, -c, 'echo hooked > /hooked']}}}\n";
    let httpd = "mkdir -p /www; echo page > /www/index.html; echo ok > /www/healthz; exec httpd -f -p 8080 -h /www";
    let sick =
        "livenessProbe: {exec: {command: ['false']}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 20}\n";
    let objects = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {greeting: hello}\n\
                   ---\napiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData: {token: s3cret}\n";
    let spec = "securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 4242}
volumes:
- {name: kept, persistentVolumeClaim: {claimName: kept}}
- {name: disk, emptyDir: {}}
- {name: memory, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
- {name: image, image: {reference: localhost/nginx:demo}}
- name: all
  projected:
    defaultMode: 0440
    sources:
    - {configMap: {name: conf}}
    - {secret: {name: key, items: [{key: token, path: deep/token, mode: 0400}]}}
    - {downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}
";
    let mounts = "volumeMounts:
- {name: kept, mountPath: /kept}
- {name: kept, mountPath: /part, subPath: deep/er}
- {name: disk, mountPath: /disk}
- {name: memory, mountPath: /memory}
- {name: image, mountPath: /image}
- {name: all, mountPath: /all}
";
    let look = "id -G
stat -c '%n %g %a' /kept /disk /memory
touch /part/file && ls /kept/deep/er && stat -c 'new %u %g' /part/file
cat /all/greeting; echo; cat /all/deep/token; echo; cat /all/name; echo
stat -L -c '%a %g' /all/greeting /all/deep/token
df -k /memory | awk 'NR==2 {print \"size\", $2}'
test -s /image/etc/nginx/nginx.conf && echo image; touch /image/file 2>&1
echo done
exec sleep 100000";
    let huge = "resources: {limits: {memory: 8Mi, hugepages-2Mi: 4Mi}}\nvolumeMounts: [{name: h, mountPath: /h}]\n";
    let take = "grep HugePages_Total /proc/meminfo
fallocate -l 4194304 /h/all && echo taken; fallocate -l 2097152 /h/more 2>&1
echo done
exec sleep 100000";
    let yaml = apart("web", "", web, httpd)
        + &apart("huge", "volumes: [{name: h, emptyDir: {medium: HugePages}}]\n", huge, take)
        + &apart("late", "", "resources: {limits: {memory: 8Mi, hugepages-2Mi: 2Mi}}\n", "exec sleep 100000")
        + &apart("sick", "", sick, "exec sleep 100000")
        + &apart("volumes", spec, mounts, look)
        + objects;
    let pages = |board: String| board + "\n[hugepages]\n2Mi = 2\n";
    let mut guest = Guest::booted(&board("api", &yaml, pages));
    guest.pod_is("web", &["1/1", "Running"]);
    let said = guest.ask("exec web -- cat /hooked");
    assert!(said.contains("hooked"), "{said}");
    guest.ask("exec web -- rm /www/healthz");
    guest.pod_is("web", &["0/1", "Running"]);
    guest.ask_until("describe pod web", |about| {
        about.contains("Readiness probe failed: HTTP probe failed with statuscode: 404")
    });
    guest.ask("exec web -- touch /www/healthz");
    guest.pod_is("web", &["1/1", "Running", " 0 "]);
    guest.ask_until("describe pod sick", |about| {
        about.contains("Container main failed liveness probe, will be restarted")
    });
    guest.pod_is("sick", &[" ago)"]);
    let said = guest.said("volumes");
    for line in [
        "1000 4242",
        "/kept 4242 2775",
        "/disk 4242 2777",
        "/memory 4242 2777",
        "file",
        "new 1000 4242",
        "hello",
        "s3cret",
        "volumes",
        "440 4242",
        "size 1024",
        "image",
    ] {
        assert!(said.lines().any(|it| it == line), "{line} in {said}");
    }
    assert!(said.contains("Read-only file system"), "{said}");
    // Huge pages, which process 1 has set aside (spec 93, 96).
    let said = guest.said("huge");
    assert!(said.lines().next().is_some_and(|line| line.ends_with(" 2")), "{said}");
    assert!(said.contains("taken") && said.contains("No space left"), "{said}");
    guest.pod_is("late", &["Pending"]);
    let about = guest.ask("describe pod late");
    assert!(about.contains("1 Insufficient hugepages-2Mi"), "{about}");
    guest.power_off();
}
