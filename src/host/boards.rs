//! Boards as data: `boards/NAME/board.toml`, found, read strictly and checked for sense.

mod file;

pub use file::{
    Arch, BoardFile, Console, Devices, EvictionFile, Firmware, Flash, Kernel, NetworkFile, NodeFile, Partition,
    PartitionKind, Reserved,
};

use crate::host::units;
use crate::machine::admit::Amount;
use crate::manifest::board::Network;
use crate::manifest::check::rule;
use crate::manifest::huge::{HugePages, PageSize};
use crate::manifest::limits;
use crate::manifest::pod::Node;
use anyhow::{Context, anyhow, bail, ensure};
use core::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::prelude::v1::*;
use std::{env, format, fs, vec};

/// The board called `board`, or the one whose file or folder `board` is the path of.
pub fn load(board: &str) -> anyhow::Result<BoardFile> {
    let path = find(board)?;
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read the board file {}", path.display()))?;
    let mut file: BoardFile = toml::from_str(&text).map_err(|e| anyhow!("{}: {e}", path.display()))?;
    file.check().with_context(|| format!("{}", path.display()))?;
    file.dir = path.parent().unwrap_or(Path::new(".")).to_path_buf();
    Ok(file)
}

impl BoardFile {
    /// The node's settings, as a manifest carries them.
    pub fn node(&self) -> Node {
        let default = Node::default();
        let milli = |seconds: Option<u32>, default: u32| seconds.map_or(default, |s| s.saturating_mul(1000));
        Node {
            backoff_base_ms: milli(self.node.backoff_base_seconds, default.backoff_base_ms),
            backoff_cap_ms: milli(self.node.backoff_cap_seconds, default.backoff_cap_ms),
            backoff_reset_ms: milli(self.node.backoff_reset_seconds, default.backoff_reset_ms),
            pod_pids_limit: self.node.pod_pids_limit.unwrap_or(default.pod_pids_limit),
            shutdown_grace_seconds: self.node.shutdown_grace_seconds.unwrap_or(default.shutdown_grace_seconds),
            eviction: self.eviction.settings(),
            memory_reserve: self.node.system_reserved.memory,
        }
    }

