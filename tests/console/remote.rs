//! The local socket: who may use it, what comes over it, and what does not.

use crate::fake::{Fake, web};
use podling::console::socket;
use podling::console::wire::{self, Kind};
use smol::LocalExecutor;
use smol::channel::bounded;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;

/// Serves a board on a socket while `clients` run on a thread of their own.
pub fn served<T: Send + 'static>(board: Rc<Fake>, clients: impl FnOnce(&Path) -> T + Send + 'static) -> T {
    let directory = tempfile::tempdir().unwrap();
    // The directory does not keep anybody out: the socket does.
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = directory.path().join(socket::NAME);
    let executor = Rc::new(LocalExecutor::new());
    let listener = socket::bind(&path).unwrap();
    let spawner = executor.clone();
    let (done, finished) = bounded(1);
    let thread = std::thread::spawn(move || {
        let result = clients(&path);
        done.send_blocking(()).unwrap();
        result
    });
    smol::block_on(executor.run(async {
        let serving = socket::serve(board, listener, |task| spawner.spawn(task).detach());
        smol::future::or(serving, async { finished.recv().await.unwrap() }).await;
    }));
    thread.join().unwrap()
}

fn send(stream: &mut UnixStream, kind: Kind, body: &[u8]) {
    let mut frame = Vec::new();
    wire::encode(kind, body, &mut frame);
    let _ = stream.write_all(&frame);
}

fn ask(path: &Path, words: &[&str]) -> UnixStream {
    let mut stream = UnixStream::connect(path).unwrap();
    let mut frame = Vec::new();
    wire::encode_argv(words, &mut frame).unwrap();
    // Who is refused may have been told so, and hung up on, before this.
    let _ = stream.write_all(&frame);
    stream
}

/// Reads to the end; what each kind of frame said. `stdin` is handed out piece by piece, as it is asked for.
fn hear(mut stream: UnixStream, mut stdin: &[u8]) -> (Vec<u8>, String, Option<u8>) {
    let (mut out, mut err, mut inbox) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = [0; 999];
    loop {
        while let Some((kind, body, length)) = wire::decode(&inbox).unwrap() {
            match kind {
                Kind::Out => out.extend_from_slice(body),
                Kind::Err => err.extend_from_slice(body),
                Kind::Exit => return (out, String::from_utf8(err).unwrap(), Some(body[0])),
                Kind::More if stdin.is_empty() => send(&mut stream, Kind::Eof, &[]),
                Kind::More => {
                    let (piece, rest) = stdin.split_at(stdin.len().min(wire::BODY));
                    send(&mut stream, Kind::Stdin, piece);
                    stdin = rest;
                }
                kind => panic!("{kind:?}"),
            }
            inbox.drain(..length);
        }
        match stream.read(&mut bytes).unwrap_or(0) {
            0 => return (out, String::from_utf8(err).unwrap(), None),
            count => inbox.extend_from_slice(&bytes[..count]),
        }
    }
}

#[test]
fn verbs_over_the_socket() {
    served(Fake::new(&[web()]), |path| {
        let (out, err, code) = hear(ask(path, &["get", "pods", "-o", "name"]), &[]);
        assert_eq!((out.as_slice(), err.as_str(), code), (&b"pod/web\n"[..], "", Some(0)));
        let (_, err, code) = hear(ask(path, &["get", "pods", "nope"]), &[]);
        assert_eq!((err.as_str(), code), ("Error from server (NotFound): pods \"nope\" not found\n", Some(1)));
        let (_, err, code) = hear(ask(path, &["gett"]), &[]);
        assert_eq!((err.as_str(), code), ("error: unknown command \"gett\"; did you mean \"get\"?\n", Some(1)));
    });
}

