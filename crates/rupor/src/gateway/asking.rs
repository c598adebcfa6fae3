//! What the site is asked about a channel, off the worker's thread: the connection goes on meanwhile, and what it wanted is
//! done, or refused, when the answer is there.

use super::patience::{self, patiently};
use super::rights::{self, Wish};
use super::rules::Right;
use super::{Change, ConnectionId, Gateway, Publish, PublishError, Target};
use crate::auth::Auth;
use crate::auth::webhook::{Asker, Place};
use crate::config::ChannelRule;
use crate::dialect::{self, Answer, Id};
use rupor_hub::{Kind, Refused};
use rupor_proto::{Frame, Message};
use std::sync::Arc;

/// What a connection wants that the site is asked about.
pub(super) struct Wanted {
    pub(super) connection: ConnectionId,
    pub(super) kind: Kind,
    /// What the client calls it.
    pub(super) id: Option<Id>,
    pub(super) channel: String,
    pub(super) user: Option<Arc<str>>,
    /// What is to be published; `None`: it wants to subscribe.
    pub(super) text: Option<String>,
    /// The rule that asks.
    pub(super) rule: ChannelRule,
}

/// Asks the site, and does what it allows.
///
/// # Errors
/// Too many questions wait, or nothing asks; then nothing will be done.
pub(super) fn ask(gateway: &Arc<Gateway>, auth: &Auth, wanted: Wanted) -> Result<(), PublishError> {
    let asker = auth.asker().ok_or(PublishError::Unavailable)?;
    let runtime = asker.runtime().ok_or(PublishError::Unavailable)?;
    let place = asker.place(wanted.connection);
    let place = place.ok_or(PublishError::Overloaded)?;
    let (gateway, asker) = (Arc::clone(gateway), Arc::clone(asker));
    runtime.spawn(answer(gateway, asker, wanted, place));
    Ok(())
}

async fn answer(gateway: Arc<Gateway>, asker: Arc<Asker>, wanted: Wanted, _place: Place) {
    let said = rights::ask(
        &gateway,
        &asker,
        &wanted.rule,
        wanted.wish(),
        wanted.text.as_deref(),
    );
    let denied = match said.await {
        Ok(()) => match wanted.carry_out(&gateway).await {
            Ok(()) | Err(PublishError::Refused(Refused::UnknownConnection)) => return,
            Err(error) => (error.code(), error.to_string()),
        },
        Err(denied) => (denied.code(), denied.text()),
    };
    let (code, text) = (denied.0, &*denied.1);
    wanted.say(&gateway, &Answer::Error { code, text }).await;
}

impl Wanted {
    fn wish(&self) -> Wish<'_> {
        let right = match self.text {
            Some(_) => Right::Publish,
            None => Right::Subscribe,
        };
        Wish {
            right,
            channel: &self.channel,
            user: self.user.as_deref(),
            token: None,
        }
    }

    async fn carry_out(&self, gateway: &Gateway) -> Result<(), PublishError> {
        let Some(text) = &self.text else {
            let subscribed = Answer::Subscribed {
                channel: &self.channel,
            };
            let frame = self.frame(&subscribed);
            let mut changed = false;
            patiently(|| {
                let change = Change::Subscribe;
                changed = gateway.change(self.connection, &self.channel, change, frame.clone())?;
                Ok(())
            })
            .await?;
            if !changed {
                self.say(gateway, &subscribed).await;
            }
            return Ok(());
        };
        let publish = Publish {
            target: Target::Channel(self.channel.as_str().into()),
            exclude: None,
            body: text.as_str().into(),
            compress: true,
            key: None,
            id: None,
        };
        patience::publish(gateway, publish).await?;
        let published = Answer::Published { connections: None };
        self.say(gateway, &published).await;
        Ok(())
    }

    async fn say(&self, gateway: &Gateway, answer: &Answer<'_>) {
        if let Some(frame) = self.frame(answer) {
            let say = || gateway.carry_out(Vec::new(), Some((self.connection, frame.clone())));
            // Whoever has no room for it in all that time is behind, and will be told so.
            let _ = patiently(say).await;
        }
    }

    fn frame(&self, answer: &Answer<'_>) -> Option<Frame> {
        let text = dialect::of_kind(self.kind).answer(answer, self.id.as_ref())?;
        Some(Frame::new(Message::Text(&text)))
    }
}
