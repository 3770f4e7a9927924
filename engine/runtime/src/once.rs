//! Steps that several readers need are computed once: their rows go to a scratch place and take the step's place.

use crate::compile;
use crate::land::keep;
use crate::sql::{Query, Sql};
use crate::state::State;
use crate::table::Baseline;
use crate::target::Target;
use futures::TryStreamExt;
use obmen_sdk::Result;
use obmen_spec::pipeline::Pipeline;
use std::collections::BTreeMap;
use std::path::Path;

/// Computes the costly steps that are read more than once for these targets, in an order in which each finds what it reads.
///
/// # Errors
/// Those of SQL and of the disk.
pub(crate) async fn compute(
    sql: &mut Sql,
    pipeline: &Pipeline,
    targets: &[&Target],
    state: &State,
    (budget, work): (usize, &Path),
) -> Result<()> {
    let readers = readers(pipeline, targets, state)?;
    let wanted = |name: &str| readers.get(name).is_some_and(|readers| *readers > 1);
    for name in compile::steps_in_order(pipeline) {
        if !wanted(name) || !sql.is_costly(name) {
            continue;
        }
        let mut rows = sql.stream(Query { relation: name.to_owned(), ..Query::default() }).await?;
        let file = work.join(format!("{name}.step"));
        let mut place = keep(budget, &file);
        while let Some(batch) = rows.try_next().await? {
            place.add(batch)?;
        }
        sql.replace(name, place.rows()?.for_sql())?;
    }
    Ok(())
}

/// How often each step is read. A sink whose baseline is not empty reads twice: what is compared, and the values of what differs.
fn readers(pipeline: &Pipeline, targets: &[&Target], state: &State) -> Result<BTreeMap<String, usize>> {
    let mut readers: BTreeMap<String, usize> = BTreeMap::new();
    for target in targets {
        let times = if Baseline::open(state, target.scope)?.is_empty() { 1 } else { 2 };
        let relations = std::iter::once(&target.from).chain(target.children.iter().map(|child| &child.from));
        for relation in relations {
            *readers.entry(relation.clone()).or_default() += times;
        }
    }
    for (check, _) in compile::other_checks(pipeline) {
        *readers.entry(check.of.value.clone()).or_default() += 1;
    }
    // from the last step to the first: what reads is known before what is read
    for name in compile::steps_in_order(pipeline).into_iter().rev() {
        let times = readers.get(name).copied().unwrap_or_default();
        for read in compile::read_by(pipeline, name) {
            *readers.entry(read).or_default() += times;
        }
    }
    Ok(readers)
}
