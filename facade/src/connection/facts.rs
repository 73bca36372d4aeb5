//! What both kinds of stream tell of their connection.

/// The methods of `Tls`, for a stream with a method `with_connection`.
macro_rules! facts_of_connection {
    () => {
        fn peer_certificate(&self) -> Option<Certificate> {
            self.with_connection(Connection::peer_certificate)
        }

        fn peer_certificates(&self) -> Vec<Certificate> {
            self.with_connection(Connection::peer_certificates)
        }

        fn protocol_version(&self) -> Option<ProtocolVersion> {
            self.with_connection(|connection| connection.negotiated()?.version)
        }

        fn cipher_suite(&self) -> Option<CipherSuite> {
            self.with_connection(|connection| connection.negotiated()?.cipher_suite)
        }

        fn alpn(&self) -> Option<Vec<u8>> {
            self.with_connection(|connection| {
                connection.negotiated()?.alpn.as_deref().map(Into::into)
            })
        }

        fn server_name(&self) -> Option<String> {
            self.with_connection(|connection| {
                connection.negotiated()?.server_name.as_deref().map(Into::into)
            })
        }

        fn resumed(&self) -> Option<bool> {
            self.with_connection(|connection| connection.negotiated()?.resumed)
        }

        fn backend(&self) -> &'static str {
            self.with_connection(|connection| connection.backend().name())
        }
    };
}
pub(crate) use facts_of_connection;
