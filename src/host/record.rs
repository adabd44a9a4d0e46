//! An image's configuration as the board reads it: users looked up in the image's own files, signals as numbers.

use super::arena::Arena;
use super::layers::Rootfs;
use super::select;
use super::tarstream::show;
use crate::manifest::image::Image;
use crate::manifest::limits;
use crate::manifest::pod::Port;
use anyhow::{Context, Result, ensure};
use oci_spec::image::{Config, ImageConfiguration};
use std::collections::BTreeSet;
use std::prelude::v1::*;
use std::{format, vec};

/// Bytes of an image's /etc/passwd or /etc/group.
const USERS: u64 = 4 << 20;
/// What ends a container whose image says nothing: SIGTERM.
const TERM: u8 = 15;

/// The file that a squashfs became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// SHA-256 of it.
    pub sha256: [u8; 32],
    /// Bytes of it.
    pub size: u64,
}

/// The record of the image `config` with the files `rootfs`, packed as `packed`. What is left out is told to `warn`.
pub fn record<'a>(
    arena: &'a Arena,
    reference: &'a str,
    config: &ImageConfiguration,
    rootfs: &Rootfs,
    packed: Packed,
    warn: &mut dyn FnMut(String),
) -> Result<Image<'a>> {
    let platform = arena.str(&select::platform_of(config));
    let default = Config::default();
    let config = config.config().as_ref().unwrap_or(&default);
    let user = resolve_user(config.user().as_deref().unwrap_or(""), &Users::read(rootfs)?)?;
    let stop_signal = match config.stop_signal().as_deref().unwrap_or("") {
        "" => TERM,
        name => {
            signal(name).with_context(|| format!("the image's StopSignal {} is no signal", show(name.as_bytes())))?
        }
    };
    let words = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    Ok(Image {
        reference,
        platform,
        sha256: packed.sha256,
        size: packed.size,
        entrypoint: strings(arena, "Entrypoint", &words(config.entrypoint()))?,
        cmd: strings(arena, "Cmd", &words(config.cmd()))?,
        env: strings(arena, "Env", &environment(words(config.env()), warn))?,
        working_dir: arena.str(&working_dir(config.working_dir().as_deref().unwrap_or(""))?),
        uid: user.uid,
        gid: user.gid,
        groups: arena.list(user.groups),
        stop_signal,
        ports: arena.list(ports(&words(config.exposed_ports()), warn)?),
    })
}

fn strings<'a>(arena: &'a Arena, field: &str, list: &[String]) -> Result<crate::manifest::List<'a, &'a str>> {
    for text in list {
        ensure!(!text.contains('\0'), "a NUL is in the image's {field}");
        ensure!(
            text.len() <= limits::STRING,
            "a string of the image's {field} is longer than {} bytes",
            limits::STRING
        );
    }
    Ok(arena.list(list.iter().map(|text| arena.str(text))))
}

fn environment(env: Vec<String>, warn: &mut dyn FnMut(String)) -> Vec<String> {
    let (good, bad): (Vec<_>, Vec<_>) = env.into_iter().partition(|entry| entry.find('=').is_some_and(|at| at > 0));
    for entry in bad {
        warn(format!("the image's environment holds {}, which is no NAME=value: left out", show(entry.as_bytes())));
    }
    good
}

/// The image's directory as an absolute path without `.` and `..`.
fn working_dir(path: &str) -> Result<String> {
    ensure!(
        !path.contains('\0') && path.len() < limits::PATH,
        "the image's WorkingDir {} is no path",
        show(path.as_bytes())
    );
    let mut parts: Vec<&str> = vec![];
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Ok(format!("/{}", parts.join("/")))
}

