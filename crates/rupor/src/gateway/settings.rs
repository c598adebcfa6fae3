//! What a gateway is made with.

use super::Clock;
use super::effects::topic_bytes_max;
use crate::config::{ApplicationRule, ChannelRule, Config, Mode};
use crate::outlet::{Calls, Php};
use rupor_hub::Limits;
use std::sync::Arc;
use std::time::Duration;

/// What a gateway is made with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Bounds of the hub's state.
    pub(crate) limits: Limits,
    /// Who may subscribe to and publish in which channel; the first rule that matches decides.
    pub(crate) channels: Vec<ChannelRule>,
    /// Whether a client that is refused hears which rule refused it.
    pub(crate) explain: bool,
    /// What answers on which path; the longest rule that matches decides.
    pub(crate) applications: Vec<ApplicationRule>,
    /// What runs handlers in PHP.
    pub(crate) php: Vec<Arc<Php>>,
    /// What calls handlers elsewhere.
    pub(crate) calls: Vec<Arc<Calls>>,
    /// Subprotocols by preference, besides `rupor.v1`.
    pub(crate) subprotocols: Vec<String>,
    /// The cookie whose value finds a connection.
    pub(crate) cookie_name: String,
    /// Whether `Host` must be a loopback name (a name that an attacker made to point here is refused).
    pub(crate) loopback_hosts_only: bool,
    /// How long a connection may stay unidentified after the 101.
    pub(crate) identify_deadline: Duration,
    /// The time of day.
    pub(crate) clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            channels: Vec::new(),
            explain: false,
            applications: Vec::new(),
            php: Vec::new(),
            calls: Vec::new(),
            subprotocols: Vec::new(),
            cookie_name: "PHPSESSID".to_owned(),
            loopback_hosts_only: false,
            identify_deadline: Duration::from_secs(5),
            clock: Clock::system(),
        }
    }
}

impl Settings {
    /// The gateway's part of a configuration.
    pub(crate) fn from_config(config: &Config) -> Self {
        let php = config.php.iter().cloned().map(Php::new);
        let fpm = config.fpm.iter().cloned().enumerate();
        let fpm = fpm.map(|(number, config)| Calls::fpm(number, config));
        let webhook = config.webhook.iter().cloned().enumerate();
        let webhook = webhook.map(|(number, config)| Calls::webhook(number, config));
        Self {
            limits: config.hub.clone(),
            channels: config.channels.clone(),
            explain: config.explain,
            applications: config.applications.clone(),
            php: php.map(Arc::new).collect(),
            calls: fpm.chain(webhook).map(Arc::new).collect(),
            subprotocols: config.subprotocols.clone(),
            loopback_hosts_only: config.mode == Mode::Demo,
            identify_deadline: config.identify_deadline,
            ..Self::default()
        }
    }

    /// Makes the server's limits of topics large enough for the gateway's: a connection is subscribed to its channels
    /// and to what is for everybody, and a channel's topic is a little longer than its name.
    pub(crate) fn fit(&self, limits: &mut rupor_server::Limits) {
        let raise = |limit: &mut usize, needed: usize| *limit = (*limit).max(needed);
        raise(
            &mut limits.subscriptions_max,
            self.limits.subscriptions_per_connection_max + 1,
        );
        // Each kind of receiver has a topic of its own for a channel.
        let topics = self
            .limits
            .channels_max
            .saturating_add(1)
            .saturating_mul(rupor_hub::Kind::COUNT);
        raise(&mut limits.topics_max, topics);
        raise(
            &mut limits.topic_bytes_max,
            topic_bytes_max(self.limits.channel_name_bytes_max),
        );
    }
}
