//! Why a connection could not be secured.
//!
//! The library underneath has some sixty errors, many of which mean the same to whoever connects. Here they are sorted by
//! what can be done about them.

use std::io;

use peerage_proto::id::NodeId;
use rustls::{AlertDescription as Alert, CertificateError, Error, PeerIncompatible};

/// Why a handshake of TLS or QUIC failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// What came back is not TLS.
    #[error("the other end does not speak TLS")]
    NotTls,
    /// The other end knows no TLS 1.3.
    #[error("the other end does not speak TLS 1.3, and nothing older is spoken here")]
    OldVersion,
    /// The other end speaks something else inside TLS: it is not a Peerage node, or no channel.
    #[error("the other end speaks another protocol inside TLS, not `{expected}`")]
    OtherProtocol {
        /// What we insisted on.
        expected: &'static str,
    },
    /// One end proves itself with a raw key and the other with an X.509 certificate.
    #[error("one end has a raw key and the other wants a certificate, or the other way round")]
    OtherProof,
    /// The other end holds the key of another node than the one expected.
    #[error("expected node {expected}, found {found}")]
    IdentityMismatch {
        /// The id that was asked for.
        expected: NodeId,
        /// The id that the other end proved.
        found: NodeId,
    },
    /// The key of the other end cannot be a node's: not Ed25519, or one that proves nothing.
    #[error("the key of the other end is no node's: {why}")]
    UnfitKey {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The other end's X.509 certificate is not acceptable: unknown issuer, expired, made for another name …
    #[error("the certificate of the other end is not acceptable: {why}")]
    Certificate {
        /// What is wrong with it.
        why: String,
    },
    /// No certificate is trusted here, so that no other end can be.
    #[error("no trusted certificates are found on this system: give them as PEM")]
    NoRoots,
    /// The other end said no, in a TLS alert.
    #[error("the other end refused: {alert}")]
    Refused {
        /// The alert, by its name in RFC 8446, and what it usually means.
        alert: String,
    },
    /// The other end closed the connection before it was secured.
    #[error("the other end closed the connection during the handshake")]
    Closed,
    /// The handshake took too long, or had to give way to newcomers.
    #[error("the handshake took too long")]
    TimedOut,
    /// The two ends have no algorithm in common, or one broke the rules.
    #[error("the handshake failed: {why}")]
    Other {
        /// What the TLS library says.
        why: String,
    },
}

impl HandshakeFailure {
    /// Whether the same attempt may succeed later, without anybody changing a setting.
    pub fn may_pass(&self) -> bool {
        matches!(self, HandshakeFailure::Closed | HandshakeFailure::TimedOut)
    }

    /// Sorts an error of the library. `protocol` is what we insist on speaking inside.
    pub(super) fn of(why: &Error, protocol: Option<&'static str>) -> HandshakeFailure {
        let other = || HandshakeFailure::Other { why: why.to_string() };
        match why {
            // Ours, carried through the library.
            Error::Other(carried) => carried.0.downcast_ref::<HandshakeFailure>().cloned().unwrap_or_else(other),
            Error::InvalidMessage(_) => HandshakeFailure::NotTls,
            Error::PeerIncompatible(why) => match why {
                PeerIncompatible::IncorrectCertificateTypeExtension
                | PeerIncompatible::UnsolicitedCertificateTypeExtension => HandshakeFailure::OtherProof,
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::Tls13RequiredForQuic => HandshakeFailure::OldVersion,
                _ => other(),
            },
            Error::NoApplicationProtocol => other_protocol(protocol),
            Error::NoCertificatesPresented => HandshakeFailure::Certificate { why: "none was shown".to_owned() },
            Error::InvalidCertificate(why) => HandshakeFailure::Certificate { why: certificate_fault(why) },
            Error::AlertReceived(alert) => match alert {
                Alert::ProtocolVersion => HandshakeFailure::OldVersion,
                Alert::NoApplicationProtocol => other_protocol(protocol),
                _ => HandshakeFailure::Refused { alert: in_words(*alert) },
            },
            _ => other(),
        }
    }

    pub(in crate::transport) fn of_io(why: &io::Error) -> HandshakeFailure {
        match why.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => HandshakeFailure::Closed,
            _ => HandshakeFailure::Other { why: why.to_string() },
        }
    }
}

/// Where the bare name of an alert leaves its reader helpless, what it usually means.
fn in_words(alert: Alert) -> String {
    match alert {
        Alert::HandshakeFailure => "HandshakeFailure (no kind of proof, or no algorithm, in common)".to_owned(),
        Alert::CertificateRequired => "CertificateRequired (it wants us to show a certificate)".to_owned(),
        Alert::UnknownCA => "UnknownCA (it does not trust the issuer of our certificate)".to_owned(),
        alert => format!("{alert:?}"),
    }
}

fn other_protocol(protocol: Option<&'static str>) -> HandshakeFailure {
    HandshakeFailure::OtherProtocol { expected: protocol.unwrap_or("any") }
}

/// The common faults in words, the rest as the library puts it.
fn certificate_fault(why: &CertificateError) -> String {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        CertificateError::BadSignature => "its signature, or that of the handshake, is not good".to_owned(),
        CertificateError::UnknownIssuer => "its issuer is not trusted here".to_owned(),
        CertificateError::NotValidForName => "it was made for another name".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!("it was made for {}, not for {}", presented.join(", "), expected.to_str())
        }
        _ => why.to_string(),
    }
}
