//! Reports of runs.

use serde_json::Value;

/// The part of a report about a sink.
pub(crate) fn sink<'r>(report: &'r Value, name: &str) -> &'r Value {
    let sinks = report["sinks"].as_array().unwrap_or_else(|| panic!("no sinks in {report:#}"));
    sinks.iter().find(|sink| sink["sink"] == name).unwrap_or_else(|| panic!("no sink {name} in {report:#}"))
}

/// A counter of a sink.
pub(crate) fn count(report: &Value, name: &str, counter: &str) -> u64 {
    let sink = sink(report, name);
    sink[counter].as_u64().unwrap_or_else(|| panic!("no counter {counter} in {sink:#}"))
}

/// Every key is counted once, whatever became of it.
pub(crate) fn counters_balance(report: &Value) {
    for sink in report["sinks"].as_array().unwrap_or(&Vec::new()) {
        let of = |counter: &str| sink[counter].as_u64().unwrap_or_else(|| panic!("no {counter} in {sink:#}"));
        let reasons: u64 = sink["held_by"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!(of("read"), of("unchanged") + of("invalid") + of("held") + of("due"), "{sink:#}");
        assert_eq!(of("due"), of("sent") + of("pending"), "{sink:#}");
        assert_eq!(of("sent"), of("acked") + of("accepted") + of("rejected") + of("unknown"), "{sink:#}");
        assert_eq!(of("held"), reasons, "{sink:#}");
        assert_eq!(of("due"), of("creates") + of("updates") + of("deletes"), "{sink:#}");
    }
}
