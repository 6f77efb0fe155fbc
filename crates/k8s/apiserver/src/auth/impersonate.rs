//! `Impersonate-*` headers: acting as somebody else, by who may.

use std::collections::BTreeMap;

use http::HeaderMap;
use k8s_types::names;
use k8s_types::object::GroupResource;
use k8s_types::status::ApiError;

use super::rbac::ACCOUNT_PREFIX;
use crate::Identity;
use crate::authorize::{Attributes, Decision, Resource, Target};
use crate::http::path::decode;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
/// Group of the rights to take over uids and extras.
const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// One thing to be taken over, each of which needs the right to.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Account { namespace: String, name: String },
    User(String),
    Group(String),
    Extra { key: String, value: String },
    Uid(String),
}

/// The user that headers ask to act as, if `decide` allows all of it; `None` where they ask for nothing.
pub fn impersonated(
    identity: &Identity,
    headers: &HeaderMap,
    decide: impl Fn(&Attributes<'_>) -> Decision,
) -> Result<Option<Identity>, ApiError> {
    let wishes = wishes(headers)?;
    if wishes.is_empty() {
        return Ok(None);
    }
    for wish in &wishes {
        let resource = wish.resource();
        let attributes = Attributes { identity, verb: "impersonate", target: Target::Resource(resource) };
        if let Decision::Deny(reason) = decide(&attributes) {
            let about = GroupResource::new(resource.group, resource.resource);
            return Err(ApiError::forbidden(&about, resource.name, attributes.refusal(&reason)));
        }
    }
    Ok(Some(user(wishes)))
}

impl Wish {
    fn resource(&self) -> Resource<'_> {
        match self {
            Wish::Account { namespace, name } => {
                Resource { version: "v1", resource: "serviceaccounts", namespace, name, ..Resource::default() }
            }
            Wish::User(name) => Resource { resource: "users", name, ..Resource::default() },
            Wish::Group(name) => Resource { resource: "groups", name, ..Resource::default() },
            Wish::Extra { key, value } => Resource {
                group: AUTHENTICATION,
                version: "v1",
                resource: "userextras",
                subresource: key,
                name: value,
                ..Resource::default()
            },
            Wish::Uid(uid) => {
                Resource { group: AUTHENTICATION, version: "v1", resource: "uids", name: uid, ..Resource::default() }
            }
        }
    }

    /// As kube-apiserver prints such a request: kind, namespace, name, uid, version, resource version, field path.
    fn shown(&self) -> String {
        match self {
            Wish::Account { namespace, name } => format!("{{ServiceAccount {namespace} {name}    }}"),
            Wish::User(name) => format!("{{User  {name}    }}"),
            Wish::Group(name) => format!("{{Group  {name}    }}"),
            Wish::Extra { key, value } => format!("{{UserExtra  {value}  {AUTHENTICATION}/v1  {key}}}"),
            Wish::Uid(uid) => format!("{{UID  {uid}  {AUTHENTICATION}/v1  }}"),
        }
    }
}

fn wishes(headers: &HeaderMap) -> Result<Vec<Wish>, ApiError> {
    let texts = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    };
    let mut wishes = Vec::new();
    let user = texts(USER).into_iter().next().filter(|user| !user.is_empty());
    let named = user.is_some();
    if let Some(user) = user {
        wishes.push(match account(&user) {
            Some((namespace, name)) => Wish::Account { namespace, name },
            None => Wish::User(user),
        });
    }
    wishes.extend(texts(GROUP).into_iter().map(Wish::Group));
    for name in headers.keys() {
        let Some(key) = name.as_str().strip_prefix(EXTRA) else { continue };
        let key = decode(key).unwrap_or_else(|| key.to_owned());
        let values = texts(name.as_str());
        wishes.extend(values.into_iter().map(|value| Wish::Extra { key: key.clone(), value }));
    }
    wishes.extend(texts(UID).into_iter().next().filter(|uid| !uid.is_empty()).map(Wish::Uid));
    if !named && !wishes.is_empty() {
        let shown: Vec<_> = wishes.iter().map(Wish::shown).collect();
        return Err(ApiError::bad_request(format!("requested [{}] without impersonating a user", shown.join(" "))));
    }
    Ok(wishes)
}

/// Namespace and name of a user that is a service account.
fn account(user: &str) -> Option<(String, String)> {
    let (namespace, name) = user.strip_prefix(ACCOUNT_PREFIX)?.split_once(':')?;
    let good = names::dns1123_label(namespace).is_empty() && names::dns1123_subdomain(name).is_empty();
    good.then(|| (namespace.to_owned(), name.to_owned()))
}

