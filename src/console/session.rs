//! One person at a terminal: prompt, line editor, one verb at a time, Ctrl-C. Does no I/O itself: [`Session::turn`] moves bytes
//! over any embedded-io stream that says whether it is ready.

use super::board::Board;
use super::complete::{Names, complete};
use super::editor::{Editor, Input, WIDTH};
use super::outbox::{Outbox, Style};
use super::verbs::{self, Io, StdinQueue};
use super::wire::Kind;
use super::{grammar, stream};
use crate::manifest::limits;
use embedded_io::{Read, ReadReady, Write, WriteReady};
use std::collections::VecDeque;
use std::format;
use std::future::Future;
use std::pin::Pin;
use std::prelude::v1::*;
use std::rc::Rc;
use std::task::Context;

/// A session.
pub struct Session {
    board: Rc<dyn Board>,
    editor: Editor,
    outbox: Rc<Outbox>,
    /// The verb under way.
    job: Option<Pin<Box<dyn Future<Output = u8>>>>,
    /// What was typed meanwhile: at most a line.
    ahead: VecDeque<u8>,
    /// The input of that verb, and whether it has asked for some.
    stdin: Rc<StdinQueue>,
    asked: bool,
}

impl Session {
    /// A session that greets and prompts.
    pub fn new(board: Rc<dyn Board>) -> Session {
        let node = board.facts().name;
        let mut session = Session {
            board,
            editor: Editor::new(&format!("{node}# ")),
            outbox: Rc::new(Outbox::new(Style::Terminal)),
            job: None,
            ahead: VecDeque::new(),
            stdin: Rc::default(),
            asked: false,
        };
        session.put("\n");
        session.put(&format!(
            "podling {} on {node}: \"help\" lists the verbs, Tab completes.\n",
            env!("CARGO_PKG_VERSION")
        ));
        session.prompt();
        session
    }

    /// Something that the board says by itself: a line of its own, and then the prompt as it was.
    pub fn notice(&mut self, line: &str) {
        let mut echo = Vec::new();
        if self.job.is_none() {
            self.editor.hide(&mut echo);
            self.outbox.echo(&echo);
        } else if !self.outbox.is_fresh() {
            self.put("\n");
        }
        self.put(line);
        self.put("\n");
        if self.job.is_none() {
            self.prompt();
        }
    }

    fn put(&self, text: &str) {
        self.outbox.put(Kind::Out, text.as_bytes());
    }

    fn prompt(&mut self) {
        if !self.outbox.is_fresh() {
            self.put("\n");
        }
        let mut echo = Vec::new();
        self.editor.show(&mut echo);
        self.outbox.echo(&echo);
    }

    /// Takes bytes that were typed.
    pub fn typed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.job.is_none() {
                self.edit(*byte);
            } else if *byte == CTRL_C && !self.is_lent() {
                self.interrupt();
            } else if self.ahead.len() < limits::LINE {
                self.ahead.push_back(*byte);
            }
        }
    }

    /// A program in a container has the terminal: every key is its, and nobody else says anything.
    pub fn is_lent(&self) -> bool {
        self.outbox.is_lent()
    }

    /// There is no room for more that is typed into a program, which is to wait where it is.
    fn is_full(&self) -> bool {
        self.is_lent() && self.ahead.len() + READ > limits::LINE
    }

    /// Ends the verb under way: dropping it is all that it takes.
    fn interrupt(&mut self) {
        self.job = None;
        self.ahead.clear();
        self.outbox.discard();
        self.put("^C\n");
        self.prompt();
    }

    fn edit(&mut self, byte: u8) {
        let mut echo = Vec::new();
        let names = Live(&*self.board);
        let input = self.editor.byte(byte, &mut |line| complete(line, &names), &mut echo);
        self.outbox.echo(&echo);
        match input {
            None => {}
            Some(Input::Line(line)) => self.run(&line),
            Some(Input::TooLong) => {
                self.put(&format!("error: the line is longer than {} bytes\n", limits::LINE));
                self.prompt();
            }
            Some(Input::Interrupt | Input::End) => self.prompt(),
        }
    }

    fn run(&mut self, line: &str) {
        match grammar::line(line.as_bytes()) {
            Ok(Some(command)) => {
                let (board, outbox) = (self.board.clone(), self.outbox.clone());
                (self.stdin, self.asked) = (Rc::default(), false);
                let stdin = Some(self.stdin.clone());
                let io = Io { outbox, width: Some(WIDTH), stdin, terminal: Some(Rc::default()) };
                self.job = Some(Box::pin(async move { verbs::run(&*board, command, &io).await }));
            }
            Ok(None) => self.prompt(),
            Err(error) => {
                self.put(&format!("{error}\n"));
                self.prompt();
            }
        }
    }

    /// Hands what was typed to the verb under way, where it asks for it: as it is to a program that has the terminal, else in lines
    /// that are shown, up to Ctrl-D.
    fn feed(&mut self) {
        self.asked |= self.stdin.ask();
        if !self.asked || self.ahead.is_empty() {
            return;
        }
        let mut bytes: Vec<u8> = self.ahead.drain(..).collect();
        if !self.is_lent() {
            let end = bytes.iter().position(|byte| *byte == CTRL_D);
            self.ahead.extend(bytes.drain(end.unwrap_or(bytes.len())..).skip(1));
            bytes.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
            self.outbox.put(Kind::Out, &bytes);
            if end.is_some() {
                self.stdin.end();
            }
        }
        if !bytes.is_empty() {
            self.asked = false;
            self.stdin.put(&bytes);
        }
    }

    /// Lets the verb under way go on; after its end, what was typed ahead.
    fn work(&mut self, cx: &mut Context<'_>) {
        while let Some(job) = &mut self.job {
            if job.as_mut().poll(cx).is_pending() {
                self.feed();
                return;
            }
            self.job = None;
            self.prompt();
            // What was held back meanwhile can be said now.
            cx.waker().wake_by_ref();
            while self.job.is_none()
                && let Some(byte) = self.ahead.pop_front()
            {
                self.edit(byte);
            }
        }
    }
}

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
/// Bytes read at once.
const READ: usize = 256;

impl stream::Party for Session {
    fn turn<S: Read + ReadReady + Write + WriteReady>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Result<stream::Turn, S::Error> {
        let mut bytes = [0; READ];
        // A flood of input gets one look per turn, so that what else the thread has to do is not held up.
        if !self.is_full() && stream.read_ready()? {
            match stream.read(&mut bytes)? {
                0 => return Ok(stream::Turn::Over),
                count => self.typed(&bytes[..count]),
            }
        }
        self.work(cx);
        self.outbox.drain(stream)?;
        Ok(stream::Turn::Wait { read: !self.is_full(), write: !self.outbox.is_empty() })
    }
}

/// The names on the board, as they are when Tab is pressed.
struct Live<'a>(&'a dyn Board);

impl Names for Live<'_> {
    fn namespaces(&self, each: &mut dyn FnMut(&str)) {
        self.0.pods(&mut |seen| each(seen.pod.namespace));
    }

    fn pods(&self, namespace: &str, each: &mut dyn FnMut(&str)) {
        self.0.pods(&mut |seen| {
            if seen.pod.namespace == namespace {
                each(seen.pod.name);
            }
        });
    }

    fn containers(&self, namespace: &str, pod: &str, each: &mut dyn FnMut(&str)) {
        self.0.pods(&mut |seen| {
            if seen.pod.namespace == namespace && seen.pod.name == pod {
                seen.containers().for_each(|container| each(container.name));
            }
        });
    }
}
