//! HTTP GET as a probe or a hook needs it: one request, the answer's head, redirects on the same host.

use super::connect::Place;
use super::tls;
use crate::manifest::limits;
use crate::manifest::probe::{HttpGet, Scheme};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::format;
use std::prelude::v1::*;

/// Redirects that are followed, as Go's client does.
const REDIRECTS: usize = 10;

/// What of an answer matters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status code.
    pub(super) status: u16,
    /// `Location`.
    location: Option<String>,
}

impl Answer {
    /// The head of an answer, up to the empty line; `None` where it is none.
    fn parse(head: &str) -> Option<Answer> {
        let mut lines = head.split("\r\n");
        let (version, rest) = lines.next()?.split_once(' ')?;
        let status = rest.get(..3)?.parse().ok().filter(|status| version.starts_with("HTTP/1.") && *status >= 100)?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("location").then(|| value.trim().into())
        };
        Some(Answer { status, location: lines.find_map(header) })
    }
}

/// Where a redirect leads on the same host: scheme, port and path. `None`: elsewhere, and it is not followed.
fn target(location: &str, host: &str, (scheme, port): (Scheme, u16), path: &str) -> Option<(Scheme, u16, String)> {
    let absolute = [Scheme::Http, Scheme::Https].into_iter().find_map(|scheme| {
        let rest = location.strip_prefix(scheme.as_str())?.strip_prefix("://")?;
        Some((scheme, rest))
    });
    let Some((scheme, rest)) = absolute.or_else(|| Some((scheme, location.strip_prefix("//")?))) else {
        return match location {
            _ if location.starts_with('/') => Some((scheme, port, location.into())),
            _ if location.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':')) => None,
            _ => {
                let folder =
                    path.split('?').next().and_then(|path| path.rsplit_once('/')).map_or("", |(folder, _)| folder);
                Some((scheme, port, format!("{folder}/{location}")))
            }
        };
    };
    let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()?),
        _ if scheme == Scheme::Https => (authority, 443),
        _ => (authority, 80),
    };
    let path = if path.starts_with('/') { path.into() } else { format!("/{path}") };
    (name.eq_ignore_ascii_case(host)).then_some((scheme, port, path))
}

