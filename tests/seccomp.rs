//! Seccomp filters: what the compiled program decides, call by call, against a plain reading of the profile.

use podling::host::boards::Arch;
use podling::host::seccomp::{
    Abi, Action, Condition, ENOSYS, Profile, Rule, Test, When, calls, number, parse, runtime_default,
};
use std::collections::BTreeMap;

const ARCHES: [Arch; 3] = [Arch::Aarch64, Arch::Armv7, Arch::X86_64];
const SYS_ADMIN: u64 = 1 << 21;
/// Docker's, which a pod has by default.
const DEFAULT: u64 = 0xa804_25fb;

/// What the kernel shows a filter.
#[derive(Clone, Copy)]
struct Data {
    number: u32,
    arch: u32,
    arguments: [u64; 6],
}

impl Data {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.arch,
            16..64 => {
                let argument = self.arguments[(offset as usize - 16) / 8];
                if offset.is_multiple_of(8) { argument as u32 } else { (argument >> 32) as u32 }
            }
            _ => panic!("a load at {offset}"),
        }
    }
}

/// Operation, both jumps, and operand.
type Instruction = (u16, u8, u8, u32);

fn decode(program: &[u8]) -> Vec<Instruction> {
    let one = |i: &[u8]| (u16::from_le_bytes([i[0], i[1]]), i[2], i[3], u32::from_le_bytes([i[4], i[5], i[6], i[7]]));
    assert!(program.len().is_multiple_of(8));
    program.chunks_exact(8).map(one).collect()
}

/// Runs a program as the kernel does.
fn run(code: &[Instruction], data: &Data) -> u32 {
    let (mut at, mut a) = (0, 0_u32);
    loop {
        let (op, then, otherwise, k) = code[at];
        at += 1;
        let mut jump = |holds: bool| at += usize::from(if holds { then } else { otherwise });
        match op {
            0x20 => a = data.word(k),
            0x54 => a &= k,
            0x05 => at += k as usize,
            0x15 => jump(a == k),
            0x25 => jump(a > k),
            0x35 => jump(a >= k),
            0x06 => return k,
            _ => panic!("instruction {op:#x}"),
        }
    }
}

fn holds(condition: &Condition, arguments: &[u64; 6]) -> bool {
    let value = arguments[usize::from(condition.argument)];
    match condition.test {
        Test::Equal(other) => value == other,
        Test::NotEqual(other) => value != other,
        Test::AtLeast(other) => value >= other,
        Test::Below(other) => value < other,
        Test::Masked(mask, other) => value & mask == other,
    }
}

/// The profile read by a person: of each call the rules that name it, in order.
struct Reading<'p> {
    profile: &'p Profile,
    rules: BTreeMap<u32, Vec<&'p Rule>>,
    newest: u32,
}

