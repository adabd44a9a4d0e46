//! What an agent makes of a pod as a whole: deadlines, gates, admission. Needs root.

mod node;

use node::{FOREVER, Node, pod};
use podling::agent::{self, Gate, Refusal};
use podling::manifest::pod::Pod;
use podling::manifest::status::{ConditionKind, Phase, Reason, Verdict};
use std::fs;

#[test]
fn spec_46_a_readiness_gate_is_set_from_outside() {
    let node = Node::new();
    let more = "readinessGates: [{conditionType: a/warm}, {conditionType: Served}]";
    let run_dir = node.run_dir();
    node.run(&pod("gated", "exec sleep 1000", more, ""), async move |board| {
        board.running("gated", "main").await;
        let set = |name: &str, holds| {
            let (since, reason, message) = (board.0.now(), "Tested".to_owned(), "by hand".to_owned());
            board.0.set_gate("default", "gated", Gate { name: name.into(), holds, since, reason, message })
        };
        let ready = |agent: &agent::Agent| {
            let entry = agent.find("default", "gated")?;
            entry.machine().conditions().iter().find(|it| it.kind == ConditionKind::Ready).map(|it| it.status)
        };
        assert_eq!(set("nothing", true), Err(Refusal::NoSuchGate("nothing".into())));
        assert_eq!((set("a/warm", true), ready(&board.0)), (Ok(()), Some(false)));
        assert_eq!((set("Served", true), ready(&board.0)), (Ok(()), Some(true)));
        let since = board.0.gates(&board.0.find("default", "gated").unwrap())[1].since;
        assert_eq!((set("Served", true), ready(&board.0)), (Ok(()), Some(true)));
        let again = board.0.gates(&board.0.find("default", "gated").unwrap());
        assert_eq!((again.len(), again[1].since, again[1].message.as_str()), (2, since, "by hand"));
        assert_eq!((set("a/warm", false), ready(&board.0)), (Ok(()), Some(false)));
        // What the next agent would read.
        let record = fs::read_to_string(run_dir.join("pods").join(board.uid("gated")).join("gates")).unwrap();
        assert!(record.contains("a/warm\tfalse\t") && record.contains("Served\ttrue\t"), "{record}");
    });
}

/// The higher priority goes first wherever it stands; the other begins when the first is gone.
#[test]
fn spec_96_a_pod_waits_until_there_is_room_for_it() {
    let node = Node::new();
    let facts = rustix::system::sysinfo();
    let part = facts.totalram * u64::from(facts.mem_unit) / 10 * 6;
    let asks = format!("resources: {{requests: {{memory: {part}}}}}");
    let yaml = pod("low", "exec sleep 1000", "", &asks)
        + &pod("high", "exec sleep 1000", "priority: 5", &asks)
        + &pod("never", "exec sleep 1000", "", "resources: {requests: {memory: 1Pi}}")
        + &pod("free", "exec sleep 1000", "", "");
    let run_dir = node.run_dir();
    node.run(&yaml, async move |board| {
        board.running("high", "main").await;
        board.running("free", "main").await;
        let why = "0/1 nodes are available: 1 Insufficient memory.";
        assert_eq!(board.event("FailedScheduling").await, why);
        for name in ["low", "never"] {
            let (phase, lacks) =
                board.0.find("default", name).map(|it| (it.machine().phase(), it.machine().lacks())).unwrap();
            assert_eq!((phase, lacks.map(|lacks| lacks.to_string()).as_deref()), (Phase::Pending, Some(why)));
            assert!(!run_dir.join("pods").join(board.uid(name)).exists(), "{name} is not half there");
        }
        let uid = board.uid("high");
        board.0.delete("default", "high", None, false).unwrap();
        board.gone(&uid).await;
        board.running("low", "main").await;
        assert!(board.0.find("default", "never").unwrap().machine().lacks().is_some());
        // One that waits can be deleted like any other.
        let uid = board.uid("never");
        board.0.delete("default", "never", None, false).unwrap();
        board.gone(&uid).await;
    });
}

