//! A board under QEMU: its serial console to read and type on, one of its ports on loopback, and an end that always comes.
//!
//! QEMU runs under `timeout`, so it ends even where this process is killed; every wait has a limit of its own and, when that
//! passes, shows the end of what the console said. The whole of it is in target/qemu/NAME.log.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// The whole life of one guest, at most.
const LIFE: Duration = Duration::from_secs(900);
/// How often a wait looks whether QEMU is still there.
const GLANCE: Duration = Duration::from_millis(200);

/// A machine to be started.
pub struct Machine {
    /// Names its log.
    pub name: &'static str,
    /// What is emulated.
    pub hardware: Hardware,
    /// What its console shows when it takes a command.
    pub prompt: &'static str,
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
    pub cmdline: String,
    pub memory_mib: u32,
    /// Written to: what the guest saves is there for the next start.
    pub disk: Option<PathBuf>,
    /// A port of the guest to reach from here.
    pub port: Option<u16>,
    /// Whether a reboot of the guest starts it anew, or ends QEMU.
    pub reboots: bool,
    /// Further arguments.
    pub extra: Vec<String>,
}

/// A machine of QEMU's.
pub enum Hardware {
    /// Its own, with virtio.
    Virt,
    /// A Raspberry Pi 3 with 1 GiB, whatever is said of its memory, and its disk in the slot for SD cards.
    Raspi3b {
        /// Its device tree.
        dtb: PathBuf,
    },
}

/// What the console said so far, filled by a thread of its own so that the guest never waits for a reader.
#[derive(Default)]
struct Console {
    said: Mutex<Said>,
    more: Condvar,
}

#[derive(Default)]
struct Said {
    bytes: Vec<u8>,
    /// Up to here it has been expected.
    read: usize,
    closed: bool,
}

/// A machine that runs. Dropping it ends it.
pub struct Guest {
    name: &'static str,
    pub prompt: &'static str,
    qemu: Child,
    line: UnixStream,
    console: Arc<Console>,
    port: Option<u16>,
}

impl Machine {
    /// Starts it. The guest runs from the first instruction with its console connected.
    pub fn start(&self) -> Guest {
        let dir = directory();
        let socket = dir.join(format!("{}.socket", self.name));
        let _ = fs::remove_file(&socket);
        // QEMU connects to us, so there is nothing to wait for and no output to miss.
        let listener =
            UnixListener::bind(&socket).unwrap_or_else(|e| panic!("cannot listen on {}: {e}", socket.display()));
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let port = self.port.map(|_| free_port());

        let mut command = Command::new("timeout");
        command.args(["--kill-after=2", &LIFE.as_secs().to_string(), "qemu-system-aarch64"]);
        command.args(["-accel", "tcg", "-nodefaults", "-display", "none", "-monitor", "none"]);
        command.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&self.initramfs).args(["-append", &self.cmdline]);
        let log = dir.join(format!("{}.log", self.name));
        command.arg("-chardev").arg(format!(
            "socket,id=console,path={},server=off,logfile={}",
            socket.display(),
            log.display()
        ));
        if !self.reboots {
            command.arg("-no-reboot");
        }
        let disk =
            |interface: &str| self.disk.as_ref().map(|disk| format!("{interface},format=raw,file={}", disk.display()));
        match &self.hardware {
            Hardware::Virt => {
                command.args(["-M", "virt", "-cpu", "cortex-a53", "-m", &self.memory_mib.to_string()]);
                command.args(["-serial", "chardev:console"]);
                if let Some(drive) = disk("if=none,id=disk") {
                    command.args(["-drive", &drive, "-device", "virtio-blk-device,drive=disk"]);
                }
                let forward = match (self.port, port) {
                    (Some(guest), Some(here)) => format!(",hostfwd=tcp:127.0.0.1:{here}-10.0.2.15:{guest}"),
                    _ => String::new(),
                };
                command.args(["-netdev", &format!("user,id=net,restrict=on{forward}")]);
                command.args(["-device", "virtio-net-device,netdev=net"]);
            }
            Hardware::Raspi3b { dtb } => {
                // The console is the second of its serial lines.
                command.args(["-M", "raspi3b", "-serial", "null", "-serial", "chardev:console", "-dtb"]).arg(dtb);
                if let Some(drive) = disk("if=sd,index=0") {
                    command.args(["-drive", &drive]);
                }
            }
        }
        command.args(&self.extra);
        let errors = fs::File::create(dir.join(format!("{}.err", self.name))).expect("target/ can be written");
        let mut qemu = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .expect("timeout and qemu-system-aarch64 are installed (scripts/setup kernel)");

