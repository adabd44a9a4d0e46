//! Jobs on a real agent: pods that take turns, are tried again, and stay as they ended. Needs root.

mod node;

use node::{Board, Node};
use podling::manifest::status::Phase;
use std::process::Command;

fn job(script: &str, spec: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: pi}}\nspec:\n{}  template:\n    spec:\n      restartPolicy: Never\n      \
         terminationGracePeriodSeconds: 0\n      \
         containers: [{{name: main, image: busybox, command: [sh, -c, {}]}}]\n",
        spec.lines().map(|line| format!("  {line}\n")).collect::<String>(),
        serde_json::to_string(script).unwrap(),
    )
}

/// Number of events with that reason, repeats counted.
fn count(board: &Board, reason: &str) -> u32 {
    board.0.events().iter().filter(|event| event.reason == reason).map(|event| event.count).sum()
}

fn phases(board: &Board) -> Vec<Phase> {
    board.0.pods().iter().map(|entry| entry.machine().phase()).collect()
}

#[test]
fn spec_54_a_job_runs_its_completions_in_turn_and_is_complete() {
    let node = Node::new();
    let script = "test $JOB_COMPLETION_INDEX = ${HOSTNAME#pi-}";
    node.run(&job(script, "completions: 3\nparallelism: 1\ncompletionMode: Indexed"), async |board| {
        board.until("a pod", |agent| agent.pods().iter().next().map(|_| ())).await;
        assert_eq!(phases(&board).len(), 1, "one at a time");
        assert_eq!(board.event("Completed").await, "Job completed");
        assert_eq!(phases(&board), [Phase::Succeeded; 3], "they stay to be looked at");
        assert_eq!(
            board.0.events().iter().find(|event| event.reason == "Completed").unwrap().object.as_ref(),
            "job/pi"
        );
    });
}

#[test]
fn spec_54_a_failing_job_is_tried_again_up_to_its_limit() {
    let node = Node::new();
    node.run(&job("exit 3", "backoffLimit: 1"), async |board| {
        board
            .until("failed", |agent| agent.pods().iter().find(|e| e.machine().phase() == Phase::Failed).map(|_| ()))
            .await;
        let first = board.0.pods()[0].uid();
        assert_eq!(board.event("BackoffLimitExceeded").await, "Job has reached the specified backoff limit");
        assert_eq!((phases(&board), count(&board, "SuccessfulCreate")), (vec![Phase::Failed], 2));
        assert_ne!(board.0.pods()[0].uid(), first, "spec 5: the second try is another pod");
    });
}

#[test]
fn a_job_beyond_its_deadline_is_ended_and_removed_in_time() {
    let node = Node::new();
    node.run(&job("exec sleep 1000", "activeDeadlineSeconds: 1\nttlSecondsAfterFinished: 0"), async |board| {
        board.event("DeadlineExceeded").await;
        board.until("no pods", |agent| agent.pods().is_empty().then_some(())).await;
        assert_eq!(count(&board, "SuccessfulCreate"), 1);
    });
}

/// What tells this program that it is to be the first of two agents, and on which node.
const ROLE: &str = "PODLING_TEST_JOB_AGENT";

fn over() -> String {
    let failing = job("exit 3", "backoffLimit: 0\nttlSecondsAfterFinished: 0");
    failing + &node::pod("other", "exec sleep 1000", "", "")
}

/// Not a test: the agent of the test below, which sees the Job fail.
#[test]
fn agent_process() {
    let Some(root) = std::env::var_os(ROLE) else { return };
    let node = Node::at(root);
    node.run(&over(), async |board| {
        board.event("BackoffLimitExceeded").await;
        board.until("one pod", |agent| (agent.pods().len() == 1).then_some(())).await;
    });
}

/// An agent that comes after an agent knows what has been done.
#[test]
fn failure_f1_a_job_that_is_over_stays_over_under_another_agent() {
    let node = Node::new();
    let mut first = Command::new(std::env::current_exe().unwrap());
    let first = first.args(["agent_process", "--exact"]).env(ROLE, &node.root).status().unwrap();
    assert!(first.success());
    node.run(&over(), async |board| {
        // Jobs come before all other pods.
        board.running("other", "main").await;
        assert_eq!((board.0.pods().len(), count(&board, "SuccessfulCreate")), (1, 0));
    });
}

/// A schedule whose time was twelve hours ago, and comes again in as many: nothing of it is due while the test runs.
fn half_a_day_ago() -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let minute = seconds / 60 - 12 * 60;
    format!("{} {} * * *", minute % 60, minute / 60 % 24)
}

fn cron(schedule: &str) -> String {
    let template = "{restartPolicy: Never, containers: [{name: main, image: busybox, command: ['true']}]}";
    format!(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: hello}}\nspec: {{schedule: '{schedule}', jobTemplate: {{spec: {{template: {{spec: {template}}}}}}}}}\n"
    )
}

