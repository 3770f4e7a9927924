//! An object store that speaks enough of S3 and can be told to misbehave. What it holds is `object_store`'s own
//! store in memory, so that tests look at it directly.
#![expect(clippy::unwrap_used, reason = "what is only for tests may fail like one")]

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{Attribute, Attributes, GetOptions, ObjectStore as _, ObjectStoreExt as _, PutOptions};
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

pub use axum::http::Method;

/// What goes wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing; for those before the one that is meant.
    Passes,
    /// It is refused with this status; `Retry-After` in seconds, if any.
    Status(u16, Option<u64>),
    /// The answer says how long it is and ends after so many bytes.
    Cut(usize),
    /// Nothing is answered, and nothing done.
    Silent,
    /// It is done, and nothing is answered.
    LostAnswer,
    /// Somebody writes another content just before.
    ChangedBefore,
}

/// A running store with the bucket `bucket`.
#[derive(Clone, Debug)]
pub struct Store {
    /// `http://`, host and port.
    pub address: String,
    state: Arc<Held>,
}

#[derive(Debug, Default)]
struct Held {
    memory: InMemory,
    /// What goes wrong, by method: so often, and then no more.
    faults: Mutex<Vec<(Method, Fault, usize)>>,
    parts: Mutex<BTreeMap<String, Upload>>,
    /// Method and key of every request, with the range asked for.
    log: Mutex<Vec<String>>,
}

/// An upload in parts: what the object is to have besides, and the parts by number.
type Upload = (Attributes, BTreeMap<u32, Bytes>);

/// Where nobody answers.
pub const NOWHERE: &str = "http://127.0.0.1:9";

impl Store {
    /// Starts one; it ends with the runtime it is started in.
    pub async fn start() -> Self {
        let state = Arc::new(Held::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, state }
    }

    /// Settings of a connection to a folder of the bucket.
    pub fn settings(&self, user: &str, more: &str) -> String {
        settings(&self.address, user, more)
    }

    /// So many requests of a method go wrong.
    pub fn fail(&self, method: Method, fault: Fault, times: usize) {
        self.state.faults.lock().unwrap().push((method, fault, times));
    }

    /// Puts an object, as somebody else would.
    pub async fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let content = Bytes::copy_from_slice(content.as_ref());
        self.state.memory.put(&Key::parse(name).unwrap(), content.into()).await.unwrap();
    }

    /// Removes an object, as somebody else would.
    pub async fn remove(&self, name: &str) {
        self.state.memory.delete(&Key::parse(name).unwrap()).await.unwrap();
    }

    /// The content of an object, as text.
    pub async fn text(&self, name: &str) -> String {
        let got = self.state.memory.get(&Key::parse(name).unwrap()).await.unwrap();
        String::from_utf8(got.bytes().await.unwrap().to_vec()).unwrap()
    }

    /// The names of all objects, ascending.
    pub async fn names(&self) -> Vec<String> {
        let all: Vec<_> = self.state.memory.list(None).try_collect().await.unwrap();
        all.into_iter().map(|object| object.location.to_string()).collect()
    }

    /// Method and key of every request so far, with the range asked for.
    pub fn log(&self) -> Vec<String> {
        self.state.log.lock().unwrap().clone()
    }

    /// Uploads in parts that were neither put together nor given up.
    pub fn open_uploads(&self) -> usize {
        self.state.parts.lock().unwrap().len()
    }
}

/// Settings of a connection to a folder of the bucket of a server.
pub fn settings(address: &str, user: &str, more: &str) -> String {
    format!(
        "{{ path: 's3://bucket/trade', endpoint: '{address}', allow_http: true, user: {user}, \
         password: '${{env:WORD}}', timeout: 30s, retries: 2{more} }}"
    )
}

