//! Subresources and patches of objects.

use http::Response;
use k8s_types::status::{ApiError, Reason};

use super::answer;
use super::body::Body;
use super::objects::Ask;
use crate::registry::{Change, Registry};

impl Ask {
    pub(super) async fn get_part(&self, registry: &Registry) -> Result<Response<Body>, ApiError> {
        match self.path.subresource.as_str() {
            "status" => self.get(registry).await,
            other => Err(missing(other)),
        }
    }

    pub(super) async fn create_part(&self, registry: &Registry) -> Result<Response<Body>, ApiError> {
        let _ = registry;
        Err(missing(&self.path.subresource))
    }

    pub(super) async fn update_part(&self, registry: &Registry) -> Result<Response<Body>, ApiError> {
        self.accepted(false)?;
        let call = self.call("UpdateOptions")?;
        let new = self.decode(&call)?;
        self.check_name(&new)?;
        let change = Change::of(&call, &self.row, self.namespace(), &self.path.name, &self.path.subresource);
        let (stored, _) = registry.modify(&change, |_| Ok(new.clone())).await?;
        self.respond(200, &stored, Some(&call))
    }

    pub(super) async fn patch(&self, registry: &Registry) -> Result<Response<Body>, ApiError> {
        let _ = registry;
        Ok(answer::text(501, "patches are not there yet"))
    }
}

fn missing(name: &str) -> ApiError {
    ApiError::new(501, Reason::Unknown, format!("{name} needs a kubelet, and there is none yet"))
}
