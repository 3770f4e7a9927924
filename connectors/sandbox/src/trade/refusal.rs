//! Refusals in the words and bodies of 1C (`1c-odata.md` §3.4).

use super::request::Format;
use crate::reply::{self, escape};
use axum::body::Body;
use axum::http::{Response, StatusCode};

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// An error of the OData service: HTTP status, internal code, text.
    Service(StatusCode, &'static str, String),
    /// A page of the web server.
    Page(StatusCode, &'static str),
}

pub(crate) type Answered<T> = Result<T, Refusal>;

impl Refusal {
    /// An error of the OData service.
    pub(crate) fn service(status: StatusCode, code: &'static str, text: impl Into<String>) -> Self {
        Self::Service(status, code, text.into())
    }

    /// A field or path segment nobody knows.
    pub(crate) fn unknown_path(name: &str) -> Self {
        Self::service(StatusCode::BAD_REQUEST, "6", format!("Сегмент пути {name} не найден"))
    }

    /// A function the register does not have.
    pub(crate) fn no_method() -> Self {
        Self::service(StatusCode::BAD_REQUEST, "6", "Метод не найден")
    }

    /// A query option that cannot be read.
    pub(crate) fn unreadable(option: &str) -> Self {
        Self::service(StatusCode::BAD_REQUEST, "14", format!("Error parsing {option} query option"))
    }

    /// A `$option` nobody knows.
    pub(crate) fn unknown_option(option: &str) -> Self {
        Self::service(StatusCode::NOT_IMPLEMENTED, "0", format!("The {option} parameter is not supported"))
    }

    /// A parameter of a virtual table nobody knows, `StartDate` above all.
    pub(crate) fn unknown_argument(name: &str) -> Self {
        Self::service(StatusCode::NOT_IMPLEMENTED, "21", format!("Параметр {name} не поддерживается"))
    }

    /// An error raised by the platform: always 500 and code -1.
    pub(crate) fn platform(text: impl Into<String>) -> Self {
        Self::service(StatusCode::INTERNAL_SERVER_ERROR, "-1", text)
    }

    /// No such key.
    pub(crate) fn no_instance() -> Self {
        Self::service(StatusCode::NOT_FOUND, "9", "Экземпляр сущности не найден")
    }

    /// No such set, or it is not published.
    pub(crate) fn no_entity() -> Self {
        Self::Page(StatusCode::NOT_FOUND, NOT_FOUND)
    }

    /// What the web server says before 1C hears of the request.
    pub(crate) fn bad_url() -> Self {
        Self::Page(StatusCode::BAD_REQUEST, BAD_URL)
    }

    /// The HTTP answer.
    pub(crate) fn response(&self, format: Format) -> Response<Body> {
        match self {
            Self::Page(status, page) => reply::text(*status, "text/html; charset=us-ascii", *page),
            Self::Service(status, code, text) if format.is_json() => {
                let value = serde_json::Value::from(text.as_str());
                let body = format!(
                    "{{\"odata.error\":{{\"code\":\"{code}\",\"message\":{{\"lang\":\"ru\",\"value\":{value}}}}}}}"
                );
                reply::text(*status, "application/json;charset=utf-8", body)
            }
            Self::Service(status, code, text) => {
                let body = format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<m:error xmlns:m=\"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata\"><m:code>{code}</m:code><m:message xml:lang=\"ru\">{}</m:message></m:error>",
                    escape(text)
                );
                reply::text(*status, "application/xml;charset=utf-8", body)
            }
        }
    }
}

const NOT_FOUND: &str = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\r\n\
<HTML><HEAD><TITLE>Not Found</TITLE></HEAD>\r\n<BODY><h2>Not Found</h2>\r\n<hr><p>HTTP Error 404. The requested resource is not found.</p>\r\n</BODY></HTML>\r\n";

const BAD_URL: &str = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\r\n\
<HTML><HEAD><TITLE>Bad Request</TITLE></HEAD>\r\n<BODY><h2>Bad Request - Invalid URL</h2>\r\n<hr><p>HTTP Error 400. The request URL is invalid.</p>\r\n</BODY></HTML>\r\n";

/// The body of a 401: what a browser shows when the login window is closed.
pub(crate) const WHO_ARE_YOU: &str = "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n<title>401 Unauthorized</title>\n\
</head><body>\n<h1>Unauthorized</h1>\n<p>Идентификация пользователя не выполнена</p>\n</body></html>\n";

/// A page of the 1C web client: what a client sees with HTTP 200 while the base is being serviced.
pub(crate) const MAINTENANCE: &str = "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>1С:Предприятие</title></head>\n\
<body><h1>1C:Enterprise 8 application error</h1><p>Начало сеанса с информационной базой запрещено. by reason: обновление конфигурации</p></body></html>\n";

/// What a web server in front of a stopped 1C says.
pub(crate) const UNAVAILABLE: &str =
    "<html><head><title>503 Service Unavailable</title></head><body><h1>Service Unavailable</h1></body></html>\n";
