//! The anchor rules of the contract, on top of webpki.

use std::sync::Arc;
use std::time::Duration;

use polytls_core::pki_types::{
    CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime,
};
use polytls_core::{
    AnchorKind, Certificate, CertificateDetails, CertificateReason, Error, Roots, ServerName,
    Trust, leaf,
};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::{CertificateError, DistinguishedName};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath, anchor_from_trusted_cert};

use crate::error::webpki_reason;
use crate::signatures::Remembering;

/// The trust anchors, as webpki holds them.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    algorithms: Vec<Remembering>,
    authorities: Vec<TrustAnchor<'static>>,
    /// The last second of each authority, which webpki does not keep: a context may outlive it.
    ends: Vec<i64>,
    /// The name of each authority's key, which webpki does not look at.
    keys: Vec<Option<Vec<u8>>>,
    /// Certificates that vouch for themselves only, each with itself as the anchor: webpki has no
    /// other way to say so.
    themselves: Vec<(CertificateDer<'static>, TrustAnchor<'static>)>,
}

impl Anchors {
    pub(super) fn new(
        roots: &Roots,
        trust: &Trust,
        schemes: WebPkiSupportedAlgorithms,
    ) -> Result<Self, Error> {
        let algorithms = schemes.all.iter().map(|algorithm| Remembering(*algorithm)).collect();
        let mut this = Self { algorithms, ..Self::default() };
        for trusted in roots.anchors() {
            let Some(anchor) = trust.read_anchor(trusted.der(), read)? else { continue };
            if trusted.kind() == AnchorKind::Itself {
                this.themselves.push((trusted.der().clone(), anchor));
            } else {
                this.authorities.push(anchor);
                this.ends.push(trusted.not_after());
                this.keys.push(trusted.key_identifier().map(<[u8]>::to_vec));
            }
        }
        Ok(this)
    }

    pub(super) fn subjects(&self) -> Vec<DistinguishedName> {
        let themselves = self.themselves.iter().map(|(_, anchor)| anchor);
        self.authorities
            .iter()
            .chain(themselves)
            .map(|anchor| DistinguishedName::in_sequence(&anchor.subject))
            .collect()
    }

    /// When an anchor ends; the last of them, where a certificate was renewed with its name and key.
    fn end_of(&self, anchor: &TrustAnchor<'_>) -> Option<UnixTime> {
        let authorities = self.authorities.iter().zip(&self.ends);
        let ends = authorities.filter(|(authority, _)| *authority == anchor).map(|(_, end)| *end);
        let seconds = u64::try_from(ends.max()?).unwrap_or_default();
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }

