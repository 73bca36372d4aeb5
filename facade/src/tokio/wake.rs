//! Whom to wake when the transport is ready.
//!
//! A transport keeps one waker per direction, but a TLS stream needs a direction for both of its
//! own: while shaking hands, a reader's task may finish what a writer's task waits for, and a
//! reader may have to send. A waker that belongs to one task would leave the other parked for ever.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// Which of a stream's tasks is polling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Reader = 0,
    Writer = 1,
}

/// A waker that wakes both tasks of a stream; made when one of them first has to wait for more than
/// its own direction.
#[derive(Default)]
pub(super) struct Both(Option<Arc<Wakers>>);

#[derive(Default)]
struct Wakers([Mutex<Option<Waker>>; 2]);

impl Both {
    /// Remembers the task, and gives the waker to poll the transport with.
    pub(super) fn waker(&mut self, task: Task, cx: &Context<'_>) -> Waker {
        let wakers = self.0.get_or_insert_default();
        let mut slot = wakers.0[task as usize].lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *slot {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *slot = Some(cx.waker().clone()),
        }
        drop(slot);
        Waker::from(Arc::clone(wakers))
    }

    /// Wakes both.
    pub(super) fn wake(&self) {
        if let Some(wakers) = &self.0 {
            wakers.wake_by_ref();
        }
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        for slot in &self.0 {
            // Taken out first: a waker may run code of its own.
            let waker = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}
