//! The files of config map, secret, downward and projected volumes, computed from their sources.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, SecurityContext, Volume, VolumeProjection,
};

use super::error::Fault;
use crate::environment::{Facts, fields};
use crate::sources::Found;

const DEFAULT_MODE: i32 = 0o644;
const TOKEN_MODE: u32 = 0o600;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub data: Vec<u8>,
    pub mode: u32,
    /// The daemon's user where it is not said.
    pub owner: Option<u32>,
}

/// Files by their paths beneath the volume.
pub type Payload = BTreeMap<String, File>;

/// A token that a volume wants.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenWish {
    pub audience: Option<String>,
    pub seconds: i64,
}

/// Everything that files come from.
pub struct Inputs<'a> {
    pub pod: &'a Pod,
    pub found: &'a Found,
    /// For resources without a limit.
    pub facts: &'a Facts,
    /// All that [`tokens`] names.
    pub tokens: &'a BTreeMap<TokenWish, String>,
}

/// Whether a volume is made of such files.
pub fn is_payload(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
}

/// Whether any file tells a resource of a container.
pub fn asks_for_resources(volume: &Volume) -> bool {
    let own = volume.downward_api.iter().flat_map(|source| source.items.iter().flatten());
    let projected = projections(volume).filter_map(|source| source.downward_api.as_ref());
    let mut items = own.chain(projected.flat_map(|source| source.items.iter().flatten()));
    items.any(|item| item.resource_field_ref.is_some())
}

/// The tokens of a volume.
pub fn tokens(volume: &Volume) -> Vec<TokenWish> {
    let sources = projections(volume).filter_map(|source| source.service_account_token.as_ref());
    let wish = |source: &k8s_openapi::api::core::v1::ServiceAccountTokenProjection| TokenWish {
        audience: source.audience.clone().filter(|audience| !audience.is_empty()),
        seconds: source.expiration_seconds.unwrap_or(3600),
    };
    sources.map(wish).collect()
}

fn projections(volume: &Volume) -> impl Iterator<Item = &VolumeProjection> {
    volume.projected.iter().flat_map(|source| source.sources.iter().flatten())
}

/// The files of a volume.
///
/// # Errors
/// When something is missing that is not optional, or a source is of a kind that this node has not.
pub fn payload(volume: &Volume, inputs: &Inputs<'_>) -> Result<Payload, Fault> {
    let mut files = Payload::new();
    if let Some(source) = &volume.config_map {
        let rules = Rules::new(&source.items, source.default_mode, source.default_user, source.optional);
        config_map(&source.name, &rules, inputs, &mut files)?;
    } else if let Some(source) = &volume.secret {
        let rules = Rules::new(&source.items, source.default_mode, source.default_user, source.optional);
        secret(source.secret_name.as_deref().unwrap_or_default(), &rules, inputs, &mut files)?;
    } else if let Some(source) = &volume.downward_api {
        downward(source.items.iter().flatten(), source.default_mode, None, inputs, &mut files)?;
    } else if let Some(projected) = &volume.projected {
        let (mode, user) = (projected.default_mode, projected.default_user);
        for source in projected.sources.iter().flatten() {
            project(source, mode, user, inputs, &mut files)?;
        }
    }
    match files.keys().find(|path| !beneath(path)) {
        Some(path) => Err(Fault::Path(path.clone())),
        None => Ok(files),
    }
}

fn project(
    source: &VolumeProjection,
    mode: Option<i32>,
    user: Option<i64>,
    inputs: &Inputs<'_>,
    files: &mut Payload,
) -> Result<(), Fault> {
    if let Some(source) = &source.config_map {
        config_map(&source.name, &Rules::new(&source.items, mode, user, source.optional), inputs, files)?;
    }
    if let Some(source) = &source.secret {
        secret(&source.name, &Rules::new(&source.items, mode, user, source.optional), inputs, files)?;
    }
    if let Some(source) = &source.downward_api {
        downward(source.items.iter().flatten(), mode, user, inputs, files)?;
    }
    for wish in source.service_account_token.iter() {
        let key = TokenWish {
            audience: wish.audience.clone().filter(|audience| !audience.is_empty()),
            seconds: wish.expiration_seconds.unwrap_or(3600),
        };
        let token = inputs.tokens.get(&key).ok_or_else(|| Fault::Token("there is none".to_owned()))?;
        let said = owner(wish.user).or_else(|| owner(user));
        let only_user = fs_user(inputs.pod);
        let closed = only_user.is_some() || fs_group(inputs.pod).is_some();
        let mode = if closed { TOKEN_MODE } else { bits(mode.unwrap_or(DEFAULT_MODE)) };
        files.insert(wish.path.clone(), File { data: token.clone().into_bytes(), mode, owner: said.or(only_user) });
    }
    if source.cluster_trust_bundle.as_ref().is_some_and(|source| source.optional != Some(true)) {
        return Err(Fault::Unsupported("clusterTrustBundle"));
    }
    if source.pod_certificate.is_some() {
        return Err(Fault::Unsupported("podCertificate"));
    }
    Ok(())
}

