//! Everything that can be found wrong without touching the world: texts, references, SQL, settings.

use crate::compile;
use crate::schemas_lock::SchemasLock;
use crate::segments::Segments;
use crate::sql::{Options, Rows, Sql};
use crate::vars::Vars;
use crate::workspace::{PipelineFile, Workspace};
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use obmen_diagnostics::{Problems, code};
use obmen_sdk::{Context, ErrorKind, Registry, Secrets, SinkCheck, SourceTarget, Stop, types};
use obmen_spec::check;
use obmen_spec::pipeline::{Otherwise, Pipeline, Source};
use obmen_spec::project::Profile;
use std::sync::Arc;

/// Checks a project under a profile.
#[derive(Debug)]
pub struct Validator<'a> {
    /// The project.
    pub workspace: &'a Workspace,
    /// The connectors.
    pub registry: &'a Registry,
    /// The profile's name and content.
    pub profile: (&'a str, &'a Profile),
    /// The clock, for `now()` in SQL that is only planned.
    pub now: DateTime<Utc>,
}

impl Validator<'_> {
    /// Everything wrong with the project and all its pipelines, the mistakes of the texts included.
    pub async fn all(&self) -> Problems {
        let mut problems = self.workspace.problems.clone();
        self.project(&mut problems);
        let all = self.readable();
        for file in &self.workspace.pipelines {
            self.pipeline(file, &all, &mut problems).await;
        }
        problems
    }

    /// Everything wrong with the project file and one pipeline: what `run` looks at.
    pub async fn one(&self, file: &PipelineFile) -> Problems {
        let mut problems = Problems::new();
        let project = self.workspace.project_file();
        for found in self.workspace.problems.iter() {
            let place = found.span().map(|span| span.file);
            if place.is_none() || place == Some(file.file) || place == project {
                problems.push(found.clone());
            }
        }
        self.project(&mut problems);
        self.pipeline(file, &self.readable(), &mut problems).await;
        problems
    }

    /// All pipelines that could be read.
    fn readable(&self) -> Vec<Pipeline> {
        self.workspace.pipelines.iter().filter_map(|file| file.pipeline.clone()).collect()
    }

    fn project(&self, problems: &mut Problems) {
        if let Some(project) = &self.workspace.project {
            let connectors: Vec<&str> = self.registry.iter().map(|connector| connector.name()).collect();
            check::project(project, &connectors, problems);
        }
        if let Some(segments) = &self.profile.1.segments {
            Segments::decode(segments, problems);
        }
        for (_, connection) in self.profile.1.connections.iter() {
            if let Some(connector) = self.registry.get(&connection.kind) {
                connector.check(&connection.settings, problems);
            }
        }
    }

    async fn pipeline(&self, file: &PipelineFile, all: &[Pipeline], problems: &mut Problems) {
        let (Some(pipeline), Some(project)) = (&file.pipeline, &self.workspace.project) else { return };
        let connectors: Vec<&str> = self.registry.iter().map(|connector| connector.name()).collect();
        let context = check::Context {
            files: &self.workspace.files,
            project,
            profile: self.profile.0,
            pipelines: all,
            connectors: &connectors,
        };
        check::pipeline(pipeline, &context, problems);
        check::graph(pipeline, &compile::reads(pipeline), problems);
        self.bind(pipeline, problems).await;
    }

    /// Plans all SQL over the declared columns and checks what the sinks get.
    async fn bind(&self, pipeline: &Pipeline, problems: &mut Problems) {
        let options =
            Options { memory: 64 << 20, spill: std::env::temp_dir(), now: self.now, threads: 1, batch_rows: 8192 };
        let Ok(mut sql) = Sql::new(options) else { return };
        let vars = Vars::placeholders(pipeline, self.now);
        for (name, value) in vars.iter() {
            sql.var(name, value.clone());
        }
        for (name, source) in pipeline.sources.iter() {
            self.check_source(source, &vars, problems);
            let key: Vec<String> = source.key.iter().map(|key| key.value.clone()).collect();
            match self.source_schema(pipeline, &name.value, source, problems).await {
                Some(schema) => {
                    if source.columns.is_none() {
                        compile::check_source_columns(&schema, source, name, problems);
                    }
                    if sql.add_source(name, schema, &key, Rows::None).is_err() {
                        sql.add_broken(name);
                    }
                }
                None => sql.add_broken(name),
            }
        }
        for name in pipeline.sources.broken.iter().chain(&pipeline.steps.broken) {
            sql.add_broken(name);
        }
        compile::add_steps(&mut sql, pipeline, problems);
        for (check, _) in compile::other_checks(pipeline) {
            if check.otherwise.value == Otherwise::Reject && sql.schema(&check.of).is_some() {
                let message = format!("check `{}` rejects rows of `{}`, which goes to no sink", check.name, check.of);
                problems
                    .error(code::INVALID_VALUE, check.otherwise.span, message)
                    .help("check the relation of a sink or of its children, or say `warn` or `stop`");
            }
        }
        for (_, sink) in pipeline.sinks.iter() {
            let shape = compile::shape(&sql, sink, problems);
            self.check_sink(sink, shape.as_ref(), problems);
        }
    }

    fn check_source(&self, source: &Source, vars: &Vars, problems: &mut Problems) {
        if let Some(connection) = self.profile.1.connections.get(&source.connection)
            && let Some(connector) = self.registry.get(&connection.kind)
        {
            connector.check_source(
                &connection.settings,
                &vars.replace(&source.entity),
                &vars.replace_in(&source.options),
                problems,
            );
        }
    }

    fn check_sink(&self, sink: &obmen_spec::pipeline::Sink, shape: Option<&compile::Shape>, problems: &mut Problems) {
        if let Some(connection) = self.profile.1.connections.get(&sink.connection)
            && let Some(connector) = self.registry.get(&connection.kind)
        {
            let children: Vec<&str> = sink.children.names().collect();
            let columns: Option<Vec<String>> = shape.map(|shape| {
                let fields = shape.schema.fields().iter().map(|field| field.name().clone());
                fields.filter(|name| !children.contains(&name.as_str())).collect()
            });
            let check = SinkCheck {
                entity: &sink.entity,
                span: sink.entity.span,
                children: &children,
                columns: columns.as_deref(),
                options: &sink.options,
            };
            connector.check_sink(&connection.settings, &check, problems);
        }
    }

    /// The columns of a source: as declared, as remembered by `obmen check`, or as a local file says.
    async fn source_schema(
        &self,
        pipeline: &Pipeline,
        name: &str,
        source: &Source,
        problems: &mut Problems,
    ) -> Option<SchemaRef> {
        if let Some(columns) = &source.columns {
            return Some(types::arrow_schema(columns));
        }
        let connection = self.profile.1.connections.get(&source.connection)?;
        if let Some(schema) = SchemasLock::load(&self.workspace.folder).schema(&source.connection, &source.entity) {
            return Some(schema);
        }
        match self.local_schema(pipeline, name, source, connection).await {
            Ok(schema) => Some(schema),
            Err(error) => {
                let message = format!("the columns of source `{name}` are not known: {error}");
                let diagnostic = problems.error(code::SCHEMA_UNKNOWN, source.entity.span, message);
                diagnostic.help(
                    "declare them under `columns:`, or let `obmen check` ask the other side and write schemas.lock",
                );
                None
            }
        }
    }

    async fn local_schema(
        &self,
        pipeline: &Pipeline,
        name: &str,
        source: &Source,
        connection: &obmen_spec::project::Connection,
    ) -> obmen_sdk::Result<SchemaRef> {
        let connector = self.registry.get(&connection.kind);
        let connector = connector.filter(|connector| connector.is_local(&connection.settings)).ok_or_else(|| {
            obmen_sdk::Error::new(ErrorKind::NotFound, "they are not declared and not in schemas.lock")
        })?;
        let context = Context {
            project: self.workspace.folder.clone(),
            scratch: std::env::temp_dir(),
            now: self.now,
            secrets: Arc::new(NoSecrets),
            stop: Stop::default(),
        };
        let vars = Vars::placeholders(pipeline, self.now);
        let target = SourceTarget {
            name: name.to_owned(),
            entity: vars.replace(&source.entity),
            columns: None,
            key: source.key.iter().map(|key| key.value.clone()).collect(),
            inbox: None,
            options: vars.replace_in(&source.options),
        };
        Ok(connector.open(&connection.settings, &context)?.source(target).await?.schema())
    }
}

/// Validation needs no secrets.
#[derive(Debug)]
struct NoSecrets;

impl Secrets for NoSecrets {
    fn resolve(&self, text: &str) -> obmen_sdk::Result<obmen_sdk::Secret> {
        Ok(obmen_sdk::Secret::new(text))
    }
}
