//! The input and the terminals of containers, on a real pod-init: who is handed them, and what outlives whom. Run as root.
#![allow(clippy::result_large_err, reason = "as in the face that is tested")]

mod pod;

use pod::{Ordered, Pod, Sandbox, list, until};
use podling::manifest::List;
use podling::manifest::status::Exit;
use podling::manifest::terminal::{Size, Stdin};
use podling::pod::wire::{Exec, Failure, Order, Report, Step};
use podling::sys::tty;
use rustix::fd::OwnedFd;
use rustix::io::{Errno, read, write};

/// Reads a terminal until it has said this.
fn hear(terminal: &OwnedFd, wanted: &str) -> String {
    let (mut heard, mut bytes) = (String::new(), [0; 256]);
    until(wanted, || {
        match read(terminal, &mut bytes) {
            Ok(count) => heard.push_str(&String::from_utf8_lossy(&bytes[..count])),
            Err(Errno::AGAIN) => {}
            Err(errno) => panic!("{errno} after {heard:?}"),
        }
        heard.contains(wanted)
    });
    heard
}

fn say(end: &OwnedFd, text: &str) {
    assert_eq!(write(end, text.as_bytes()), Ok(text.len()));
}

impl Pod {
    /// Attaches to the newest instance of a container.
    fn attach(&mut self, container: u8) -> Result<OwnedFd, Failure> {
        let instance = self.instances[usize::from(container)];
        self.order(&Order::Attach { id: 3, container, instance }, &[]);
        self.opened(3)
    }

    /// Executes a program on a terminal of the container's, and gives that; its end is that of execution 2.
    fn exec_terminal(&mut self, container: u8, argv: &[&str], size: Size) -> Result<OwnedFd, Failure> {
        let argv = list(argv);
        let terminal = Some(size);
        let exec = Exec { id: 2, container, argv: List::from_bytes(&argv), cgroups: 0, cgroup_v2: false, terminal };
        self.order(&Order::Exec(exec), &[]);
        self.opened(2)
    }

    fn opened(&mut self, wanted: u32) -> Result<OwnedFd, Failure> {
        match self.report_like(
            |report| matches!(report, Report::Opened { id } | Report::ExecEnded { id, .. } if *id == wanted),
        ) {
            Report::Opened { .. } => Ok(self.beside.pop().expect("a descriptor beside it")),
            Report::ExecEnded { result, .. } => Err(result.expect_err("nothing was opened")),
            _ => unreachable!(),
        }
    }
}

/// What `stdin: true` keeps open is pod-init's: a new agent attaches as the one before it did.
#[test]
fn failure_f1_input_is_kept_open_for_whoever_attaches_next() {
    let mut pod = Pod::new(&Sandbox::default());
    pod.start(0, &Ordered { stdin: Stdin::Kept, ..Ordered::shell("cat; echo over") });
    let input = pod.attach(0).expect("attach");
    say(&input, "first\n");
    pod.wait_for_output(0, "first");
    drop(input);
    pod.reconnect();
    let (one, other) = (pod.attach(0).expect("attach"), pod.attach(0).expect("attach beside it"));
    say(&one, "second\n");
    pod.wait_for_output(0, "second");
    say(&other, "third\n");
    assert!(!pod.wait_for_output(0, "third").contains("over"));
}

#[test]
fn stdin_once_ends_with_the_first_attach() {
    let mut pod = Pod::new(&Sandbox::default());
    pod.start(0, &Ordered { stdin: Stdin::Once, ..Ordered::shell("cat; echo over; exec sleep 1000") });
    let input = pod.attach(0).expect("attach");
    assert_eq!(pod.attach(0).map(drop).map_err(|failure| failure.step), Err(Step::Attach), "while the first is there");
    say(&input, "words\n");
    pod.wait_for_output(0, "words");
    drop(input);
    pod.wait_for_output(0, "over");
    assert_eq!(pod.attach(0).map(drop).map_err(|failure| failure.step), Err(Step::Attach));
    // The next instance has an input of its own.
    pod.signal(0, 9);
    pod.exited(0);
    pod.start(0, &Ordered { stdin: Stdin::Once, ..Ordered::shell("cat; echo again") });
    drop(pod.attach(0).expect("attach"));
    assert!(pod.exited(0).success());
}

#[test]
fn without_stdin_a_container_reads_the_end_of_it() {
    let mut pod = Pod::new(&Sandbox::default());
    assert_eq!(pod.shell(0, "cat; echo end"), "end\n");
    pod.start(0, &Ordered::new(&["sleep", "1000"]));
    let refused = pod.attach(0).expect_err("it has no input");
    assert!(refused.to_string().starts_with("attaching to standard input"), "{refused}");
    assert_eq!(pod.attach(1).expect_err("it does not run").step, Step::Attach);
}