async fn answer(State(held): State<Arc<Held>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = percent_decode_str(parts.uri.path()).decode_utf8().unwrap().into_owned();
    let path = path.trim_start_matches('/').to_owned();
    let key = path.strip_prefix("bucket").unwrap_or(&path).trim_start_matches('/').to_owned();
    let query: BTreeMap<String, String> = parts
        .uri
        .query()
        .unwrap_or("")
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), percent_decode_str(value).decode_utf8().unwrap().into_owned()))
        .collect();
    let range = parts.headers.get("range").map_or("", |range| range.to_str().unwrap());
    held.log.lock().unwrap().push(format!("{} {key} {range}", parts.method).trim().to_owned());
    let signed = parts.headers.get("authorization").is_some_and(|login| login.to_str().unwrap().contains("=good/"));
    if path.starts_with("bucket") && !signed {
        let text = "<Error><Code>InvalidAccessKeyId</Code><AWSAccessKeyId>wrong-key</AWSAccessKeyId></Error>";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let fault = {
        let mut faults = held.faults.lock().unwrap();
        let found = faults.iter_mut().find(|(method, _, left)| *method == parts.method && *left > 0);
        found.map(|(_, fault, left)| {
            *left -= 1;
            fault.clone()
        })
    };
    match &fault {
        Some(Fault::Status(status, after)) => {
            let mut response = StatusCode::from_u16(*status).unwrap().into_response();
            if let Some(after) = after {
                response.headers_mut().insert("retry-after", (*after).into());
            }
            return response;
        }
        Some(Fault::Silent) => std::future::pending::<()>().await,
        Some(Fault::ChangedBefore) => {
            held.memory
                .put(&Key::parse(&key).unwrap(), Bytes::from_static(b"id,name\n9,other\n").into())
                .await
                .unwrap();
        }
        _ => {}
    }
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let response = act(&held, &parts.method, &key, &query, &parts.headers, body).await;
    match fault {
        Some(Fault::LostAnswer) => std::future::pending().await,
        Some(Fault::Cut(at)) => cut(response, at).await,
        _ => response,
    }
}

/// The same answer, whose body breaks off.
async fn cut(response: Response, at: usize) -> Response {
    let (mut head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    head.headers.insert("content-length", body.len().into());
    let begun = futures::stream::iter([Ok(body.slice(..at.min(body.len())))]);
    // What was begun goes out before the connection ends.
    let broken = begun.chain(futures::stream::once(async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        Err(std::io::Error::other("cut"))
    }));
    Response::from_parts(head, Body::from_stream(broken))
}

