//! The contract: four object-safe traits that turn bytes into bytes.
//!
//! A backend never sees a socket, a thread, a timer or a runtime. Numbered clauses below are the
//! contract; each names the conformance case that holds a backend to it.

use std::fmt::Debug;
use std::sync::Arc;

use crate::{
    Capabilities, Certificate, ClientConfig, Error, Negotiated, ServerConfig, ServerName, Wire,
};

/// A TLS library, as a factory of contexts.
pub trait Backend: Debug + Send + Sync {
    /// The name by which applications choose the backend, for example `rustls`.
    fn name(&self) -> &'static str;

    /// What this backend can do on this platform.
    ///
    /// - B1. A capability that is absent makes building a context that needs it fail with
    ///   `Unsupported`; one that is present works. *(case `capability::table_is_true`)*
    fn capabilities(&self) -> Capabilities;

    /// Builds a client context.
    ///
    /// Call it through [`ClientConfig::connector`], which refuses what the backend cannot do
    /// before it is asked.
    ///
    /// # Errors
    ///
    /// - B2. `Identity` when key and certificate do not match or cannot be used; never later than
    ///   here. *(case `identity::key_mismatch`)*
    /// - B3. `Trust` when an anchor cannot be used. *(case `trust::not_a_certificate`)*
    fn connector(&'static self, config: &ClientConfig) -> Result<Arc<dyn Connector>, Error>;

    /// Builds a server context.
    ///
    /// Call it through [`ServerConfig::acceptor`], which refuses what the backend cannot do
    /// before it is asked.
    ///
    /// # Errors
    ///
    /// As [`Backend::connector`].
    fn acceptor(&'static self, config: &ServerConfig) -> Result<Arc<dyn Acceptor>, Error>;
}

/// One client context, shared by all the connections that it starts.
pub trait Connector: Debug + Send + Sync {
    /// The backend that built this context.
    fn backend(&self) -> &'static dyn Backend;

    /// Starts a connection to the server of this name.
    ///
    /// - C1. The name is sent as server name indication when it is a DNS name, never when it is an
    ///   IP address (RFC 6066, section 3). *(case `name::ip_address_is_not_sent`)*
    /// - C2. Nothing is written and no record is produced before the first
    ///   [`Session::handshake`]. *(case `contract::start_is_silent`)*
    ///
    /// # Errors
    ///
    /// `ServerName` for a name that the library cannot represent.
    fn start(&self, name: &ServerName) -> Result<Box<dyn Session>, Error>;
}

/// One server context, shared by all the connections that it starts.
pub trait Acceptor: Debug + Send + Sync {
    /// The backend that built this context.
    fn backend(&self) -> &'static dyn Backend;

    /// Starts the server's side of one connection.
    ///
    /// # Errors
    ///
    /// `Internal` when the library has no memory for one more connection.
    fn start(&self) -> Result<Box<dyn Session>, Error>;
}

/// What became of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// Finished on this side; data may flow.
    Done,
    /// Waits for a record that is not in the wire yet.
    NeedsInput,
}

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Plaintext was stored.
    Data {
        /// How many bytes, at least one.
        n: usize,
        /// Whether plaintext, an end or a late error is still inside the session: read again
        /// before waiting for the transport.
        more: bool,
    },
    /// Waits for a record that is not in the wire yet.
    NeedsInput,
    /// The peer has sent close_notify.
    Closed,
}

