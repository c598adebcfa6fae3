//! The configuration: what the flags, the environment, the file and the defaults come to.
//!
//! [`Config`] is the checked result; everything else in the program reads only that.
//!
//! Start at [`load`]: it lays defaults, file, environment and flags over one another ([`source`]) and builds the result
//! ([`build`]). What options there are is said once, in [`options`], [`deflate`], [`php`], [`calls`], [`redis`],
//! [`postgres`], [`outbox`], [`signed_url`], [`session`], [`auth_webhook`] and [`limits`].

mod auth_webhook;
mod build;
mod calls;
pub(crate) mod definition;
mod deflate;
mod error;
mod limits;
pub(crate) mod load;
pub(crate) mod options;
mod outbox;
pub(crate) mod parse;
mod php;
mod postgres;
mod proxies;
mod redis;
#[cfg(test)]
pub(crate) mod reference;
mod secret;
mod session;
mod signed_url;
mod source;
mod types;

pub(crate) use error::ConfigError;

pub(crate) use auth_webhook::AuthWebhookConfig;
pub(crate) use outbox::{Database, OutboxConfig, TableName, table as outbox_table};
pub(crate) use postgres::PostgresConfig;
pub(crate) use redis::RedisConfig;
pub(crate) use secret::Secret;
pub(crate) use session::{Session, SessionPlace};
pub(crate) use types::{
    Application, ApplicationRule, Auth, CallConfig, CallEvent, ChannelRule, Config, FailedEvent,
    FpmAddress, FpmConfig, InletAddress, Jwt, JwtAlgorithm, JwtKey, JwtSources, LogFormat, Mode,
    Origins, PhpConfig, PhpKey, TlsFiles, Way, WebhookConfig, WhenSlow, Who, reachable,
};
