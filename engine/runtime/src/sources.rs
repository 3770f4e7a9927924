//! The sources of a run: opened, read once each, those that bring only changes kept whole by their mirrors.

use crate::diff::About;
use crate::follow::{Complete, Furthest, Start, Way};
use crate::land::{Landed, LandedRows, land};
use crate::mirror::{Mirror, Reading, Written as Taken};
use crate::plan_file::{PlanRow, Why};
use crate::progress::Event;
use crate::report::{RunReport, SourceReport, Status};
use crate::run::{Engine, RunOptions};
use crate::sql::Sql;
use crate::state::{ScopeId, State};
use crate::vars::Vars;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};
use obmen_sdk::{BadRow, Error, Filter, Op, Result, Scan, Source, SourceTarget};
use obmen_spec::pipeline::{Changes, ChangesKind, OnBadRow, Pipeline, Source as Written};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Keys that are asked for at a time, where only keys and versions were read before.
const KEYS_AT_A_TIME: usize = 1000;

/// What sources brought.
#[derive(Default)]
pub(crate) struct Read {
    /// What must not happen because of it.
    pub(crate) brake: Brake,
    /// Each source that was read.
    pub(crate) sources: Vec<SourceRead>,
}

/// A source that was read.
pub(crate) struct SourceRead {
    pub(crate) name: String,
    pub(crate) schema: SchemaRef,
    pub(crate) key: Vec<String>,
    pub(crate) rows: RowsRead,
}

/// Where the rows of a source are.
pub(crate) enum RowsRead {
    /// All of them came in this run.
    Landed(LandedRows),
    /// In the mirror of this scope.
    Mirrored(ScopeId),
}

/// A source of this run.
struct Opened {
    name: String,
    source: Arc<dyn Source>,
    kind: ChangesKind,
    key: Vec<String>,
    stop_on_bad: bool,
    may_be_empty: bool,
    followed: Option<Followed>,
}

/// A source that brings only changes, and where its reading starts.
struct Followed {
    scope: ScopeId,
    way: Way,
    position: Option<Vec<u8>>,
    start: Start,
}

/// What a run reads with.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) state: &'a State,
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) vars: &'a Vars,
    pub(crate) options: &'a RunOptions,
    pub(crate) work: &'a Path,
    pub(crate) now: DateTime<Utc>,
}

