//! Encrypted connections: whom to believe.

use crate::settings::Tls;
use obmen_sdk::{Error, ErrorKind, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// The means to encrypt as settings say.
///
/// # Errors
/// `NotFound` and `InvalidData` for a file of certificates that is not there or holds none, `Unavailable` when this
/// machine trusts nobody.
pub(crate) fn connector(tls: Tls, ca: Option<&Path>) -> Result<MakeRustlsConnect> {
    match (tls, ca) {
        (Tls::Off, _) | (Tls::Prefer, None) => unverified(),
        (_, Some(path)) => trusting(path),
        (Tls::Require, None) => match MakeRustlsConnect::with_native_certs() {
            Ok((connector, _)) => Ok(connector),
            Err(errors) => {
                let why: Vec<String> = errors.iter().map(ToString::to_string).collect();
                let message = format!("this machine trusts no certificates {}; name a file as `ca`", why.join(", "));
                Err(Error::new(ErrorKind::Unavailable, message))
            }
        },
    }
}

fn builder(provider: &Arc<CryptoProvider>) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal("no version of TLS").because(error))
}

fn trusting(path: &Path) -> Result<MakeRustlsConnect> {
    let place = |error: Error| error.with("file", path.display());
    let pem = std::fs::read(path).map_err(|error| place(Error::from(error)))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let wrong = |error: Box<dyn std::error::Error + Send + Sync>| {
            place(Error::invalid_data("the file has a certificate that cannot be read").because(error))
        };
        let certificate = certificate.map_err(|error| wrong(error.into()))?;
        roots.add(certificate).map_err(|error| wrong(error.into()))?;
    }
    if roots.is_empty() {
        return Err(place(Error::invalid_data("the file has no certificate (PEM) in it")));
    }
    let config = builder(&Arc::new(ring::default_provider()))?.with_root_certificates(roots).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn unverified() -> Result<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Anybody(Arc::clone(&provider)));
    let config = builder(&provider)?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Encryption without proof of who is there, as `sslmode=prefer` means it: it keeps out those who only listen.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
