//! The console tty, with a pseudo terminal for the serial line.

use crate::fake::{Fake, web};
use podling::agent::logger;
use podling::console::serial;
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

/// The far end of the line, and the name of the near one.
pub fn line() -> (File, PathBuf) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    (master.into(), PathBuf::from(name.into_string().unwrap()))
}

/// Reads until the terminal has printed this.
pub fn until(master: &mut File, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let mut bytes = [0; 256];
        let count = master.read(&mut bytes).unwrap_or_else(|error| panic!("{error} after {text:?}"));
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    text
}

/// Spec 104: the verbs on the serial line, which the agent's log shares; and its end when the line hangs up.
#[test]
fn spec_104_serial_line() {
    logger::install(log::LevelFilter::Info);
    let (mut master, near) = line();
    let person = std::thread::spawn(move || {
        until(&mut master, "qemu# ");
        master.write_all(b"get pods\r").unwrap();
        let answer = until(&mut master, "3m12s\r\nqemu# ");
        assert!(answer.contains("web    2/2     Running"), "{answer:?}");
        master.write_all(b"vers").unwrap();
        until(&mut master, "vers");
        log::warn!("something else happened");
        until(&mut master, "] podling: warning: something else happened\r\nqemu# vers");
        master.write_all(b"ion\r").unwrap();
        until(&mut master, "v2\r\nqemu# ");
        // A program has the line: its keys, Ctrl-C among them, and nothing of the log in between. (A shell in `read` may hear late.)
        master
            .write_all(b"exec -it web -c server -- busybox sh -c 'trap \"echo hit; n=x\" INT; stty size; until [ $n ]; do sleep 0.02; done; read a; exit $a'\r")
            .unwrap();
        until(&mut master, "24 80\r\n");
        log::warn!("held back");
        master.write_all(b"\x03").unwrap();
        let during = until(&mut master, "hit");
        assert!(!during.contains("held back"), "{during:?}");
        master.write_all(b"5\r").unwrap();
        let after = until(&mut master, "held back\r\nqemu# ");
        assert!(after.contains("command terminated with exit code 5\r\nqemu# "), "{after:?}");
        master.write_all(b"\x1b[A").unwrap();
        until(&mut master, "exit $a'");
        master.write_all(b"\x03exec -i web -c server -- cat\r").unwrap();
        until(&mut master, "cat\r\n");
        master.write_all(b"words\r\x04").unwrap();
        until(&mut master, "words\r\nwords\r\nqemu# ");
        // The line hangs up when its far end is closed.
        drop(master);
    });
    let fd = serial::prepare(&near).unwrap();
    let modes = tcgetattr(&fd).unwrap().local_modes;
    assert!(!modes.intersects(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG), "{modes:?}");
    assert!(rustix::fs::fcntl_getfl(&fd).unwrap().contains(OFlags::NONBLOCK));
    let ended = smol::block_on(serial::talk(Fake::new(&[web()]), &fd));
    if let Err(panic) = person.join() {
        std::panic::resume_unwind(panic);
    }
    drop(ended);
}

/// A name that is no tty is an error that says so, not a console.
#[test]
fn not_a_tty() {
    assert!(serial::prepare("/dev/null".as_ref()).is_err());
    assert!(serial::prepare("/dev/no-such-tty".as_ref()).is_err());
}
