//! Probes over HTTPS against a real server of TLS: openssl's. Needs root.

mod node;

use node::{Board, Node, pod};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// openssl's server: an answer, headers and all, is a file of its directory.
struct Server {
    process: Child,
    directory: tempfile::TempDir,
    port: u16,
}

impl Server {
    fn new(key: &[&str], more: &[&str]) -> Server {
        let directory = tempfile::tempdir().unwrap();
        let openssl = |args: &[&str]| {
            let mut command = Command::new("openssl");
            command.args(args).current_dir(&directory).stdin(Stdio::null()).stderr(Stdio::null());
            command
        };
        let request =
            ["req", "-x509", "-nodes", "-keyout", "key", "-out", "certificate", "-subj", "/CN=nobody", "-newkey"];
        let made = openssl(&request).args(key).status().expect("openssl: install Debian's package openssl");
        assert!(made.success());
        let serve = ["s_server", "-accept", "127.0.0.1:0", "-HTTP", "-cert", "certificate", "-key", "key"];
        let mut process = openssl(&serve).args(more).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.into_iter().find_map(|line| line.strip_prefix("ACCEPT ")?.rsplit_once(':')?.1.parse().ok());
        Server { process, directory, port: port.expect("the port of openssl s_server") }
    }

    fn answer(&self, name: &str, text: &str) {
        answer(self.directory.path(), name, text);
    }
}

/// Whole or not at all, since the server may read it at any time.
fn answer(directory: &Path, name: &str, text: &str) {
    fs::write(directory.join("new"), text).unwrap();
    fs::rename(directory.join("new"), directory.join(name)).unwrap();
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn probed(name: &str, port: u16) -> String {
    let get = format!("httpGet: {{port: {port}, path: /healthz, scheme: HTTPS}}");
    let probe = format!(
        "readinessProbe: {{{get}, periodSeconds: 1, timeoutSeconds: 60, successThreshold: 1, failureThreshold: 1}}"
    );
    pod(name, "exec sleep 1000", "hostNetwork: true", &probe)
}

async fn is_ready(board: &Board, wanted: bool) {
    let is = |it: &podling::machine::pod::Container| it.ready() == wanted;
    board
        .until("ready or not", |agent| {
            is(&agent.find("default", "web").expect("the pod").machine().containers()[0]).then_some(())
        })
        .await;
}

const OK: &str = "HTTP/1.0 200 OK\r\n\r\nok\r\n";

#[test]
fn spec_72_a_probe_over_https_asks_for_no_certificate() {
    for key in [&["rsa:2048"] as &[&str], &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]] {
        let server = Server::new(key, &[]);
        server.answer("healthz", OK);
        let (port, directory) = (server.port, server.directory.path().to_owned());
        Node::new().run(&probed("web", port), async move |board| {
            is_ready(&board, true).await;
            answer(&directory, "healthz", "HTTP/1.0 500 no\r\n\r\nno\r\n");
            is_ready(&board, false).await;
            assert_eq!(
                board.event("Unhealthy").await,
                "Readiness probe failed: HTTP probe failed with statuscode: 500"
            );
        });
    }
}

#[test]
fn what_a_server_does_not_speak_is_said() {
    let old = Server::new(&["rsa:2048"], &["-no_tls1_3"]);
    old.answer("healthz", OK);
    let port = old.port;
    Node::new().run(&probed("web", port), async move |board| {
        let why = board.event("Unhealthy").await;
        let what = "remote error: tls: handshake failure (a probe speaks TLS 1.3 with AES-128-GCM and P-256)";
        assert_eq!(why, format!("Readiness probe failed: Get \"https://127.0.0.1:{port}/healthz\": {what}"));
    });

    let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = plain.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in plain.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
        }
    });
    Node::new().run(&probed("web", port), async move |board| {
        let why = board.event("Unhealthy").await;
        assert!(why.ends_with("http: server gave HTTP response to HTTPS client"), "{why}");
    });
}
