//! Tests of the frame and of strict decoding.

use super::*;
use crate::manifest::List;
use proptest::prelude::*;
use std::{string::ToString, vec, vec::Vec};

fn file(body: &[u8]) -> Vec<u8> {
    [&seal(Kind::Manifest, "qemu-virt-aarch64", 7, body).unwrap()[..], body].concat()
}

/// The header again, with its checksum put right after a change.
fn repaired(change: impl FnOnce(&mut [u8; HEADER])) -> [u8; HEADER] {
    let mut header = seal(Kind::Manifest, "board", 7, b"body").unwrap();
    change(&mut header);
    let checksum = header_checksum(&header);
    header[60..64].copy_from_slice(&checksum.to_le_bytes());
    header
}

#[test]
fn what_is_sealed_opens() {
    let bytes = file(b"body");
    let (header, body) = open(&bytes, Kind::Manifest).unwrap();
    assert_eq!((header.sequence, header.class, header.body_len, body), (7, "qemu-virt-aarch64", 4, &b"body"[..]));
    assert!(!header.is_signed());
    assert!(seal(Kind::Image, "", 0, b"").is_ok());
    let signed = repaired(|header| header[100] = 1);
    assert!(super::header(&signed, Kind::Manifest).unwrap().is_signed());
}

#[test]
fn the_check_value_of_crc32c() {
    assert_eq!(CRC.checksum(b"123456789"), 0xe306_9283);
}

/// Failure F8 on a whole file.
#[test]
fn every_flipped_bit_and_every_truncation_is_detected() {
    let bytes = file(b"a body that has some length");
    for bit in 0..bytes.len() * 8 {
        let mut broken = bytes.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&broken, Kind::Manifest).is_err(), "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert!(open(&bytes[..len], Kind::Manifest).is_err(), "{len} bytes");
    }
    let longer = [&bytes[..], b"\0"].concat();
    assert!(matches!(open(&longer, Kind::Manifest), Err(Error::Length { .. })));
}

/// Failures F11 and F29: a header whose checksum matches is still not believed.
#[test]
fn a_header_that_cannot_be_so_is_refused_by_name() {
    let refusal = |header: &[u8; HEADER]| super::header(header, Kind::Manifest).unwrap_err();
    let newer = VERSION + 1;
    assert_eq!(refusal(&repaired(|h| h[8] = newer as u8)), Error::Version { found: newer });
    for (version, wanted) in [(newer as u8, "update podling"), (1, "build or pack it again"), (0, "never in use")] {
        let said = refusal(&repaired(|h| h[8] = version)).to_string();
        assert!(said.contains(wanted), "{said}");
    }
    assert!(matches!(refusal(&repaired(|h| h[11] = 1)), Error::Header(_)));
    assert!(matches!(refusal(&repaired(|h| h[15] = 0xff)), Error::TooLong { .. }));
    assert!(matches!(refusal(&repaired(|h| h[55] = b'x')), Error::Header(_)));
    assert!(matches!(refusal(&repaired(|h| h[24] = b'A')), Error::Header(_)));
    assert!(matches!(refusal(&repaired(|h| h[24..56].fill(0))), Error::Header(_)));
    assert_eq!(refusal(&repaired(|h| h[7] = b'I')), Error::Kind { wanted: Kind::Manifest, found: Kind::Image });
    assert_eq!(refusal(&[0; HEADER]), Error::Foreign { wanted: Kind::Manifest });
}

#[test]
fn nothing_is_sealed_that_would_not_open() {
    let big = vec![0; limits::BOARD];
    assert!(matches!(seal(Kind::Board, "b", 0, &big), Err(Error::TooLong { .. })));
    for class in ["", "A", "a b", "name-of-thirty-three-characters-33"] {
        assert!(seal(Kind::Board, class, 0, b"").is_err(), "{class:?}");
    }
    assert!(seal(Kind::Image, "board", 0, b"").is_err());
}

/// Failure F11: what postcard by itself accepts.
#[test]
fn decoding_is_strict() {
    assert_eq!(decode::<u32>(&[5]), Ok(5));
    assert_eq!(decode::<u32>(&[5, 0]), Err(Error::Trailing));
    assert_eq!(decode::<u32>(&[0x85, 0x00]), Err(Error::NotCanonical));
    assert_eq!(decode::<u32>(&[]), Err(Error::Malformed));
    assert_eq!(decode::<()>(&[]), Err(Error::NotCanonical));
    assert_eq!(decode::<List<'_, u32>>(&[2, 9, 9]), Ok(List::from_bytes(&[9, 9])));
    assert_eq!(decode::<List<'_, u32>>(&[0x82, 0x00, 9, 9]), Err(Error::NotCanonical));
    assert_eq!(decode::<List<'_, u32>>(&[3, 9, 9]), Err(Error::Malformed));
}

proptest! {
    #[test]
    fn any_class_sequence_and_body_come_back(class in "[a-z0-9._-]{1,32}", sequence: u64, body: Vec<u8>) {
        let bytes = [&seal(Kind::Manifest, &class, sequence, &body).unwrap()[..], &body].concat();
        let (header, opened) = open(&bytes, Kind::Manifest).unwrap();
        prop_assert_eq!((header.class, header.sequence, opened), (class.as_str(), sequence, &body[..]));
    }
}
