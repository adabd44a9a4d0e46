//! The store against a flash that loses power and fails, in memory (failures F5, F7, F8, F9, F29).

use super::*;
use crate::manifest::List;
use crate::manifest::pod::{Manifest, Node};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::string::ToString;
use std::thread_local;

const SLOT: u32 = 4096;
const SECTOR: usize = 512;
const CLASS: &str = "board";

/// A flash behind a cache: a write reaches the medium at the next sync, which may fail.
struct Sim {
    cache: RefCell<Vec<u8>>,
    medium: RefCell<Vec<u8>>,
    unsynced: RefCell<Vec<(usize, Vec<u8>)>>,
    /// The medium after each sync so far, the first one before any.
    history: RefCell<Vec<Vec<u8>>>,
    operations: Cell<usize>,
    /// From which operation on each fails, and for how many.
    fails: (usize, usize),
}

impl Sim {
    fn new(medium: Vec<u8>, fails: (usize, usize)) -> Sim {
        Sim {
            cache: RefCell::new(medium.clone()),
            unsynced: RefCell::default(),
            history: RefCell::new(vec![medium.clone()]),
            medium: RefCell::new(medium),
            operations: Cell::new(0),
            fails,
        }
    }

    fn operation(&self) -> io::Result<()> {
        let n = self.operations.replace(self.operations.get() + 1);
        let (first, count) = self.fails;
        if n >= first && n - first < count { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }
}

impl Flash for &Sim {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.operation()?;
        let cache = self.cache.borrow();
        let from = cache.get(offset as usize..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let result = self.operation();
        // A write that fails has written half.
        let data = if result.is_ok() { data } else { &data[..data.len() / 2] };
        let offset = offset as usize;
        self.cache.borrow_mut()[offset..offset + data.len()].copy_from_slice(data);
        self.unsynced.borrow_mut().push((offset, data.to_vec()));
        result
    }

