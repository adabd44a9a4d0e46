//! Registries on loopback: Debian's docker-registry, a line to it that breaks, and one that lies.

use super::{sha256, tool};
use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const GLANCE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);

/// What `htpasswd -B` makes of the name `user` and the password `open sesame`.
const LOGIN: &str = "user:$2a$04$FGIGdGtzPpu8cu4bFJE3he1K8r1hgtAMJWvA99lranOMoFsRFYtUi\n";

/// A registry that runs. Dropping it ends it.
pub struct Registry {
    process: Child,
    pub port: u16,
    /// Where it keeps what was pushed, and its keys.
    pub directory: PathBuf,
}

impl Registry {
    /// One without TLS for everybody.
    pub fn start(directory: &Path) -> Registry {
        Registry::with(directory, "", "")
    }

    /// One with TLS, for `user` only. Its certificate is `directory/certs/ca.crt`.
    pub fn guarded(directory: &Path) -> Registry {
        let certs = directory.join("certs");
        fs::create_dir_all(&certs).unwrap();
        let at = |name: &str| certs.join(name).display().to_string();
        let names = ["subjectAltName=IP:127.0.0.1", "basicConstraints=critical,CA:FALSE"];
        let subject = ["-subj", "/CN=registry", "-addext", names[0], "-addext", names[1]];
        let (key, certificate) = (directory.join("key.pem").display().to_string(), at("ca.crt"));
        let made =
            ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", &key, "-out", &certificate];
        tool("openssl", &[&made[..], &subject[..]].concat());
        let names = directory.join("htpasswd");
        fs::write(&names, LOGIN).unwrap();
        let auth = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", names.display());
        Registry::with(directory, &format!(", tls: {{certificate: {certificate}, key: {key}}}"), &auth)
    }

    fn with(directory: &Path, http: &str, more: &str) -> Registry {
        let end = Instant::now() + PATIENCE;
        loop {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let config = format!(
                "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
                 http: {{addr: \"127.0.0.1:{port}\"{http}}}\n{more}",
                directory.join("storage").display()
            );
            let file = directory.join("config.yml");
            fs::write(&file, config).unwrap();
            let mut process = Command::new(cache().join("registry/usr/bin/docker-registry"))
                .args(["serve".as_ref(), file.as_os_str()])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("docker-registry: scripts/setup host fetches it");
            while process.try_wait().unwrap().is_none() {
                if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                    return Registry { process, port, directory: directory.into() };
                }
                assert!(Instant::now() < end, "the registry does not come");
                thread::sleep(GLANCE);
            }
            // Somebody else took the port meanwhile.
            assert!(Instant::now() < end, "the registry does not start");
        }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Pushes what a layout calls `tag`, for all its platforms, as `name`.
    pub fn push(&self, layout: &Path, tag: &str, name: &str, more: &[&str]) {
        let from = format!("oci:{}:{tag}", layout.display());
        let to = format!("docker://{}/{name}", self.host());
        tool("skopeo", &[&["copy", "--quiet", "--all", "--preserve-digests"], more, &[&from, &to]].concat());
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME")).join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from).join("podling")
}

/// A line to a registry. It ends with the process.
pub struct Line {
    pub port: u16,
    /// Bytes that one connection brings before it breaks.
    pub each: Arc<AtomicUsize>,
    /// Bytes that all of them bring; then no connection says anything.
    pub all: Arc<AtomicUsize>,
    /// What was asked for.
    pub asked: Arc<Mutex<Vec<u8>>>,
}

impl Line {
    pub fn to(port: u16, each: usize, all: usize) -> Line {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let line = Line {
            port: listener.local_addr().unwrap().port(),
            each: Arc::new(each.into()),
            all: Arc::new(all.into()),
            asked: Arc::default(),
        };
        let (each, all, asked) = (line.each.clone(), line.all.clone(), line.asked.clone());
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let far = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
                let (mut near_in, mut far_out) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                let asked = asked.clone();
                thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(n @ 1..) = near_in.read(&mut buffer) {
                        asked.lock().unwrap().extend_from_slice(&buffer[..n]);
                        if far_out.write_all(&buffer[..n]).is_err() {
                            break;
                        }
                    }
                    let _ = far_out.shutdown(Shutdown::Both);
                });
                let (left, all) = (each.load(Ordering::Relaxed), all.clone());
                thread::spawn(move || carry(far, near, left, &all));
            }
        });
        line
    }
}

/// Brings at most `left` bytes, and no more than `all` still has.
fn carry(mut from: TcpStream, mut to: TcpStream, mut left: usize, all: &AtomicUsize) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        let budget = all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |all| Some(all.saturating_sub(n))).unwrap();
        let n = n.min(left).min(budget);
        left -= n;
        if n == 0 || to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// A registry that answers what it is told to, whatever its digest. It ends with the process.
pub struct Liar {
    pub port: u16,
    answers: Arc<Mutex<HashMap<String, Vec<u8>>>>,
}

impl Liar {
    pub fn start() -> Liar {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let liar = Liar { port: listener.local_addr().unwrap().port(), answers: Arc::default() };
        let answers = liar.answers.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answers = answers.clone();
                thread::spawn(move || answer(stream, &answers));
            }
        });
        liar
    }

    /// What it says is the blob of that digest.
    pub fn blob(&self, digest: &str, bytes: &[u8]) {
        self.says(&format!("/v2/app/blobs/{digest}"), bytes);
    }

    /// What it says is the manifest of that tag or digest.
    pub fn manifest(&self, name: &str, bytes: &[u8]) {
        self.says(&format!("/v2/app/manifests/{name}"), bytes);
    }

    fn says(&self, path: &str, bytes: &[u8]) {
        self.answers.lock().unwrap().insert(path.into(), bytes.into());
    }
}

fn answer(mut stream: TcpStream, answers: &Mutex<HashMap<String, Vec<u8>>>) {
    let mut request = vec![];
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let Ok(n @ 1..) = stream.read(&mut buffer) else { return };
        request.extend_from_slice(&buffer[..n]);
    }
    let request = String::from_utf8_lossy(&request);
    let path = request.split(' ').nth(1).unwrap_or_default();
    let known = answers.lock().unwrap().get(path).cloned();
    let (status, body) = match known {
        Some(body) => ("200 OK", body),
        None if path == "/v2/" => ("200 OK", vec![]),
        None => ("404 Not Found", br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#.to_vec()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

/// Bytes that no compression makes shorter.
pub fn noise(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 64);
    while bytes.len() < length {
        bytes.extend_from_slice(sha256(&bytes.len().to_le_bytes()).as_bytes());
    }
    bytes.truncate(length);
    bytes
}
