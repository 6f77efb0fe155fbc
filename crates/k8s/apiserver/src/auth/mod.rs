//! Who asks and what they may: authentication, impersonation, RBAC, tokens and reviews.

mod connection;
pub mod rbac;

use std::sync::Arc;

use http::HeaderMap;
use k8s_types::status::ApiError;
use serde_json::Value;

use crate::authorize::{Attributes, Decision};
use crate::catalog::Row;
use crate::pki::Pki;
use crate::registry::{Call, Registry};
use crate::{Config, Identity, OpenError};

pub use connection::Connection;

/// Access control, a cheap handle.
#[derive(Clone)]
pub struct Access {}

impl Access {
    /// Opens it over the objects of a registry (roles, bindings, service accounts, secrets) and keeps up with them.
    pub async fn open(_registry: &Registry, _pki: &Pki, _config: &Config) -> Result<Access, OpenError> {
        Ok(Access {})
    }

    /// Who asks: by the connection's client certificate or by what the headers carry. Without either it is
    /// [`Identity::anonymous`]; what is carried but wrong is `Unauthorized`.
    pub async fn authenticate(
        &self,
        _headers: &HeaderMap,
        _connection: &Connection,
    ) -> Result<Arc<Identity>, ApiError> {
        Ok(Identity::anonymous().into())
    }

    /// The user to act as, where headers ask for it and the user may.
    pub async fn impersonate(&self, identity: Arc<Identity>, _headers: &HeaderMap) -> Result<Arc<Identity>, ApiError> {
        Ok(identity)
    }

    /// May they?
    pub async fn authorize(&self, _attributes: &Attributes<'_>) -> Decision {
        Decision::Deny(String::new())
    }

    /// Answers a create of a kind that is never stored (token reviews, access reviews) or of `serviceaccounts/token`;
    /// `None` where it is another kind. `object` is decoded and defaulted; `name` is the parent's for subresources.
    pub async fn answer(
        &self,
        _call: &Call,
        _row: &Row,
        _subresource: &str,
        _namespace: &str,
        _name: &str,
        _object: Value,
    ) -> Option<Result<Value, ApiError>> {
        None
    }
}
