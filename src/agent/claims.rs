//! Claims of StatefulSets that go with their set or their pod (`persistentVolumeClaimRetentionPolicy`).
//!
//! Which these are is written down beside them, for the agent with a manifest that does not have them any more: a line with the
//! manifest's sequence, then one for each. A claim goes in one step, in which its directory gets a name among what is to be removed;
//! what a power cut leaves there is removed by the next agent. None goes that a pod has, or that had its last pod by a newer manifest:
//! an older one comes back when the newer one's slot cannot be read.

use super::begin;
use super::drive::Agent;
use super::events::Event;
use super::fail;
use super::kept::Meta;
use super::mounts;
use super::paths::Paths;
use super::trouble::Trouble;
use super::volumes::wipe;
use crate::machine::retention::{Fate, fate};
use crate::machine::slot;
use crate::manifest::owner::{ClaimRetention, Controller, Retention};
use crate::manifest::pod::{Disk, Pod, Source};
use crate::manifest::status::{Uid, message};
use crate::manifest::{check, limits};
use std::format;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::prelude::v1::*;

/// The first word of the file.
const HEAD: &str = "podling-claims-1";

/// A claim that is a StatefulSet's.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    namespace: String,
    name: String,
    set: String,
    retention: ClaimRetention,
}

impl Claim {
    fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    fn line(&self) -> String {
        let Claim { namespace, name, set, retention: ClaimRetention { when_deleted, when_scaled } } = self;
        format!("{namespace} {name} {set} {} {}\n", when_deleted.as_str(), when_scaled.as_str())
    }

    fn parse(line: &str) -> Option<Claim> {
        let word = |word: &str| [Retention::Retain, Retention::Delete].into_iter().find(|it| it.as_str() == word);
        let mut words = line.split(' ');
        let mut next = || words.next();
        let [namespace, name, set] = [next()?, next()?, next()?].map(String::from);
        let retention = ClaimRetention { when_deleted: word(next()?)?, when_scaled: word(next()?)? };
        Some(Claim { namespace, name, set, retention })
    }

    /// Whether a pod has it: one that is here, one of which something is left, or one of the manifest.
    fn is_used(&self, agent: &Agent) -> bool {
        let has = |pod: &Pod<'_>| {
            pod.namespace == self.namespace && pod.volumes.iter().any(|it| on_data(&it.source) == Some(&*self.name))
        };
        let left = |uid: Uid| {
            let kept = Meta::read(&agent.paths().pod(uid));
            kept.is_some_and(|kept| check::manifest(&kept.manifest).is_ok_and(|it| it.pods.iter().any(|pod| has(&pod))))
        };
        agent.manifest().pods.iter().any(|pod| has(&pod))
            || agent.pods().iter().any(|entry| has(entry.manifest()))
            || super::adopt::uids(&agent.paths().pods()).into_iter().any(left)
    }

    /// Gives its directory, if there is one, a name among what is to be removed.
    fn condemn(&self, paths: &Paths) -> io::Result<Option<PathBuf>> {
        let (from, folder) = (paths.claim(&self.namespace, &self.name), paths.condemned());
        fs::create_dir_all(&folder)?;
        let to = folder.join(format!("{}", begin::new_uid()));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            renamed => renamed?,
        }
        for folder in [Some(folder.as_path()), from.parent(), Some(paths.data())].into_iter().flatten() {
            File::open(folder)?.sync_all()?;
        }
        Ok(Some(to))
    }
}

/// The claim that a volume is, where it is on the data partition.
fn on_data<'a>(source: &Source<'a>) -> Option<&'a str> {
    match *source {
        Source::Claim { name: claim, .. } | Source::Block { disk: Disk::Claim { claim, .. }, .. } => Some(claim),
        _ => None,
    }
}

/// Compares the claims that StatefulSets have had with those that they have, and has go what is to go.
pub(super) fn begin(agent: &Agent) {
    let left = fs::read_dir(agent.paths().condemned()).into_iter().flatten().flatten();
    left.for_each(|entry| agent.spawn(purge(entry.path())));
    let Some(sequence) = agent.node().sequence else { return };
    let (newest, known) = read(&agent.paths().kept_claims()).unwrap_or((sequence, Vec::new()));
    if slot::is_newer(newest, sequence) {
        return log::warn!("claims stay as they are: a newer manifest has been here");
    }
    let (mut stay, mut go) = (Vec::new(), Vec::new());
    let mut all = of_pods(agent);
    let has_pod = all.len();
    let is_new = |old: &&Claim| !all[..has_pod].iter().any(|it| it.is(&old.namespace, &old.name));
    let others: Vec<Claim> = known.iter().filter(is_new).cloned().collect();
    all.extend(others);
    for (at, claim) in all.into_iter().enumerate() {
        let mut owners = agent.manifest().claim_owners.iter();
        let now = owners.find(|it| (it.namespace, it.name) == (&claim.namespace, &claim.set)).map(|it| it.retention);
        match fate(claim.retention, now, at < has_pod) {
            Fate::Known(retention) => stay.push(Claim { retention, ..claim }),
            Fate::Free => {}
            Fate::Goes => go.push(claim),
        }
    }
    if stay.len() > limits::KEPT_CLAIMS {
        log::warn!("{} claims stay for ever: too many have a retention policy", stay.len() - limits::KEPT_CLAIMS);
        stay.truncate(limits::KEPT_CLAIMS);
    }
    let all = [&*stay, &*go].concat();
    if (newest, &known) != (sequence, &all)
        && !(known.is_empty() && all.is_empty())
        && let Err(why) = write(agent.paths(), sequence, &all)
    {
        return log::warn!("claims stay as they are: {why}");
    }
    if !go.is_empty() {
        agent.spawn(attend(agent.clone(), sequence, stay, go));
    }
}

