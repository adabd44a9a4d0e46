//! Jobs and CronJobs: what they mean on one board (spec 54–58), and what is said of wrong ones.

use super::compile;
use super::kinds::{controller, names, pods};
use podling::manifest::List;
use podling::manifest::job::{ConditionPattern, FailureAction, FailurePattern, FailureRule, SuccessRule};
use podling::manifest::owner::{Concurrency, Controller, Goal, JobRules};
use podling::manifest::zone::Zone;

/// A Job with a pod that ends by itself.
fn job(spec: &str) -> String {
    controller("batch/v1", "Job", spec, "restartPolicy: Never").replace("  selector: {matchLabels: {app: web}}\n", "")
}

fn rules<T>(spec: &str, look: impl FnOnce(JobRules<'_>, usize) -> T) -> T {
    pods(&job(spec), |pods| match pods[0].owner.unwrap().controller {
        Controller::Job(rules) => look(rules, pods.len()),
        other => panic!("{other:?}"),
    })
}

#[test]
fn spec_54_a_job_becomes_a_pod_for_each_completion() {
    let plain = JobRules {
        goal: Goal::Each,
        parallelism: 1,
        backoff_limit: 6,
        deadline_seconds: None,
        ttl_seconds: None,
        schedule: None,
        index_backoff_limit: None,
        max_failed_indexes: None,
        failure_policy: List::EMPTY,
        success_policy: List::EMPTY,
    };
    rules("", |rules, pods| assert_eq!((rules, pods), (plain, 1)));
    let more =
        "completions: 5\nparallelism: 2\nbackoffLimit: 0\nactiveDeadlineSeconds: 100\nttlSecondsAfterFinished: 0";
    let rules_of_more =
        JobRules { parallelism: 2, backoff_limit: 0, deadline_seconds: Some(100), ttl_seconds: Some(0), ..plain };
    rules(more, |rules, pods| assert_eq!((rules, pods), (rules_of_more, 5)));
    let queue = JobRules { goal: Goal::Any, parallelism: 3, ..plain };
    rules("parallelism: 3", |rules, pods| assert_eq!((rules, pods), (queue, 3), "a work queue"));
    rules("suspend: true", |rules, pods| assert_eq!((rules, pods), (JobRules { parallelism: 0, ..plain }, 1)));
    pods(&job(""), |pods| {
        let labels: Vec<_> = pods[0].labels.iter().map(|pair| (pair.key, pair.value)).collect();
        let own = [("batch.kubernetes.io/job-name", "web"), ("job-name", "web")];
        assert_eq!(labels[2..], own);
        assert_eq!(pods[0].hostname, pods[0].name);
    });
}

#[test]
fn spec_54_the_pods_of_an_indexed_job_know_their_number() {
    let text = job("completionMode: Indexed\ncompletions: 3\nparallelism: 3")
        .replace("image: busybox", "image: busybox, args: [\"$(JOB_COMPLETION_INDEX)\"]");
    pods(&text, |pods| {
        for (index, pod) in pods.iter().enumerate() {
            let index = index.to_string();
            assert!(pod.name.starts_with(&format!("web-{index}-")), "{}", pod.name);
            assert_eq!(pod.hostname, format!("web-{index}"));
            let container = pod.containers.get(0).unwrap();
            let variable = container.env.get(0).unwrap();
            assert_eq!((variable.key, variable.value), ("JOB_COMPLETION_INDEX", &*index));
            assert_eq!(container.args.unwrap().get(0), Some(&*index));
            let key = "batch.kubernetes.io/job-completion-index";
            assert!(
                pod.labels.iter().chain(pod.annotations).filter(|pair| pair.key == key && pair.value == index).count()
                    == 2
            );
        }
    });
}

fn of_failure(rule: &str) -> String {
    job(&format!("podFailurePolicy: {{rules: [{{{rule}}}]}}"))
}

fn of_success(rule: &str) -> String {
    job(&format!("completionMode: Indexed\ncompletions: 3\nsuccessPolicy: {{rules: [{rule}]}}"))
}

#[test]
fn spec_54_what_ends_mean_to_a_job() {
    let spec = "completionMode: Indexed\ncompletions: 3\nbackoffLimitPerIndex: 2\nmaxFailedIndexes: 1\n\
                podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {containerName: app, operator: In, values: [42]}}, \
                {action: Ignore, onPodConditions: [{type: DisruptionTarget}]}]}\n\
                successPolicy: {rules: [{succeededIndexes: '0,2', succeededCount: 1}, {succeededCount: 2}]}";
    rules(spec, |rules, _| {
        assert_eq!((rules.backoff_limit, rules.index_backoff_limit), (u32::MAX, Some(2)));
        assert_eq!(rules.max_failed_indexes, Some(1));
        let failures: Vec<FailureRule<'_>> = rules.failure_policy.iter().collect();
        let FailurePattern::ExitCodes { container, codes, .. } = failures[0].pattern else { panic!("{failures:?}") };
        assert_eq!((failures[0].action, container), (FailureAction::FailJob, Some("app")));
        assert_eq!(codes.iter().collect::<Vec<u8>>(), [42]);
        let FailurePattern::Conditions(patterns) = failures[1].pattern else { panic!("{failures:?}") };
        assert_eq!(patterns.get(0), Some(ConditionPattern { kind: "DisruptionTarget", status: true }));
        let successes: Vec<SuccessRule> = rules.success_policy.iter().collect();
        let wanted = [SuccessRule { indexes: 0b101, count: 1 }, SuccessRule { indexes: 0b111, count: 2 }];
        assert_eq!(successes, wanted);
    });
}

#[test]
fn what_is_wrong_with_a_job_is_said() {
    let cases = [
        (
            job("").replace(", restartPolicy: Never", ""),
            "spec.template.spec: restartPolicy: is required here: OnFailure or Never",
        ),
        (job("").replace("Never", "Always"), "\"Always\" is not a value for this: OnFailure or Never is possible"),
        (job("completionMode: Indexed"), "completions: is required with completionMode: Indexed"),
        (job("completions: 65"), "spec.completions: 65 is not possible here: from 0 to 64"),
        (job("parallelism: 100"), "100 pods at once are not possible"),
        (job("maxFailedIndexes: 1"), "spec.maxFailedIndexes: needs backoffLimitPerIndex"),
        (job("backoffLimitPerIndex: 1"), "spec.backoffLimitPerIndex: needs completionMode: Indexed"),
        (job("successPolicy: {rules: [{succeededCount: 1}]}"), "spec.successPolicy: needs completionMode: Indexed"),
        (
            job("podFailurePolicy: {rules: []}").replace("restartPolicy: Never", "restartPolicy: OnFailure"),
            "spec.podFailurePolicy: needs restartPolicy: Never in the template",
        ),
        (
            job("podReplacementPolicy: TerminatingOrFailed\npodFailurePolicy: {rules: []}"),
            "spec.podReplacementPolicy: must be Failed with podFailurePolicy",
        ),
        (of_failure("action: FailJob"), "rules[0]: needs either onExitCodes or onPodConditions"),
        (of_failure("action: Stop, onExitCodes: {operator: In, values: [1]}"), "\"Stop\" is not a value for this"),
        (of_failure("action: FailIndex, onExitCodes: {operator: In, values: [1]}"), "needs backoffLimitPerIndex"),
        (of_failure("action: Ignore, onExitCodes: {operator: In, values: [0]}"), "0 is the exit code of success"),
        (of_failure("action: Ignore, onExitCodes: {operator: In, values: []}"), "needs at least one exit code"),
        (
            of_failure("action: Ignore, onExitCodes: {containerName: nope, operator: In, values: [1]}"),
            "the template has no container \"nope\"",
        ),
        (of_success("{}"), "rules[0]: needs succeededIndexes, succeededCount or both"),
        (of_success("{succeededIndexes: '0-3'}"), "is not a list of numbers from 0 to 2"),
        (
            of_success("{succeededIndexes: '0,1', succeededCount: 3}"),
            "succeededCount: 3 is not possible here: from 1 to 2",
        ),
    ];
    for (text, part) in cases {
        compile(&text).refused(part);
    }
}

fn cron_job(spec: &str) -> String {
    let template = "{restartPolicy: OnFailure, hostNetwork: true, containers: [{name: app, image: busybox}]}";
    format!(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: hello}}\nspec:\n{}  jobTemplate: {{spec: {{template: {{spec: {template}}}}}}}\n",
        spec.lines().map(|line| format!("  {line}\n")).collect::<String>()
    )
}