impl Engine<'_> {
    /// Reads every source that is used into the session.
    ///
    /// # Errors
    /// Those of the sources and of the disk.
    pub(crate) async fn read_sources(
        &self,
        reader: Reader<'_>,
        used: &BTreeSet<String>,
        sql: &mut Sql,
        report: &mut RunReport,
    ) -> Result<Read> {
        let mut read = Read::default();
        let sources = self.open_sources(reader, used).await?;
        let budget = self.workspace.memory() / 16 / sources.len().max(1);
        let reads = sources.iter().map(|opened| self.read_source(opened, budget, reader.work));
        let landed = futures::future::try_join_all(reads).await?;
        for (opened, landed) in sources.iter().zip(landed) {
            if landed.bad_count > 0 && opened.stop_on_bad {
                report.sources.push(source_report(opened, &landed, landed.count));
                report.status = Status::Failed;
                return Err(bad_rows_error(opened, &landed));
            }
            read.brake.look_at(reader.state, reader.pipeline, opened, &landed, report)?;
            let schema = opened.source.schema();
            let (rows, for_sql, changes) = match &opened.followed {
                None => (RowsRead::Landed(landed.rows.clone()), landed.rows.for_sql(), landed.count),
                Some(followed) => {
                    let changes = self.follow(reader, opened, followed, &landed, report).await?;
                    let mirror = opened.mirror(reader.state, followed);
                    (RowsRead::Mirrored(followed.scope), mirror.rows()?, changes)
                }
            };
            sql.add_source(&opened.name, Arc::clone(&schema), &opened.key, for_sql)?;
            report.sources.push(source_report(opened, &landed, changes));
            read.sources.push(SourceRead { name: opened.name.clone(), schema, key: opened.key.clone(), rows });
        }
        Ok(read)
    }

    /// Takes what a source brought into its mirror, and tells the source. Gives how many rows changed.
    async fn follow(
        &self,
        reader: Reader<'_>,
        opened: &Opened,
        followed: &Followed,
        landed: &Landed,
        report: &mut RunReport,
    ) -> Result<u64> {
        let bad = landed.bad_count > 0;
        let reading = Reading {
            rows: &landed.rows,
            about: About::Everything,
            condition: None,
            deletes_suspended: (bad || !landed.exact).then(|| format!("source `{}` was not read whole", opened.name)),
            position: position(opened, followed, landed, report)?,
        };
        let mirror = opened.mirror(reader.state, followed);
        let options = self.sql_options(reader.work, reader.now);
        let written = match (&followed.way, &followed.start.complete) {
            (Way::Version(mark), complete) => {
                let columns: Vec<String> = opened.key.iter().cloned().chain([mark.column.value.clone()]).collect();
                let versions = mirror.narrow(&columns)?;
                if matches!(complete, Complete::Nothing) {
                    self.follow_versions(reader, opened, (&mirror, &versions), reading).await?
                } else {
                    let written = mirror.update(reading.clone(), options.clone()).await?;
                    let projected = landed.rows.project(&columns, reader.work, &opened.name)?;
                    versions.update(Reading { rows: &projected, ..reading }, options).await?;
                    written
                }
            }
            (_, Complete::Nothing) => mirror.update(Reading { about: About::Present, ..reading }, options).await?,
            (_, Complete::Everything) => mirror.update(reading, options).await?,
            (_, Complete::Where(condition)) => {
                let reading = Reading { condition: Some(condition.clone()), ..reading };
                self.follow_window(reader, opened, &mirror, reading).await?
            }
        };
        if let Some(cursor) = &landed.cursor {
            opened.source.confirm(cursor).await?;
        }
        if written.keyless > 0 {
            let without = rows(written.keyless);
            report.notes.push(format!("{without} of source `{}` have no key and are left out", opened.name));
        }
        // of an inbox the later file is meant to win
        if written.repeated > 0 && !matches!(followed.way, Way::Inbox) {
            let again = rows(written.repeated);
            report.notes.push(format!(
                "{again} of source `{}` came with a key that stands in a later row too: the last one counts",
                opened.name
            ));
        }
        Ok(written.changes)
    }

    /// Fetches the rows whose versions differ.
    async fn follow_versions(
        &self,
        reader: Reader<'_>,
        opened: &Opened,
        (mirror, versions): (&Mirror<'_>, &Mirror<'_>),
        reading: Reading<'_>,
    ) -> Result<Taken> {
        let options = self.sql_options(reader.work, reader.now);
        let seen = versions.compare(reading.clone(), options.clone()).await?;
        let (keys, hashes) = seen.keys(reader.state, &opened.key, |_| true)?;
        let fetched = self.fetch(opened, keys, reader).await?;
        let about = About::Keys { keys: Arc::new(hashes), known: 0 };
        let changes = mirror.update(Reading { rows: &fetched, about, ..reading }, options).await?.changes;
        let written = seen.written.with(changes);
        versions.keep(seen)?;
        Ok(written)
    }

    /// Takes the rows of a window. What is missing among them is gone, unless it is there by its key: then it moved out.
    async fn follow_window(
        &self,
        reader: Reader<'_>,
        opened: &Opened,
        mirror: &Mirror<'_>,
        reading: Reading<'_>,
    ) -> Result<Taken> {
        let options = self.sql_options(reader.work, reader.now);
        let seen = mirror.compare(reading.clone(), options.clone()).await?;
        let is_gone = |row: &PlanRow| row.op == Op::Delete && row.why == Why::Due;
        let (keys, _) = seen.keys(reader.state, &opened.key, is_gone)?;
        let moved = self.fetch(opened, keys, reader).await?;
        if moved.is_empty()? {
            return mirror.keep(seen);
        }
        // once it is kept where they are now, they are not looked for in the window
        seen.discard(reader.state)?;
        let outside = Reading { rows: &moved, about: About::Present, condition: None, ..reading.clone() };
        let changes = mirror.update(outside, options.clone()).await?.changes;
        let written = mirror.update(reading, options).await?;
        Ok(written.with(written.changes + changes))
    }

    /// Rows by their keys, some at a time.
    async fn fetch(&self, opened: &Opened, keys: Vec<RecordBatch>, reader: Reader<'_>) -> Result<LandedRows> {
        let mut all = Vec::new();
        for keys in keys {
            for first in (0..keys.num_rows()).step_by(KEYS_AT_A_TIME) {
                let some = keys.slice(first, KEYS_AT_A_TIME.min(keys.num_rows() - first));
                let scan = Scan { filter: vec![Filter::OneOf(some)], ..Scan::default() };
                let file = reader.work.join(format!("{}-{}.fetched", opened.name, all.len()));
                let budget = self.workspace.memory() / 64;
                let landed = land(opened.source.as_ref(), scan, budget, &file, &self.stop, |_| {})
                    .await
                    .map_err(|error| error.with("source", &opened.name))?;
                // a row that cannot be read is not one that is gone
                if landed.bad_count > 0 {
                    return Err(bad_rows_error(opened, &landed));
                }
                all.push(landed.rows);
            }
        }
        let mut batches = Vec::new();
        for rows in &all {
            for batch in rows.batches()? {
                batches.push(batch?);
            }
        }
        Ok(LandedRows::Memory(batches))
    }

    async fn read_source(&self, opened: &Opened, budget: usize, work: &Path) -> Result<Landed> {
        let file = work.join(format!("{}.landed", opened.name));
        let progress = |rows| self.progress.event(Event::Reading { source: opened.name.clone(), rows });
        let landed = land(opened.source.as_ref(), opened.scan()?, budget, &file, &self.stop, progress)
            .await
            .map_err(|error| error.with("source", &opened.name))?;
        self.progress.event(Event::Read { source: opened.name.clone(), rows: landed.count });
        Ok(landed)
    }

    async fn open_sources(&self, reader: Reader<'_>, used: &BTreeSet<String>) -> Result<Vec<Opened>> {
        let mut opened = Vec::new();
        for (name, source) in reader.pipeline.sources.iter().filter(|(name, _)| used.contains(&name.value)) {
            opened.push(self.open_source(reader, name, source).await?);
        }
        Ok(opened)
    }

    async fn open_source(&self, reader: Reader<'_>, name: &str, source: &Written) -> Result<Opened> {
        let connection = self.connections.open(&source.connection)?;
        let over = self.profile.1.connections.get(&source.connection).and_then(|settings| settings.changes.as_ref());
        let changes = over.or(source.changes.as_ref());
        let inbox =
            changes.filter(|changes| changes.kind == ChangesKind::Inbox).map(|changes| changes.settings.clone());
        let entity = reader.vars.replace(&source.entity);
        let key: Vec<String> = source.key.iter().map(|key| key.value.clone()).collect();
        let target = SourceTarget {
            name: name.to_owned(),
            entity: entity.clone(),
            columns: source.columns.as_deref().map(obmen_sdk::types::arrow_schema),
            key: key.clone(),
            inbox,
            options: reader.vars.replace_in(&source.options),
        };
        let open = connection.source(target).await.map_err(|error| error.with("source", name))?;
        let identity = format!("{}#{entity}", connection.identity());
        Ok(Opened {
            followed: followed(reader, changes, &key, (&entity, &identity), open.as_ref())?,
            name: name.to_owned(),
            source: open,
            kind: changes.map_or(ChangesKind::Full, |changes| changes.kind),
            key,
            stop_on_bad: source.on_bad_row.as_ref().is_none_or(|word| word.value == OnBadRow::Stop),
            may_be_empty: source.may_be_empty,
        })
    }
}

