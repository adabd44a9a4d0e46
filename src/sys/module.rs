//! Kernel modules from files, `.ko` or compressed.

use super::Error;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::system::finit_module;
use std::format;

/// The kernel decompresses the file by itself (from Linux 5.17 on, where it was built with CONFIG_MODULE_DECOMPRESS).
const COMPRESSED_FILE: i32 = 4;

/// Loads a module. One that is loaded already, or built in, is fine.
pub fn load(path: &str) -> Result<(), Error> {
    let fail = |what, errno| Error::new(what, path, errno);
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| fail("open module", errno))?;
    let flags = if is_compressed(path) { COMPRESSED_FILE } else { 0 };
    match finit_module(&file, c"", flags) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) if flags != 0 && matches!(errno, Errno::INVAL | Errno::OPNOTSUPP | Errno::NOEXEC) => {
            let subject = format!("{path} (does this kernel decompress modules? else pack them uncompressed)");
            Err(Error::new("load module", subject, errno))
        }
        Err(errno) => Err(fail("load module", errno)),
    }
}

fn is_compressed(path: &str) -> bool {
    [".xz", ".gz", ".zst"].iter().any(|suffix| path.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn the_flag_goes_by_the_name() {
        assert!(is_compressed("/modules/a.ko.xz") && is_compressed("a.ko.zst") && !is_compressed("/modules/xz.ko"));
    }

    #[test]
    fn what_is_not_there_is_named() {
        assert_eq!(
            load("/nowhere/x.ko").unwrap_err().to_string(),
            "open module /nowhere/x.ko: No such file or directory"
        );
    }
}
