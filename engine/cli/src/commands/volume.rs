//! How much went where: the counters of runs, summed by period, pipeline and sink.

use crate::table::Table;
use crate::words::grouped;
use chrono::{DateTime, Local, Utc};
use obmen_runtime::state::RunRecord;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The length of a period, in this machine's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Period {
    Hour,
    Day,
    Month,
    Year,
}

/// The counters that are summed, by their names in a report.
const COUNTERS: [&str; 7] = ["read", "sent", "acked", "rejected", "unknown", "loads", "requests"];

/// Period, pipeline and sink.
type Route = (String, String, String);

/// Sums of a route in a period.
#[derive(Debug, Default)]
struct Volume {
    runs: u64,
    counts: [u64; COUNTERS.len()],
}

/// Sums over runs.
#[derive(Debug)]
pub(crate) struct Volumes(BTreeMap<Route, Volume>);

impl Volumes {
    /// The sums of what real runs reported; plans send nothing and are left out.
    pub(crate) fn of(runs: &[RunRecord], period: Period) -> Self {
        let mut sums: BTreeMap<Route, Volume> = BTreeMap::new();
        for run in runs.iter().filter(|run| run.kind == "run") {
            let report: Value =
                run.report.as_deref().and_then(|report| serde_json::from_str(report).ok()).unwrap_or_default();
            for sink in report["sinks"].as_array().into_iter().flatten() {
                let name = sink["sink"].as_str().unwrap_or_default().to_owned();
                let sum = sums.entry((period.of(run.started), run.pipeline.clone(), name)).or_default();
                sum.runs += 1;
                for (count, name) in sum.counts.iter_mut().zip(COUNTERS) {
                    *count += sink[name].as_u64().unwrap_or_default();
                }
            }
        }
        Self(sums)
    }

    /// `[{"period", "pipeline", "sink", "runs", …}]`, the newest period first.
    pub(crate) fn json(&self) -> Value {
        let one = |((period, pipeline, sink), volume): (&Route, &Volume)| {
            let mut record = json!({ "period": period, "pipeline": pipeline, "sink": sink, "runs": volume.runs });
            for (name, count) in COUNTERS.iter().zip(volume.counts) {
                record[*name] = count.into();
            }
            record
        };
        self.newest().map(one).collect()
    }

    /// As a table, the newest period first.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::of(&["period", "pipeline", "sink", ">runs"]);
        for name in COUNTERS {
            table.column(name, true);
        }
        for ((period, pipeline, sink), volume) in self.newest() {
            let names = [period.clone(), pipeline.clone(), sink.clone(), grouped(volume.runs)];
            let counts = volume.counts.iter().map(|count| grouped(*count));
            table.cells(names.into_iter().chain(counts).map(Some).collect());
        }
        table
    }

    fn newest(&self) -> impl Iterator<Item = (&Route, &Volume)> {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by(|((one, a, b), _), ((other, c, d), _)| other.cmp(one).then((a, b).cmp(&(c, d))));
        all.into_iter()
    }
}

impl Period {
    fn of(self, moment: DateTime<Utc>) -> String {
        let format = match self {
            Self::Hour => "%Y-%m-%d %H:00",
            Self::Day => "%Y-%m-%d",
            Self::Month => "%Y-%m",
            Self::Year => "%Y",
        };
        moment.with_timezone(&Local).format(format).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_by_period_pipeline_and_sink_and_plans_count_for_nothing() {
        let run = |kind: &str, started: &str, sent: u64| RunRecord {
            id: String::new(),
            pipeline: "offers".to_owned(),
            kind: kind.to_owned(),
            status: "done".to_owned(),
            started: started.parse().unwrap(),
            finished: None,
            report: Some(json!({ "sinks": [{ "sink": "shop", "sent": sent, "read": 10 }] }).to_string()),
        };
        let runs = [
            run("run", "2026-10-15T12:00:00Z", 3),
            run("run", "2026-10-16T12:00:00Z", 4),
            run("plan", "2026-10-16T12:00:00Z", 100),
            run("run", "2026-11-16T12:00:00Z", 5),
        ];
        let months = Volumes::of(&runs, Period::Month).json();
        let told: Vec<_> = months
            .as_array()
            .unwrap()
            .iter()
            .map(|month| (month["period"].as_str().unwrap(), month["runs"].as_u64(), month["sent"].as_u64()))
            .collect();
        assert_eq!(told, [("2026-11", Some(1), Some(5)), ("2026-10", Some(2), Some(7))]);
        assert_eq!(Volumes::of(&runs, Period::Day).json().as_array().unwrap().len(), 3);
    }
}
