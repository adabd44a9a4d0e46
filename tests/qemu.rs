//! Stories on the emulated board: what only a kernel of its own can prove. The harness is common/qemu.rs.

#[path = "common/board.rs"]
mod board;
#[path = "common/qemu.rs"]
mod qemu;

use board::{BOOT, PROMPT, SOON, as_it_is, board, clone, pod};
use qemu::{Guest, Machine, run};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

/// The numbers after `key` in what a container wrote, one for each line that has it.
fn numbers(log: &str, key: &str) -> Vec<f64> {
    log.lines().filter_map(|line| line.trim().strip_prefix(key)?.trim().parse().ok()).collect()
}

/// The main job: spec 1, 16, 21, 33 (a puller and a server share a volume and localhost), 49, 88–90, 99 (from flash, without any
/// server), 104 (the console); in the end node shutdown, and a data partition that needs no repair.
#[test]
fn the_sample_pod_serves_its_page_and_the_board_switches_off_clean() {
    let yaml = fs::read_to_string(clone().join("boards/qemu-virt-aarch64/pods/web.yaml")).unwrap();
    let mut machine = board("web", &yaml, as_it_is);
    machine.port = Some(8080);
    let mut guest = Guest::booted(&machine);
    guest.pod_is("web", &["2/2", "Running"]);
    let end = Instant::now() + SOON;
    let page = loop {
        match guest.fetch("/") {
            Ok(page) if page.contains(" 200 OK") => break page,
            other => assert!(Instant::now() < end, "no page: {other:?}"),
        }
        thread::sleep(Duration::from_millis(200));
    };
    assert!(page.contains("podling"), "{page}");
    let wide = guest.ask("get pods -o wide");
    assert!(wide.contains("10.0.2.15"), "{wide}");
    let about = guest.ask("describe pod web");
    assert!(about.contains("localhost/nginx:demo"), "{about}");
    let log = guest.ask("logs web -c server");
    assert!(log.contains("GET / HTTP"), "{log}");
    let disk = machine.disk.clone().unwrap();
    guest.power_off();
    assert_clean(&disk);
}

/// That the data partition was let go: nothing to recover, nothing to repair.
fn assert_clean(disk: &Path) {
    let table = fs::read(disk).unwrap();
    // The second entry of the partition table; its first sector is a little-endian number at 8.
    let entry = &table[446 + 16..446 + 32];
    let offset = 512 * u64::from(u32::from_le_bytes(entry[8..12].try_into().unwrap()));
    let header = run(Command::new("/sbin/dumpe2fs").arg("-h").arg(format!("{}?offset={offset}", disk.display())));
    let line = |key: &str| header.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    assert!(line("Filesystem state:").ends_with(" clean"), "{header}");
    assert!(!line("Filesystem features:").contains("needs_recovery"), "{header}");
}

/// Spec 95, failure F13: over its memory limit a container is killed, reads OOMKilled with 137, and nothing else suffers.
/// Failure F14: the pids limit holds.
#[test]
fn limits_hold_on_cgroup_v2() {
    let yaml = pod("hog", "restartPolicy: Never\n", "resources:\n  limits:\n    memory: 16Mi\n", "tail /dev/zero")
        + &pod(
            "bomb",
            "restartPolicy: Never\n",
            "",
            "n=0\nwhile [ $n -lt 40 ] && sleep 1000 & do n=$((n + 1)); done\necho not bounded",
        )
        + &pod("calm", "", "", "echo at work\nexec sleep 100000");
    let mut guest =
        Guest::booted(&board("limits", &yaml, |board| board.replace("pod_pids_limit = 1024", "pod_pids_limit = 16")));
    guest.pod_is("hog", &["0/1", "OOMKilled"]);
    let about = guest.ask("describe pod hog");
    assert!(about.contains("OOMKilled") && about.contains("137"), "{about}");
    let bomb = guest.ask_until("logs bomb", |answer| answer.contains("fork"));
    assert!(!bomb.contains("not bounded"), "{bomb}");
    guest.pod_is("calm", &["1/1", "Running", " 0 "]);
    guest.power_off();
}

