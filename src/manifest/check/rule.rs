//! What a text may be: each rule a test and the words that tell a person what it asks for.

use crate::manifest::{codec, image, limits};

/// One rule about a text.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Whether a text keeps it.
    pub holds: fn(&str) -> bool,
    /// What to say after the text that does not: `"Web" is not a DNS label …`.
    pub says: &'static str,
}

/// One of `mountOptions`.
pub const MOUNT_OPTION: Rule = Rule {
    holds: |text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b','),
    says: "is not one option of a mount: printable ASCII without spaces and commas",
};

/// Container, volume and namespace names (spec 7).
pub const LABEL: Rule = Rule {
    holds: is_label,
    says: "is not a DNS label (RFC 1123): at most 63 of a-z, 0-9 and '-', with a letter or digit first and last",
};

/// Pod and claim names (spec 7).
pub const SUBDOMAIN: Rule = Rule {
    holds: is_subdomain,
    says: "is not a DNS subdomain (RFC 1123): at most 253 of a-z, 0-9, '-' and '.', with a letter or digit first and last in each part",
};

/// Host names of pods and nodes (spec 26).
pub const HOST_NAME: Rule = Rule {
    holds: |text| is_subdomain(text) && text.len() <= 64,
    says: "is not a host name: a DNS subdomain (RFC 1123) of at most 64 bytes",
};

/// `volumeMounts[*].mountPath`.
pub const MOUNT_PATH: Rule = Rule {
    holds: |text| is_path(text) && text.strip_prefix('/').is_some_and(is_relative),
    says: "is not a place to mount at: an absolute path other than /, without //, . and .. and without a / at its end",
};

/// `hostPath.path`, `workingDir`.
pub const ABSOLUTE_PATH: Rule = Rule {
    holds: |text| text.starts_with('/') && is_path(text) && text.split('/').all(|part| part != ".."),
    says: "is not an absolute path without ..",
};

/// `items[*].path`, and the files of a board.
pub const RELATIVE_PATH: Rule = Rule { holds: is_relative, says: "is not a relative path without //, . and .." };

/// A device node of a board.
pub const DEVICE: Rule =
    Rule { holds: |text| text.strip_prefix("/dev/").is_some_and(is_relative), says: "is not a device below /dev/" };

/// `image`.
pub const IMAGE: Rule = Rule {
    holds: |text| image::normalise(text).is_some_and(|full| full == text),
    says: "is not an image reference in full (registry/repository:tag)",
};

/// What an image runs on: architecture and variant.
pub const PLATFORM: Rule = Rule {
    holds: |text| {
        let word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        text.len() <= limits::PLATFORM && text.split('/').count() <= 2 && text.split('/').all(word)
    },
    says: "is not an OCI architecture with its variant, as in amd64, arm64 or arm/v7",
};

/// `env[*].name`.
pub const ENV_NAME: Rule = Rule {
    holds: |text| !text.is_empty() && !text.contains(['=', '\0']),
    says: "is not a name for an environment variable: it must not be empty, and hold no '='",
};

/// One entry of an image's environment.
pub const ENV_ENTRY: Rule = Rule {
    holds: |text| text.split_once('=').is_some_and(|(name, _)| !name.is_empty()) && !text.contains('\0'),
    says: "is not of the form NAME=value",
};

/// `readinessGates[*].conditionType`: the key of a label.
pub const QUALIFIED_NAME: Rule = Rule {
    holds: |text| {
        let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
        let bytes = name.as_bytes();
        let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        prefix.is_none_or(is_subdomain)
            && bytes.len() <= limits::LABEL
            && ends(bytes.first())
            && ends(bytes.last())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
    },
    says: "is not a qualified name: at most 63 of letters, digits, '-', '_' and '.', perhaps after a DNS subdomain and '/'",
};

/// `hostAliases[*].ip`.
pub const ADDRESS: Rule = Rule {
    holds: |text| {
        text.contains(['.', ':'])
            && text.len() <= 45
            && text.bytes().all(|byte| byte.is_ascii_hexdigit() || b".:".contains(&byte))
    },
    says: "is not an IP address",
};

/// A domain or an option of /etc/resolv.conf.
pub const DNS_WORD: Rule = Rule {
    holds: |text| (1..=limits::SUBDOMAIN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()),
    says: "is not one word of /etc/resolv.conf: at most 253 printable characters without blanks",
};

/// `hostAliases[*].hostnames`, with one blank between two.
pub const HOST_NAMES: Rule = Rule {
    holds: |text| text.split(' ').all(is_subdomain),
    says: "is not a list of host names with one blank between two",
};

/// What a manifest and a board must have in common.
pub const CLASS: Rule =
    Rule { holds: codec::is_class, says: "is not a board class: a name of 1 to 32 of a-z, 0-9, '-', '_' and '.'" };

/// A network interface, a tty, a file system: a name that the kernel gave.
pub const KERNEL_NAME: Rule = Rule {
    holds: |text| {
        !text.is_empty()
            && text.len() <= 15
            && text != "."
            && text != ".."
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
    },
    says: "is not a kernel's name: 1 to 15 printable characters without '/' and blanks",
};

/// A sysctl that belongs to a namespace of the pod's, with `.` between its parts (CVE-2022-0811: nothing else gets to the kernel).
pub const SYSCTL: Rule = Rule {
    holds: |text| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        text.len() <= limits::SUBDOMAIN
            && text.split('.').all(|part| !part.is_empty() && part.bytes().all(legal))
            && (text.starts_with("net.") || is_ipc_sysctl(text))
    },
    says: "is not a sysctl of a namespace: kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* and net.* are",
};

/// What a sysctl belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SysctlNamespace {
    /// The network namespace.
    Network,
    /// The IPC namespace.
    Ipc,
}

