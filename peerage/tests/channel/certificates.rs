//! A certificate authority of one's own, for tests.

use std::sync::atomic::{AtomicU32, Ordering};

use peerage::transport::{Certificate, Roots};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// Somebody who vouches for others.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
pub(crate) struct Pem {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("authority {}", NEXT.fetch_add(1, Ordering::Relaxed));
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// The certificate of the authority itself.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Believes whom this authority vouches for.
    pub(crate) fn roots(&self) -> Roots {
        Roots::pem(self.pem.as_bytes()).unwrap()
    }

    /// A certificate for these names.
    pub(crate) fn certify(&self, names: &[&str]) -> Pem {
        self.sign(params(names))
    }

    /// One whose time is over.
    pub(crate) fn certify_the_past(&self, names: &[&str]) -> Pem {
        let mut params = params(names);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Pem {
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pem { chain, key: key.serialize_pem() }
    }
}

impl Pem {
    pub(crate) fn certificate(&self) -> Certificate {
        Certificate::pem(self.chain.as_bytes(), self.key.as_bytes()).unwrap()
    }
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}
