//! Where objects are kept: the store in the server's folder, or an etcd that several servers share.
//!
//! Servers that share an etcd are one cluster, so they must have the same keys: `pki/` of the first is copied to the others before they start.
//! Whose keys a datastore belongs to is noted in it; a server with others does not serve it.

use std::time::{Duration, Instant};

use k8s_store::{At, EtcdOptions, Expect, Options, Store, Write, WriteError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::pki::Pki;
use crate::{Config, OpenError};

/// Which authority the objects belong to: SHA-256 of its public key.
const AUTHORITY: &str = "sampan/authority";
/// How long etcd may take to answer at the start: it may be starting itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `--datastore` says of an etcd.
pub fn etcd(text: &str) -> Result<EtcdOptions, OpenError> {
    let rest = text.strip_prefix("etcd=");
    let rest = rest.ok_or_else(|| OpenError::Store(format!("{text:?} is no datastore: want etcd=URL[,URL...]")))?;
    rest.parse().map_err(|error| OpenError::Store(format!("{error}")))
}

/// Opens what the configuration says.
pub(crate) async fn open(config: &Config) -> Result<Store, OpenError> {
    let failed = |error: &dyn std::fmt::Display| OpenError::Store(error.to_string());
    let Some(text) = config.datastore.as_deref().filter(|text| !text.is_empty()) else {
        let dir = config.dir.join("store");
        let opened = tokio::task::spawn_blocking(move || Store::open(&dir, Options::default())).await;
        return opened.map_err(|error| failed(&error))?.map_err(|error| failed(&error));
    };
    let etcd = etcd(text)?;
    let began = Instant::now();
    loop {
        match Store::connect(&etcd, Options::default()).await {
            Ok(store) => return Ok(store),
            Err(error) if began.elapsed() > PATIENCE => return Err(failed(&error)),
            Err(error) => {
                tracing::warn!(%error, "etcd does not answer yet");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Notes whose keys the datastore belongs to; refuses one that others share and that belongs to other keys.
pub(crate) async fn settle_authority(store: &Store, pki: &Pki) -> Result<(), OpenError> {
    let own = fingerprint(&pki.authority_pem())?;
    let failed = |error: &dyn std::fmt::Display| OpenError::Store(error.to_string());
    let known = store.get(AUTHORITY, At::Latest).await.map_err(|error| failed(&error))?.entry;
    let write = match known {
        Some(entry) if entry.value == own => return Ok(()),
        Some(_) if store.shared() => return Err(foreign()),
        Some(entry) => {
            tracing::warn!("the objects were made under another authority: tokens and certificates of old are void");
            Write::put(AUTHORITY, Expect::Revision(entry.revision), own.clone())
        }
        None => Write::put(AUTHORITY, Expect::Absent, own.clone()),
    };
    match store.write(write).await {
        Ok(_) => Ok(()),
        Err(WriteError::Conflict { current: Some(entry), .. }) if entry.value == own => Ok(()),
        Err(WriteError::Conflict { .. }) => Err(foreign()),
        Err(error) => Err(failed(&error)),
    }
}

fn foreign() -> OpenError {
    OpenError::Store(format!(
        "it belongs to a cluster of another authority: copy the folder kubernetes/pki of a server of that cluster here before the first start \
         (the key {AUTHORITY} says which it is)"
    ))
}

fn fingerprint(pem: &str) -> Result<String, OpenError> {
    let bad = |error: &dyn std::fmt::Display| OpenError::Pki(format!("the authority's certificate: {error}"));
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| bad(&error))?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|error| bad(&error))?;
    let digest = Sha256::digest(certificate.public_key().raw);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}
