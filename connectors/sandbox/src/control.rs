//! `GET /control` shows, `POST /control` sets: the same shape for both systems.

use crate::reply;
use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest order that is read, in bytes.
const LIMIT: usize = 4 << 20;

/// Answers a request to `/control` of somebody who was let in.
///
/// `set` applies what was ordered; its error is told to the caller with 400. `show` gives what holds now.
pub(crate) async fn answer<C, S>(
    method: &Method,
    body: Body,
    set: impl FnOnce(C) -> Result<(), String>,
    show: impl FnOnce() -> S,
) -> Response<Body>
where
    C: DeserializeOwned,
    S: Serialize,
{
    if *method == Method::POST {
        let ordered = match axum::body::to_bytes(body, LIMIT).await {
            Ok(bytes) => serde_json::from_slice::<C>(&bytes).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(mistake) = ordered.and_then(set) {
            return reply::text(StatusCode::BAD_REQUEST, "text/plain; charset=utf-8", format!("{mistake}\n"));
        }
    } else if *method != Method::GET {
        return reply::text(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", "GET or POST\n");
    }
    let shown = serde_json::to_string_pretty(&show()).unwrap_or_default();
    reply::text(StatusCode::OK, "application/json; charset=utf-8", shown)
}