    /// The static address, as a board record carries it.
    pub fn network(&self) -> anyhow::Result<Option<Network<'_>>> {
        let Some(net) = &self.network else {
            return Ok(None);
        };
        let wrong =
            || format!("network.address: `{}` is not an IPv4 address with a prefix, as in 10.0.2.15/24", net.address);
        let (address, prefix) = net.address.split_once('/').with_context(wrong)?;
        let prefix = prefix.parse().ok().filter(|p| *p <= 32).with_context(wrong)?;
        Ok(Some(Network {
            interface: &net.interface,
            address: address.parse::<Ipv4Addr>().with_context(wrong)?.octets(),
            prefix,
            gateway: net.gateway.map(|a| a.octets()),
            dns: net.dns.map(|a| a.octets()),
        }))
    }

    /// The huge pages that it sets aside at boot.
    pub fn huge_pages(&self) -> HugePages {
        let pages = |size: PageSize| self.hugepages.get(size.quantity()).copied().unwrap_or_default();
        PageSize::ALL.into_iter().fold(HugePages::NONE, |all, size| all.with(size, pages(size)))
    }

    /// The bytes of each partition, with what the last one takes.
    pub fn partition_sizes(&self) -> anyhow::Result<Vec<u64>> {
        /// Room before the first partition, and the grain of all of them.
        const MIB: u64 = 1 << 20;
        let flash = &self.flash;
        let mut left = flash.size.saturating_sub(MIB);
        let mut sizes = vec![];
        for (n, part) in flash.partitions.iter().enumerate() {
            let last = n + 1 == flash.partitions.len();
            let size = match part.size {
                Some(size) => size,
                None if last => left - left % MIB,
                None => bail!("flash.partitions: {} needs a size: only the last partition takes the rest", part.name),
            };
            ensure!(
                size > 0 && size.is_multiple_of(MIB),
                "flash.partitions: the size of {} must be whole MiB, and more than none",
                part.name
            );
            left = left.checked_sub(size).with_context(|| {
                format!(
                    "flash.partitions: {} does not fit: all partitions and 1 MiB before them must fit in {} bytes",
                    part.name, flash.size
                )
            })?;
            sizes.push(size);
        }
        Ok(sizes)
    }

    /// Finds what the types cannot.
    fn check(&self) -> anyhow::Result<()> {
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let label = |s: &str, max| {
            (1..=max).contains(&s.len()) && s.bytes().all(word) && !s.starts_with('-') && !s.ends_with('-')
        };
        ensure!(label(&self.class, limits::BOARD_CLASS), "class: at most {} of a-z, 0-9 and -", limits::BOARD_CLASS);
        ensure!(label(&self.hostname, limits::LABEL), "hostname: at most {} of a-z, 0-9 and -", limits::LABEL);
        ensure!(
            !self.console.tty.is_empty() && !self.console.tty.contains('/'),
            "console.tty: a name without /dev/, as in ttyAMA0"
        );
        let module =
            |m: &String| !m.is_empty() && m.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if let Some(bad) = self.kernel.modules.iter().find(|m| !module(m)) {
            bail!("kernel.modules: `{bad}` is not the name of a module");
        }
        let texts = self.firmware.iter().flat_map(|firmware| firmware.files.iter().chain(firmware.texts.keys()));
        let plain = |name: &&String| name.is_empty() || name.contains(['/', '\\', ':']) || name.starts_with('.');
        if let Some(bad) = self.kernel.dtbs.iter().chain(texts).find(plain) {
            bail!("kernel.dtbs, firmware: `{bad}` is not the name of a file");
        }
        ensure!(u32::try_from(self.flash.slot_bytes).is_ok(), "flash.slot_bytes: at most 4 GiB");
        ensure!(
            self.flash.slot_bytes >= limits::MANIFEST as u64,
            "flash.slot_bytes: a slot must hold the largest manifest, {}",
            units::from_bytes(limits::MANIFEST as u64)
        );
        let sizes = self.partition_sizes()?;
        let count = |kind| self.flash.partitions.iter().filter(|p| p.kind == kind).count();
        ensure!(sizes.len() <= 4, "flash.partitions: an MBR has at most four");
        ensure!(count(PartitionKind::Slots) == 1, "flash.partitions: exactly one of the kind slots is needed");
        let slots = self.flash.partitions.iter().zip(&sizes).find(|(p, _)| p.kind == PartitionKind::Slots);
        ensure!(
            slots.is_some_and(|(_, size)| *size / 2 >= self.flash.slot_bytes),
            "flash.partitions: the slots' one must hold two times slot_bytes"
        );
        for (field, device) in [("slots", &self.devices.slots), ("data", &self.devices.data)] {
            ensure!(device.starts_with("/dev/"), "devices.{field}: a path below /dev");
        }
        for (name, devices) in &self.resources {
            let (domain, rest) = name.split_once('/').unwrap_or_default();
            let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let named = !domain.is_empty() && !rest.is_empty() && name.replacen('/', "", 1).chars().all(legal);
            ensure!(
                named,
                "resources: `{name}` is not the name of a resource: a domain and a name, as in board.podling/gpio"
            );
            ensure!(!devices.is_empty(), "resources: {name} names no device");
            if let Some(bad) = devices.iter().find(|device| !(rule::DEVICE.holds)(device)) {
                bail!("resources: {name}: `{bad}` is not a device: a path below /dev");
            }
        }
        let sizes = PageSize::ALL.map(PageSize::quantity);
        if let Some(bad) = self.hugepages.keys().find(|size| !sizes.contains(&size.as_str())) {
            bail!("hugepages: `{bad}` is not a size of huge pages: {} are", sizes.join(", "));
        }
        ensure!(
            self.huge_pages().all_bytes() < self.memory_bytes,
            "hugepages: they would take all of memory_bytes; leave some for everything else"
        );
        ensure!(
            Amount::of_node(&self.node(), self.memory_bytes, 1, 0, self.huge_pages()).memory > 0,
            "node.system_reserved.memory, hugepages and eviction.\"memory.available\": nothing of memory_bytes is left for pods"
        );
        for pattern in &self.node.allowed_unsafe_sysctls {
            let stem = pattern.strip_suffix('*').unwrap_or(pattern).trim_end_matches('.');
            let known = (rule::SYSCTL.holds)(stem) || stem == "net" || stem == "fs.mqueue";
            ensure!(known, "node.allowed_unsafe_sysctls: `{pattern}` {}", rule::SYSCTL.says);
        }
        self.network().map(drop)
    }
}