/// The request for `path`.
fn request(get: &HttpGet<'_>, authority: &str, path: &str) -> String {
    let own = |name: &str| get.headers.iter().find(|header| header.key.eq_ignore_ascii_case(name));
    let mut text = format!("GET {} HTTP/1.1\r\n", path.split('#').next().unwrap_or(path));
    for (name, value) in [("Host", authority), ("User-Agent", "kube-probe/podling"), ("Accept", "*/*")] {
        if own(name).is_none() {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    for header in get.headers {
        text.push_str(&format!("{}: {}\r\n", header.key, header.value));
    }
    text + "Connection: close\r\n\r\n"
}

/// Asks once, and again wherever a redirect leads on the same host; gives the last answer.
///
/// # Errors
/// There is no answer, and why, in kubelet's words.
pub(super) async fn get(place: &Place, get: &HttpGet<'_>) -> Result<Answer, String> {
    let (mut scheme, mut port, mut path) = (get.scheme, place.address.port(), String::from(get.path));
    let host = format!("{}", place.address.ip());
    let named = get.headers.iter().find(|header| header.key.eq_ignore_ascii_case("host"));
    for _ in 0..=REDIRECTS {
        let at = place.at_port(port);
        let failed = |why: String| format!("Get \"{}://{}{path}\": {why}", scheme.as_str(), at.address);
        let asked = request(get, &format!("{}", at.address), &path);
        let answer = exchange(&at, scheme, asked.as_bytes()).await.map_err(failed)?;
        let next = match (&answer.location, answer.status) {
            (Some(location), 301 | 302 | 303 | 307 | 308) => {
                let by_name = named.and_then(|named| target(location, named.value, (scheme, port), &path));
                by_name.or_else(|| target(location, &host, (scheme, port), &path))
            }
            _ => None,
        };
        match next {
            Some(next) => (scheme, port, path) = next,
            None => return Ok(answer),
        }
    }
    Err(format!("Get \"{}://{}{path}\": stopped after {REDIRECTS} redirects", scheme.as_str(), place.address))
}

/// One request, and the head of its answer: of the rest nothing is read.
async fn exchange(place: &Place, scheme: Scheme, request: &[u8]) -> Result<Answer, String> {
    let mut stream = place.connect().await?;
    if scheme == Scheme::Https {
        return Box::pin(tls::exchange(stream, request)).await;
    }
    let broken = |error: std::io::Error| format!("{error}");
    stream.write_all(request).await.map_err(broken)?;
    let mut head = Head::default();
    loop {
        let mut part = [0; 512];
        let read = stream.read(&mut part).await.map_err(broken)?;
        if let Some(answer) = head.add(part.get(..read).unwrap_or_default()) {
            return answer;
        }
    }
}

/// The head of an answer, as far as it has come.
#[derive(Default)]
pub(super) struct Head(Vec<u8>);

impl Head {
    /// Takes what has come, nothing at the end of all; gives the answer once the head is whole, or cannot be any more.
    pub(super) fn add(&mut self, part: &[u8]) -> Option<Result<Answer, String>> {
        self.0.extend_from_slice(part);
        let malformed = || String::from("malformed HTTP response");
        if let Some(end) = self.0.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = self.0.get(..end).unwrap_or_default();
            return Some(Answer::parse(&String::from_utf8_lossy(head)).ok_or_else(malformed));
        }
        let ended = part.is_empty() || self.0.len() >= limits::HTTP_HEAD;
        ended.then(|| Err(if self.0.is_empty() { "EOF".into() } else { malformed() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::start::Bytes;
    use crate::manifest::List;
    use crate::manifest::pod::Pair;

    #[test]
    fn the_head_of_an_answer_says_its_status() {
        let status = |head: &str| Answer::parse(head).map(|answer| answer.status);
        assert_eq!(status("HTTP/1.1 200 OK\r\nA: b"), Some(200));
        assert_eq!(status("HTTP/1.0 404"), Some(404));
        for bad in ["", "HTTP/1.1", "HTTP/1.1 2x0", "HTTP/1.1 99", "HTTP/2 200", "SSH-2.0-x y"] {
            assert_eq!(status(bad), None, "{bad}");
        }
        let moved = Answer::parse("HTTP/1.1 302 Found\r\nlocation:  /x ").unwrap();
        assert_eq!(moved, Answer { status: 302, location: Some("/x".into()) });
    }

    #[test]
    fn redirects_are_followed_on_the_same_host_only() {
        let to = |location| {
            let (scheme, port, path) = target(location, "127.0.0.1", (Scheme::Http, 8080), "/a/b?c")?;
            assert_eq!(scheme, Scheme::Http);
            Some((port, path))
        };
        assert_eq!(to("/x"), Some((8080, "/x".into())));
        assert_eq!(to("x?y"), Some((8080, "/a/x?y".into())));
        assert_eq!(to("http://127.0.0.1:81/x"), Some((81, "/x".into())));
        assert_eq!(to("http://127.0.0.1"), Some((80, "/".into())));
        assert_eq!(to("//127.0.0.1:8080/x"), Some((8080, "/x".into())));
        for elsewhere in ["http://example.org/x", "https://example.org/x", "mailto:a", "http://127.0.0.1:x/"] {
            assert_eq!(to(elsewhere), None, "{elsewhere}");
        }
        let secure = |location| target(location, "127.0.0.1", (Scheme::Http, 80), "/");
        assert_eq!(secure("https://127.0.0.1/x"), Some((Scheme::Https, 443, "/x".into())));
        assert_eq!(secure("https://127.0.0.1:8443"), Some((Scheme::Https, 8443, "/".into())));
        let stays = target("//127.0.0.1/x", "127.0.0.1", (Scheme::Https, 8443), "/");
        assert_eq!(stays, Some((Scheme::Https, 443, "/x".into())));
    }

    #[test]
    fn a_request_has_the_headers_that_were_asked_for() {
        let headers: Bytes =
            [Pair { key: "host", value: "web" }, Pair { key: "X-A", value: "1" }].into_iter().collect();
        let get = HttpGet { host: "", port: 80, path: "/", headers: headers.list(), scheme: Scheme::Http };
        assert_eq!(
            request(&get, "127.0.0.1:80", "/x#y"),
            "GET /x HTTP/1.1\r\nUser-Agent: kube-probe/podling\r\nAccept: */*\r\nhost: web\r\nX-A: 1\r\nConnection: close\r\n\r\n"
        );
        let plain = HttpGet { headers: List::EMPTY, ..get };
        assert!(request(&plain, "127.0.0.1:80", "/").contains("Host: 127.0.0.1:80\r\n"));
    }
}
