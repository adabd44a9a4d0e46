//! Waiting for descriptors and for time, by one thread: what futures sleep on.
//!
//! async-io does the same for programs of many threads, and keeps a helper thread for that: each event then costs two changes of
//! thread, and memory for the helper. Here whoever calls [`block_on`] sleeps in epoll itself. Interest is one-shot and by level,
//! so that what is ready already is never missed, whatever was read before.

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, ioctl_fionbio};
use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::prelude::v1::*;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// The most events taken at once.
const AT_ONCE: usize = 32;
/// The number that the alarm is registered under; descriptors count from the next.
const ALARM: u64 = 0;

thread_local! {
    static REACTOR: OnceCell<Rc<Reactor>> = const { OnceCell::new() };
}

/// What the futures of one thread wait for.
struct Reactor {
    epoll: OwnedFd,
    alarm: Arc<Alarm>,
    newest: Cell<u64>,
    /// By number, ascending.
    sources: RefCell<Vec<(u64, [Waits; 2])>>,
    timers: RefCell<Vec<(Instant, u64, Waker)>>,
}

/// Who waits for one direction of a descriptor.
#[derive(Default)]
struct Waits {
    wakers: Vec<Waker>,
    /// It has become ready since somebody was told so.
    ready: bool,
}

impl Waits {
    fn wake(&mut self) {
        self.ready = true;
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

const READ: usize = 0;
const WRITE: usize = 1;

/// Ends the sleep of a thread, from any thread.
struct Alarm {
    bell: OwnedFd,
    woken: AtomicBool,
    asleep: AtomicBool,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::SeqCst) && self.asleep.load(Ordering::SeqCst) {
            let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
        }
    }
}

impl Reactor {
    fn of_this_thread() -> io::Result<Rc<Reactor>> {
        REACTOR.with(|cell| match cell.get() {
            Some(reactor) => Ok(reactor.clone()),
            None => Reactor::new().map(|made| cell.get_or_init(|| Rc::new(made)).clone()),
        })
    }

    fn new() -> io::Result<Reactor> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // By edge: each ring is told of, and nothing has to be read back.
        epoll::add(&epoll, &bell, EventData::new_u64(ALARM), EventFlags::IN | EventFlags::ET)?;
        let alarm = Alarm { bell, woken: AtomicBool::new(false), asleep: AtomicBool::new(false) };
        let (sources, timers) = (RefCell::default(), RefCell::default());
        Ok(Reactor { epoll, alarm: Arc::new(alarm), newest: Cell::new(ALARM), sources, timers })
    }

    fn number(&self) -> u64 {
        self.newest.set(self.newest.get() + 1);
        self.newest.get()
    }

    /// Looks what is ready, sleeping until something is unless a future has been woken already; wakes whoever waits for it.
    fn turn(&self) {
        self.alarm.asleep.store(true, Ordering::SeqCst);
        let woken = self.alarm.woken.swap(false, Ordering::SeqCst);
        let span = if woken { Some(Duration::ZERO) } else { self.until_timer() };
        let mut events = [const { MaybeUninit::<Event>::uninit() }; AT_ONCE];
        let ready = epoll::wait(&self.epoll, &mut events, span.map(timespec).as_ref());
        self.alarm.asleep.store(false, Ordering::SeqCst);
        for event in ready.iter().flat_map(|(ready, _)| ready.iter()) {
            self.occurred({ event.data }.u64(), event.flags);
        }
        self.ring_timers();
    }

    fn occurred(&self, number: u64, flags: EventFlags) {
        let over = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        let mut sources = self.sources.borrow_mut();
        let Some(waits) = find(&mut sources, number) else {
            return;
        };
        if over || flags.intersects(EventFlags::IN | EventFlags::PRI | EventFlags::RDHUP) {
            waits[READ].wake();
        }
        if over || flags.contains(EventFlags::OUT) {
            waits[WRITE].wake();
        }
    }

    fn until_timer(&self) -> Option<Duration> {
        let next = self.timers.borrow().iter().map(|(at, ..)| *at).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn ring_timers(&self) {
        let mut timers = self.timers.borrow_mut();
        if !timers.is_empty() {
            let now = Instant::now();
            timers.extract_if(.., |(at, ..)| *at <= now).for_each(|(.., waker)| waker.wake());
        }
    }
}