/// Back-off, exit code and policy together, as a job retries what can be retried.
#[test]
fn spec_43_a_container_restarts_by_its_exit_code_in_a_pod_of_never() {
    let node = Node::new();
    let script = "n=$(cat /kept/n || echo 0); n=$((n+1)); echo $n > /kept/n; [ $n -ge 3 ] || exit 42; exit 1";
    let inside = "restartPolicy: Never\n\
                  restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42]}}]\n\
                  volumeMounts: [{name: kept, mountPath: /kept}]";
    node.run(&pod("job", script, "volumes: [{name: kept, emptyDir: {}}]", inside), async |board| {
        board.phase("job", Phase::Failed).await;
        assert_eq!((board.restarts("job", "main"), board.ended("job", "main").await.exit.code), (2, 1));
    });
}

#[test]
fn spec_51_a_pod_that_takes_too_long_fails_and_stays() {
    let node = Node::new();
    let script = "trap 'exit 3' TERM; touch /ready; while true; do sleep 0.05; done";
    // However late the script comes to its trap, TERM comes later.
    let hook = "lifecycle: {preStop: {exec: {command: [sh, -c, 'until test -e /ready; do sleep 0.01; done']}}}";
    let run_dir = node.run_dir();
    node.run(&pod("late", script, &format!("activeDeadlineSeconds: 2\n{FOREVER}"), hook), async move |board| {
        board.until("the pod", |agent| agent.find("default", "late").map(|_| ())).await;
        let uid = board.uid("late");
        board.phase("late", Phase::Failed).await;
        assert_eq!(board.event("DeadlineExceeded").await, Verdict::DeadlineExceeded.message(&Pod::default()).as_str());
        let stays = |entry: &agent::Entry| (entry.machine().verdict(), entry.machine().is_terminating());
        let seen = board.0.find("default", "late").map(|entry| stays(&entry));
        assert_eq!(seen, Some((Some(Verdict::DeadlineExceeded), false)));
        let how = board.ended("late", "main").await;
        assert_eq!((how.reason, how.exit.code), (Reason::Error, 3), "it was asked to end");
        // What the next agent would read.
        let record = fs::read(run_dir.join("pods").join(&uid).join("verdict")).unwrap();
        assert_eq!(postcard::from_bytes(&record), Ok(Verdict::DeadlineExceeded));
    });
}

/// The sandbox, the volumes and the pod itself stay; the preStop hook of who is killed does not run.
#[test]
fn spec_36_43_all_containers_begin_anew_by_the_exit_of_one() {
    let node = Node::new();
    let busybox = |name: &str, script: &str| {
        format!(
            "{{name: {name}, image: busybox, volumeMounts: [{{name: v, mountPath: /v}}], command: [/bin/sh, -c, '{script}']"
        )
    };
    let more = format!(
        "volumes: [{{name: v, emptyDir: {{}}}}]\ninitContainers:\n- {}}}\n- {}, restartPolicy: Always}}",
        busybox("prepare", "echo x >> /v/prepared"),
        busybox("side", "exec sleep 1000"),
    );
    let hook = "lifecycle: {preStop: {exec: {command: [/bin/sh, -c, \"echo x > /v/hook\"]}}}\n\
                volumeMounts: [{name: v, mountPath: /v}]";
    let yaml = pod("anew", "exec sleep 1000", &more, hook)
        + &format!(
            "  - {}, restartPolicy: Never, restartPolicyRules: [{{action: RestartAllContainers, exitCodes: {{operator: In, values: [88]}}}}]}}\n",
            busybox(
                "cause",
                "test -e /v/once && exec sleep 1000; while ! test -e /v/go; do sleep 1; done; echo x > /v/once; exit 88"
            ),
        );
    node.run(&yaml, async |board| {
        for name in ["side", "main", "cause"] {
            board.running("anew", name).await;
        }
        let uid = board.uid("anew");
        assert_eq!(board.shell("anew", "main", "echo x > /v/go").await.0, 0);
        let names = ["prepare", "side", "main", "cause"];
        board.until("anew", |_| names.iter().all(|name| board.restarts("anew", name) == 1).then_some(())).await;
        for name in ["side", "main", "cause"] {
            board.running("anew", name).await;
        }
        assert_eq!(
            (board.uid("anew"), board.event("AllContainersRestarting").await),
            (uid, "Container cause exited with code 88, triggering pod restart".into())
        );
        assert_eq!(board.shell("anew", "main", "cat /v/prepared; test -e /v/hook; echo $?").await.1, "x\nx\n1\n");
    });
}