impl<'p> Reading<'p> {
    fn new(profile: &'p Profile, abi: Abi) -> Reading<'p> {
        let mut rules: BTreeMap<u32, Vec<&Rule>> = BTreeMap::new();
        for rule in &profile.rules {
            for number in rule.names.iter().filter_map(|name| number(name, abi).unwrap_or(None)) {
                rules.entry(number).or_default().push(rule);
            }
        }
        let newest = rules.keys().copied().filter(|number| *number < 0xf_0000).max().unwrap_or(0);
        Reading { profile, rules, newest }
    }

    fn decides(&self, data: &Data) -> Action {
        let about = self.rules.get(&data.number).map_or(&[][..], Vec::as_slice);
        let conditional = about
            .iter()
            .find(|rule| !rule.conditions.is_empty() && rule.conditions.iter().all(|c| holds(c, &data.arguments)));
        match conditional.or(about.iter().find(|rule| rule.conditions.is_empty())) {
            Some(rule) => rule.action,
            None if about.is_empty() && data.number > self.newest => self.profile.unknown(),
            None => self.profile.default,
        }
    }
}

/// Arguments that the tests of the profiles tell apart.
const ARGUMENTS: [u64; 16] =
    [0, 1, 8, 12, 16, 38, 39, 40, 45, 46, 0x2_0000, 0x2_0008, 0x1000_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX];

/// Every number that there may be a decision about, and those beside them.
fn numbers() -> impl Iterator<Item = u32> {
    (0..1200).chain(0xe_fff0..0xf_0010).chain([0x4000_0000, 0x4000_0001, 0x7fff_ffff, 0x8000_0000, u32::MAX])
}

#[track_caller]
fn agree(profile: &Profile, arch: Arch) {
    let code = decode(&profile.compile(arch).unwrap());
    for abi in Abi::of(arch, profile.compat) {
        let reading = Reading::new(profile, *abi);
        for number in numbers() {
            for first in ARGUMENTS {
                let data = Data { number, arch: abi.audit(), arguments: [first, first ^ 8, 7, 0, 0, first] };
                let (ran, meant) = (run(&code, &data), reading.decides(&data));
                assert_eq!(ran, meant.value(), "{arch:?} {abi:?} call {number}({first:#x}): {meant:?} is meant");
            }
        }
    }
    for foreign in [Abi::X86_64, Abi::I386, Abi::Arm, Abi::Aarch64] {
        if !Abi::of(arch, profile.compat).contains(&foreign) {
            let data = Data { number: 1, arch: foreign.audit(), arguments: [0; 6] };
            assert_eq!(run(&code, &data), Action::KillProcess.value(), "{arch:?}: a call as {foreign:?}");
        }
    }
}

#[test]
fn the_default_decides_as_it_says_for_every_number_on_every_cpu() {
    for arch in ARCHES {
        for capabilities in [DEFAULT, 0, SYS_ADMIN | DEFAULT, u64::MAX, 1 << 39, 1 << 25] {
            agree(&runtime_default(capabilities), arch);
        }
    }
}

/// What the filter of `capabilities` makes of a call with one argument, on each CPU that has it.
#[track_caller]
fn decides(capabilities: u64, name: &str, first: u64) -> u32 {
    let mut found: Vec<u32> = Vec::new();
    for arch in ARCHES {
        let code = decode(&runtime_default(capabilities).compile(arch).unwrap());
        for abi in Abi::of(arch, true) {
            if let Some(number) = number(name, *abi).expect(name) {
                found.push(run(&code, &Data { number, arch: abi.audit(), arguments: [first, 0, 0, 0, 0, 0] }));
            }
        }
    }
    found.dedup();
    assert_eq!(found.len(), 1, "{name} is treated differently by CPU: {found:x?}");
    found[0]
}

#[test]
fn cve_2022_0492_the_default_refuses_what_breaks_out() {
    const EPERM: u32 = Action::Errno(1).value();
    const ALLOW: u32 = Action::Allow.value();
    for name in [
        "mount",
        "umount2",
        "unshare",
        "setns",
        "fsopen",
        "fsconfig",
        "fsmount",
        "move_mount",
        "open_tree",
        "mount_setattr",
        "pivot_root",
        "keyctl",
        "add_key",
        "request_key",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "kexec_load",
        "kexec_file_load",
        "init_module",
        "finit_module",
        "delete_module",
        "reboot",
        "swapon",
        "syslog",
        "clock_settime",
        "settimeofday",
        "open_by_handle_at",
        "io_uring_setup",
        "acct",
        "quotactl",
        "sethostname",
    ] {
        assert_eq!(decides(DEFAULT, name, 0), EPERM, "{name}");
    }
    for name in ["read", "openat", "execve", "futex", "epoll_pwait", "capset", "mknodat", "chroot", "rt_sigprocmask"] {
        assert_eq!(decides(DEFAULT, name, 0), ALLOW, "{name}");
    }
    assert_eq!(decides(DEFAULT, "clone3", 0), Action::Errno(ENOSYS).value());
    for (flags, allowed) in [(0x3d_0f00, true), (0x11, true), (0x1000_0000, false), (0x2_0000, false)] {
        assert_eq!(decides(DEFAULT, "clone", flags) == ALLOW, allowed, "clone {flags:#x}");
    }
    for (domain, allowed) in [(1, true), (2, true), (10, true), (16, true), (38, false), (40, false), (99, false)] {
        assert_eq!(decides(DEFAULT, "socket", domain) == ALLOW, allowed, "socket {domain}");
    }
    for (persona, allowed) in [(0, true), (0xffff_ffff, true), (0x40_0000, false)] {
        assert_eq!(decides(DEFAULT, "personality", persona) == ALLOW, allowed, "personality {persona:#x}");
    }
    // With the capability comes the call.
    for (bit, name) in
        [(21, "mount"), (21, "clone3"), (22, "reboot"), (25, "clock_settime"), (34, "syslog"), (39, "bpf")]
    {
        assert_eq!(decides(DEFAULT | 1 << bit, name, 0), ALLOW, "{name}");
    }
    assert_eq!(decides(DEFAULT & !(1 << 18), "chroot", 0), EPERM);
}

#[test]
fn each_call_of_the_table_is_decided_as_the_table_says() {
    let code = ARCHES.map(|arch| (arch, decode(&runtime_default(DEFAULT).compile(arch).unwrap())));
    for call in calls() {
        for (arch, code) in &code {
            for abi in Abi::of(*arch, true) {
                let Some(number) = call.number(*abi) else { continue };
                let data = Data { number, arch: abi.audit(), arguments: [0; 6] };
                let allowed = run(code, &data) == Action::Allow.value();
                match call.when {
                    When::Always => assert!(allowed, "{}", call.name),
                    When::Never => assert!(!allowed, "{}", call.name),
                    When::Capabilities(any) => assert_eq!(allowed, DEFAULT & any != 0, "{}", call.name),
                    When::Arguments => {}
                }
            }
        }
    }
}

#[test]
fn filters_are_small() {
    for (arch, most) in [(Arch::Aarch64, 560), (Arch::Armv7, 300), (Arch::X86_64, 560)] {
        let instructions = runtime_default(DEFAULT).compile(arch).unwrap().len() / 8;
        println!("{arch:?}: {instructions}");
        assert!(instructions <= most, "{arch:?}: {instructions} instructions");
    }
}

#[test]
fn profiles_in_the_oci_form_decide_as_they_say() {
    let text = r#"{
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13,
        "architectures": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X86_64"],
        "syscalls": [
            {"names": ["read", "write", "exit_group", "a_call_of_the_year_2040"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 45, "op": "SCMP_CMP_GE"}]},
            {"names": ["ioctl"], "action": "SCMP_ACT_LOG", "args": [
                {"index": 0, "value": 39, "op": "SCMP_CMP_GT"}, {"index": 5, "value": 4294967296, "op": "SCMP_CMP_LE"}]},
            {"names": ["kill"], "action": "SCMP_ACT_TRAP", "args": [
                {"index": 1, "value": 12, "valueTwo": 8, "op": "SCMP_CMP_MASKED_EQ"}]},
            {"names": ["openat"], "action": "SCMP_ACT_KILL_PROCESS", "comment": "no files", "args": [
                {"index": 0, "value": 12, "op": "SCMP_CMP_NE"}, {"index": 1, "value": 40, "op": "SCMP_CMP_LT"}]}
        ]}"#;
    let profile = parse(text).unwrap();
    assert_eq!(profile.rules.len(), 6, "tests of one argument are alternatives");
    ARCHES.into_iter().for_each(|arch| agree(&profile, arch));
    // A list of what is refused lets newer calls through.
    let profile =
        parse(r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mount"],"action":"SCMP_ACT_KILL"}]}"#);
    ARCHES.into_iter().for_each(|arch| agree(profile.as_ref().unwrap(), arch));
}

#[test]
fn a_wrong_profile_says_what_is_wrong() {
    let cases = [
        ("{", "EOF"),
        (r#"{"defaultAction":"ALLOW"}"#, "ALLOW is not an action"),
        (r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#, "needs a program outside"),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","archMap":[]}"#, "unknown field `archMap`"),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG"]}"#, "is not possible here"),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mout"],"action":"SCMP_ACT_ERRNO"}]}"#,
            "syscalls[0]: mout is not a system call that is known here",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":9999}]}"#,
            "9999 is not an error number",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}]}"#,
            "the arguments 0 to 5",
        ),
    ];
    for (text, part) in cases {
        let error = parse(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
    let twice = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
        {"names":["read"],"action":"SCMP_ACT_LOG"},{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}"#;
    let error = parse(twice).unwrap().compile(Arch::Armv7).unwrap_err();
    assert!(error.contains("two rules for read"), "{error}");
}
