//! The workstation: from Kubernetes YAML and OCI images to a manifest, squashfs files and a board's flash.
//!
//! Stands on floors 0 and 1 and the pure half of the console; knows nothing of the board's floors.

pub mod arena;
pub mod atomic;
pub mod blobs;
pub mod boards;
pub mod bootfiles;
pub mod build;
pub mod card;
pub mod credentials;
pub mod diagnostic;
pub mod disks;
pub mod explain;
pub mod ext4;
pub mod fat;
pub mod flash;
pub mod image;
pub mod initramfs;
pub mod inspect;
pub mod layers;
pub mod lower;
pub mod modules;
pub mod oci;
pub mod pack;
pub mod progress;
pub mod pull;
pub mod read;
pub mod record;
pub mod registry;
pub mod schema;
pub mod seccomp;
pub mod select;
pub mod squash;
pub mod suggest;
pub mod tarstream;
pub mod tree;
pub mod units;
pub mod yaml;