/// In whole milliseconds, upwards: epoll knows no shorter ones, and to wake too early would be for nothing.
fn timespec(span: Duration) -> Timespec {
    let ms = span.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i64;
    #[allow(clippy::useless_conversion, reason = "32 bits wide on some processors")]
    Timespec { tv_sec: (ms / 1000).into(), tv_nsec: ((ms % 1000) * 1_000_000) as _ }
}

fn find(sources: &mut [(u64, [Waits; 2])], number: u64) -> Option<&mut [Waits; 2]> {
    let at = sources.binary_search_by_key(&number, |(number, _)| *number).ok()?;
    sources.get_mut(at).map(|(_, waits)| waits)
}

/// Runs a future to its end. While it waits, the thread sleeps until a descriptor or a timer of this module is ready, or it is woken.
///
/// # Panics
/// Where the kernel has no memory for an epoll.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let reactor = Reactor::of_this_thread().expect("an epoll to sleep in");
    let waker = Waker::from(reactor.alarm.clone());
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        reactor.turn();
    }
}

/// A descriptor that futures of one thread wait for.
pub struct Async<T: AsFd> {
    reactor: Rc<Reactor>,
    number: u64,
    inner: T,
}

impl<T: AsFd> core::fmt::Debug for Async<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Async").field(&self.inner.as_fd()).finish()
    }
}

impl<T: AsFd> Async<T> {
    /// Makes a descriptor non-blocking, and ready to be waited for.
    pub fn new(inner: T) -> io::Result<Async<T>> {
        ioctl_fionbio(inner.as_fd(), true)?;
        Async::new_nonblocking(inner)
    }

    /// The same of one that is not read from or written to here, so that whether it blocks does not matter.
    pub fn new_nonblocking(inner: T) -> io::Result<Async<T>> {
        let reactor = Reactor::of_this_thread()?;
        let number = reactor.number();
        epoll::add(&reactor.epoll, inner.as_fd(), EventData::new_u64(number), EventFlags::ONESHOT)?;
        reactor.sources.borrow_mut().push((number, Default::default()));
        Ok(Async { reactor, number, inner })
    }

    /// Whether it has become readable, or is at its end; else `context` is woken when it does. It may prove a false alarm.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(READ, context)
    }

    /// Whether it has become writable; else `context` is woken when it does. It may prove a false alarm.
    pub fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(WRITE, context)
    }

    fn poll(&self, direction: usize, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sources = self.reactor.sources.borrow_mut();
        let Some(waits) = find(&mut sources, self.number) else {
            return Poll::Ready(Err(Errno::BADF.into()));
        };
        if core::mem::take(&mut waits[direction].ready) {
            return Poll::Ready(Ok(()));
        }
        if !waits[direction].wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            waits[direction].wakers.push(context.waker().clone());
        }
        let mut flags = EventFlags::ONESHOT;
        flags.set(EventFlags::IN | EventFlags::PRI | EventFlags::RDHUP, !waits[READ].wakers.is_empty());
        flags.set(EventFlags::OUT, !waits[WRITE].wakers.is_empty());
        match epoll::modify(&self.reactor.epoll, self.inner.as_fd(), EventData::new_u64(self.number), flags) {
            Ok(()) => Poll::Pending,
            Err(errno) => Poll::Ready(Err(errno.into())),
        }
    }

    /// Waits until it is readable, or at its end.
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_readable(context)).await
    }

    /// Waits until it is writable.
    pub async fn writable(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_writable(context)).await
    }

    /// Does something that reads, as soon as that does not block.
    pub async fn read_with<R>(&self, mut act: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        loop {
            match act(&self.inner) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable().await?,
                done => return done,
            }
        }
    }

    /// Does something that writes, as soon as that does not block.
    pub async fn write_with<R>(&self, mut act: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        loop {
            match act(&self.inner) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                done => return done,
            }
        }
    }
}

