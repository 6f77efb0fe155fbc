//! One repository of one registry: the requests of the distribution specification.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use spec::digest::Digest;
use spec::image::media_type;

use crate::auth::{self, Credentials};
use crate::endpoint::{Endpoint, Trust};
use crate::transport::{Answer, Ask, Body, Transport, whole};
use crate::url::Url;
use crate::{Error, RegistryError, Result};

const MANIFEST_LIMIT: u64 = 4 * 1024 * 1024;
const CONFIG_LIMIT: u64 = 16 * 1024 * 1024;
const ERROR_LIMIT: u64 = 64 * 1024;
const TAGS_LIMIT: u64 = 16 * 1024 * 1024;
const REDIRECTS: usize = 10;

/// What a session may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Pull,
    Push,
}

/// Speaks with one repository through one endpoint.
pub(crate) struct Session {
    transport: Arc<Transport>,
    pub(crate) endpoint: Endpoint,
    /// The repository's path.
    pub(crate) repository: String,
    credentials: Option<Credentials>,
    scopes: Vec<String>,
    /// The `Authorization` header that the registry accepted; held only for a look.
    authorization: Mutex<Option<HeaderValue>>,
}

/// A manifest as it came.
pub(crate) struct Fetched {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) bytes: Bytes,
}

/// What a registry says to the wish for a blob from a sister repository.
pub(crate) enum Start {
    /// The blob is there now.
    Mounted,
    /// It has to be sent, to this address.
    Upload(Url),
}

impl Session {
    pub(crate) fn new(
        transport: Arc<Transport>,
        endpoint: Endpoint,
        repository: &str,
        purpose: Purpose,
        credentials: Option<Credentials>,
    ) -> Session {
        let actions = match purpose {
            Purpose::Pull => "pull",
            Purpose::Push => "pull,push",
        };
        let credentials = credentials.filter(|_| !endpoint.mirror);
        let scopes = match repository {
            "" => Vec::new(),
            repository => vec![format!("repository:{repository}:{actions}")],
        };
        Session {
            transport,
            endpoint,
            repository: repository.to_owned(),
            credentials,
            scopes,
            authorization: Mutex::default(),
        }
    }

    /// An address of this repository.
    pub(crate) fn at(&self, rest: &str) -> Url {
        self.endpoint.origin.at(format!("/v2/{}/{rest}", self.repository))
    }

    /// The manifest with a tag or digest; one asked for by digest has it.
    pub(crate) async fn manifest(&self, name: &str) -> Result<Fetched> {
        let url = self.at(&format!("manifests/{name}"));
        let mut headers = HeaderMap::new();
        use media_type::{DOCKER_LIST, DOCKER_MANIFEST, DOCKER_MANIFEST_V1, OCI_INDEX, OCI_MANIFEST};
        for wanted in [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST_V1] {
            headers.append(ACCEPT, HeaderValue::from_static(wanted));
        }
        let answer = self.ask(Method::GET, url, headers, Bytes::new()).await?;
        let answer = self.expect(answer, &[StatusCode::OK]).await?;
        let media_type = answer.header(CONTENT_TYPE).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        let bytes = answer.bytes(&format!("manifest {name}"), MANIFEST_LIMIT).await?;
        let digest = match name.parse::<Digest>() {
            Ok(expected) => verified("manifest", &expected, &bytes)?,
            Err(_) => Digest::of(&bytes),
        };
        Ok(Fetched { media_type, digest, bytes })
    }

    /// A small blob, whole and verified.
    pub(crate) async fn small_blob(&self, what: &'static str, digest: &Digest) -> Result<Bytes> {
        let answer = self.blob(digest, 0).await?;
        let bytes = answer.bytes(what, CONFIG_LIMIT).await?;
        verified(what, digest, &bytes)?;
        Ok(bytes)
    }

    /// A blob from `offset` on. The answer may begin at 0 all the same; see its status.
    pub(crate) async fn blob(&self, digest: &Digest, offset: u64) -> Result<Answer> {
        let mut headers = HeaderMap::new();
        if offset > 0
            && let Ok(range) = HeaderValue::try_from(format!("bytes={offset}-"))
        {
            headers.insert(http::header::RANGE, range);
        }
        let answer = self.ask(Method::GET, self.at(&format!("blobs/{digest}")), headers, Bytes::new()).await?;
        self.expect(answer, &[StatusCode::OK, StatusCode::PARTIAL_CONTENT]).await
    }

