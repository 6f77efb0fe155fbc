//! Requests for certificates: kubelets' own are approved, approved ones signed by the cluster's authority, old ones removed.
//!
//! This is a controller; it is here because it has the authority's key.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_types::status::{ApiError, Reason};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::sync::Notify;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Access, reviews};
use crate::Identity;
use crate::authorize::{Attributes, Decision, Resource, Target};
use crate::pki::CertificateRequest;
use crate::registry::{Call, Mirror, Registry};

const GROUP: &str = "certificates.k8s.io";
const PLURAL: &str = "certificatesigningrequests";
const HOUR: i64 = 3_600;
/// Certificates live a year unless less is asked for, and ten minutes at least.
const LONGEST: i64 = 365 * 24 * HOUR;
const SHORTEST: i64 = 600;

/// A signer of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signer {
    Client,
    KubeletClient,
    KubeletServing,
    LegacyUnknown,
}

impl Signer {
    fn of(name: &str) -> Option<Signer> {
        Some(match name {
            "kubernetes.io/kube-apiserver-client" => Signer::Client,
            "kubernetes.io/kube-apiserver-client-kubelet" => Signer::KubeletClient,
            "kubernetes.io/kubelet-serving" => Signer::KubeletServing,
            "kubernetes.io/legacy-unknown" => Signer::LegacyUnknown,
            _ => return None,
        })
    }

    /// What the signer finds wrong with a request.
    fn check(self, request: &CertificateRequest, usages: &BTreeSet<&str>) -> Result<(), String> {
        match self {
            Signer::LegacyUnknown => Ok(()),
            Signer::Client => check_client(usages),
            Signer::KubeletClient => {
                check_node_groups(request)?;
                refuse(request.has_dns_names, "DNS subjectAltNames are not allowed")?;
                refuse(request.has_mail_addresses, "Email subjectAltNames are not allowed")?;
                refuse(request.has_addresses, "IP subjectAltNames are not allowed")?;
                refuse(request.has_uris, "URI subjectAltNames are not allowed")?;
                check_node_name(request)?;
                check_usages(usages, "client auth")
            }
            Signer::KubeletServing => {
                check_node_groups(request)?;
                refuse(!request.has_dns_names && !request.has_addresses, "DNS or IP subjectAltName is required")?;
                refuse(request.has_mail_addresses, "Email subjectAltNames are not allowed")?;
                refuse(request.has_uris, "URI subjectAltNames are not allowed")?;
                check_usages(usages, "server auth")?;
                check_node_name(request)
            }
        }
    }
}

fn refuse(wrong: bool, why: &str) -> Result<(), String> {
    if wrong { Err(why.to_owned()) } else { Ok(()) }
}

fn check_client(usages: &BTreeSet<&str>) -> Result<(), String> {
    let optional = ["digital signature", "key encipherment", "client auth"];
    if let Some(usage) = usages.iter().find(|usage| !optional.contains(usage)) {
        return Err(format!("invalid usage for client certificate: {usage}"));
    }
    refuse(!usages.contains("client auth"), "missing required usage for client certificate: client auth")
}

fn check_node_groups(request: &CertificateRequest) -> Result<(), String> {
    refuse(request.organizations != ["system:nodes"], "subject organization is not system:nodes")
}

fn check_node_name(request: &CertificateRequest) -> Result<(), String> {
    let named = request.common_name.starts_with("system:node:");
    refuse(!named, "subject common name does not begin with system:node:")
}

fn check_usages(usages: &BTreeSet<&str>, purpose: &str) -> Result<(), String> {
    let mut wanted = BTreeSet::from(["digital signature", "key encipherment", purpose]);
    if *usages == wanted {
        return Ok(());
    }
    let shown: Vec<_> = wanted.iter().copied().collect();
    let why = format!("usages did not match [{}]", shown.join(" "));
    wanted.remove("key encipherment");
    refuse(*usages != wanted, &why)
}

/// What is to be done about a request.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Approve(&'static str),
    Sign(String),
    Fail(String),
    Remove,
}

/// Follows all requests until the registry closes.
pub async fn run(registry: Registry, access: Access) {
    let changed = Arc::new(Notify::new());
    let Ok(row) = registry.row(GROUP, PLURAL) else { return };
    let wake = changed.clone();
    let mirror = match Mirror::start(&registry, &row, move || wake.notify_one()).await {
        Ok(mirror) => mirror,
        Err(error) => {
            tracing::error!(%error, "requests for certificates cannot be followed");
            return;
        }
    };
    loop {
        let settled = settle(&registry, &access, &mirror).await;
        let again = if settled { Duration::from_secs(HOUR as u64) } else { Duration::from_secs(5) };
        tokio::select! {
            () = changed.notified() => {}
            () = tokio::time::sleep(again) => {}
        }
        if registry.store().failure().is_some() {
            return;
        }
    }
}