async fn act(
    held: &Held,
    method: &Method,
    key: &str,
    query: &BTreeMap<String, String>,
    headers: &HeaderMap,
    body: Bytes,
) -> Response {
    let path = Key::parse(key).unwrap();
    let upload = query.get("uploadId");
    match (method.as_str(), upload) {
        ("GET", _) if key.is_empty() => list(held, query).await,
        ("GET" | "HEAD", _) => get(held, &path, headers).await,
        ("PUT", Some(upload)) => {
            let number = query["partNumber"].parse().unwrap();
            let mut uploads = held.parts.lock().unwrap();
            let Some((_, parts)) = uploads.get_mut(upload) else { return StatusCode::NOT_FOUND.into_response() };
            parts.insert(number, body);
            ([("etag", format!("\"part{number}\""))], "").into_response()
        }
        ("PUT", None) => match headers.get("x-amz-copy-source") {
            Some(source) => {
                let source = percent_decode_str(source.to_str().unwrap()).decode_utf8().unwrap().into_owned();
                let source = source.trim_start_matches('/').strip_prefix("bucket/").unwrap();
                held.memory.copy(&Key::parse(source).unwrap(), &path).await.unwrap();
                "<CopyObjectResult><ETag>\"x\"</ETag></CopyObjectResult>".into_response()
            }
            None => put(held, &path, attributes(headers), body).await,
        },
        ("POST", None) if query.contains_key("uploads") => {
            held.parts.lock().unwrap().insert("1".to_owned(), (attributes(headers), BTreeMap::new()));
            let text = "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>";
            text.into_response()
        }
        ("POST", Some(upload)) => {
            let (attributes, parts) = held.parts.lock().unwrap().remove(upload).unwrap();
            let whole: Vec<u8> = parts.into_values().flatten().collect();
            put(held, &path, attributes, whole.into()).await;
            "<CompleteMultipartUploadResult><ETag>\"whole\"</ETag></CompleteMultipartUploadResult>".into_response()
        }
        ("POST", None) => {
            let text = String::from_utf8(body.to_vec()).unwrap();
            let mut answer = "<DeleteResult>".to_owned();
            for key in text.split("<Key>").skip(1) {
                let key = key.split_once("</Key>").unwrap().0;
                held.memory.delete(&Key::parse(key).unwrap()).await.ok();
                write!(answer, "<Deleted><Key>{key}</Key></Deleted>").unwrap();
            }
            (answer + "</DeleteResult>").into_response()
        }
        ("DELETE", Some(upload)) => {
            held.parts.lock().unwrap().remove(upload);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => StatusCode::NOT_IMPLEMENTED.into_response(),
    }
}

async fn list(held: &Held, query: &BTreeMap<String, String>) -> Response {
    let prefix = Key::parse(query.get("prefix").map_or("", |prefix| prefix.trim_end_matches('/'))).unwrap();
    let listed = if query.contains_key("delimiter") {
        held.memory.list_with_delimiter(Some(&prefix)).await.unwrap()
    } else {
        let objects = held.memory.list(Some(&prefix)).try_collect().await.unwrap();
        object_store::ListResult { objects, common_prefixes: Vec::new() }
    };
    let mut text = "<ListBucketResult><IsTruncated>false</IsTruncated>".to_owned();
    for object in listed.objects {
        let (key, at, size) = (object.location, object.last_modified.format("%Y-%m-%dT%H:%M:%SZ"), object.size);
        write!(text, "<Contents><Key>{key}</Key><LastModified>{at}</LastModified><Size>{size}</Size></Contents>")
            .unwrap();
    }
    for prefix in listed.common_prefixes {
        write!(text, "<CommonPrefixes><Prefix>{prefix}/</Prefix></CommonPrefixes>").unwrap();
    }
    (text + "</ListBucketResult>").into_response()
}

async fn get(held: &Held, path: &Key, headers: &HeaderMap) -> Response {
    let Ok(got) = held.memory.get_opts(path, GetOptions::default()).await else {
        return (StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>").into_response();
    };
    let tag = format!("\"{}\"", got.meta.e_tag.clone().unwrap());
    if headers.get("if-match").is_some_and(|wanted| wanted.to_str().unwrap() != tag) {
        return StatusCode::PRECONDITION_FAILED.into_response();
    }
    let modified = got.meta.last_modified.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let hash = got.attributes.get(&Attribute::Metadata("obmenxxh3".into())).map(|hash| hash.as_ref().to_owned());
    let whole = got.bytes().await.unwrap();
    let got_length = whole.len();
    let mut response = match headers.get("range").map(|range| range.to_str().unwrap()) {
        None => whole.into_response(),
        Some(range) => {
            let (start, end) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            let start: usize = start.parse().unwrap();
            let end = end.parse::<usize>().map_or(whole.len(), |last| (last + 1).min(whole.len()));
            let said = format!("bytes {start}-{}/{}", end - 1, whole.len());
            (StatusCode::PARTIAL_CONTENT, [("content-range", said)], whole.slice(start..end)).into_response()
        }
    };
    if !response.headers().contains_key("content-range") {
        response.headers_mut().insert("content-length", got_length.into());
    }
    response.headers_mut().insert("etag", tag.parse().unwrap());
    response.headers_mut().insert("last-modified", modified.parse().unwrap());
    if let Some(hash) = hash {
        response.headers_mut().insert("x-amz-meta-obmenxxh3", hash.parse().unwrap());
    }
    response
}

async fn put(held: &Held, path: &Key, attributes: Attributes, body: Bytes) -> Response {
    let options = PutOptions { attributes, ..PutOptions::default() };
    let put = held.memory.put_opts(path, body.into(), options).await.unwrap();
    ([("etag", format!("\"{}\"", put.e_tag.unwrap()))], "").into_response()
}

fn attributes(headers: &HeaderMap) -> Attributes {
    let hash = headers.get("x-amz-meta-obmenxxh3").map(|hash| hash.to_str().unwrap().to_owned());
    hash.into_iter().map(|hash| (Attribute::Metadata("obmenxxh3".into()), hash)).collect()
}
