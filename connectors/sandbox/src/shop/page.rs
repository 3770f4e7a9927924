//! The page a person sees in a browser: how much there is, and who came last.

use super::Shop;
use crate::reply::{self, escape, put};
use axum::body::Body;
use axum::http::{Response, StatusCode};
use rusqlite::Connection;
use std::sync::Arc;

/// What is counted: the heading and the query.
const COUNTS: [(&str, &str); 7] = [
    ("Товары", "SELECT count(*) FROM goods WHERE active = 1"),
    ("Выключены", "SELECT count(*) FROM goods WHERE active = 0"),
    ("Группы", "SELECT count(*) FROM groups"),
    ("Предложения", "SELECT count(*) FROM offers"),
    ("Цены", "SELECT count(*) FROM prices"),
    ("Остатки", "SELECT count(*) FROM stock"),
    ("Сессии", "SELECT count(*) FROM sessions"),
];

const HEAD: &str = "<!doctype html>\n<html lang=\"ru\"><head><meta charset=\"utf-8\"><title>Магазин · обмен</title>\n\
<meta name=\"viewport\" content=\"width=device-width\"><style>\n\
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem;color:#1c2733;background:#f6f7f9}\n\
h1{font-size:1.4rem;margin:0 0 1rem}h2{font-size:1rem;margin:2rem 0 .5rem;color:#5a6775}\n\
.cards{display:flex;flex-wrap:wrap;gap:.75rem}.card{background:#fff;border-radius:.5rem;padding:.75rem 1.1rem;box-shadow:0 1px 2px #0002}\n\
.card b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}.card span{color:#5a6775}\n\
table{border-collapse:collapse;width:100%;background:#fff;border-radius:.5rem;box-shadow:0 1px 2px #0002}\n\
th,td{padding:.35rem .7rem;text-align:left;border-bottom:1px solid #edf0f3;vertical-align:top}\n\
th{color:#5a6775;font-weight:500}td.n{text-align:right;font-variant-numeric:tabular-nums}\n\
.failure{color:#b3261e}.success{color:#1a7f37}.progress{color:#8a6100}\n\
</style></head><body>\n";

/// The page.
pub(crate) async fn show(shop: &Shop) -> Response<Body> {
    let store = Arc::clone(&shop.store);
    let drawn = tokio::task::spawn_blocking(move || store.read(draw)).await;
    let page = match drawn {
        Ok(Ok(page)) => page,
        Ok(Err(error)) => format!("{HEAD}<p class=\"failure\">{}</p></body></html>\n", escape(&error.to_string())),
        Err(error) => format!("{HEAD}<p class=\"failure\">{}</p></body></html>\n", escape(&error.to_string())),
    };
    reply::text(StatusCode::OK, "text/html; charset=utf-8", page)
}

fn draw(connection: &Connection) -> rusqlite::Result<String> {
    let mut page = format!("{HEAD}<h1>Магазин</h1>\n<div class=\"cards\">\n");
    for (heading, query) in COUNTS {
        let count: i64 = connection.query_row(query, [], |row| row.get(0))?;
        put(&mut page, format_args!("<div class=\"card\"><b>{count}</b><span>{heading}</span></div>\n"));
    }
    page.push_str("</div>\n");
    table(
        connection,
        &mut page,
        "Последние сессии",
        &["№", "Начало", "Пользователь", "Тип", "Запросов", "Байт", "Последний ответ"],
        "SELECT s.id, s.started, s.user, s.type, count(r.id), coalesce(sum(r.bytes), 0),
                coalesce((SELECT answer FROM requests WHERE session = s.id ORDER BY id DESC LIMIT 1), '')
         FROM sessions s LEFT JOIN requests r ON r.session = s.id
         WHERE s.id > (SELECT coalesce(max(id), 0) - 15 FROM sessions) GROUP BY s.id ORDER BY s.id DESC",
    )?;
    table(
        connection,
        &mut page,
        "Последние запросы",
        &["№", "Время", "Сессия", "Команда", "Файл", "Байт", "Ответ"],
        "SELECT id, at, coalesce(session, '—'), type || ' ' || mode, filename, bytes, answer
         FROM requests ORDER BY id DESC LIMIT 40",
    )?;
    page.push_str("</body></html>\n");
    Ok(page)
}

fn table(connection: &Connection, page: &mut String, title: &str, heads: &[&str], query: &str) -> rusqlite::Result<()> {
    put(page, format_args!("<h2>{title}</h2>\n<table><tr>"));
    for head in heads {
        put(page, format_args!("<th>{head}</th>"));
    }
    page.push_str("</tr>\n");
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        page.push_str("<tr>");
        for at in 0..heads.len() {
            cell(page, row.get_ref(at)?);
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
    Ok(())
}

fn cell(page: &mut String, value: rusqlite::types::ValueRef<'_>) {
    use rusqlite::types::ValueRef;
    match value {
        ValueRef::Integer(number) => put(page, format_args!("<td class=\"n\">{number}</td>")),
        ValueRef::Text(text) => {
            let text = String::from_utf8_lossy(text);
            let class = ["failure", "success", "progress"].iter().find(|word| text.starts_with(**word)).unwrap_or(&"");
            put(page, format_args!("<td class=\"{class}\">{}</td>", escape(&text).replace('\n', "<br>")));
        }
        _ => page.push_str("<td></td>"),
    }
}
