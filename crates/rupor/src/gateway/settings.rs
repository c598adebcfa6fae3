//! What a gateway is made with.

use crate::config::{ApplicationRule, ChannelRule, Config, Mode};
use rupor_hub::Limits;
use std::time::Duration;

/// What a gateway is made with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Bounds of the hub's state.
    pub(crate) limits: Limits,
    /// Who may subscribe to and publish in which channel; the first rule that matches decides.
    pub(crate) channels: Vec<ChannelRule>,
    /// What answers on which path; the longest rule that matches decides.
    pub(crate) applications: Vec<ApplicationRule>,
    /// Subprotocols by preference, besides `rupor.v1`.
    pub(crate) subprotocols: Vec<String>,
    /// The cookie whose value finds a connection.
    pub(crate) cookie_name: String,
    /// Whether `Host` must be a loopback name (a name that an attacker made to point here is refused).
    pub(crate) loopback_hosts_only: bool,
    /// How long a connection may stay unidentified after the 101.
    pub(crate) identify_deadline: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            channels: Vec::new(),
            applications: Vec::new(),
            subprotocols: Vec::new(),
            cookie_name: "PHPSESSID".to_owned(),
            loopback_hosts_only: false,
            identify_deadline: Duration::from_secs(5),
        }
    }
}

impl Settings {
    /// The gateway's part of a configuration.
    pub(crate) fn from_config(config: &Config) -> Self {
        Self {
            limits: Limits {
                channels_max: config.channels_max,
                subscriptions_per_connection_max: config.subscriptions_per_connection_max,
                ..Limits::default()
            },
            channels: config.channels.clone(),
            applications: config.applications.clone(),
            subprotocols: config.subprotocols.clone(),
            loopback_hosts_only: config.mode == Mode::Demo,
            identify_deadline: config.identify_deadline,
            ..Self::default()
        }
    }
}
