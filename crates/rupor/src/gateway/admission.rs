//! Who is let in: `Host`, `Origin`, identity, subprotocol and channels of an upgrade request, in that order.
//!
//! Whoever is refused gets a status and a reason in words; nothing of a token is in either. Browsers show a script
//! neither, so what a page's author must be able to tell apart is said again by close codes where the connection gets
//! that far.

use super::rights::{self, Denied, Wish};
use super::rules::Right;
use super::{Gateway, PublishError};
use crate::auth::origin::{Hosts, Origins};
use crate::auth::probe::{Arrived, PROBE_HEADER, Probes};
use crate::auth::{Auth, Identified, Identity, Refused, is_token_subprotocol};
use crate::dialect::{self, PLAIN_SUBPROTOCOL, V1_SUBPROTOCOL};
use crate::log;
use crate::outlet::{Outlet, Verdict};
use rupor_hub::{Kind, is_channel_name, is_user_name};
use rupor_proto::handshake::select_subprotocol;
use rupor_server::{Admit, Refusal, UpgradeRequest};
use std::fmt;
use std::sync::Arc;

/// The query parameter that names a channel; may come several times.
const CHANNEL_PARAMETER: &str = "channel";

/// Log lines about foreign pages a second; over it they are logged at `debug`. A peer chooses how many there are.
static FOREIGN: log::Sparing = log::Sparing::new(10);

/// Decides about upgrades.
#[derive(Debug)]
pub(crate) struct Admission {
    gateway: Arc<Gateway>,
    auth: Arc<Auth>,
    origins: Origins,
    hosts: Hosts,
    probes: Option<Arc<Probes>>,
}

/// What was found out about a connection that may open.
pub(crate) struct Admitted {
    /// Who it is; `None`: the first message will say.
    pub(super) identity: Option<Identity>,
    /// The dialect that it speaks.
    pub(super) kind: Kind,
    /// The site's cookie that it came with.
    pub(super) cookie: Option<Arc<str>>,
    /// The channels in its address; allowed, as far as its identity is known.
    pub(super) channels: Vec<Arc<str>>,
    /// The application on its path.
    pub(super) outlet: Option<Arc<dyn Outlet>>,
    /// Its path, for the application.
    pub(super) path: Box<str>,
    /// The request, for an application that wants it.
    pub(super) request: Option<Box<UpgradeRequest>>,
}