    pub(super) fn verify(
        &self,
        presented: &Presented<'_>,
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let end_entity = EndEntityCert::try_from(presented.leaf)?;
        let itself = self.themselves.iter().find(|(der, _)| der == presented.leaf);
        let (anchors, intermediates) = match itself {
            Some((_, anchor)) => (std::slice::from_ref(anchor), &[][..]),
            None => (self.authorities.as_slice(), presented.intermediates),
        };
        let may_issue = |path: &VerifiedPath<'_>| {
            let all = path
                .intermediate_certificates()
                .all(|issuer| leaf::check_issuer(&Certificate::from(issuer.der())).is_ok());
            if !all {
                return Err(webpki::Error::EndEntityUsedAsCa);
            }
            match self.end_of(path.anchor()) {
                Some(not_after) if now > not_after => {
                    Err(webpki::Error::CertExpired { time: now, not_after })
                }
                _ => Ok(()),
            }
        };
        let algorithms: Vec<&dyn SignatureVerificationAlgorithm> =
            self.algorithms.iter().map(|algorithm| algorithm as _).collect();
        end_entity
            .verify_for_usage(
                &algorithms,
                anchors,
                intermediates,
                now,
                usage,
                None,
                Some(&may_issue),
            )
            .map_err(|error| self.refusal(error, &end_entity, presented))?;
        let leaf = Certificate::from(presented.leaf.clone());
        leaf::check_usage(&leaf)?;
        match presented.name {
            Some(name) => Ok(leaf::check_name(&leaf, name)?),
            None => Ok(()),
        }
    }

    /// The refusal with the reason that every backend tells, where webpki uses one for several faults
    /// or looks in another order.
    fn refusal(
        &self,
        error: webpki::Error,
        end_entity: &EndEntityCert<'_>,
        presented: &Presented<'_>,
    ) -> Refusal {
        use CertificateReason as R;
        let is_unfit = matches!(error, webpki::Error::EndEntityUsedAsCa);
        let mut refusal = Refusal::from(error);
        let leaf = Certificate::from(presented.leaf.clone());
        refusal.reason = match refusal.reason {
            reason @ (R::BadSignature | R::UnsupportedAlgorithm) => {
                let fault = presented.issuers().find_map(|issuer| fault(&issuer));
                fault.unwrap_or_else(|| {
                    let keys = self.keys_of(end_entity.issuer(), presented);
                    let is_stranger = leaf::is_by_another_key(&leaf, &keys);
                    if is_stranger { R::UnknownIssuer } else { reason }
                })
            }
            // An issuer that webpki found fit, and `may_issue` did not.
            R::UnknownIssuer if is_unfit => {
                presented.issuers().find_map(|issuer| fault(&issuer)).unwrap_or(R::UnknownIssuer)
            }
            reason @ (R::BadEncoding | R::NameConstraints) => {
                let checked = presented.name.map(|name| leaf::check_name(&leaf, name));
                let is_mismatch =
                    matches!(checked, Some(Err(_))) && leaf::check_usage(&leaf).is_ok();
                if is_mismatch { R::NameMismatch } else { reason }
            }
            reason => reason,
        };
        refusal
    }

    /// The keys of all that bear this name.
    fn keys_of(&self, subject: &[u8], presented: &Presented<'_>) -> Vec<Option<Vec<u8>>> {
        let authorities = self.authorities.iter().zip(&self.keys);
        let trusted = authorities.filter(|(authority, _)| authority.subject.as_ref() == subject);
        let sent = presented.intermediates.iter().filter(|issuer| {
            EndEntityCert::try_from(*issuer).is_ok_and(|issuer| issuer.subject() == subject)
        });
        trusted
            .map(|(_, key)| key.clone())
            .chain(sent.map(|der| leaf::key_identifier(&Certificate::from(der.clone()))))
            .collect()
    }
}

fn read(der: &CertificateDer<'static>) -> Result<TrustAnchor<'static>, webpki::Error> {
    anchor_from_trusted_cert(der).map(|anchor| anchor.to_owned())
}

/// Why a certificate is refused.
pub(super) struct Refusal {
    reason: CertificateReason,
    source: Arc<dyn std::error::Error + Send + Sync>,
}

impl From<webpki::Error> for Refusal {
    fn from(error: webpki::Error) -> Self {
        Self { reason: webpki_reason(&error), source: Arc::new(error) }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let reason = error.certificate_reason().unwrap_or(CertificateReason::Other);
        Self { reason, source: Arc::new(error) }
    }
}

impl Refusal {
    /// The error for rustls, which decides by it on the alert.
    fn into_rustls(self) -> rustls::Error {
        use CertificateReason as R;
        rustls::Error::InvalidCertificate(match self.reason {
            R::UnknownIssuer => CertificateError::UnknownIssuer,
            R::Expired => CertificateError::Expired,
            R::NotYetValid => CertificateError::NotValidYet,
            R::NameMismatch => CertificateError::NotValidForName,
            R::Revoked => CertificateError::Revoked,
            R::BadSignature => CertificateError::BadSignature,
            R::WrongUsage | R::CaUsedAsEndEntity => CertificateError::InvalidPurpose,
            R::BadEncoding => CertificateError::BadEncoding,
            // `certificate_unknown`. Not the variants for algorithms: their alert, `decrypt_error`,
            // does not tell the peer that it is the certificate that is refused.
            _ => CertificateError::Other(rustls::OtherError(self.source)),
        })
    }
}

/// What a peer presents, and the name it should be for.
pub(super) struct Presented<'a> {
    pub(super) leaf: &'a CertificateDer<'a>,
    pub(super) intermediates: &'a [CertificateDer<'a>],
    pub(super) name: Option<&'a ServerName>,
}

