//! `rupor outbox`: what somebody needs who makes the table.

use crate::config::outbox_table;
use crate::inlet::outbox::install;
use clap::{Args, Subcommand, ValueEnum};
use std::process::ExitCode;

/// Arguments of `rupor outbox`.
#[derive(Debug, Args)]
pub(crate) struct OutboxArgs {
    #[command(subcommand)]
    command: OutboxCommand,
}

#[derive(Debug, Subcommand)]
enum OutboxCommand {
    /// Prints the SQL that makes the table, for `psql`, `mysql` or a migration
    Install(InstallArgs),
}

#[derive(Debug, Args)]
struct InstallArgs {
    /// The site's database
    #[arg(value_name = "DATABASE", value_enum, default_value_t = Kind::Postgresql)]
    database: Kind,
    /// The table, perhaps with its schema: that of outbox.table
    #[arg(long, value_name = "TABLE", default_value = "rupor_outbox")]
    table: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Postgresql,
    /// MariaDB, too
    #[value(alias = "mariadb")]
    Mysql,
}

/// Runs `rupor outbox`.
pub(crate) fn run(arguments: OutboxArgs) -> ExitCode {
    let OutboxCommand::Install(InstallArgs { database, table }) = arguments.command;
    match outbox_table(&table) {
        Ok(table) => {
            super::print(&match database {
                Kind::Postgresql => install::postgres(&table),
                Kind::Mysql => install::mysql(&table),
            });
            ExitCode::SUCCESS
        }
        Err(problem) => super::refuse(&format!("--table: {}. Fix: {}", problem.what, problem.fix)),
    }
}
