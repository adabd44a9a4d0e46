//! What this kernel can do, as a value: asked once, then carried to where it matters.

use super::Error;
use super::raw::{self, Call};
use rustix::io::Errno;
use std::format;
use std::string::String;

/// The calls that nothing works without, and the first Linux that has them.
const NEEDED: [(Call, &str, &str); 6] = [
    (Call::Fsopen, "fsopen", "5.2"),
    (Call::PidfdSendSignal, "pidfd_send_signal", "5.1"),
    (Call::Clone3, "clone3", "5.3"),
    (Call::Openat2, "openat2", "5.6"),
    (Call::CloseRange, "close_range", "5.11"),
    (Call::MountSetattr, "mount_setattr", "5.12"),
];

/// What differs between kernels that podling runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// overlayfs is there, or was loaded: without it no container has a root.
    pub overlay: bool,
    /// squashfs is there.
    pub squashfs: bool,
    /// The kernel has namespaces for cgroups.
    pub cgroup_namespace: bool,
    /// POSIX message queues.
    pub mqueue: bool,
}

impl Kernel {
    /// Asks the running kernel.
    ///
    /// # Errors
    /// It lacks a system call that nothing works without; the error says which, and from which Linux on it is there.
    pub fn probe() -> Result<Kernel, Error> {
        for (call, name, since) in NEEDED {
            if !raw::knows(call) {
                let subject = format!("{name} (podling needs Linux 5.12 or newer; {name} is there since {since})");
                return Err(Error::new("use", subject, Errno::NOSYS));
            }
        }
        let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
        Ok(Kernel::from_filesystems(&known, std::path::Path::new("/proc/self/ns/cgroup").exists()))
    }

    fn from_filesystems(known: &str, cgroup_namespace: bool) -> Kernel {
        let has = |name: &str| known.lines().any(|line| line.split_whitespace().next_back() == Some(name));
        Kernel { overlay: has("overlay"), squashfs: has("squashfs"), mqueue: has("mqueue"), cgroup_namespace }
    }

    /// What is missing for running pods at all, and how to mend it; for `doctor` and the boot log.
    pub fn missing(&self) -> Option<String> {
        let lacks = [(self.overlay, "overlay", "CONFIG_OVERLAY_FS"), (self.squashfs, "squashfs", "CONFIG_SQUASHFS")];
        let (_, name, option) = lacks.into_iter().find(|(there, ..)| !there)?;
        Some(format!("this kernel has no {name}: load its module, or build the kernel with {option}=y"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_f26_a_kernel_without_overlay_is_named() {
        let without = Kernel::from_filesystems("nodev\tproc\n\tsquashfs\nnodev\tmqueue\n", true);
        assert!(!without.overlay && without.squashfs && without.mqueue);
        assert!(without.missing().unwrap().contains("CONFIG_OVERLAY_FS"));
        assert_eq!(Kernel::from_filesystems("nodev\toverlay\n\tsquashfs\n", true).missing(), None);
    }

    #[test]
    fn this_kernel_has_what_nothing_works_without() {
        Kernel::probe().unwrap();
    }
}
