//! The output ring of a container: bounded, in order, readable while it is written, and honest about what is lost.

use podling::pod::output::{Drained, RECORD, Reader, Record, Stream, Writer};
use rustix::fd::OwnedFd;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, memfd_create};
use rustix::io::write;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const HALF: u64 = 4 * RECORD as u64;

/// A container's pipe and ring.
struct Ring {
    segments: [OwnedFd; 2],
    writer: Writer,
    out: (OwnedFd, OwnedFd),
}

fn pair(segments: &[OwnedFd; 2]) -> [OwnedFd; 2] {
    segments.each_ref().map(|segment| segment.try_clone().expect("dup"))
}

impl Ring {
    fn new() -> Ring {
        let segments =
            [(); 2].map(|()| memfd_create("segment", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("memfd"));
        let writer = Writer::open(pair(&segments), HALF).expect("open the ring");
        let out = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).expect("pipe");
        fcntl_setpipe_size(&out.0, 256 * 1024).expect("a larger pipe");
        Ring { segments, writer, out }
    }

    fn reader(&self) -> Reader {
        Reader::new(pair(&self.segments))
    }

    /// Writes as instance `instance` and has it taken.
    fn say(&mut self, instance: u32, text: &str) {
        assert_eq!(write(&self.out.1, text.as_bytes()), Ok(text.len()));
        while self.writer.drain(&self.out.0, Stream::Out, instance) == Drained::Some {}
    }
}

/// All text from a place on.
fn text_from(reader: &Reader, mut at: podling::pod::output::Position, wanted: impl Fn(&Record<'_>) -> bool) -> String {
    let (mut text, mut buffer) = (String::new(), [0; RECORD]);
    while let Some(record) = reader.next(&mut at, &mut buffer).expect("read") {
        if wanted(&record) {
            text.push_str(core::str::from_utf8(record.bytes).expect("whole"));
        }
    }
    text
}

#[test]
fn output_is_read_in_order_with_its_instance() {
    let mut ring = Ring::new();
    let reader = ring.reader();
    let start = reader.oldest().expect("read");
    assert_eq!(text_from(&reader, start, |_| true), "");
    ring.say(1, "one\n");
    ring.say(2, "two\nthr");
    ring.say(2, "ee\n");
    assert_eq!(text_from(&reader, start, |_| true), "one\ntwo\nthree\n");
    assert_eq!(text_from(&reader, start, |record| record.instance == 1), "one\n", "logs --previous");
    let mut buffer = [0; RECORD];
    let end = reader.end(&mut buffer).expect("read");
    ring.say(2, "four\n");
    assert_eq!(text_from(&reader, end, |_| true), "four\n", "logs --follow");
}

#[test]
fn the_last_lines_are_found_across_records_and_segments() {
    let mut ring = Ring::new();
    let reader = ring.reader();
    let mut buffer = [0; RECORD];
    for n in 0..20_000 {
        ring.say(1, &format!("line {n}\n"));
    }
    ring.say(2, "of another\n");
    ring.say(1, "un");
    ring.say(1, "ended");
    let mut tail = |lines| {
        let at = reader.tail(lines, |instance| instance == 1, &mut buffer).expect("read");
        text_from(&reader, at, |record| record.instance == 1)
    };
    assert_eq!(tail(1), "unended");
    assert_eq!(tail(3), "line 19998\nline 19999\nunended");
    assert_eq!(tail(0), "");
    assert_eq!(tail(1000).lines().count(), 1000);
    assert!(tail(u64::MAX).lines().count() > 1000);
}

#[test]
fn failure_f17_the_ring_stays_within_its_bound_and_says_what_it_lost() {
    let mut ring = Ring::new();
    let reader = ring.reader();
    let old = reader.oldest().expect("read");
    let chunk = "x".repeat(RECORD);
    for _ in 0..100 {
        ring.say(1, &chunk);
        let sizes = ring.segments.each_ref().map(|segment| fstat(segment).expect("stat").st_size as u64);
        assert!(sizes.iter().all(|size| *size <= HALF), "{sizes:?}");
    }
    let (mut at, mut buffer) = (old, [0; RECORD]);
    let first = reader.next(&mut at, &mut buffer).expect("read").expect("a record");
    assert!(first.lost, "the reader was overtaken");
    assert!(!reader.next(&mut at, &mut buffer).expect("read").expect("a record").lost);
}

#[test]
fn a_writer_goes_on_where_another_has_stopped() {
    let mut ring = Ring::new();
    ring.say(1, "before\n");
    for _ in 0..5 {
        ring.writer = Writer::open(pair(&ring.segments), HALF).expect("open again");
        ring.say(2, "after\n");
    }
    let reader = ring.reader();
    assert_eq!(
        text_from(&reader, reader.oldest().expect("read"), |_| true),
        format!("before\n{}", "after\n".repeat(5))
    );
}

#[test]
fn failure_f19_a_full_file_system_drops_output_and_holds_up_nobody() {
    let mut ring = Ring::new();
    ring.say(1, "kept\n");
    // As full as a file system can be: not a byte more.
    for segment in &ring.segments {
        fcntl_add_seals(segment, SealFlags::GROW).expect("seal");
    }
    for _ in 0..10 {
        ring.say(1, &"y".repeat(RECORD));
    }
    assert_eq!(write(&ring.out.1, b"z"), Ok(1), "the pipe is not full");
    let reader = ring.reader();
    let at = reader.oldest().expect("read");
    assert!(text_from(&reader, at, |_| true).starts_with("kept\n"));
}

#[test]
fn a_closed_pipe_is_told() {
    let Ring { mut writer, out: (reading, writing), .. } = Ring::new();
    assert_eq!(writer.drain(&reading, Stream::Err, 1), Drained::Empty);
    drop(writing);
    assert_eq!(writer.drain(&reading, Stream::Err, 1), Drained::End);
}

#[test]
fn a_reader_beside_a_running_writer_never_sees_a_torn_record() {
    let mut ring = Ring::new();
    let reader = ring.reader();
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            let mut n = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                ring.say(n, &format!("{n:08}").repeat(1 + n as usize % 500));
                n += 1;
            }
            n
        })
    };
    let (mut at, mut buffer, mut last) = (reader.oldest().expect("read"), [0; RECORD], None);
    for _ in 0..50_000 {
        let Some(record) = reader.next(&mut at, &mut buffer).expect("read") else { continue };
        let wanted = format!("{:08}", record.instance);
        assert!(record.bytes.chunks(8).all(|part| part == wanted.as_bytes()), "torn: {}", record.instance);
        assert!(
            last.is_none_or(|last| record.instance == last + 1 || record.lost && record.instance > last),
            "{last:?}, then {}",
            record.instance
        );
        last = Some(record.instance);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writing.join().expect("the writer") > 0);
}
