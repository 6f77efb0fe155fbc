//! Requests for certificates: who asks is noted, what is asked is read, and who approves or signs must be allowed to for that signer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_types::field::{Error, Errors, Path};
use k8s_types::policy::read::{Read, put, take};
use k8s_types::status::ApiError;
use serde_json::{Value, json};

use super::{Attributes, Operation};
use crate::authorize::{self, Decision, Target};
use crate::pki::CertificateRequest;
use crate::registry::Registry;

const GROUP: &str = "certificates.k8s.io";
const PLURAL: &str = "certificatesigningrequests";
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// Notes who asks; what the client says about that does not count.
pub fn note_requester(attributes: &mut Attributes<'_>) {
    if !attributes.is(GROUP, PLURAL) || attributes.operation != Operation::Create {
        return;
    }
    let identity = attributes.identity;
    let Some(request) = attributes.object.as_deref_mut() else { return };
    let fields = [
        ("username", json!(identity.name)),
        ("uid", json!(identity.uid)),
        ("groups", json!(identity.groups)),
        ("extra", json!(identity.extra)),
    ];
    for (field, value) in fields {
        match value.is_unset() {
            true => {
                take(request, &["spec", field]);
            }
            false => put(request, &["spec", field], value),
        }
    }
}

/// Reads the request: it must be one, signed by its own key, and not ask for what nobody gets.
pub fn check_subject(attributes: &Attributes<'_>) -> Result<(), ApiError> {
    if !attributes.is(GROUP, PLURAL) || attributes.operation != Operation::Create {
        return Ok(());
    }
    let spec = &attributes.after()["spec"];
    let organizations = read_request(spec["request"].text()).map_err(|why| {
        let path = Path::new("spec").child("request");
        let errors = Errors::from(Error::invalid(&path, spec["request"].clone(), why));
        ApiError::invalid(&attributes.row.group_kind(), attributes.name, &errors)
    })?;
    if spec["signerName"] == CLIENT_SIGNER && organizations.iter().any(|o| o == "system:masters") {
        return Err(attributes
            .forbidden(format_args!("use of {CLIENT_SIGNER} signer with system:masters group is not allowed")));
    }
    Ok(())
}

/// The organizations of a PEM request in base64; what is wrong with it otherwise.
fn read_request(encoded: &str) -> Result<Vec<String>, String> {
    let pem = STANDARD.decode(encoded).map_err(|_| "PEM block type must be CERTIFICATE REQUEST".to_owned())?;
    CertificateRequest::read(&pem).map(|request| request.organizations)
}

/// Approving and signing need a right for the signer.
pub async fn check_rights(registry: &Registry, attributes: &Attributes<'_>) -> Result<(), ApiError> {
    if !attributes.row.is(GROUP, PLURAL) || attributes.operation != Operation::Update {
        return Ok(());
    }
    let (new, old) = (attributes.after(), attributes.before());
    let verb = match attributes.subresource {
        "approval" => "approve",
        "status" if signs(new, old) => "sign",
        _ => return Ok(()),
    };
    let signer = old["spec"]["signerName"].text();
    if may(registry, attributes, verb, signer).await {
        return Ok(());
    }
    let what = if verb == "approve" { "approve" } else { "sign" };
    Err(attributes.forbidden(format_args!("user not permitted to {what} requests with signerName \"{signer}\"")))
}

fn signs(new: &Value, old: &Value) -> bool {
    let failed = |request: &Value| request["status"]["conditions"].items().iter().any(|c| c["type"] == "Failed");
    new["status"]["certificate"] != old["status"]["certificate"] || failed(new) != failed(old)
}

/// A right for the signer, or for all signers of its domain.
async fn may(registry: &Registry, attributes: &Attributes<'_>, verb: &str, signer: &str) -> bool {
    let Some(access) = registry.access() else { return false };
    let domain = signer.split_once('/').map(|(domain, _)| format!("{domain}/*"));
    for name in [Some(signer.to_owned()), domain].into_iter().flatten() {
        let resource =
            authorize::Resource { group: GROUP, version: "*", resource: "signers", name: &name, ..Default::default() };
        let question =
            authorize::Attributes { identity: attributes.identity, verb, target: Target::Resource(resource) };
        if matches!(access.authorize(&question).await, Decision::Allow(_)) {
            return true;
        }
    }
    false
}