fn user(wishes: Vec<Wish>) -> Identity {
    let mut groups_given = false;
    let (mut identity, mut extra) = (Identity::default(), BTreeMap::<String, Vec<String>>::new());
    let mut own_groups = Vec::new();
    for wish in wishes {
        match wish {
            Wish::Account { namespace, name } => {
                identity.name = format!("{ACCOUNT_PREFIX}{namespace}:{name}");
                own_groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
            }
            Wish::User(name) => identity.name = name,
            Wish::Group(name) => {
                groups_given = true;
                identity.groups.push(name);
            }
            Wish::Extra { key, value } => extra.entry(key).or_default().push(value),
            Wish::Uid(uid) => identity.uid = uid,
        }
    }
    if !groups_given {
        identity.groups = own_groups;
    }
    identity.extra = extra;
    if identity.name == "system:anonymous" {
        if !identity.in_group(UNAUTHENTICATED) {
            identity.groups.push(UNAUTHENTICATED.to_owned());
        }
    } else if !identity.in_group(AUTHENTICATED) && !identity.in_group(UNAUTHENTICATED) {
        identity.groups.push(AUTHENTICATED.to_owned());
    }
    identity
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let parsed = list.iter().map(|(name, value)| {
            (http::HeaderName::from_bytes(name.as_bytes()).unwrap(), http::HeaderValue::from_str(value).unwrap())
        });
        parsed.collect()
    }

    fn act(list: &[(&str, &str)], allowed: &[&str]) -> Result<Option<Identity>, String> {
        let decide = |attributes: &Attributes<'_>| match attributes.target {
            Target::Resource(resource) if allowed.contains(&resource.resource) => Decision::Allow("".into()),
            _ => Decision::Deny(String::new()),
        };
        impersonated(&Identity::new("alice", &[]), &headers(list), decide).map_err(|error| error.message)
    }

    #[test]
    fn nothing_asked_is_nobody_else() {
        assert_eq!(act(&[], &[]), Ok(None));
    }

    #[test]
    fn a_user_with_groups_uid_and_extras() {
        let list = [
            ("Impersonate-User", "bob"),
            ("Impersonate-Group", "dev"),
            ("Impersonate-Group", "ops"),
            ("Impersonate-Uid", "1"),
            ("Impersonate-Extra-acme.com%2Fproject", "x"),
            ("Impersonate-Extra-Scopes", "view"),
        ];
        let bob = act(&list, &["users", "groups", "uids", "userextras"]).unwrap().unwrap();
        assert_eq!((bob.name.as_str(), bob.uid.as_str()), ("bob", "1"));
        assert_eq!(bob.groups, ["dev", "ops", "system:authenticated"]);
        assert_eq!(bob.extra["acme.com/project"], ["x"]);
        assert_eq!(bob.extra["scopes"], ["view"]);
        let text = "groups \"dev\" is forbidden: User \"alice\" cannot impersonate resource \"groups\" in API group \"\" at the cluster scope";
        assert_eq!(act(&list, &["users"]), Err(text.to_owned()));
        let text = "uids.authentication.k8s.io \"1\" is forbidden: User \"alice\" cannot impersonate resource \"uids\" in API group \"authentication.k8s.io\" at the cluster scope";
        assert_eq!(act(&list, &["users", "groups", "userextras"]), Err(text.to_owned()));
    }

    #[test]
    fn service_accounts_have_their_groups_unless_others_are_given() {
        let name = ("Impersonate-User", "system:serviceaccount:a:robot");
        let robot = act(&[name], &["serviceaccounts"]).unwrap().unwrap();
        assert_eq!(robot.groups, ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]);
        let robot = act(&[name, ("Impersonate-Group", "g")], &["serviceaccounts", "groups"]).unwrap().unwrap();
        assert_eq!(robot.groups, ["g", "system:authenticated"]);
        let text = "serviceaccounts \"robot\" is forbidden: User \"alice\" cannot impersonate resource \"serviceaccounts\" in API group \"\" in the namespace \"a\"";
        assert_eq!(act(&[name], &["users"]), Err(text.to_owned()));
    }

    #[test]
    fn nobody_stays_unauthenticated() {
        let anonymous = act(&[("Impersonate-User", "system:anonymous")], &["users"]).unwrap().unwrap();
        assert_eq!(anonymous.groups, ["system:unauthenticated"]);
    }

    #[test]
    fn groups_without_a_user_are_a_bad_request() {
        let text = "requested [{Group  system:masters    }] without impersonating a user";
        assert_eq!(act(&[("Impersonate-Group", "system:masters")], &["groups"]), Err(text.to_owned()));
    }
}
