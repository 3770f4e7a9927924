//! Changes as files.

mod load;
mod package;
mod table;

use crate::folder::{Folder, check_entity, last};
use crate::settings::{Settings, as_error, check_format, decode_format, place, split_format};
use arrow::datatypes::DataType;
use async_trait::async_trait;
use obmen_diagnostics::{Problems, code};
use obmen_formats::commerceml::{Layout, PackageSettings, check_target};
use obmen_formats::{Format, Kind, csv};
use obmen_sdk::{
    Context, Error, ErrorKind, Load, LoadId, Operations, Repetition, Result, Sink, SinkAbilities, SinkCheck,
    SinkTarget, Stop, TargetAbilities,
};
use obmen_storage::Scheme;
use std::sync::Arc;

/// The column before all others in CSV and Parquet.
const OP: &str = "op";

/// How a target is written.
#[derive(Clone, Debug)]
struct Target {
    of: SinkTarget,
    format: Format,
    kind: Kind,
}

/// Files of changes in a folder.
#[derive(Debug)]
struct FileSink {
    folder: Folder,
    targets: Arc<Vec<Target>>,
    abilities: SinkAbilities,
    stop: Stop,
}

/// CommerceML packages in a folder.
#[derive(Debug)]
struct PackageSink {
    folder: Folder,
    layout: Arc<Layout>,
    settings: PackageSettings,
    abilities: SinkAbilities,
    stop: Stop,
}

/// Reports what is wrong with a sink: entity, options, children a format does not have.
pub(crate) fn check(connection: &Settings, target: &SinkCheck<'_>, problems: &mut Problems) {
    if matches!(Scheme::of(&connection.path), Ok(Some(Scheme::Http))) {
        let message = "the connection is a web server, whose files can only be read";
        problems.error(code::INVALID_SETTING, target.span, message).help("write to a folder or an object store");
    }
    let (own, rest) = split_format(target.options);
    let Some(format) = decode_format(&own, problems) else { return };
    let format = format.or(&connection.format);
    check_format(&format, &own, target.span, problems);
    if format.format == Some(Kind::Commerceml) {
        check_target(&SinkCheck { options: &rest, ..*target }, problems);
        return;
    }
    decode_format(&rest, problems);
    if let Err(message) = check_name(target.entity) {
        problems.error(code::UNKNOWN_ENTITY, target.span, message).help("write the name the files are to begin with");
    }
    let span =
        if own.as_map().is_some_and(|map| map.entries.is_empty()) { target.span } else { place(&own, target.options) };
    match kind(&format, target.entity) {
        Kind::Json => {
            let message = "a sink cannot write `json`: a list has no end until the last row is known";
            problems.error(code::INVALID_SETTING, span, message).help("write `format: jsonl`");
        }
        Kind::Csv if !target.children.is_empty() => {
            let message =
                format!("CSV has no nested parts, but the sink has the child `{}`", target.children.join("`, `"));
            let help = "write `format: jsonl` or `parquet`, or give the parts a sink of their own";
            problems.error(code::INVALID_SETTING, span, message).help(help);
        }
        Kind::Csv | Kind::Parquet
            if target.columns.is_some_and(|columns| columns.iter().any(|column| column == OP)) =>
        {
            let message = "the relation has a column `op`, which is the name of the column with the operation";
            problems.error(code::INVALID_SETTING, target.span, message).help("rename it in the step before");
        }
        _ => {}
    }
}

