//! A million broken files: no panic, and no memory taken (failure F11).
//!
//! Valid files are mutated by a seeded generator, mostly with their checksums put right again, so that it is the body's
//! parser that is reached. The first assertion that fails names the seed of its input; the same seed makes the same input again.
#![allow(unsafe_code, reason = "a global allocator that counts can only be written so")]

#[path = "golden/sample.rs"]
mod sample;

use podling::manifest::codec::{self, HEADER, Kind};
use podling::manifest::pod::Manifest;
use podling::manifest::{check, limits};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Write;

const INPUTS: u64 = 1_050_000;
const SEED: u64 = 0x706f_646c_696e_6731;

/// Counts the heap of each thread.
struct Counting;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let now = NOW.get() + bytes;
    NOW.set(now);
    PEAK.set(PEAK.get().max(now));
}

// SAFETY: every call is handed on to the system's allocator as it came; the counters are thread-local cells of plain numbers,
// which neither allocate nor have destructors.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound.max(1)
    }
}

/// Breaks `bytes` in one way. `others` lend parts.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
    const TELLING: [u8; 8] = [0, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff];
    let at = random.below(bytes.len());
    let end = at + random.below(bytes.len() - at + 1).min(64);
    match random.below(12) {
        0..=3 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        4 | 5 if !bytes.is_empty() => bytes[at] = TELLING[random.below(TELLING.len())],
        6 if !bytes.is_empty() => bytes[at] = bytes[at].wrapping_add(random.below(5) as u8).wrapping_sub(2),
        7 => bytes.truncate(at),
        8 => drop(bytes.drain(at..end)),
        9 => {
            let part = bytes[at..end].to_vec();
            drop(bytes.splice(at..at, part));
        }
        10 => {
            let other = &others[random.below(others.len())];
            let from = random.below(other.len());
            let part = other[from..from + random.below(other.len() - from + 1).min(200)].to_vec();
            drop(bytes.splice(at..end, part));
        }
        _ => {
            let noise: Vec<u8> = (0..random.below(20)).map(|_| random.next() as u8).collect();
            drop(bytes.splice(at..end, noise));
        }
    }
}

/// Puts the lengths and checksums of a header right, whatever else it says.
fn repair(file: &mut [u8]) {
    if file.len() < HEADER {
        return;
    }
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
    let body = file.len() - HEADER;
    file[12..16].copy_from_slice(&(body as u32).to_le_bytes());
    let checksum = crc.checksum(&file[HEADER..]);
    file[56..60].copy_from_slice(&checksum.to_le_bytes());
    let mut digest = crc.digest();
    digest.update(&file[0..60]);
    digest.update(&file[64..128]);
    file[60..64].copy_from_slice(&digest.finalize().to_le_bytes());
}

/// A sink that keeps nothing.
struct Nowhere(usize);

impl Write for Nowhere {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// How far an input came.
#[derive(Clone, Copy, Default, Debug)]
struct Tally {
    inputs: u64,
    past_the_frame: u64,
    past_the_top: u64,
    valid: u64,
}

/// What a board does with a file that it is given; with the message of what is wrong.
fn read(file: &[u8], kind: Kind, tally: &mut Tally) -> Nowhere {
    let mut said = Nowhere(0);
    tally.inputs += 1;
    let body = match codec::open(file, kind) {
        Ok((_, body)) => body,
        Err(error) => {
            write!(said, "{error}").unwrap();
            return said;
        }
    };
    tally.past_the_frame += 1;
    let result = match kind {
        Kind::Manifest => check::manifest(body).map(|manifest| walk(&manifest, &mut said, tally.valid)),
        Kind::Image => check::image(body).map(drop),
        Kind::Board => check::board(body).map(drop),
    };
    match result {
        Ok(()) => tally.valid += 1,
        Err(error) => {
            tally.past_the_top += u64::from(!error.path.is_empty());
            write!(said, "{error}").unwrap();
        }
    }
    said
}

/// What passed the check can be walked to its last element; now and then it is.
fn walk(manifest: &Manifest<'_>, said: &mut Nowhere, nth: u64) {
    assert!(manifest.pods.len() <= limits::PODS);
    if nth.is_multiple_of(64) {
        write!(said, "{manifest:?}").unwrap();
    }
}

fn run(seeds: std::ops::Range<u64>, files: &[(Kind, Vec<u8>)]) -> Tally {
    let bodies: Vec<Vec<u8>> = files.iter().map(|(_, file)| file[HEADER..].to_vec()).collect();
    let mut tally = Tally::default();
    for seed in seeds {
        let mut random = Random(SEED ^ (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (kind, valid) = &files[random.below(files.len())];
        let mut file = valid.clone();
        let header_too = random.below(16) == 0;
        let mut part = if header_too { std::mem::take(&mut file) } else { file.split_off(HEADER) };
        for _ in 0..=random.below(3) {
            mutate(&mut random, &mut part, &bodies);
        }
        file.append(&mut part);
        if random.below(16) > 0 {
            repair(&mut file);
        }
        let before = NOW.get();
        PEAK.set(before);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(&file, *kind, &mut tally)));
        let peak = PEAK.get() - before;
        let said = outcome.unwrap_or_else(|_| panic!("input of seed {seed} ({kind:?}) panics: {file:02x?}"));
        assert!(
            peak <= 2 * file.len() as isize + 64 * 1024,
            "seed {seed}: {} bytes in, {peak} bytes of heap",
            file.len()
        );
        assert!(said.0 < 100_000, "seed {seed}: a message of {} bytes", said.0);
    }
    tally
}

#[test]
fn a_million_broken_files_are_refused_without_panic_and_without_memory() {
    let manifest = |pods| sample::body(&Manifest { pods, ..sample::manifest() });
    let small = || sample::file(Kind::Manifest, 1, &manifest(sample::list([sample::small()])));
    let files = [
        (Kind::Manifest, sample::file(Kind::Manifest, 1, &manifest(sample::list([sample::full()])))),
        (Kind::Manifest, small()),
        (Kind::Manifest, small()),
        (Kind::Image, sample::file(Kind::Image, 0, &sample::body(&sample::image()))),
        (Kind::Board, sample::file(Kind::Board, 0, &sample::body(&sample::board()))),
    ];
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get()) as u64;
    let share = INPUTS.div_ceil(workers);
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let files = &files;
        let work = |n| scope.spawn(move || run(n * share..(n + 1) * share, files));
        let running: Vec<_> = (0..workers).map(work).collect();
        running.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let total = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum::<u64>();
    let (inputs, framed) = (total(|t| t.inputs), total(|t| t.past_the_frame));
    let (deep, valid) = (total(|t| t.past_the_top), total(|t| t.valid));
    println!("{inputs} inputs: {framed} past the frame, {deep} refused inside the lists, {valid} still valid");
    assert!(inputs >= 1_000_000);
    assert!(framed > inputs / 2 && deep > inputs / 10 && valid > inputs / 100, "the parser was hardly reached");
}

/// The counter counts: without this, the bound above could not fail.
#[test]
fn the_allocator_counts() {
    let before = NOW.get();
    PEAK.set(before);
    drop(std::hint::black_box(vec![0u8; 100_000]));
    assert!(PEAK.get() - before >= 100_000 && NOW.get() == before);
}
