//! Kinds that are questions and never stored: who somebody is, who a token names, who may what.

use std::collections::BTreeMap;

use k8s_types::field::Errors;
use k8s_types::object::GroupKind;
use k8s_types::policy;
use k8s_types::status::ApiError;
use serde_json::{Value, json};

use super::Access;
use super::rbac::Rule;
use crate::Identity;
use crate::authorize::{Attributes, Decision, Resource, Target};

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// A token for a service account, please.
    TokenRequest,
    /// Whose token is this?
    TokenReview,
    /// Who am I?
    SelfSubjectReview,
    /// May they?
    SubjectAccessReview,
    /// May they, in this namespace?
    LocalSubjectAccessReview,
    /// May I?
    SelfSubjectAccessReview,
    /// What may I?
    SelfSubjectRulesReview,
}

impl Question {
    /// The question that a resource stands for.
    pub fn of(group: &str, plural: &str, subresource: &str) -> Option<Question> {
        Some(match (group, plural, subresource) {
            ("", "serviceaccounts", "token") => Question::TokenRequest,
            (AUTHENTICATION, "tokenreviews", "") => Question::TokenReview,
            (AUTHENTICATION, "selfsubjectreviews", "") => Question::SelfSubjectReview,
            (AUTHORIZATION, "subjectaccessreviews", "") => Question::SubjectAccessReview,
            (AUTHORIZATION, "localsubjectaccessreviews", "") => Question::LocalSubjectAccessReview,
            (AUTHORIZATION, "selfsubjectaccessreviews", "") => Question::SelfSubjectAccessReview,
            (AUTHORIZATION, "selfsubjectrulesreviews", "") => Question::SelfSubjectRulesReview,
            _ => return None,
        })
    }

    fn kind(self) -> GroupKind {
        let (group, kind) = match self {
            Question::TokenRequest => (AUTHENTICATION, "TokenRequest"),
            Question::TokenReview => (AUTHENTICATION, "TokenReview"),
            Question::SelfSubjectReview => (AUTHENTICATION, "SelfSubjectReview"),
            Question::SubjectAccessReview => (AUTHORIZATION, "SubjectAccessReview"),
            Question::LocalSubjectAccessReview => (AUTHORIZATION, "LocalSubjectAccessReview"),
            Question::SelfSubjectAccessReview => (AUTHORIZATION, "SelfSubjectAccessReview"),
            Question::SelfSubjectRulesReview => (AUTHORIZATION, "SelfSubjectRulesReview"),
        };
        GroupKind::new(group, kind)
    }

    /// Defaults and checks of its kind, which no row of its own has.
    pub fn prepare(self, object: &mut Value, namespace: &str) -> Result<(), ApiError> {
        let kind = self.kind();
        let policy = policy::of(&kind.group, &kind.kind);
        (policy.defaults)(object);
        if self == Question::LocalSubjectAccessReview {
            let own = object["metadata"]["namespace"].as_str().unwrap_or_default();
            if own.is_empty() {
                object["metadata"]["namespace"] = namespace.into();
            }
        }
        let mut errors = Errors::default();
        (policy.validate)(object, &mut errors);
        match errors.is_empty() {
            true => Ok(()),
            false => Err(ApiError::invalid(&kind, "", &errors)),
        }
    }
}

impl Access {
    /// Answers `object["status"]` of a `TokenReview`.
    pub(super) async fn review_token(&self, mut review: Value) -> Result<Value, ApiError> {
        let token = review["spec"]["token"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
        }
        let wanted: Vec<String> = texts(&review["spec"]["audiences"]);
        review["status"] = match self.tokens().accept(&token, &wanted).await {
            Ok(accepted) => json!({
                "authenticated": true,
                "user": user_info(&accepted.identity),
                "audiences": accepted.audiences,
            }),
            Err(error) => json!({ "user": {}, "error": error.to_string() }),
        };
        Ok(review)
    }

    /// Answers a `SelfSubjectReview`.
    pub(super) fn review_self(&self, identity: &Identity, mut review: Value) -> Value {
        review["status"] = json!({ "userInfo": user_info(identity) });
        review
    }

    /// Answers an access review about `identity`.
    pub(super) fn review_access(&self, identity: &Identity, mut review: Value) -> Value {
        let spec = review["spec"].clone();
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let decision = if spec["resourceAttributes"].is_object() {
            let asked = &spec["resourceAttributes"];
            let [group, version, resource, subresource, namespace, name, verb] =
                ["group", "version", "resource", "subresource", "namespace", "name", "verb"].map(|f| text(asked, f));
            let resource = Resource {
                group: &group,
                version: &version,
                resource: &resource,
                subresource: &subresource,
                namespace: &namespace,
                name: &name,
                ..Resource::default()
            };
            self.decide(&Attributes { identity, verb: &verb, target: Target::Resource(resource) })
        } else {
            let asked = &spec["nonResourceAttributes"];
            let (path, verb) = (text(asked, "path"), text(asked, "verb"));
            self.decide(&Attributes { identity, verb: &verb, target: Target::Path(&path) })
        };
        let (allowed, reason) = match &decision {
            Decision::Allow(reason) => (true, &**reason),
            Decision::Deny(reason) => (false, reason.as_str()),
        };
        review["status"] = json!({ "allowed": allowed });
        if !reason.is_empty() {
            review["status"]["reason"] = reason.into();
        }
        review
    }

    /// Answers a `SelfSubjectRulesReview`.
    pub(super) fn review_rules(&self, identity: &Identity, mut review: Value) -> Result<Value, ApiError> {
        let namespace = review["spec"]["namespace"].as_str().unwrap_or_default();
        if namespace.is_empty() {
            return Err(ApiError::bad_request("no namespace on request"));
        }
        let (rules, errors) = self.rbac().rules_for(identity, namespace);
        let (paths, resources): (Vec<Rule>, Vec<Rule>) = rules.into_iter().partition(|rule| rule.resources.is_empty());
        let values = |rules: &[Rule]| -> Vec<Value> { rules.iter().map(Rule::to_value).collect() };
        review["status"] = json!({
            "resourceRules": values(&resources),
            "nonResourceRules": values(&paths),
            "incomplete": !errors.is_empty(),
        });
        if !errors.is_empty() {
            review["status"]["evaluationError"] = errors.join(", ").into();
        }
        Ok(review)
    }
}

/// The user that a `SubjectAccessReview` asks about.
pub fn subject(review: &Value) -> Identity {
    let spec = &review["spec"];
    let extra = spec["extra"].as_object();
    let extra: BTreeMap<_, _> =
        extra.into_iter().flatten().map(|(key, values)| (key.to_lowercase(), texts(values))).collect();
    Identity {
        name: spec["user"].as_str().unwrap_or_default().to_owned(),
        uid: spec["uid"].as_str().unwrap_or_default().to_owned(),
        groups: texts(&spec["groups"]),
        extra,
    }
}

/// A user as `UserInfo`.
pub fn user_info(identity: &Identity) -> Value {
    let mut info = json!({ "username": identity.name });
    if !identity.uid.is_empty() {
        info["uid"] = identity.uid.as_str().into();
    }
    if !identity.groups.is_empty() {
        info["groups"] = json!(identity.groups);
    }
    if !identity.extra.is_empty() {
        info["extra"] = json!(identity.extra);
    }
    info
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
