//! The client against a server that misbehaves.

use super::*;
use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::atomic::AtomicUsize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn quick() -> Options {
    Options {
        read_timeout: Duration::from_millis(300),
        first_pause: Duration::from_millis(1),
        body_limit: 1000,
        ..Options::default()
    }
}

async fn serve(router: Router) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    client(&format!("http://{address}/base"))
}

/// Answers every connection with these bytes and closes it (or holds it for a while).
async fn serve_raw(answer: &'static [u8], hold: Duration) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0u8; 4096];
                drop(socket.read(&mut request).await);
                drop(socket.write_all(answer).await);
                tokio::time::sleep(hold).await;
            });
        }
    });
    client(&format!("http://{address}"))
}

fn client(address: &str) -> Client {
    let client = Client::new(Address::parse(address).unwrap(), quick(), Stop::default()).unwrap();
    client.with_login(Secret::new("обмен"), Secret::new("word-of-honour"))
}

async fn body(client: &Client, path: &str) -> Result<Bytes> {
    client.send(&Request::get(path)).await?.successful()?.bytes().await
}

fn status(code: u16) -> Response {
    Response::builder().status(code).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn statuses_become_kinds_and_nothing_secret_is_said() {
    let router = Router::new()
        .route("/base/{code}", get(|axum::extract::Path(code): axum::extract::Path<u16>| async move { status(code) }));
    let client = serve(router).await;
    let expected = [
        (401, ErrorKind::Unauthenticated),
        (403, ErrorKind::PermissionDenied),
        (404, ErrorKind::NotFound),
        (302, ErrorKind::NotFound),
        (408, ErrorKind::Timeout),
        (409, ErrorKind::Conflict),
        (429, ErrorKind::RateLimited { after: Duration::from_secs(30) }),
        (400, ErrorKind::InvalidData),
        (501, ErrorKind::Unsupported),
        (500, ErrorKind::Unavailable),
        (503, ErrorKind::Unavailable),
    ];
    for (code, kind) in expected {
        let error = body(&client, &format!("{code}?token=word-of-honour")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{code}");
        let text = format!("{error} {error:?} {client:?}");
        assert!(!text.contains("word-of-honour") && !text.contains("обмен"), "{text}");
    }
}

#[tokio::test]
async fn the_login_is_sent_as_utf_8() {
    let router = Router::new().route(
        "/base/who",
        get(|headers: HeaderMap| async move { headers["authorization"].to_str().unwrap().to_owned() }),
    );
    let body = body(&serve(router).await, "who").await.unwrap();
    assert_eq!(body, "Basic 0L7QsdC80LXQvTp3b3JkLW9mLWhvbm91cg==");
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_refusal_is_not() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let busy_twice = || async {
        match ASKED.fetch_add(1, Ordering::SeqCst) {
            0 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")], "").into_response(),
            1 => StatusCode::BAD_GATEWAY.into_response(),
            2 => "done".into_response(),
            _ => StatusCode::BAD_REQUEST.into_response(),
        }
    };
    let client = serve(Router::new().route("/base/x", get(busy_twice))).await;
    let attempt = || async { body(&client, "x").await };
    assert_eq!(client.retrying(attempt).await.unwrap(), "done");
    assert_eq!(client.retrying(attempt).await.unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(ASKED.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn attempts_end_and_are_counted() {
    let client = serve(Router::new().route("/base/x", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))).await;
    let error = client.retrying(|| async { body(&client, "x").await }).await.unwrap_err();
    assert!(error.to_string().ends_with("/base/x, attempt 5)"), "{error}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_exhausted() {
    let client = serve(Router::new().route("/base/x", get(|| async { "x".repeat(1001) }))).await;
    let error = body(&client, "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    assert!(error.to_string().starts_with("the answer is larger than 1000 ("), "{error}");
}

#[tokio::test]
async fn a_broken_body_and_a_silent_server_are_told_apart() {
    let cut = serve_raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc", Duration::ZERO).await;
    let error = body(&cut, "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    let silent = serve_raw(b"", Duration::from_secs(5)).await;
    assert_eq!(body(&silent, "x").await.unwrap_err().kind(), ErrorKind::Timeout);
    let stalled = serve_raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc", Duration::from_secs(5)).await;
    let error = body(&stalled, "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().starts_with("the answer stopped coming after 3 bytes"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = body(&client(&format!("http://{address}")), "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().starts_with("cannot connect: "), "{error}");
}

#[tokio::test]
async fn a_wish_to_stop_ends_pauses_and_requests() {
    let stop = Stop::default();
    let options = Options { first_pause: Duration::from_mins(1), ..quick() };
    let client = Client::new(Address::parse("http://127.0.0.1:9").unwrap(), options, stop.clone()).unwrap();
    let waiting = client.retrying(|| async { Err::<(), _>(Error::new(ErrorKind::Unavailable, "down")) });
    let stopper = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.set();
    };
    let (result, ()) = tokio::join!(waiting, stopper);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(client.send(&Request::get("x")).await.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[tokio::test]
async fn a_date_in_retry_after_counts_by_the_servers_clock() {
    let answer = || async {
        let headers = [("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT"), ("date", "Wed, 21 Oct 2015 07:28:00 GMT")];
        (StatusCode::TOO_MANY_REQUESTS, headers, "")
    };
    let client = serve(Router::new().route("/base/x", get(answer))).await;
    let error = body(&client, "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited { after: Duration::from_secs(30) });
}
