//! `type: void`: a sink that takes every change at once and forgets it. For measuring, and for trying the
//! reading half of a pipeline before there is another side.

use async_trait::async_trait;
use obmen_diagnostics::{Problems, code};
use obmen_sdk::{
    Changes, Connection, Connector, Context, Error, ErrorKind, Load, LoadId, Operations, Outcome, Repetition, Result,
    RowId, Schemas, Sink, SinkAbilities, SinkCheck, SinkTarget, Source, SourceTarget, TargetAbilities,
};
use obmen_spec::{Node, Value};
use std::sync::Arc;

/// Rows a load carries.
const PORTION_ROWS: usize = 100_000;

/// The connector.
#[derive(Clone, Copy, Debug, Default)]
pub struct Void;

impl Connector for Void {
    fn name(&self) -> &'static str {
        "void"
    }

    fn about(&self) -> &'static str {
        "Takes every change and forgets it, for measuring and for trying a pipeline before there is another side. \
         What it took counts as delivered: give it a profile of its own."
    }

    fn schemas(&self) -> Schemas {
        let nothing = || Some(schemars::json_schema!({ "type": "object" }));
        Schemas { connection: nothing(), source: None, sink: nothing() }
    }

    fn check(&self, settings: &Node, problems: &mut Problems) {
        refuse_settings(settings, "a `void` connection", problems);
    }

    fn check_source(&self, settings: &Node, _entity: &str, _options: &Node, problems: &mut Problems) {
        problems
            .error(code::INVALID_SETTING, settings.span, "a `void` connection has nothing to read")
            .help("read through another connection");
    }

    fn check_sink(&self, _settings: &Node, target: &SinkCheck<'_>, problems: &mut Problems) {
        refuse_settings(target.options, "a sink of a `void` connection", problems);
    }

    fn open(&self, _settings: &Node, _context: &Context) -> Result<Arc<dyn Connection>> {
        Ok(Arc::new(Nowhere))
    }
}

fn refuse_settings(node: &Node, whose: &str, problems: &mut Problems) {
    let Value::Map(map) = &node.value else { return };
    for (name, _) in &map.entries {
        let message = format!("{whose} has no setting `{}`", name.value);
        problems.error(code::UNKNOWN_FIELD, name.span, message).help("remove it");
    }
}

/// Where everything goes.
#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl Connection for Nowhere {
    fn identity(&self) -> String {
        "void:".to_owned()
    }

    async fn check(&self) -> Result<String> {
        Ok("takes everything".to_owned())
    }

    async fn entities(&self) -> Result<Vec<String>> {
        Err(Error::new(ErrorKind::Unsupported, "a `void` connection has nothing to read"))
    }

    async fn source(&self, _target: SourceTarget) -> Result<Arc<dyn Source>> {
        Err(Error::new(ErrorKind::Unsupported, "a `void` connection has nothing to read"))
    }

    async fn sink(&self, targets: Vec<SinkTarget>) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(Taker { targets: targets.len() }))
    }
}

#[derive(Debug)]
struct Taker {
    targets: usize,
}

#[async_trait]
impl Sink for Taker {
    fn abilities(&self) -> SinkAbilities {
        let operations = Operations { mark: true, delete: true, children: true };
        SinkAbilities {
            targets: vec![TargetAbilities { operations, whole: false }; self.targets],
            order: (0..self.targets).collect(),
            portion_rows: PORTION_ROWS,
            repetition: Repetition::Harmless,
            exclusive: false,
            find: false,
        }
    }

    async fn begin(&self, _load: &LoadId) -> Result<Box<dyn Load>> {
        Ok(Box::new(Taking))
    }
}

struct Taking;

#[async_trait]
impl Load for Taking {
    async fn send(&mut self, changes: &Changes) -> Result<Vec<(RowId, Outcome)>> {
        Ok(changes.ids.iter().map(|id| (*id, Outcome::acked())).collect())
    }

    async fn finish(self: Box<Self>) -> Result<Vec<(RowId, Outcome)>> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::RecordBatch;
    use arrow::datatypes::Schema;
    use obmen_sdk::Op;

    #[tokio::test]
    async fn every_row_is_acked_at_once() {
        let sink = Nowhere.sink(Vec::new()).await.unwrap();
        let mut load = sink.begin(&LoadId("l".to_owned())).await.unwrap();
        let nothing = || RecordBatch::new_empty(Arc::new(Schema::empty()));
        let changes = Changes {
            target: 0,
            ids: vec![RowId(1), RowId(2)],
            ops: vec![Op::Create, Op::Delete],
            rows: nothing(),
            old: nothing(),
            unchanged: None,
        };
        let settled = load.send(&changes).await.unwrap();
        assert_eq!(settled, [(RowId(1), Outcome::acked()), (RowId(2), Outcome::acked())]);
        assert!(load.finish().await.unwrap().is_empty());
    }
}
