//! What tasks on one thread hand to one of them, in order.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_comes_in_order_and_wakes() {
        let (queue, executor) = (std::rc::Rc::new(Queue::default()), smol::LocalExecutor::new());
        let other = queue.clone();
        executor.spawn(async move { [1, 2].into_iter().for_each(|n| other.push(n)) }).detach();
        smol::block_on(executor.run(queue.filled()));
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(1), Some(2), None]);
    }
}
