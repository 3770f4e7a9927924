//! One request of the exchange, from query string to answer (`commerceml.md` §1.3).

use super::answer::{Answer, Spoken, response, unavailable};
use super::control::{CookieIn, Misbehaviour, Sessid};
use super::import::{self, Rules};
use super::store::LogLine;
use super::{Shop, lock};
use crate::wire::Peer;
use crate::{clock, reply};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use futures::StreamExt as _;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

/// The name of the session cookie.
const COOKIE: &str = "PHPSESSID";

/// The setting that remembers that somebody has used `sessid`.
const SECURE: &str = "sessid_in_use";

/// A request, taken apart.
struct Call {
    query: BTreeMap<String, String>,
    mode: String,
    method: Method,
    headers: HeaderMap,
    cookie: Option<String>,
}

/// Answers one request of the exchange.
pub(crate) async fn answer(shop: Arc<Shop>, peer: Peer, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let query = parse_query(parts.uri.query().unwrap_or(""));
    let mode = query.get("mode").cloned().unwrap_or_default();
    let cookie = cookie_of(&parts.headers);
    let call = Call { query, mode, method: parts.method, headers: parts.headers, cookie };

    if let Some(slow) = shop.faults.strikes(Misbehaviour::Slow, &call.mode) {
        tokio::time::sleep(Duration::from_millis(slow.delay_ms.unwrap_or(1000))).await;
    }
    if shop.faults.strikes(Misbehaviour::Unavailable, &call.mode).is_some() {
        write_log(&shop, &call, 0, "HTTP 503").await;
        return unavailable();
    }
    if shop.faults.strikes(Misbehaviour::EmptyBody, &call.mode).is_some() {
        write_log(&shop, &call, 0, "(пустой ответ)").await;
        return reply::text(StatusCode::OK, "text/html; charset=utf-8", Body::empty());
    }
    if let Some(fault) = shop.faults.strikes(Misbehaviour::Failure, &call.mode) {
        let reason = fault.text.unwrap_or_else(|| "Ошибка обмена".to_owned());
        let spoken = Spoken::from(Answer::Failure(reason));
        write_log(&shop, &call, 0, &spoken.answer.text()).await;
        return response(&shop, &call.mode, &spoken);
    }

    if call.mode == "checkauth" && shop.wrong_password_is_401 && !shop.account.admits(&call.headers) {
        write_log(&shop, &call, 0, "HTTP 401").await;
        return reply::unauthorized("Basic realm=\"shop\"", "text/html; charset=utf-8", "401 Unauthorized");
    }
    let (spoken, bytes) = perform(&shop, &call, body).await;
    let lost = shop.faults.strikes(Misbehaviour::LoseAnswer, &call.mode).is_some();
    let said =
        if lost { format!("(ответ потерян) {}", spoken.answer.text()) } else { spoken.answer.text() };
    write_log(&shop, &call, bytes, &said).await;
    if lost || spoken.answer == Answer::Cut {
        peer.cut();
    }
    response(&shop, &call.mode, &spoken)
}

/// Does what the request asks; also says how many bytes were uploaded.
async fn perform(shop: &Arc<Shop>, call: &Call, body: Body) -> (Spoken, u64) {
    let kind = call.query.get("type").map_or("", String::as_str);
    if !matches!(kind, "catalog" | "sale") {
        return (Answer::failure(format!("Неизвестный тип обмена: {kind}")).into(), 0);
    }
    if call.mode == "checkauth" {
        return (check_auth(shop, call, kind).await, 0);
    }
    if let Err(refusal) = admit(shop, call).await {
        return (refusal.into(), 0);
    }
    match (kind, call.mode.as_str()) {
        (_, "init") => (init(shop, call).await.into(), 0),
        ("catalog", "file") => {
            let (answer, bytes) = take_file(shop, call, body).await;
            (answer.into(), bytes)
        }
        ("catalog", "import") => (import_file(shop, call).await.into(), 0),
        ("catalog", "deactivate") => (deactivate(shop, call).await.into(), 0),
        ("catalog", "complete") | ("sale", "success") => (Answer::Success(Vec::new()).into(), 0),
        ("sale", "query") => (Answer::Xml(NO_ORDERS).into(), 0),
        (_, mode) => (Answer::failure(format!("Неизвестная команда: {mode}")).into(), 0),
    }
}

/// What `type=sale&mode=query` says when there are no orders.
const NO_ORDERS: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<КоммерческаяИнформация ВерсияСхемы=\"2.05\" ДатаФормирования=\"2026-01-01\"/>\n";

