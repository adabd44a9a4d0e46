//! Readiness gates: conditions that are set from outside, and count towards Ready (spec 46). One that was never set is False.

use crate::manifest::limits;

/// The gates of one pod, by their index in its manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gates {
    /// Those there are, a bit each.
    all: u16,
    /// Those that hold.
    held: u16,
}

const _: () = assert!(limits::READINESS_GATES <= u16::BITS as usize);

impl Gates {
    /// So many, none of which holds.
    pub fn new(count: usize) -> Gates {
        Gates { all: (0..count.min(limits::READINESS_GATES)).fold(0, |all, gate| all | 1 << gate), held: 0 }
    }

    /// One holds now, or no longer does. One that there is not is ignored.
    pub fn set(&mut self, gate: u8, holds: bool) {
        let bit = self.all & 1u16.checked_shl(gate.into()).unwrap_or(0);
        self.held = if holds { self.held | bit } else { self.held & !bit };
    }

    /// Whether the pod may be Ready.
    pub fn open(self) -> bool {
        self.held == self.all
    }
}