/// A cookie is as good as a password: it is in no log.
impl fmt::Debug for Admitted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Admitted")
            .field("identity", &self.identity)
            .field("kind", &self.kind)
            .field("channels", &self.channels)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Admission {
    /// Admits to this gateway those who come from these origins and whom `auth` believes.
    pub(crate) fn new(gateway: Arc<Gateway>, auth: Arc<Auth>, origins: Origins) -> Self {
        let hosts = if gateway.settings().loopback_hosts_only {
            Hosts::Loopback
        } else {
            Hosts::Any
        };
        Self {
            gateway,
            auth,
            origins,
            hosts,
            probes: None,
        }
    }

    /// Also lets test connections of `rupor doctor` in, as nobody in particular.
    pub(crate) fn probed_by(mut self, probes: Option<Arc<Probes>>) -> Self {
        self.probes = probes;
        self
    }

    async fn decide(
        &self,
        request: &UpgradeRequest,
    ) -> Result<rupor_server::Admitted<Admitted>, Refusal> {
        let probe = self.probe(request);
        self.check_place(request).map_err(|mut refusal| {
            refusal.headers.extend(probe.clone());
            refusal
        })?;
        if let Some(answer) = probe {
            return Ok(for_probe(answer));
        }
        let offered = &request.subprotocols;
        let mut identity = match self
            .auth
            .at_upgrade(request, &self.origins)
            .await
            .map_err(|refused| self.unknown(refused))?
        {
            Identified::Known(identity) => Some(identity),
            Identified::FirstMessage => None,
        };
        let subprotocol = self.select(request.path(), offered);
        let query = request.query().unwrap_or_default();
        let mut channels = self.channels(query, identity.as_ref()).await?;
        if let Some(identity) = &mut identity {
            let more = std::mem::take(&mut identity.channels);
            self.add_channels(&mut channels, more, "the site")?;
        }
        let outlet = self.gateway.routes.outlet(request.path()).cloned();
        // Only an application asks for it.
        let path = if outlet.is_some() {
            request.path().into()
        } else {
            Box::default()
        };
        // Of a session that was believed the id, whatever the cookie is called and whether it is sealed.
        let session = identity
            .as_ref()
            .and_then(|identity| identity.ticket.as_ref());
        let cookie = match session {
            Some(ticket) => Some(ticket.expose()),
            None => request.cookie(&self.gateway.settings().cookie_name),
        };
        let cookie = cookie.map(Arc::from);
        let kind = dialect::kind_for(subprotocol);
        let admitted = Admitted {
            identity,
            kind,
            cookie,
            channels,
            outlet,
            path,
            request: None,
        };
        Ok(rupor_server::Admitted::new(admitted).subprotocol(subprotocol))
    }

    /// How nobody in particular is refused.
    fn unknown(&self, refused: Refused) -> Refusal {
        let text = if self.gateway.settings().explain {
            self.auth.explained(refused)
        } else {
            refused.error.to_string()
        };
        Refusal::new(refused.error.status(), text)
    }

    /// The header of the answer, where `rupor doctor` asks.
    fn probe(&self, request: &UpgradeRequest) -> Option<(String, String)> {
        let answer = self.probes.as_ref()?.answer(Arrived {
            headers: &request.headers,
            client: request.remote,
            secure: request.secure,
            upgrade: true,
        })?;
        Some((PROBE_HEADER.to_owned(), answer))
    }

    /// Whether the page may connect, and whether it meant us.
    fn check_place(&self, request: &UpgradeRequest) -> Result<(), Refusal> {
        if !self.hosts.allow(request.host()) {
            let reason = "this server answers to localhost only: it runs in demo mode";
            return Err(Refusal::new(421, reason));
        }
        self.origins
            .check(&request.headers, request.secure)
            .map_err(|error| {
                let origin = request.origin().map_or_else(String::new, log::peer);
                FOREIGN.log(|| format!("an upgrade from a page of {origin} is refused: {error}"));
                Refusal::new(403, error.to_string())
            })
    }

    /// The first subprotocol of the client's list that may be spoken on this path (RFC 6455 §4.2.2 /subprotocol/).
    fn select<'r>(&self, path: &str, offered: &'r [String]) -> Option<&'r str> {
        let settings = self.gateway.settings();
        let known: Vec<&str> = [V1_SUBPROTOCOL, PLAIN_SUBPROTOCOL]
            .into_iter()
            .chain(
                self.gateway
                    .routes
                    .subprotocols(path)
                    .iter()
                    .map(String::as_str),
            )
            .chain(settings.subprotocols.iter().map(String::as_str))
            // It would be echoed, with the token in it.
            .filter(|name| !is_token_subprotocol(name))
            .collect();
        select_subprotocol(offered, &known)
    }

    /// Asks the application, which may know better who it is.
    async fn ask(
        &self,
        outlet: &dyn Outlet,
        request: &UpgradeRequest,
        admitted: &mut Admitted,
    ) -> Result<(), Refusal> {
        let identity = admitted.identity.as_ref();
        let user = identity.and_then(|identity| identity.user.clone());
        let (user, channels) = match outlet.admit(request, user.as_deref()).await {
            Verdict::Accept { user, channels } => (user, channels),
            Verdict::Refuse { status, reason } => return Err(Refusal::new(status, reason)),
        };
        let limits = &self.gateway.settings().limits;
        let is_name = |user: &String| is_user_name(user, limits.user_name_bytes_max);
        if !user.iter().all(is_name) {
            tracing::warn!("the handlers named a user at an upgrade that can be none");
            return Err(Refusal::new(500, "the handlers gave a name that is none"));
        }
        if let Some(user) = user {
            let identity = admitted.identity.get_or_insert_default();
            identity.user = Some(user.into());
        }
        self.add_channels(&mut admitted.channels, channels, "the handlers")
    }

    /// Adds channels that the site or an application names. How many it may have is checked when it enters.
    fn add_channels(
        &self,
        known: &mut Vec<Arc<str>>,
        more: Vec<String>,
        who: &'static str,
    ) -> Result<(), Refusal> {
        let most = self.gateway.settings().limits.channel_name_bytes_max;
        if !more.iter().all(|name| is_channel_name(name, most)) {
            tracing::warn!("{who} named a channel at an upgrade that can be none");
            return Err(Refusal::new(500, format!("{who} gave a name that is none")));
        }
        for channel in more {
            if known.iter().all(|known| **known != *channel) {
                known.push(channel.into());
            }
        }
        Ok(())
    }

    async fn channels(
        &self,
        query: &str,
        identity: Option<&Identity>,
    ) -> Result<Vec<Arc<str>>, Refusal> {
        let settings = self.gateway.settings();
        let limits = &settings.limits;
        let mut channels: Vec<Arc<str>> = Vec::new();
        let asked = form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name == CHANNEL_PARAMETER)
            .map(|(_, channel)| channel);
        for channel in asked {
            if !is_channel_name(&channel, limits.channel_name_bytes_max) {
                return Err(refusal(400, rupor_hub::Refused::BadChannelName));
            }
            if channels.iter().any(|known| **known == *channel) {
                continue;
            }
            if channels.len() >= limits.subscriptions_per_connection_max {
                return Err(refusal(400, rupor_hub::Refused::TooManySubscriptions));
            }
            if let Some(identity) = identity {
                let wish = Wish {
                    right: Right::Subscribe,
                    channel: &channel,
                    user: identity.user.as_deref(),
                    token: None,
                };
                self.check(wish).await?;
            }
            channels.push(channel.into());
        }
        Ok(channels)
    }
}