/// Not a test: the agent of the test below that sees the clock for the first time.
#[test]
fn cron_agent_process() {
    let Some(root) = std::env::var_os(CRON_ROLE) else { return };
    let node = Node::at(root);
    let schedule = std::env::var(SCHEDULE).unwrap();
    let beside = cron(&schedule) + &node::pod("other", "exec sleep 1000", "", "");
    node.run(&beside, async |board| {
        // CronJobs are looked at before all other pods come.
        board.running("other", "main").await;
    });
}

const CRON_ROLE: &str = "PODLING_TEST_CRON_AGENT";
const SCHEDULE: &str = "PODLING_TEST_CRON_SCHEDULE";

#[test]
fn spec_54_a_cron_job_begins_when_its_time_has_come() {
    let node = Node::new();
    let schedule = half_a_day_ago();
    let mut first = Command::new(std::env::current_exe().unwrap());
    first.args(["cron_agent_process", "--exact"]).env(CRON_ROLE, &node.root).env(SCHEDULE, &schedule);
    assert!(first.status().unwrap().success());
    // As if the agent had been away for thirteen hours: the end of the note is the newest minute that it has dealt with.
    let note = node.run_dir().join("jobs/default_hello");
    let mut bytes = std::fs::read(&note).unwrap();
    let tail = bytes.split_off(bytes.len() - 4);
    let seen: u64 = postcard::from_bytes(&tail).unwrap();
    assert_eq!(bytes[bytes.len() - 5..], [0, 3, 0, 0, 0], "no run so far, and none of the three that there may be");
    bytes.extend(postcard::to_stdvec(&(seen - 13 * 60)).unwrap());
    std::fs::write(&note, bytes).unwrap();
    let beside = cron(&schedule) + &node::pod("other", "exec sleep 1000", "", "");
    node.run(&beside, async |board| {
        assert_eq!(board.event("Completed").await, "Job completed");
        assert_eq!(board.event("SawCompletedJob").await, "Saw completed job, condition: Complete");
    });
}

#[test]
fn spec_54_an_exit_code_can_fail_the_whole_job() {
    let node = Node::new();
    let policy = "backoffLimit: 6\npodFailurePolicy: {rules: [{action: Ignore, onExitCodes: {operator: In, values: [4]}}, \
                  {action: FailJob, onExitCodes: {containerName: main, operator: NotIn, values: [5]}}]}";
    node.run(&job("exit 3", policy), async |board| {
        let text = board.event("PodFailurePolicy").await;
        assert!(text.starts_with("Container main for pod default/pi-"), "{text}");
        assert!(text.ends_with(" failed with exit code 3 matching FailJob rule at index 1"), "{text}");
        assert_eq!((phases(&board), count(&board, "SuccessfulCreate")), (vec![Phase::Failed], 1));
    });
}

#[test]
fn spec_54_a_number_that_has_failed_for_good_holds_up_no_other() {
    let node = Node::new();
    let script = "exit $((3 * (1 - JOB_COMPLETION_INDEX)))";
    let spec = "completionMode: Indexed\ncompletions: 2\nbackoffLimitPerIndex: 0";
    node.run(&job(script, spec), async |board| {
        assert_eq!(board.event("FailedIndexes").await, "Job has failed indexes");
        assert_eq!(phases(&board), [Phase::Failed, Phase::Succeeded]);
        assert_eq!(count(&board, "SuccessfulCreate"), 2);
    });
}

#[test]
fn spec_54_some_successes_may_be_enough() {
    let node = Node::new();
    let script = "test $JOB_COMPLETION_INDEX = 1 || exec sleep 1000";
    let spec =
        "completionMode: Indexed\ncompletions: 2\nparallelism: 2\nsuccessPolicy: {rules: [{succeededIndexes: '1'}]}";
    node.run(&job(script, spec), async |board| {
        assert_eq!(board.event("Completed").await, "Job completed, as its successPolicy says");
        board.until("the other is ended", |agent| (agent.pods().len() == 1).then_some(())).await;
        assert_eq!(phases(&board), [Phase::Succeeded]);
    });
}

#[test]
fn spec_54_a_job_is_over_for_the_next_manifest_too() {
    let node = Node::new();
    let yaml = |word: &str| {
        job("exit 0", "ttlSecondsAfterFinished: 0")
            + &node::pod("other", &format!(": {word}; exec sleep 100000"), "", "")
    };
    node.run_first(&yaml("one"), async |board| {
        board.running("other", "main").await;
        board.event("Completed").await;
        board.until("its pod is removed", |agent| (agent.pods().len() == 1).then_some(())).await;
    });
    node.run_first(&yaml("two"), async |board| {
        board
            .until("the other pod is replaced", |agent| {
                let pods = agent.pods();
                (pods.len() == 1 && !pods[0].machine().is_terminating()).then_some(())
            })
            .await;
        board.running("other", "main").await;
        assert_eq!((count(&board, "SuccessfulCreate"), count(&board, "Completed")), (0, 0));
    });
    // Another Job of its name is another Job.
    node.run(&yaml("two").replace("exit 0", "exit 0; true"), async |board| {
        board.event("Completed").await;
    });
}