impl<T: AsFd> AsFd for Async<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl<T: AsFd> Drop for Async<T> {
    fn drop(&mut self) {
        let _ = epoll::delete(&self.reactor.epoll, self.inner.as_fd());
        let mut sources = self.reactor.sources.borrow_mut();
        if let Ok(at) = sources.binary_search_by_key(&self.number, |(number, _)| *number) {
            let gone = sources.remove(at);
            // A waker may be the last to hold a task, and with it another descriptor.
            drop(sources);
            drop(gone);
        }
    }
}

/// A moment to wait for. As a future it is ready from then on.
pub struct Timer {
    reactor: io::Result<Rc<Reactor>>,
    number: u64,
    at: Instant,
}

impl Timer {
    /// The moment `span` from now.
    pub fn after(span: Duration) -> Timer {
        let reactor = Reactor::of_this_thread();
        let number = reactor.as_ref().map_or(ALARM, |reactor| reactor.number());
        // A moment that cannot be told is as good as one in a hundred years.
        let at = Instant::now().checked_add(span).unwrap_or_else(|| Instant::now() + Duration::from_secs(3_000_000_000));
        Timer { reactor, number, at }
    }

    fn forget(&self) {
        if let Ok(reactor) = &self.reactor {
            let mut timers = reactor.timers.borrow_mut();
            if let Some(at) = timers.iter().position(|(_, number, _)| *number == self.number) {
                let gone = timers.swap_remove(at);
                drop(timers);
                drop(gone);
            }
        }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Ok(reactor) = &self.reactor else {
            return Poll::Ready(());
        };
        if self.at <= Instant::now() {
            return Poll::Ready(());
        }
        self.forget();
        reactor.timers.borrow_mut().push((self.at, self.number, context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::pipe;
    use smol::LocalExecutor;
    use smol::future::{or, yield_now, zip};

    #[test]
    fn a_descriptor_and_a_timer_are_waited_for() {
        block_on(async {
            let (read, write) = pipe().unwrap();
            let read = Async::new(read).unwrap();
            let early = or(async { read.readable().await.map(|()| true) }, async {
                Timer::after(Duration::from_millis(5)).await;
                Ok(false)
            });
            assert!(!early.await.unwrap());
            let mut byte = [0];
            let taken = read.read_with(|fd| Ok(rustix::io::read(fd, &mut byte)?));
            let (taken, ()) = zip(taken, async {
                yield_now().await;
                rustix::io::write(&write, b"x").unwrap();
            })
            .await;
            assert_eq!((taken.unwrap(), byte), (1, *b"x"));
            drop(write);
            // By level: the end is told of as often as it is asked for.
            for _ in 0..3 {
                read.readable().await.unwrap();
            }
        });
    }

    #[test]
    fn a_task_is_woken_by_another_and_by_another_thread() {
        let executor = LocalExecutor::new();
        let (tell, told) = smol::channel::bounded(1);
        let there = std::thread::spawn({
            let tell = tell.clone();
            move || {
                std::thread::sleep(Duration::from_millis(20));
                tell.send_blocking(1).unwrap();
            }
        });
        block_on(executor.run(async {
            assert_eq!(told.recv().await, Ok(1));
            executor.spawn(async move { tell.send(2).await.unwrap() }).detach();
            assert_eq!(told.recv().await, Ok(2));
        }));
        there.join().unwrap();
    }

    #[test]
    fn both_directions_of_one_descriptor_are_waited_for_at_once() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let ours = Async::new(OwnedFd::from(ours)).unwrap();
        block_on(async {
            while rustix::io::write(&ours, &[0; 4096]).is_ok() {}
            let drained = async {
                yield_now().await;
                rustix::io::write(&theirs, b"x").unwrap();
                yield_now().await;
                let mut buffer = [0; 1 << 16];
                theirs.set_nonblocking(true).unwrap();
                while rustix::io::read(&theirs, &mut buffer).is_ok() {}
            };
            let ((read, written), ()) = zip(zip(ours.readable(), ours.writable()), drained).await;
            assert!(read.is_ok() && written.is_ok());
        });
    }
}