/// Has the claims in `go` go, each as soon as no pod has it.
async fn attend(agent: Agent, sequence: u64, mut stay: Vec<Claim>, mut go: Vec<Claim>) {
    while !go.is_empty() && !agent.is_ending() {
        let seen = agent.generation();
        let (used, free): (Vec<Claim>, Vec<Claim>) = go.into_iter().partition(|claim| claim.is_used(&agent));
        go = used;
        let mut condemned = Vec::new();
        for claim in free {
            match claim.condemn(agent.paths()) {
                Ok(path) => {
                    tell(&agent, &claim);
                    condemned.extend(path);
                }
                Err(error) => {
                    log::warn!(
                        "remove the claim {}/{}: {error}; the next agent tries again",
                        claim.namespace,
                        claim.name
                    );
                    stay.push(claim);
                }
            }
        }
        // Where this fails, what is written there and gone is gone for the next agent too.
        if let Err(why) = write(agent.paths(), sequence, &[&*stay, &*go].concat()) {
            log::warn!("{why}");
        }
        fail::point("claims condemned");
        condemned.into_iter().for_each(|path| agent.spawn(purge(path)));
        agent.changed(seen).await;
    }
}

fn tell(agent: &Agent, claim: &Claim) {
    let Claim { namespace, name, set, .. } = claim;
    let text = message(&format!("delete Claim {name} in StatefulSet {set} successful"));
    let about = (&**namespace, &*format!("statefulset/{set}"), "");
    agent.events_mut().add(Event::new(agent.now(), (false, "SuccessfulDelete"), about, text));
    agent.has_changed();
}

/// Removes what is to go, unless something else is mounted in it.
async fn purge(path: PathBuf) {
    let mounted = mounts::below(&path);
    let is_directory = path.symlink_metadata().is_ok_and(|found| found.is_dir());
    let removed = match mounted.first() {
        Some(at) => Err(format!("{} is mounted; unmount it and restart the agent", at.display()).into()),
        None if is_directory => wipe(path.clone()).await,
        // Somebody had put the claim elsewhere: what is there is not the board's.
        None => fs::remove_file(&path).map_err(Trouble::at("remove", &path)),
    };
    if let Err(why) = removed {
        log::warn!("remove {}: {why}", path.display());
    }
}

/// The claims that StatefulSets make for their pods: named by the template and the pod.
fn of_pods(agent: &Agent) -> Vec<Claim> {
    let mut claims = Vec::new();
    for pod in agent.manifest().pods {
        let Some(owner) = pod.owner.filter(|it| matches!(it.controller, Controller::StatefulSet(..))) else { continue };
        for volume in pod.volumes {
            let made = on_data(&volume.source).filter(|it| *it == format!("{}-{}", volume.name, pod.name));
            claims.extend(made.map(|name| Claim {
                namespace: pod.namespace.into(),
                name: name.into(),
                set: owner.name.into(),
                retention: ClaimRetention::default(),
            }));
        }
    }
    claims
}

/// The sequence of the manifest that wrote the file, and the claims; `None` where there is none that this program understands.
fn read(path: &Path) -> Option<(u64, Vec<Claim>)> {
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text.lines();
    let sequence = lines.next()?.strip_prefix(HEAD)?.trim().parse().ok()?;
    Some((sequence, lines.map(Claim::parse).collect::<Option<_>>()?))
}

/// Writes the file so that it is there whole, or as it was, whatever happens to the power.
fn write(paths: &Paths, sequence: u64, claims: &[Claim]) -> Result<(), Trouble> {
    let (path, new) = (paths.kept_claims(), paths.kept_claims().with_extension("new"));
    let text = claims.iter().fold(format!("{HEAD} {sequence}\n"), |text, claim| text + &claim.line());
    let put = || {
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(paths.data())?.sync_all()
    };
    put().map_err(Trouble::at("write", &path))
}
