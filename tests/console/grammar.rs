//! Lines become commands, or kubectl's errors.

use podling::console::complete::{Completion, Names, complete};
use podling::console::grammar::{
    Attach, Command, Debug, Delete, Exec, GetPods, Logs, Output, Scope, Target, line, parse,
};
use podling::console::wire::{self, Kind};
use podling::manifest::limits;
use podling::manifest::time::Duration;
use proptest::prelude::*;

fn ok(text: &str) -> Command {
    line(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}")).expect("a command")
}

fn err(text: &str) -> String {
    line(text.as_bytes()).expect_err(text).to_string()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

fn here() -> Scope {
    Scope::Namespace("default".into())
}

fn target(pod: &str, container: Option<&str>) -> Target {
    Target { namespace: "default".into(), pod: pod.into(), container: container.map(Into::into) }
}

fn get(scope: Scope, chosen: &[&str], output: Output, watch: bool) -> Command {
    Command::GetPods(GetPods { scope, names: names(chosen), output, watch })
}

/// Spec 104: the verbs, in all the ways that kubectl lets one write them.
#[test]
fn spec_104_verbs() {
    for text in ["get pods", "get po", "get pod", "  get\tpods  ", "'get' \"pods\"", "g\\et p'od's"] {
        assert_eq!(ok(text), get(here(), &[], Output::Table, false), "{text}");
    }
    assert_eq!(ok("get pods web db -owide"), get(here(), &["web", "db"], Output::Wide, false));
    assert_eq!(ok("get pod/web -o=yaml"), get(here(), &["web"], Output::Yaml, false));
    assert_eq!(ok("get -w --output json pods -A -o name"), get(Scope::All, &[], Output::Name, true));
    assert_eq!(ok("get pods -n kube-system"), get(Scope::Namespace("kube-system".into()), &[], Output::Table, false));
    assert_eq!(ok("get pods -nkube"), ok("get pods --namespace=kube"));
    assert_eq!(ok("get events -w"), Command::Events { scope: here(), watch: true });
    assert_eq!(ok("events -A"), Command::Events { scope: Scope::All, watch: false });
    assert_eq!(ok("describe pod web"), Command::Describe { scope: here(), names: names(&["web"]) });
    assert_eq!(ok("describe po/web"), ok("describe pods web"));
    assert_eq!(ok("top"), Command::Top { scope: here(), names: vec![] });
    assert_eq!(ok("top pods web"), Command::Top { scope: here(), names: names(&["web"]) });
    let logs =
        Logs { target: target("web", Some("a")), follow: true, previous: false, tail: Some(5), timestamps: true };
    assert_eq!(ok("logs web -c a -f --tail=5 --timestamps"), Command::Logs(logs.clone()));
    assert_eq!(ok("logs pod/web a --follow --tail 5 --timestamps=true"), Command::Logs(logs));
    assert_eq!(ok("logs web --tail=-1"), ok("logs web"));
    let exec = Exec {
        target: target("web", None),
        argv: names(&["sh", "-c", "echo $HOME | wc", "--"]),
        stdin: true,
        tty: false,
    };
    assert_eq!(ok("exec web -i -- sh -c 'echo $HOME | wc' --"), Command::Exec(exec));
    let exec = Exec { target: target("web", Some("app")), argv: names(&["sh"]), stdin: true, tty: true };
    assert_eq!(ok("exec -it web -c app -- sh"), Command::Exec(exec.clone()));
    assert_eq!(ok("exec --stdin --tty=true pod/web --container app -- sh"), Command::Exec(exec));
    let attach = |stdin, tty| Command::Attach(Attach { target: target("web", None), stdin, tty });
    let debug = |container, of: Option<&str>, argv: &[&str], tty| {
        let (target, of) = (target("web", container), of.map(Into::into));
        Command::Debug(Debug { target, image: "busybox".into(), of, argv: names(argv), stdin: tty, tty })
    };
    assert_eq!(ok("debug web --image=busybox"), debug(None, None, &[], false));
    let full = "debug -it web --image busybox -c look --target=app -- sh -c ls";
    assert_eq!(ok(full), debug(Some("look"), Some("app"), &["sh", "-c", "ls"], true));
    assert_eq!(ok("attach web"), attach(false, false));
    assert_eq!(ok("attach web -i"), attach(true, false));
    assert_eq!(ok("attach -it pod/web"), attach(true, true));
    assert_eq!(ok("restart web -c a"), Command::Restart(target("web", Some("a"))));
    assert_eq!((ok("reboot"), ok("poweroff"), ok("version")), (Command::Reboot, Command::PowerOff, Command::Version));
    assert!(matches!(ok("help"), Command::Help(None)));
    assert!(matches!(ok("help get"), Command::Help(Some(verb)) if verb.name == "get"));
    assert!(matches!(ok("delete --help"), Command::Help(Some(verb)) if verb.name == "delete"));
    assert_eq!(line(b" \t ").unwrap(), None);
}

/// Spec 78–80: the grace period, and what goes with --force.
#[test]
fn spec_78_79_80_delete() {
    let delete = |grace: Option<u64>, force, wait| {
        let grace = grace.map(Duration::from_secs);
        Command::Delete(Delete { namespace: "default".into(), names: names(&["web"]), grace, force, wait })
    };
    assert_eq!(ok("delete pod web"), delete(None, false, true));
    assert_eq!(ok("delete pod/web --grace-period=5"), delete(Some(5), false, true));
    assert_eq!(ok("delete pod web --now --wait=false"), delete(Some(1), false, false));
    assert_eq!(ok("delete pod web --grace-period=0 --force"), delete(Some(0), true, false));
    assert_eq!(ok("delete pod web --force"), delete(Some(0), true, false));
    assert_eq!(ok("delete pod web --force --wait"), delete(Some(0), true, true));
    assert_eq!(ok("delete pod web --grace-period=-1"), delete(None, false, true));
    assert_eq!(
        err("delete pod web --grace-period=0"),
        "error: --grace-period=0 ends a pod at once and must be specified together with --force"
    );
    assert_eq!(
        err("delete pod web --force --grace-period=3"),
        "error: --force and --grace-period greater than 0 cannot be specified together"
    );
    assert_eq!(
        err("delete pod web --now --grace-period=3"),
        "error: --now and --grace-period cannot be specified together"
    );
    assert_eq!(err("delete pod"), "error: resource(s) were provided, but no name was specified");
}

#[test]
fn errors_say_what_to_do() {
    let table = [
        ("gett pods", r#"error: unknown command "gett"; did you mean "get"?"#),
        ("frobnicate", r#"error: unknown command "frobnicate"; "help" lists what there is"#),
        ("get", "error: You must specify the type of resource to get: pods or events."),
        ("get pdos", r#"error: the server doesn't have a resource type "pdos"; did you mean "pods"?"#),
        ("get deployments", r#"error: the server doesn't have a resource type "deployments""#),
        ("get pods --wach", "error: unknown flag: --wach; did you mean --watch?"),
        ("get pods -z", r#"error: unknown shorthand flag: 'z' in -z; see "help get""#),
        (
            "get pods -o xml",
            r#"error: unable to match a printer suitable for the output format "xml", allowed formats are: json,name,wide,yaml"#,
        ),
        ("get pods -o", "error: flag needs an argument: 'o' in -o"),
        ("get pods --output", "error: flag needs an argument: --output"),
        ("get pods -A web", "error: a resource cannot be retrieved by name across all namespaces"),
        ("get pods -w=maybe", r#"error: invalid argument "maybe" for "--watch" flag: expected true or false"#),
        ("logs", "error: expected 'logs [-f] [-p] POD [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument"),
        ("logs web --tail many", r#"error: invalid argument "many" for "--tail" flag: expected a whole number"#),
        ("logs web a -c b", "error: only one of -c or an inline [CONTAINER] arg is allowed"),
        ("exec web ls", "error: exec [POD] [COMMAND] is not supported. Use exec [POD] -- [COMMAND] instead"),
        ("exec web --", "error: you must specify at least one command for the container"),
        ("debug web", "error: you must specify --image"),
        ("debug web -t --image=busybox", "error: -i/--stdin is required for containers with -t/--tty=true"),
        ("attach web app", "error: unexpected argument \"app\""),
        ("attach", "error: expected 'attach POD [-c CONTAINER] [-i] [-t]'.\nPOD or TYPE/NAME is a required argument"),
        ("version now", r#"error: unexpected argument "now""#),
        ("get 'pods", "error: a quote ' is not closed"),
        ("get pods \\", "error: nothing follows the last backslash"),
    ];
    for (text, expected) in table {
        assert_eq!(err(text), expected, "{text}");
    }
    assert_eq!(line(b"get \xff").unwrap_err().to_string(), "error: the line is not UTF-8 text");
}

struct Two;

impl Names for Two {
    fn namespaces(&self, each: &mut dyn FnMut(&str)) {
        ["default", "kube", "default"].into_iter().for_each(each);
    }
    fn pods(&self, namespace: &str, each: &mut dyn FnMut(&str)) {
        let pods: &[&str] = if namespace == "kube" { &["dns"] } else { &["web", "worker"] };
        pods.iter().copied().for_each(each);
    }
    fn containers(&self, _: &str, pod: &str, each: &mut dyn FnMut(&str)) {
        if pod == "web" {
            ["server", "puller"].into_iter().for_each(each);
        }
    }
}

#[test]
fn tab_offers_what_may_stand_there() {
    let table: [(&str, &[&str]); 19] = [
        ("re", &["reboot", "restart"]),
        ("get ", &["events", "pods"]),
        ("get pods w", &["web", "worker"]),
        ("get pods web w", &["web", "worker"]),
        ("get -n kube pods ", &["dns"]),
        ("get pods -n=kube ", &["dns"]),
        ("get pods -n ", &["default", "kube"]),
        ("get pods -o y", &["yaml"]),
        ("get pods --output=j", &["--output=json"]),
        ("get pods --w", &["--watch"]),
        ("get events ", &[]),
        ("logs we", &["web"]),
        ("logs web -c ", &["puller", "server"]),
        ("logs web s", &["server"]),
        ("logs -f web --container=p", &["--container=puller"]),
        ("delete pod web --wait=", &["--wait=false", "--wait=true"]),
        ("help ver", &["version"]),
        ("exec web -- l", &[]),
        ("frob ", &[]),
    ];
    for (text, expected) in table {
        let Completion { start, candidates } = complete(text, &Two);
        assert_eq!(candidates, expected, "{text:?}");
        assert_eq!(start, text.rfind(' ').map_or(0, |at| at + 1));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 3000, ..ProptestConfig::default() })]

    /// Failure F11: no line makes the parser panic, and what it takes is bounded.
    #[test]
    fn f11_any_line(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = line(&bytes);
    }

    #[test]
    fn f11_lines_of_words(words in prop::collection::vec("(get|pods|logs|exec|delete|pod/|-[a-zA-Z]{1,3}|--[a-z-]{0,12}=?|--|[a-z]{0,4}|=|'|\"|\\\\|-?[0-9]{1,20})", 0..8)) {
        let text = words.join(" ");
        let _ = line(text.as_bytes());
        let _ = complete(&text, &Two);
    }

    /// Quoting keeps any text together as one word.
    #[test]
    fn quotes_keep_words_whole(word in "[^']{1,40}") {
        let Command::Exec(exec) = ok(&format!("exec web -- '{word}'")) else { panic!("an exec") };
        prop_assert_eq!(exec.argv, vec![word]);
    }

    /// Failure F11: frames of any bytes are decoded or refused; a whole frame is never longer than the bytes it came in.
    #[test]
    fn f11_any_frame(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(Some((_, body, length))) = wire::decode(&bytes) {
            prop_assert!(length <= bytes.len() && body.len() + wire::HEAD == length);
        }
        let _ = wire::decode_argv(&bytes);
    }

    #[test]
    fn frames_read_back(bytes in prop::collection::vec(any::<u8>(), 0..10_000), words in prop::collection::vec("[^\0]{0,20}", 0..20)) {
        let mut out = Vec::new();
        wire::encode(Kind::Out, &bytes, &mut out);
        let (mut rest, mut read) = (out.as_slice(), Vec::new());
        while let Some((kind, body, length)) = wire::decode(rest).unwrap() {
            prop_assert_eq!(kind, Kind::Out);
            read.extend_from_slice(body);
            rest = &rest[length..];
        }
        prop_assert!(rest.is_empty());
        prop_assert_eq!(read, bytes);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut out = Vec::new();
        wire::encode_argv(&words, &mut out).unwrap();
        let (_, body, _) = wire::decode(&out).unwrap().unwrap();
        prop_assert_eq!(wire::decode_argv(body).unwrap(), words);
    }
}

#[test]
fn lengths_are_bounded() {
    assert_eq!(err(&"x".repeat(limits::LINE + 1)), "error: the line is longer than 4096 bytes");
    assert!(wire::encode_argv(&[&"x".repeat(limits::LINE)], &mut Vec::new()).is_none());
    assert!(wire::encode_argv(&["a\0b"], &mut Vec::new()).is_none());
    assert!(wire::decode(&[Kind::Out as u8, 0x10, 0x01]).is_err());
    assert!(wire::decode(&[Kind::Exit as u8, 0, 2]).is_err());
    assert!(wire::decode(&[99]).is_err());
    assert!(parse(&[]).is_ok());
}
