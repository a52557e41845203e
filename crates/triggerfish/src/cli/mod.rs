//! The command line: one file per command.
//!
//! Exit codes: 0 done, 1 refused or failed (the reason is on standard error), 2 wrong usage.

mod apply;
mod connect;
mod delete;
mod doctor;
mod event;
mod expr;
mod gateway;
mod get;
mod hello;
mod judge;
mod logs;
mod notify;
mod serve;
mod token;
mod version;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "triggerfish",
    version,
    about = "Turns events into workflows and outcomes into notifications.",
    after_help = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage.\nStart with: triggerfish serve --hello"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server: Kubernetes API, events, workflows.
    Serve(serve::Serve),
    /// Make a first workflow run: a template, a binding, one event.
    Hello(hello::Hello),
    /// Apply manifests from files, folders or standard input.
    Apply(apply::Apply),
    /// List or show objects.
    Get(get::Get),
    /// Delete an object.
    Delete(delete::Delete),
    /// Print the log of a workflow or Pod.
    Logs(logs::Logs),
    /// Make a token for a service account.
    Token(token::Token),
    /// Send events, and see what became of them.
    #[command(subcommand)]
    Event(event::Event),
    /// Evaluate expressions.
    #[command(subcommand)]
    Expr(expr::Expr),
    /// Try gateways.
    #[command(subcommand)]
    Gateway(gateway::Command),
    /// Try providers and alerts, and see what was delivered.
    #[command(subcommand)]
    Notify(notify::Notify),
    /// Look at this host, its data directory and a running server, and say what is wrong.
    Doctor(doctor::Doctor),
    #[command(hide = true)]
    Judge,
    /// Print a completion script.
    Completion { shell: clap_complete::Shell },
    /// Print the version of this program and of a running server.
    Version(version::Version),
}

pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "triggerfish", &mut std::io::stdout());
            Ok(())
        }
        Command::Serve(c) => c.run(),
        Command::Hello(c) => block(c.run()),
        Command::Apply(c) => block(c.run()),
        Command::Get(c) => block(c.run()),
        Command::Delete(c) => block(c.run()),
        Command::Logs(c) => block(c.run()),
        Command::Token(c) => block(c.run()),
        Command::Event(c) => block(c.run()),
        Command::Expr(c) => block(c.run()),
        Command::Gateway(c) => block(c.run()),
        Command::Notify(c) => block(c.run()),
        Command::Doctor(c) => block(c.run()),
        Command::Version(c) => block(c.run()),
        Command::Judge => judge::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a client command: one thread is enough.
fn block(f: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    // Chosen once for the process; a second choice is the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?.block_on(f)
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    Json,
    Yaml,
    Wide,
    Name,
}

/// Prints a value as JSON or YAML.
fn print(v: &serde_json::Value, how: Output) -> Result<(), String> {
    match how {
        Output::Yaml => println!("{}", serde_saphyr::to_string(v).map_err(|e| e.to_string())?.trim_end()),
        _ => println!("{}", serde_json::to_string_pretty(v).map_err(|e| e.to_string())?),
    }
    Ok(())
}

/// Rows as columns, two blanks apart.
fn columns(rows: &[Vec<String>]) {
    let width = |i: usize| rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows.iter().map(Vec::len).max().unwrap_or(0)).map(width).collect();
    for row in rows {
        let line: Vec<String> = row.iter().zip(&widths).map(|(c, w)| format!("{c:<w$}")).collect();
        println!("{}", line.join("  ").trim_end());
    }
}