/// Where the file of `board` is.
fn find(board: &str) -> anyhow::Result<PathBuf> {
    let path = Path::new(board);
    if path.is_file() {
        return Ok(path.to_path_buf());
    }
    if path.join("board.toml").is_file() {
        return Ok(path.join("board.toml"));
    }
    ensure!(!board.contains('/') && !board.ends_with(".toml"), "there is no board file at {board}");
    let folders = folders();
    let found = folders.iter().map(|f| f.join(board).join("board.toml")).find(|p| p.is_file());
    found.ok_or_else(|| unknown(board, &folders))
}

/// Where boards are looked for: `$PODLING_BOARDS` alone, else `boards` here and beside or above the program.
fn folders() -> Vec<PathBuf> {
    if let Some(folder) = env::var_os("PODLING_BOARDS") {
        return vec![PathBuf::from(folder)];
    }
    let program = env::current_exe().ok();
    let above = program.iter().flat_map(|p| p.ancestors().skip(1)).map(|p| p.join("boards"));
    [PathBuf::from("boards")].into_iter().chain(above).filter(|p| p.is_dir()).collect()
}

const NO_FOLDER: &str =
    "no folder of boards was found: run in the repository, set PODLING_BOARDS, or give the path of a board.toml";

/// The names of the boards in these folders.
fn known(folders: &[PathBuf]) -> Vec<String> {
    let entries = folders.iter().filter_map(|f| fs::read_dir(f).ok()).flatten().flatten();
    let mut known: Vec<String> = entries
        .filter(|e| e.path().join("board.toml").is_file())
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    known.sort_unstable();
    known.dedup();
    known
}

/// `podling boards`: a line for each board that there is.
pub fn list() -> anyhow::Result<()> {
    let bytes = |n: u64| units::from_bytes(n);
    let known = known(&folders());
    ensure!(!known.is_empty(), "{NO_FOLDER}");
    std::println!("{:<20}{:<9}{:<8}{:<8}DESCRIPTION", "BOARD", "ARCH", "MEMORY", "FLASH");
    for name in known {
        let board = load(&name)?;
        let (memory, flash) = (bytes(board.memory_bytes), bytes(board.flash.size));
        std::println!("{name:<20}{:<9}{memory:<8}{flash:<8}{}", board.arch.oci(), board.description);
    }
    Ok(())
}

