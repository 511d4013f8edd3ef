//! Certificates, read and checked before the first request.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::ConfigError;

/// What TLS needs beyond the defaults; PEM.
#[derive(Clone, Default)]
pub struct Tls {
    /// CA certificates that replace the public ones.
    pub ca: Option<Vec<u8>>,
    /// Client certificate chain and its key.
    pub identity: Option<Identity>,
}

/// A client certificate with its key; PEM.
#[derive(Clone)]
pub struct Identity {
    /// Certificate chain, leaf first.
    pub cert: Vec<u8>,
    /// Private key. Never shown.
    pub key: Vec<u8>,
}

/// Where the certificates are.
pub(super) struct Files {
    pub(super) ca: Option<PathBuf>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

impl Files {
    pub(super) fn any(&self) -> bool {
        self.ca.is_some() || self.cert.is_some() || self.key.is_some()
    }
}

impl Tls {
    pub(super) fn read(files: Files) -> Result<Self, ConfigError> {
        let ca = files.ca.map(|path| certificates("CA certificates", &path)).transpose()?;
        let identity = match (files.cert, files.key) {
            (Some(cert), Some(key)) => Some(Identity {
                cert: certificates("client certificate", &cert)?,
                key: private_key(&key)?,
            }),
            (Some(_), None) => return Err(ConfigError::HalfIdentity { missing: "--otlp-key" }),
            (None, Some(_)) => return Err(ConfigError::HalfIdentity { missing: "--otlp-cert" }),
            (None, None) => None,
        };
        Ok(Tls { ca, identity })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("own_ca", &self.ca.is_some())
            .field("client_certificate", &self.identity.is_some())
            .finish()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    let pem = read(what, path)?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        certificate.map_err(|e| wrong(what, path, &e))?;
        count += 1;
    }
    if count == 0 {
        return Err(wrong(what, path, &"it holds no certificate"));
    }
    Ok(pem)
}

fn private_key(path: &Path) -> Result<Vec<u8>, ConfigError> {
    const WHAT: &str = "client key";
    let pem = read(WHAT, path)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|e| wrong(WHAT, path, &e))?;
    Ok(pem)
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|e| wrong(what, path, &e))
}

fn wrong(what: &'static str, path: &Path, reason: &dyn fmt::Display) -> ConfigError {
    ConfigError::Certificate { what, path: path.to_owned(), reason: reason.to_string() }
}