impl Admission {
    /// Whether the rules of channels allow it, and the site where they ask it.
    async fn check(&self, wish: Wish<'_>) -> Result<(), Refusal> {
        let refused = |status, text| Refusal::new(status, format!("{}: {text}", wish.channel));
        let checked = rights::check(&self.gateway, &self.auth, wish);
        let Some(rule) = checked.map_err(|forbidden| refused(403, forbidden.0))? else {
            return Ok(());
        };
        let asker = self.auth.asker();
        let asker = asker.ok_or_else(|| refused(503, "nobody is asked".to_owned()))?;
        let asked = rights::ask(&self.gateway, asker, rule, wish, None).await;
        asked.map_err(|denied| {
            let status = match &denied {
                Denied::Forbidden(_) => 403,
                Denied::Unavailable(_) => 503,
            };
            refused(status, denied.text())
        })
    }
}

impl Admit for Admission {
    type Admission = Admitted;

    async fn admit(
        &self,
        request: UpgradeRequest,
    ) -> Result<rupor_server::Admitted<Admitted>, Refusal> {
        let decided = self.decide(&request).await.inspect_err(|refusal| {
            // The path only: a query may hold a token.
            tracing::debug!(
                remote = %request.remote,
                path = log::peer(request.path()),
                status = refusal.status,
                reason = refusal.reason,
                "upgrade refused"
            );
        });
        let mut admitted = decided?;
        if let Some(outlet) = admitted.admission.outlet.clone() {
            self.ask(&*outlet, &request, &mut admitted.admission)
                .await?;
            admitted.admission.request = outlet.wants_request().then(|| Box::new(request));
        }
        Ok(admitted)
    }
}

/// A connection of nobody in particular, on which nothing is said.
fn for_probe(answer: (String, String)) -> rupor_server::Admitted<Admitted> {
    let mut admitted = rupor_server::Admitted::new(Admitted {
        identity: Some(Identity::default()),
        kind: dialect::kind_for(None),
        cookie: None,
        channels: Vec::new(),
        outlet: None,
        path: Box::default(),
        request: None,
    });
    admitted.headers.push(answer);
    admitted
}

fn refusal(status: u16, refused: rupor_hub::Refused) -> Refusal {
    Refusal::new(status, PublishError::Refused(refused).to_string())
}
