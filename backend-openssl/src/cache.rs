//! The sessions that a client context may resume.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use openssl::ssl::{SslSession, SslVersion};
use polytls_core::ServerName;

/// How many servers are remembered.
const SERVERS: usize = 256;

/// How many sessions of one server are kept: TLS 1.3 servers send two tickets for each handshake.
const SESSIONS: usize = 4;

/// Sessions by server, bounded: the server that was met first is forgotten first.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<Servers>);

#[derive(Default)]
struct Servers {
    sessions: HashMap<ServerName, VecDeque<SslSession>>,
    /// The keys of `sessions`, oldest first.
    order: VecDeque<ServerName>,
}

impl Sessions {
    /// Keeps a session for the next connection to this server.
    pub(crate) fn put(&self, name: &ServerName, session: SslSession) {
        let mut servers = self.lock();
        if !servers.sessions.contains_key(name) {
            servers.make_room();
            servers.order.push_back(name.clone());
        }
        let kept = servers.sessions.entry(name.clone()).or_default();
        // A session of TLS 1.2 serves any number of connections: the newest is enough.
        if kept.len() == SESSIONS || !is_single_use(&session) {
            kept.pop_front();
        }
        kept.push_back(session);
    }

    /// The newest session of this server. One of TLS 1.3 is given out once, so that connections
    /// cannot be linked by it (RFC 8446, appendix C.4).
    pub(crate) fn take(&self, name: &ServerName) -> Option<SslSession> {
        let mut servers = self.lock();
        let kept = servers.sessions.get_mut(name)?;
        match kept.back() {
            Some(session) if !is_single_use(session) => Some(session.clone()),
            _ => kept.pop_back(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Servers> {
        // Nothing that can panic runs under the lock with the map half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Servers {
    fn make_room(&mut self) {
        if self.order.len() >= SERVERS {
            if let Some(oldest) = self.order.pop_front() {
                self.sessions.remove(&oldest);
            }
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("servers", &self.lock().order.len()).finish()
    }
}

fn is_single_use(session: &SslSession) -> bool {
    session.protocol_version() == SslVersion::TLS1_3
}
