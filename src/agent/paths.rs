//! Every path that an agent makes, in one place.
//!
//! ```text
//! RUN/agent.lock             held while an agent lives; its process number
//! RUN/deleted/NS_NAME        a pod that was deleted: stays away until the next boot or manifest
//! RUN/jobs/NS_NAME           how far a Job has come, for the agent that goes on with it
//! RUN/images/SHA256/         a mounted image
//! RUN/pods/UID/meta          what the pod is, for the agent that adopts it
//! RUN/pods/UID/verdict       why it has failed as a whole, where it has
//! RUN/pods/UID/gates         what was set of its readiness gates
//! RUN/pods/UID/ephemeral     the ephemeral containers that were put into it
//! RUN/pods/UID/sock          where its pod-init listens
//! RUN/pods/UID/etc/          its hosts, hostname and resolv.conf, on a tmpfs of their own
//! RUN/pods/UID/etc/words/    the last words of its containers, on the same
//! RUN/pods/UID/volumes/NAME  a mounted volume in memory
//! RUN/pods/UID/logs/         the output of its containers
//! DATA/images/               packed images and their records
//! DATA/pods/UID/volumes/NAME an emptyDir on disk
//! DATA/volumes/NS/CLAIM      a claim: kept for ever, or as its StatefulSet has it
//! DATA/claims                which claims are those of StatefulSets that have them go
//! DATA/condemned/UID         a claim that goes
//! ```

use super::config::Config;
use crate::manifest::status::Uid;
use std::format;
use std::path::{Path, PathBuf};
use std::prelude::v1::*;

/// The directories of an agent.
#[derive(Clone, Debug)]
pub struct Paths {
    run: PathBuf,
    data: PathBuf,
    more_images: Vec<PathBuf>,
}

impl Paths {
    /// Those of an agent with this configuration.
    pub fn new(config: &Config) -> Paths {
        Paths { run: config.run_dir.clone(), data: config.data_dir.clone(), more_images: config.image_dirs.clone() }
    }

    /// Where everything is that a reboot may forget.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// Where everything is that survives.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The lock of the one agent.
    pub fn lock(&self) -> PathBuf {
        self.run.join("agent.lock")
    }

    /// The markers of deleted pods.
    pub fn deleted_pods(&self) -> PathBuf {
        self.run.join("deleted")
    }

    /// The marker of one. Neither name can hold a `_`, so that no two pods share one.
    pub fn deleted(&self, namespace: &str, name: &str) -> PathBuf {
        self.deleted_pods().join(format!("{namespace}_{name}"))
    }

    /// How far the Jobs have come.
    pub fn jobs(&self) -> PathBuf {
        self.run.join("jobs")
    }

    /// The mounted images.
    pub fn mounted_images(&self) -> PathBuf {
        self.run.join("images")
    }

    /// Where packed images are looked for, in this order.
    pub fn images(&self) -> impl Iterator<Item = PathBuf> + '_ {
        core::iter::once(self.data.join("images")).chain(self.more_images.iter().cloned())
    }

    /// The pods of this boot.
    pub fn pods(&self) -> PathBuf {
        self.run.join("pods")
    }

    /// One pod.
    pub fn pod(&self, uid: Uid) -> PodPaths {
        let name = format!("{uid}");
        PodPaths { run: self.pods().join(&name), data: self.pods_on_disk().join(name) }
    }

    /// What pods have on disk for as long as they live.
    pub fn pods_on_disk(&self) -> PathBuf {
        self.data.join("pods")
    }

    /// Which claims go with their StatefulSets.
    pub fn kept_claims(&self) -> PathBuf {
        self.data.join("claims")
    }

    /// Claims that go.
    pub fn condemned(&self) -> PathBuf {
        self.data.join("condemned")
    }

    /// The directory of a claim (spec 35).
    pub fn claim(&self, namespace: &str, name: &str) -> PathBuf {
        self.data.join("volumes").join(namespace).join(name)
    }
}

/// The paths of one pod.
#[derive(Clone, Debug)]
pub struct PodPaths {
    /// In memory.
    pub run: PathBuf,
    /// On disk.
    pub data: PathBuf,
}

impl PodPaths {
    /// What the pod is.
    pub fn meta(&self) -> PathBuf {
        self.run.join("meta")
    }

    /// Why it has failed as a whole, where it has.
    pub fn verdict(&self) -> PathBuf {
        self.run.join("verdict")
    }

    /// What was set of its readiness gates.
    pub fn gates(&self) -> PathBuf {
        self.run.join("gates")
    }

    /// The ephemeral containers that were put into it.
    pub fn ephemeral(&self) -> PathBuf {
        self.run.join("ephemeral")
    }

    /// Where its pod-init listens.
    pub fn socket(&self) -> PathBuf {
        self.run.join("sock")
    }

    /// Its managed files.
    pub fn etc(&self, file: &str) -> PathBuf {
        self.run.join("etc").join(file)
    }

    /// The last words of its containers.
    pub fn words(&self) -> PathBuf {
        self.etc("words")
    }

    /// The output of its containers.
    pub fn logs(&self) -> PathBuf {
        self.run.join("logs")
    }

    /// A volume in memory.
    pub fn memory_volume(&self, name: &str) -> PathBuf {
        self.run.join("volumes").join(name)
    }

    /// A volume on disk.
    pub fn disk_volume(&self, name: &str) -> PathBuf {
        self.data.join("volumes").join(name)
    }
}