/// How far a source is read now.
fn position(opened: &Opened, followed: &Followed, landed: &Landed, report: &mut RunReport) -> Result<Option<Vec<u8>>> {
    let mark = match &followed.way {
        // rows that could not be read come again
        _ if landed.bad_count > 0 => return Ok(followed.position.clone()),
        Way::Inbox => return Ok(None),
        Way::Version(_) | Way::Window(_) => return Ok(Some(Vec::new())),
        Way::Cursor(mark) => mark,
    };
    let mut furthest = Furthest::new(mark, &opened.source.schema(), followed.position.as_deref())?;
    for batch in landed.rows.batches()? {
        furthest.add(&batch?)?;
    }
    if furthest.without > 0 {
        report.notes.push(format!(
            "{} of source `{}` have no `{}`: when they change, nobody will notice",
            rows(furthest.without),
            opened.name,
            mark.column
        ));
    }
    furthest.position()
}

/// Where the reading of a source that brings only changes starts.
fn followed(
    reader: Reader<'_>,
    changes: Option<&Changes>,
    key: &[String],
    (entity, identity): (&str, &str),
    source: &dyn Source,
) -> Result<Option<Followed>> {
    let Some(way) = Way::of(changes) else { return Ok(None) };
    let schema = source.schema();
    let scope = reader.state.scope("", entity, &format!("{identity}{}", way.identity(&schema, key)))?;
    let position = reader.state.mirror(scope)?.position.filter(|_| !reader.options.reread);
    let start = match (&way, &position) {
        (Way::Inbox, _) | (Way::Version(_), Some(_)) => Start { filter: Vec::new(), complete: Complete::Nothing },
        (_, None) => Start::everything(),
        (Way::Cursor(mark), Some(position)) => Start::after(mark, position)?,
        (Way::Window(mark), Some(_)) => Start::window(mark, &schema, reader.now)?,
    };
    Ok(Some(Followed { scope, way, position, start }))
}

