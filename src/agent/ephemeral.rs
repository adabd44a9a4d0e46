//! Ephemeral containers (spec 37): put into a running pod by hand, and kept on file beside it for the agent that adopts it.

use super::drive::{Agent, Entry};
use super::images::{self, Record};
use super::paths::PodPaths;
use super::start::Bytes;
use super::trouble::Trouble;
use super::verbs::{Refusal, running};
use super::{fail, logs};
use crate::machine::effect::Event;
use crate::manifest::check::rule;
use crate::manifest::ephemeral::Ephemeral;
use crate::manifest::image::normalise;
use crate::manifest::limits;
use crate::manifest::pod::{Confinement, Container, ContainerKind, RunAs, Security};
use crate::manifest::status::Uid;
use crate::manifest::terminal::Stdin;
use std::format;
use std::fs;
use std::prelude::v1::*;

/// CAP_SYS_PTRACE: to look into the processes of others, as kubectl's `general` profile has it.
const SYS_PTRACE: u64 = 1 << 19;

/// What is to be put into a running pod.
#[derive(Clone, Copy, Debug)]
pub struct Debug<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The pod.
    pub pod: &'a str,
    /// Its name; one is made up where there is none.
    pub name: Option<&'a str>,
    /// An image that is on this board.
    pub image: &'a str,
    /// The container whose processes it is to see.
    pub target: Option<&'a str>,
    /// Its program and arguments; the image's where there are none.
    pub argv: &'a [&'a str],
    /// Keep its standard input open.
    pub stdin: bool,
    /// Give it a terminal.
    pub tty: bool,
}

/// One of them, as it was written.
#[derive(Clone, Debug)]
pub(super) struct Kept(Box<[u8]>);

impl Kept {
    fn new(ephemeral: &Ephemeral<'_>) -> Kept {
        Kept(postcard::to_extend(ephemeral, Vec::new()).unwrap_or_default().into())
    }

    /// What it is; `None` where its bytes are not those of one.
    pub(super) fn get(&self) -> Option<Ephemeral<'_>> {
        postcard::from_bytes(&self.0).ok()
    }
}

/// Those that an agent before this one has put into a pod, in order.
pub(super) fn read(own: &PodPaths) -> Vec<Kept> {
    let bytes = fs::read(own.ephemeral()).unwrap_or_default();
    let mut rest = bytes.as_slice();
    let mut all = Vec::new();
    while let Ok((_, after)) = postcard::take_from_bytes::<Ephemeral<'_>>(rest) {
        if after.len() == rest.len() {
            break;
        }
        all.push(Kept(rest[..rest.len() - after.len()].into()));
        rest = after;
    }
    all.truncate(limits::EPHEMERAL);
    all
}

fn write(own: &PodPaths, all: &[Kept]) -> Result<(), Trouble> {
    let bytes: Vec<u8> = all.iter().flat_map(|kept| kept.0.iter().copied()).collect();
    let whole = own.run.join("ephemeral.new");
    fs::write(&whole, bytes).map_err(Trouble::at("write", &whole))?;
    fs::rename(&whole, own.ephemeral()).map_err(Trouble::at("write", &own.ephemeral()))
}

/// They end with the sandbox that they were put into.
pub(super) fn forget(own: &PodPaths) {
    let _ = fs::remove_file(own.ephemeral());
}

impl Entry {
    /// The ephemeral containers, in the order of the machine.
    pub fn ephemeral(&self) -> impl Iterator<Item = Ephemeral<'_>> {
        self.ephemeral.iter().filter_map(Kept::get)
    }

    /// A container by its index in the machine: one of the manifest's, or an ephemeral one behind them.
    pub fn container(&self, index: usize) -> Option<Container<'_>> {
        let declared = self.manifest().containers;
        let put_in = || self.ephemeral.get(index.checked_sub(declared.len())?)?.get();
        declared.get(index).or_else(|| Some(put_in()?.container))
    }

    /// The index of the container of that name.
    pub fn position(&self, name: &str) -> Option<usize> {
        let declared = self.manifest().containers.iter();
        declared.map(|it| it.name).chain(self.ephemeral().map(|it| it.container.name)).position(|other| other == name)
    }
}

