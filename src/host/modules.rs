//! An unpacked Debian kernel package: its image, and the modules that a board needs, in the order to load them.

use super::tarstream::show;
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::prelude::v1::*;
use std::process::Command;
use std::{format, vec};

/// Modules that one board may load.
const MODULES: usize = 200;
/// Bytes of one module, unpacked.
const MODULE: u64 = 64 << 20;

/// A kernel on disk.
pub struct Kernel {
    /// Its bootable image.
    pub image: PathBuf,
    /// `lib/modules/VERSION`.
    modules: PathBuf,
    files: BTreeMap<String, File>,
    builtin: BTreeSet<String>,
    soft: BTreeMap<String, Vec<String>>,
    aliases: BTreeMap<String, BTreeSet<String>>,
}

/// One line of modules.dep.
struct File {
    path: String,
    needs: Vec<String>,
}

impl Kernel {
    /// The kernel in `directory`, as `dpkg-deb -x` and `depmod` leave it.
    pub fn open(directory: &Path) -> Result<Kernel> {
        let folder =
            ["lib/modules", "usr/lib/modules"].map(|part| directory.join(part)).into_iter().find(|path| path.is_dir());
        let folder = folder
            .with_context(|| format!("{} is no unpacked kernel package: it has no lib/modules", directory.display()))?;
        let version = only_entry(&folder)?;
        let image = directory.join(format!("boot/vmlinuz-{version}"));
        ensure!(image.is_file(), "there is no kernel at {}", image.display());
        let modules = folder.join(&version);
        ensure!(
            modules.join("modules.dep").is_file(),
            "{} is missing: run `depmod -b {} {version}` (Debian's package kmod)",
            modules.join("modules.dep").display(),
            directory.display()
        );
        let text = |name: &str| fs::read_to_string(modules.join(name)).unwrap_or_default();
        let files = text("modules.dep").lines().filter_map(dependency_line).collect();
        let builtin = text("modules.builtin").lines().map(module_name).collect();
        let soft = text("modules.softdep").lines().filter_map(soft_line).fold(
            BTreeMap::new(),
            |mut all: BTreeMap<_, Vec<_>>, (name, needs)| {
                all.entry(name).or_default().extend(needs);
                all
            },
        );
        let mut aliases: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (alias, name) in text("modules.alias").lines().filter_map(alias_line) {
            aliases.entry(alias).or_default().insert(name);
        }
        Ok(Kernel { image, modules, files, builtin, soft, aliases })
    }

    /// The device tree called `name`, wherever the package has it.
    pub fn device_tree(&self, name: &str) -> Result<Vec<u8>> {
        let version = self.modules.file_name().unwrap_or_default().to_string_lossy();
        let root = self.image.parent().and_then(Path::parent).unwrap_or(Path::new("."));
        let folder = root.join(format!("usr/lib/linux-image-{version}"));
        // With a 64-bit kernel, a folder for each maker.
        let makers = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut places = [folder.clone()].into_iter().chain(makers).map(|place| place.join(name));
        let path = places.find(|path| path.is_file());
        let path = path.with_context(|| format!("the kernel has no device tree {name} in {}", folder.display()))?;
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The files of `wanted` and of all that they need, each after what it needs. Built-in ones need no file.
    pub fn load_order<'a>(&self, wanted: impl IntoIterator<Item = &'a str>) -> Result<Vec<PathBuf>> {
        let (mut order, mut seen, mut missing) = (vec![], BTreeSet::new(), vec![]);
        for name in wanted {
            let name = canonical(name);
            if self.files.contains_key(&name) {
                self.visit(&name, &mut seen, &mut order);
            } else if !self.builtin.contains(&name) {
                missing.push(name);
            }
        }
        ensure!(
            missing.is_empty(),
            "the kernel in {} has no module called {}",
            self.modules.display(),
            missing.join(", ")
        );
        ensure!(
            order.len() <= MODULES,
            "the board's modules need {} files; at most {MODULES} are possible",
            order.len()
        );
        Ok(order)
    }

    fn visit(&self, name: &str, seen: &mut BTreeSet<String>, order: &mut Vec<PathBuf>) {
        let Some(file) = self.files.get(name).filter(|_| seen.insert(name.into())) else {
            return;
        };
        for need in self.soft.get(name).into_iter().flatten() {
            // What a module would rather have: a name, or what modules say they can stand for.
            let known = self.aliases.get(need).into_iter().flatten().map(String::as_str);
            for need in known.chain([canonical(need).as_str()]) {
                self.visit(need, seen, order);
            }
        }
        // modules.dep names the deepest need last.
        for need in file.needs.iter().rev() {
            self.visit(need, seen, order);
        }
        order.push(self.modules.join(&file.path));
    }
}

/// The bytes of the module at `path`, decompressed: the initramfs is compressed as a whole, which takes less room and
/// less of the board's time than modules that the kernel must unpack one by one.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let cannot = || format!("cannot read the module {}", path.display());
    if path.extension().is_some_and(|extension| extension == "xz") {
        let output = Command::new("xz").arg("-dc").arg("--").arg(path).output();
        let output = output.context("cannot run xz (Debian's package xz-utils)").with_context(cannot)?;
        ensure!(output.status.success(), "{}: {}", cannot(), String::from_utf8_lossy(&output.stderr).trim());
        return Ok(output.stdout);
    }
    let file = fs::File::open(path).with_context(cannot)?;
    let mut bytes = vec![];
    super::blobs::decompress(file)?.take(MODULE + 1).read_to_end(&mut bytes).with_context(cannot)?;
    ensure!(bytes.len() as u64 <= MODULE, "{}: it is larger than {MODULE} bytes", cannot());
    Ok(bytes)
}

/// `kernel/fs/ext4/ext4.ko.xz` → `ext4`, as modprobe calls it.
pub fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    canonical(file.split(".ko").next().unwrap_or(file))
}

/// `-` and `_` are one in the names of modules.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

fn dependency_line(line: &str) -> Option<(String, File)> {
    let (path, needs) = line.split_once(':')?;
    Some((module_name(path), File { path: path.into(), needs: needs.split_whitespace().map(module_name).collect() }))
}

/// `softdep ext4 pre: crc32c post: x`.
fn soft_line(line: &str) -> Option<(String, Vec<String>)> {
    let mut words = line.split_whitespace();
    let name = words.next().filter(|word| *word == "softdep").and(words.next())?;
    let needs = words.skip_while(|word| *word != "pre:").skip(1).take_while(|word| *word != "post:");
    Some((canonical(name), needs.map(String::from).collect()))
}

fn alias_line(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let alias = words.next().filter(|word| *word == "alias").and(words.next())?;
    Some((alias.into(), canonical(words.next()?)))
}

fn only_entry(folder: &Path) -> Result<String> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    match &mut names[..] {
        [one] => Ok(std::mem::take(one)),
        [] => bail!("{} holds no kernel version", folder.display()),
        several => bail!(
            "{} holds several kernel versions ({}): unpack one package alone",
            folder.display(),
            show(several.join(", ").as_bytes())
        ),
    }
}
