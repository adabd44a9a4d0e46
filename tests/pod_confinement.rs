//! What a container cannot do: the known attacks on container runtimes, tried against a real pod-init.
//!
//! Run as root; the containers are busybox (Debian's package busybox-static).

mod pod;

use pod::{DEFAULT_CAPABILITIES, Ordered, Pod, Sandbox, errno, volume};
use podling::manifest::status::Exit;
use podling::pod::wire::Step;
use podling::sys::spawn;
use rustix::fs::{Mode, OFlags, open};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_read_only_root_still_has_its_mount_points_and_devices() {
    let mut pod = Pod::new(&Sandbox::default());
    let script = "touch /x 2>&1; echo ok > /dev/null && ls -d /proc/self/stat /made/dir && echo w > /dev/shm/x && pwd";
    let ordered = Ordered { read_only_root: true, cwd: "/made/dir", ..Ordered::shell(script) };
    let (exit, output) = pod.run(0, &ordered);
    assert!(exit.success(), "{output}");
    assert!(output.contains("Read-only file system") && output.ends_with("/made/dir\n"), "{output}");
}

#[test]
fn cve_2021_30465_mounts_through_hostile_links_land_inside() {
    let mut pod = Pod::new(&Sandbox::default());
    let image = pod.scratch.image();
    let outside = pod.scratch.0.join("outside");
    let data = pod.scratch.0.join("data");
    for directory in [&outside, &data] {
        fs::create_dir(directory).expect("make a directory");
    }
    fs::write(data.join("mark"), "volume\n").expect("write");
    symlink("../../../../../../..", image.join("up")).expect("link");
    symlink(&outside, image.join("away")).expect("link");
    symlink("loop", image.join("loop")).expect("link");
    let at = |path| Ordered {
        mounts: vec![volume(&data, path)],
        ..Ordered::shell("cat /tmp/v/mark /away/mark 2>/dev/null; exit 0")
    };
    assert_eq!(pod.run(0, &at("/up/up/tmp/v")).1, "volume\n");
    assert_eq!(pod.run(0, &at("/away")).1, "volume\n");
    assert_eq!(fs::read_dir(&outside).expect("list").count(), 0, "something was made outside");
    let failure = pod.start_failing(0, &at("/loop"));
    assert_eq!((failure.step, failure.errno), (Step::Mount, errno::ELOOP));
    // Over the root or into /proc no volume goes (CVE-2019-19921, CVE-2025-52881).
    symlink("/proc/self", image.join("me")).expect("link");
    for (path, errno) in [("/up", errno::EINVAL), ("/proc/sys", errno::EPERM), ("/me/attr", errno::EPERM)] {
        let failure = pod.start_failing(0, &at(path));
        assert_eq!((failure.step, failure.errno), (Step::Mount, errno), "{path}");
    }
}

#[test]
fn an_image_that_ships_dev_or_proc_as_a_link_is_refused() {
    for name in ["proc", "dev", "sys"] {
        let mut pod = Pod::new(&Sandbox::default());
        symlink("/tmp", pod.scratch.image().join(name)).expect("link");
        let failure = pod.start_failing(0, &Ordered::shell("true"));
        assert_eq!(failure.step, Step::SystemMounts);
        assert!(failure.to_string().contains(&format!("{name} (not a directory in the image)")), "{failure}");
    }
}

#[test]
fn cve_2024_21626_no_descriptor_leaks_and_the_working_directory_is_inside() {
    let mut pod = Pod::new(&Sandbox::default());
    pod.start(0, &Ordered::new(&["sleep", "1000"]));
    assert_eq!(pod.exec(0, &["ls", "/proc/1/fd"]).1, "0\n1\n2\n");
    let null = spawn::null().expect("open /dev/null");
    pod.order_exec(2, 0, &["sleep", "1001"], &null, &[], false);
    pod.wait_for_processes(0, |ps| ps.contains(" sleep 1001\n"));
    let of_the_executed = "for p in /proc/[0-9]*; do grep -q 1001 $p/cmdline && test $p != /proc/$$ && ls $p/fd; done";
    assert_eq!(pod.exec(0, &["sh", "-c", of_the_executed]).1, "0\n1\n2\n");
    // A link of /proc is its text, walked inside: the container's own root at the most.
    let failure = pod.start_failing(1, &Ordered { cwd: "/proc/self/fd/7", ..Ordered::shell("true") });
    assert_eq!(failure.step, Step::WorkingDirectory, "{failure}");
    let (_, inside) = pod.run(1, &Ordered { cwd: "/proc/1/cwd/../../..", ..Ordered::shell("pwd; ls bin/busybox") });
    assert_eq!(inside, "/\nbin/busybox\n");
}