impl Agent {
    /// Puts a container into a running pod, and has it started; gives its name.
    ///
    /// # Errors
    /// There is no such pod, container or image, or no room for it.
    pub fn debug(&self, asked: &Debug<'_>) -> Result<String, Refusal> {
        let image = self.image_on_board(asked.image)?;
        let (uid, index, name, kept) = {
            let entry = self.find(asked.namespace, asked.pod).ok_or(Refusal::NoSuchPod)?;
            if entry.machine().is_terminating() {
                return Err(Refusal::Terminating);
            }
            let target = asked.target.map(|target| running(&entry, target)).transpose()?;
            let name = match asked.name {
                None => made_up(),
                Some(name) if !(rule::LABEL.holds)(name) => {
                    return Err(refused(&format!("the name {name} {}", rule::LABEL.says)));
                }
                Some(name) if entry.position(name).is_some() => {
                    return Err(refused(&format!("container {name} is in pod {} already", asked.pod)));
                }
                Some(name) => name.into(),
            };
            let Some(index) = entry.machine().room() else { return Err(no_room(&entry)) };
            let first_app = || entry.manifest().containers.iter().find(|it| it.kind == ContainerKind::App);
            let like = target.and_then(|at| entry.container(at.into())).or_else(first_app).unwrap_or_default();
            let RunAs { user, group, non_root } = entry.manifest().run_as;
            let words: Bytes = asked.argv.iter().collect();
            let container = Container {
                name: &name,
                kind: ContainerKind::Ephemeral,
                image: &image,
                command: (!asked.argv.is_empty()).then(|| words.list()),
                security: Security {
                    run_as_user: user,
                    run_as_group: group,
                    run_as_non_root: non_root,
                    capabilities: Security::DEFAULT_CAPABILITIES | SYS_PTRACE,
                    ..Security::default()
                },
                confinement: Confinement { seccomp: like.confinement.seccomp, ..Confinement::default() },
                stdin: if asked.stdin { Stdin::Kept } else { Stdin::None },
                tty: asked.tty,
                ..Container::default()
            };
            let kept = Kept::new(&Ephemeral { container, target: asked.target });
            (entry.uid(), index, name, kept)
        };
        self.keep_ephemeral(uid, index, kept)?;
        fail::point("ephemeral kept");
        self.step(uid, Event::Debug { container: index });
        Ok(name)
    }

    /// First on file, so that an agent that dies here does not leave a container that nobody knows.
    fn keep_ephemeral(&self, uid: Uid, index: u8, kept: Kept) -> Result<(), Refusal> {
        let own = self.paths().pod(uid);
        let kept = self.with_entry(uid, |entry| {
            let at = usize::from(index).saturating_sub(entry.manifest().containers.len());
            match entry.ephemeral.get_mut(at) {
                Some(before) => {
                    before.get().into_iter().for_each(|it| logs::remove(&own, it.container.name));
                    *before = kept;
                }
                None => entry.ephemeral.push(kept),
            }
            write(&own, &entry.ephemeral)
        });
        kept.ok_or(Refusal::NoSuchPod)?.map_err(|why| refused(&format!("{why}")))
    }

    /// The whole name of an image that runs on this board.
    fn image_on_board(&self, name: &str) -> Result<String, Refusal> {
        let Some(full) = normalise(name) else {
            return Err(refused(&format!("{name} is not an image reference: registry/name:tag")));
        };
        let read = Record::read(self.paths(), &full).and_then(|it| it.image_for(&self.node().machine).map(drop));
        match read {
            Ok(()) => Ok(String::from(&*full)),
            Err(why) => {
                let there = match images::on_board(self.paths()) {
                    all if all.is_empty() => "there is no image on it".into(),
                    all => format!("these are on it: {}", all.join(", ")),
                };
                Err(refused(&format!("{}; {there}", why.why)))
            }
        }
    }
}

fn refused(why: &str) -> Refusal {
    Refusal::Failed(why.into())
}

/// Why one more is not possible.
fn no_room(entry: &Entry) -> Refusal {
    let (declared, put_in) = (entry.manifest().containers.len(), entry.ephemeral.len());
    if put_in == limits::EPHEMERAL || declared + put_in == limits::CONTAINERS {
        let (most, all) = (limits::EPHEMERAL, limits::CONTAINERS);
        return refused(&format!(
            "there is no room for one more container: a pod has at most {most} ephemeral ones at once, and {all} in all; end one first"
        ));
    }
    refused("the pod is not running")
}

/// `debugger-x7k2p`, as kubectl's.
fn made_up() -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut bytes = [0; 5];
    // So few bytes come at once, or the name is a plain one.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    let letters = bytes.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
    format!("debugger-{}", String::from_iter(letters))
}
