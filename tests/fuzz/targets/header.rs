//! Whole files: the frame, and where it holds the body behind it. Each also with its checksums mended, which chance never does.
#![no_main]

use crc::{CRC_32_ISCSI, Crc};
use libfuzzer_sys::fuzz_target;
use podling::manifest::check;
use podling::manifest::codec::{self, HEADER, Kind};

static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    if bytes.len() >= HEADER {
        let mut mended = bytes.to_vec();
        let of_body = CRC.checksum(&bytes[HEADER..]);
        mended[56..60].copy_from_slice(&of_body.to_le_bytes());
        let mut of_header = CRC.digest();
        of_header.update(&mended[..60]);
        of_header.update(&mended[64..HEADER]);
        mended[60..64].copy_from_slice(&of_header.finalize().to_le_bytes());
        read(&mended);
    }
});

fn read(bytes: &[u8]) {
    for kind in [Kind::Manifest, Kind::Image, Kind::Board] {
        let (header, body) = match codec::open(bytes, kind) {
            Ok(found) => found,
            Err(error) => {
                assert!(error.to_string().len() < 2000, "a message without bound");
                continue;
            }
        };
        assert_eq!(header.body_len, body.len());
        if !header.is_signed() {
            // An unsigned file is made of its parts and of nothing else.
            let sealed = codec::seal(kind, header.class, header.sequence, body).expect("what opens can be sealed");
            assert_eq!(sealed[..], bytes[..HEADER]);
        }
        let _ = match kind {
            Kind::Manifest => check::manifest(body).map(drop),
            Kind::Image => check::image(body).map(drop),
            Kind::Board => check::board(body).map(drop),
        };
    }
}