/// The error that names the boards there are.
fn unknown(board: &str, folders: &[PathBuf]) -> anyhow::Error {
    let known = known(folders);
    if known.is_empty() {
        return anyhow!("unknown board `{board}`, and {NO_FOLDER}");
    }
    let hint = crate::host::suggest::nearest(board, known.iter().map(String::as_str));
    let hint = hint.map_or(String::new(), |name| format!("; did you mean `{name}`?"));
    anyhow!("unknown board `{board}`{hint} (known: {})", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::eviction::{Eviction, Threshold};
    use std::string::ToString;

    const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/boards/qemu-virt-aarch64");

    /// The error of the board file with `from` replaced by `to`.
    fn broken(from: &str, to: &str) -> String {
        let text = fs::read_to_string(Path::new(DIR).join("board.toml")).unwrap();
        assert!(text.contains(from), "{from}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board.toml");
        fs::write(&path, text.replace(from, to)).unwrap();
        format!("{:#}", load(path.to_str().unwrap()).unwrap_err())
    }

    #[test]
    fn the_boards_of_the_repository_are_right() {
        let mut found = 0;
        for entry in fs::read_dir(Path::new(DIR).parent().unwrap()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                let board = load(path.to_str().unwrap()).unwrap();
                assert_eq!(path.file_name().unwrap().to_str(), Some(board.class.as_str()));
                found += 1;
            }
        }
        assert!(found > 0);
    }

    #[test]
    fn spec_43_the_board_file_of_qemu_has_the_defaults() {
        let board = load(DIR).unwrap();
        let own = Eviction { thresholds: [None; 4], ..board.node().eviction };
        assert_eq!(Node { eviction: own, ..board.node() }, Node::default());
        assert_eq!((board.memory_bytes, board.arch.debian()), (128 << 20, "arm64"));
        assert_eq!(board.partition_sizes().unwrap(), [2 << 20, (256 - 1 - 2) << 20]);
        let network = board.network().unwrap().unwrap();
        assert_eq!((network.address, network.prefix), ([10, 0, 2, 15], 24));
        assert_eq!(network.gateway, Some([10, 0, 2, 2]));
    }

    #[test]
    fn spec_97_borders_are_amounts_or_percentages() {
        let [memory, nodefs, inodes, pids] = load(DIR).unwrap().node().eviction.thresholds;
        assert_eq!((memory, nodefs), (None, Some(Threshold::Share(1000))));
        assert_eq!((inodes, pids), (Some(Threshold::Share(500)), Some(Threshold::Amount(0))));
        let read = |text: &str| toml::from_str::<EvictionFile>(&format!("\"memory.available\" = {text}"));
        let threshold = |text| read(text).unwrap().settings().thresholds[0];
        assert_eq!(threshold("\"100Mi\""), Some(Threshold::Amount(100 << 20)));
        assert_eq!(threshold("4096"), Some(Threshold::Amount(4096)));
        assert_eq!(threshold("\"7.5%\""), Some(Threshold::Share(750)));
        for wrong in ["\"101%\"", "\"-1%\"", "\"%\"", "\"NaN%\""] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("is not a percentage from 0% to 100%"), "{wrong}: {error}");
        }
        assert!(read("\"5 %x\"").unwrap_err().to_string().contains("not a quantity"));
    }

    #[test]
    fn a_wrong_board_file_says_what_is_wrong() {
        let cases = [
            ("hostname = \"virt\"", "hostnam = \"virt\"", "unknown field `hostnam`"),
            ("\"qemu-virt-aarch64\"", "\"Qemu\"", "class: at most 32"),
            ("\"aarch64\"", "\"sparc\"", "unknown variant `sparc`"),
            ("\"128Mi\"", "\"128mb\"", "not a quantity"),
            ("[node]", "[node]\nsystem_reserved.memory = \"124Mi\"", "nothing of memory_bytes is left for pods"),
            ("[node]", "[node]\nsystem_reserved.cpu = 1", "unknown field `cpu`"),
            ("\"1Mi\"   #", "\"512Ki\"   #", "a slot must hold the largest manifest"),
            ("size = \"2Mi\"", "size = \"1Mi\"", "must hold two times slot_bytes"),
            ("size = \"2Mi\"", "size = \"300Mi\"", "slots does not fit"),
            ("size = \"2Mi\"", "", "slots needs a size"),
            ("10.0.2.15/24", "10.0.2.15", "is not an IPv4 address with a prefix"),
            ("10.0.2.15/24", "10.0.2.15/33", "is not an IPv4 address with a prefix"),
            ("\"/dev/vda1\"", "\"vda1\"", "devices.slots: a path below /dev"),
            ("[resources]", "[hugepages]\n3Mi = 1\n[resources]", "`3Mi` is not a size of huge pages: 64Ki, 2Mi"),
            ("[resources]", "[hugepages]\n2Mi = 64\n[resources]", "they would take all of memory_bytes"),
            ("\"virtio_mmio\"", "\"../virtio\"", "is not the name of a module"),
        ];
        for (from, to, part) in cases {
            let error = broken(from, to);
            assert!(error.contains(part) && error.contains("board.toml"), "{part}: {error}");
        }
    }
}
