//! Dates and times written as text.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

/// The order and marks of a date: `dd.mm.yyyy`.
///
/// `d` and `m` take one or two digits, `dd` and `mm` exactly two, `yyyy` four; everything else
/// stands for itself. A year of two digits is not offered: its century would be a guess.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct DatePattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Year,
    Month { two: bool },
    Day { two: bool },
    Mark(char),
}

impl DatePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A phrase for a diagnostic: a letter that means nothing, or a part missing or repeated.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let run = rest.len() - rest.trim_start_matches(first).len();
            let part = match (first, run) {
                ('y', 4) => Part::Year,
                ('m', 1 | 2) => Part::Month { two: run == 2 },
                ('d', 1 | 2) => Part::Day { two: run == 2 },
                (letter, _) if letter.is_alphanumeric() => {
                    return Err(format!(
                        "`{text}` is not a date pattern; write it with dd, mm and yyyy, like `dd.mm.yyyy`"
                    ));
                }
                (mark, _) => {
                    parts.push(Part::Mark(mark));
                    rest = rest.get(mark.len_utf8()..).unwrap_or("");
                    continue;
                }
            };
            parts.push(part);
            rest = rest.get(run..).unwrap_or("");
        }
        let count = |wanted: fn(&Part) -> bool| parts.iter().filter(|part| wanted(part)).count();
        let years = count(|part| matches!(part, Part::Year));
        let months = count(|part| matches!(part, Part::Month { .. }));
        let days = count(|part| matches!(part, Part::Day { .. }));
        if (years, months, days) != (1, 1, 1) {
            return Err(format!("`{text}` needs day, month and year once each, like `dd.mm.yyyy`"));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// `yyyy-mm-dd`.
    pub fn iso() -> Self {
        let mark = Part::Mark('-');
        let parts = vec![Part::Year, mark, Part::Month { two: true }, mark, Part::Day { two: true }];
        Self { text: "yyyy-mm-dd".to_owned(), parts }
    }

    fn is_iso(&self) -> bool {
        self.text == "yyyy-mm-dd"
    }

    /// The day a text means by the pattern or, besides, as `yyyy-mm-dd`.
    fn day(&self, text: &str) -> Option<NaiveDate> {
        if self.is_iso() { read_iso(text) } else { self.read(text).or_else(|| read_iso(text)) }
    }

    fn read(&self, text: &str) -> Option<NaiveDate> {
        let (mut year, mut month, mut day) = (0, 0, 0);
        let mut rest = text;
        for part in &self.parts {
            match part {
                Part::Year => year = take_digits(&mut rest, 4, 4)?,
                Part::Month { two } => month = take_digits(&mut rest, if *two { 2 } else { 1 }, 2)?,
                Part::Day { two } => day = take_digits(&mut rest, if *two { 2 } else { 1 }, 2)?,
                Part::Mark(mark) => rest = rest.strip_prefix(*mark)?,
            }
        }
        let year = i32::try_from(year).ok()?;
        if rest.is_empty() { NaiveDate::from_ymd_opt(year, month, day) } else { None }
    }
}

impl TryFrom<String> for DatePattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

/// Reads a day. Besides the pattern, `yyyy-mm-dd` is always understood; a time of midnight may follow.
///
/// # Errors
/// A phrase for a bad row: not a date, or a time of day that a date has no room for.
pub fn parse_date(text: &str, pattern: &DatePattern) -> Result<NaiveDate, String> {
    let moment = parse_datetime(text, pattern).map_err(|reason| reason.replace("date and time", "date"))?;
    if moment.time() == NaiveTime::MIN {
        Ok(moment.date())
    } else {
        Err("has a time of day, declare it datetime".to_owned())
    }
}

