//! Trust anchors that the libraries read differently, found by running public collections of chains
//! (`examples/chains.rs`), and the one reading that holds here.

use polytls::{
    Backend, Capability, ClientContext, Connection, Error, ErrorKind, Identity, Progress,
    ServerContext, ServerName, Trust, TrustReason, backend,
};
use polytls_conformance::pki::NAME;
use polytls_conformance::{Failure, expect_kind};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, IsCa, KeyPair};

/// x509-limbo's `rfc5280::unknown-critical-extension-root`, `aki::critical-aki`, `ski::critical-ski`:
/// OpenSSL refuses every chain to such a root, rustls does not look.
#[test]
fn an_unknown_critical_extension_is_refused() -> Result<(), Failure> {
    let mut unknown =
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 55738, 666, 1], NULL.into());
    for (critical, refused) in [(false, false), (true, true)] {
        unknown.set_criticality(critical);
        let chain = Chain::under(unknown.clone())?;
        for backend in backend::all() {
            let connected = chain.connect(*backend);
            match refused {
                true => drop(expect_kind(connected, ErrorKind::Trust(TrustReason::BadAnchor))?),
                false => connected?,
            }
        }
    }
    Ok(())
}

/// x509-limbo's `webpki::aki::root-with-aki-ski-mismatch`: OpenSSL does not take it for self-signed, so
/// it is an authority that another one issued, on every backend.
#[test]
fn a_root_that_names_another_key_as_its_issuer_is_none() -> Result<(), Failure> {
    // SEQUENCE { [0] keyIdentifier }
    let aki = CustomExtension::from_oid_content(&[2, 5, 29, 35], vec![0x30, 4, 0x80, 2, 1, 2]);
    let chain = Chain::under(aki)?;
    for backend in backend::all() {
        match backend.capabilities().has(Capability::PartialChain) {
            true => chain.connect(*backend)?,
            false => {
                let kind = ErrorKind::Unsupported(Capability::PartialChain);
                expect_kind(chain.connect(*backend), kind)?;
            }
        }
    }
    Ok(())
}

/// An extension's content that says nothing.
const NULL: &[u8] = &[5, 0];

/// A root, and a server under it.
struct Chain {
    root: String,
    server: ServerContext,
}

impl Chain {
    fn under(extension: CustomExtension) -> Result<Self, Failure> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Odd Root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.custom_extensions.push(extension);
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new(vec![NAME.to_owned()])?.signed_by(&key, &root)?;
        let identity = Identity::from_bytes(leaf.pem().as_bytes(), key.serialize_pem().as_bytes())?;
        let server = ServerContext::builder(identity).build()?;
        Ok(Self { root: root.pem(), server })
    }

    fn connect(&self, backend: &'static dyn Backend) -> Result<(), Error> {
        let trust = Trust::only_bytes(self.root.as_bytes())?;
        let client = ClientContext::builder().backend(backend).trust(trust).build()?;
        let mut client = Connection::client(&client, &ServerName::parse(NAME)?)?;
        let mut server = Connection::server(&self.server)?;
        while client.handshake()? != Progress::Ready(()) {
            carry(&mut client, &mut server);
            // What the server thinks of it, the client hears by its alert.
            let _ = server.handshake();
            carry(&mut server, &mut client);
        }
        Ok(())
    }
}

fn carry(from: &mut Connection, to: &mut Connection) {
    let output = from.output().to_vec();
    from.sent(output.len());
    to.received_before(&output);
}
