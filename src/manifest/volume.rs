//! Volumes and their mounts in a manifest (spec 31–35), beside what a volume or a variable may show of its own pod.

use super::List;
use super::fact::Fact;
use super::huge::PageSize;
use serde::{Deserialize, Serialize};

/// `volumeMounts[*]`, and `volumeDevices[*]` where the volume is a block device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount<'a> {
    /// The index of the volume in [`super::pod::Pod::volumes`].
    pub volume: u8,
    /// `mountPath`: absolute, normalised, not `/`.
    pub path: &'a str,
    /// `readOnly`.
    pub read_only: bool,
    /// `subPath`: the part of the volume that is mounted; relative and without `..`. All of it where it is empty.
    pub sub_path: &'a str,
    /// `recursiveReadOnly`: nor can the mounts inside the volume be written. Only with `read_only`.
    pub recursive_read_only: bool,
    /// `mountPropagation`.
    pub propagation: Propagation,
}

/// `mountPropagation`: what of mounts made later inside the volume shows on the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// Nothing.
    #[default]
    None,
    /// What the node mounts shows in the container.
    HostToContainer,
    /// That, and what the container mounts shows on the node and in the other containers.
    Bidirectional,
}

impl Propagation {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Propagation::None => "None",
            Propagation::HostToContainer => "HostToContainer",
            Propagation::Bidirectional => "Bidirectional",
        }
    }
}

/// `securityContext.fsGroup` of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsGroup {
    /// The group that the pod's volumes belong to, and each of its processes.
    pub id: u32,
    /// `fsGroupChangePolicy`.
    pub change: FsGroupChange,
}

/// When the files of a claim are given to the group. Other volumes are made anew for each pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FsGroupChange {
    /// Before each start of a pod.
    #[default]
    Always,
    /// Where the root of the volume does not have the group and its bits.
    OnRootMismatch,
}

/// `supplementalGroupsPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupsPolicy {
    /// The groups of the image's /etc/group as well.
    #[default]
    Merge,
    /// Those that the pod names, and no others.
    Strict,
}

/// `volumes[*]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Volume<'a> {
    /// `name`.
    pub name: &'a str,
    /// Where it comes from.
    #[serde(borrow)]
    pub source: Source<'a>,
}

/// The kind of a volume (spec 31–35).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Source<'a> {
    /// `emptyDir`: lives as long as the pod's UID (spec 34).
    EmptyDir {
        /// `medium`.
        medium: Medium,
        /// `sizeLimit` in bytes; the size of the file system where it is not on disk.
        size_limit: Option<u64>,
    },
    /// `hostPath`.
    HostPath {
        /// `path`.
        path: &'a str,
        /// `type`.
        kind: HostPathKind,
    },
    /// `persistentVolumeClaim`: a directory on the data partition, by namespace and name (spec 35).
    Claim {
        /// `claimName`.
        name: &'a str,
        /// `readOnly`.
        read_only: bool,
    },
    /// `configMap` and `secret`: files compiled in.
    Files {
        /// A secret: on tmpfs that is never swapped, and redacted wherever it is shown.
        secret: bool,
        /// The files.
        #[serde(borrow)]
        files: List<'a, File<'a>>,
    },
    /// `downwardAPI` and `projected`: files from several places.
    Projected {
        /// The files.
        #[serde(borrow)]
        files: List<'a, Projection<'a>>,
    },
    /// `image`: the files of an image, which can only be read, and not executed.
    Image {
        /// `reference`, normalised by [`crate::manifest::image::normalise`].
        reference: &'a str,
    },
    /// A claim with `volumeMode: Block`: a device without a file system, for `volumeDevices`.
    Block {
        /// What is behind it.
        #[serde(borrow)]
        disk: Disk<'a>,
        /// `readOnly`.
        read_only: bool,
    },
    /// A claim on a PersistentVolume of the kind `local`: a directory of the node, or the file system on a block device of it.
    Local {
        /// `claimName`.
        claim: &'a str,
        /// `local.path`.
        path: &'a str,
        /// `local.fsType`, for a block device.
        fs_type: &'a str,
        /// `readOnly`.
        read_only: bool,
        /// `mountOptions`, for a block device: names, or `NAME=VALUE`. `ro` is told by `read_only`.
        #[serde(borrow)]
        options: List<'a, &'a str>,
    },
}

/// `emptyDir.medium`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Medium {
    /// `""`: the data partition.
    Disk,
    /// `Memory`: a tmpfs.
    Memory,
    /// `HugePages-SIZE`: a hugetlbfs. `HugePages` is the one size that the pod asks for.
    HugePages(PageSize),
}

impl Medium {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Medium::Disk => "",
            Medium::Memory => "Memory",
            Medium::HugePages(size) => size.medium(),
        }
    }
}

/// What is behind a block device in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Disk<'a> {
    /// A block device of the node, of a PersistentVolume.
    Device {
        /// `claimName`.
        claim: &'a str,
        /// `local.path`.
        path: &'a str,
    },
    /// A file on the data partition, of a claim without a PersistentVolume.
    Claim {
        /// `claimName`.
        claim: &'a str,
        /// Its size.
        bytes: u64,
    },
    /// A file that lives as long as the pod.
    Own {
        /// Its size.
        bytes: u64,
    },
}

impl<'a> Source<'a> {
    /// The image that the volume is made of.
    pub const fn image(&self) -> Option<&'a str> {
        match *self {
            Source::Image { reference } => Some(reference),
            _ => None,
        }
    }

    /// Whether it is an emptyDir.
    pub const fn is_empty_dir(&self) -> bool {
        matches!(self, Source::EmptyDir { .. })
    }

    /// Whether it is a block device.
    pub const fn is_block(&self) -> bool {
        matches!(self, Source::Block { .. })
    }

    /// The name of the claim that it is.
    pub const fn claim(&self) -> Option<&'a str> {
        match *self {
            Source::Claim { name: claim, .. }
            | Source::Local { claim, .. }
            | Source::Block { disk: Disk::Device { claim, .. } | Disk::Claim { claim, .. }, .. } => Some(claim),
            _ => None,
        }
    }
}

/// `hostPath.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostPathKind {
    /// `""`: whatever is there.
    Any,
    /// `DirectoryOrCreate`.
    DirectoryOrCreate,
    /// `Directory`.
    Directory,
    /// `FileOrCreate`.
    FileOrCreate,
    /// `File`.
    File,
    /// `Socket`.
    Socket,
    /// `CharDevice`.
    CharDevice,
    /// `BlockDevice`.
    BlockDevice,
}

/// A file of a configMap or secret volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File<'a> {
    /// Its path below the volume: relative, without `..`.
    pub path: &'a str,
    /// Its permission bits.
    pub mode: u16,
    /// Its content.
    pub data: &'a [u8],
}

/// A file of a downwardAPI or projected volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Projection<'a> {
    /// Its path below the volume: relative, without `..`.
    pub path: &'a str,
    /// Its permission bits.
    pub mode: u16,
    /// What is in it.
    #[serde(borrow)]
    pub content: Content<'a>,
}

/// What is in a projected file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content<'a> {
    /// An entry of a ConfigMap.
    Plain(&'a [u8]),
    /// An entry of a Secret: redacted wherever it is shown.
    Secret(&'a [u8]),
    /// What the board knows of the pod, kept current.
    Fact(#[serde(borrow)] Fact<'a>),
}
