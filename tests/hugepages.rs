//! Huge pages (spec 93, 96) of this machine's kernel: their volumes, their bounds, and pods that wait for more than there are. Needs root.

mod node;

use node::{Node, pod};
use podling::manifest::huge::PageSize;
use podling::manifest::time::Duration;
use podling::sys::huge;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::os::fd::OwnedFd;
use std::path::Path;

/// The pages of this machine, for one test at a time: whoever runs the tests beside this one waits.
struct Pages {
    _lock: OwnedFd,
    before: u32,
}

impl Pages {
    fn of(pages: u32) -> Pages {
        let file = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
        let lock = rustix::fs::open(file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
        let before = huge::there().of(PageSize::Mi2);
        huge::reserve(PageSize::Mi2, before + pages).unwrap();
        Pages { _lock: lock, before }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let _ = huge::reserve(PageSize::Mi2, self.before);
    }
}

fn limits(of: &str) -> String {
    format!("resources: {{limits: {{memory: 32Mi, {of}}}}}")
}

#[test]
fn spec_93_huge_pages_are_a_volume_as_large_as_what_was_asked_for() {
    let _pages = Pages::of(8);
    let node = Node::new();
    let volumes = "securityContext: {fsGroup: 77}\nvolumes: [{name: h, emptyDir: {medium: HugePages}}, \
                   {name: small, emptyDir: {medium: HugePages-2Mi, sizeLimit: 2Mi}}]";
    let mounts = "volumeMounts: [{name: h, mountPath: /h}, {name: small, mountPath: /small}]\nenv: [{name: PAGES, valueFrom: \
                  {resourceFieldRef: {resource: limits.hugepages-2Mi, divisor: 1Mi}}}]";
    let more = format!("{}\n{mounts}", limits("hugepages-2Mi: 6Mi"));
    node.run(&pod("huge", "exec sleep 1000", volumes, &more), async |board| {
        board.running("huge", "main").await;
        let take = |file: &str, pages: u32| format!("fallocate -l {} {file} && stat -c %s {file}", pages << 21);
        let inside = |line: String| {
            let board = board.clone();
            async move { board.shell("huge", "main", &line.replace("fallocate", "/bin/busybox fallocate")).await }
        };
        let look = "stat -f -c %s /h; stat -c '%g %a' /h; echo $PAGES".to_string();
        assert_eq!(inside(look).await.1, "2097152\n77 2777\n6\n");
        assert_eq!(inside(take("/small/one", 1)).await, (0, "2097152\n".into()));
        let (code, said) = inside(take("/small/two", 1)).await;
        assert!(code != 0 && said.contains("No space left"), "{said}");
        assert_eq!(inside("rm /small/one".into()).await.0, 0);
        assert_eq!(inside(take("/h/three", 3)).await, (0, "6291456\n".into()));
        let (code, said) = inside(take("/h/more", 1)).await;
        assert!(code != 0 && said.contains("No space left"), "{said}");
    });
}

/// The two volumes together are as large as what is asked for twice; the group is what bounds them, where the kernel can.
#[test]
fn spec_93_huge_pages_are_bounded_by_their_controller() {
    let _pages = Pages::of(8);
    let node = Node::new();
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/hugetlb"];
    let homes = roots.map(|root| Path::new(root).join(&node.cgroup));
    let volumes = "volumes: [{name: a, emptyDir: {medium: HugePages}}, {name: b, emptyDir: {medium: HugePages}}]";
    let more = format!(
        "{}\nvolumeMounts: [{{name: a, mountPath: /a}}, {{name: b, mountPath: /b}}]",
        limits("hugepages-2Mi: 4Mi")
    );
    node.run(&pod("bound", "exec sleep 1000", volumes, &more), async move |board| {
        board.running("bound", "main").await;
        let take = "/bin/busybox fallocate -l 4194304 /a/x && echo first; /bin/busybox fallocate -l 2097152 /b/x";
        let (code, said) = board.shell("bound", "main", take).await;
        assert!(said.starts_with("first"), "{said}");
        let has =
            |home: &Path| home.join("hugetlb.2MB.max").exists() || home.join("hugetlb.2MB.limit_in_bytes").exists();
        assert_eq!(code != 0, homes.iter().any(|home| has(home)), "{said}");
    });
}

#[test]
fn spec_96_a_pod_waits_for_more_huge_pages_than_there_are() {
    let pages = Pages::of(2);
    let node = Node::new();
    let asks = |pages: u32| limits(&format!("hugepages-2Mi: {}Mi", 2 * pages));
    let all = pages.before + 2;
    let yaml =
        pod("all", "exec sleep 1000", "priority: 10", &asks(all)) + &pod("late", "exec sleep 1000", "", &asks(1));
    node.run(&yaml, async |board| {
        board.running("all", "main").await;
        let said = "0/1 nodes are available: 1 Insufficient hugepages-2Mi.";
        board
            .until("held", |agent| {
                let events = agent.events();
                events.iter().any(|it| it.reason == "FailedScheduling" && it.message == said).then_some(())
            })
            .await;
        board.0.delete("default", "all", Some(Duration(0)), true).unwrap();
        board.running("late", "main").await;
    });
}