/// The namespace of a sysctl that [`SYSCTL`] takes.
pub fn sysctl_namespace(name: &str) -> SysctlNamespace {
    if name.starts_with("net.") { SysctlNamespace::Network } else { SysctlNamespace::Ipc }
}

fn is_ipc_sysctl(text: &str) -> bool {
    text == "kernel.sem" || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| text.starts_with(prefix))
}
/// Where a probe or a hook connects to: nothing, for the pod itself, or an address.
pub const PROBE_HOST: Rule =
    Rule { holds: |text| text.is_empty() || (ADDRESS.holds)(text), says: "is neither empty nor an IP address" };

/// `httpGet.path`.
pub const HTTP_PATH: Rule = Rule {
    holds: |text| {
        text.starts_with('/') && text.len() <= limits::HTTP_TEXT && text.bytes().all(|b| b.is_ascii_graphic())
    },
    says: "is not the path of a URL: a / first, then printable ASCII without blanks",
};

/// `httpHeaders[*].name`.
pub const HTTP_NAME: Rule = Rule {
    holds: |text| {
        (1..=limits::HTTP_TEXT).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    },
    says: "is not the name of an HTTP header: A-Z, a-z, 0-9 and '-'",
};

/// `httpHeaders[*].value`.
pub const HTTP_VALUE: Rule = Rule {
    holds: |text| text.len() <= limits::HTTP_TEXT && !text.chars().any(char::is_control),
    says: "is not the value of an HTTP header: it must hold no line break and no other control character",
};

fn is_subdomain(text: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| {
        let part = part.as_bytes();
        part.first().is_some_and(alphanumeric)
            && part.last().is_some_and(alphanumeric)
            && part.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
    };
    text.len() <= limits::SUBDOMAIN && text.split('.').all(is_part)
}

fn is_label(text: &str) -> bool {
    text.len() <= limits::LABEL && !text.contains('.') && is_subdomain(text)
}

fn is_path(text: &str) -> bool {
    text.len() <= limits::PATH && !text.contains('\0')
}

fn is_relative(text: &str) -> bool {
    is_path(text) && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every rule with what it takes and what it refuses.
    #[test]
    fn each_rule_takes_and_refuses() {
        let of = |c: char, n: usize| std::string::String::from_iter(std::iter::repeat_n(c, n));
        let (l63, l64, p1025) = (of('a', 63), of('a', 64), std::format!("/{}", of('a', 1024)));
        let s253 = [l63.as_str(), &l63, &l63, &of('a', 61)].join(".");
        let s254 = [l63.as_str(), &l63, &l63, &of('a', 62)].join(".");
        let table: &[(Rule, &[&str], &[&str])] = &[
            (LABEL, &["a", "0", "a-b", &l63], &["", "A", "a.b", "-a", "a-", "a_b", "ä", &l64]),
            (SUBDOMAIN, &["a", "a.b", "0.a-b", &s253], &["", ".", "a.", ".a", "a..b", "a.-b", "A.b", &s254]),
            (HOST_NAME, &["web", "web.default.svc", &l64], &["", "a b", &s253]),
            (
                MOUNT_PATH,
                &["/a", "/a/b.c", "/..a"],
                &["", "/", "a", "/a/", "//a", "/a//b", "/./a", "/a/..", "/a\0", &p1025],
            ),
            (ABSOLUTE_PATH, &["/", "/a/", "/a/./b", "/..a"], &["", "a", "/..", "/a/../b", "/\0", &p1025]),
            (RELATIVE_PATH, &["a", "a/b"], &["", "/a", "a/", "../a", "a//b", "."]),
            (DEVICE, &["/dev/vda1", "/dev/disk/x"], &["/dev/", "/dev", "vda", "/dev/../etc"]),
            (IMAGE, &["docker.io/library/nginx:latest"], &["nginx", "", "a b"]),
            (ENV_NAME, &["A", "a.b-c"], &["", "A=B", "A\0"]),
            (ENV_ENTRY, &["A=", "A=b=c"], &["", "A", "=b", "A=\0"]),
            (ADDRESS, &["10.0.0.1", "::1"], &["", "10", "10.0.0.1\n", "a b"]),
            (HOST_NAMES, &["a", "a b.c"], &["", "a  b", "a\nb", "a "]),
            (CLASS, &["qemu-virt-aarch64"], &["", "A", "a/b"]),
            (
                SYSCTL,
                &["kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "fs.mqueue.msg_max", "kernel.sem"],
                &[
                    "",
                    "kernel.panic",
                    "vm.swappiness",
                    "net",
                    "net.",
                    "net/ipv4",
                    "net..x",
                    "net.ipv4.a b",
                    "kernel.sem2",
                ],
            ),
            (PROBE_HOST, &["", "10.0.0.1", "::1"], &["localhost", "10.0.0.1:80 "]),
            (HTTP_PATH, &["/", "/a?b=c%20d"], &["", "a", "/a b", "/a\r\n", "/ä"]),
            (HTTP_NAME, &["Host", "X-1"], &["", "A:", "a b"]),
            (HTTP_VALUE, &["", "a: b", "größer"], &["a\r\nb", "\0"]),
            (MOUNT_OPTION, &["noatime", "errors=remount-ro"], &["", "a,b", "a b", "ä", "a\0"]),
            (KERNEL_NAME, &["eth0", "ttyAMA0"], &["", ".", "..", "a/b", "a b", "sixteen-letters-"]),
        ];
        for (rule, good, bad) in table {
            for text in *good {
                assert!((rule.holds)(text), "{text:?} {}", rule.says);
            }
            for text in *bad {
                assert!(!(rule.holds)(text), "{text:?} is taken, against: {}", rule.says);
            }
        }
    }
}
