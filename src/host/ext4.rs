//! An ext4 file system inside a disk image, by Debian's e2fsprogs: no root, no loop device, the same for the same input.
//!
//! `mke2fs -d` would take the caller's owners, modes and times along. `debugfs` writes files that root owns, at a time
//! that it is told, and takes them from where they are.

use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::prelude::v1::*;
use std::process::{Command, Stdio};
use std::{format, vec};

/// The time of everything, in seconds: not 0, which e2fsprogs takes for "now".
const TIME: &str = "1";
/// Spelled out, so that no mke2fs.conf has a say, and so that a kernel of 2016 can still mount it.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum";
/// Bytes of a block.
pub const BLOCK: u64 = 4096;

/// Where the file system goes.
pub struct Place<'a> {
    /// The disk image, named relative to its directory: the tools read a `?` in a name as an option.
    pub directory: &'a Path,
    /// Its file name: letters, digits, `.`, `-` and `_`.
    pub disk: &'a str,
    /// The first byte of the partition.
    pub offset: u64,
    /// Bytes of the partition.
    pub size: u64,
}

/// One file to be put in.
pub struct Source<'a> {
    /// Where its bytes are.
    pub from: &'a Path,
    /// Its name.
    pub name: &'a str,
}

/// Makes an ext4 called `label` with the files `sources` in the folder `folder`.
pub fn make(place: &Place<'_>, label: &str, uuid: &str, folder: &str, sources: &[Source<'_>]) -> Result<()> {
    // The image is sparse and new: its tables are zero already, and the board need not zero them again.
    let extended = format!(
        "offset={},root_owner=0:0,hash_seed={uuid},nodiscard,lazy_itable_init=0,lazy_journal_init=0,assume_storage_prezeroed=1",
        place.offset
    );
    let blocks = (place.size / BLOCK).to_string();
    let arguments = [
        "-q",
        "-F",
        "-O",
        FEATURES,
        "-b",
        "4096",
        "-I",
        "256",
        "-i",
        "8192",
        "-m",
        "1",
        "-e",
        "remount-ro",
        "-L",
        label,
        "-U",
        uuid,
        "-E",
        &extended,
        place.disk,
        &blocks,
    ];
    run(place, "mke2fs", &arguments, None)?;

    let mut script = format!("mkdir {folder}\ncd {folder}\n");
    for source in sources {
        let from = std::path::absolute(source.from)?;
        let from = from
            .to_str()
            .filter(|path| !path.contains(['"', '\n']))
            .with_context(|| format!("debugfs cannot be told the path {}", from.display()))?;
        writeln!(script, "write \"{from}\" \"{}\"\nsif \"{}\" mode 0100644", source.name, source.name)?;
    }
    let target = format!("{}?offset={}", place.disk, place.offset);
    let complaints = run(place, "debugfs", &["-w", "-f", "-", &target], Some(&script))?;
    // debugfs goes on after an error and ends well; its first line is its version.
    let complaints: Vec<&str> =
        complaints.lines().filter(|line| !line.starts_with("debugfs ") && !line.is_empty()).collect();
    if complaints.iter().any(|line| line.contains("Could not allocate")) {
        let bytes: u64 = sources.iter().filter_map(|source| source.from.metadata().ok()).map(|meta| meta.len()).sum();
        bail!("{bytes} bytes of files do not fit: it has {} bytes, its own tables included", place.size);
    }
    ensure!(complaints.is_empty(), "cannot write the file system's files: {}", complaints.join("; "));
    run(place, "e2fsck", &["-f", "-n", &target], None).map(drop)
}

/// Runs one of the tools where the image is; what it says on its standard error.
fn run(place: &Place<'_>, tool: &str, arguments: &[&str], input: Option<&str>) -> Result<String> {
    // An ordinary user's PATH has no sbin.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(tool);
    command.args(arguments.iter().map(OsStr::new)).current_dir(place.directory);
    command.env("PATH", path).env("LC_ALL", "C").env("MKE2FS_CONFIG", "/dev/null");
    command.env("E2FSPROGS_FAKE_TIME", TIME).env("SOURCE_DATE_EPOCH", TIME);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {tool} (Debian's package e2fsprogs)"))?;
    let mut stdin = child.stdin.take();
    let feed = std::thread::scope(|scope| {
        let feeder = scope.spawn(move || {
            stdin.take().zip(input).map_or(Ok(()), |(mut stdin, input)| stdin.write_all(input.as_bytes()))
        });
        let output = child.wait_with_output();
        (feeder.join(), output)
    });
    let output = feed.1.with_context(|| format!("cannot wait for {tool}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    let lines: Vec<String> = vec![text(&output.stderr), text(&output.stdout)];
    ensure!(output.status.success(), "{tool} failed ({}): {}", output.status, lines.join("; "));
    Ok(text(&output.stderr))
}
