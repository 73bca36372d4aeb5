//! What is to be sent, what becomes of it when the transport takes no more, and the bounds within which
//! both kinds of stream say goodbye.

use std::io;
use std::time::Duration;

use polytls_core::{Error, ErrorKind, Outgoing};

use super::Connection;

/// How long what is still to be said, an alert or close_notify, may take to leave, and how long `close`
/// waits for the peer's end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How many bytes `close` drains.
pub(crate) const MOST_DRAINED: usize = 64 << 20;

/// How many times what has come is thrown away at an end, a few KiB each: bytes that lie unread when a
/// socket is closed reset it, and take what was sent last with them.
pub(crate) const MOST_DISCARDS: usize = 64;

/// What the transport did with the output.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// It takes no more; reading may still tell why.
    broken: Option<io::ErrorKind>,
    /// Plaintext that a write had taken could not be sent.
    lost: bool,
    /// What it may keep in a buffer of its own.
    unflushed: Unflushed,
    /// Why a write that had taken plaintext could not send it, for the next one to tell.
    late: Option<Error>,
    /// A reader has been told.
    reader_knows: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Unflushed {
    #[default]
    Nothing,
    Answers,
    Plaintext,
}

impl Connection {
    /// The bytes to send.
    pub fn output(&self) -> &[u8] {
        self.wire.output()
    }

    /// Takes note that the transport has taken `n` bytes of [`output`](Self::output).
    pub fn sent(&mut self, n: usize) {
        self.sending(|output| output.sent(n));
    }

    /// Whether there is something to send or to flush. What a broken transport does not take is
    /// dropped.
    #[inline]
    pub(crate) fn has_output(&mut self) -> bool {
        if self.is_output_broken() {
            self.drop_output();
            return false;
        }
        !self.output().is_empty() || self.delivery.unflushed != Unflushed::Nothing
    }

    /// Lets `send` have the output.
    #[inline]
    pub(crate) fn sending<R>(&mut self, send: impl FnOnce(&mut Outgoing) -> R) -> R {
        self.will_send();
        let result = send(self.wire.outgoing());
        self.answers = self.answers.min(self.wire.output().len());
        result
    }

    /// Takes the output out, for a system call during which the connection is not locked.
    pub(crate) fn lend_outgoing(&mut self) -> Outgoing {
        self.will_send();
        std::mem::take(self.wire.outgoing())
    }

    /// Puts back what was not sent, in front of what has been queued meanwhile.
    pub(crate) fn return_outgoing(&mut self, mut unsent: Outgoing) {
        if !unsent.is_empty() {
            unsent.append(self.wire.outgoing());
            *self.wire.outgoing() = unsent;
        }
        self.answers = self.answers.min(self.wire.output().len());
    }

    #[inline]
    fn will_send(&mut self) {
        self.delivery.unflushed =
            if self.owes_plaintext() { Unflushed::Plaintext } else { Unflushed::Answers };
    }

    /// Takes note that the transport keeps nothing in a buffer of its own.
    #[inline]
    pub(crate) fn flushed(&mut self) {
        self.delivery.unflushed = Unflushed::Nothing;
    }

    /// Takes note that the transport takes no more output.
    pub(crate) fn break_output(&mut self, kind: io::ErrorKind) {
        self.delivery.broken = Some(kind);
        self.drop_output();
    }

    /// The same, when nobody knows how much of the output has gone.
    pub(crate) fn lose_output(&mut self) {
        self.break_output(io::ErrorKind::BrokenPipe);
        self.delivery.lost = true;
    }

    #[cold]
    fn drop_output(&mut self) {
        self.delivery.lost |= self.owes_plaintext();
        self.flushed();
        self.wire.outgoing().clear();
        self.answers = 0;
    }

    /// Whether plaintext that was written is still here, or in a buffer of the transport.
    #[inline]
    pub(crate) fn owes_plaintext(&mut self) -> bool {
        self.delivery.unflushed == Unflushed::Plaintext || self.wire.outgoing().owes_plaintext()
    }

    /// Keeps why what was written could not be sent: the write has taken it, and says so.
    pub(crate) fn keep_late(&mut self, error: Error) {
        self.delivery.late = Some(error);
        self.delivery.reader_knows = false;
    }

    /// Whether such an error is kept.
    #[inline]
    pub(crate) fn is_late(&self) -> bool {
        self.delivery.late.is_some()
    }

    /// Why what was written earlier could not be sent, once; nothing if it has left meanwhile.
    ///
    /// # Errors
    ///
    /// That error.
    #[inline]
    pub(crate) fn check_late(&mut self) -> Result<(), Error> {
        if self.is_late() { self.tell_late() } else { Ok(()) }
    }

    #[cold]
    fn tell_late(&mut self) -> Result<(), Error> {
        match self.delivery.late.take() {
            Some(error) if self.owes_plaintext() => Err(error),
            _ => Ok(()),
        }
    }

    /// The same for a reader, once, before it waits: the peer may wait for the rest, and a reader for
    /// the peer. Whoever writes is told all the same.
    ///
    /// # Errors
    ///
    /// That error.
    #[inline]
    pub(crate) fn tell_reader_late(&mut self) -> Result<(), Error> {
        if self.is_late() { self.tell_reader() } else { Ok(()) }
    }

    #[cold]
    fn tell_reader(&mut self) -> Result<(), Error> {
        let knows = std::mem::replace(&mut self.delivery.reader_knows, true);
        match &self.delivery.late {
            Some(error) if !knows => {
                let error = error.clone();
                if self.owes_plaintext() { Err(error) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    /// Forgets it: whoever tries again tells what comes of that.
    pub(crate) fn forget_late(&mut self) {
        self.delivery.late = None;
    }

    /// Whether the transport takes no more output.
    #[inline]
    pub(crate) fn is_output_broken(&self) -> bool {
        self.delivery.broken.is_some()
    }

    /// The error of a transport that takes no more output.
    #[inline]
    pub(crate) fn check_output(&self) -> Result<(), Error> {
        match self.delivery.broken {
            None => Ok(()),
            Some(kind) => Err(Error::io(ErrorKind::Io, kind.into())),
        }
    }

    /// The same, if written plaintext was lost. When both ends close at the same time, none is.
    pub(crate) fn check_loss(&self) -> Result<(), Error> {
        if self.delivery.lost { self.check_output() } else { Ok(()) }
    }

    /// Whether close_notify would be the truth: all that was written has left, and nothing has failed.
    pub(crate) fn may_say_goodbye(&mut self) -> bool {
        self.is_open() && !self.owes_plaintext() && !self.is_output_broken()
    }
}
