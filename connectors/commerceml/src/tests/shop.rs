//! A shop for tests: keeps to the protocol, watches that we do, and misbehaves when told.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) const PASSWORD: &str = "s3cret-пароль";
pub(super) const COOKIE: &str = "q3k0f2c9tn7e";
pub(super) const SESSID: &str = "5a562c83b1776182";

/// How the shop behaves.
#[derive(Clone, Debug)]
pub(super) struct Manners {
    /// The lines after `success` of `checkauth`.
    pub(super) door: String,
    pub(super) set_cookie: Option<String>,
    /// The cookie every later request must carry.
    pub(super) wants_cookie: Option<String>,
    pub(super) wants_sessid: Option<String>,
    pub(super) lets_in: bool,
    pub(super) init: String,
    /// How often `import` answers `progress` first, and what it says then.
    pub(super) progress: usize,
    pub(super) progress_moves: bool,
    /// What a mode answers instead of what it should, how often, and for which file.
    pub(super) instead: Vec<Instead>,
    /// Before every answer.
    pub(super) prefix: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(super) struct Instead {
    pub(super) mode: &'static str,
    pub(super) file: &'static str,
    pub(super) times: usize,
    pub(super) answer: Answer,
}

#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// A status and a text. The request has no effect.
    Says(u16, String),
    /// A redirect.
    Redirect,
    /// The request is carried out and the answer never comes.
    Silence,
    /// The request is carried out and the answer breaks off.
    Broken,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            door: format!("PHPSESSID\n{COOKIE}\nsessid={SESSID}\ntimestamp=1767225600"),
            set_cookie: None,
            wants_cookie: Some(format!("PHPSESSID={COOKIE}")),
            wants_sessid: Some(SESSID.to_owned()),
            lets_in: true,
            init: "zip=no\nfile_limit=204800".to_owned(),
            progress: 0,
            progress_moves: true,
            instead: Vec::new(),
            prefix: Vec::new(),
        }
    }
}

/// What the shop has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// `mode file`, in order.
    pub(super) log: Vec<String>,
    files: BTreeMap<String, Vec<u8>>,
    /// What was imported, in order.
    pub(super) imported: Vec<(String, Vec<u8>)>,
    progress: BTreeMap<String, usize>,
    /// Breaches of the protocol.
    pub(super) wrong: Vec<String>,
}

#[derive(Clone)]
struct Both {
    manners: Arc<Mutex<Manners>>,
    seen: Arc<Mutex<Seen>>,
}

/// A running shop.
pub(super) struct TestShop {
    pub(super) url: String,
    both: Both,
}

impl TestShop {
    pub(super) async fn start(manners: Manners) -> Self {
        let both = Both { manners: Arc::new(Mutex::new(manners)), seen: Arc::default() };
        let app = Router::new().fallback(handle).layer(DefaultBodyLimit::disable()).with_state(both.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/exchange/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, both }
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.seen(|seen| seen.log.clone())
    }

    pub(super) fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.both.seen.lock().unwrap())
    }

    /// The text of a file as it was imported last.
    pub(super) fn imported(&self, name: &str) -> String {
        self.seen(|seen| {
            assert_eq!(seen.wrong, Vec::<String>::new());
            let (_, bytes) = seen.imported.iter().rev().find(|(imported, _)| imported == name).unwrap();
            String::from_utf8(bytes.clone()).unwrap()
        })
    }
}