        let line = loop {
            match listener.accept() {
                Ok((line, _)) => break line,
                Err(e) if e.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(5)),
                Err(e) => panic!("cannot take QEMU's connection: {e}"),
            }
            if let Ok(Some(status)) = qemu.try_wait() {
                let why = fs::read_to_string(dir.join(format!("{}.err", self.name))).unwrap_or_default();
                panic!("{}: QEMU ended before the guest started ({status}): {why}", self.name);
            }
        };
        line.set_nonblocking(false).expect("a socket can be made blocking");
        let console = Arc::new(Console::default());
        let (mut reader, filled) = (line.try_clone().expect("a socket can be duplicated"), Arc::clone(&console));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let n = reader.read(&mut buffer).unwrap_or(0);
                let mut said = filled.said.lock().unwrap();
                said.bytes.extend_from_slice(&buffer[..n]);
                said.closed = n == 0;
                filled.more.notify_all();
                if n == 0 {
                    return;
                }
            }
        });
        Guest { name: self.name, prompt: self.prompt, qemu, line, console, port }
    }
}

impl Guest {
    /// Waits until the console says one of `wanted` in what was not yet expected; what comes after it stays unread.
    ///
    /// Gives which one it was, and the text up to its end.
    pub fn expect_any(&mut self, wanted: &[&str], within: Duration) -> (usize, String) {
        let limit = Instant::now() + within;
        let mut said = self.console.said.lock().unwrap();
        loop {
            let unread = &said.bytes[said.read..];
            let found = wanted
                .iter()
                .enumerate()
                .filter_map(|(n, text)| find(unread, text.as_bytes()).map(|at| (at + text.len(), n)))
                .min();
            if let Some((length, n)) = found {
                let text = String::from_utf8_lossy(&unread[..length]).into_owned();
                said.read += length;
                return (n, text);
            }
            let left = limit.saturating_duration_since(Instant::now());
            if left.is_zero() || said.closed {
                let why = if said.closed { "QEMU ended" } else { "the time was up" };
                let end = tail(&said.bytes);
                drop(said);
                let errors = fs::read_to_string(directory().join(format!("{}.err", self.name))).unwrap_or_default();
                panic!("{}: waited {within:?} for {wanted:?}, but {why}. {errors}The console's end:\n{end}", self.name);
            }
            said = self.console.more.wait_timeout(said, left.min(GLANCE)).unwrap().0;
        }
    }

    /// Waits until the console says `wanted`; gives the text up to its end.
    pub fn expect(&mut self, wanted: &str, within: Duration) -> String {
        self.expect_any(&[wanted], within).1
    }

    /// Types a line.
    pub fn send_line(&mut self, text: &str) {
        self.send(format!("{text}\r").as_bytes());
    }

    /// Types bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.line.write_all(bytes).unwrap_or_else(|e| panic!("{}: cannot type on the console: {e}", self.name));
    }

    /// Types a command and gives what it answers, up to the next prompt, without the echo.
    ///
    /// What the console said before is left behind: of itself it says things, and then prompts again.
    pub fn command(&mut self, text: &str, prompt: &str, within: Duration) -> String {
        {
            let mut said = self.console.said.lock().unwrap();
            said.read = said.bytes.len();
        }
        self.send_line(text);
        self.expect(text, within);
        self.expect("\n", within);
        let answer = self.expect(prompt, within);
        answer.strip_suffix(prompt).unwrap_or(&answer).replace('\r', "")
    }

    /// Everything the console said since the start.
    pub fn transcript(&self) -> String {
        String::from_utf8_lossy(&self.console.said.lock().unwrap().bytes).into_owned()
    }

    /// Asks the guest's port for a page; the answer with its header, or why there was none.
    pub fn fetch(&self, path: &str) -> std::io::Result<String> {
        let port = self.port.expect("the machine was started with a port");
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: board\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Waits until the guest has switched itself off.
    pub fn wait_off(mut self, within: Duration) -> ExitStatus {
        let end = Instant::now() + within;
        let console = Arc::clone(&self.console);
        let mut said = console.said.lock().unwrap();
        // QEMU closes the line when it ends.
        while !said.closed {
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{}: still on after {within:?}. The console's end:\n{}",
                self.name,
                tail(&said.bytes)
            );
            said = console.more.wait_timeout(said, left).unwrap().0;
        }
        drop(said);
        self.qemu.wait().expect("QEMU can be waited for")
    }

    /// Cuts the power.
    pub fn cut_power(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Ok(None) = self.qemu.try_wait() {
            let pid = rustix::process::Pid::from_child(&self.qemu);
            // `timeout` passes it on to QEMU, which ends at once.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = self.qemu.wait();
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where the harness keeps its files: target/qemu.
pub fn directory() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/qemu");
    fs::create_dir_all(&dir).expect("target/ can be written");
    dir
}

/// Runs a command that must succeed; gives what it prints.
pub fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    if !output.status.success() {
        let mut text = String::new();
        let _ = write!(
            text,
            "{command:?} failed ({})\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        panic!("{text}");
    }
    String::from_utf8_lossy(&output.stdout).trim().into()
}

fn free_port() -> u16 {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    probe.local_addr().expect("a listener has an address").port()
}

fn tail(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(3000)..]).into_owned()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