/// `80/tcp`, `53/udp`, `8080`, `7000-7003`.
fn ports(exposed: &[String], warn: &mut dyn FnMut(String)) -> Result<Vec<Port>> {
    let mut all = BTreeSet::new();
    for text in exposed.iter().collect::<BTreeSet<_>>() {
        let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
        match (number(first), number(last), protocol.to_ascii_lowercase().as_str()) {
            (Some(first), Some(last), protocol @ ("tcp" | "udp")) => {
                all.extend((first..=last).map(|port| (port, protocol == "udp")))
            }
            _ => warn(format!(
                "the image's port {} is left out: only TCP and UDP ports are known",
                show(text.as_bytes())
            )),
        }
    }
    if all.len() > limits::PORTS {
        warn(format!("the image exposes {} ports: only the first {} are kept", all.len(), limits::PORTS));
    }
    Ok(all.into_iter().take(limits::PORTS).map(|(container, udp)| Port { container, udp }).collect())
}

/// The number of a signal, by number or by its Linux name on ARM and x86, with or without `SIG`.
pub fn signal(name: &str) -> Option<u8> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    // Below these two, the C library keeps signals for itself.
    const RTMIN: u8 = 34;
    const RTMAX: u8 = 64;
    let valid = |number: u8| (1..=RTMAX).contains(&number).then_some(number);
    if let Ok(number) = name.parse() {
        return valid(number);
    }
    let upper = name.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |text: &str, sign| {
        if text.is_empty() { Some(0) } else { text.strip_prefix(sign)?.parse::<u8>().ok() }
    };
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return RTMIN.checked_add(offset(rest, '+')?).and_then(valid);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return RTMAX.checked_sub(offset(rest, '-')?).filter(|&number| number >= RTMIN);
    }
    match name {
        "IOT" => Some(6),
        "CLD" => Some(17),
        "POLL" => Some(29),
        _ => NAMES.iter().position(|known| *known == name).map(|index| index as u8 + 1),
    }
}

/// The image's /etc/passwd and /etc/group; empty where it has none.
#[derive(Debug, Default)]
pub struct Users {
    passwd: String,
    group: String,
}

impl Users {
    fn read(rootfs: &Rootfs) -> Result<Users> {
        let text = |name| {
            Ok::<_, anyhow::Error>(String::from_utf8_lossy(&rootfs.read(name, USERS)?.unwrap_or_default()).into_owned())
        };
        Ok(Users { passwd: text("etc/passwd")?, group: text("etc/group")? })
    }

    /// Name, uid and gid of the users, in order.
    fn passwd(&self) -> impl Iterator<Item = (&str, u32, u32)> {
        self.passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            Some((name, id(uid)?, id(gid)?))
        })
    }

    /// Name, gid and members of the groups, in order.
    fn group(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
            Some((name, id(gid)?, fields.next().unwrap_or("")))
        })
    }
}

/// A user or group number. The largest one means "none" to the kernel.
fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&id| id != u32::MAX)
}

