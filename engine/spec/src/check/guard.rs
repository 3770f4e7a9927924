//! Limits that guard something.

use crate::pipeline::{Deletes, Limit, Pipeline};
use obmen_diagnostics::{Problems, code};

pub(super) fn check(pipeline: &Pipeline, problems: &mut Problems) {
    for (_, sink) in pipeline.sinks.iter() {
        let Some(guard) = &sink.guard else { continue };
        for (what, limit) in [("deletes", &guard.deletes), ("updates", &guard.updates)] {
            let Some(limit) = limit else { continue };
            match limit.value {
                Limit::Percent(share) if !(0.0..=100.0).contains(&share) => {
                    let message = format!("a guard of {share}% cannot be, expected 0% to 100%");
                    problems.error(code::INVALID_GUARD, limit.span, message);
                }
                Limit::Percent(share) if share >= 100.0 => {
                    let message = format!("a guard of 100% never stops anything: {what} cannot be more than all rows");
                    problems.warning(code::INVALID_GUARD, limit.span, message).help("write `off` if that is meant");
                }
                _ => {}
            }
        }
        if let (Some(limit), Deletes::Ignore) = (&guard.deletes, sink.deletes.value)
            && limit.value != Limit::Off
        {
            problems
                .warning(
                    code::INVALID_GUARD,
                    limit.span,
                    "the sink ignores what is gone: there are no deletes to guard",
                )
                .help("add `deletes: mark` or `deletes: delete`, or remove this limit");
        }
    }
}
