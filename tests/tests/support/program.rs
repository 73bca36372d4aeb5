//! Programs that a test starts, listens to, and ends by their own id.

use std::io::{ErrorKind, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use polytls_conformance::Failure;

/// A program that runs. Dropping it kills it.
pub(crate) struct Program {
    child: Arc<Mutex<Child>>,
    input: Option<ChildStdin>,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    said: Mutex<Said>,
    more: Condvar,
}

/// What a program has said so far.
#[derive(Default)]
pub(crate) struct Said {
    /// On its standard output.
    pub(crate) output: Vec<u8>,
    /// On its standard error.
    pub(crate) error: Vec<u8>,
    ended: usize,
}

impl Program {
    /// Starts a program whose input and output are the test's.
    pub(crate) fn start(command: &mut Command) -> Result<Self, Failure> {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::new(format!(
                "the program {:?} is missing; install it (openssl is Debian's package openssl)",
                command.get_program()
            )),
            _ => Failure::from(error),
        })?;
        let heard = Arc::new(Heard::default());
        let input = child.stdin.take();
        listen(child.stdout.take(), &heard, |said| &mut said.output);
        listen(child.stderr.take(), &heard, |said| &mut said.error);
        let child = Arc::new(Mutex::new(child));
        lock(&STARTED).push(Arc::downgrade(&child));
        Ok(Self { child, input, heard })
    }

    /// Writes to its standard input.
    pub(crate) fn tell(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let input = self.input.as_mut().ok_or_else(|| Failure::new("its input has been closed"))?;
        input.write_all(bytes)?;
        Ok(input.flush()?)
    }

    /// Closes its standard input.
    pub(crate) fn end_input(&mut self) {
        self.input = None;
    }

    /// Waits until it has said this on either stream, and returns what it said on that one.
    pub(crate) fn wait_for(&self, text: &str) -> Result<String, Failure> {
        self.wait_until(text, |said| {
            [&said.output, &said.error].into_iter().find_map(|stream| {
                let stream = String::from_utf8_lossy(stream);
                stream.contains(text).then(|| stream.into_owned())
            })
        })
    }

    /// Waits until this is found in what it has said.
    pub(crate) fn wait_until<T>(
        &self,
        what: &str,
        found: impl Fn(&Said) -> Option<T>,
    ) -> Result<T, Failure> {
        let mut said = lock(&self.heard.said);
        loop {
            if let Some(found) = found(&said) {
                return Ok(found);
            }
            if said.ended == 2 {
                return Err(Failure::new(format!("it ended without {what:?}: {said}")));
            }
            said = self.heard.more.wait(said).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Closes its standard input and waits for its end.
    pub(crate) fn finish(mut self) -> Result<(ExitStatus, String), Failure> {
        self.end_input();
        let said = self.wait_until("its end", |said| (said.ended == 2).then(|| said.to_string()));
        Ok((lock(&self.child).wait()?, said?))
    }

    /// Kills it, without any last words.
    pub(crate) fn kill(&self) -> Result<(), Failure> {
        let mut child = lock(&self.child);
        child.kill()?;
        child.wait()?;
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.kill();
    }
}

/// Ends what a test that hung has left running.
pub(crate) fn end_all() {
    for child in lock(&STARTED).drain(..).filter_map(|child| child.upgrade()) {
        let mut child = lock(&child);
        let _ = child.kill();
        let _ = child.wait();
    }
}

static STARTED: Mutex<Vec<Weak<Mutex<Child>>>> = Mutex::new(Vec::new());

fn listen(
    stream: Option<impl Read + Send + 'static>,
    heard: &Arc<Heard>,
    part: fn(&mut Said) -> &mut Vec<u8>,
) {
    let (Some(mut stream), heard) = (stream, heard.clone()) else { return };
    thread::spawn(move || {
        let mut buf = vec![0; 64 << 10];
        loop {
            let n = stream.read(&mut buf).unwrap_or(0);
            let mut said = lock(&heard.said);
            match n {
                0 => said.ended += 1,
                n => part(&mut said).extend_from_slice(&buf[..n]),
            }
            heard.more.notify_all();
            if n == 0 {
                return;
            }
        }
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        write!(f, "{}\n{}", text(&self.output), text(&self.error))
    }
}
