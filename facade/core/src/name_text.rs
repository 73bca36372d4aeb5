//! The names in a certificate as text. Whoever made the certificate chose what stands in them, and the
//! text goes into messages and logs.

use std::fmt::Write as _;

use x509_parser::asn1_rs::{Any, BmpString, Tag, ToDer as _, UniversalString};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// A distinguished name (RFC 4514), its most specific part first.
pub(crate) fn distinguished(name: &X509Name<'_>) -> String {
    let part = |attributes: Vec<_>| attributes.join("+");
    let mut parts: Vec<_> =
        name.iter_rdn().map(|rdn| part(rdn.iter().map(attribute).collect())).collect();
    if parts.is_empty() {
        return "(empty name)".into();
    }
    parts.reverse();
    parts.join(",")
}

/// Text in one line: what could break the line or turn it about stands as section 2.4 of RFC 4514
/// writes it.
pub(crate) fn in_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => line.push_str("\\\\"),
            c => push(&mut line, c),
        }
    }
    line
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let (kind, value) = (attribute.attr_type(), attribute.attr_value());
    match (oid2abbrev(kind, oid_registry()), string(value)) {
        (Ok(kind), Some(value)) => format!("{kind}={}", escaped(&value)),
        (Ok(kind), None) => format!("{kind}={}", encoding(value)),
        (Err(_), _) => format!("{kind}={}", encoding(value)),
    }
}

/// The characters of a value, where its type has some.
fn string(value: &Any<'_>) -> Option<String> {
    match value.tag() {
        Tag::BmpString => BmpString::try_from(value).ok().map(|text| text.string()),
        Tag::UniversalString => UniversalString::try_from(value).ok().map(|text| text.string()),
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString
        | Tag::T61String => std::str::from_utf8(value.data).ok().map(str::to_owned),
        _ => None,
    }
}

/// A value as section 2.4 writes it.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for (at, c) in value.char_indices() {
        let special = match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => true,
            '#' => at == 0,
            ' ' => at == 0 || at + 1 == value.len(),
            _ => false,
        };
        if special {
            text.push('\\');
        }
        push(&mut text, c);
    }
    text
}

/// The bytes of a value without text, or of a kind without a name.
fn encoding(value: &Any<'_>) -> String {
    let mut text = String::from("#");
    for byte in value.to_der_vec().unwrap_or_default() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02X}");
    }
    text
}

fn push(text: &mut String, c: char) {
    if !disturbs(c) {
        return text.push(c);
    }
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        let _ = write!(text, "\\{byte:02X}");
    }
}

/// Whether a character ends lines, moves cursors or changes the direction of what stands around it.
fn disturbs(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, KeyPair};

    use crate::{Certificate, CertificateReason, Error};

    fn certificate(params: CertificateParams) -> Certificate {
        let key = KeyPair::generate().unwrap();
        Certificate::from_der(params.self_signed(&key).unwrap().der().to_vec()).unwrap()
    }

    fn subject(attributes: &[(DnType, DnValue)]) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in attributes {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        certificate(params).subject().unwrap()
    }

    fn utf8(text: &str) -> DnValue {
        DnValue::Utf8String(text.into())
    }

    #[test]
    fn the_most_specific_part_is_first() {
        let name = [(DnType::CountryName, utf8("XX")), (DnType::CommonName, utf8("B\u{fc}cher"))];
        assert_eq!(subject(&name), "CN=B\u{fc}cher,C=XX");
        assert_eq!(subject(&[]), "(empty name)");
    }

    #[test]
    fn what_is_special_is_escaped() {
        for (value, text) in [
            ("Example, Inc.", "CN=Example\\, Inc."),
            ("a+b=\"<c>;\\", "CN=a\\+b=\\\"\\<c\\>\\;\\\\"),
            ("#1 # ", "CN=\\#1 #\\ "),
            (" ", "CN=\\ "),
            ("a\nb\x1b[2J\u{9b}\0", "CN=a\\0Ab\\1B[2J\\C2\\9B\\00"),
            ("a\u{202e}b", "CN=a\\E2\\80\\AEb"),
        ] {
            assert_eq!(subject(&[(DnType::CommonName, utf8(value))]), text);
        }
    }

    #[test]
    fn what_has_no_name_is_shown_as_bytes() {
        let unknown = DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 55738, 666]);
        assert_eq!(subject(&[(unknown, utf8("a"))]), "1.3.6.1.4.1.55738.666=#0C0161");
        let two_bytes = DnValue::BmpString("caf\u{e9}".try_into().unwrap());
        assert_eq!(subject(&[(DnType::CommonName, two_bytes)]), "CN=caf\u{e9}");
    }

    #[test]
    fn an_error_stays_one_line() {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, "x\r\n\x1b[31mok");
        // A dNSName, as no reader of names would take it.
        let name = [&[0x30, 9, 0x82, 7][..], b"a\nb\\c\x1bd"].concat();
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], name)];
        let details = certificate(params).details().unwrap();
        assert_eq!(details.names, ["a\\0Ab\\\\c\\1Bd"]);
        for reason in [CertificateReason::UnknownIssuer, CertificateReason::NameMismatch] {
            let error = Error::certificate(reason).with_certificate(details.clone());
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
    }

    #[test]
    fn an_error_has_a_bound() {
        let names: Vec<_> = (0..500).map(|i| format!("{i}.{}", "n".repeat(400))).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, "o".repeat(20_000));
        let details = certificate(params).details().unwrap();
        assert_eq!(details.names.len(), 500);
        let error = Error::certificate(CertificateReason::NameMismatch);
        let text = error.with_certificate(details.clone()).to_string();
        assert!(text.len() < 2_500 && text.ends_with(" and 492 more"), "{text}");
        let error = Error::certificate(CertificateReason::UnknownIssuer);
        let text = error.with_certificate(details).to_string();
        assert!(text.len() < 400 && text.contains("ooo..."), "{text}");
    }
}
