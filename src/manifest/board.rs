//! What one board is, as the board itself reads it: compiled from `boards/NAME/board.toml`, carried in its initramfs.

use super::List;
use super::huge::HugePages;
use serde::{Deserialize, Serialize};

/// A board's facts. Its file is `/board` of the initramfs: [`crate::manifest::codec`]'s frame around these postcard bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Board<'a> {
    /// The class that manifests name in their header, for example `qemu-virt-aarch64`.
    pub class: &'a str,
    /// The host name of the node.
    pub hostname: &'a str,
    /// The console's tty, without `/dev/`: `ttyAMA0`.
    pub console: &'a str,
    /// The kernel modules, in the order to load them, as files below `/modules` of the initramfs.
    #[serde(borrow)]
    pub modules: List<'a, &'a str>,
    /// The block device that holds the two manifest slots: `/dev/vda1`.
    pub slots: &'a str,
    /// Bytes of one slot.
    pub slot_bytes: u32,
    /// The block device of the data partition: `/dev/vda2`.
    pub data: &'a str,
    /// Its file system: `ext4`.
    pub data_fs: &'a str,
    /// The Ethernet of the node.
    pub network: Option<Network<'a>>,
    /// Whether the Linux capabilities, devices and privileges of the whole board may be given to a pod (spec 85).
    pub allow_privileged: bool,
    /// The huge pages that it sets aside when it boots.
    pub huge_pages: HugePages,
}

/// A static IPv4 address on one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network<'a> {
    /// `eth0`.
    pub interface: &'a str,
    /// The address.
    pub address: [u8; 4],
    /// Bits of the network part.
    pub prefix: u8,
    /// The default router.
    pub gateway: Option<[u8; 4]>,
    /// The name server of /etc/resolv.conf.
    pub dns: Option<[u8; 4]>,
}
