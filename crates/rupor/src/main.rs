//! The program `rupor`: the WebSocket server that a web site runs beside itself.
//!
//! Start reading at [`cli`]: it turns arguments into one of the commands. The gateway's commands (`demo`, `serve`,
//! `echo`) build a [`config::Config`] and hand it to `cli::start`, which wires the parts together:
//! inlets → gateway → hub → effects → workers of `rupor-server`.

mod auth;
mod broker;
mod by_label;
mod cause;
mod cli;
mod config;
mod demo;
mod dialect;
mod gateway;
#[cfg(test)]
#[path = "../../proto/tests/heap/mod.rs"]
mod heap;
mod inlet;
mod log;
mod metrics;
mod outlet;
mod pages;
mod system;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
