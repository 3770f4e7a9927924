//! What people do to state: adopt, assume, verify, forget, retry, and ask why.

mod adopt;
mod explain;
mod known;

pub use adopt::AdoptReport;
pub use explain::Explanation;
pub use known::{drop, forget, retry, show};

use obmen_sdk::{Error, ErrorKind};
use obmen_spec::pipeline::Pipeline;

fn no_sink(pipeline: &Pipeline, sink: &str) -> Error {
    let known: Vec<&str> = pipeline.sinks.names().collect();
    let message = format!("pipeline `{}` has no sink `{sink}`, only: {}", pipeline.pipeline, known.join(", "));
    Error::new(ErrorKind::NotFound, message).with("setting", "sink")
}
