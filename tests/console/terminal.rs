//! `podlingd exec -it` and `attach` at a terminal: raw while a program has it, and given back on every way out.

use crate::fake::{DEFAULT_SIGNALS, Fake, web};
use crate::remote::served;
use crate::serial::{line, until};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command};

/// A client at a terminal of its own.
struct Person {
    terminal: File,
    client: Child,
}

impl Person {
    fn new(socket: &Path, words: &[&str]) -> Person {
        let (terminal, near) = line();
        size(&terminal, 30, 100);
        let near = File::options().read(true).write(true).open(near).unwrap();
        let mut command = Command::new("env");
        command
            .args([DEFAULT_SIGNALS, "setsid", "--ctty", env!("CARGO_BIN_EXE_podlingd"), "--socket"])
            .arg(socket)
            .args(words);
        let copy = || near.try_clone().unwrap();
        let client = command.stdin(copy()).stdout(copy()).stderr(copy()).spawn().unwrap();
        Person { terminal, client }
    }

    fn says(&mut self, wanted: &str) -> String {
        until(&mut self.terminal, wanted)
    }

    fn types(&mut self, keys: &[u8]) {
        self.terminal.write_all(keys).unwrap();
    }

    fn is_raw(&self) -> bool {
        let modes = tcgetattr(&self.terminal).unwrap().local_modes;
        let cooked = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        assert!(modes.contains(cooked) || !modes.intersects(cooked), "{modes:?}");
        !modes.contains(cooked)
    }

    /// Waits for the end of the client; its terminal is what it was.
    fn ended(mut self) -> i32 {
        let status = self.client.wait().unwrap();
        assert!(!self.is_raw(), "the terminal was left raw");
        status.code().expect("an exit code")
    }
}

fn size(terminal: &File, rows: u16, columns: u16) {
    tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

/// A shell that waits in `read` hears a signal late which comes just before: until it has heard both, it waits in short sleeps.
const SCRIPT: &str = "trap 'stty size; n=x$n' WINCH; trap 'echo hit; n=x$n' INT; stty size; until [ \"$n\" = xx ]; do sleep 0.02; done; \
                      while :; do read a && echo \"<$a>\" && exit $a; done";
const EXEC: [&str; 10] = ["exec", "-it", "web", "-c", "server", "--", "busybox", "sh", "-c", SCRIPT];

/// Spec 104: keys, sizes and the exit code pass, Ctrl-C is the program's, and the terminal comes back.
#[test]
fn spec_104_a_program_at_a_terminal() {
    served(Fake::new(&[web()]), |socket| {
        let mut person = Person::new(socket, &EXEC);
        person.says("30 100\r\n");
        assert!(person.is_raw());
        size(&person.terminal, 50, 120);
        person.says("50 120\r\n");
        person.types(b"\x03");
        person.says("hit\r\n");
        person.types(b"7\r");
        person.says("<7>\r\ncommand terminated with exit code 7\r\n");
        assert_eq!(person.ended(), 7);
    });
}

/// What ends the client ends it in order: the terminal is given back, also to a signal and where the agent goes away.
#[test]
fn the_terminal_is_given_back_on_every_way_out() {
    served(Fake::new(&[web()]), |socket| {
        for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
            let mut person = Person::new(socket, &EXEC);
            person.says("30 100\r\n");
            assert!(person.is_raw());
            kill_process(Pid::from_child(&person.client), signal).unwrap();
            assert_eq!(person.ended(), code);
        }
        let mut person = Person::new(socket, &EXEC);
        person.says("30 100\r\n");
        person.types(b"\x10\x11");
        assert_eq!(person.ended(), 0, "left by Ctrl-P Ctrl-Q");
    });
    let mut person = served(Fake::new(&[web()]), |socket| {
        let mut person = Person::new(socket, &EXEC);
        person.says("30 100\r\n");
        person
    });
    person.says("error: the agent has gone away before the command was done");
    assert_eq!(person.ended(), 1);
}

/// Where nobody types there is no terminal either, as with kubectl.
#[test]
fn without_a_terminal_there_is_none() {
    served(Fake::new(&[web()]), |socket| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podlingd"));
        command.arg("--socket").arg(socket).args([
            "exec",
            "-it",
            "web",
            "-c",
            "server",
            "--",
            "sh",
            "-c",
            "test -t 1; echo $?",
        ]);
        let output = command.stdin(std::process::Stdio::null()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, "Unable to use a TTY - input is not a terminal or the right kind of file\n");
    });
}