/// Which keys become which files.
struct Rules<'a> {
    items: Option<&'a [KeyToPath]>,
    mode: i32,
    user: Option<i64>,
    optional: bool,
}

impl<'a> Rules<'a> {
    fn new(
        items: &'a Option<Vec<KeyToPath>>,
        mode: Option<i32>,
        user: Option<i64>,
        optional: Option<bool>,
    ) -> Rules<'a> {
        let items = items.as_deref().filter(|items| !items.is_empty());
        Rules { items, mode: mode.unwrap_or(DEFAULT_MODE), user, optional: optional == Some(true) }
    }

    fn apply<'d>(
        &self,
        kind: &'static str,
        all: impl Iterator<Item = &'d String>,
        get: impl Fn(&str) -> Option<&'d [u8]>,
        files: &mut Payload,
    ) -> Result<(), Fault> {
        let file = |data: &[u8], mode: Option<i32>, user: Option<i64>| File {
            data: data.to_owned(),
            mode: bits(mode.unwrap_or(self.mode)),
            owner: owner(user).or_else(|| owner(self.user)),
        };
        let Some(items) = self.items else {
            files.extend(all.filter_map(|key| Some((key.clone(), file(get(key)?, None, None)))));
            return Ok(());
        };
        for item in items {
            match get(&item.key) {
                Some(data) => drop(files.insert(item.path.clone(), file(data, item.mode, item.user))),
                None if self.optional => {}
                None => return Err(Fault::MissingKey { kind, key: item.key.clone() }),
            }
        }
        Ok(())
    }
}

fn config_map(name: &str, rules: &Rules<'_>, inputs: &Inputs<'_>, files: &mut Payload) -> Result<(), Fault> {
    let Some(map) = inputs.found.config_maps.get(name) else {
        return if rules.optional { Ok(()) } else { Err(Fault::Missing { kind: "configmap", name: name.to_owned() }) };
    };
    let map: &ConfigMap = map;
    let (texts, binaries) = (map.data.iter().flatten(), map.binary_data.iter().flatten());
    let keys = texts.map(|(key, _)| key).chain(binaries.map(|(key, _)| key));
    let get = |key: &str| -> Option<&[u8]> {
        let text = map.data.as_ref().and_then(|data| data.get(key)).map(String::as_bytes);
        text.or_else(|| map.binary_data.as_ref()?.get(key).map(|ByteString(bytes)| bytes.as_slice()))
    };
    rules.apply("config", keys, get, files)
}

fn secret(name: &str, rules: &Rules<'_>, inputs: &Inputs<'_>, files: &mut Payload) -> Result<(), Fault> {
    let Some(secret) = inputs.found.secrets.get(name) else {
        return if rules.optional { Ok(()) } else { Err(Fault::Missing { kind: "secret", name: name.to_owned() }) };
    };
    let secret: &Secret = secret;
    let keys = secret.data.iter().flatten().map(|(key, _)| key);
    let get = |key: &str| secret.data.as_ref()?.get(key).map(|ByteString(bytes)| bytes.as_slice());
    rules.apply("secret", keys, get, files)
}

fn downward<'a>(
    items: impl Iterator<Item = &'a DownwardAPIVolumeFile>,
    mode: Option<i32>,
    user: Option<i64>,
    inputs: &Inputs<'_>,
    files: &mut Payload,
) -> Result<(), Fault> {
    for item in items {
        let text = if let Some(field) = &item.field_ref {
            fields::of_file(inputs.pod, &field.field_path)?
        } else if let Some(field) = &item.resource_field_ref {
            fields::resource(inputs.pod, None, inputs.facts, field)?
        } else {
            continue;
        };
        let mode = bits(item.mode.or(mode).unwrap_or(DEFAULT_MODE));
        let owner = owner(item.user).or_else(|| owner(user));
        files.insert(item.path.clone(), File { data: text.into_bytes(), mode, owner });
    }
    Ok(())
}

fn bits(mode: i32) -> u32 {
    u32::try_from(mode).unwrap_or(0) & 0o777
}

fn owner(user: Option<i64>) -> Option<u32> {
    u32::try_from(user?).ok()
}

/// A relative path without steps upwards, whose first part is not one of ours.
pub fn beneath(path: &str) -> bool {
    !path.is_empty()
        && !path.starts_with("..")
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// The group that a pod's volumes belong to.
pub fn fs_group(pod: &Pod) -> Option<u32> {
    let group = pod.spec.as_ref()?.security_context.as_ref()?.fs_group?;
    u32::try_from(group).ok()
}

/// The one user that all containers run as, where the pod says it for all of them.
fn fs_user(pod: &Pod) -> Option<u32> {
    let spec = pod.spec.as_ref()?;
    let of_pod = spec.security_context.as_ref().and_then(|context| context.run_as_user);
    let of = |context: Option<&SecurityContext>| context.and_then(|context| context.run_as_user).or(of_pod);
    let all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let mut users = all.map(|container| of(container.security_context.as_ref()));
    let first = users.next()??;
    users.all(|user| user == Some(first)).then(|| u32::try_from(first).ok()).flatten()
}
