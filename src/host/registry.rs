//! An image at a registry: what it names is fetched into the cache, in parallel, from where an interrupted fetch stopped, and
//! stands there only once its digest has been checked.

use super::blobs::{Hashing, hex};
use super::oci::sha256_of;
use super::progress::{Step, Steps};
use super::{atomic, credentials};
use anyhow::{Context, Result, anyhow, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use oci_client::client::BlobResponse::{Full, Partial};
use oci_client::client::{Certificate, CertificateEncoding, Client, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use oci_spec::image::{Descriptor, DescriptorBuilder, ImageIndex, ImageIndexBuilder};
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, Write};
use std::path::PathBuf;
use std::prelude::v1::*;
use std::time::Duration;
use std::{env, eprintln, format, vec};
use tokio::runtime::Runtime;

/// Parts of an image that are fetched at a time.
const AT_ONCE: usize = 4;
/// How often a part is asked for that does not come, or does not come whole.
const ATTEMPTS: u32 = 5;
/// The longest that a registry may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// The first pause between two attempts; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(500);

/// What is asked for: all that a registry may answer, indexes included.
const KINDS: &[&str] = &[INDEX, LIST, MANIFEST, DOCKER];
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// One image at its registry, and the cache.
pub struct Registry {
    runtime: Runtime,
    client: Client,
    image: Reference,
    auth: RegistryAuth,
    /// In the form of an OCI layout: `blobs/sha256/…`.
    cache: PathBuf,
    /// The most bytes that are fetched at a time.
    limit: u64,
}

impl Registry {
    /// The image called `reference`, where docker and podman look for it; with `plain_http` without TLS. At most
    /// `limit` bytes are fetched for it.
    pub fn open(reference: &str, plain_http: bool, limit: u64) -> Result<Registry> {
        let image: Reference = reference.parse().map_err(|error| anyhow!("{reference:?} is no image: {error}"))?;
        let certificate = |data| Certificate { encoding: CertificateEncoding::Pem, data };
        let config = ClientConfig {
            protocol: if plain_http { ClientProtocol::Http } else { ClientProtocol::Https },
            extra_root_certificates: credentials::authorities(image.registry())?.into_iter().map(certificate).collect(),
            read_timeout: Some(SILENCE),
            connect_timeout: Some(SILENCE),
            user_agent: concat!("podling/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        // Already installed where another image was opened before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::try_from(config).map_err(explain)?;
        let auth = credentials::find(image.registry(), image.repository())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let cache = cache()?;
        atomic::ensure_directory(&cache.join("blobs/sha256"))?;
        Ok(Registry { runtime, client, image, auth, cache, limit })
    }

    /// Where the part called `name` is, once it has been obtained.
    pub fn place(&self, name: &str) -> PathBuf {
        self.cache.join(name)
    }

    /// What the reference stands for now, as an index of one entry.
    pub fn index(&self) -> Result<ImageIndex> {
        let bytes = self.runtime.block_on(async {
            self.client.auth(&self.image, &self.auth, RegistryOperation::Pull).await.map_err(explain)?;
            self.manifest(&self.image).await
        })?;
        let (digest, _) = Hashing::new(&bytes[..]).finish()?;
        let digest = hex(&digest);
        atomic::write(&self.blob(&digest), 0o644, &bytes)?;
        let descriptor = DescriptorBuilder::default()
            .media_type(kind_of(&bytes)?)
            .digest(format!("sha256:{digest}").parse::<oci_spec::image::Digest>()?)
            .size(bytes.len() as u64)
            .annotations([("org.opencontainers.image.ref.name".to_owned(), self.image.whole())])
            .build()?;
        Ok(ImageIndexBuilder::default().schema_version(2u32).manifests(vec![descriptor]).build()?)
    }

    /// Has all these parts in the cache, whole and undamaged.
    pub fn obtain(&self, parts: &[Descriptor]) -> Result<()> {
        // One at a time: the next one finds what this one has fetched.
        let _lock = self.lock()?;
        let mut missing = vec![];
        for part in parts {
            let digest = sha256_of(part.digest().as_ref())?;
            if !self.is_there(&digest, part.size())? && !missing.iter().any(|(known, _)| *known == digest) {
                missing.push((digest, part));
            }
        }
        let bytes = missing.iter().map(|(_, part)| part.size()).fold(0, u64::saturating_add);
        ensure!(bytes <= self.limit, "it has {bytes} bytes to fetch; at most {} are (see --max-size)", self.limit);
        let steps = Steps::default();
        let each = stream::iter(missing).map(|(digest, part)| {
            let step = steps.step(&format!("fetching {}", &digest[..12]), part.size());
            self.fetch(digest, part, step)
        });
        self.runtime.block_on(each.buffer_unordered(AT_ONCE).try_collect())
    }

    fn blob(&self, digest: &str) -> PathBuf {
        self.cache.join("blobs/sha256").join(digest)
    }

    /// Whether that part is there. One that is damaged goes.
    fn is_there(&self, digest: &str, size: u64) -> Result<bool> {
        let path = self.blob(digest);
        let Ok(file) = File::open(&path) else { return Ok(false) };
        let (found, length) = Hashing::new(file).finish().with_context(|| format!("cannot read {}", path.display()))?;
        let good = hex(&found) == digest && length == size;
        if !good {
            fs::remove_file(&path).with_context(|| format!("cannot remove the damaged {}", path.display()))?;
        }
        Ok(good)
    }

    fn lock(&self) -> Result<File> {
        use rustix::fs::{FlockOperation, flock};
        let path = self.cache.join("lock");
        let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            eprintln!("waiting for another podling that fetches an image");
            flock(&file, FlockOperation::LockExclusive).with_context(|| format!("cannot lock {}", path.display()))?;
        }
        Ok(file)
    }

    async fn fetch(&self, digest: String, part: &Descriptor, step: Step) -> Result<()> {
        if KINDS.contains(&part.media_type().to_string().as_str()) {
            let image = self.image.clone_with_digest(format!("sha256:{digest}"));
            let bytes = self.manifest(&image).await?;
            return atomic::write(&self.blob(&digest), 0o644, &bytes);
        }
        let begun = self.blob(&digest).with_extension("part");
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(&begun)?;
        let mut failed = 0;
        let mut reached = 0;
        while let Err(fault) = self.go_on(&mut file, &digest, part.size(), &step).await {
            let Fault::Passing(error) = fault else { return Err(fault.into()) };
            let length = file.metadata()?.len();
            // A line that breaks again and again, and brings something each time, comes to the end.
            failed = if length > reached { 1 } else { failed + 1 };
            reached = reached.max(length);
            if failed == ATTEMPTS {
                return Err(error.context("given up; the next attempt goes on from here"));
            }
            tokio::time::sleep(PAUSE * 2u32.pow(failed - 1)).await;
        }
        file.rewind()?;
        let (found, _) = Hashing::new(&file).finish()?;
        if hex(&found) != digest {
            fs::remove_file(&begun)?;
            bail!("the registry sent something else as sha256:{digest}: its SHA-256 is {}", hex(&found));
        }
        file.sync_all()?;
        fs::rename(&begun, self.blob(&digest)).with_context(|| format!("cannot name {}", begun.display()))
    }

    /// Appends what `file` lacks of that blob.
    async fn go_on(&self, file: &mut File, digest: &str, size: u64, step: &Step) -> Result<(), Fault> {
        let mut have = file.metadata()?.len();
        if have > size {
            file.set_len(0)?;
            have = 0;
        }
        step.reach(have);
        if have == size {
            return Ok(());
        }
        let named = format!("sha256:{digest}");
        let answer = self.client.pull_blob_stream_partial(&self.image, &*named, have, None).await.map_err(Fault::of)?;
        let mut body = match answer {
            Partial(body) => body,
            Full(body) => {
                file.set_len(0)?;
                have = 0;
                body
            }
        };
        let ended = loop {
            match body.try_next().await {
                Ok(Some(bytes)) => {
                    have += bytes.len() as u64;
                    if have > size {
                        file.set_len(0)?;
                        return Err(Fault::Lasting(anyhow!(
                            "sha256:{digest} has more than the {size} bytes that are said of it"
                        )));
                    }
                    file.write_all(&bytes)?;
                    step.reach(have);
                }
                Ok(None) => break anyhow!("no more came"),
                Err(error) => break error.into(),
            }
        };
        match have == size {
            // The digest is checked over the whole file, whose beginning may be an earlier attempt's.
            true => Ok(()),
            false => Err(Fault::Passing(ended.context(format!("sha256:{digest} ended after {have} of {size} bytes")))),
        }
    }

    /// The bytes of a manifest or an index.
    async fn manifest(&self, image: &Reference) -> Result<Vec<u8>> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.client.pull_manifest_raw(image, &self.auth, KINDS).await.map_err(Fault::of) {
                Ok((bytes, _)) => return Ok(bytes.to_vec()),
                Err(Fault::Passing(_)) if attempt < ATTEMPTS => tokio::time::sleep(PAUSE * 2u32.pow(attempt - 1)).await,
                Err(fault) => return Err(fault.into()),
            }
        }
    }
}

