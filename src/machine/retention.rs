//! What becomes of the claims that a StatefulSet has made, as a newer manifest has it (`persistentVolumeClaimRetentionPolicy`).

use crate::manifest::owner::{ClaimRetention, Retention};

/// What becomes of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays, and is remembered as its StatefulSet's, with this policy.
    Known(ClaimRetention),
    /// It stays, whatever a later manifest says.
    Free,
    /// It goes.
    Goes,
}

/// Of a claim that is its StatefulSet's under the policy `known`, where the manifest in force has `now` for the StatefulSet, or does
/// not have it; and where one of its pods there has the claim, or none.
pub const fn fate(known: ClaimRetention, now: Option<ClaimRetention>, has_pod: bool) -> Fate {
    use Retention::Delete;
    match (now, has_pod) {
        (None, false) if matches!(known.when_deleted, Delete) => Fate::Goes,
        (None, _) => Fate::Free,
        (Some(ClaimRetention { when_scaled: Delete, .. }), false) => Fate::Goes,
        (Some(now), true) if matches!(now.when_scaled, Delete) => Fate::Known(now),
        (Some(now), _) if matches!(now.when_deleted, Delete) => Fate::Known(now),
        (Some(_), _) => Fate::Free,
    }
}

#[cfg(test)]
mod tests {
    use super::Retention::{Delete, Retain};
    use super::*;

    const fn policy(when_deleted: Retention, when_scaled: Retention) -> ClaimRetention {
        ClaimRetention { when_deleted, when_scaled }
    }

    #[test]
    fn spec_65_a_claim_goes_with_its_set_or_with_its_pod_as_the_policy_says() {
        let all = [policy(Retain, Retain), policy(Retain, Delete), policy(Delete, Retain), policy(Delete, Delete)];
        for known in all {
            // The set is gone: what was known of it decides.
            let goes = if known.when_deleted == Delete { Fate::Goes } else { Fate::Free };
            assert_eq!(fate(known, None, false), goes);
            // The set is there: what is known does not matter.
            assert_eq!(
                all.map(|now| fate(known, Some(now), true)),
                [Fate::Free, Fate::Known(all[1]), Fate::Known(all[2]), Fate::Known(all[3])]
            );
            let scaled = all.map(|now| fate(known, Some(now), false));
            assert_eq!(scaled, [Fate::Free, Fate::Goes, Fate::Known(all[2]), Fate::Goes]);
        }
    }
}
