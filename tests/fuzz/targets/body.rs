//! Bodies without a frame, so that no checksum stands before the parser. The first byte chooses the kind.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podling::manifest::pod::Manifest;
use podling::manifest::{check, limits};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, body)) = bytes.split_first() else {
        return;
    };
    let said = match kind % 3 {
        0 => check::manifest(body).map(|manifest| walk(&manifest)),
        1 => check::image(body).map(drop),
        _ => check::board(body).map(drop),
    };
    if let Err(error) = said {
        assert!(error.to_string().len() < 2000, "a message without bound");
    }
});

/// What has passed the check is used without a second look.
fn walk(manifest: &Manifest<'_>) {
    assert!(manifest.pods.len() <= limits::PODS);
    for pod in manifest.pods {
        for container in pod.containers {
            for mount in container.mounts {
                pod.volumes.get(mount.volume.into()).expect("a mount names a volume");
            }
        }
    }
}