async fn handle(State(both): State<Both>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let query: BTreeMap<String, String> = uri
        .query()
        .unwrap_or("")
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let word = |key: &str| query.get(key).cloned().unwrap_or_default();
    let (mode, file) = (word("mode"), word("filename"));
    let (instead, prefix) = {
        let (mut manners, mut seen) = (both.manners.lock().unwrap(), both.seen.lock().unwrap());
        seen.log.push(format!("{mode} {file}").trim_end().to_owned());
        let breaches = breaches(&manners, &mode, &method, &headers, &query);
        seen.wrong.extend(breaches);
        let instead = manners
            .instead
            .iter_mut()
            .find(|instead| instead.mode == mode && file.contains(instead.file) && instead.times > 0);
        let answer = instead.map(|instead| {
            instead.times -= 1;
            instead.answer.clone()
        });
        (answer, manners.prefix.clone())
    };
    match instead {
        Some(Answer::Says(status, text)) => (StatusCode::from_u16(status).unwrap(), text).into_response(),
        Some(Answer::Redirect) => {
            (StatusCode::FOUND, [("location", "https://other.example/exchange?sessid=1")]).into_response()
        }
        Some(Answer::Silence) => {
            act(&both, &mode, &file, &body);
            tokio::time::sleep(Duration::from_mins(10)).await;
            StatusCode::OK.into_response()
        }
        Some(Answer::Broken) => {
            act(&both, &mode, &file, &body);
            let pieces = [Ok(Bytes::from_static(b"suc")), Err(std::io::Error::other("broken"))];
            Body::from_stream(futures::stream::iter(pieces)).into_response()
        }
        None => {
            let text = act(&both, &mode, &file, &body);
            let bytes = [prefix, text.into_bytes()].concat();
            let cookie = both.manners.lock().unwrap().set_cookie.clone().filter(|_| mode == "checkauth");
            match cookie {
                Some(cookie) => ([("set-cookie", cookie)], bytes).into_response(),
                None => bytes.into_response(),
            }
        }
    }
}

/// Does what a mode asks and gives the answer.
fn act(both: &Both, mode: &str, file: &str, body: &[u8]) -> String {
    let (manners, mut seen) = (both.manners.lock().unwrap(), both.seen.lock().unwrap());
    match mode {
        "checkauth" if manners.lets_in => format!("success\n{}", manners.door),
        "checkauth" => "failure\nНеверный логин или пароль".to_owned(),
        "init" => {
            seen.files.clear();
            seen.progress.clear();
            manners.init.clone()
        }
        "file" => {
            seen.files.entry(file.to_owned()).or_default().extend_from_slice(body);
            "success".to_owned()
        }
        "import" => {
            let count = seen.progress.entry(file.to_owned()).or_default();
            *count += 1;
            let count = *count;
            if count <= manners.progress {
                let step = if manners.progress_moves { count } else { 0 };
                return format!("progress\nШаг {step}");
            }
            let bytes = seen.files.get(file).cloned().or_else(|| unpacked(&seen.files, file));
            match bytes {
                Some(bytes) => {
                    seen.imported.push((file.to_owned(), bytes));
                    "success\nИмпорт завершен".to_owned()
                }
                None => format!("failure\nнет файла {file}"),
            }
        }
        _ => "Error: Unknown mode.".to_owned(),
    }
}

fn unpacked(files: &BTreeMap<String, Vec<u8>>, name: &str) -> Option<Vec<u8>> {
    let archive = files.iter().find(|(file, _)| file.starts_with("package.")).map(|(_, bytes)| bytes.clone())?;
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(archive)).ok()?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut archive.by_name(name).ok()?, &mut bytes).ok()?;
    Some(bytes)
}

/// What a real shop would stumble over.
fn breaches(
    manners: &Manners,
    mode: &str,
    method: &Method,
    headers: &HeaderMap,
    query: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let header = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let expected = if mode == "file" { Method::POST } else { Method::GET };
    if method != expected {
        wrong.push(format!("{mode} by {method}"));
    }
    if !header("authorization").is_some_and(|value| value.starts_with("Basic ")) {
        wrong.push(format!("{mode} without Authorization"));
    }
    if header("user-agent").is_none() {
        wrong.push(format!("{mode} without User-Agent"));
    }
    if query.get("type").map(String::as_str) != Some("catalog") {
        wrong.push(format!("{mode} without type"));
    }
    let (cookie, sessid) =
        if mode == "checkauth" { (None, None) } else { (manners.wants_cookie.clone(), manners.wants_sessid.clone()) };
    if header("cookie") != cookie {
        wrong.push(format!("{mode} with the cookie {:?}", header("cookie")));
    }
    if query.get("sessid") != sessid.as_ref() {
        wrong.push(format!("{mode} with the sessid {:?}", query.get("sessid")));
    }
    wrong
}
