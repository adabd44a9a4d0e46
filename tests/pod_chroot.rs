//! Whoever runs podling in a chroot, or chroots in a container: what is executed there sees the container's own root. Needs root.

mod pod;

use pod::{Ordered, Pod, Sandbox, Scratch};
use podling::sys::mount;
use rustix::fs::CWD;
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A directory in which all of the host's root is mounted, entry by entry, beside a mark of its own; whether it is a mount itself.
fn make_chroot(at: &Path, is_mount: bool) {
    let place = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
    if is_mount {
        mount::attach_at(mount::clone_tree(CWD, at.to_str().unwrap(), false).unwrap(), &place(at)).unwrap();
    }
    for entry in fs::read_dir("/").unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), at.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(from).unwrap(), to).unwrap();
        } else if kind.is_dir() {
            fs::create_dir(&to).unwrap();
            mount::attach_at(mount::clone_tree(CWD, from.to_str().unwrap(), true).unwrap(), &place(&to)).unwrap();
        }
    }
}

/// Runs `test` in a chroot and a mount namespace that die with its thread.
#[allow(unsafe_code, reason = "unshare is unsafe for the sake of what else it can unshare")]
fn chrooted(is_mount: bool, test: impl FnOnce() + Send + 'static) {
    let scratch = Scratch::new();
    let at = scratch.0.join("chroot");
    fs::create_dir(&at).unwrap();
    let thread = std::thread::spawn(move || {
        // SAFETY: neither a mount namespace nor a root of its own changes anything in memory.
        unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }.expect("run this test as root");
        mount::make_private().unwrap();
        make_chroot(&at, is_mount);
        rustix::process::chroot(&at).unwrap();
        rustix::process::chdir("/").unwrap();
        test();
    });
    thread.join().unwrap();
}

/// What a container's own program sees as its root, and what an executed one does.
fn roots_agree() {
    let mut pod = Pod::new(&Sandbox::default());
    pod.start(0, &Ordered::shell("echo up > /mark; ls /; echo listed; exec sleep 1000"));
    pod.wait_for_output(0, "listed");
    let (result, seen) = pod.exec(0, &["sh", "-c", "ls /; cat /mark; echo listed"]);
    assert!(result.as_ref().is_ok_and(|exit| exit.success()), "{result:?}: {seen}");
    assert_eq!(seen.replace("up\n", ""), pod.output(0, 1));
    assert!(seen.contains("up\n"), "{seen}");
}

#[test]
fn executed_in_a_chroot_that_is_a_mount() {
    chrooted(true, roots_agree);
}

#[test]
fn executed_in_a_chroot_that_is_a_mere_directory() {
    chrooted(false, roots_agree);
}

#[test]
fn executed_where_the_container_has_gone_elsewhere() {
    let mut pod = Pod::new(&Sandbox::default());
    let enter = "mkdir -p /jail/bin; touch /outside; busybox cp /bin/busybox /jail/bin/; echo up; ";
    pod.start(0, &Ordered::shell(&format!("{enter} exec busybox chroot /jail /bin/busybox sleep 1000")));
    pod.wait_for_output(0, "up");
    let (result, _) =
        pod.exec(0, &["sh", "-c", "until busybox grep -q ^/bin/busybox /proc/1/cmdline; do sleep 0.01; done"]);
    assert!(result.is_ok(), "{result:?}");
    let (result, seen) = pod.exec(0, &["ls", "/"]);
    assert!(result.is_ok_and(|exit| exit.success()) && seen.contains("outside"), "{seen}");
}
