//! `attach` and `exec -it` from a terminal to a container that really runs, over the agent's own socket. Needs root.

mod node;

use node::{Node, pod};
use podling::console::attach::{Place, attach};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A client at a terminal: carries on a conversation, and gives the exit code. `lines`: what is typed, and what is heard then.
fn converse(socket: PathBuf, words: &[&str], lines: &[(&[u8], &str)]) -> i32 {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    tcsetwinsize(&master, Winsize { ws_row: 33, ws_col: 99, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let near = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let near = File::options().read(true).write(true).open(near).unwrap();
    let mut command = Command::new("setsid");
    command.args(["--ctty", env!("CARGO_BIN_EXE_podlingd"), "--socket"]).arg(socket).args(words);
    let copy = || near.try_clone().unwrap();
    let mut client = command.stdin(copy()).stdout(copy()).stderr(copy()).spawn().unwrap();
    drop((near, command));
    let mut master = File::from(master);
    for (typed, heard) in lines {
        master.write_all(typed).unwrap();
        let (mut text, mut bytes) = (String::new(), [0; 512]);
        while !text.contains(heard) {
            let count = master.read(&mut bytes).unwrap_or_else(|error| panic!("{error}: {heard:?} is not in {text:?}"));
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }
    client.wait().unwrap().code().expect("an exit code")
}

/// Runs a client on a thread of its own, beside the agent.
async fn beside<T: Send + 'static>(client: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, finished) = smol::channel::bounded(1);
    let thread = std::thread::spawn(move || {
        let result = client();
        let _ = done.send_blocking(());
        result
    });
    let _ = finished.recv().await;
    thread.join().expect("the client")
}

/// Somebody attaches, types, leaves, comes again, and ends the container by a word; its exit code is the client's.
#[test]
fn spec_104_attach_to_a_terminal() {
    let node = Node::new();
    let socket = node.run_dir().join("console.sock");
    let yaml = pod("web", "exec /bin/sh", "restartPolicy: Never", "stdin: true\ntty: true");
    node.run(&yaml, async move |board| {
        attach(&board.0, Place::default());
        board.running("web", "main").await;
        let (path, again) = (socket.clone(), socket.clone());
        let left = beside(move || {
            let talk: &[(&[u8], &str)] = &[
                (b"", "try pressing enter"),
                (b"echo $((20+22))\r", "42\r\n"),
                (b"busybox stty size\r", "33 99\r\n"),
                (b"\x10\x11", ""),
            ];
            converse(path, &["attach", "-it", "web"], talk)
        });
        assert_eq!(left.await, 0, "left by its keys");
        board.running("web", "main").await;
        let (on, exec) = (socket.clone(), socket);
        let executed = beside(move || {
            let talk: &[(&[u8], &str)] = &[(b"", "33 99\r\n"), (b"\r", "exit code 6\r\n")];
            converse(exec, &["exec", "-it", "web", "--", "sh", "-c", "busybox stty size; read a; exit 6"], talk)
        });
        assert_eq!(executed.await, 6);
        let code = beside(move || {
            let talk: &[(&[u8], &str)] = &[(b"", "try pressing enter"), (b"exit 3\r", "exit 3\r\n")];
            converse(again, &["attach", "-it", "web"], talk)
        });
        assert_eq!(code.await, 3);
        drop(on);
    });
}

/// A pipe as input: the end of it is the container's with stdinOnce, and the output comes back in its two streams.
#[test]
fn attach_with_a_pipe() {
    let node = Node::new();
    let socket = node.run_dir().join("console.sock");
    let script = "cat; echo over >&2; exit 4";
    let yaml = pod("web", script, "restartPolicy: Never", "stdin: true\nstdinOnce: true");
    let without = pod("mute", "exec sleep 1000", "", "");
    node.run(&format!("{yaml}{without}"), async move |board| {
        attach(&board.0, Place::default());
        board.running("web", "main").await;
        board.running("mute", "main").await;
        let client = move |words: &'static [&'static str], input: &'static [u8]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_podlingd"));
            command.arg("--socket").arg(&socket).args(words);
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(input).unwrap();
            let output = child.wait_with_output().unwrap();
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            (text(output.stdout), text(output.stderr), output.status.code())
        };
        let again = client.clone();
        let (out, err, code) = beside(move || client(&["attach", "-i", "web"], b"words\n")).await;
        assert_eq!((out.as_str(), err.as_str(), code), ("words\n", "over\n", Some(4)));
        let (_, err, code) = beside(move || {
            let ended = again(&["attach", "-i", "web"], b"");
            assert_eq!(ended.1, "Error from server (BadRequest): container \"main\" in pod \"web\" is not running\n");
            again(&["attach", "web", "-c", "nobody"], b"")
        })
        .await;
        assert_eq!((err.as_str(), code), ("error: container nobody is not valid for pod web\n", Some(1)));
    });
}
