//! Which of the two manifest slots on flash counts, and which one is written next (failure F9).
//!
//! A slot is known here by its sequence number alone, `None` where it holds nothing that can be used. Numbers wrap, so
//! the newer of two is the one that is fewer steps ahead of the other than behind it.

/// One of the two places on flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The first one.
    A,
    /// The second one.
    B,
}

impl Slot {
    /// Both, in the order on flash.
    pub const BOTH: [Slot; 2] = [Slot::A, Slot::B];

    /// The other one.
    pub const fn other(self) -> Slot {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }

    /// 0 or 1.
    pub const fn index(self) -> usize {
        match self {
            Slot::A => 0,
            Slot::B => 1,
        }
    }
}

/// What the next manifest is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Where: never where the newest one is.
    pub slot: Slot,
    /// Its sequence number.
    pub sequence: u64,
}

/// The slot that counts. Of two equal numbers, and of two that are half the circle apart, slot A has it.
pub fn newest(slots: [Option<u64>; 2]) -> Option<Slot> {
    match slots {
        [None, None] => None,
        [Some(_), None] => Some(Slot::A),
        [None, Some(_)] => Some(Slot::B),
        [Some(a), Some(b)] => Some(if is_newer(b, a) { Slot::B } else { Slot::A }),
    }
}

/// Where the next manifest goes, and under which number: whatever was there before, it will be the newest.
pub fn next(slots: [Option<u64>; 2]) -> Next {
    match newest(slots) {
        None => Next { slot: Slot::A, sequence: 1 },
        Some(newest) => {
            let sequence = slots[newest.index()].unwrap_or_default();
            Next { slot: newest.other(), sequence: sequence.wrapping_add(1) }
        }
    }
}

/// Whether `one` comes after `other` on the circle of sequence numbers.
pub const fn is_newer(one: u64, other: u64) -> bool {
    let ahead = one.wrapping_sub(other);
    ahead != 0 && ahead < 1 << 63
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Failure F9: the counter wraps, equal counters, one from the future.
    #[test]
    fn the_newest_slot_at_the_edges() {
        const HALF: u64 = 1 << 63;
        for (slots, expected) in [
            ([None, None], None),
            ([Some(0), None], Some(Slot::A)),
            ([None, Some(0)], Some(Slot::B)),
            ([Some(1), Some(2)], Some(Slot::B)),
            ([Some(2), Some(1)], Some(Slot::A)),
            ([Some(u64::MAX), Some(0)], Some(Slot::B)),
            ([Some(0), Some(u64::MAX)], Some(Slot::A)),
            ([Some(7), Some(7)], Some(Slot::A)),
            ([Some(1), Some(HALF)], Some(Slot::B)),
            ([Some(0), Some(HALF)], Some(Slot::A)),
            ([Some(HALF), Some(0)], Some(Slot::A)),
        ] {
            assert_eq!(newest(slots), expected, "{slots:?}");
        }
        assert_eq!(next([None, None]), Next { slot: Slot::A, sequence: 1 });
        assert_eq!(next([Some(u64::MAX), None]), Next { slot: Slot::B, sequence: 0 });
    }

    proptest! {
        #[test]
        fn what_is_written_next_is_the_newest_and_spares_the_one_before(a: Option<u64>, b: Option<u64>) {
            let mut slots = [a, b];
            for _ in 0..4 {
                let before = newest(slots);
                let next = next(slots);
                prop_assert_ne!(Some(next.slot), before);
                slots[next.slot.index()] = Some(next.sequence);
                prop_assert_eq!(newest(slots), Some(next.slot));
            }
        }

        #[test]
        fn newer_is_never_mutual(a: u64, b: u64) {
            prop_assert!(!(is_newer(a, b) && is_newer(b, a)));
            prop_assert!(!is_newer(a, a));
            prop_assert!(is_newer(a.wrapping_add(1), a));
        }
    }
}