    /// Whether the repository has a blob.
    pub(crate) async fn has_blob(&self, digest: &Digest) -> Result<bool> {
        let url = self.at(&format!("blobs/{digest}"));
        let answer = self.ask(Method::HEAD, url, HeaderMap::new(), Bytes::new()).await?;
        if answer.status == StatusCode::NOT_FOUND {
            answer.skip().await;
            return Ok(false);
        }
        self.expect(answer, &[StatusCode::OK]).await?.skip().await;
        Ok(true)
    }

    /// Begins to send a blob, or has it mounted from the repository `from`.
    pub(crate) async fn start_upload(&self, mount: Option<(&Digest, &str)>) -> Result<Start> {
        let mut url = self.at("blobs/uploads/");
        if let Some((digest, from)) = mount {
            url = url.with("mount", digest.as_str()).with("from", from);
        }
        let answer = self.ask(Method::POST, url, HeaderMap::new(), Bytes::new()).await?;
        let answer = self.expect(answer, &[StatusCode::CREATED, StatusCode::ACCEPTED]).await?;
        if answer.status == StatusCode::CREATED && mount.is_some() {
            answer.skip().await;
            return Ok(Start::Mounted);
        }
        let next = location(&answer)?;
        answer.skip().await;
        Ok(Start::Upload(next))
    }