/// One look at all requests; `false` when something could not be written.
async fn settle(registry: &Registry, access: &Access, mirror: &Mirror) -> bool {
    let mut settled = true;
    for request in mirror.all() {
        let step = step(access, &request);
        if let Err(error) = take(registry, &request, step).await {
            let name = request["metadata"]["name"].as_str().unwrap_or_default();
            tracing::warn!(name, %error, "a request for a certificate cannot be brought forward");
            settled = false;
        }
    }
    settled
}

fn step(access: &Access, object: &Value) -> Step {
    let now = access.pki().now();
    if outlived(object, now) {
        return Step::Remove;
    }
    let Some(signer) = object["spec"]["signerName"].as_str().and_then(Signer::of) else { return Step::Nothing };
    if has(object, "Denied") || has(object, "Failed") || object["status"]["certificate"].is_string() {
        return Step::Nothing;
    }
    let pem = object["spec"]["request"].as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    let usages = object["spec"]["usages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let usages: BTreeSet<&str> = usages.iter().filter_map(Value::as_str).collect();
    let read = CertificateRequest::read(&pem).and_then(|request| {
        signer.check(&request, &usages)?;
        Ok(request)
    });
    match (read, has(object, "Approved")) {
        (Ok(request), true) => {
            let asked = object["spec"]["expirationSeconds"].as_i64().unwrap_or(LONGEST);
            let usages: Vec<&str> = usages.into_iter().collect();
            match access.pki().sign_request(&request, &usages, asked.clamp(SHORTEST, LONGEST)) {
                Ok(certificate) => Step::Sign(certificate),
                Err(error) => Step::Fail(error.to_string()),
            }
        }
        (Err(why), true) => Step::Fail(why),
        (Ok(request), false) if signer == Signer::KubeletClient => approval(access, object, &request),
        (_, false) => Step::Nothing,
    }
}

/// Kubelets ask for their own certificate, or for their first one with a bootstrap token.
fn approval(access: &Access, object: &Value, request: &CertificateRequest) -> Step {
    let mut identity: Identity = reviews::subject(object);
    identity.name = object["spec"]["username"].as_str().unwrap_or_default().to_owned();
    let may = |subresource: &str| {
        let resource = Resource { group: GROUP, version: "*", resource: PLURAL, subresource, ..Resource::default() };
        let attributes = Attributes { identity: &identity, verb: "create", target: Target::Resource(resource) };
        matches!(access.decide(&attributes), Decision::Allow(_))
    };
    if identity.name == request.common_name && may("selfnodeclient") {
        return Step::Approve("Auto approving self kubelet client certificate after SubjectAccessReview.");
    }
    match may("nodeclient") {
        true => Step::Approve("Auto approving kubelet client certificate after SubjectAccessReview."),
        false => Step::Nothing,
    }
}

async fn take(registry: &Registry, request: &Value, step: Step) -> Result<(), ApiError> {
    let row = registry.row(GROUP, PLURAL)?;
    let mut object = request.clone();
    let subresource = match step {
        Step::Nothing => return Ok(()),
        Step::Remove => {
            let name = request["metadata"]["name"].as_str().unwrap_or_default();
            let options = json!({ "preconditions": { "uid": request["metadata"]["uid"] } });
            return settled(registry.delete(&Call::internal(), &row, "", name, options).await);
        }
        Step::Approve(message) => {
            add_condition(&mut object, "Approved", "AutoApproved", message);
            "approval"
        }
        Step::Fail(why) => {
            add_condition(&mut object, "Failed", "SignerValidationFailure", &why);
            "status"
        }
        Step::Sign(certificate) => {
            object["status"]["certificate"] = STANDARD.encode(certificate).into();
            "status"
        }
    };
    settled(registry.update(&Call::internal(), &row, subresource, object).await)
}

/// Somebody who was faster is no failure: the change wakes us again.
fn settled(result: Result<Value, ApiError>) -> Result<(), ApiError> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.reason, Reason::Conflict | Reason::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

fn add_condition(object: &mut Value, kind: &str, reason: &str, message: &str) {
    let condition = json!({ "type": kind, "status": "True", "reason": reason, "message": message });
    match object["status"]["conditions"].as_array_mut() {
        Some(conditions) => conditions.push(condition),
        None => object["status"]["conditions"] = json!([condition]),
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn has(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == "True")
}

/// An hour after the decision, a day without one, or when the certificate has expired.
fn outlived(object: &Value, now: i64) -> bool {
    let age = |time: &Value| time.as_str()?.parse::<jiff::Timestamp>().ok().map(|time| now - time.as_second());
    let old = |kind: &str| {
        condition(object, kind).and_then(|found| age(&found["lastUpdateTime"])).is_some_and(|age| age > HOUR)
    };
    let issued = object["status"]["certificate"].as_str().and_then(|text| STANDARD.decode(text).ok());
    let undecided = object["status"]["conditions"].as_array().is_none_or(Vec::is_empty);
    (undecided && age(&object["metadata"]["creationTimestamp"]).is_some_and(|age| age > 24 * HOUR))
        || old("Denied")
        || old("Failed")
        || (issued.is_some() && old("Approved"))
        || issued.is_some_and(|pem| expired(&pem, now))
}

fn expired(pem: &[u8], now: i64) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(pem) else { return false };
    X509Certificate::from_der(&der).is_ok_and(|(_, found)| found.validity().not_after.timestamp() < now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubelet() -> CertificateRequest {
        CertificateRequest {
            common_name: "system:node:a".to_owned(),
            organizations: vec!["system:nodes".to_owned()],
            ..CertificateRequest::default()
        }
    }

    fn check(signer: Signer, request: &CertificateRequest, usages: &[&str]) -> Result<(), String> {
        signer.check(request, &usages.iter().copied().collect())
    }

    #[test]
    fn signers_say_what_is_wrong() {
        let client = ["client auth", "digital signature", "key encipherment"];
        let server = ["server auth", "digital signature"];
        assert_eq!(check(Signer::KubeletClient, &kubelet(), &client), Ok(()));
        assert_eq!(check(Signer::KubeletClient, &kubelet(), &client[..2]), Ok(()));
        let wrong = |change: fn(&mut CertificateRequest)| {
            let mut request = kubelet();
            change(&mut request);
            check(Signer::KubeletClient, &request, &client).unwrap_err()
        };
        assert_eq!(wrong(|r| r.organizations.clear()), "subject organization is not system:nodes");
        assert_eq!(wrong(|r| r.common_name = "a".into()), "subject common name does not begin with system:node:");
        assert_eq!(wrong(|r| r.has_dns_names = true), "DNS subjectAltNames are not allowed");
        assert_eq!(wrong(|r| r.has_uris = true), "URI subjectAltNames are not allowed");
        assert_eq!(
            check(Signer::KubeletClient, &kubelet(), &server).unwrap_err(),
            "usages did not match [client auth digital signature key encipherment]"
        );
        let why = "DNS or IP subjectAltName is required";
        assert_eq!(check(Signer::KubeletServing, &kubelet(), &server).unwrap_err(), why);
        let mut serving = kubelet();
        serving.has_addresses = true;
        assert_eq!(check(Signer::KubeletServing, &serving, &server), Ok(()));
        let anybody = CertificateRequest::default();
        assert_eq!(check(Signer::Client, &anybody, &client), Ok(()));
        let why = "invalid usage for client certificate: server auth";
        assert_eq!(check(Signer::Client, &anybody, &server).unwrap_err(), why);
        let why = "missing required usage for client certificate: client auth";
        assert_eq!(check(Signer::Client, &anybody, &["digital signature"]).unwrap_err(), why);
        assert_eq!(check(Signer::LegacyUnknown, &anybody, &["any"]), Ok(()));
    }

    #[test]
    fn old_requests_go() {
        let now = "2030-01-02T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second();
        let with = |kind: &str, time: &str| json!({"status": {"conditions": [{"type": kind, "status": "True", "lastUpdateTime": time}]}});
        let created = |time: &str| json!({"metadata": {"creationTimestamp": time}});
        assert!(!outlived(&created("2030-01-01T00:00:00Z"), now) && outlived(&created("2029-12-31T23:59:59Z"), now));
        assert!(!outlived(&with("Denied", "2030-01-01T23:00:00Z"), now));
        assert!(outlived(&with("Denied", "2030-01-01T22:59:59Z"), now));
        let mut approved = with("Approved", "2030-01-01T22:00:00Z");
        assert!(!outlived(&approved, now), "not issued yet");
        approved["status"]["certificate"] = STANDARD.encode("x").into();
        assert!(outlived(&approved, now));
    }
}