/// Spec 41: standard input reaches the program whole, and so does what it makes of it come back; the exit code as well.
#[test]
fn spec_41_exec_with_input() {
    served(Fake::new(&[web()]), |path| {
        let input: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        let (out, _, code) = hear(ask(path, &["exec", "web", "-c", "server", "-i", "--", "cat"]), &input);
        assert!(out == input, "{} of {} bytes came back", out.len(), input.len());
        assert_eq!(code, Some(0));
        let exit = ["exec", "web", "-c", "server", "-i", "--", "sh", "-c", "read a; exit $a"];
        assert_eq!(hear(ask(path, &exit), b"9\n").2, Some(9));
        // A program that does not read its input does not keep anybody from ending.
        let (_, _, code) = hear(ask(path, &["exec", "web", "-c", "server", "-i", "--", "true"]), &input);
        assert_eq!(code, Some(0));
    });
}

/// A client that interrupts, and one that just goes away: what they had started is dropped.
#[test]
fn interrupts_and_hang_ups() {
    let board = Fake::new(&[web()]);
    let (output, running) = (board.output.clone(), board.running.clone());
    running.set(true);
    served(board, |path| {
        let mut stream = ask(path, &["logs", "web", "-c", "server", "-f"]);
        send(&mut stream, Kind::Interrupt, &[]);
        assert_eq!(hear(stream, &[]).2, Some(130));
        let marker = tempfile::NamedTempFile::new().unwrap();
        let line = format!("exec 3<{}; echo up; exec sleep 1000", marker.path().display());
        let mut stream = ask(path, &["exec", "web", "-c", "server", "--", "sh", "-c", &line]);
        let mut up = [0; wire::HEAD + 3];
        stream.read_exact(&mut up).unwrap();
        drop(stream);
        let own = std::process::id();
        let holds = || {
            let name = |entry: &std::fs::DirEntry| entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            let others =
                std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| name(entry).is_some_and(|pid| pid != own));
            let mut files =
                others.filter_map(|entry| std::fs::read_dir(entry.path().join("fd")).ok()).flatten().flatten();
            files.any(|file| std::fs::read_link(file.path()).is_ok_and(|to| to == marker.path()))
        };
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
        while holds() {
            assert!(std::time::Instant::now() < deadline, "the program goes on without its client");
            std::thread::yield_now();
        }
    });
    drop(output);
}

/// A connection made by a thread that has become nobody.
fn as_nobody(path: &Path) -> std::io::Result<UnixStream> {
    let path = path.to_owned();
    let nobody = std::thread::spawn(move || {
        let (uid, gid) = (rustix::process::Uid::from_raw(65534), rustix::process::Gid::from_raw(65534));
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
        UnixStream::connect(path)
    });
    nobody.join().unwrap()
}

/// Only root and the agent's own user are served: the socket is for its owner only, and whoever comes in all the same is told.
#[test]
fn others_are_refused() {
    assert!(rustix::process::geteuid().is_root(), "this test asks as another user, so it must be run by root");
    served(Fake::new(&[web()]), |path| {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            as_nobody(path).unwrap_err().kind(),
            std::io::ErrorKind::PermissionDenied,
            "the socket itself keeps others out"
        );
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).unwrap();
        let mut stream = as_nobody(path).unwrap();
        send(&mut stream, Kind::Argv, b"get\0pods\0");
        let (out, told, code) = hear(stream, &[]);
        assert_eq!((out.len(), code), (0, Some(1)));
        assert!(told.contains("error: user 65534 may not use the console: only root and user 0 may"), "{told:?}");
    });
}

/// Failure F11: frames of nonsense are refused, each with a word, and the next client is served.
#[test]
fn f11_nonsense() {
    served(Fake::new(&[web()]), |path| {
        let frames: [&[u8]; 7] = [
            b"GET / HTTP/1.1\r\n\r\n",
            &[Kind::Stdin as u8, 0, 1, b'x'],
            &[Kind::Out as u8, 0, 1, b'x'],
            &[Kind::Argv as u8, 0xff, 0xff],
            &[Kind::Argv as u8, 0, 2, 0xff, 0],
            &[Kind::Argv as u8, 0, 3, b'g', b'e', b't'],
            &[Kind::Interrupt as u8, 0, 0],
        ];
        for frame in frames {
            let mut stream = UnixStream::connect(path).unwrap();
            stream.write_all(frame).unwrap();
            let (_, err, code) = hear(stream, &[]);
            assert!(err.starts_with("error: ") && code == Some(1), "{frame:?}: {err}");
        }
        // Standard input that nobody has asked for is refused as well.
        let mut stream = ask(path, &["logs", "web", "-c", "server", "-f"]);
        send(&mut stream, Kind::Stdin, b"x");
        hear(stream, &[]);
        assert_eq!(hear(ask(path, &["version"]), &[]).2, Some(0));
    });
}

