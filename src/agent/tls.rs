//! TLS as a probe or a hook needs it: one exchange with a server whose certificate nobody checks, as kubelet does it.
//!
//! TLS 1.3 with AES-128-GCM and P-256, which every server of TLS 1.3 has. Buffers are there for the one exchange only.

use super::http::{Answer, Head};
use embedded_io::{ErrorKind, ErrorType};
use embedded_io_async::{Read, Write};
use embedded_tls::{
    Aes128GcmSha256, CryptoProvider, CryptoRngCore, NoVerify, TlsConfig, TlsConnection, TlsContext, TlsError,
    TlsVerifier,
};
use rand_core::{CryptoRng, RngCore};
use rustix::rand::{GetRandomFlags, getrandom};
use smol::Async;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::net::TcpStream;
use std::prelude::v1::*;
use std::vec;

/// Bytes of the largest record that a server may send.
const RECORD: usize = 16_640;
/// Bytes of what is sent at once: a greeting, or a part of the request.
const SENT: usize = 2048;

/// Sends a request, and reads the head of its answer.
///
/// # Errors
/// There is none, and why.
pub(super) async fn exchange(stream: Async<TcpStream>, request: &[u8]) -> Result<Answer, String> {
    let (mut incoming, mut outgoing) = (vec![0; RECORD], vec![0; SENT]);
    let config = TlsConfig::new().enable_rsa_signatures();
    let mut tls = TlsConnection::<_, Aes128GcmSha256>::new(Wire(stream), &mut incoming, &mut outgoing);
    tls.open(TlsContext::new(&config, Unchecked(Random, NoVerify))).await.map_err(words)?;
    let mut rest = request;
    while !rest.is_empty() {
        let sent = tls.write(rest).await.map_err(words)?;
        rest = rest.get(sent..).unwrap_or_default();
    }
    tls.flush().await.map_err(words)?;
    let mut head = Head::default();
    loop {
        let mut part = [0; 512];
        let read = match tls.read(&mut part).await {
            // As many servers do it, without a word of farewell.
            Err(TlsError::ConnectionClosed | TlsError::IoError) => 0,
            read => read.map_err(words)?,
        };
        if let Some(answer) = head.add(part.get(..read).unwrap_or_default()) {
            return answer;
        }
    }
}

/// What went wrong, in Go's words where it has some.
fn words(error: TlsError) -> String {
    let words = match error {
        TlsError::HandshakeAborted(..) | TlsError::AbortHandshake(..) => {
            "remote error: tls: handshake failure (a probe speaks TLS 1.3 with AES-128-GCM and P-256)"
        }
        TlsError::ConnectionClosed => "EOF",
        TlsError::IoError | TlsError::Io(_) => "the connection is broken",
        TlsError::InvalidRecord | TlsError::UnknownContentType => "http: server gave HTTP response to HTTPS client",
        _ => "tls: the server's answer cannot be understood",
    };
    words.into()
}

/// A connection, as the crate wants it.
struct Wire(Async<TcpStream>);

impl ErrorType for Wire {
    type Error = ErrorKind;
}

impl Read for Wire {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        AsyncReadExt::read(&mut self.0, buffer).await.map_err(|_| ErrorKind::Other)
    }
}

impl Write for Wire {
    async fn write(&mut self, buffer: &[u8]) -> Result<usize, ErrorKind> {
        AsyncWriteExt::write(&mut self.0, buffer).await.map_err(|_| ErrorKind::Other)
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// Nothing is verified and nothing signed.
struct Unchecked(Random, NoVerify);

impl CryptoProvider for Unchecked {
    type CipherSuite = Aes128GcmSha256;
    type Signature = [u8; 0];

    fn rng(&mut self) -> impl CryptoRngCore {
        &mut self.0
    }

    fn verifier(&mut self) -> Result<&mut impl TlsVerifier<Aes128GcmSha256>, TlsError> {
        Ok(&mut self.1)
    }
}

/// The kernel's random numbers.
struct Random;

impl CryptoRng for Random {}

impl RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        self.next_u64() as u32
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            // It fails for want of its arguments only, which are right.
            let filled = getrandom(&mut *bytes, GetRandomFlags::empty()).unwrap_or_default();
            bytes = bytes.get_mut(filled..).unwrap_or_default();
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}