#[test]
fn spec_54_a_cron_job_is_a_job_with_a_schedule() {
    let of = |spec: &str| {
        pods(&cron_job(spec), |pods| match pods[0].owner.unwrap().controller {
            Controller::Job(rules) => (rules.schedule.unwrap(), rules.parallelism, pods.len()),
            other => panic!("{other:?}"),
        })
    };
    let (schedule, parallelism, pods) =
        of("schedule: '*/15 3 * * 1'\nconcurrencyPolicy: Replace\nstartingDeadlineSeconds: 30\ntimeZone: Etc/UTC");
    assert_eq!((schedule.minutes, schedule.hours), (1 | 1 << 15 | 1 << 30 | 1 << 45, 1 << 3));
    assert_eq!((schedule.weekdays, schedule.concurrency), (1 << 1, Concurrency::Replace));
    assert_eq!((schedule.deadline_seconds, schedule.zone, parallelism), (Some(30), Zone::UTC, 1));
    assert_eq!((schedule.runs, schedule.keeps, pods), (1, [1, 1], 1));
    let quiet = "schedule: '@daily'\nsuspend: true\nsuccessfulJobsHistoryLimit: 0\nfailedJobsHistoryLimit: 0";
    let (schedule, parallelism, _) = of(quiet);
    assert_eq!((parallelism, schedule.keeps), (0, [0, 0]));
    let (schedule, _, _) = of("schedule: '0 6 * * *'\ntimeZone: Europe/Berlin");
    assert_eq!((schedule.zone.standard, schedule.zone.summer.unwrap().offset), (60, 120));
}