/// Opens the sink of a bundle: files, or a package, not both.
///
/// # Errors
/// `Unsupported` for what a format does not have; `SchemaMismatch` for what CommerceML does not have.
pub(crate) fn open(
    folder: &Folder,
    settings: &Settings,
    context: &Context,
    targets: Vec<SinkTarget>,
) -> Result<Arc<dyn Sink>> {
    folder.writable()?;
    let mut all = Vec::with_capacity(targets.len());
    for target in targets {
        let mut problems = Problems::new();
        let (own, _) = split_format(&target.options);
        let format = decode_format(&own, &mut problems).ok_or_else(|| as_error(&problems))?.or(&settings.format);
        let kind = kind(&format, &target.entity);
        all.push(Target { of: target, format, kind });
    }
    let (stop, folder) = (context.stop.clone(), folder.clone());
    let packages = all.iter().filter(|target| target.kind == Kind::Commerceml).count();
    if packages == 0 {
        let abilities = all.iter().map(Target::abilities).collect::<Result<Vec<_>>>()?;
        let abilities = abilities_of(abilities, (0..all.len()).collect(), settings);
        return Ok(Arc::new(FileSink { folder, targets: Arc::new(all), abilities, stop }));
    }
    if packages < all.len() {
        let message =
            "some sinks of the connection write CommerceML and some do not; give them connections of their own";
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let mut targets: Vec<SinkTarget> = all.into_iter().map(|target| target.of).collect();
    for target in &mut targets {
        (_, target.options) = split_format(&target.options);
    }
    let layout = Arc::new(Layout::of(&targets)?);
    let abilities = abilities_of(layout.abilities(), layout.order(), settings);
    let settings = PackageSettings::new(context.now.naive_utc());
    Ok(Arc::new(PackageSink { folder, layout, settings, abilities, stop }))
}

#[async_trait]
impl Sink for FileSink {
    fn abilities(&self) -> SinkAbilities {
        self.abilities.clone()
    }

    async fn begin(&self, load: &LoadId) -> Result<Box<dyn Load>> {
        prepare(&self.folder, &self.stop).await?;
        Ok(Box::new(load::FileLoad::new(self.folder.clone(), Arc::clone(&self.targets), load, self.stop.clone())))
    }
}

#[async_trait]
impl Sink for PackageSink {
    fn abilities(&self) -> SinkAbilities {
        self.abilities.clone()
    }

    async fn begin(&self, load: &LoadId) -> Result<Box<dyn Load>> {
        prepare(&self.folder, &self.stop).await?;
        let folder = self.folder.clone();
        Ok(Box::new(package::PackageLoad::begin(folder, &self.layout, &self.settings, load, self.stop.clone())?))
    }
}

impl Target {
    fn abilities(&self) -> Result<TargetAbilities> {
        let name = &self.of.name;
        check_name(&self.of.entity).map_err(|message| Error::invalid_data(message).with("sink", name))?;
        let unsupported = |message: &'static str| Err(Error::new(ErrorKind::Unsupported, message).with("sink", name));
        let is_nested =
            |kind: &DataType| matches!(kind, DataType::List(_) | DataType::LargeList(_) | DataType::Struct(_));
        let schema = &self.of.schema;
        match self.kind {
            Kind::Json => return unsupported("a sink cannot write `json`; write `format: jsonl`"),
            Kind::Csv if schema.fields().iter().any(|field| is_nested(field.data_type())) => {
                return unsupported("CSV has no nested parts; write `format: jsonl` or `parquet`");
            }
            Kind::Csv | Kind::Parquet if schema.index_of(OP).is_ok() => {
                return unsupported("a column called `op` would hide the operation; rename it in the step before");
            }
            _ => {}
        }
        let operations = Operations { mark: true, delete: true, children: self.kind != Kind::Csv };
        Ok(TargetAbilities { operations, whole: false })
    }

    /// How CSV of this target is written.
    fn csv(&self) -> csv::CsvStyle {
        self.format.csv(&self.of.entity)
    }
}

/// Makes the folder of a sink ready.
async fn prepare(folder: &Folder, stop: &Stop) -> Result<()> {
    if stop.is_set() {
        return Err(Error::new(ErrorKind::Cancelled, "stopped before the load began"));
    }
    let folder = folder.clone();
    crate::blocking(move || folder.prepare()).await
}

fn abilities_of(targets: Vec<TargetAbilities>, order: Vec<usize>, settings: &Settings) -> SinkAbilities {
    let (portion_rows, repetition) = (settings.portion_rows, Repetition::Harmless);
    SinkAbilities { targets, order, portion_rows, repetition, exclusive: false, find: false }
}

/// What was said, else what the entity's extension says, else JSON lines.
fn kind(format: &Format, entity: &str) -> Kind {
    format.format.or_else(|| Kind::of_name(entity)).unwrap_or(Kind::Jsonl)
}

fn check_name(entity: &str) -> Result<(), String> {
    check_entity(entity)?;
    if entity.contains(['*', '?', ':', '"', '<', '>', '|']) || last(entity).starts_with('.') {
        return Err(format!(
            "`{entity}` cannot be a file's name everywhere: leave out `* ? : \" < > |` and a leading point"
        ));
    }
    Ok(())
}

/// The part of a load's name that can stand in a file's name.
fn file_name(load: &LoadId) -> String {
    let keep = |mark: char| if mark.is_alphanumeric() || matches!(mark, '-' | '_' | '.') { mark } else { '_' };
    load.0.chars().map(keep).collect()
}
