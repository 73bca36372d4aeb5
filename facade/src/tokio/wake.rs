//! Whom to wake when the transport is ready.
//!
//! A transport keeps one waker per direction, but a TLS stream needs a direction for both of its
//! own: while shaking hands, a reader's task may finish what a writer's task waits for, and a
//! reader may have to send. A waker that belongs to one task would leave the other parked for ever.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Which of a stream's tasks is polling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Reader = 0,
    Writer = 1,
}

/// The tasks of one stream that wait for its transport.
pub(super) enum Both {
    /// One task, as most streams have it: its own waker serves.
    Apart([Option<Waker>; 2]),
    /// Both have waited at the same time: a waker for both of them, from then on.
    Together(Arc<Wakers>),
}

pub(super) struct Wakers([Mutex<Option<Waker>>; 2]);

impl Default for Both {
    fn default() -> Self {
        Self::Apart([None, None])
    }
}

impl Both {
    /// Polls something that a task may have to wait for: with the task's own waker, unless the other
    /// task waits as well.
    pub(super) fn poll<T>(
        &mut self,
        task: Task,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let (own, other) = (task as usize, 1 - task as usize);
        let wakers = match self {
            Self::Together(wakers) => Arc::clone(wakers),
            Self::Apart(waiting) => {
                if waiting[other].as_ref().is_none_or(|waker| waker.will_wake(cx.waker())) {
                    let polled = poll(cx);
                    match &polled {
                        Poll::Ready(_) => waiting[own] = None,
                        Poll::Pending => remember(&mut waiting[own], cx.waker()),
                    }
                    return polled;
                }
                let wakers = Arc::new(Wakers(std::mem::take(waiting).map(Mutex::new)));
                *self = Self::Together(Arc::clone(&wakers));
                wakers
            }
        };
        remember(&mut wakers.slot(own), cx.waker());
        poll(&mut Context::from_waker(&Waker::from(wakers)))
    }

    /// Forgets the tasks, and wakes the one that is not polling: what it may have waited for is done.
    pub(super) fn settle(&mut self, task: Task) {
        let other = 1 - task as usize;
        let waker = match std::mem::take(self) {
            Self::Apart([reader, writer]) => [reader, writer].into_iter().nth(other).flatten(),
            Self::Together(wakers) => wakers.slot(other).take(),
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Wakes both.
    pub(super) fn wake(&mut self) {
        match self {
            Self::Together(wakers) => wakers.wake_by_ref(),
            Self::Apart(waiting) => {
                waiting.iter_mut().filter_map(Option::take).for_each(Waker::wake);
            }
        }
    }
}

fn remember(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        // Copies nothing when it is the same.
        Some(known) => known.clone_from(waker),
        None => *slot = Some(waker.clone()),
    }
}

impl Wakers {
    fn slot(&self, index: usize) -> MutexGuard<'_, Option<Waker>> {
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        for index in 0..self.0.len() {
            // Taken out first: a waker may run code of its own.
            let waker = self.slot(index).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}
