//! What a channel over `tls://` or `quic://` is told: whom to believe, and what to show.
//!
//! Two ways, never mixed. With an [`Identity`] both ends show raw keys, as nodes do, and each learns the other's id. With
//! [`X509`] ends show ordinary certificates, as other programs do, and a certificate proves its own name and nothing
//! about nodes.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};
use tokio::sync::OnceCell;

use super::failure::HandshakeFailure;
use super::provider;
use crate::identity::Identity;

/// How a channel over `tls://` or `quic://` is secured.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Tls {
    /// By raw keys on both ends. A dialler that names a node id in the address talks to that node only.
    Keys(Identity),
    /// By X.509 certificates.
    X509(X509),
}

impl From<Identity> for Tls {
    fn from(identity: Identity) -> Tls {
        Tls::Keys(identity)
    }
}

impl From<X509> for Tls {
    fn from(x509: X509) -> Tls {
        Tls::X509(x509)
    }
}

/// Whom to believe and what to show, with X.509 certificates.
///
/// Without further words a dialler believes what the system believes and shows nothing. A listener must
/// [`show`](Self::show) a certificate; it asks diallers for one only if it is told whom to [`trust`](Self::trust).
///
/// ```no_run
/// use peerage::Channel;
/// use peerage::transport::{Roots, X509};
///
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = X509::new().trust(Roots::pem(&std::fs::read("ca.pem")?)?);
/// let channel = Channel::connect(&"tls://sums.example:5000".parse()?).tls(tls).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct X509 {
    pub(super) roots: Option<Roots>,
    pub(super) shown: Option<Certificate>,
    pub(super) server_name: Option<ServerName<'static>>,
}

impl X509 {
    /// Believes what the system believes and shows nothing.
    pub fn new() -> X509 {
        X509::default()
    }

    /// Whose certificates are believed. On a listener: diallers must show a certificate, and it must be one of these.
    #[must_use]
    pub fn trust(mut self, roots: Roots) -> X509 {
        self.roots = Some(roots);
        self
    }

    /// The certificate to show. A listener needs one; a dialler shows it if it is asked.
    #[must_use]
    pub fn show(mut self, certificate: Certificate) -> X509 {
        self.shown = Some(certificate);
        self
    }

    /// The name that the certificate of the listener must hold, in place of the address's host. For diallers.
    ///
    /// # Errors
    ///
    /// [`InvalidServerName`] if `name` is neither a host name nor an IP address.
    pub fn server_name(mut self, name: &str) -> Result<X509, InvalidServerName> {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| InvalidServerName { name: name.to_owned() })?;
        self.server_name = Some(name);
        Ok(self)
    }
}

/// Certificates that are believed, and with them whatever they vouch for.
#[derive(Clone)]
pub struct Roots {
    /// `None`: those of the system, read when they are first needed.
    store: Option<Arc<RootCertStore>>,
}

impl Roots {
    /// What the system believes. It is read once for each process, when it is first needed.
    ///
    /// Where the system keeps them is for the system to say; on unix that includes the variables `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR`, as for other programs.
    pub fn system() -> Roots {
        Roots { store: None }
    }

    /// The certificates in a PEM text, all of them.
    ///
    /// # Errors
    ///
    /// [`InvalidPem`] if there is none, or one is malformed.
    pub fn pem(text: &[u8]) -> Result<Roots, InvalidPem> {
        let mut store = RootCertStore::empty();
        for certificate in certificates(text)? {
            store.add(certificate).map_err(|why| InvalidPem::Certificate { why: why.to_string() })?;
        }
        Ok(Roots { store: Some(Arc::new(store)) })
    }

    pub(super) async fn store(&self) -> Result<Arc<RootCertStore>, HandshakeFailure> {
        static SYSTEM: OnceCell<Arc<RootCertStore>> = OnceCell::const_new();
        match &self.store {
            Some(store) => Ok(store.clone()),
            None => SYSTEM.get_or_try_init(read_system).await.cloned(),
        }
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.store {
            Some(store) => write!(f, "Roots({} certificates)", store.len()),
            None => f.write_str("Roots(system)"),
        }
    }
}

/// A certificate, those that vouch for it, and its private key: what one end proves itself with. `Debug` shows nothing
/// of the key.
#[derive(Clone)]
pub struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
}

impl Certificate {
    /// The certificate at the beginning of the PEM text `chain`, those behind it that vouch for it, and the private key
    /// in the PEM text `key`.
    ///
    /// # Errors
    ///
    /// [`InvalidPem`] if one of them is missing or malformed, if the kind of key is not supported, or if the key belongs
    /// to another certificate.
    pub fn pem(chain: &[u8], key: &[u8]) -> Result<Certificate, InvalidPem> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|why| match why {
            PemError::NoItemsFound => InvalidPem::NoKey,
            why => InvalidPem::Malformed { why: why.to_string() },
        })?;
        let key = CertifiedKey::from_der(chain, key, &provider::for_certificates()).map_err(|why| match why {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => InvalidPem::OtherKey,
            Error::InvalidCertificate(why) => InvalidPem::Certificate { why: why.to_string() },
            why => InvalidPem::Key { why: why.to_string() },
        })?;
        Ok(Certificate { key: Arc::new(key) })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate(chain of {})", self.key.cert.len())
    }
}

/// Why a PEM text cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPem {
    /// There is no certificate in it.
    #[error("no certificate found: the text must hold a block that begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// There is no private key in it.
    #[error("no private key found: the text must hold a block that begins with -----BEGIN PRIVATE KEY-----")]
    NoKey,
    /// It is not PEM.
    #[error("not a PEM text: {why}")]
    Malformed {
        /// What the parser says.
        why: String,
    },
    /// A certificate in it is malformed or of a kind that is not supported.
    #[error("a certificate cannot be used: {why}")]
    Certificate {
        /// What the library says.
        why: String,
    },
    /// The private key in it is malformed or of a kind that is not supported.
    #[error("the private key cannot be used: {why}")]
    Key {
        /// What the library says.
        why: String,
    },
    /// The private key belongs to another certificate.
    #[error("the private key belongs to another certificate")]
    OtherKey,
}

/// A text that no certificate can hold as a name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{name}` is neither a host name nor an IP address")]
pub struct InvalidServerName {
    name: String,
}

fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidPem> {
    let found: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(text).collect();
    let found = found.map_err(|why| InvalidPem::Malformed { why: why.to_string() })?;
    if found.is_empty() { Err(InvalidPem::NoCertificate) } else { Ok(found) }
}

async fn read_system() -> Result<Arc<RootCertStore>, HandshakeFailure> {
    // Some hundred small files.
    let read = tokio::task::spawn_blocking(|| {
        let mut store = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for why in &found.errors {
            tracing::warn!(%why, "cannot read some of the certificates that this system trusts");
        }
        store.add_parsable_certificates(found.certs);
        store
    });
    match read.await {
        Ok(store) if !store.is_empty() => Ok(Arc::new(store)),
        _ => Err(HandshakeFailure::NoRoots),
    }
}
