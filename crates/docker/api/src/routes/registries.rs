//! Images from and to registries, and from tar streams.

use base64::Engine as _;
use docker_types::auth::{AuthConfig, AuthResponse};
use engine::{ImportSpec, RegistryAuth};
use http::HeaderMap;

use crate::body;
use crate::call::{Answer, Call, ok};
use crate::error::ApiError;
use crate::streams::{self, progress};
use crate::translate::progress::status;

/// Credentials of the `X-Registry-Auth` header; nothing or nonsense is no credentials, as in docker.
fn auth(headers: &HeaderMap) -> Option<RegistryAuth> {
    let text = headers.get("x-registry-auth")?.to_str().ok()?.trim();
    let alphabet = base64::alphabet::URL_SAFE;
    let lenient = base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent);
    let bytes = base64::engine::GeneralPurpose::new(&alphabet, lenient)
        .decode(text)
        .or_else(|_| base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, lenient).decode(text))
        .ok()?;
    let read: AuthConfig = docker_types::from_slice(&bytes).ok()?;
    (read != AuthConfig::default()).then(|| auth_in(read))
}

fn auth_in(auth: AuthConfig) -> RegistryAuth {
    let (mut username, mut password) = (auth.username, auth.password);
    if username.is_empty()
        && let Ok(pair) = base64::prelude::BASE64_STANDARD.decode(&auth.auth)
        && let Some((user, secret)) = String::from_utf8_lossy(&pair).split_once(':')
    {
        (username, password) = (user.to_owned(), secret.to_owned());
    }
    RegistryAuth {
        username,
        password,
        identity_token: auth.identitytoken,
        registry_token: auth.registrytoken,
        server: auth.serveraddress,
    }
}

/// `POST /images/create`: a pull, or an import of the body.
pub async fn create(call: Call) -> Answer {
    match (call.query.text("fromImage"), call.query.text("fromSrc")) {
        ("", "") => Err(ApiError::bad_request("either fromImage or fromSrc is needed")),
        ("", _) => import(call).await,
        _ => pull(call).await,
    }
}

async fn pull(call: Call) -> Answer {
    let query = &call.query;
    let name = query.text("fromImage").to_owned();
    let named_alone = !has_tag_or_digest(&name);
    let tag = query.text("tag");
    let all_tags = tag.is_empty() && named_alone;
    let reference = match super::archive::reference(&name, tag) {
        Some(reference) if named_alone => reference,
        _ => name,
    };
    let platform = query.get("platform").filter(|p| !p.is_empty()).map(str::to_owned);
    let (app, auth) = (call.app.clone(), auth(&call.headers));
    progress::answer(move |sink| async move {
        app.engine.pull(&reference, all_tags, platform.as_deref(), auth, sink).await.map(|()| None)
    })
    .await
}

fn has_tag_or_digest(name: &str) -> bool {
    name.contains('@') || name.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

async fn import(call: Call) -> Answer {
    let query = &call.query;
    if query.text("fromSrc") != "-" {
        return Err(ApiError::unimplemented("importing from a URL"));
    }
    let spec = ImportSpec {
        reference: super::archive::reference(query.text("repo"), query.text("tag")),
        message: query.text("message").to_owned(),
        changes: query.all("changes"),
        platform: query.get("platform").filter(|p| !p.is_empty()).map(str::to_owned),
    };
    let app = call.app;
    let tar = streams::from_client(call.body);
    progress::answer(move |_| async move { app.engine.import(spec, tar).await.map(|id| Some(status(id))) }).await
}

/// `POST /images/{name}/push`.
pub async fn push(call: Call) -> Answer {
    let reference = super::archive::reference(call.param("name"), call.query.text("tag")).unwrap_or_default();
    let (app, auth) = (call.app.clone(), auth(&call.headers));
    progress::answer(move |sink| async move { app.engine.push(&reference, auth, sink).await.map(|()| None) }).await
}

/// `POST /auth`.
pub async fn login(call: Call) -> Answer {
    let app = call.app.clone();
    let auth: AuthConfig = body::read_json(&call.headers, call.body).await?;
    let identity_token = app.engine.login(auth_in(auth)).await?;
    ok(&AuthResponse { identity_token, status: "Login Succeeded".to_owned() })
}

/// `GET /images/search`.
pub async fn search(_: Call) -> Answer {
    Err(ApiError::unimplemented("searching a registry"))
}

/// `GET /distribution/{name}/json`.
pub async fn distribution(_: Call) -> Answer {
    Err(ApiError::unimplemented("inspecting an image in a registry"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> HeaderMap {
        HeaderMap::from_iter([("x-registry-auth".parse().unwrap(), text.parse().unwrap())])
    }

    #[test]
    fn credentials_are_read_in_every_alphabet() {
        let json = br#"{"username":"me","password":"??>>","serveraddress":"r"}"#;
        for text in [
            base64::prelude::BASE64_URL_SAFE.encode(json),
            base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(json),
            base64::prelude::BASE64_STANDARD.encode(json),
        ] {
            let read = auth(&header(&text)).unwrap();
            assert_eq!((read.username.as_str(), read.password.as_str(), read.server.as_str()), ("me", "??>>", "r"));
        }
        assert_eq!(auth(&header("e30=")), None);
        assert_eq!(auth(&header("!")), None);
        let pair = format!(r#"{{"auth":"{}"}}"#, base64::prelude::BASE64_STANDARD.encode("u:p:q"));
        let read = auth(&header(&base64::prelude::BASE64_STANDARD.encode(pair))).unwrap();
        assert_eq!((read.username.as_str(), read.password.as_str()), ("u", "p:q"));
    }

    #[test]
    fn tags_are_found_after_the_last_slash() {
        assert!(!has_tag_or_digest("localhost:5000/debian"));
        assert!(has_tag_or_digest("localhost:5000/debian:12"));
        assert!(has_tag_or_digest("debian@sha256:00"));
    }
}