/// Spec 42, 43, 44: the first restart at once, then the back-off; OnFailure leaves success alone; Never leaves all alone.
#[test]
fn restart_policies_decide() {
    let yaml = pod("failing", "restartPolicy: Always\n", "", "echo once more\nexit 3")
        + &pod("done", "restartPolicy: OnFailure\n", "", "echo well")
        + &pod("failed", "restartPolicy: Never\n", "", "exit 4")
        // Its second life finds what its first one left: the volume is the pod's (spec 9, 32).
        + &pod(
            "second-try",
            "restartPolicy: OnFailure\nvolumes:\n  - name: v\n    emptyDir: {}\n",
            "volumeMounts:\n  - name: v\n    mountPath: /v\n",
            "[ -e /v/been ] && echo found && exit 0\n: > /v/been\nexit 1",
        );
    let mut guest = Guest::booted(&board("restart", &yaml, as_it_is));
    guest.pod_is("done", &["Completed", " 0 "]);
    guest.pod_is("failed", &["Error", " 0 "]);
    guest.pod_is("second-try", &["Completed", " 1 "]);
    guest.pod_is("failing", &["CrashLoopBackOff"]);
    let about = guest.ask("describe pod failing");
    assert!(about.contains("CrashLoopBackOff"), "{about}");
    let exit = about.lines().find(|line| line.trim().starts_with("Exit Code:"));
    assert!(exit.is_some_and(|line| line.ends_with(" 3")), "{about}");
    let found = guest.ask("logs second-try");
    assert!(found.contains("found"), "{found}");
    guest.power_off();
}

/// Spec 66, 69, 71, 74, 75, 77–82, failure F20: TERM, the grace period, KILL, and then no listing shows it.
#[test]
fn a_deleted_pod_ends_in_time() {
    let deaf = "trap '' TERM\nwhile true; do sleep 1; done";
    let yaml = pod(
        "willing",
        "terminationGracePeriodSeconds: 3600\n",
        "",
        "trap 'exit 0' TERM\necho ready\nwhile true; do sleep 1 & wait $!; done",
    ) + &pod("deaf", "terminationGracePeriodSeconds: 3\n", "", deaf)
        + &pod("forced", "terminationGracePeriodSeconds: 30\n", "", deaf);
    let mut guest = Guest::booted(&board("delete", &yaml, as_it_is));
    for name in ["willing", "deaf", "forced"] {
        guest.pod_is(name, &["1/1", "Running"]);
    }
    guest.ask_until("logs willing", |answer| answer.contains("ready"));
    let took = |guest: &mut Guest, command: &str| {
        let start = Instant::now();
        let answer = guest.ask(command);
        assert!(answer.contains("deleted"), "{answer}");
        start.elapsed()
    };
    // Its hour of grace nobody waits for.
    took(&mut guest, "delete pod willing");
    let deaf = took(&mut guest, "delete pod deaf");
    assert!(deaf >= Duration::from_secs(3), "{deaf:?}");
    let refused = guest.ask("delete pod forced --grace-period=0");
    assert!(refused.contains("--force"), "{refused}");
    let forced = guest.ask("delete pod forced --grace-period=0 --force");
    assert!(forced.contains("Warning") && forced.contains("force deleted"), "{forced}");
    guest.ask_until("get pods", |answer| answer.contains("No resources found"));
    guest.power_off();
}

/// Spec 10, 34, 35: after a reboot the pods are new ones, the claim has its data, the emptyDir is empty.
#[test]
fn a_reboot_keeps_the_claim_and_empties_the_rest() {
    let yaml = pod(
        "keeper",
        "volumes:\n  - name: kept\n    persistentVolumeClaim:\n      claimName: kept\n  - name: mine\n    emptyDir: {}\n",
        "volumeMounts:\n  - name: kept\n    mountPath: /kept\n  - name: mine\n    mountPath: /mine\n",
        "for d in kept mine; do echo x >> /$d/lives; echo $d $(wc -l < /$d/lives); done\nexec sleep 100000",
    );
    let mut machine = board("reboot", &yaml, as_it_is);
    machine.reboots = true;
    let mut guest = Guest::booted(&machine);
    let uid = |about: &str| {
        about
            .lines()
            .find_map(|line| Some(line.strip_prefix("UID:")?.trim().to_owned()))
            .unwrap_or_else(|| panic!("no UID: {about}"))
    };
    guest.ask_until("logs keeper", |answer| answer.contains("kept 1") && answer.contains("mine 1"));
    let before = uid(&guest.ask("describe pod keeper"));
    guest.send_line("reboot");
    guest.expect("podling 0", BOOT);
    guest.expect(PROMPT, BOOT);
    let log = guest.ask_until("logs keeper", |answer| answer.contains("mine "));
    assert!(log.contains("kept 2") && log.contains("mine 1"), "{log}");
    let after = uid(&guest.ask("describe pod keeper"));
    assert_ne!(before, after, "spec 10: a pod that is started anew is another one");
    let disk = machine.disk.clone().unwrap();
    guest.power_off();
    assert_clean(&disk);
}