#[test]
fn cve_2019_5736_no_program_seen_from_a_container_can_be_written() {
    let mut pod = Pod::new(&Sandbox { share_processes: true, ..Sandbox::default() });
    // The kernel asks the mount before anything else where a file is to be truncated: read-only, even to the host's root.
    let exe = format!("/proc/{}/exe", pod.init.pid.as_raw_nonzero());
    assert_eq!(open(&*exe, OFlags::WRONLY | OFlags::TRUNC, Mode::empty()).unwrap_err(), rustix::io::Errno::ROFS);
    let refused = pod.shell(0, "for exe in /proc/[0-9]*/exe; do (: > $exe); done 2>&1; echo end");
    assert!(refused.contains("can't create /proc/1/exe"), "{refused}");
    // A program of the container that is pod-init's own file: what an attacker executes to get hold of it.
    let mut pod = Pod::new(&Sandbox::default());
    let trap = pod.scratch.image().join("trap");
    fs::write(&trap, "#!/proc/self/exe\n").expect("write");
    fs::set_permissions(&trap, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    pod.start(0, &Ordered::new(&["sleep", "1000"]));
    let _ = pod.exec(0, &["/trap"]);
    assert!(pod.exec(0, &["true"]).0.is_ok_and(Exit::success));
}

#[test]
fn pod_init_cannot_be_inspected_from_a_shared_pid_namespace() {
    let mut pod = Pod::new(&Sandbox { share_processes: true, ..Sandbox::default() });
    let looked = pod.shell(0, "cat /proc/1/environ 2>&1; readlink /proc/1/exe; readlink /proc/1/root; ls /proc/1/root 2>&1; for n in 0 3 4 5 6; do cat /proc/1/fd/$n 2>&1; done; echo end");
    assert!(looked.matches("Permission denied").count() == 7 && looked.ends_with("end\n"), "{looked}");
    assert!(!looked.contains("podlingd") && !looked.lines().any(|line| line == "/" || line == "3"), "{looked}");
}

#[test]
fn user_groups_and_capabilities_are_as_ordered() {
    let mut pod = Pod::new(&Sandbox::default());
    let script = "id -u; id -g; id -G; grep -E 'Cap|NoNewPrivs' /proc/self/status; echo out > /dev/stdout";
    let status = |inheritable: &str, held: &str, bounding: &str| {
        format!(
            "CapInh:\t{inheritable}\nCapPrm:\t{held}\nCapEff:\t{held}\nCapBnd:\t{bounding}\nCapAmb:\t{inheritable}\nNoNewPrivs:\t1\nout\n"
        )
    };
    let (none, default) = ("0000000000000000", "00000000a80425fb");
    let (_, root) = pod.run(0, &Ordered::shell(script));
    assert_eq!(root, format!("0\n0\n0\n{}", status(none, default, default)));
    let (_, user) = pod.run(0, &Ordered { uid: 1000, gid: 1001, groups: vec![7, 8], ..Ordered::shell(script) });
    assert_eq!(user, format!("1000\n1001\n1001 7 8\n{}", status(none, none, default)));
    let (_, bare) =
        pod.run(0, &Ordered { capabilities: 0, ..Ordered::shell("grep CapEff /proc/self/status; hostname x 2>&1") });
    assert!(bare.starts_with(&format!("CapEff:\t{none}\n")) && bare.contains("not permitted"), "{bare}");
    // The same of what is executed inside (CVE-2022-27650).
    pod.start(1, &Ordered { uid: 1000, gid: 1001, groups: vec![7], ..Ordered::new(&["sleep", "1000"]) });
    let (_, executed) = pod.exec(1, &["sh", "-c", script.trim_end_matches("; echo out > /dev/stdout")]);
    assert!(
        executed.starts_with(&format!("1000\n1001\n1001 7\n{}", status(none, none, default).trim_end_matches("out\n"))),
        "{executed}"
    );
    assert_eq!(DEFAULT_CAPABILITIES, 0xa804_25fb);
}

#[test]
fn kernel_files_are_masked_or_read_only() {
    let mut pod = Pod::new(&Sandbox::default());
    let script = "for f in kcore keys timer_list interrupts; do test -e /proc/$f && cat /proc/$f; done; ls -A /sys/firmware;
        for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/kernel/uevent_seqnum; do echo x 2>/dev/null > $f; done; echo end";
    let output = pod.shell(0, script);
    let lines: Vec<&str> =
        output.lines().filter(|line| !line.contains("Read-only file system") && !line.contains("Permission")).collect();
    assert_eq!(lines, ["end"], "{output}");
    let devices = "ls /dev; echo a > /dev/null; head -c 2 /dev/zero | wc -c; test -c /dev/tty; cat < /dev/full | head -c 1 | wc -c; readlink /dev/ptmx";
    let output = pod.shell(0, devices);
    assert_eq!(
        output.split_whitespace().collect::<Vec<_>>().join(" "),
        "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero 2 1 pts/ptmx"
    );
}

#[test]
fn a_device_node_that_a_container_makes_opens_nothing() {
    let mut pod = Pod::new(&Sandbox::default());
    let data = pod.scratch.0.join("data");
    fs::create_dir(&data).expect("make the volume");
    let script = "for d in / /dev /dev/shm /data /tmp; do mknod $d/x c 1 5 && (head -c 1 $d/x) 2>&1; done; chmod 600 /dev/null 2>&1; echo end";
    let (_, output) = pod.run(0, &Ordered { mounts: vec![volume(&data, "/data")], ..Ordered::shell(script) });
    assert!(output.matches("Permission denied").count() == 5 && output.contains("Read-only file system"), "{output}");
    // A device of the host that was given by name works.
    let zero = vec![volume(Path::new("/dev/zero"), "/dev/given")];
    let (_, output) = pod.run(0, &Ordered { mounts: zero, ..Ordered::shell("head -c 3 /dev/given | wc -c") });
    assert_eq!(output, "3\n");
}

#[test]
fn cve_2021_30465_a_sibling_that_swaps_directories_for_links_gains_nothing() {
    let mut pod = Pod::new(&Sandbox::default());
    let (data, outside, other) =
        (pod.scratch.0.join("data"), pod.scratch.0.join("outside"), pod.scratch.0.join("other"));
    for directory in [&data, &outside, &other, &data.join("a")] {
        fs::create_dir(directory).expect("make a directory");
    }
    // Inside, the volume is /data; the link's target exists outside only.
    symlink(&outside, data.join("b")).expect("link");
    let stop = Arc::new(AtomicBool::new(false));
    let sibling = {
        let (data, stop) = (data.clone(), stop.clone());
        std::thread::spawn(move || {
            let mut swaps = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(rustix::fs::CWD, data.join("a"), rustix::fs::CWD, data.join("b"), exchange)
                    .expect("swap");
                swaps += 1;
            }
            swaps
        })
    };
    for _ in 0..100 {
        let mounts = vec![volume(&data, "/data"), volume(&other, "/data/a/deep/er")];
        let started = pod.try_start(0, &Ordered { mounts, ..Ordered::new(&["true"]) });
        if started.is_ok() {
            pod.exited(0);
        }
        assert_eq!(fs::read_dir(&outside).expect("list").count(), 0, "something was made outside");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(sibling.join().expect("the sibling") > 1000);
}

#[test]
fn pod_init_has_no_host_root_and_no_foreign_mount() {
    let pod = Pod::new(&Sandbox::default());
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", pod.init.pid.as_raw_nonzero())).expect("read");
    let places: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    assert_eq!(places, ["/", "/still", "/shm"], "{mounts}");
}
