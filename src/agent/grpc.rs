//! The gRPC health check (grpc.health.v1.Health/Check) over cleartext HTTP/2: one request with a fixed head, as few frames as there can be.

use super::connect::Place;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::format;
use std::prelude::v1::*;

/// What a client of HTTP/2 says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The one stream.
const STREAM: u32 = 1;
/// Bytes of one frame: the bound of whoever has not asked for more.
const FRAME: usize = 16_384;
/// Frames that are looked at before the answer.
const FRAMES: usize = 64;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// One frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::from(&(payload.len() as u32).to_be_bytes()[1..]);
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A literal header field without indexing and without Huffman's code (RFC 7541, 6.2.2).
fn header(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        integer(block, text.len());
        block.extend(text.as_bytes());
    }
}

/// A number with a prefix of seven bits (RFC 7541, 5.1).
fn integer(block: &mut Vec<u8>, number: usize) {
    let Some(mut rest) = number.checked_sub(127) else { return block.push(number as u8) };
    block.push(127);
    while rest >= 128 {
        block.push(rest as u8 | 128);
        rest >>= 7;
    }
    block.push(rest as u8);
}

/// A number of Protocol Buffers.
fn varint(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 128 {
        bytes.push(number as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// All that is said at first: preface, settings, and the request.
fn request(authority: &str, service: &str) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", "kube-probe/podling"),
    ] {
        header(&mut head, name, value);
    }
    // HealthCheckRequest { service = 1 }, left out where it is empty.
    let mut wanted = Vec::new();
    if !service.is_empty() {
        wanted.push(1 << 3 | 2);
        varint(&mut wanted, service.len());
        wanted.extend(service.as_bytes());
    }
    let mut body = Vec::from([0]);
    body.extend((wanted.len() as u32).to_be_bytes());
    body.extend(wanted);
    let frames = [
        frame(SETTINGS, 0, 0, &[]),
        frame(HEADERS, END_HEADERS, STREAM, &head),
        frame(DATA, END_STREAM, STREAM, &body),
    ];
    [PREFACE, &frames.concat()].concat()
}

/// HealthCheckResponse.status of a whole message; `None` where it is none. A field that is not there is 0, UNKNOWN.
fn status(message: &[u8]) -> Option<u8> {
    match *message.get(5..)? {
        _ if message[..5] != [0, 0, 0, 0, (message.len() - 5) as u8] => None,
        [] => Some(0),
        [0x08, status] => Some(status),
        _ => None,
    }
}

/// Asks; `Err` says how the service is ill, or what was in the way, in kubelet's words.
pub(super) async fn check(place: &Place, service: &str) -> Result<(), String> {
    let refused = |why: String| format!("error: health rpc failed: {why}");
    let mut stream = place.connect().await.map_err(refused)?;
    let broken = |error: std::io::Error| refused(format!("{error}"));
    stream.write_all(&request(&format!("{}", place.address), service)).await.map_err(broken)?;
    let mut message = Vec::new();
    for _ in 0..FRAMES {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.map_err(broken)?;
        let [a, b, c, kind, flags, ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if length > FRAME {
            return Err(refused(String::from("it does not speak HTTP/2")));
        }
        let mut payload = std::vec![0; length];
        stream.read_exact(&mut payload).await.map_err(broken)?;
        let reply = match kind {
            SETTINGS if flags & ACK == 0 => Some(frame(SETTINGS, ACK, 0, &[])),
            PING if flags & ACK == 0 => Some(frame(PING, ACK, 0, &payload)),
            DATA => {
                let (padding, from) =
                    if flags & PADDED == 0 { (0, 0) } else { (payload.first().map_or(0, |n| *n as usize), 1) };
                let to = payload.len().saturating_sub(padding);
                message.extend(payload.get(from..to).unwrap_or_default());
                None
            }
            RST_STREAM | GOAWAY => return Err(refused(String::from("the server has ended the stream"))),
            _ => None,
        };
        if let Some(reply) = reply {
            stream.write_all(&reply).await.map_err(broken)?;
        }
        if let Some(status) = status(&message) {
            return match status {
                1 => Ok(()),
                0 => Err(ill("UNKNOWN")),
                2 => Err(ill("NOT_SERVING")),
                3 => Err(ill("SERVICE_UNKNOWN")),
                other => Err(ill(&format!("{other}"))),
            };
        }
        // An error has no message; which one it is stands in a compressed head.
        if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
            return Err(refused(format!(
                "the server knows no service \"{service}\", or does not implement the grpc health protocol (grpc.health.v1.Health)"
            )));
        }
    }
    Err(refused(String::from("the server does not come to an answer")))
}

fn ill(status: &str) -> String {
    format!("service unhealthy (responded with \"{status}\")")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_the_standards_have_them() {
        let hpack = |number| {
            let mut bytes = Vec::new();
            integer(&mut bytes, number);
            bytes
        };
        assert_eq!([hpack(10), hpack(127), hpack(1337)], [[10].to_vec(), [127, 0].to_vec(), [127, 186, 9].to_vec()]);
        let mut bytes = Vec::new();
        varint(&mut bytes, 300);
        assert_eq!(bytes, [0xac, 2]);
    }

    #[test]
    fn a_request_is_a_preface_and_three_frames() {
        let bytes = request("127.0.0.1:9090", "db");
        let frames = bytes.strip_prefix(PREFACE).unwrap();
        assert_eq!(frames[..9], [0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]);
        assert_eq!(frames[9..][3..9], [HEADERS, END_HEADERS, 0, 0, 0, 1]);
        assert!(frames.ends_with(&[0, 0, 9, DATA, END_STREAM, 0, 0, 0, 1, 0, 0, 0, 0, 4, 0x0a, 2, b'd', b'b']));
        assert!(request("h", "").ends_with(&[0, 0, 5, DATA, END_STREAM, 0, 0, 0, 1, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn a_status_is_read_once_it_is_whole() {
        assert_eq!(status(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        assert_eq!(status(&[0, 0, 0, 0, 0]), Some(0));
        for bad in [&[][..], &[0, 0, 0, 0, 2, 8], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 2, 9, 1]] {
            assert_eq!(status(bad), None, "{bad:?}");
        }
    }
}