async fn check_auth(shop: &Arc<Shop>, call: &Call, kind: &str) -> Spoken {
    if !shop.account.admits(&call.headers) {
        return Answer::failure("Ошибка авторизации: неверный логин или пароль").into();
    }
    let cookie = uuid::Uuid::new_v4().simple().to_string();
    let sessid = uuid::Uuid::new_v4().simple().to_string();
    let store = Arc::clone(&shop.store);
    let (user, kind_text) = (shop.account.user.clone(), kind.to_owned());
    let begun = tokio::task::spawn_blocking(move || store.begin_session(&user, &kind_text)).await;
    let Ok(Ok(number)) = begun else {
        return Answer::failure("База данных магазина недоступна").into();
    };
    lock(&shop.sessions).begin(cookie.clone(), number, sessid.clone());

    let settings = shop.settings();
    let mut lines = Vec::new();
    if settings.cookie != CookieIn::Header {
        lines.extend([COOKIE.to_owned(), cookie.clone()]);
        if settings.sessid != Sessid::Never {
            lines.push(format!("sessid={sessid}"));
        }
        if kind == "catalog" {
            lines.push(format!("timestamp={}", clock::now().timestamp()));
        }
    }
    let header = (settings.cookie != CookieIn::Body).then(|| format!("{COOKIE}={cookie}; path=/; HttpOnly"));
    Spoken { answer: Answer::Success(lines), cookie: header }
}

/// Lets a request in by its cookie and `sessid`.
async fn admit(shop: &Arc<Shop>, call: &Call) -> Result<(), Answer> {
    let sessid = {
        let mut sessions = lock(&shop.sessions);
        let session = call.cookie.as_deref().and_then(|cookie| sessions.get(cookie));
        session.map(|session| session.sessid.clone())
    };
    let Some(sessid) = sessid else {
        return Err(Answer::failure("Сессия не найдена: сначала выполните mode=checkauth"));
    };
    let given = call.query.get("sessid");
    let policy = shop.settings().sessid;
    // A shop that gives the cookie only as a header has no line to tell the token in.
    if policy == Sessid::Never || shop.settings().cookie == CookieIn::Header {
        return Ok(());
    }
    let valid = given == Some(&sessid);
    let store = Arc::clone(&shop.store);
    let secure =
        tokio::task::spawn_blocking(
            move || {
                if valid { store.set_flag(SECURE).map(|()| true) } else { store.flag(SECURE) }
            },
        );
    let required = policy == Sessid::Required || matches!(secure.await, Ok(Ok(true)));
    if required && !valid {
        return Err(Answer::failure("Ошибка проверки источника запроса: неверный sessid"));
    }
    Ok(())
}

async fn init(shop: &Arc<Shop>, call: &Call) -> Answer {
    let area = Arc::clone(&shop.area).lock_owned().await;
    let wiped = tokio::task::spawn_blocking(move || area.wipe()).await;
    if !matches!(wiped, Ok(Ok(()))) {
        return Answer::failure("Не удалось очистить каталог обмена");
    }
    let settings = shop.settings();
    with_session(shop, call, |session| {
        session.ready = true;
        session.packed = settings.zip;
        session.last_file = None;
        session.steps.clear();
    });
    let zip = if settings.zip { "yes" } else { "no" };
    Answer::Lines(vec![format!("zip={zip}"), format!("file_limit={}", settings.file_limit)])
}

/// Appends the body to the file, as `fopen(…, 'ab')` does: no offset, no checksum.
async fn take_file(shop: &Arc<Shop>, call: &Call, body: Body) -> (Answer, u64) {
    if call.method != Method::POST {
        return (Answer::failure("Файл передаётся методом POST"), 0);
    }
    if with_session(shop, call, |session| session.ready) != Some(true) {
        return (Answer::failure("Обмен не начат: сначала выполните mode=init"), 0);
    }
    let area = shop.area.lock().await;
    let Some(name) = call.query.get("filename") else {
        return (Answer::failure("Не указано имя файла"), 0);
    };
    let Some(place) = area.place(name) else {
        return (Answer::failure(format!("Недопустимое имя файла: {name}")), 0);
    };
    let dropping = shop.faults.strikes(Misbehaviour::DropInChunk, &call.mode).is_some();
    let length = call.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let limit = shop.settings().file_limit;
    let stop_at = dropping.then(|| length.unwrap_or(2) / 2);
    match append(&place, body, limit, stop_at).await {
        Ok(Appended::All(bytes)) => {
            with_session(shop, call, |session| session.last_file = Some(name.clone()));
            (Answer::Success(Vec::new()), bytes)
        }
        Ok(Appended::Dropped(bytes)) => (Answer::Cut, bytes),
        Ok(Appended::TooLong(bytes)) => {
            (Answer::failure(format!("Размер части файла превышает file_limit={limit}")), bytes)
        }
        Err(error) => (Answer::failure(format!("Не удалось записать файл {name}: {error}")), 0),
    }
}

/// What became of a chunk; the number is the bytes that were read.
enum Appended {
    All(u64),
    TooLong(u64),
    Dropped(u64),
}