/// One connection: bytes in, bytes out.
///
/// # Behaviour
///
/// - S1. A session takes complete records from the [`Wire`] and keeps no ciphertext: it answers
///   "needs input" only when the wire holds no complete record. *(case
///   `contract::needs_input_is_exact`)*
/// - S2. It never hears of the transport's end. *(the facade's; case `close::truncated_data`)*
/// - S3. What it queues together with an error, such as an alert, is in the wire when the call
///   returns. *(case `contract::alert_is_queued_with_the_error`)*
/// - S4. After an error it is not called again. *(the facade's; case `contract::failed_stays_failed`)*
/// - S5. Untrusted bytes never make it panic, loop or allocate without bound. *(test `mutation`)*
/// - S6. A call that has moved plaintext says so, and keeps an error that came behind it: every later
///   call returns that, and the library is not called again. *(case
///   `contract::late_error_is_told_again`)*
pub trait Session: Debug + Send + Sync {
    /// Takes the handshake as far as it goes.
    ///
    /// - H1. May be called again after `Done`; then it does nothing. *(case
    ///   `contract::handshake_again`)*
    ///
    /// # Errors
    ///
    /// `Certificate`, `NoCommonVersion`, `NoCommonCipherSuite`, `NoCommonAlpn`, `Protocol`; for an
    /// alert received, whatever [`Error::alert_received`] makes of it.
    fn handshake(&mut self, wire: &mut Wire) -> Result<Handshake, Error>;

    /// Reads plaintext; `buf` is not empty, and the handshake is done.
    ///
    /// - R1. Stores as many bytes as are at hand, at least one, across records. *(case
    ///   `data::many_records`)*
    /// - R2. `more` is true whenever a further call could return something without new input.
    ///   *(case `close::data_and_close_together`)*
    /// - R3. When the peer's close_notify has been read, every later call returns `Closed` and
    ///   touches no buffer. *(case `close::read_after_close_notify`)*
    ///
    /// # Errors
    ///
    /// `Protocol` for a record that cannot be authenticated; for an alert received, whatever
    /// [`Error::alert_received`] makes of it.
    fn read(&mut self, wire: &mut Wire, buf: &mut [u8]) -> Result<Read, Error>;

    /// Encrypts `data` into the wire and returns how many bytes were taken.
    ///
    /// - W1. At most [`Wire::room`] bytes are taken; without room, 0, and the library is not
    ///   called. *(case `data::full_buffer_then_other_bytes`)*
    /// - W2. What was taken is in the wire, as whole records, when the call returns. *(case
    ///   `contract::written_is_queued`)*
    /// - W3. With room, 0 says that the library wants the rest of a message that the peer has begun, a
    ///   ticket say, before it writes on. *(test `ticket_in_pieces`)*
    ///
    /// # Errors
    ///
    /// `Protocol` or `Internal`; none is expected.
    fn write(&mut self, wire: &mut Wire, data: &[u8]) -> Result<usize, Error>;

    /// Queues close_notify, once; the read side stays open.
    ///
    /// - L1. Reading goes on until the peer closes too. *(case `close::half_close`)*
    /// - L2. Within the handshake there is nothing to say. *(case
    ///   `contract::close_in_the_handshake`)*
    ///
    /// # Errors
    ///
    /// `Protocol` or `Internal`; none is expected.
    fn close(&mut self, wire: &mut Wire) -> Result<(), Error>;

    /// What the library tells of the finished handshake; `None` in a field it does not tell. Who tells
    /// the version and the cipher suite tells the application protocol as well; the facade supplies
    /// what is missing from what it saw in clear.
    ///
    /// - N1. The same facts on both ends. *(case `handshake::negotiated`)*
    fn negotiated(&self) -> Negotiated;

    /// The peer's certificates as it sent them, leaf first; only the leaf without the capability
    /// `PeerChain`, and none when the peer sent none.
    ///
    /// - P1. Also after a resumed handshake, where the library remembers them. *(case
    ///   `handshake::peer_certificate`)*
    fn peer_certificates(&self) -> Vec<Certificate>;

    /// The first of [`Session::peer_certificates`], the leaf: for a library that has to copy or encode
    /// each.
    fn peer_certificate(&self) -> Option<Certificate> {
        self.peer_certificates().into_iter().next()
    }

    /// Fills `output` with keying material (RFC 5705; RFC 8446, section 7.5). What is asked for is within
    /// the bounds that every library keeps; the facade sees to that.
    ///
    /// - X1. Both ends export the same bytes for the same label and context, and other bytes for
    ///   others. *(case `handshake::exporter`)*
    ///
    /// # Errors
    ///
    /// `Unsupported` without the capability `Exporter`.
    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error> {
        let _ = (output, label, context);
        Err(Error::unsupported(crate::Capability::Exporter))
    }
}