impl Opened {
    fn mirror<'m>(&'m self, state: &'m State, followed: &Followed) -> Mirror<'m> {
        Mirror { state, scope: followed.scope, name: &self.name, key: &self.key, schema: self.source.schema() }
    }

    /// What to ask the source for.
    fn scan(&self) -> Result<Scan> {
        let Some(Followed { way, start, .. }) = &self.followed else { return Ok(Scan::default()) };
        let columns = match (way, &start.complete) {
            (Way::Version(mark), Complete::Nothing) => {
                let names = self.key.iter().chain([&mark.column.value]);
                let schema = self.source.schema();
                Some(names.map(|name| Ok(schema.index_of(name)?)).collect::<Result<Vec<_>>>()?)
            }
            _ => None,
        };
        Ok(Scan { columns, filter: start.filter.clone(), ..Scan::default() })
    }
}

/// What must not happen because of what the sources brought.
#[derive(Clone, Debug, Default)]
pub(crate) struct Brake {
    pub(crate) deletes_suspended: Option<String>,
    pub(crate) empty_sources: Vec<String>,
}

impl Brake {
    fn look_at(
        &mut self,
        state: &State,
        pipeline: &Pipeline,
        opened: &Opened,
        landed: &Landed,
        report: &mut RunReport,
    ) -> Result<()> {
        let name = &opened.name;
        if opened.followed.is_some() {
            return Ok(());
        }
        let reason = if landed.bad_count > 0 {
            Some(format!("{} of source `{name}` could not be read", rows(landed.bad_count)))
        } else if !landed.exact {
            Some(format!("source `{name}` was read in pages and is no snapshot"))
        } else {
            None
        };
        if let Some(reason) = reason {
            report.notes.push(format!("nothing is deleted in this run: {reason}"));
            self.deletes_suspended.get_or_insert(reason);
        }
        let before = state.source_rows(&pipeline.pipeline, name)?;
        if landed.count == 0 && !opened.may_be_empty && before.is_some_and(|rows| rows > 0) {
            self.empty_sources.push(format!("`{name}`"));
        }
        Ok(())
    }
}

fn source_report(opened: &Opened, landed: &Landed, changes: u64) -> SourceReport {
    SourceReport {
        source: opened.name.clone(),
        rows: landed.count,
        mode: format!("{:?}", opened.kind).to_lowercase(),
        changes,
        bad: landed.bad_count,
        bad_rows: landed.bad.iter().map(bad_row).collect(),
    }
}

fn rows(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

fn bad_row(row: &BadRow) -> String {
    match &row.column {
        Some(column) => format!("{}: {column}: {}", row.place, row.reason),
        None => format!("{}: {}", row.place, row.reason),
    }
}

fn bad_rows_error(opened: &Opened, landed: &Landed) -> Error {
    let first = landed.bad.first().map(bad_row).unwrap_or_default();
    let message = format!(
        "{} of source `{}` cannot be read, the first: {first}. Nothing was sent; mend that, or set `on_bad_row: reject`",
        rows(landed.bad_count),
        opened.name
    );
    Error::invalid_data(message)
}