/// Failure F6, as far as the pods' own data goes: what was synced before a power cut is there after it, and the board boots.
#[test]
fn a_power_cut_loses_nothing_that_was_synced() {
    let yaml = pod(
        "writer",
        "volumes:\n  - name: kept\n    persistentVolumeClaim:\n      claimName: kept\n",
        "volumeMounts:\n  - name: kept\n    mountPath: /kept\n",
        "echo found $(cat /kept/* | wc -l)\nn=0\nwhile true; do n=$((n + 1)); echo x >> /kept/$$-$n; sync; echo \"synced $n\"; done",
    );
    let machine = board("cut", &yaml, as_it_is);
    let mut synced = 0.0;
    for _ in 0..3 {
        let mut guest = Guest::booted(&machine);
        let log = guest.ask_until("logs writer", |answer| answer.contains("synced 3"));
        let found = numbers(&log, "found ")[0];
        assert!(found >= synced, "{synced} were synced, {found} are there");
        synced = found + numbers(&log, "synced ").len() as f64;
        guest.cut_power();
    }
}

/// Failure F12: garbage on the line is one message at most, and the next command is answered; the pods do not notice.
#[test]
fn noise_on_the_serial_line_harms_nothing() {
    let yaml = pod("calm", "", "", "exec sleep 100000");
    let mut guest = Guest::booted(&board("noise", &yaml, as_it_is));
    guest.pod_is("calm", &["1/1", "Running"]);
    let noise: Vec<u8> = (0..20_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        // XOFF holds the output until XON, as it should; Ctrl-S is not noise.
        .filter(|byte| *byte != 0x13)
        .collect();
    guest.send(&noise);
    guest.send(&[b'x'; 20_000]);
    // Ctrl-C drops the line.
    guest.send(&[0x03]);
    guest.ask_until("version", |answer| answer.contains("qemu-virt-aarch64"));
    guest.pod_is("calm", &["1/1", "Running", " 0 "]);
    guest.power_off();
}

/// Bad input: where no slot holds a manifest, the board comes up without pods, says why, and can be talked to (spec 101).
#[test]
fn a_board_without_a_valid_manifest_says_so() {
    let yaml = pod("calm", "", "", "exec sleep 100000");
    let machine = board("corrupt", &yaml, as_it_is);
    let disk = machine.disk.clone().unwrap();
    let file = fs::OpenOptions::new().write(true).open(disk).unwrap();
    // Both slots, which begin at 1 MiB: past the header, so that it is found and then refused.
    for slot in 0..2 {
        std::os::unix::fs::FileExt::write_all_at(&file, &[0xA5; 64], (1 + slot) * (1 << 20) + 100).unwrap();
    }
    let mut guest = Guest::booted(&machine);
    let pods = guest.ask("get pods");
    assert!(pods.contains("No resources found"), "{pods}");
    let version = guest.ask("version");
    assert!(version.contains("Warning") && version.contains("slot"), "{version}");
    guest.power_off();
}

/// Spec 98, failure F26: without the memory controller one warning says what to do, a pod waits that asks for a limit which nothing
/// would hold, and the rest runs with the limits that it has.
#[test]
fn spec_98_a_kernel_without_the_memory_controller_runs_what_asks_for_no_limit_of_it() {
    let calm = "cat /sys/fs/cgroup/cpu.max\nexec sleep 100000";
    let yaml = pod("bounded", "", "resources:\n  limits:\n    memory: 16Mi\n", "exec sleep 100000")
        + &pod("calm", "", "resources:\n  limits:\n    cpu: 500m\n", calm);
    let mut machine = board("no-memory", &yaml, as_it_is);
    machine.cmdline += " cgroup_disable=memory";
    let mut guest = Guest::booted(&machine);
    guest.pod_is("calm", &["1/1", "Running", " 0 "]);
    guest.ask_until("logs calm", |answer| answer.contains("50000 100000"));
    guest.pod_is("bounded", &["0/1", "ContainerCreating"]);
    let about = guest.ask("describe pod bounded");
    assert!(about.contains("memory limits cannot be enforced") && about.contains("cgroup_enable=memory"), "{about}");
    guest.warns_once("cgroup_enable=memory");
    guest.power_off();
}

/// Failure F26: a kernel without overlay gives no container a root. The pods wait, one warning says what to do, and the board can be
/// talked to.
#[test]
fn failure_f26_a_kernel_without_overlay_says_so() {
    let yaml = pod("calm", "", "", "exec sleep 100000");
    let mut guest = Guest::booted(&board("no-overlay", &yaml, |board| board.replace(", \"overlay\"", "")));
    guest.pod_is("calm", &["0/1", "CreateContainerError"]);
    let about = guest.ask("describe pod calm");
    assert!(about.contains("making the root file system overlay: No such device"), "{about}");
    guest.warns_once("CONFIG_OVERLAY_FS");
    guest.power_off();
}

/// The pods of a board without its network device start all the same, and people are told what is missing once it is late.
#[test]
fn a_board_without_its_network_device_starts_its_pods_at_once() {
    let yaml = pod("web", "", "", "exec sleep 1000");
    let mut guest = board("unplugged", &yaml, |board| board.replace("\"eth0\"", "\"eth9\"")).start();
    guest.expect("network: loopback only: eth9 is not there yet", BOOT);
    guest.expect(PROMPT, BOOT);
    guest.pod_is("web", &["1/1", "Running"]);
    let events = guest.ask_until("events", |answer| answer.contains("eth9 has not come up"));
    let at = |words| events.find(words).unwrap_or_else(|| panic!("no {words:?} in {events}"));
    assert!(at("Started container main") < at("NodeDegraded"), "{events}");
    guest.power_off();
}

/// The board's boot: from /init to the first instruction of the last container, less than the kernel took for itself. The aim
/// is half of that; what it is now is printed.
#[test]
fn the_pods_are_up_soon_after_the_kernel() {
    let yaml =
        ["one", "two"].map(|name| pod(name, "", "", "read up idle < /proc/uptime\necho \"up $up\"\nexec sleep 100000"));
    let machine = board("boot", &yaml.concat(), as_it_is);
    // What else this machine does only ever adds, and not to both parts alike: one of several is what it is.
    let mut ratios = Vec::new();
    while !ratios.iter().any(|ratio| *ratio < 1.0) {
        assert!(ratios.len() < BOOTS, "from /init to the last container, by the kernel's own time: {ratios:.2?}");
        ratios.push(boot_ratio(&machine));
    }
    println!("from /init to the last container, by the kernel's own time: {ratios:.2?}");
}

/// How often a board is booted at the most until once it boots in the time that it needs.
const BOOTS: usize = 8;

/// The time from /init to the last container's first instruction, by the time that the kernel took before.
fn boot_ratio(machine: &Machine) -> f64 {
    let mut guest = Guest::booted(machine);
    let mut last: f64 = 0.0;
    for name in ["one", "two"] {
        let log = guest.ask_until(&format!("logs {name}"), |answer| answer.contains("up "));
        last = last.max(numbers(&log, "up ")[0]);
    }
    let transcript = guest.transcript();
    let line = transcript.lines().find(|line| line.contains("podling: podling "));
    let init: f64 = line
        .and_then(|line| line.split(['[', ']']).nth(1)?.trim().parse().ok())
        .unwrap_or_else(|| panic!("init did not say when it began:\n{transcript}"));
    guest.power_off();
    (last - init) / init
}
