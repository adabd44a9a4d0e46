//! Room for host/initramfs.
