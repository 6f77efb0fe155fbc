//! HTTP/1.1: one request at a time on a connection, connections kept for the next one, every wait bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use crate::connect::{Connector, Failure};
use crate::endpoint::Trust;
use crate::url::{Origin, Url};
use crate::{ClientConfig, Error, Result, Timeouts};

/// The body of a request.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// Idle connections kept per origin.
const IDLE: usize = 8;

/// What tells connections apart.
type Key = (Origin, Trust);

/// A request before it has a connection.
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    pub(crate) trust: Trust,
}

/// A body of bytes that are there.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Sends requests.
pub(crate) struct Transport {
    connector: Connector,
    timeouts: Timeouts,
    user_agent: String,
    /// Connections that wait for a next request; held only to put in and take out.
    idle: Mutex<HashMap<Key, Vec<SendRequest<Body>>>>,
}

impl Transport {
    pub(crate) fn new(config: &ClientConfig) -> Transport {
        Transport {
            connector: Connector::new(&config.certificates, config.timeouts.connect),
            timeouts: config.timeouts,
            user_agent: config.user_agent.clone(),
            idle: Mutex::default(),
        }
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(self: &Arc<Self>, ask: Ask) -> Result<Answer> {
        let (method, url, key) = (ask.method.clone(), ask.url.clone(), (ask.url.origin.clone(), ask.trust));
        let place = Place { method: method.to_string(), url: url.to_string() };
        let mut request = self.request(ask, &place)?;
        while let Some(mut sender) = self.take(&key) {
            let answer = tokio::time::timeout(self.timeouts.answer, sender.try_send_request(request)).await;
            match answer.map_err(|_| place.timeout("waiting for an answer", self.timeouts.answer))? {
                Ok(response) => return Ok(Answer::new(response, place, url, sender, key, self.clone())),
                // the server had closed the connection: nothing of the request was sent
                Err(mut refused) => match refused.take_message() {
                    Some(unsent) => request = unsent,
                    None => {
                        return Err(Error::Transport {
                            method: place.method,
                            url: place.url,
                            source: refused.into_error(),
                        });
                    }
                },
            }
        }
        let mut sender = self.connect(&key, &place).await?;
        let answer = tokio::time::timeout(self.timeouts.answer, sender.send_request(request)).await;
        let response = answer
            .map_err(|_| place.timeout("waiting for an answer", self.timeouts.answer))?
            .map_err(|source| place.transport(source))?;
        Ok(Answer::new(response, place, url, sender, key, self.clone()))
    }

    fn request(&self, ask: Ask, place: &Place) -> Result<Request<Body>> {
        let mut request = Request::new(ask.body);
        *request.method_mut() = ask.method;
        *request.uri_mut() = ask.url.path.parse().map_err(|_| place.answer("address with invalid characters"))?;
        *request.headers_mut() = ask.headers;
        let host = HeaderValue::try_from(ask.url.origin.authority()).map_err(|_| place.answer("invalid host"))?;
        request.headers_mut().insert(HOST, host);
        if let Ok(agent) = HeaderValue::try_from(&self.user_agent) {
            request.headers_mut().insert(USER_AGENT, agent);
        }
        Ok(request)
    }

    async fn connect(&self, key: &Key, place: &Place) -> Result<SendRequest<Body>> {
        let stream = self.connector.connect(&key.0, key.1).await.map_err(|failure| {
            let Place { method, url } = place.clone();
            match failure {
                Failure::Lookup(reason) => Error::Lookup { method, url, host: key.0.host.clone(), reason },
                Failure::Connect(address, source) => Error::Connect { method, url, address, source },
                Failure::Tls(source) => Error::Tls { method, url, source },
                Failure::Timeout => place.timeout("connecting", self.timeouts.connect),
            }
        })?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|source| place.transport(source))?;
        // ends with the sender and the body of the last answer
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("connection to a registry: {error}");
            }
        });
        Ok(sender)
    }

    fn take(&self, key: &Key) -> Option<SendRequest<Body>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let list = idle.get_mut(key)?;
        while let Some(sender) = list.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    fn put(&self, key: Key, sender: SendRequest<Body>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let list = idle.entry(key).or_default();
        if list.len() < IDLE && !sender.is_closed() {
            list.push(sender);
        }
    }
}

/// What is asked, for errors.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) method: String,
    pub(crate) url: String,
}

impl Place {
    pub(crate) fn answer(&self, reason: impl Into<String>) -> Error {
        Error::Answer { method: self.method.clone(), url: self.url.clone(), reason: reason.into() }
    }

    fn transport(&self, source: hyper::Error) -> Error {
        Error::Transport { method: self.method.clone(), url: self.url.clone(), source }
    }

    fn timeout(&self, phase: &'static str, limit: std::time::Duration) -> Error {
        Error::Timeout { method: self.method.clone(), url: self.url.clone(), phase, seconds: limit.as_secs() }
    }
}

/// An answer whose body is still to come. Its connection is kept for the next request once the body was read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) place: Place,
    pub(crate) url: Url,
    body: Incoming,
    back: Option<(SendRequest<Body>, Key)>,
    transport: Arc<Transport>,
}

impl Answer {
    fn new(
        response: hyper::Response<Incoming>,
        place: Place,
        url: Url,
        sender: SendRequest<Body>,
        key: Key,
        transport: Arc<Transport>,
    ) -> Answer {
        let (head, body) = response.into_parts();
        let back = Some((sender, key));
        Answer { status: head.status, headers: head.headers, place, url, body, back, transport }
    }

    /// A header's text, if it has one.
    pub(crate) fn header(&self, name: http::header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The next bytes of the body, nothing at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let limit = self.transport.timeouts.idle;
        loop {
            let frame = tokio::time::timeout(limit, self.body.frame()).await;
            match frame.map_err(|_| self.place.timeout("waiting for more bytes", limit))? {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Some(Err(source)) => return Err(self.place.transport(source)),
                None => {
                    self.give_back().await;
                    return Ok(None);
                }
            }
        }
    }

    /// The whole body, which must not be longer than `limit` bytes.
    pub(crate) async fn bytes(mut self, what: &str, limit: u64) -> Result<Bytes> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.chunk().await? {
            if whole.len() as u64 + piece.len() as u64 > limit {
                return Err(Error::TooLarge { what: what.to_owned(), limit });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// Reads over a body of no interest, so that the connection can be used again.
    pub(crate) async fn skip(mut self) -> (StatusCode, HeaderMap) {
        let mut left = 64 * 1024usize;
        while let Ok(Some(piece)) = self.chunk().await {
            match left.checked_sub(piece.len()) {
                Some(less) => left = less,
                None => break,
            }
        }
        (self.status, std::mem::take(&mut self.headers))
    }

    async fn give_back(&mut self) {
        if let Some((mut sender, key)) = self.back.take()
            && let Ok(Ok(())) = tokio::time::timeout(std::time::Duration::from_millis(50), sender.ready()).await
        {
            self.transport.put(key, sender);
        }
    }
}
