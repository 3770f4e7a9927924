//! Times as people write and read them.

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};

/// Reads a moment: with a zone (`2026-11-22T10:00:00+03:00`), or in this machine's (`2026-11-22T10:00`, `2026-11-22`).
///
/// # Errors
/// What was expected.
pub(crate) fn parse(text: &str) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(moment.to_utc());
    }
    let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    let local = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let local = local.or_else(|| Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN)));
    let expected = "expected a time like 2026-11-22T10:00:00+03:00, 2026-11-22T10:00 or 2026-11-22";
    // Of a clock that is set back the earlier of both times is meant.
    let local = local.ok_or_else(|| expected.to_owned())?;
    Local.from_local_datetime(&local).earliest().map(|moment| moment.to_utc()).ok_or_else(|| expected.to_owned())
}

/// Reads a moment as [`parse`], or a time back from `now`: `2h`, `3d`.
///
/// # Errors
/// What was expected.
pub(crate) fn parse_since(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let back = obmen_sdk::TimeSpan::parse(text).ok().and_then(|span| TimeDelta::from_std(span.duration()).ok());
    match back.and_then(|back| now.checked_sub_signed(back)) {
        Some(moment) => Ok(moment),
        None => parse(text).map_err(|expected| format!("`{text}` is not a time: {expected}, or back from now: 2h, 3d")),
    }
}

/// A moment in this machine's zone: `2026-11-22 10:00:05`.
pub(crate) fn shown(moment: DateTime<Utc>) -> String {
    moment.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A moment written by the engine, in this machine's zone; other texts stay as they are.
pub(crate) fn shown_text(text: &str) -> String {
    DateTime::parse_from_rfc3339(text).map_or_else(|_| text.to_owned(), |moment| shown(moment.to_utc()))
}

/// How long something took: `0.2 s`, `1 min 5 s`, `2 h 3 min`.
pub(crate) fn took(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    match seconds {
        0..60 => format!("{}.{} s", seconds, span.subsec_millis().max(0) / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_with_and_without_a_zone() {
        let moment = parse("2026-11-22T10:00:00+03:00").unwrap();
        assert_eq!(moment.to_rfc3339(), "2026-11-22T07:00:00+00:00");
        for text in ["2026-11-22", "2026-11-22T10:00", "2026-11-22 10:00:05", "2026-11-22T10:00:05.5"] {
            assert_eq!(parse(text).unwrap().with_timezone(&Local).date_naive().to_string(), "2026-11-22");
        }
        for text in ["", "tomorrow", "22.11.2026", "2026-13-01"] {
            assert!(parse(text).unwrap_err().contains("2026-11-22"), "{text}");
        }
    }

    #[test]
    fn since_counts_back_from_now() {
        let now = parse("2026-11-22T10:00:00Z").unwrap();
        assert_eq!(parse_since("1d2h", now).unwrap(), parse("2026-11-21T08:00:00Z").unwrap());
        assert_eq!(parse_since("2026-11-20T00:00:00Z", now).unwrap(), parse("2026-11-20T00:00:00Z").unwrap());
        assert!(parse_since("yesterday", now).unwrap_err().contains("2h"));
    }

    #[test]
    fn durations_read_well() {
        let cases = [(1_250, "1.2 s"), (-5, "0.0 s"), (65_000, "1 min 5 s"), (7_380_000, "2 h 3 min")];
        for (milliseconds, expected) in cases {
            assert_eq!(took(TimeDelta::milliseconds(milliseconds)), expected);
        }
    }
}
