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

/// A container is put into a pod with somebody at its terminal, and is shown as what it is.
#[test]
fn spec_37_debug_at_a_terminal() {
    let node = Node::new();
    let socket = node.run_dir().join("console.sock");
    node.run(&pod("web", "exec sleep 1000", "", ""), async move |board| {
        attach(&board.0, Place::default());
        board.running("web", "main").await;
        let ask = |words: &'static [&'static str]| {
            let socket = socket.clone();
            beside(move || {
                let mut command = Command::new(env!("CARGO_BIN_EXE_podlingd"));
                let output = command.arg("--socket").arg(socket).args(words).stdin(Stdio::null()).output().unwrap();
                let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
                (text(output.stdout), text(output.stderr), output.status.code())
            })
        };
        let path = socket.clone();
        let code = beside(move || {
            let talk: &[(&[u8], &str)] = &[
                (b"", "Targeting container \"main\".\r\n"),
                (b"", "try pressing enter"),
                (b"busybox ps; echo $((20+22))\r", "42\r\n"),
                (b"exit 5\r", "exit 5\r\n"),
            ];
            let words = ["debug", "-it", "web", "--image=busybox", "-c", "look", "--target=main", "--", "sh"];
            converse(path, &words, talk)
        });
        assert_eq!(code.await, 5);
        let (said, _, _) = ask(&["logs", "web", "-c", "look"]).await;
        assert!(said.contains("sleep 1000"), "it saw the other's processes: {said}");
        let (told, _, _) = ask(&["describe", "pod", "web"]).await;
        let own = told.split("Ephemeral Containers:").nth(1).unwrap_or_else(|| panic!("{told}"));
        assert!(own.contains("look:") && own.contains("Exit Code:    5"), "{own}");
        let (object, _, _) = ask(&["get", "pod", "web", "-o", "json"]).await;
        let object: serde_json::Value = serde_json::from_str(&object).unwrap();
        let it = &object["spec"]["ephemeralContainers"][0];
        assert_eq!(
            (&it["name"], &it["targetContainerName"], &it["tty"]),
            (&"look".into(), &"main".into(), &true.into())
        );
        assert_eq!(object["status"]["ephemeralContainerStatuses"][0]["state"]["terminated"]["exitCode"], 5);
        assert_eq!(object["status"]["containerStatuses"].as_array().unwrap().len(), 1);
        let (table, _, _) = ask(&["get", "pods"]).await;
        assert!(table.contains("1/1     Running   0 "), "{table}");
        // A program that is not there is told of at once, and a container without anybody at it just runs.
        let (_, why, code) = ask(&["debug", "-i", "web", "--image=busybox", "-c", "nowhere", "--", "/no/such"]).await;
        assert!(
            why.starts_with("error: container nowhere: executing /no/such: No such file") && code == Some(1),
            "{why}"
        );
        let (_, said, code) = ask(&["debug", "web", "--image=busybox", "--", "sleep", "1000"]).await;
        assert!(said.starts_with("Defaulting debug container name to debugger-") && code == Some(0), "{said}");
    });
}