/// `tty: true`: one terminal for all three streams, /dev/console and /dev/tty; its output is in the log to its last word.
#[test]
fn a_terminal_is_the_containers_own() {
    let mut pod = Pod::new(&Sandbox::default());
    let script = "test -t 0 && test -t 1 && test -t 2 && echo all; readlink /proc/self/fd/0; echo tty > /dev/tty
        echo console > /dev/console; busybox stty size; seq 1 9999; echo last";
    let terminal = || Ordered { tty: true, uid: 1000, gid: 1000, ..Ordered::shell(script) };
    let (exit, said) = pod.run(0, &terminal());
    assert!(exit.success(), "{said}");
    assert!(said.starts_with("all\r\n/dev/pts/0\r\ntty\r\nconsole\r\n24 80\r\n1\r\n"), "{}", &said[..200]);
    assert!(said.ends_with("9999\r\nlast\r\n"), "{}", &said[said.len() - 200..]);
    assert!(pod.run(0, &terminal()).0.success(), "a second time");
}

/// Whoever attaches types into it, says how large it is, and interrupts by its key; what is said goes to the log.
#[test]
fn a_terminal_is_typed_into_and_resized() {
    let mut pod = Pod::new(&Sandbox::default());
    // A shell that waits in `read` hears a signal late which comes just before, so it is elsewhere when they come.
    let script = "trap 'busybox stty size; resized=1' WINCH; trap 'echo interrupted; hit=1' INT; echo up
        read line; echo \"<$line>\"; until [ $resized ]; do sleep 0.02; done; until [ $hit ]; do sleep 0.02; done
        while :; do read line && echo \"<$line>\"; done";
    pod.start(0, &Ordered { tty: true, stdin: Stdin::Kept, ..Ordered::shell(script) });
    pod.wait_for_output(0, "up");
    let terminal = pod.attach(0).expect("attach");
    say(&terminal, "hello\n");
    pod.wait_for_output(0, "<hello>");
    tty::resize(&terminal, Size { rows: 40, columns: 132 }).expect("resize");
    pod.wait_for_output(0, "40 132");
    say(&terminal, "\x03");
    pod.wait_for_output(0, "interrupted");
    drop(terminal);
    pod.reconnect();
    say(&pod.attach(0).expect("attach again"), "again\n");
    pod.wait_for_output(0, "<again>");
}

/// A container that is put in beside another sees its processes, and ends with it (spec 37).
#[test]
fn spec_37_a_container_in_the_pid_namespace_of_another() {
    let mut pod = Pod::new(&Sandbox::default());
    let beside = |argv: &[&'static str]| Ordered { target: Some(0), ..Ordered::new(argv) };
    assert_eq!(pod.start_failing(1, &beside(&["ps"])).step, Step::Namespace, "there is nothing to be beside");
    pod.start(0, &Ordered::shell("echo secret > /tmp/f; exec sleep 1000"));
    pod.wait_for_processes(0, |ps| ps.contains("sleep 1000"));
    let (exit, seen) =
        pod.run(1, &beside(&["sh", "-c", "echo $$; ps; cat /proc/1/root/tmp/f; readlink /proc/1/ns/pid"]));
    assert!(exit.success() && seen.contains("sleep 1000") && seen.contains("secret"), "{exit:?} {seen}");
    assert_ne!(seen.lines().next(), Some("1"));
    pod.start(1, &beside(&["sleep", "1001"]));
    pod.signal(0, 9);
    assert_eq!((pod.exited(0), pod.exited(1)), (Exit::by_signal(9), Exit::by_signal(9)));
    // Whatever comes next has a namespace of its own again.
    assert_eq!(pod.shell(2, "echo $$"), "1\n");
}

/// A program gets a terminal of its own in any container, which is gone with whoever holds it.
#[test]
fn a_program_is_executed_on_a_terminal() {
    let mut pod = Pod::new(&Sandbox::default());
    pod.start(0, &Ordered { uid: 1000, gid: 1000, ..Ordered::new(&["sleep", "1000"]) });
    let size = Size { rows: 11, columns: 22 };
    let terminal =
        pod.exec_terminal(0, &["sh", "-c", "busybox stty size; tty; echo to tty > /dev/tty; read a; exit $a"], size);
    let terminal = terminal.expect("a terminal");
    let said = hear(&terminal, "to tty\r\n");
    assert!(said.starts_with("11 22\r\n"), "{said}");
    say(&terminal, "9\n");
    assert_eq!(pod.exec_ended(2), Ok(Exit { code: 9, signal: 0, oom: false }));

    let terminal = pod.exec_terminal(0, &["sh", "-c", "echo up; exec sleep 1001"], size).expect("a terminal");
    hear(&terminal, "up");
    say(&terminal, "\x03");
    assert_eq!(pod.exec_ended(2), Ok(Exit::by_signal(2)));

    let terminal = pod.exec_terminal(0, &["sh", "-c", "echo up; exec sleep 1002"], size).expect("a terminal");
    hear(&terminal, "up");
    drop(terminal);
    assert_eq!(pod.exec_ended(2), Ok(Exit::by_signal(1)), "the line has hung up");
    assert_eq!(pod.exec_terminal(1, &["true"], size).expect_err("it does not run").step, Step::Order);
}
