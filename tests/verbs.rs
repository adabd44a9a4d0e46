//! The verbs on the real agent: what people read is what containers do. Needs root.

mod node;

use node::{Node, pod};
use podling::console::bind::Bound;
use podling::console::grammar;
use podling::console::outbox::{Outbox, Style};
use podling::console::verbs::{Io, run};
use podling::console::wire::{self, Kind};
use std::rc::Rc;

/// Everything that a stream takes.
struct Sink(Vec<u8>);

impl embedded_io::ErrorType for Sink {
    type Error = core::convert::Infallible;
}
impl embedded_io::WriteReady for Sink {
    fn write_ready(&mut self) -> Result<bool, Self::Error> {
        Ok(true)
    }
}
impl embedded_io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// Carries a line out; gives both outputs as one text, and the exit code. `heard` is told each new piece.
async fn told(board: &node::Board, line: &str, mut heard: impl FnMut(&str)) -> (String, u8) {
    let bound = Bound::new(board.0.clone(), Some([10, 0, 2, 15]));
    let outbox = Rc::new(Outbox::new(Style::Frames));
    let io = Io { outbox: outbox.clone(), width: None, stdin: None, terminal: None };
    let command = grammar::line(line.as_bytes()).unwrap().unwrap();
    let mut work = Box::pin(run(&bound, command, &io));
    let mut text = String::new();
    let code = std::future::poll_fn(|cx| {
        let polled = work.as_mut().poll(cx);
        let mut sink = Sink(Vec::new());
        outbox.drain(&mut sink).unwrap();
        let mut rest = sink.0.as_slice();
        while let Some((kind, body, length)) = wire::decode(rest).unwrap() {
            assert!(matches!(kind, Kind::Out | Kind::Err));
            let piece = std::str::from_utf8(body).unwrap();
            heard(piece);
            text.push_str(piece);
            rest = &rest[length..];
        }
        polled
    })
    .await;
    (text, code)
}

async fn quietly(board: &node::Board, line: &str) -> String {
    told(board, line, |_| {}).await.0
}

/// Spec 104: listings, descriptions and objects of a pod that really runs.
#[test]
fn spec_104_what_runs_is_what_is_shown() {
    let node = Node::new();
    node.run(&pod("web", "echo hello; exec sleep 1000", "", ""), async |board| {
        board.running("web", "main").await;
        let table = quietly(&board, "get pods").await;
        let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row[..4], ["web", "1/1", "Running", "0"]);
        let text = quietly(&board, "describe pod web").await;
        for part in
            ["Node:         testnode", "Status:       Running", "    State:          Running", "  Normal  Started"]
        {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let object: serde_json::Value = serde_json::from_str(&quietly(&board, "get pod web -o json").await).unwrap();
        assert_eq!(object["status"]["containerStatuses"][0]["ready"], true);
        assert!(quietly(&board, "events").await.contains("pod/web"));
        assert!(quietly(&board, "top").await.contains("web"));
        assert!(quietly(&board, "version").await.contains("testnode"));
        let (text, code) = told(&board, "exec web -- sh -c 'echo from $FROM; exit 4'", |_| {}).await;
        assert_eq!((text.as_str(), code), ("from image\ncommand terminated with exit code 4\n", 4));
    });
}

/// A follower hears what is written later, by no clock of its own, and ends with the container.
#[test]
fn logs_are_followed_to_the_end() {
    let node = Node::new();
    let script = "echo first; while ! test -e /go; do sleep 0.05; done; echo second; exit 0";
    node.run(&pod("web", script, "restartPolicy: Never", ""), async |board| {
        board.running("web", "main").await;
        let (sender, first) = smol::channel::bounded(1);
        let follow = told(&board, "logs -f web", |piece| {
            if piece.contains("first") {
                let _ = sender.try_send(());
            }
        });
        let go = async {
            first.recv().await.unwrap();
            assert_eq!(quietly(&board, "exec web -- touch /go").await, "");
        };
        let ((text, code), ()) = smol::future::zip(follow, go).await;
        assert_eq!((text.as_str(), code), ("first\nsecond\n", 0));
        assert_eq!(quietly(&board, "logs web --tail 1").await, "second\n");
    });
}

/// The output of the instance before the newest is kept, and told apart.
#[test]
fn logs_of_the_instance_before() {
    let node = Node::new();
    node.run(&pod("web", "echo life; exec sleep 1000", "", ""), async |board| {
        board.running("web", "main").await;
        board.wrote("web", "main", "life\n").await;
        assert!(
            quietly(&board, "logs -p web")
                .await
                .contains("previous terminated container \"main\" in pod \"web\" not found")
        );
        assert_eq!(quietly(&board, "restart web -c main").await, "container \"main\" of pod \"web\" restarted\n");
        while board.running("web", "main").await < 2 {
            board.0.changed(board.0.generation()).await;
        }
        assert_eq!(quietly(&board, "logs -p web").await, "life\n");
        let table = quietly(&board, "get pods").await;
        assert!(table.lines().nth(1).unwrap().contains("1 ("), "{table}");
    });
}

/// Spec 75, 77: a delete comes back when the pod is gone from every listing, and not before.
#[test]
fn spec_75_77_delete_waits() {
    let node = Node::new();
    let script = "trap 'exit 0' TERM; touch /ready; while true; do sleep 0.05; done";
    node.run(&pod("web", script, "terminationGracePeriodSeconds: 20", ""), async |board| {
        board.ready("web").await;
        let uid = board.0.find("default", "web").unwrap().uid();
        assert_eq!(quietly(&board, "delete pod web").await, "pod \"web\" deleted\n");
        assert!(board.0.pods().iter().all(|entry| entry.uid() != uid));
        assert_eq!(quietly(&board, "get pods").await, "No resources found in default namespace.\n");
        assert_eq!(quietly(&board, "get pods web").await, "Error from server (NotFound): pods \"web\" not found\n");
    });
}
