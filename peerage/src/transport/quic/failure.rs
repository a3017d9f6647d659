//! From the errors of the QUIC library to ours.
//!
//! The library passes what TLS says on as an alert's number and a text, so that what the text alone tells has to be read from
//! it.

use peerage_proto::address::Address;
use quinn::{ConnectionError, TransportErrorCode};
use rustls::{AlertDescription, Error};

use crate::transport::DialError;
use crate::transport::tls::HandshakeFailure;
use crate::transport::tls::terms::{ClientTerms, Insists};

/// Why dialling failed.
pub(super) fn of_dialling(address: &Address, terms: &ClientTerms, why: &ConnectionError) -> DialError {
    if let Some(verdict) = terms.verdict() {
        return DialError::from_handshake(address, verdict);
    }
    match why {
        ConnectionError::ConnectionClosed(close) if close.error_code == TransportErrorCode::CONNECTION_REFUSED => {
            DialError::Refused { address: address.clone() }
        }
        why => DialError::from_handshake(address, of_handshake(&terms.insists, why)),
    }
}

/// Why a handshake failed at either end.
pub(super) fn of_handshake(insists: &Insists, why: &ConnectionError) -> HandshakeFailure {
    let other = || HandshakeFailure::Other { why: why.to_string() };
    match why {
        ConnectionError::VersionMismatch => HandshakeFailure::OldVersion,
        ConnectionError::TransportError(found) => match alert(found.code) {
            Some(alert @ AlertDescription::NoApplicationProtocol) => insists.failure(&Error::AlertReceived(alert)),
            _ if found.reason.contains("CertificateTypeExtension") => HandshakeFailure::OtherProof,
            _ => HandshakeFailure::Other { why: found.reason.clone() },
        },
        ConnectionError::ConnectionClosed(close) => match alert(close.error_code) {
            Some(alert) => insists.failure(&Error::AlertReceived(alert)),
            None => other(),
        },
        ConnectionError::ApplicationClosed(_) | ConnectionError::Reset | ConnectionError::LocallyClosed => {
            HandshakeFailure::Closed
        }
        ConnectionError::TimedOut => HandshakeFailure::TimedOut,
        ConnectionError::CidsExhausted => other(),
    }
}

/// The alert of TLS that a code stands for (RFC 9001, §4.8).
fn alert(code: TransportErrorCode) -> Option<AlertDescription> {
    let number = u64::from(code).checked_sub(0x100)?;
    u8::try_from(number).ok().map(AlertDescription::from)
}