    fn sync(&self) -> io::Result<()> {
        let unsynced = self.unsynced.take();
        // As in Linux: what could not be written is forgotten, and the cache goes on showing it.
        self.operation()?;
        let mut medium = self.medium.borrow_mut();
        for (offset, data) in unsynced {
            medium[offset..offset + data.len()].copy_from_slice(&data);
        }
        self.history.borrow_mut().push(medium.clone());
        Ok(())
    }
}

/// A manifest file whose content depends on `mark` in every sector.
fn manifest(mark: u32) -> &'static [u8] {
    thread_local!(static MADE: RefCell<HashMap<u32, &'static [u8]>> = RefCell::default());
    MADE.with_borrow_mut(|made| *made.entry(mark).or_insert_with(|| make(mark).leak()))
}

fn make(mark: u32) -> Vec<u8> {
    let node = Node { backoff_reset_ms: 1000 + mark, ..Node::default() };
    let body = postcard::to_extend(&Manifest { node, pods: pods(mark), ..Manifest::default() }, Vec::new()).unwrap();
    [&codec::seal(Kind::Manifest, CLASS, 0, &body).unwrap()[..], &body].concat()
}

fn pods(mark: u32) -> List<'static, crate::manifest::pod::Pod<'static>> {
    use crate::manifest::pod::*;
    let data = mark.to_string().repeat(1600).into_bytes().leak();
    let list = |bytes: Vec<u8>| &*bytes.leak();
    let file = File { path: "f", mode: 0o644, data: &data[..1600] };
    let files = List::from_bytes(list(postcard::to_extend(&file, Vec::new()).unwrap()));
    let volume = Volume { name: "v", source: Source::Files { secret: false, files } };
    let app = Container { name: "a", image: "docker.io/library/a:1", ..Container::default() };
    let pod = Pod {
        name: "p",
        hostname: "p",
        volumes: List::from_bytes(list(postcard::to_extend(&volume, Vec::new()).unwrap())),
        containers: List::from_bytes(list(postcard::to_extend(&app, Vec::new()).unwrap())),
        ..Pod::default()
    };
    List::from_bytes(list(postcard::to_extend(&pod, Vec::new()).unwrap()))
}

fn blank() -> Vec<u8> {
    vec![0; 2 * SLOT as usize]
}

/// The medium after these manifests were written, one after the other.
fn written(marks: &[u32]) -> Vec<u8> {
    let sim = Sim::new(blank(), (0, 0));
    let mut store = Store::new(&sim, SLOT, CLASS);
    for mark in marks {
        store.write(manifest(*mark)).unwrap();
    }
    sim.medium.take()
}

fn load(medium: &[u8]) -> Loaded {
    Store::new(&Sim::new(medium.to_vec(), (0, 0)), SLOT, CLASS).load()
}

/// Which manifest counts on this medium: `None` where there is none. Panics where it is a mix.
fn mark(loaded: &Loaded) -> Option<u32> {
    let stored = loaded.manifest.as_ref()?;
    let mark = check::manifest(stored.body()).unwrap().node.backoff_reset_ms - 1000;
    assert_eq!(stored.body(), &manifest(mark)[HEADER..], "a mix of manifests");
    Some(mark)
}

/// What a power cut may leave of the writes between two syncs: any of the sectors, in any order, and one of them torn.
fn cuts(before: &[u8], after: &[u8], tear_every: usize) -> HashSet<Vec<u8>> {
    let changed: Vec<usize> =
        (0..before.len()).step_by(SECTOR).filter(|at| before[*at..][..SECTOR] != after[*at..][..SECTOR]).collect();
    let mut states = HashSet::new();
    for subset in 0..1u32 << changed.len() {
        let mut state = before.to_vec();
        for (_, at) in changed.iter().enumerate().filter(|(n, _)| subset >> n & 1 == 1) {
            state[*at..][..SECTOR].copy_from_slice(&after[*at..][..SECTOR]);
        }
        states.insert(state);
    }
    for at in &changed {
        for torn in (0..SECTOR).step_by(tear_every) {
            for base in [before, after] {
                let mut state = base.to_vec();
                state[*at..][..SECTOR].copy_from_slice(&before[*at..][..SECTOR]);
                state[*at..][..torn].copy_from_slice(&after[*at..][..torn]);
                states.insert(state.clone());
                // The other end first.
                state[*at..][..torn].copy_from_slice(&before[*at..][..torn]);
                state[*at + torn..][..SECTOR - torn].copy_from_slice(&after[*at + torn..][..SECTOR - torn]);
                states.insert(state);
            }
        }
    }
    states
}

/// Every state that a cut at any moment of a write of manifest `mark` may leave.
fn cut_while_writing(medium: &[u8], mark: u32, tear_every: usize) -> HashSet<Vec<u8>> {
    let sim = Sim::new(medium.to_vec(), (0, 0));
    Store::new(&sim, SLOT, CLASS).write(manifest(mark)).unwrap();
    let history = sim.history.take();
    history.windows(2).flat_map(|pair| cuts(&pair[0], &pair[1], tear_every)).collect()
}

/// Failure F5: after a power cut at any moment it is the old or the new manifest, and after a second one during the repair too.
#[test]
fn a_power_cut_leaves_the_old_or_the_new_manifest() {
    for (marks, tear_every) in [(&[][..], 64), (&[1], 64), (&[1, 2], 8), (&[1, 2, 3], 64)] {
        let old = marks.last().copied();
        let mut seen = HashSet::new();
        for medium in cut_while_writing(&written(marks), 8, tear_every) {
            let found = mark(&load(&medium));
            assert!(found == old || found == Some(8), "{marks:?}: {found:?}");
            seen.insert(found);
        }
        assert_eq!(seen, HashSet::from([old, Some(8)]), "both ends were seen");
    }
    for medium in cut_while_writing(&written(&[1, 2]), 8, SECTOR) {
        let found = mark(&load(&medium));
        for medium in cut_while_writing(&medium, 9, SECTOR) {
            let again = mark(&load(&medium));
            assert!(again == found || again == Some(9), "{found:?}, then {again:?}");
        }
    }
}

/// Failure F7: whichever operation fails, once or for good, the old manifest counts until a write has gone through.
#[test]
fn a_failing_flash_costs_the_new_manifest_at_most() {
    let medium = written(&[1, 2]);
    let operations = {
        let sim = Sim::new(medium.clone(), (0, 0));
        Store::new(&sim, SLOT, CLASS).write(manifest(3)).unwrap();
        sim.operations.get()
    };
    assert_eq!(operations, 8, "two reads a slot, two writes, two syncs");
    for n in 0..operations {
        let sim = Sim::new(medium.clone(), (n, 1));
        let mut store = Store::new(&sim, SLOT, CLASS);
        let result = store.write(manifest(3));
        if n < 4 {
            // A slot that cannot be read is one that can be written.
            assert!(result.is_ok());
            continue;
        }
        let Err(Error::Io { source, .. }) = result else { panic!("operation {n}: {result:?}") };
        assert_eq!(source.raw_os_error(), Some(5));
        let loaded = store.load();
        assert_eq!(mark(&loaded), Some(2), "operation {n}: a slot that failed is not trusted");
        assert!(matches!(loaded.faults, [Some(Error::Dirty), None]), "{:?}", loaded.faults);
        assert!([Some(2), Some(3)].contains(&mark(&load(&sim.medium.borrow()))), "operation {n}, after a power cut");
        store.write(manifest(4)).unwrap();
        assert_eq!(mark(&store.load()), Some(4));
        assert_eq!(mark(&load(&sim.medium.borrow())), Some(4), "operation {n}: written anew, not only synced again");

        let sim = Sim::new(medium.clone(), (n, usize::MAX));
        assert!(Store::new(&sim, SLOT, CLASS).write(manifest(3)).is_err());
        assert!([Some(2), Some(3)].contains(&mark(&load(&sim.medium.borrow()))));
    }
    let sim = Sim::new(medium, (0, usize::MAX));
    let loaded = Store::new(&sim, SLOT, CLASS).load();
    assert!(loaded.manifest.is_none() && matches!(loaded.faults, [Some(Error::Io { .. }), Some(Error::Io { .. })]));
}

/// Failure F8: of a slot, and the other one then counts.
#[test]
fn every_flipped_bit_and_every_truncation_of_a_slot_is_detected() {
    let medium = written(&[1, 2]);
    let (start, length) = (SLOT as usize, manifest(2).len());
    for bit in (0..length * 8).filter(|bit| *bit < 4096 || bit % 7 == 0) {
        let mut broken = medium.clone();
        broken[start + bit / 8] ^= 1 << (bit % 8);
        let loaded = load(&broken);
        assert!(loaded.faults[1].is_some(), "bit {bit}");
        assert_eq!(mark(&loaded), Some(1), "bit {bit}");
    }
    for cut in 0..length {
        assert_eq!(mark(&load(&medium[..start + cut])), Some(1), "cut off at {cut}");
        let mut wiped = medium.clone();
        wiped[start + cut..start + length].fill(0);
        if wiped != medium {
            assert_eq!(mark(&load(&wiped)), Some(1), "wiped from {cut}");
        }
    }
}

/// Failure F9, and spec 99: the newest valid slot wins, whatever the counter does.
#[test]
fn slots_are_written_in_turn_and_the_counter_wraps() {
    let sim = Sim::new(blank(), (0, 0));
    let mut store = Store::new(&sim, SLOT, CLASS);
    assert!(matches!(store.load(), Loaded { manifest: None, faults: [Some(Error::Empty), Some(Error::Empty)] }));
    let slots: Vec<_> = (1..=4).map(|mark| store.write(manifest(mark)).unwrap()).collect();
    let expected = [(Slot::A, 1), (Slot::B, 2), (Slot::A, 3), (Slot::B, 4)];
    assert_eq!(slots, expected.map(|(slot, sequence)| Next { slot, sequence }));
    let file = manifest(5);
    let head = codec::seal(Kind::Manifest, CLASS, u64::MAX, &file[HEADER..]).unwrap();
    let last = [&head[..], &file[HEADER..], &vec![0; 2 * SLOT as usize - file.len()]].concat();
    let sim = Sim::new(last, (0, 0));
    let mut store = Store::new(&sim, SLOT, CLASS);
    assert_eq!(store.write(manifest(6)).unwrap(), Next { slot: Slot::B, sequence: 0 });
    assert_eq!(mark(&store.load()), Some(6));
}

/// Failure F29, and what else is refused before anything is written.
#[test]
fn what_cannot_count_is_refused_with_a_reason() {
    let sim = Sim::new(written(&[1]), (0, 0));
    let mut store = Store::new(&sim, SLOT, CLASS);
    let body = &manifest(2)[HEADER..];
    let refuse = |store: &mut Store<&Sim>, file: &[u8], words: &str| {
        let message = format!("{}", store.write(file).unwrap_err());
        assert!(message.contains(words), "{message}");
        assert_eq!(mark(&store.load()), Some(1));
    };
    let foreign = [&codec::seal(Kind::Manifest, "other", 0, body).unwrap()[..], body].concat();
    refuse(&mut store, &foreign, "for boards of class other, and this board is board");
    refuse(&mut store, b"garbage", "less than a header");
    let broken = [&codec::seal(Kind::Manifest, CLASS, 0, b"x").unwrap()[..], b"x"].concat();
    refuse(&mut store, &broken, "the encoding is broken");
    assert_eq!(sim.history.borrow().len(), 1, "nothing was written");
    let mut small = Store::new(&sim, 1024, CLASS);
    let message = format!("{}", small.write(manifest(2)).unwrap_err());
    assert!(
        message.contains(&format!("a manifest of {} bytes does not fit a slot of 1024", manifest(2).len())),
        "{message}"
    );
}

/// A file, as it is used on the board.
#[test]
fn a_file_is_a_flash() {
    let file = File::from(rustix::fs::memfd_create("slots", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
    file.set_len(2 * u64::from(SLOT)).unwrap();
    let mut store = Store::new(file, SLOT, CLASS);
    store.write(manifest(1)).unwrap();
    store.write(manifest(2)).unwrap();
    assert_eq!(mark(&store.load()), Some(2));
}