/// What stands for no policy is Allow: as many pods as runs, each with a name of its own.
#[test]
fn spec_54_runs_side_by_side_have_pods_of_their_own() {
    let text =
        cron_job("schedule: '* * * * *'").replace("image: busybox", "image: busybox, ports: [{containerPort: 80}]");
    pods(&text, |pods| {
        let mut names: Vec<&str> = pods.iter().map(|pod| pod.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!((pods.len(), names.len()), (3, 3), "and they share the port of the board");
        let Controller::Job(rules) = pods[0].owner.unwrap().controller else { panic!() };
        assert_eq!((rules.schedule.unwrap().runs, rules.schedule.unwrap().keeps), (3, [3, 1]));
    });
    let many = cron_job("schedule: '* * * * *'").replace("{spec: {template:", "{spec: {completions: 40, template:");
    assert_eq!(names(&many).len(), 40, "a board has no more pods than for one run");
}

#[test]
fn what_is_wrong_with_a_cron_job_is_said() {
    let cases = [
        (
            "schedule: '61 * * * *'",
            "spec.schedule: \"61 * * * *\" is not a schedule: its minute \"61\" cannot be understood",
        ),
        ("schedule: '* * *'", "it has five fields (minute hour day month weekday), and here are 3"),
        ("schedule: '0 0 30 2 *'", "names a date that never comes"),
        ("suspend: false", "spec.schedule: is required"),
        (
            "schedule: '@daily'\ntimeZone: Europe/Berln",
            "\"Europe/Berln\" is not a time zone of the IANA database; did you mean \"Europe/Berlin\"?",
        ),
        ("schedule: '@daily'\ntimeZone: europe/berlin", "did you mean \"Europe/Berlin\"?"),
    ];
    for (spec, part) in cases {
        compile(&cron_job(spec)).refused(part);
    }
    // Ramadan is in no rule.
    let outcome = compile(&cron_job("schedule: '@daily'\ntimeZone: Asia/Gaza"));
    assert_eq!((outcome.errors, outcome.warnings), (0, 1), "{}", outcome.said);
}
