//! The columns of `get pods`: kubectl's `printPod`, for every combination of states; ages and dates.

use crate::fake::{NOW, SYNCED, exit, running, status, view};
use podling::console::clock::{Age, Clock, Date};
use podling::console::view::ContainerView;
use podling::manifest::pod::ContainerKind::{App, Init, Sidecar};
use podling::manifest::status::{ContainerState, Exit, Phase, Reason, Terminated};
use podling::manifest::time::{Duration, Instant};
use proptest::prelude::*;

fn waiting(reason: Reason) -> ContainerState {
    ContainerState::Waiting(reason)
}

fn ended(code: u8) -> ContainerState {
    ContainerState::Terminated(exit(code))
}

fn oom() -> ContainerState {
    let exit = Exit { code: 137, signal: 9, oom: true };
    ContainerState::Terminated(Terminated { reason: Reason::OomKilled, exit, started: None, finished: NOW })
}

fn columns(phase: Phase, containers: &[ContainerView<'static>]) -> String {
    let summary = status(phase, containers).summary();
    format!("{}/{} {}", summary.ready, summary.total, summary.status)
}

/// Spec 44, 47: the words that people know.
#[test]
fn spec_44_47_status_column() {
    use Phase::{Failed, Pending, Running, Succeeded};
    use Reason::*;
    let unready = |state| ContainerView { ready: false, ..view(App, state) };
    let table: [(Phase, Vec<ContainerView<'static>>, &str); 31] = [
        (Pending, vec![view(App, waiting(ContainerCreating))], "0/1 ContainerCreating"),
        (Running, vec![view(App, running())], "1/1 Running"),
        (Running, vec![view(App, running()), view(App, running())], "2/2 Running"),
        (Running, vec![unready(running())], "0/1 Running"),
        (Pending, vec![view(App, waiting(ImageMissing))], "0/1 ImageMissing"),
        (Pending, vec![view(App, waiting(ImageInvalid))], "0/1 ImageInvalid"),
        (Pending, vec![view(App, waiting(CreateContainerConfigError))], "0/1 CreateContainerConfigError"),
        (Pending, vec![view(App, waiting(CreateContainerError))], "0/1 CreateContainerError"),
        (Running, vec![view(App, waiting(RunContainerError))], "0/1 RunContainerError"),
        (Running, vec![view(App, waiting(CrashLoopBackOff))], "0/1 CrashLoopBackOff"),
        (Running, vec![view(App, running()), view(App, waiting(CrashLoopBackOff))], "1/2 CrashLoopBackOff"),
        (Running, vec![view(App, waiting(CrashLoopBackOff)), view(App, ended(1))], "0/2 CrashLoopBackOff"),
        (Running, vec![view(App, ended(1)), view(App, waiting(CrashLoopBackOff))], "0/2 Error"),
        (Succeeded, vec![view(App, ended(0))], "0/1 Completed"),
        (Failed, vec![view(App, ended(1))], "0/1 Error"),
        (Failed, vec![view(App, oom())], "0/1 OOMKilled"),
        (Running, vec![view(App, ended(0)), view(App, running())], "1/2 NotReady"),
        (Running, vec![view(App, ended(1)), view(App, running())], "1/2 Error"),
        (Failed, vec![view(App, ended(0)), view(App, ended(1))], "0/2 Completed"),
        // Init containers, one after another (spec 36).
        (Pending, vec![view(Init, waiting(PodInitializing)), view(App, waiting(PodInitializing))], "0/1 Init:0/1"),
        (Pending, vec![view(Init, running()), view(App, waiting(PodInitializing))], "0/1 Init:0/1"),
        (
            Pending,
            vec![view(Init, ended(0)), view(Init, running()), view(App, waiting(PodInitializing))],
            "0/1 Init:1/2",
        ),
        (Pending, vec![view(Init, ended(2)), view(App, waiting(PodInitializing))], "0/1 Init:Error"),
        (Pending, vec![view(Init, oom()), view(App, waiting(PodInitializing))], "0/1 Init:OOMKilled"),
        (
            Pending,
            vec![view(Init, waiting(CrashLoopBackOff)), view(App, waiting(PodInitializing))],
            "0/1 Init:CrashLoopBackOff",
        ),
        (
            Pending,
            vec![view(Init, waiting(ImageMissing)), view(App, waiting(PodInitializing))],
            "0/1 Init:ImageMissing",
        ),
        (Pending, vec![view(Init, ended(0)), view(App, waiting(PodInitializing))], "0/1 PodInitializing"),
        (Running, vec![view(Init, ended(0)), view(App, running())], "1/1 Running"),
        // Sidecars count among the containers that should be ready.
        (Running, vec![view(Sidecar, running()), view(App, running())], "2/2 Running"),
        (
            Pending,
            vec![view(Sidecar, running()), view(Init, running()), view(App, waiting(PodInitializing))],
            "1/2 Init:1/2",
        ),
        (Succeeded, vec![view(Sidecar, ended(0)), view(App, ended(0))], "0/2 Completed"),
    ];
    let unknown = columns(Phase::Unknown, &[view(Init, waiting(ContainerStatusUnknown)), unready(running())]);
    assert_eq!(unknown, "0/1 Unknown", "whatever was known before");
    for (n, (phase, containers, expected)) in table.into_iter().enumerate() {
        assert_eq!(columns(phase, &containers), expected, "row {n}");
    }
}

/// Spec 68: a pod that is being deleted lists as Terminating, unless it is over anyway (spec 53).
#[test]
fn spec_68_terminating() {
    let mut pod = status(Phase::Running, &[view(App, running())]);
    pod.terminating = true;
    assert_eq!(pod.summary().status, "Terminating");
    let mut pod = status(Phase::Unknown, &[view(App, waiting(Reason::ContainerStatusUnknown))]);
    pod.terminating = true;
    assert_eq!(pod.summary().status, "Terminating");
    let mut pod = status(Phase::Succeeded, &[view(App, ended(0))]);
    pod.terminating = true;
    assert_eq!(pod.summary().status, "Completed");
}

/// While init containers run, their restarts are shown; afterwards those of the app containers and sidecars.
#[test]
fn restarts_are_counted_as_kubectl_counts_them() {
    let with = |container: ContainerView<'static>, restarts, at| ContainerView {
        restarts,
        last: Some(Terminated { finished: Instant(at), ..exit(1) }),
        ..container
    };
    let init = with(view(Init, ended(0)), 5, 900);
    let side = with(view(Sidecar, running()), 2, 100);
    let app = with(view(App, running()), 3, 400);
    let summary = status(Phase::Running, &[init, side, app]).summary();
    assert_eq!((summary.restarts, summary.last_restart), (5, Some(Instant(400))));
    let early = with(view(Init, running()), 5, 900);
    let summary = status(Phase::Pending, &[early, side, app]).summary();
    assert_eq!((summary.restarts, summary.last_restart), (5, Some(Instant(900))));
}

#[test]
fn ages_are_kubectls() {
    let (m, h, d) = (60, 3600, 86_400);
    let table = [
        (0, "0s"),
        (45, "45s"),
        (119, "119s"),
        (120, "2m"),
        (192, "3m12s"),
        (9 * m + 59, "9m59s"),
        (10 * m, "10m"),
        (179 * m + 59, "179m"),
        (180 * m, "3h"),
        (5 * h + 3 * m, "5h3m"),
        (8 * h + 30 * m, "8h"),
        (47 * h, "47h"),
        (48 * h, "2d"),
        (2 * d + 4 * h, "2d4h"),
        (8 * d, "8d"),
        (729 * d, "729d"),
        (730 * d, "2y"),
        (800 * d, "2y70d"),
        (3000 * d, "8y"),
    ];
    for (seconds, expected) in table {
        assert_eq!(Age(Duration::from_secs(seconds)).to_string(), expected);
    }
    assert!(!Age(Duration(u64::MAX)).to_string().is_empty());
}

/// Spec 103: dates are only shown by a clock that has been set; nothing else goes by it.
#[test]
fn spec_103_dates() {
    let clock = Clock::new(NOW, SYNCED);
    let date = clock.date(Instant(NOW.0 - 3_600_000)).unwrap();
    assert_eq!(date.to_string(), "2026-11-20T12:00:00Z");
    assert_eq!(date.long().to_string(), "Fri, 20 Nov 2026 12:00:00 +0000");
    assert_eq!(Clock::new(NOW, 3_600_000).date(NOW), None);
    assert_eq!(Date::from_unix(951_782_400).to_string(), "2000-02-29T00:00:00Z");
    assert_eq!(Date::from_unix(4_107_542_399).to_string(), "2100-02-28T23:59:59Z");
    assert_eq!(Date::from_unix(4_107_542_400).to_string(), "2100-03-01T00:00:00Z");
}

fn states() -> impl Strategy<Value = ContainerState> {
    use Reason::*;
    prop_oneof![
        prop::sample::select(vec![ContainerCreating, PodInitializing, CrashLoopBackOff, ImageMissing])
            .prop_map(waiting),
        Just(running()),
        any::<u8>().prop_map(ended),
        Just(oom()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the states, READY never counts more than there are, and STATUS is never empty.
    #[test]
    fn columns_make_sense(kinds in prop::collection::vec((prop::sample::select(vec![Init, Sidecar, App]), states(), any::<u32>()), 0..16)) {
        let mut views: Vec<_> = kinds.into_iter().map(|(kind, state, restarts)| ContainerView { restarts, ..view(kind, state) }).collect();
        views.sort_by_key(|view| view.kind == App);
        let summary = status(Phase::Running, &views).summary();
        prop_assert!(summary.ready <= summary.total);
        prop_assert!(!summary.status.is_empty());
    }
}
