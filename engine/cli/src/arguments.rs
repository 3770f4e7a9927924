//! What can be said on the command line, beside each command's own words, which stand in its file.

use crate::commands::{
    baseline, check, docs, explain, hold, init, journal, plan, preview, queue, run, runs, sandbox, schema, test,
    validate,
};
use chrono::{DateTime, Utc};
use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// The state folder without `--state`.
pub(crate) const STATE: &str = ".obmen";

/// What is said below the help of the program.
const AFTER: &str = "\
Secrets:
  ${env:NAME}     the environment variable NAME
  ${secret:name}  the variable OBMEN_SECRET_NAME, or else the file `name` in the folder .secrets
                  beside obmen.yaml (OBMEN_SECRETS names another folder)

Exit codes, the first that applies:
  2  wrong command line             5  held: changes wait for a person
  8  state locked or damaged        1  rows rejected, invalid or unknown; tests failed
  3  configuration invalid          4  changes exist (plan --detailed-exitcode)
  6  source unavailable             0  done
  7  sink unavailable             130  interrupted, the next run goes on

First steps:
  obmen init                   a small project that works at once
  obmen validate               is everything written right? Nothing is read or sent
  obmen plan price_changes     what would be sent, old → new
  obmen run price_changes      send it";

/// Moves data between 1C, web shops, billing and others: reads, compares with what the other side has, sends what changed.
#[derive(Debug, Parser)]
#[command(name = "obmen", version, arg_required_else_help = true, after_help = AFTER, max_term_width = 110)]
pub(crate) struct Arguments {
    /// What holds for every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What holds for every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// Folder with `obmen.yaml` [default: ./pipelines, else the current folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,

    /// Profile: which outside systems are meant [default: the project's]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,

    /// Folder of what is remembered between runs, with one folder per profile
    #[arg(long, global = true, value_name = "DIR", default_value = STATE)]
    pub(crate) state: PathBuf,

    /// Value of a var of the pipeline; can be repeated
    #[arg(long = "var", global = true, value_name = "NAME=VALUE", value_parser = parse_var)]
    pub(crate) vars: Vec<(String, String)>,

    /// How results are written to stdout
    #[arg(long, global = true, value_enum, default_value_t, hide_possible_values = true, value_name = "text|json")]
    pub(crate) output: Format,

    /// Time the run takes for now: `2026-11-22T10:00:00+03:00`, or without a zone in this machine's
    #[arg(long, global = true, value_name = "TIME", value_parser = crate::time::parse)]
    pub(crate) as_of: Option<DateTime<Utc>>,

    /// Colours; `auto` respects `NO_COLOR`
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: Colour,

    /// Say more on stderr; `-vv` more still
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Say only what is wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Language of messages; English only so far [env: `OBMEN_LANG`]
    #[arg(long, global = true, value_enum)]
    pub(crate) lang: Option<Language>,
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one document.
    Json,
    /// For CI systems: `test` only.
    Junit,
    /// Annotations of GitHub: `validate` only.
    Github,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal that has them.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// English.
    En,
    /// Russian.
    Ru,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a small project that works at once
    Init(init::Arguments),
    /// Find everything that is written wrong; nothing is read or sent
    Validate(validate::Arguments),
    /// Ask every outside system whether it answers and lets us in
    Check(check::Arguments),
    /// Show what `run` would send, old → new
    Plan(plan::Arguments),
    /// Run a pipeline: read, compare, send what changed
    Run(run::Arguments),
    /// Run the tests of pipelines; no network, ever
    Test(test::Arguments),
    /// Show rows of a source, a step, or a connection
    Preview(preview::Arguments),
    /// Explain a code of a diagnostic, or what became of a row
    Explain(explain::Arguments),
    /// What waits to be sent, and why
    Queue(queue::Arguments),
    /// Past runs
    Runs(runs::Arguments),
    /// What was sent, when, old → new, and with which answer
    Journal(journal::Arguments),
    /// Changes that wait for a person's decision
    Hold(hold::Arguments),
    /// What the other side is known to have
    Baseline(baseline::Arguments),
    /// JSON Schema of pipeline, project and test files, for editors
    Schema(schema::Arguments),
    /// Tables of the connectors' options, as Markdown
    Docs(docs::Arguments),
    /// Start a simulated 1C and a simulated web shop
    Sandbox(sandbox::Arguments),
    /// Which id here is which id there (not available yet)
    #[command(disable_help_flag = true)]
    Crosswalk(Later),
    /// Record what a source brings, for tests (not available yet)
    #[command(disable_help_flag = true)]
    Record(Later),
    /// Run pipelines by their schedules (not available yet)
    #[command(disable_help_flag = true)]
    Serve(Later),
}

/// Words of a command that is not there yet.
#[derive(Debug, Args)]
pub(crate) struct Later {
    /// Anything.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub(crate) words: Vec<String>,
}

impl Arguments {
    /// The arguments, if the output asked for is one the command has.
    ///
    /// # Errors
    /// A mistake in the command line, as clap shows it.
    pub(crate) fn checked(self) -> Result<Self, clap::Error> {
        let only = match (self.global.output, &self.command) {
            (Format::Junit, command) if !matches!(command, Command::Test(_)) => Some(("junit", "test")),
            (Format::Github, command) if !matches!(command, Command::Validate(_)) => Some(("github", "validate")),
            _ => None,
        };
        match only {
            None => Ok(self),
            Some((format, command)) => {
                let message = format!("`--output {format}` is for `obmen {command}` only, expected `text` or `json`");
                Err(Self::command().error(ErrorKind::InvalidValue, message))
            }
        }
    }
}

fn parse_var(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE, like `period=2026-11`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Arguments, clap::Error> {
        let words = words.split(' ').filter(|word| !word.is_empty());
        Arguments::try_parse_from(std::iter::once("obmen").chain(words)).and_then(Arguments::checked)
    }

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn global_words_stand_before_and_after_the_command() {
        for line in ["--profile demo --var a=1 run goods --var b=x=y", "run goods --profile demo --var a=1 --var b=x=y"]
        {
            let arguments = parse(line).unwrap();
            assert_eq!(arguments.global.profile.as_deref(), Some("demo"));
            assert!(arguments.global.vars.contains(&("b".to_owned(), "x=y".to_owned())), "{line}");
        }
    }

    #[test]
    fn wrong_words_end_with_2() {
        for line in [
            "",
            "rnu goods",
            "run",
            "run goods --var a",
            "run goods --output github",
            "validate --output junit",
            "-v -q runs",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(parse("--help").unwrap_err().exit_code(), 0);
        assert_eq!(parse("--version").unwrap_err().exit_code(), 0);
    }

    #[test]
    fn words_that_look_like_subcommands_and_names_are_told_apart() {
        for line in [
            "runs",
            "runs goods",
            "runs show 01J",
            "explain",
            "explain cycle",
            "explain row p s k",
            "crosswalk list --all",
        ] {
            parse(line).unwrap();
        }
    }

    #[test]
    fn every_command_has_an_example() {
        let mut program = Arguments::command();
        program.build();
        let later = ["crosswalk", "record", "serve", "help"];
        for command in program.get_subcommands().filter(|command| !later.contains(&command.get_name())) {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains(&format!("obmen {}", command.get_name())), "{}", command.get_name());
        }
    }
}