/// Reads a day and time without a zone; a day alone is its midnight. The time follows after `T` or a space.
///
/// # Errors
/// A phrase for a bad row: not a date and time, a zone (nothing is shifted silently), or digits below a microsecond.
pub fn parse_datetime(text: &str, pattern: &DatePattern) -> Result<NaiveDateTime, String> {
    let text = text.trim();
    if let Some(day) = pattern.day(text) {
        return Ok(day.and_time(NaiveTime::MIN));
    }
    for (at, mark) in text.match_indices([' ', 'T', 't']) {
        let (before, after) = (text.get(..at).unwrap_or(""), text.get(at + mark.len()..).unwrap_or(""));
        if let Some(day) = pattern.day(before) {
            return Ok(day.and_time(parse_time(after)?));
        }
    }
    Err(format!("is not a date and time written as `{}`", pattern.text))
}

/// Reads a time of day: `hh:mm`, `hh:mm:ss` or `hh:mm:ss.ffffff`; the hour may have one digit.
///
/// # Errors
/// A phrase for a bad row: not a time, a zone, or digits below a microsecond.
pub fn parse_time(text: &str) -> Result<NaiveTime, String> {
    let text = text.trim();
    let wrong = || "is not a time written as `hh:mm:ss`".to_owned();
    let mut rest = text;
    let hour = take_digits(&mut rest, 1, 2).ok_or_else(wrong)?;
    rest = rest.strip_prefix(':').ok_or_else(wrong)?;
    let minute = take_digits(&mut rest, 2, 2).ok_or_else(wrong)?;
    let mut second = 0;
    let mut micro = 0;
    if let Some(after) = rest.strip_prefix(':') {
        rest = after;
        second = take_digits(&mut rest, 2, 2).ok_or_else(wrong)?;
        if let Some(after) = rest.strip_prefix(['.', ',']) {
            let length = after.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, after) = after.split_at(length);
            micro = read_micros(digits)?;
            rest = after;
        }
    }
    if rest.is_empty() {
        return NaiveTime::from_hms_micro_opt(hour, minute, second, micro).ok_or_else(wrong);
    }
    if rest.starts_with(['Z', 'z', '+', '-']) {
        return Err("has a time zone; declare it string and convert it in SQL, nothing is shifted silently".to_owned());
    }
    Err(wrong())
}

/// Writes a day by the pattern.
pub fn show_date(day: NaiveDate, pattern: &DatePattern) -> String {
    let mut text = String::with_capacity(10);
    for part in &pattern.parts {
        text.extend([match part {
            Part::Year => format!("{:04}", day.year()),
            Part::Month { two: true } => format!("{:02}", day.month()),
            Part::Month { two: false } => day.month().to_string(),
            Part::Day { two: true } => format!("{:02}", day.day()),
            Part::Day { two: false } => day.day().to_string(),
            Part::Mark(mark) => mark.to_string(),
        }]);
    }
    text
}

/// Writes a time as `hh:mm:ss`, with microseconds where there are any.
pub fn show_time(time: NaiveTime) -> String {
    let micro = time.nanosecond() / 1_000;
    let whole = format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    if micro == 0 { whole } else { format!("{whole}.{micro:06}") }
}

/// Writes a day and time: ISO with a `T`, every other pattern with a space.
pub fn show_datetime(moment: NaiveDateTime, pattern: &DatePattern) -> String {
    let between = if pattern.is_iso() { 'T' } else { ' ' };
    format!("{}{between}{}", show_date(moment.date(), pattern), show_time(moment.time()))
}

/// Reads `yyyy-mm-dd`.
fn read_iso(text: &str) -> Option<NaiveDate> {
    let (mut rest, minus) = (text, |rest: &mut &str| rest.strip_prefix('-').map(|after| *rest = after));
    let year = take_digits(&mut rest, 4, 4)?;
    minus(&mut rest)?;
    let month = take_digits(&mut rest, 2, 2)?;
    minus(&mut rest)?;
    let day = take_digits(&mut rest, 2, 2)?;
    if rest.is_empty() { NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day) } else { None }
}