/// Why something did not come.
enum Fault {
    /// It may come when it is asked for again.
    Passing(anyhow::Error),
    /// It will not.
    Lasting(anyhow::Error),
}

impl Fault {
    fn of(error: OciDistributionError) -> Fault {
        let passing = match &error {
            OciDistributionError::RequestError(error) => !error.is_connect(),
            OciDistributionError::IoError(_) => true,
            OciDistributionError::ServerError { code, .. } => *code >= 500 || *code == 429,
            OciDistributionError::RegistryError { envelope, .. } => {
                envelope.errors.iter().any(|error| matches!(error.code, OciErrorCode::Toomanyrequests))
            }
            _ => false,
        };
        let error = explain(error);
        if passing { Fault::Passing(error) } else { Fault::Lasting(error) }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Fault {
        Fault::Lasting(error.into())
    }
}

impl From<Fault> for anyhow::Error {
    fn from(fault: Fault) -> anyhow::Error {
        let (Fault::Passing(error) | Fault::Lasting(error)) = fault;
        error
    }
}

/// The error with what can be done about it.
fn explain(error: OciDistributionError) -> anyhow::Error {
    use OciDistributionError::{AuthenticationFailure, ImageManifestNotFoundError, RegistryError, UnauthorizedError};
    use OciErrorCode::{Denied, ManifestUnknown, NameUnknown, NotFound, Unauthorized};
    let says = |codes: &[OciErrorCode]| match &error {
        RegistryError { envelope, .. } => envelope.errors.iter().any(|error| codes.contains(&error.code)),
        _ => false,
    };
    let denied = matches!(error, UnauthorizedError { .. } | AuthenticationFailure(_)) || says(&[Unauthorized, Denied]);
    let missing = matches!(error, ImageManifestNotFoundError(_)) || says(&[ManifestUnknown, NameUnknown, NotFound]);
    let error = anyhow::Error::from(error);
    let words = format!("{error:#}");
    if denied {
        error.context(
            "the registry does not let you: it wants a login (`podman login` or `docker login`), or has no such image",
        )
    } else if missing {
        error.context("the registry has no such image")
    } else if words.contains("CaUsedAsEndEntity") {
        error.context(
            "the registry's own certificate is marked as an authority's: make it with basicConstraints=CA:FALSE",
        )
    } else if words.contains("InvalidContentType") {
        error.context("the registry speaks no TLS: if you trust the network on the way, use --plain-http")
    } else {
        error
    }
}

/// What a manifest says that it is, or what it looks like.
fn kind_of(manifest: &[u8]) -> Result<&'static str> {
    let value: serde_json::Value = serde_json::from_slice(manifest).context("the registry's manifest is no JSON")?;
    let said = value.get("mediaType").and_then(|kind| kind.as_str());
    let known = said.map(|said| KINDS.iter().copied().find(|kind| *kind == said));
    match known {
        Some(Some(kind)) => Ok(kind),
        Some(None) => bail!("it is of the kind {}, which is no image", said.unwrap_or_default()),
        None if value.get("manifests").is_some() => Ok(INDEX),
        None if value.get("layers").is_some() => Ok(MANIFEST),
        None => bail!("the registry's manifest is of a kind before OCI and Docker's schema 2, which is not read"),
    }
}

/// `$XDG_CACHE_HOME/podling/oci`.
fn cache() -> Result<PathBuf> {
    let cache = credentials::directory("XDG_CACHE_HOME", ".cache");
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME says where the cache is")?.join("podling/oci"))
}
