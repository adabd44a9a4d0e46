//! `podling pull`: images from a real registry, with a login and TLS, over a line that breaks, and from one that lies.

mod images;

use images::bench::{Bench, names};
use images::registry::{Liar, Line, Registry, noise};
use images::{Layer, Packing, Spec, blob, image, layout, sha256, tool, write_index};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::Ordering;

/// A user with a home of his own, and room for a registry.
struct User {
    bench: Bench,
}

impl User {
    fn new() -> User {
        let user = User { bench: Bench::new() };
        for directory in ["home", "registry"] {
            fs::create_dir(user.at(directory)).unwrap();
        }
        user
    }

    fn at(&self, name: &str) -> PathBuf {
        self.bench.directory.path().join(name)
    }

    fn pull(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_podling"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.at("home"))
            .env("CONTAINERS_STORAGE_CONF", self.at("storage.conf"))
            .arg("pull")
            .args(arguments)
            .args(["-o".as_ref(), self.bench.output().as_os_str()])
            .output()
            .unwrap()
    }

    fn pulls(&self, arguments: &[&str]) -> String {
        let done = self.pull(arguments);
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// What the refusal says; nothing is packed.
    fn refused(&self, arguments: &[&str]) -> String {
        let done = self.pull(arguments);
        assert!(!done.status.success(), "{arguments:?} must be refused");
        self.bench.is_empty();
        String::from_utf8(done.stderr).unwrap()
    }

    fn cached(&self) -> Vec<PathBuf> {
        let blobs = self.at("home").join(".cache/podling/oci/blobs/sha256");
        fs::read_dir(blobs).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }

    /// The one squashfs in the output.
    fn squashfs(&self) -> PathBuf {
        let files = fs::read_dir(self.bench.output()).unwrap().flatten().map(|entry| entry.path());
        let mut squashes = files.filter(|path| path.extension().is_some_and(|end| end == "squashfs"));
        let first = squashes.next().expect("a squashfs");
        assert_eq!(squashes.next(), None);
        first
    }
}

/// A layout with the image `app` for two platforms, told apart by a file.
fn two_platforms(directory: &Path) {
    let manifests = ["arm64", "amd64"].map(|arch| {
        let layers = vec![Layer::new().file(arch, b"here")];
        let mut descriptor = image(directory, &Spec { tag: None, arch, ..Spec::new(layers) });
        descriptor["platform"] = json!({"os": "linux", "architecture": arch});
        descriptor
    });
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).to_string();
    let mut descriptor = blob(directory, INDEX, index.as_bytes());
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": "app"});
    write_index(directory, &[descriptor]);
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CLEAR: &str = "--dest-tls-verify=false";

#[test]
fn the_image_for_the_board_is_fetched_and_packed_under_its_own_name() {
    let user = User::new();
    let registry = Registry::start(&user.at("registry"));
    two_platforms(&user.bench.layout());
    registry.push(&user.bench.layout(), "app", "team/app:1", &[CLEAR]);
    let name = format!("{}/team/app:1", registry.host());
    let said = user.pulls(&[&name, "--plain-http", "--board", "qemu-virt-aarch64"]);
    assert!(said.starts_with(&format!("{name}: ")) && said.contains("for arm64"), "{said}");
    assert_eq!(names(&user.squashfs()), ["/arm64"]);

    let both = user.pull(&[&name, "--plain-http"]);
    assert!(String::from_utf8_lossy(&both.stderr).contains("choose one with --arch: amd64, arm64"), "{both:?}");
    let tls = String::from_utf8(user.pull(&[&name]).stderr).unwrap();
    assert!(tls.contains("--plain-http"), "{tls}");
    let missing = String::from_utf8(user.pull(&[&format!("{name}23"), "--plain-http"]).stderr).unwrap();
    assert!(missing.contains("no such image"), "{missing}");
}

#[test]
fn what_was_fetched_once_is_not_fetched_again_unless_it_is_damaged() {
    let user = User::new();
    let registry = Registry::start(&user.at("registry"));
    layout(&user.bench.layout(), &[Spec { tag: Some("app"), ..Spec::new(vec![Layer::new().file("a", b"1")]) }]);
    registry.push(&user.bench.layout(), "app", "app:1", &[CLEAR]);
    let line = Line::to(registry.port, usize::MAX, usize::MAX);
    let name = format!("127.0.0.1:{}/app:1", line.port);
    let fetched = || {
        user.pulls(&[&name, "--plain-http"]);
        let asked = String::from_utf8(std::mem::take(&mut *line.asked.lock().unwrap())).unwrap();
        asked.matches("GET /v2/app/blobs/").count()
    };
    assert_eq!(fetched(), 2, "configuration and layer");
    assert_eq!(fetched(), 0);
    for blob in user.cached() {
        fs::write(blob, "damaged").unwrap();
    }
    assert_eq!(fetched(), 2);
}

#[test]
fn a_login_and_a_certificate_are_taken_from_where_docker_and_podman_have_them() {
    let user = User::new();
    let registry = Registry::guarded(&user.at("registry"));
    let certs = user.at("registry/certs");
    layout(&user.bench.layout(), &[Spec { tag: Some("app"), ..Spec::new(vec![Layer::new().file("a", b"1")]) }]);
    let known = format!("--dest-cert-dir={}", certs.display());
    registry.push(&user.bench.layout(), "app", "app:1", &[&known, "--dest-creds=user:open sesame"]);
    let name = format!("{}/app:1", registry.host());

    let said = user.refused(&[&name]);
    assert!(said.contains("certificate"), "{said}");
    let trusted = user.at("home/.config/containers/certs.d").join(registry.host());
    fs::create_dir_all(&trusted).unwrap();
    fs::copy(certs.join("ca.crt"), trusted.join("ca.crt")).unwrap();
    let said = user.refused(&[&name]);
    assert!(said.contains("podman login"), "{said}");

    let login = |file: &str, password: &str| {
        let auth = tool("sh", &["-c", &format!("printf 'user:{password}' | base64")]);
        let auths = json!({"auths": {registry.host(): {"auth": auth.trim()}}});
        fs::create_dir_all(user.at(file).parent().unwrap()).unwrap();
        fs::write(user.at(file), auths.to_string()).unwrap();
    };
    login("home/.docker/config.json", "wrong");
    let said = user.refused(&[&name]);
    assert!(said.contains("podman login"), "{said}");
    login("home/.docker/config.json", "open sesame");
    user.pulls(&[&name]);
    // Podman's file comes before docker's.
    login("home/.config/containers/auth.json", "wrong");
    assert!(!user.pull(&[&name]).status.success());
}

#[test]
fn an_interrupted_fetch_goes_on_where_it_stopped() {
    let user = User::new();
    let registry = Registry::start(&user.at("registry"));
    let mut spec = Spec { tag: Some("app"), ..Spec::new(vec![Layer::new().file("noise", &noise(1 << 20))]) };
    spec.layers[0].1 = Packing::Tar;
    layout(&user.bench.layout(), &[spec]);
    registry.push(&user.bench.layout(), "app", "app:1", &[CLEAR]);
    let line = Line::to(registry.port, 200_000, 700_000);
    let name = format!("127.0.0.1:{}/app:1", line.port);

    let said = user.refused(&[&name, "--plain-http"]);
    assert!(said.contains("given up; the next attempt goes on from here"), "{said}");
    let asked = String::from_utf8(std::mem::take(&mut *line.asked.lock().unwrap())).unwrap().to_lowercase();
    assert!(asked.matches("range: bytes=").count() > 3, "it breaks after 200 kB, and goes on: {asked}");

    line.each.store(usize::MAX, Ordering::Relaxed);
    line.all.store(usize::MAX, Ordering::Relaxed);
    user.pulls(&[&name, "--plain-http"]);
    let asked = String::from_utf8(std::mem::take(&mut *line.asked.lock().unwrap())).unwrap().to_lowercase();
    let from: Vec<u64> =
        asked.lines().filter_map(|line| line.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok()).collect();
    assert!(matches!(from[..], [from] if from > 500_000), "{from:?}");
    assert_eq!(names(&user.squashfs()), ["/noise"]);
}

/// A registry is nobody to trust: what it sends is what was asked for by digest, or nothing.
#[test]
fn a_registry_that_lies_is_refused_and_leaves_nothing() {
    let layer = Layer::new().file("a", b"1").end();
    let of = |bytes: &[u8]| format!("sha256:{}", sha256(bytes));
    let config = json!({"architecture": "arm64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [of(&layer)]}})
    .to_string();
    let manifest = |size: u64| {
        json!({"schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": of(config.as_bytes()), "size": config.len()},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": of(&layer), "size": size}]})
        .to_string()
    };
    let good = manifest(layer.len() as u64);
    let mut other = layer.clone();
    other[0] ^= 1;
    let longer = [&layer[..], b"more"].concat();
    let old = json!({"schemaVersion": 1, "fsLayers": []}).to_string();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": MANIFEST, "digest": of(b"another"), "size": good.len()}]})
    .to_string();
    let cases: &[(&str, &str, &[u8], &str)] = &[
        ("other bytes", &good, &other, "the registry sent something else"),
        ("more bytes", &good, &longer, "has more than"),
        ("fewer bytes", &good, &layer[..layer.len() - 1], "ended after"),
        ("a size that no disk has", &manifest(1 << 50), &layer, "see --max-size"),
        ("a manifest of old", &old, &layer, "is not read"),
        ("a web page", "<html>", &layer, "no JSON"),
        ("another manifest than the index names", &index, &layer, "igest"),
    ];
    for (what, tagged, stored, words) in cases {
        let (user, liar) = (User::new(), Liar::start());
        liar.manifest("1", tagged.as_bytes());
        liar.manifest(&of(b"another"), good.as_bytes());
        liar.blob(&of(config.as_bytes()), config.as_bytes());
        liar.blob(&of(&layer), stored);
        let said = user.refused(&[&format!("127.0.0.1:{}/app:1", liar.port), "--plain-http"]);
        assert!(said.contains(words), "{what}: {said}");
        let kept = user.cached().into_iter().filter(|path| path.ends_with(sha256(&layer))).count();
        assert_eq!(kept, 0, "{what}");
    }
}

#[test]
fn archives_and_layouts_are_pulled_as_they_are_packed() {
    let user = User::new();
    layout(&user.bench.layout(), &[Spec::new(vec![Layer::new().file("a", b"1")])]);
    let said = user.pulls(&[&user.bench.source(), "--arch", "arm64"]);
    assert!(said.starts_with("docker.io/test/image:1: "), "{said}");
    assert_eq!(names(&user.squashfs()), ["/a"]);
    // An engine's own store, which skopeo reads.
    let storage = format!(
        "[storage]\ndriver = \"vfs\"\nrunroot = \"{0}/run\"\ngraphroot = \"{0}/graph\"\n",
        user.at("store").display()
    );
    fs::write(user.at("storage.conf"), storage).unwrap();
    let copy = Command::new("skopeo")
        .env("CONTAINERS_STORAGE_CONF", user.at("storage.conf"))
        .args(["copy", "--quiet", "--override-arch=arm64", &user.bench.source(), "containers-storage:localhost/mine:2"])
        .output()
        .unwrap();
    assert!(copy.status.success(), "{copy:?}");
    let said = user.pulls(&["containers-storage:localhost/mine:2", "--arch", "arm64"]);
    assert!(said.starts_with("localhost/mine:2: "), "{said}");
    let own = user.pull(&["localhost/mine:2"]);
    assert!(
        String::from_utf8_lossy(&own.stderr).contains("podling pull containers-storage:localhost/mine:2"),
        "{own:?}"
    );
    // Whoever has one image that cannot be had still gets the others.
    let both = user.pull(&["oci:/nowhere", &user.bench.source()]);
    assert!(!both.status.success() && String::from_utf8_lossy(&both.stdout).contains("test/image"), "{both:?}");
}
