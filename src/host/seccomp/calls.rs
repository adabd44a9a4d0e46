//! The system calls by name, with their numbers on each CPU: the kernel's tables as one text.

use crate::host::boards::Arch;
use crate::manifest::pod::Security;
use std::prelude::v1::*;
use std::sync::OnceLock;

/// One line a call; the head of the file says what is in it.
const TEXT: &str = include_str!("calls.txt");

/// How programs of one kind of CPU call the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86.
    I386,
    /// 32-bit ARM, EABI.
    Arm,
    /// 64-bit ARM.
    Aarch64,
}

impl Abi {
    /// What a CPU's programs may be, its own kind first.
    pub fn of(arch: Arch, compat: bool) -> &'static [Abi] {
        let all: &[Abi] = match arch {
            Arch::X86_64 => &[Abi::X86_64, Abi::I386],
            Arch::Aarch64 => &[Abi::Aarch64, Abi::Arm],
            Arch::Armv7 => &[Abi::Arm],
        };
        if compat { all } else { &all[..1] }
    }

    /// What the kernel tells a filter (`AUDIT_ARCH_*`).
    pub const fn audit(self) -> u32 {
        match self {
            Abi::X86_64 => 0xc000_003e,
            Abi::I386 => 0x4000_0003,
            Abi::Arm => 0x4000_0028,
            Abi::Aarch64 => 0xc000_00b7,
        }
    }
}

/// When the default profile lets a call through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// Never.
    Never,
    /// It depends on its arguments.
    Arguments,
    /// With one of these capabilities.
    Capabilities(u64),
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    /// Its numbers, in the order of [`Abi`].
    numbers: [Option<u32>; 4],
    /// When the default profile lets it through.
    pub when: When,
}

impl Call {
    /// Its number.
    pub fn number(&self, abi: Abi) -> Option<u32> {
        self.numbers[abi as usize]
    }
}

/// All of them, by name.
pub fn calls() -> &'static [Call] {
    static CALLS: OnceLock<Vec<Call>> = OnceLock::new();
    CALLS.get_or_init(|| TEXT.lines().filter(|line| !line.starts_with('#')).map(call).collect())
}

/// The number of a call; `None` where the CPU has none of that name, `Err` where no CPU has.
#[allow(clippy::result_unit_err, reason = "there is no more to say than that it is unknown")]
pub fn number(name: &str, abi: Abi) -> Result<Option<u32>, ()> {
    let calls = calls();
    calls.binary_search_by(|call| call.name.cmp(name)).map(|index| calls[index].number(abi)).map_err(drop)
}

fn call(line: &'static str) -> Call {
    let mut words = line.split_whitespace();
    let mut next = || words.next().expect("six words a line");
    let name = next();
    let numbers = [(); 4].map(|()| match next() {
        "-" => None,
        word => Some(match word.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16).expect("a number"),
            None => word.parse().expect("a number"),
        }),
    });
    let when = match next() {
        "always" => When::Always,
        "never" => When::Never,
        "args" => When::Arguments,
        names => When::Capabilities(names.split('|').fold(0, |set, name| set | capability(name))),
    };
    Call { name, numbers, when }
}

/// The bit of a capability.
fn capability(name: &str) -> u64 {
    1 << Security::CAPABILITIES.iter().position(|known| *known == name).expect("a capability")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_no_number_is_there_twice() {
        assert!(calls().is_sorted_by(|a, b| a.name < b.name));
        for abi in [Abi::X86_64, Abi::I386, Abi::Arm, Abi::Aarch64] {
            let mut numbers: Vec<u32> = calls().iter().filter_map(|call| call.number(abi)).collect();
            let all = numbers.len();
            assert!(all > 300, "{abi:?}");
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), all, "{abi:?}");
        }
    }

    /// A few numbers that everybody knows, of each CPU.
    #[test]
    fn numbers_are_the_kernels() {
        let of = |name| {
            [Abi::X86_64, Abi::I386, Abi::Arm, Abi::Aarch64].map(|abi| number(name, abi).unwrap().unwrap_or(9999))
        };
        assert_eq!(of("read"), [0, 3, 3, 63]);
        assert_eq!(of("execve"), [59, 11, 11, 221]);
        assert_eq!(of("clone"), [56, 120, 120, 220]);
        assert_eq!(of("mount"), [165, 21, 21, 40]);
        assert_eq!(of("socket"), [41, 359, 281, 198]);
        assert_eq!(of("open"), [2, 5, 5, 9999]);
        assert_eq!(of("clock_settime64"), [9999, 404, 404, 9999]);
        assert_eq!(of("set_tls"), [9999, 9999, 0xf0005, 9999]);
        assert_eq!(of("clone3"), [435; 4]);
        assert!(number("nonsense", Abi::Arm).is_err());
    }
}