    /// Sends a body to an upload; answers where to go on.
    pub(crate) async fn send(&self, url: Url, body: Body) -> Result<Url> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        self.authorize(&url, &mut headers);
        let trust = self.trust(&url);
        let ask = Ask { method: Method::PATCH, url, headers, body, trust };
        let answer = self.transport.send(ask).await?;
        let answer = self.expect(answer, &[StatusCode::ACCEPTED, StatusCode::NO_CONTENT, StatusCode::OK]).await?;
        let next = location(&answer)?;
        answer.skip().await;
        Ok(next)
    }

    /// Ends an upload: what was sent, and perhaps `rest`, is the blob with this digest.
    pub(crate) async fn finish_upload(&self, url: Url, digest: &Digest, rest: Bytes) -> Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let answer = self.ask(Method::PUT, url.with("digest", digest.as_str()), headers, rest).await?;
        self.expect(answer, &[StatusCode::CREATED, StatusCode::NO_CONTENT]).await?.skip().await;
        Ok(())
    }

    /// Stores a manifest under a tag or its digest.
    pub(crate) async fn put_manifest(&self, name: &str, media_type: &str, bytes: Bytes) -> Result<()> {
        let url = self.at(&format!("manifests/{name}"));
        let mut headers = HeaderMap::new();
        let value = HeaderValue::try_from(media_type)
            .map_err(|_| Error::MediaType { reference: name.to_owned(), media_type: media_type.to_owned() })?;
        headers.insert(CONTENT_TYPE, value);
        let answer = self.ask(Method::PUT, url, headers, bytes).await?;
        self.expect(answer, &[StatusCode::CREATED, StatusCode::OK, StatusCode::ACCEPTED]).await?.skip().await;
        Ok(())
    }

    /// All tags of the repository.
    pub(crate) async fn tags(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let mut tags = Vec::new();
        let mut next = Some(self.at("tags/list"));
        while let Some(url) = next.take() {
            let answer = self.ask(Method::GET, url, HeaderMap::new(), Bytes::new()).await?;
            let answer = self.expect(answer, &[StatusCode::OK]).await?;
            let link = answer.header(http::header::LINK).and_then(|link| {
                let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
                rest.contains("next").then(|| answer.url.join(target))
            });
            next = link.transpose()?;
            let bytes = answer.bytes("list of tags", TAGS_LIMIT).await?;
            let page: Page = serde_json::from_slice(&bytes)
                .map_err(|source| Error::Json { what: "list of tags".to_owned(), source })?;
            let page = page.tags.unwrap_or_default();
            // a server that gives the same page for ever gets no further
            next = next.filter(|_| !page.is_empty() && tags.len() < 100_000);
            tags.extend(page);
        }
        Ok(tags)
    }

    /// Asks whether the registry is there and accepts the credentials; answers a token to keep, often empty.
    pub(crate) async fn ping(&self) -> Result<String> {
        let url = self.endpoint.origin.at("/v2/");
        let answer = self.once(Method::GET, &url, &HeaderMap::new(), Bytes::new()).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            self.expect(answer, &[StatusCode::OK]).await?.skip().await;
            return Ok(String::new());
        }
        let token = self.log_in(answer).await?;
        let answer = self.once(Method::GET, &url, &HeaderMap::new(), Bytes::new()).await?;
        self.expect(answer, &[StatusCode::OK]).await?.skip().await;
        Ok(token)
    }

    /// Sends a request: answers challenges, follows redirects.
    async fn ask(&self, method: Method, url: Url, headers: HeaderMap, body: Bytes) -> Result<Answer> {
        let mut url = url;
        let mut challenged = false;
        for _ in 0..=REDIRECTS {
            let answer = self.once(method.clone(), &url, &headers, body.clone()).await?;
            let follows = matches!(method, Method::GET | Method::HEAD);
            if answer.status == StatusCode::UNAUTHORIZED && !challenged && url.origin == self.endpoint.origin {
                challenged = true;
                self.log_in(answer).await?;
            } else if follows && answer.status.is_redirection() && answer.header(LOCATION).is_some() {
                url = location(&answer)?;
                answer.skip().await;
            } else {
                return Ok(answer);
            }
        }
        Err(Error::Redirects { method: method.to_string(), url: url.to_string() })
    }

    async fn once(&self, method: Method, url: &Url, headers: &HeaderMap, body: Bytes) -> Result<Answer> {
        let mut headers = headers.clone();
        self.authorize(url, &mut headers);
        let ask = Ask { method, url: url.clone(), headers, body: whole(body), trust: self.trust(url) };
        self.transport.send(ask).await
    }

    /// That a registry is insecure says nothing about the servers it sends its clients to.
    fn trust(&self, url: &Url) -> Trust {
        if url.origin.host == self.endpoint.origin.host { self.endpoint.trust } else { Trust::Verified }
    }

    /// The registry's own addresses get the credentials, and no others.
    fn authorize(&self, url: &Url, headers: &mut HeaderMap) {
        let authorization = self.authorization.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = authorization.as_ref().filter(|_| url.origin == self.endpoint.origin) {
            headers.insert(AUTHORIZATION, value.clone());
        }
    }

    /// Answers the challenge of a refused request.
    async fn log_in(&self, refused: Answer) -> Result<String> {
        let challenges = auth::challenges(&refused.headers);
        let Some(challenge) = challenges.first() else {
            return Err(self.expect(refused, &[]).await.err().unwrap_or(Error::Stopped { what: "login" }));
        };
        let place = refused.place.clone();
        refused.skip().await;
        let registry = (&place, &self.endpoint);
        let credentials = self.credentials.as_ref();
        let found = auth::answer(&self.transport, challenge, &self.scopes, credentials, registry).await?;
        let mut value =
            HeaderValue::try_from(found.header).map_err(|_| place.answer("token with invalid characters"))?;
        value.set_sensitive(true);
        *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        Ok(found.identity_token)
    }

    /// Turns an answer with another status into the error it tells.
    async fn expect(&self, answer: Answer, statuses: &[StatusCode]) -> Result<Answer> {
        if statuses.contains(&answer.status) {
            return Ok(answer);
        }
        let (status, method, url) = (answer.status, answer.place.method.clone(), answer.place.url.clone());
        let body = answer.bytes("error", ERROR_LIMIT).await.unwrap_or_default();
        let cause = causes(&body).into_iter().next();
        Err(match (status, cause) {
            (StatusCode::UNAUTHORIZED, cause) => {
                let cause = cause.unwrap_or(RegistryError {
                    code: "UNAUTHORIZED".into(),
                    message: "authentication required".into(),
                });
                Error::Unauthorized { method, url, cause }
            }
            (status, Some(cause)) => Error::Refused { status, cause },
            (status, None) => Error::Status { method, url, status },
        })
    }
}

/// The errors in a registry's answer; none if it is something else.
pub(crate) fn causes(body: &[u8]) -> Vec<RegistryError> {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<RegistryError>,
    }
    let errors = serde_json::from_slice::<Errors>(body).map(|answer| answer.errors).unwrap_or_default();
    errors.into_iter().filter(|error| !error.code.is_empty()).collect()
}

fn location(answer: &Answer) -> Result<Url> {
    let location = answer.header(LOCATION).ok_or_else(|| answer.place.answer("no Location"))?;
    answer.url.join(location)
}

fn verified(what: &'static str, expected: &Digest, bytes: &[u8]) -> Result<Digest> {
    let mut hasher = expected.hasher();
    hasher.update(bytes);
    let actual = hasher.finish();
    match actual == *expected {
        true => Ok(actual),
        false => Err(Error::Digest { what, expected: expected.clone(), actual }),
    }
}
