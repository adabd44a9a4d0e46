//! The format on flash is a promise to boards in the field: committed files pin each byte of it.
//!
//! A failure here means that boards could no longer read what was written for them. If that is meant, raise
//! `manifest::codec::VERSION`, say what changed in the list above it, and write the files anew:
//! `PODLING_BLESS=1 cargo test --test golden`.

#[path = "golden/sample.rs"]
mod sample;

use podling::manifest::codec::{self, Kind};
use podling::manifest::{board::Board, check, image::Image, pod::Manifest};
use std::path::PathBuf;

fn golden(name: &str, now: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("PODLING_BLESS").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is written today is what was written when the version came into use, byte for byte.
#[track_caller]
fn unchanged(name: &str, now: &[u8]) -> Vec<u8> {
    let golden = golden(name, now);
    let differs = now.iter().zip(&golden).position(|(now, then)| now != then);
    let at = differs.or((now.len() != golden.len()).then(|| now.len().min(golden.len())));
    if let Some(at) = at {
        let part = if at < codec::HEADER { "the header" } else { "the body" };
        panic!(
            "{name}: {part} has changed at byte {at} ({} bytes now, {} then), but the format's version is still {}: \
             raise manifest::codec::VERSION and see the head of tests/golden.rs",
            now.len(),
            golden.len(),
            codec::VERSION
        );
    }
    golden
}

#[test]
fn the_manifest_is_written_and_read_as_ever() {
    let bytes = unchanged(
        "manifest.bin",
        &sample::file(Kind::Manifest, 0x0102_0304_0506_0708, &sample::body(&sample::manifest())),
    );
    let (header, body) = codec::open(&bytes, Kind::Manifest).unwrap();
    assert_eq!((header.sequence, header.class), (0x0102_0304_0506_0708, sample::CLASS));
    let manifest: Manifest<'_> = check::manifest(body).unwrap();
    assert_eq!(manifest, sample::manifest());
    // Lists compare by their bytes: what they say when they are walked is pinned as text, which a person can read, too.
    let text = format!("{manifest:#?}\n");
    let golden = String::from_utf8(golden("manifest.txt", text.as_bytes())).unwrap();
    assert_eq!(
        text,
        golden,
        "the manifest of version {} now reads differently: see the head of tests/golden.rs",
        codec::VERSION
    );
}

#[test]
fn the_image_record_is_written_and_read_as_ever() {
    let bytes = unchanged("image.bin", &sample::file(Kind::Image, 0, &sample::body(&sample::image())));
    let (_, body) = codec::open(&bytes, Kind::Image).unwrap();
    assert_eq!(check::image(body).unwrap(), sample::image());
    let _: Image<'_> = codec::decode(body).unwrap();
}

#[test]
fn the_board_record_is_written_and_read_as_ever() {
    let bytes = unchanged("board.bin", &sample::file(Kind::Board, 0, &sample::body(&sample::board())));
    let (header, body) = codec::open(&bytes, Kind::Board).unwrap();
    let board: Board<'_> = check::board(body).unwrap();
    assert_eq!((board, header.class), (sample::board(), sample::board().class));
}