fn read_micros(digits: &str) -> Result<u32, String> {
    if digits.is_empty() {
        return Err("has no digits after the seconds' point".to_owned());
    }
    let (kept, lost) = digits.split_at(digits.len().min(6));
    if lost.bytes().any(|digit| digit != b'0') {
        return Err("has digits below a microsecond".to_owned());
    }
    format!("{kept:0<6}").parse().map_err(|_| "is not a time".to_owned())
}

fn take_digits(rest: &mut &str, least: usize, most: usize) -> Option<u32> {
    let length = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if length < least {
        return None;
    }
    let (digits, after) = rest.split_at(length);
    *rest = after;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(year: i32, month: u32, day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(year, month, day).unwrap()
    }

    #[test]
    fn dates_follow_their_pattern() {
        for (pattern, text) in [
            ("dd.mm.yyyy", "09.12.2020"),
            ("d/m/yyyy", "9/12/2020"),
            ("mm/dd/yyyy", "12/09/2020"),
            ("yyyymmdd", "20201209"),
            ("yyyy.mm.dd", "2020.12.09"),
            ("dd.mm.yyyy", "2020-12-09"),
            ("yyyy-mm-dd", "2020-12-09T00:00:00"),
        ] {
            let pattern = DatePattern::parse(pattern).unwrap();
            assert_eq!(parse_date(text, &pattern), Ok(day(2020, 12, 9)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_date_is_refused() {
        let pattern = DatePattern::parse("dd.mm.yyyy").unwrap();
        for text in
            ["", "31.02.2026", "9.12.2020", "09.12.20", "12/09/2020", "09.12.2020 0:23", "09.12.2020x", "00.01.2020"]
        {
            assert!(parse_date(text, &pattern).is_err(), "{text}");
        }
        for pattern in ["dd.mm.yy", "yyyy-mm", "dd.mm.yyyy.dd", "xx", "", "ddd.mm.yyyy"] {
            assert!(DatePattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn times_are_exact_and_zones_are_refused() {
        let pattern = DatePattern::iso();
        let read = |text: &str| parse_datetime(text, &pattern);
        assert_eq!(read("2016-12-26T16:00:52"), Ok(day(2016, 12, 26).and_hms_opt(16, 0, 52).unwrap()));
        assert_eq!(read("2016-12-26 7:05"), Ok(day(2016, 12, 26).and_hms_opt(7, 5, 0).unwrap()));
        assert_eq!(read("0001-01-01T00:00:00"), Ok(day(1, 1, 1).and_time(NaiveTime::MIN)));
        assert_eq!(
            read("2016-12-26T00:00:00.1234560"),
            Ok(day(2016, 12, 26).and_hms_micro_opt(0, 0, 0, 123_456).unwrap())
        );
        for text in [
            "2016-12-26T16:00:52Z",
            "2016-12-26T16:00:52+03:00",
            "2016-12-26T24:00",
            "2016-12-26T10:00:60",
            "2016-12-26T10:00:00.1234567",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn moments_survive_writing_and_reading(days in 0_i64..3_652_058, micros in 0_i64..86_400_000_000, pattern in prop::sample::select(vec!["yyyy-mm-dd", "dd.mm.yyyy", "d/m/yyyy", "yyyymmdd"])) {
            let pattern = DatePattern::parse(pattern).unwrap();
            let moment = day(1, 1, 1).and_time(NaiveTime::MIN) + chrono::Duration::days(days) + chrono::Duration::microseconds(micros);
            prop_assert_eq!(parse_datetime(&show_datetime(moment, &pattern), &pattern), Ok(moment));
            prop_assert_eq!(parse_date(&show_date(moment.date(), &pattern), &pattern), Ok(moment.date()));
            prop_assert_eq!(parse_time(&show_time(moment.time())), Ok(moment.time()));
        }

        #[test]
        fn dates_agree_with_the_calendar(text in "[0-3][0-9]\\.[01][0-9]\\.[0-9]{4}") {
            let oracle = NaiveDate::parse_from_str(&text, "%d.%m.%Y").ok();
            prop_assert_eq!(parse_date(&text, &DatePattern::parse("dd.mm.yyyy").unwrap()).ok(), oracle);
        }
    }
}
