//! What tasks on one thread hand to one of them, in order.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// The queue. smol's channels are for many threads, and take room for 31 items at once, on the stack first.
pub(super) struct Queue<T> {
    items: RefCell<VecDeque<T>>,
    waiter: Cell<Option<Waker>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue { items: RefCell::default(), waiter: Cell::default() }
    }
}

impl<T> Queue<T> {
    pub(super) fn push(&self, item: T) {
        self.items.borrow_mut().push_back(item);
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }

    pub(super) fn pop(&self) -> Option<T> {
        self.items.borrow_mut().pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.borrow().is_empty()
    }

    /// Waits until there is something. One task may.
    pub(super) async fn filled(&self) {
        core::future::poll_fn(|context| match self.is_empty() {
            false => Poll::Ready(()),
            true => {
                self.waiter.set(Some(context.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }
}

/// Whoever answers a question is gone.
#[derive(Debug)]
pub(super) struct Gone;

/// The end that answers a question; dropped without an answer, it tells that there will be none.
pub(super) struct Answer<T>(Rc<Queue<Result<T, Gone>>>);

/// The end that waits for the answer.
pub(super) struct Question<T>(Rc<Queue<Result<T, Gone>>>);

/// A question and its answer.
pub(super) fn question<T>() -> (Answer<T>, Question<T>) {
    let queue = Rc::new(Queue::default());
    (Answer(queue.clone()), Question(queue))
}

impl<T> Answer<T> {
    pub(super) fn give(self, answer: T) {
        self.0.push(Ok(answer));
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        self.0.push(Err(Gone));
    }
}

impl<T> Question<T> {
    pub(super) async fn recv(&self) -> Result<T, Gone> {
        self.0.filled().await;
        self.0.pop().unwrap_or(Err(Gone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_comes_in_order_and_wakes() {
        let (queue, executor) = (Rc::new(Queue::default()), smol::LocalExecutor::new());
        let other = queue.clone();
        executor.spawn(async move { [1, 2].into_iter().for_each(|n| other.push(n)) }).detach();
        smol::block_on(executor.run(queue.filled()));
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(1), Some(2), None]);
    }

    #[test]
    fn a_question_is_answered_or_known_to_stay_without_one() {
        let ask = |answers: bool| {
            let (answer, question) = question();
            if answers {
                answer.give(7)
            } else {
                drop(answer)
            }
            smol::block_on(question.recv()).ok()
        };
        assert_eq!((ask(true), ask(false)), (Some(7), None));
    }
}
