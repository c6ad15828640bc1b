//! A certificate authority of the test's own.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    version::TLS13,
};

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, for those who are to trust it.
    pub(crate) pem: String,
}

/// What a server shows, and which versions of TLS it knows.
pub(crate) struct Identity<'a> {
    pub(crate) names: &'a [&'a str],
    pub(crate) has_expired: bool,
    pub(crate) versions: &'a [&'static SupportedProtocolVersion],
}

const NEWEST: &[&SupportedProtocolVersion] = &[&TLS13];

impl Default for Identity<'_> {
    fn default() -> Self {
        Self { names: &["localhost", "127.0.0.1"], has_expired: false, versions: NEWEST }
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        // Two of one name would be taken for each other until the signature is looked at.
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("authority {}", MADE.fetch_add(1, Ordering::Relaxed));
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate and its key.
    pub(crate) fn certify(&self, identity: &Identity<'_>) -> (Certificate, KeyPair) {
        let names: Vec<_> = identity.names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        if identity.has_expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    pub(crate) fn server(&self, identity: Identity<'_>) -> Arc<ServerConfig> {
        let (certificate, key) = self.certify(&identity);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(identity.versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        Arc::new(config.unwrap())
    }
}
