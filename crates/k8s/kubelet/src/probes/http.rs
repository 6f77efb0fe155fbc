//! HTTP questions: any certificate will do, and a redirection to the same host is followed.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::HTTPGetAction;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use super::Answer;
use super::ask::plain;

const MOST_REDIRECTIONS: usize = 10;
const LONGEST_BODY: usize = 10 * 1024;

fn secure(get: &HTTPGetAction) -> bool {
    get.scheme.as_deref().is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}

fn path(get: &HTTPGetAction) -> String {
    match get.path.as_deref().unwrap_or("/") {
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/{path}"),
    }
}

/// The URL that is asked.
pub fn url(get: &HTTPGetAction, host: &str) -> String {
    format!("{}://{host}{}", if secure(get) { "https" } else { "http" }, path(get))
}

/// Asks once; what is from 200 to 399 is well.
pub async fn get(at: SocketAddr, get: &HTTPGetAction) -> Answer {
    let url = url(get, &at.to_string());
    let mut path = path(get);
    for _ in 0..MOST_REDIRECTIONS {
        let response = match once(at, get, &path).await {
            Ok(response) => response,
            Err(said) => return Answer::Ill(format!("Get \"{url}\": {said}")),
        };
        let status = response.status().as_u16();
        let location = response.headers().get(http::header::LOCATION).and_then(|value| value.to_str().ok());
        if let Some(next) =
            location.filter(|_| (300..400).contains(&status)).and_then(|location| same_host(at, location))
        {
            path = next;
            continue;
        }
        // A body is read so far as not to cut the server off in the middle of it.
        let _ = Limited::new(response.into_body(), LONGEST_BODY).collect().await;
        return match status {
            200..400 => Answer::Well,
            _ => Answer::Ill(format!("HTTP probe failed with statuscode: {status}")),
        };
    }
    Answer::Ill(format!("Get \"{url}\": stopped after {MOST_REDIRECTIONS} redirects"))
}

/// The path of a redirection, where it stays on the host.
fn same_host(at: SocketAddr, location: &str) -> Option<String> {
    if location.starts_with('/') && !location.starts_with("//") {
        return Some(location.to_owned());
    }
    let rest = location.strip_prefix("http://").or_else(|| location.strip_prefix("https://"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    (host == at.to_string()).then(|| format!("/{path}"))
}

async fn once(at: SocketAddr, get: &HTTPGetAction, path: &str) -> Result<Response<Incoming>, String> {
    let stream = TcpStream::connect(at).await.map_err(|error| format!("dial tcp {at}: connect: {}", plain(&error)))?;
    if secure(get) {
        let name = ServerName::IpAddress(at.ip().into());
        let connector = tokio_rustls::TlsConnector::from(trust::anyone());
        let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
        return send(TokioIo::new(stream), at, get, path).await;
    }
    send(TokioIo::new(stream), at, get, path).await
}

async fn send<S>(io: S, at: SocketAddr, get: &HTTPGetAction, path: &str) -> Result<Response<Incoming>, String>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let mut request = Request::builder().uri(path);
    let headers = get.http_headers.iter().flatten();
    let has = |name: &str| get.http_headers.iter().flatten().any(|header| header.name.eq_ignore_ascii_case(name));
    for header in headers {
        request = request.header(&header.name, &header.value);
    }
    for (name, value) in [("host", at.to_string()), ("user-agent", "kube-probe/1.37".into()), ("accept", "*/*".into())]
    {
        if !has(name) {
            request = request.header(name, value);
        }
    }
    let request =
        request.header("connection", "close").body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    sender.send_request(request).await.map_err(|error| error.to_string())
}
