//! The cryptography that is agreed on: one set between nodes, a wider one for programs with certificates.

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};

/// Between nodes: X25519 together with ML-KEM-768, so that who records today learns nothing with tomorrow's computers;
/// X25519 alone as the second choice; nothing else. All ciphers of TLS 1.3.
pub(super) fn for_nodes() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519];
        Arc::new(CryptoProvider { kx_groups, ..default_provider() })
    });
    PROVIDER.clone()
}

/// For programs with X.509 certificates, which may be held to the curves of NIST.
pub(super) fn for_certificates() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(default_provider()));
    PROVIDER.clone()
}