async fn append(place: &Path, body: Body, limit: u64, stop_at: Option<u64>) -> std::io::Result<Appended> {
    if let Some(parent) = place.parent() {
        tokio::fs::create_dir_all(parent).await?;
    }
    let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(place).await?;
    let before = file.metadata().await?.len();
    let mut frames = body.into_data_stream();
    let mut read = 0_u64;
    while let Some(frame) = frames.next().await {
        // A client that is killed leaves what has arrived, as with PHP.
        let Ok(mut frame) = frame else { break };
        if let Some(stop) = stop_at {
            let room = usize::try_from(stop.saturating_sub(read)).unwrap_or(usize::MAX);
            frame.truncate(room.min(frame.len()));
        }
        read += u64::try_from(frame.len()).unwrap_or(u64::MAX);
        if limit == 0 || read <= limit {
            file.write_all(&frame).await?;
        }
        if stop_at.is_some_and(|stop| read >= stop) {
            file.flush().await?;
            return Ok(Appended::Dropped(read));
        }
    }
    file.flush().await?;
    if limit > 0 && read > limit {
        file.set_len(before).await?;
        return Ok(Appended::TooLong(read));
    }
    Ok(Appended::All(read))
}

async fn import_file(shop: &Arc<Shop>, call: &Call) -> Answer {
    let Some(name) = call.query.get("filename").cloned() else {
        return Answer::failure("Не указано имя файла");
    };
    let Some(session) = with_session(shop, call, |session| session.clone()).filter(|session| session.ready) else {
        return Answer::failure("Обмен не начат: сначала выполните mode=init");
    };
    let area = Arc::clone(&shop.area).lock_owned().await;
    if session.packed {
        let Some(archive) = session.last_file.and_then(|name| area.place(&name)).filter(|place| place.is_file()) else {
            return Answer::failure("Ошибка распаковки архива: архив не загружен");
        };
        let unpacked = tokio::task::spawn_blocking(move || area.unpack(&archive)).await;
        return match unpacked {
            Ok(Ok(())) => {
                with_session(shop, call, |session| session.packed = false);
                Answer::Progress("Распаковка архива завершена.".to_owned())
            }
            Ok(Err(reason)) => Answer::Failure(reason),
            Err(error) => Answer::failure(error.to_string()),
        };
    }
    let Some(place) = area.place(&name).filter(|place| place.is_file()) else {
        return Answer::failure(format!("Файл {name} не загружен"));
    };
    let steps = shop.settings().steps;
    let done = session.steps.get(&name).copied().unwrap_or(0);
    let endless = shop.faults.strikes(Misbehaviour::EndlessProgress, &call.mode).is_some();
    if endless || done < steps {
        let next = done.saturating_add(1);
        with_session(shop, call, |session| session.steps.insert(name.clone(), next));
        return Answer::Progress(format!("Обработано шагов: {next} из {}", steps.saturating_add(1)));
    }
    let rules =
        Rules { refuse: shop.refused(), delete_marks: shop.settings().delete_marks, now: clock::now().timestamp() };
    let store = Arc::clone(&shop.store);
    // The guard goes along: a client that is killed meanwhile cannot wipe the file under the import.
    let imported = tokio::task::spawn_blocking(move || {
        let outcome = store.import(|connection| import::run(connection, &place, &rules));
        drop(area);
        outcome
    });
    with_session(shop, call, |session| session.steps.remove(&name));
    match imported.await {
        Ok(Ok(summary)) => Answer::Success(vec!["Импорт успешно завершен.".to_owned(), summary.to_string()]),
        Ok(Err(reason)) => Answer::Failure(reason),
        Err(error) => Answer::failure(error.to_string()),
    }
}

async fn deactivate(shop: &Arc<Shop>, call: &Call) -> Answer {
    let since = call.query.get("timestamp").and_then(|text| text.parse::<i64>().ok()).filter(|since| *since > 0);
    let Some(since) = since else { return Answer::failure("Не указан timestamp") };
    let store = Arc::clone(&shop.store);
    match tokio::task::spawn_blocking(move || store.deactivate(since)).await {
        Ok(Ok(())) => Answer::Success(Vec::new()),
        Ok(Err(error)) => Answer::failure(error.to_string()),
        Err(error) => Answer::failure(error.to_string()),
    }
}

fn with_session<T>(shop: &Shop, call: &Call, act: impl FnOnce(&mut super::session::Session) -> T) -> Option<T> {
    let mut sessions = lock(&shop.sessions);
    call.cookie.as_deref().and_then(|cookie| sessions.get(cookie)).map(act)
}

async fn write_log(shop: &Arc<Shop>, call: &Call, bytes: u64, said: &str) {
    let session = with_session(shop, call, |session| session.number);
    let part = |name: &str| call.query.get(name).cloned().unwrap_or_default();
    let line = LogLine {
        session,
        at: clock::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        kind: part("type"),
        mode: call.mode.clone(),
        filename: part("filename"),
        bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        answer: hide_session(said),
    };
    let store = Arc::clone(&shop.store);
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || store.log(&line)).await {
        tracing::warn!(%error, "the shop cannot write its log");
    }
}

/// The answer without the cookie and the token of `checkauth`.
fn hide_session(said: &str) -> String {
    if said.contains(COOKIE) { said.lines().next().unwrap_or("").to_owned() } else { said.chars().take(500).collect() }
}

fn cookie_of(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}

/// PHP's reading of a query string: `+` is a space, the last of equal names wins.
fn parse_query(query: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}