impl Presented<'_> {
    /// Leaves the whole story for the session, and returns what rustls is told.
    pub(super) fn refuse(&self, refusal: Refusal) -> rustls::Error {
        let mut error = Error::certificate(refusal.reason);
        if let Some(details) = self.culprit(refusal.reason) {
            let details = details.of_chain(1 + self.intermediates.len());
            error = error.with_certificate(match self.name {
                Some(name) => details.expecting(name),
                None => details,
            });
        }
        super::leave_refusal(error);
        refusal.into_rustls()
    }

    fn issuers(&self) -> impl Iterator<Item = Certificate> {
        self.intermediates.iter().map(|der| Certificate::from(der.clone()))
    }

    /// The details of the certificate at fault: of an authority when it is that which has expired.
    fn culprit(&self, reason: CertificateReason) -> Option<CertificateDetails> {
        let details = |der: &CertificateDer<'_>| Certificate::from(der.clone()).details().ok();
        let at_fault = |details: &CertificateDetails| match reason {
            CertificateReason::Expired => details.validity.is_over(),
            CertificateReason::NotYetValid => details.validity.is_ahead(),
            _ => true,
        };
        std::iter::once(self.leaf)
            .chain(self.intermediates)
            .filter_map(details)
            .find(at_fault)
            .or_else(|| details(self.leaf))
    }
}

/// Why no signature by this authority is good, whatever it is.
fn fault(issuer: &Certificate) -> Option<CertificateReason> {
    leaf::check_issuer(issuer).err()?.certificate_reason()
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
    };

    use super::*;
    use crate::backend::DEFAULT;

    /// The first second of a year.
    fn year(year: i32) -> UnixTime {
        let second = date_time_ymd(year, 1, 1).unix_timestamp();
        UnixTime::since_unix_epoch(Duration::from_secs(second.try_into().unwrap()))
    }

    /// An authority with this key, whose certificate ends with the year.
    fn authority(key: &KeyPair, until: i32) -> CertifiedIssuer<'static, &KeyPair> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(until, 1, 1);
        CertifiedIssuer::self_signed(params, key).unwrap()
    }

    #[test]
    fn a_renewed_authority_ends_with_its_last_certificate() {
        let (key, leaf_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let [first, renewed] = [2100, 2200].map(|until| authority(&key, until));
        let mut params = CertificateParams::new(["a.example".into()]).unwrap();
        params.not_after = date_time_ymd(2300, 1, 1);
        let leaf = params.signed_by(&leaf_key, &first).unwrap();

        let schemes = DEFAULT.provider().signature_verification_algorithms;
        let verdict = |authorities: &[&CertifiedIssuer<'_, &KeyPair>], now| {
            let trusted = authorities.iter().map(|it| it.der().clone()).collect();
            let trust = Trust::Only(trusted);
            let anchors = Anchors::new(&trust.load().unwrap(), &trust, schemes).unwrap();
            let presented = Presented { leaf: leaf.der(), intermediates: &[], name: None };
            let verified = anchors.verify(&presented, KeyUsage::server_auth(), now);
            verified.map_err(|refusal| refusal.reason)
        };
        for authorities in [&[&first, &renewed], &[&renewed, &first]] {
            assert_eq!(verdict(authorities, year(2050)), Ok(()));
            assert_eq!(verdict(authorities, year(2150)), Ok(()));
            assert_eq!(verdict(authorities, year(2250)), Err(CertificateReason::Expired));
        }
        assert_eq!(verdict(&[&first], year(2150)), Err(CertificateReason::Expired));
    }
}
