//! Schedules: the shape of a cron line, a time between runs, a zone's name. Whether the zone exists the server knows.

use crate::pipeline::{Enabled, Pipeline, Schedule};
use obmen_diagnostics::{Problems, Spanned, code};

pub(super) fn check(pipeline: &Pipeline, problems: &mut Problems) {
    let Some(schedule) = &pipeline.schedule else {
        if pipeline.enabled.value == Enabled::Auto {
            problems
                .warning(code::INVALID_SCHEDULE, pipeline.enabled.span, "`enabled: auto` without a schedule never runs")
                .help("add `schedule: { every: 1h }`, or write `manual`");
        }
        return;
    };
    check_together(pipeline, schedule, problems);
    if let Some(cron) = &schedule.cron {
        check_cron(cron, problems);
    }
    if let Some(every) = &schedule.every
        && seconds(every).is_none_or(|seconds| seconds == 0)
    {
        problems
            .error(code::INVALID_SCHEDULE, every.span, format!("`{}` is not a time between runs", every.value))
            .help("write a whole number and a unit: `30s`, `15m`, `2h`, `1d`");
    }
    if let Some(zone) = &schedule.timezone
        && !is_zone(zone)
    {
        problems
            .error(code::INVALID_SCHEDULE, zone.span, format!("`{}` is not the name of a time zone", zone.value))
            .help("write it as in the IANA list: `Europe/Moscow`, `Asia/Yekaterinburg`, `UTC`");
    }
}

fn check_together(pipeline: &Pipeline, schedule: &Schedule, problems: &mut Problems) {
    match (&schedule.cron, &schedule.every) {
        (Some(cron), Some(every)) => {
            problems
                .error(code::INVALID_SCHEDULE, every.span, "`cron` and `every` together")
                .label(cron.span, "the other one")
                .help("keep one of them");
        }
        (None, None) => {
            problems
                .error(code::INVALID_SCHEDULE, pipeline.pipeline.span, "the schedule does not say when")
                .help("add `cron:` or `every:` to `schedule`");
        }
        (None, Some(every)) => {
            if let Some(zone) = &schedule.timezone {
                problems
                    .error(code::INVALID_SCHEDULE, zone.span, "`timezone` says something only beside `cron`")
                    .label(every.span, "a time between runs is the same in every zone")
                    .help("remove it");
            }
        }
        (Some(_), None) => {}
    }
}

/// A field of a cron line: its name, least and greatest number, words in place of numbers.
type CronField = (&'static str, u32, u32, &'static [&'static str]);

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The fields of a cron line, POSIX crontab with steps, and 7 for Sunday.
const CRON: &[CronField] = &[
    ("minute", 0, 59, &[]),
    ("hour", 0, 23, &[]),
    ("day of month", 1, 31, &[]),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 7, DAYS),
];

fn check_cron(cron: &Spanned<String>, problems: &mut Problems) {
    let parts: Vec<&str> = cron.split_whitespace().collect();
    if parts.len() != CRON.len() {
        problems
            .error(code::INVALID_SCHEDULE, cron.span, format!("a cron line has 5 fields, this one has {}", parts.len()))
            .help("write minute, hour, day of month, month, day of week: `0 * * * *` is every hour");
        return;
    }
    for (part, field) in parts.iter().zip(CRON) {
        if let Some(wrong) = wrong_in(part, field) {
            problems
                .error(code::INVALID_SCHEDULE, cron.span, format!("`{wrong}` is not a {} of a cron line", field.0))
                .help(format!(
                    "write `*`, a number from {} to {}, a range `1-5`, a list `1,15` or a step `*/10`",
                    field.1, field.2
                ));
        }
    }
}

/// The element of a field that cannot be.
fn wrong_in<'c>(part: &'c str, field: &CronField) -> Option<&'c str> {
    part.split(',').find(|element| !is_element(element, field))
}

fn is_element(element: &str, field: &CronField) -> bool {
    let (range, step) = match element.split_once('/') {
        None => (element, None),
        Some((range, step)) => (range, Some(step)),
    };
    if step.is_some_and(|step| !step.parse::<u32>().is_ok_and(|step| (1..=field.2).contains(&step))) {
        return false;
    }
    if range == "*" {
        return true;
    }
    match range.split_once('-') {
        None => number(range, field).is_some(),
        Some((from, to)) => matches!((number(from, field), number(to, field)), (Some(from), Some(to)) if from <= to),
    }
}

fn number(text: &str, (_, least, most, words): &CronField) -> Option<u32> {
    let lower = text.to_lowercase();
    if let Some(at) = words.iter().position(|word| *word == lower) {
        return u32::try_from(at).ok().map(|at| at + least);
    }
    let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|number| digits && (least..=most).contains(&number))
}

/// The seconds of `30s`, `15m`, `2h`, `1d`.
/// A whole number and a unit: `15m`.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let unit = text.chars().last()?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(factor)
}

fn is_zone(text: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '+'))
    };
    matches!(text, "UTC" | "GMT") || ((2..=3).contains(&text.split('/').count()) && text.split('/').all(part))
}
