//! Ephemeral containers (spec 37): what is put into a running pod by hand.

use super::pod::Container;
use serde::{Deserialize, Serialize};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ephemeral<'a> {
    /// What it is, of the kind [`super::pod::ContainerKind::Ephemeral`].
    #[serde(borrow)]
    pub container: Container<'a>,
    /// `targetContainerName`: the container whose processes it sees.
    pub target: Option<&'a str>,
}
