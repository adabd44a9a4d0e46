//! `podling image`: a board's flash and boot files, from a manifest, packed images, a kernel and the board's program.

use super::arena::Arena;
use super::atomic::{self, Draft};
use super::blobs::Hashing;
use super::boards::{self, BoardFile};
use super::initramfs::{self, Contents};
use super::modules::{self, Kernel};
use super::progress::Step;
use super::{bootfiles, ext4, flash, units};
use crate::manifest::board::Board;
use crate::manifest::codec::{self, Kind};
use crate::manifest::image::{self, Image};
use crate::manifest::{check, limits};
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::prelude::v1::*;
use std::{format, println, vec};

/// The arguments of `podling image`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A board's name, or the path of its file
    #[arg(long)]
    board: String,
    /// What `podling build` wrote
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// Where `podling pack` wrote
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// An unpacked kernel package, with modules.dep made by depmod
    #[arg(long, value_name = "DIR")]
    kernel: PathBuf,
    /// The board's program, built for the board
    #[arg(long, value_name = "FILE")]
    podlingd: PathBuf,
    /// The unpacked package of the board's firmware, where it has one
    #[arg(long, value_name = "DIR")]
    firmware: Option<PathBuf>,
    /// The disk image to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Where to put `kernel` and `initramfs.zst` [default: beside the disk image]
    #[arg(long, value_name = "DIR")]
    boot: Option<PathBuf>,
}

impl Args {
    /// Does it.
    pub fn run(self) -> Result<()> {
        let board = boards::load(&self.board)?;
        flash::layout(&board)?;
        let manifest = fs::read(&self.manifest)
            .with_context(|| format!("cannot read the manifest {}", self.manifest.display()))?;
        let references = check_manifest(&board, &manifest).with_context(|| format!("{}", self.manifest.display()))?;
        let images = find_images(&board, &references, &self.images)?;
        let kernel = Kernel::open(&self.kernel)?;
        let initramfs = make_initramfs(&board, &kernel, &self.podlingd)?;
        let image = fs::read(&kernel.image).with_context(|| format!("cannot read {}", kernel.image.display()))?;

        let boot_files = bootfiles::files(&board, &kernel, &image, &initramfs, self.firmware.as_deref())?;

        let directory = atomic::directory_of(&self.output);
        atomic::ensure_directory(&directory)?;
        let boot = self.boot.unwrap_or(directory.clone());
        atomic::ensure_directory(&boot)?;
        // All that is written is on the disk before the first of it takes its place.
        let places = [boot.join("initramfs.zst"), boot.join("kernel")];
        let drafts = [Draft::of(&places[0], &initramfs)?, Draft::of(&places[1], &image)?];
        let draft = Draft::new(&directory)?;
        let step = Step::new("laying out the flash", images.bytes);
        let contents = flash::Contents { manifest: &manifest, images: &images.sources(), boot: &boot_files };
        flash::write(&board, draft.file(), draft.path(), &contents)
            .and_then(|()| Ok(draft.file().sync_all()?))
            .with_context(|| format!("cannot write {}", self.output.display()))?;
        drop(step);
        // The manifest in it may hold secrets.
        draft.publish(&self.output, 0o600)?;
        for (draft, place) in drafts.into_iter().zip(&places) {
            draft.publish(place, 0o644)?;
        }
        println!(
            "{}: {} for {}, with {} image(s) of {}",
            self.output.display(),
            units::from_bytes(board.flash.size),
            board.class,
            images.records.len(),
            units::from_bytes(images.bytes)
        );
        println!("  {} ({})", places[1].display(), units::from_bytes(image.len() as u64));
        println!("  {} ({})", places[0].display(), units::from_bytes(initramfs.len() as u64));
        Ok(())
    }
}

/// Whether `bytes` is a manifest for `board`; the images that it names.
pub fn check_manifest(board: &BoardFile, bytes: &[u8]) -> Result<BTreeSet<String>> {
    let (header, body) = codec::open(bytes, Kind::Manifest).map_err(|error| anyhow!("{error}"))?;
    ensure!(
        header.class == board.class,
        "it is for boards of the class {}, and this board is a {}: build it with --board {}",
        header.class,
        board.class,
        board.class
    );
    ensure!(
        bytes.len() as u64 <= board.flash.slot_bytes,
        "it has {} bytes; a slot of this board has {}",
        bytes.len(),
        board.flash.slot_bytes
    );
    let manifest = check::manifest(body).map_err(|error| anyhow!("{error}"))?;
    Ok(manifest.pods.iter().flat_map(|pod| pod.images().map(String::from).collect::<Vec<_>>()).collect())
}

/// The packed images that go onto the data partition.
struct Images {
    /// Path and name of each record.
    records: BTreeMap<String, PathBuf>,
    /// Path and name of each squashfs; equal images are one.
    squashes: BTreeMap<String, PathBuf>,
    bytes: u64,
}

impl Images {
    fn sources(&self) -> Vec<ext4::Source<'_>> {
        self.squashes.iter().chain(&self.records).map(|(name, from)| ext4::Source { from, name }).collect()
    }
}

