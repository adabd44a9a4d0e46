//! Probes and hooks as a manifest carries them: what is asked of a container, how often, and what counts as an answer.

use super::List;
use super::pod::Pair;
use serde::{Deserialize, Serialize};

/// One of a container's probes. A container has at most one of each kind, in the order of the kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe<'a> {
    /// What it is for.
    pub kind: ProbeKind,
    /// When it runs, and how many answers decide.
    pub timing: Timing,
    /// What it does.
    #[serde(borrow)]
    pub action: Action<'a>,
}

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ProbeKind {
    /// `startupProbe`: until it has succeeded, the others do not run.
    Startup,
    /// `livenessProbe`: where it fails, the container is restarted by policy.
    Liveness,
    /// `readinessProbe`: where it fails, the container is not ready.
    Readiness,
}

impl ProbeKind {
    /// All of them, in their order.
    pub const ALL: [ProbeKind; 3] = [ProbeKind::Startup, ProbeKind::Liveness, ProbeKind::Readiness];

    /// The word in events and in `kubectl describe`.
    pub const fn as_str(self) -> &'static str {
        match self {
            ProbeKind::Startup => "Startup",
            ProbeKind::Liveness => "Liveness",
            ProbeKind::Readiness => "Readiness",
        }
    }
}

/// The numbers of a probe, with the defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// `initialDelaySeconds`.
    pub delay_seconds: u32,
    /// `periodSeconds`, at least 1.
    pub period_seconds: u32,
    /// `timeoutSeconds`, at least 1.
    pub timeout_seconds: u32,
    /// `successThreshold`, at least 1.
    pub successes: u32,
    /// `failureThreshold`, at least 1.
    pub failures: u32,
    /// `terminationGracePeriodSeconds`, at least 1, in place of the pod's.
    pub grace_seconds: Option<u32>,
}

impl Default for Timing {
    /// What the API server fills in.
    fn default() -> Timing {
        Timing {
            delay_seconds: 0,
            period_seconds: 10,
            timeout_seconds: 1,
            successes: 1,
            failures: 3,
            grace_seconds: None,
        }
    }
}

/// What a probe does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action<'a> {
    /// `exec.command`: exit code 0 is success.
    Exec(#[serde(borrow)] List<'a, &'a str>),
    /// `httpGet`: a status of 200 to 399 is success.
    HttpGet(#[serde(borrow)] HttpGet<'a>),
    /// `tcpSocket`: a connection is success.
    TcpSocket {
        /// `host`, as in [`HttpGet::host`].
        host: &'a str,
        /// `port`, by number.
        port: u16,
    },
    /// `grpc`: SERVING is success.
    Grpc {
        /// `port`.
        port: u16,
        /// `service`, empty for the whole server.
        service: &'a str,
    },
}

/// `httpGet` of a probe or a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpGet<'a> {
    /// `host`, an address that is reached from the node; empty for the pod itself, from within.
    pub host: &'a str,
    /// `port`, by number.
    pub port: u16,
    /// `path`, with a `/` first.
    pub path: &'a str,
    /// `httpHeaders`.
    #[serde(borrow)]
    pub headers: List<'a, Pair<'a>>,
    /// `scheme`.
    pub scheme: Scheme,
}

/// `scheme`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    /// In the clear.
    #[default]
    Http,
    /// TLS, whatever the server's certificate says.
    Https,
}

impl Scheme {
    /// The beginning of a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The word of the field.
    pub const fn word(self) -> &'static str {
        match self {
            Scheme::Http => "HTTP",
            Scheme::Https => "HTTPS",
        }
    }
}
