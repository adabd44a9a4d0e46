//! Whole files: the frame, and where it holds the body behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podling::manifest::check;
use podling::manifest::codec::{self, Kind};

fuzz_target!(|bytes: &[u8]| {
    for kind in [Kind::Manifest, Kind::Image, Kind::Board] {
        let Ok((header, body)) = codec::open(bytes, kind) else {
            continue;
        };
        assert_eq!(header.body_len, body.len());
        if !header.is_signed() {
            // An unsigned file is made of its parts and of nothing else.
            let sealed = codec::seal(kind, header.class, header.sequence, body).expect("what opens can be sealed");
            assert_eq!(sealed[..], bytes[..codec::HEADER]);
        }
        let _ = match kind {
            Kind::Manifest => check::manifest(body).map(drop),
            Kind::Image => check::image(body).map(drop),
            Kind::Board => check::board(body).map(drop),
        };
    }
});