/// Whom a container runs as.
#[derive(Debug, PartialEq, Eq)]
pub struct User {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

/// `User` of an image as Docker reads it: `""`, `uid`, `name`, `uid:gid`, `name:group`.
fn resolve_user(text: &str, users: &Users) -> Result<User> {
    let (user, group) = text
        .split_once(':')
        .map_or((text, None), |(user, group)| (user, Some(group).filter(|group| !group.is_empty())));
    let user = if user.is_empty() { "0" } else { user };
    let number = id(user);
    let entry = users.passwd().find(|(name, uid, _)| *name == user || number == Some(*uid));
    let (name, uid, own_gid) = match (entry, number) {
        (Some((name, uid, gid)), _) => (Some(name), uid, gid),
        (None, Some(uid)) => (None, uid, 0),
        (None, None) => {
            return Err(anyhow::anyhow!(
                "the image's User {} is not in its /etc/passwd: fix the image, or give the user as a number",
                show(user.as_bytes())
            ));
        }
    };
    if let Some(group) = group {
        let found =
            users.group().find(|(name, gid, _)| *name == group || id(group) == Some(*gid)).map(|(_, gid, _)| gid);
        let gid = found.or_else(|| id(group));
        let gid = gid.with_context(|| {
            format!(
                "the image's group {} is not in its /etc/group: fix the image, or give the group as a number",
                show(group.as_bytes())
            )
        })?;
        return Ok(User { uid, gid, groups: vec![] });
    }
    let is_member = |members: &str| name.is_some_and(|name| members.split(',').any(|member| member == name));
    let groups: BTreeSet<u32> = users
        .group()
        .filter(|(_, gid, members)| *gid != own_gid && is_member(members))
        .map(|(_, gid, _)| gid)
        .collect();
    ensure!(
        groups.len() <= limits::GROUPS,
        "the image's User is in {} groups; at most {} are possible",
        groups.len(),
        limits::GROUPS
    );
    Ok(User { uid, gid: own_gid, groups: groups.into_iter().collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:\napp:x:1000:1000::/:\nbroken\n";
        let group = "root:x:0:\nadm:x:4:root,app\nwww-data:x:33:\ntape:x:26:app\napp:x:1000:app\n";
        Users { passwd: passwd.into(), group: group.into() }
    }

    #[test]
    fn users_are_resolved_as_docker_does() {
        let is = |text: &str, uid, gid, groups: &[u32]| {
            assert_eq!(resolve_user(text, &users()).unwrap(), User { uid, gid, groups: groups.to_vec() }, "{text:?}");
        };
        is("", 0, 0, &[4]);
        is("www-data", 33, 33, &[]);
        is("app", 1000, 1000, &[4, 26]);
        is("1000", 1000, 1000, &[4, 26]);
        is("app:", 1000, 1000, &[4, 26]);
        is("app:adm", 1000, 4, &[]);
        is("1000:26", 1000, 26, &[]);
        is("5000", 5000, 0, &[]);
        is("5000:6000", 5000, 6000, &[]);
        is(":adm", 0, 4, &[]);
        for unknown in ["nobody", "app:nogroup", "4294967295", "-1", "app:-1"] {
            assert!(resolve_user(unknown, &users()).is_err(), "{unknown}");
        }
        assert_eq!(resolve_user("7:8", &Users::default()).unwrap(), User { uid: 7, gid: 8, groups: vec![] });
    }

    #[test]
    fn signals_have_numbers_and_names() {
        for (name, number) in [
            ("SIGTERM", 15),
            ("TERM", 15),
            ("term", 15),
            ("9", 9),
            ("SIGQUIT", 3),
            ("SIGRTMIN+3", 37),
            ("RTMIN", 34),
            ("RTMAX", 64),
            ("RTMAX-14", 50),
            ("SIGSYS", 31),
            ("WINCH", 28),
        ] {
            assert_eq!(signal(name), Some(number), "{name}");
        }
        for none in ["0", "65", "SIG", "", "SIGFOO", "RTMIN+31", "RTMIN-1", "RTMAX-31", "RTMAX+1", "256", "-1"] {
            assert_eq!(signal(none), None, "{none}");
        }
    }

    #[test]
    fn directories_are_absolute_and_clean() {
        for (from, to) in [("", "/"), ("/", "/"), ("app", "/app"), ("/a/./b/../c/", "/a/c"), ("/../..", "/")] {
            assert_eq!(working_dir(from).unwrap(), to);
        }
        assert!(working_dir("a\0b").is_err());
    }

    #[test]
    fn ports_are_sorted_and_unknown_ones_warned_about() {
        let mut warnings = vec![];
        let list = ["8080", "53/udp", "80/tcp", "7000-7001/TCP", "5/sctp", "0", "x"].map(String::from);
        let found: Vec<(u16, bool)> = ports(&list, &mut |text| warnings.push(text))
            .unwrap()
            .iter()
            .map(|port| (port.container, port.udp))
            .collect();
        assert_eq!(found, [(53, true), (80, false), (7000, false), (7001, false), (8080, false)]);
        assert_eq!(warnings.len(), 3);
    }
}