/// Failure F12: sixteen sessions at once are served, the next is told to wait its turn, and gets it.
#[test]
fn f12_sessions_are_counted() {
    let board = Fake::new(&[web()]);
    board.running.set(true);
    served(board, |path| {
        let watching: Vec<UnixStream> = (0..16)
            .map(|_| {
                let mut stream = ask(path, &["get", "pods", "-w"]);
                stream.read_exact(&mut [0; wire::HEAD]).unwrap();
                stream
            })
            .collect();
        let (_, err, code) = hear(ask(path, &["version"]), &[]);
        assert_eq!((err.as_str(), code), ("error: there are 16 sessions already: end one first\n", Some(1)));
        drop(watching);
        while hear(ask(path, &["version"]), &[]).2 != Some(0) {}
    });
}

/// An agent that died leaves its socket behind; the next one takes the place.
#[test]
fn a_stale_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(socket::NAME);
    drop(socket::bind(&path).unwrap());
    assert!(path.exists());
    drop(socket::bind(&path).unwrap());
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    assert!(socket::bind(&path).is_err(), "a file that is no socket stays");
}

/// `podlingd WORDS`, as it would be run on the board whose run directory holds that socket.
fn podlingd(path: &Path, words: &[&str], stdin: &[u8]) -> (Vec<u8>, String, Option<i32>) {
    let there = "mount -t tmpfs none /run && mkdir /run/podling && mount --bind \"$0\" /run/podling && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", there]).arg(path.parent().unwrap()).arg(env!("CARGO_BIN_EXE_podlingd")).args(words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // A program that ends without reading closes the pipe.
    let feeder = std::thread::spawn(move || drop(pipe.write_all(&stdin)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    (output.stdout, String::from_utf8(output.stderr).unwrap(), output.status.code())
}

/// Spec 104: the same verbs as a command line on the board, with its outputs, its input and its exit code.
#[test]
fn spec_104_command_line() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test mounts in a namespace of its own, so it must be run by root"
    );
    served(Fake::new(&[web()]), |path| {
        let (out, err, code) = podlingd(path, &["get", "pods", "-o", "name"], b"");
        assert_eq!((out.as_slice(), err.as_str(), code), (&b"pod/web\n"[..], "", Some(0)));
        let (_, err, code) = podlingd(path, &["get", "pods", "nope"], b"");
        assert_eq!((err.as_str(), code), ("Error from server (NotFound): pods \"nope\" not found\n", Some(1)));
        let (_, err, code) = podlingd(path, &["gett"], b"");
        assert_eq!((err.as_str(), code), ("error: unknown command \"gett\"; did you mean \"get\"?\n", Some(1)));
        let input: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        let (out, err, code) = podlingd(path, &["exec", "web", "-c", "server", "-i", "--", "cat"], &input);
        assert!(out == input && code == Some(0), "{} bytes, {err}", out.len());
        let (_, err, code) = podlingd(path, &["exec", "web", "-c", "server", "--", "sh", "-c", "exit 42"], b"");
        assert_eq!((err.as_str(), code), ("command terminated with exit code 42\n", Some(42)));
        std::fs::remove_file(path).unwrap();
        let (_, err, code) = podlingd(path, &["get", "pods"], b"");
        assert!(err.starts_with("error: no agent listens at /run/podling/console.sock") && code == Some(1), "{err}");
        assert_eq!(podlingd(path, &["help"], b"").2, Some(0));
    });
}
