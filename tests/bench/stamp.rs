//! The workload of `scripts/bench`: says when its first instruction ran, and ends as it is told.
//!
//! `stamp FILE NAME exit|once MARK|stay`: appends `NAME start NANOSECONDS` to FILE; `exit` ends at once; `once` ends with 1 unless
//! the file MARK exists, which it makes, and stays otherwise; `stay` waits for TERM. The end is noted likewise. It is compiled
//! alone, by rustc, and links nothing but the C library.
use std::ffi::{c_char, c_int, c_long};
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: c_long,
}

unsafe extern "C" {
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    fn signal(number: c_int, handler: extern "C" fn(c_int)) -> usize;
    fn sigprocmask(how: c_int, set: *const u8, old: *mut u8) -> c_int;
    fn sigsuspend(set: *const u8) -> c_int;
    fn access(path: *const c_char, mode: c_int) -> c_int;
}

static TERM: AtomicBool = AtomicBool::new(false);

extern "C" fn on_term(_: c_int) {
    TERM.store(true, Ordering::Relaxed);
}

/// CLOCK_MONOTONIC, the clock of the measuring script.
fn now() -> u64 {
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    unsafe { clock_gettime(1, &mut time) };
    time.seconds as u64 * 1_000_000_000 + time.nanoseconds as u64
}

fn main() {
    let start = now();
    let words: Vec<String> = std::env::args().collect();
    let [_, file, name, rest @ ..] = words.as_slice() else { panic!("stamp FILE NAME exit|once MARK|stay") };
    let mut out = OpenOptions::new().append(true).create(true).open(file).expect("open the file of stamps");
    let mut note = |what: &str, when: u64| out.write_all(format!("{name} {what} {when}\n").as_bytes()).expect("write a stamp");
    let (blocked, open) = ([0xffu8; 128], [0u8; 128]);
    unsafe { sigprocmask(0, blocked.as_ptr(), std::ptr::null_mut()) };
    unsafe { signal(15, on_term) };
    note("start", start);
    let code = match rest {
        [how] if how == "exit" => 0,
        [how, mark] if how == "once" => {
            let path = std::ffi::CString::new(mark.as_str()).expect("a path");
            if unsafe { access(path.as_ptr(), 0) } == 0 {
                wait(&open);
                0
            } else {
                std::fs::File::create(mark).expect("make the mark");
                1
            }
        }
        _ => {
            wait(&open);
            0
        }
    };
    note("end", now());
    std::process::exit(code)
}

fn wait(open: &[u8; 128]) {
    while !TERM.load(Ordering::Relaxed) {
        unsafe { sigsuspend(open.as_ptr()) };
    }
}
