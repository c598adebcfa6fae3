//! Who a connection is: by a token that comes in a message, and for how long.

use super::{Phase, State, WorkerHandler};
use crate::auth::{AuthError, Identity};
use crate::dialect::{Answer, Id};
use crate::gateway::clock::expiry;
use crate::gateway::close::{FORBIDDEN, UNAUTHORIZED};
use crate::gateway::rights::{self, Wish};
use crate::gateway::rules::Right;
use rupor_hub::Refused;
use rupor_server::Connection;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

/// The wall clock is asked again at least so often whether an identity has expired: it may be set.
const EXPIRY_CHECK_MAX: Duration = Duration::from_secs(600);

impl WorkerHandler {
    /// The token that was to come, or a newer one of the same user.
    pub(super) fn authenticate(
        &self,
        connection: &mut Connection<'_>,
        state: &mut State,
        token: &str,
        id: Option<&Id>,
    ) {
        let identity = match self.auth.first_message(token) {
            Ok(identity) => identity,
            Err(error) => {
                let text = error.to_string();
                let code = match error {
                    AuthError::NotAsked => "unsupported",
                    _ => UNAUTHORIZED.name,
                };
                let answer = Answer::Error { code, text: &text };
                Self::answer(connection, state.kind, &answer, id);
                if state.phase == Phase::Unidentified {
                    Self::refuse(connection, state, UNAUTHORIZED);
                }
                return;
            }
        };
        if state.phase == Phase::Unidentified {
            return self.identify(connection, state, identity, id);
        }
        if identity.user != state.user {
            let text = Refused::AnotherUser.to_string();
            let answer = Answer::Error {
                code: Refused::AnotherUser.code(),
                text: &text,
            };
            return Self::answer(connection, state.kind, &answer, id);
        }
        state.expires_at = expiry(identity.expires_at);
        self.set_expiry(connection, state);
        let answer = Answer::Authenticated {
            user: state.user.as_deref(),
        };
        Self::answer(connection, state.kind, &answer, id);
    }

    fn identify(
        &self,
        connection: &mut Connection<'_>,
        state: &mut State,
        identity: Identity,
        id: Option<&Id>,
    ) {
        let Some(mut entry) = state.waiting.take() else {
            return;
        };
        state.user = identity.user;
        state.expires_at = expiry(identity.expires_at);
        let user = state.user.clone();
        let may = |channel: &Arc<str>| {
            let wish = Wish {
                right: Right::Subscribe,
                channel,
                user: user.as_deref(),
                token: None,
            };
            rights::check_unasked(&self.gateway, &self.auth, wish).is_ok()
        };
        let entered = if entry.channels.iter().all(may) {
            self.enter(connection, state, &mut entry)
        } else {
            Err(FORBIDDEN)
        };
        if let Err(closing) = entered {
            return Self::refuse(connection, state, closing);
        }
        let answer = Answer::Authenticated {
            user: state.user.as_deref(),
        };
        Self::answer(connection, state.kind, &answer, id);
        self.begin(connection, state, *entry);
    }

    pub(super) fn set_expiry(&self, connection: &mut Connection<'_>, state: &State) {
        if let Some(expires_at) = state.expires_at {
            let left = self.seconds_left(expires_at);
            connection.set_timer(Duration::from_secs(left).min(EXPIRY_CHECK_MAX));
        }
    }

    pub(super) fn seconds_left(&self, expires_at: NonZeroU64) -> u64 {
        let now_s = self.gateway.settings().clock.now_ms() / 1000;
        expires_at.get().saturating_sub(now_s)
    }
}
