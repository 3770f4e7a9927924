//! The command line of Obmen: one file per command under `commands/`.
//!
//! Results go to stdout, talk to stderr; the exit code is a contract ([`exit::Exit`]). This crate names no connector: the
//! program's `main` hands over a [`Registry`] and the [`Sandbox`]. It is the only one that reads the environment.

mod arguments;
mod cells;
mod changes;
mod commands;
mod console;
mod environment;
mod exit;
mod manual;
mod markdown;
mod progress;
mod project;
mod report;
mod sandbox;
mod session;
mod table;
mod text;
mod time;
mod words;

pub use sandbox::{RunningSandbox, Sandbox, SandboxOptions};

use arguments::Arguments;
use clap::Parser;
use console::Console;
use exit::{Exit, Failure};
use obmen_sdk::{Error, Registry, Result};
use session::Session;
use std::process::ExitCode;

/// The stack of the thread that works. Planning SQL recurses, and the first thread of a Windows program has 1 MB only.
const STACK: usize = 16 << 20;

/// Runs the program with the process's arguments and gives its exit code.
pub fn main(registry: Registry, sandbox: impl Sandbox + 'static) -> ExitCode {
    let work = std::thread::Builder::new().name("obmen".to_owned()).stack_size(STACK);
    let worker = work.spawn(move || program(registry, Box::new(sandbox)));
    // A thread that cannot be started or that panicked has said so on stderr, or nothing can.
    worker.ok().and_then(|worker| worker.join().ok()).unwrap_or(ExitCode::FAILURE)
}

fn program(registry: Registry, sandbox: Box<dyn Sandbox>) -> ExitCode {
    let arguments = match Arguments::try_parse().and_then(Arguments::checked) {
        Ok(arguments) => arguments,
        Err(error) => {
            // What cannot be printed cannot be reported either.
            error.print().unwrap_or_default();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let console = Console::new(&arguments.global);
    console.start_log(arguments.global.verbose);
    if environment::language(arguments.global.lang) == arguments::Language::Ru {
        console.say("messages are in English only so far");
    }
    let (exit, failure) = match work(arguments, console.clone(), registry, sandbox) {
        Ok(exit) => (exit, None),
        Err(failure) => (failure.exit, Some(failure)),
    };
    if let Some(failure) = failure {
        console.failure(&failure);
    }
    exit.into()
}

fn work(
    arguments: Arguments,
    console: Console,
    registry: Registry,
    sandbox: Box<dyn Sandbox>,
) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK)
        .build()
        .map_err(|error| Failure::from(Error::from(error)))?;
    let session = Session::new(arguments.global, console, registry, sandbox);
    let ended = runtime.block_on(Box::pin(commands::run(&session, arguments.command)));
    // Reads that hang in the operating system must not keep a finished program alive.
    runtime.shutdown_background();
    ended
}