/// Finds the image of each reference in `directory`, whole and undamaged; says all that is wrong at once.
fn find_images(board: &BoardFile, references: &BTreeSet<String>, directory: &Path) -> Result<Images> {
    let mut images = Images { records: BTreeMap::new(), squashes: BTreeMap::new(), bytes: 0 };
    let (mut wrong, arch) = (vec![], board.arch);
    for reference in references {
        if let Err(error) = find_image(board, reference, directory, &mut images) {
            let (board, images) = (&board.class, directory.display());
            let way = match reference.starts_with("localhost/") {
                true => format!("pack SOURCE --name {reference} --arch {} -o {images}", arch.oci()),
                false => format!("pull {reference} --board {board} -o {images}"),
            };
            wrong.push(format!("  {error:#}\n    podling {way}"));
        }
    }
    if wrong.is_empty() {
        return Ok(images);
    }
    bail!(
        "{} of the manifest's images cannot be used; fetch each one, or pack it with `podling pack`:\n{}",
        wrong.len(),
        wrong.join("\n")
    )
}

fn find_image(board: &BoardFile, reference: &str, directory: &Path, images: &mut Images) -> Result<()> {
    let name = image::record_name(reference).with_context(|| format!("{reference}: the name is too long"))?;
    let path = directory.join(&*name);
    let bytes = fs::read(&path).with_context(|| format!("{reference}: {}", path.display()))?;
    let record = open_record(&bytes).with_context(|| format!("{reference}: {}", path.display()))?;
    ensure!(record.reference == reference, "{reference}: {} is the record of {}", path.display(), record.reference);
    ensure!(
        image::runs(board.arch.oci(), record.platform),
        "{reference}: the image is for {}, and the board {} is {}",
        record.platform,
        board.class,
        board.arch.oci()
    );
    let squashfs = image::squashfs_name(&record.sha256);
    if !images.squashes.contains_key(&*squashfs) {
        let path = directory.join(&*squashfs);
        let (sha256, size) = hash(&path).with_context(|| format!("{reference}: {}", path.display()))?;
        ensure!(size == record.size && sha256 == record.sha256, "{reference}: {} is damaged", path.display());
        images.bytes += size;
        images.squashes.insert(squashfs.as_str().into(), path);
    }
    images.records.insert(name.as_str().into(), path);
    Ok(())
}

fn open_record(bytes: &[u8]) -> Result<Image<'_>> {
    let (_, body) = codec::open(bytes, Kind::Image).map_err(|error| anyhow!("{error}"))?;
    check::image(body).map_err(|error| anyhow!("{error}"))
}

fn hash(path: &Path) -> std::io::Result<([u8; 32], u64)> {
    Hashing::new(File::open(path)?).finish()
}

/// The board's first files.
fn make_initramfs(board: &BoardFile, kernel: &Kernel, podlingd: &Path) -> Result<Vec<u8>> {
    let order = kernel.load_order(board.kernel.modules.iter().map(String::as_str))?;
    let mut files = vec![];
    for (n, path) in order.iter().enumerate() {
        files.push((format!("{n:02}-{}.ko", modules::module_name(&path.to_string_lossy())), modules::read(path)?));
    }
    let program =
        fs::read(podlingd).with_context(|| format!("cannot read the board's program {}", podlingd.display()))?;
    check_program(board, &program).with_context(|| format!("{}", podlingd.display()))?;
    let board = seal_board(board, &files)?;
    let step = Step::new("packing the initramfs", 0);
    let packed = initramfs::build(&Contents { podlingd: &program, board: &board, modules: &files });
    drop(step);
    packed
}

/// Whether `program` can run on `board`: an ELF file of its processor.
fn check_program(board: &BoardFile, program: &[u8]) -> Result<()> {
    let build =
        || format!("give --podlingd a podlingd built for the board {}, which is {}", board.class, board.arch.oci());
    // e_ident says the bits of an address and the order of bytes in e_machine, which is at the same place for all.
    let Some([0x7f, b'E', b'L', b'F', class @ (1 | 2), order @ (1 | 2), ..]) = program.get(..20) else {
        bail!("it is no program for Linux: {}", build())
    };
    let machine = [program[18], program[19]];
    let machine = if *order == 1 { u16::from_le_bytes(machine) } else { u16::from_be_bytes(machine) };
    let bits = 32 * class;
    ensure!(
        *order == 1 && (machine, bits) == board.arch.elf(),
        "it is a program for another processor (ELF machine {machine}, {bits} bits): {}",
        build()
    );
    Ok(())
}

/// The file `/board`.
fn seal_board(board: &BoardFile, modules: &[(String, Vec<u8>)]) -> Result<Vec<u8>> {
    let arena = Arena::default();
    let record = Board {
        class: &board.class,
        hostname: &board.hostname,
        console: &board.console.tty,
        modules: arena.list(modules.iter().map(|(name, _)| name.as_str())),
        slots: &board.devices.slots,
        slot_bytes: u32::try_from(board.flash.slot_bytes).context("flash.slot_bytes")?,
        data: &board.devices.data,
        data_fs: &board.devices.data_fs,
        network: board.network()?,
        allow_privileged: board.allow_privileged,
        huge_pages: board.huge_pages(),
    };
    let body = postcard::to_stdvec(&record).context("cannot encode the board record")?;
    ensure!(
        body.len() + codec::HEADER <= limits::BOARD,
        "the board record needs {} bytes; at most {} are possible",
        body.len(),
        limits::BOARD
    );
    check::board(&body).map_err(|error| anyhow!("{error}"))?;
    let header = codec::seal(Kind::Board, &board.class, 0, &body)
        .map_err(|error| anyhow!("cannot seal the board record: {error}"))?;
    Ok([&header[..], &body].concat())
}
