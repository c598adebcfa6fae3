//! What the site says when it is asked: who an upgrade comes from (`auth = "webhook"`), and what a connection may do in a
//! channel (`subscribe = "webhook"`).
//!
//! Whatever is no clear yes is none: no answer in time, another status, JSON that is not understood. A question waits for
//! its turn no longer than an answer may take, and at most [`QUESTIONS_MAX`] of them are there at a time.

use super::post::{Post, Target, Why};
use crate::by_label::{ByLabel, Counts, labels};
use crate::config::AuthWebhookConfig;
use crate::gateway::ConnectionId;
use crate::log;
use crate::outlet::request::Fields;
use http::header::{COOKIE, HeaderName};
use http::{HeaderMap, StatusCode};
use rupor_server::UpgradeRequest;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Questions that are on their way at a time; others wait for them.
const AT_A_TIME: usize = 64;
/// Questions about channels that are there at a time; one more is refused as `overloaded`.
const QUESTIONS_MAX: usize = 1000;
/// The same of one connection.
const QUESTIONS_PER_CONNECTION_MAX: usize = 16;

/// Log lines about answers that are none a second; over it they are logged at `debug`.
static ANSWERS: log::Sparing = log::Sparing::new(2);

/// Why the site did not say who it is, or that it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskError {
    /// There was no answer.
    NoAnswer(Why),
    /// An answer of another status.
    Status(u16),
    /// An answer that is not understood, or names a user or a channel that can be none.
    BadAnswer,
    /// The site refuses, by 401 or 403.
    Refused(u16),
}

impl AskError {
    /// What metrics call it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::NoAnswer(Why::Late) => "late",
            Self::NoAnswer(Why::Unreachable) => "unreachable",
            Self::NoAnswer(Why::Broken) => "too_long",
            Self::NoAnswer(Why::Redirect) => "redirect",
            Self::Status(_) => "status",
            Self::BadAnswer => "malformed",
            Self::Refused(_) => "refused",
        }
    }

    /// Whether the site did not decide.
    pub(crate) fn is_failure(self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(Why::Late) => formatter.write_str("the site did not answer in time"),
            Self::NoAnswer(Why::Unreachable) => formatter.write_str("the site cannot be asked now"),
            Self::NoAnswer(Why::Broken) => {
                formatter.write_str("the site's answer broke off, or is too long")
            }
            Self::NoAnswer(Why::Redirect) | Self::Status(300..=399) => {
                formatter.write_str("the site leads elsewhere, which is not followed")
            }
            Self::Status(status) => write!(formatter, "the site answers {status}"),
            Self::BadAnswer => formatter.write_str("the site's answer is not understood"),
            Self::Refused(status) => write!(formatter, "the site refuses ({status})"),
        }
    }
}

/// What the site says of an upgrade.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WhoAnswer {
    user: Option<User>,
    channels: Vec<String>,
    expires: Option<u64>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum User {
    Text(String),
    Number(i64),
}

/// Who an upgrade comes from, as the site says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) user: String,
    /// What it is subscribed to, whatever the rules of channels say.
    pub(super) channels: Vec<String>,
    /// In seconds since 1970.
    pub(super) expires_at: Option<u64>,
}

/// What is asked about a channel.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct MayQuestion<'a> {
    /// `subscribe` or `publish`.
    pub(crate) ask: &'static str,
    pub(crate) channel: &'a str,
    pub(crate) user: Option<&'a str>,
    /// What is to be published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MayAnswer {
    allow: bool,
    #[serde(default)]
    reason: Option<String>,
}

/// Asks the site. Made from [`AuthWebhookConfig`].
#[derive(Debug)]
pub(crate) struct Asker {
    post: Post,
    headers: Vec<HeaderName>,
    timeout: Duration,
    at_a_time: Semaphore,
    /// Questions about channels, by whose they are.
    questions: Mutex<HashMap<ConnectionId, usize>>,
    /// Where questions of workers wait for their answers.
    runtime: OnceLock<Handle>,
    /// Questions about channels, by what they came to.
    results: ByLabel<MayResult>,
}

labels! {
    /// What a question about a channel came to.
    enum MayResult {
        Allowed = "allowed",
        Refused = "refused",
        Failed = "failed",
        Overloaded = "overloaded",
    }
}

/// A question's place; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    asker: Arc<Asker>,
    connection: ConnectionId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut questions = self.asker.questions();
        if let Some(count) = questions.get_mut(&self.connection) {
            *count -= 1;
            if *count == 0 {
                questions.remove(&self.connection);
            }
        }
    }
}

impl Asker {
    /// Nobody is asked yet.
    pub(super) fn new(settings: &AuthWebhookConfig) -> Self {
        Self {
            post: Post::new(Target {
                url: settings.url.clone(),
                key: settings.key.clone(),
                timeout: settings.timeout,
                at_a_time: AT_A_TIME,
                answer_bytes_max: ANSWER_BYTES_MAX,
                table: "auth_webhook",
            }),
            headers: settings.headers.clone(),
            timeout: settings.timeout,
            at_a_time: Semaphore::new(AT_A_TIME),
            questions: Mutex::default(),
            runtime: OnceLock::new(),
            results: ByLabel::default(),
        }
    }

    /// Questions about channels, by what they came to.
    pub(crate) fn counts(&self) -> Counts {
        self.results.counts()
    }

    /// Questions of workers wait here for their answers. Only the first counts.
    pub(crate) fn run_on(&self, runtime: Handle) {
        let _ = self.runtime.set(runtime);
    }

    /// Where that is.
    pub(crate) fn runtime(&self) -> Option<&Handle> {
        self.runtime.get()
    }

    /// Whether what the site decides by comes along with a request by itself, whichever page makes it.
    pub(super) fn goes_by_cookie(&self, headers: &HeaderMap) -> bool {
        self.headers.contains(&COOKIE) && headers.contains_key(COOKIE)
    }

    /// Who an upgrade comes from; `None`: the site knows nobody.
    ///
    /// # Errors
    /// Why the site did not say.
    pub(super) async fn who(&self, request: &UpgradeRequest) -> Result<Option<Known>, AskError> {
        let mut headers = HeaderMap::new();
        for name in &self.headers {
            for value in request.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        let mut told = UpgradeRequest::new(&*request.target, headers, request.remote);
        told.secure = request.secure;
        #[derive(Serialize)]
        struct Who<'a> {
            ask: &'static str,
            #[serde(flatten)]
            request: Fields<'a>,
        }
        let who = Who {
            ask: "identity",
            request: Fields::of(&told),
        };
        let answer: WhoAnswer = match self.ask(&who).await? {
            Some(answer) => answer,
            None => return Ok(None),
        };
        let user = match answer.user {
            Some(User::Text(user)) if !user.is_empty() => user,
            Some(User::Number(number)) => number.to_string(),
            _ => return Ok(None),
        };
        if !super::is_user_name(&user) {
            return Err(bad_answer("`user` is no user's name"));
        }
        Ok(Some(Known {
            user,
            channels: answer.channels,
            expires_at: answer.expires,
        }))
    }

    /// Whether something may be done in a channel: `Err` with why not, if the site says so.
    ///
    /// # Errors
    /// Why the site did not say.
    pub(crate) async fn may(
        &self,
        question: &MayQuestion<'_>,
    ) -> Result<Result<(), String>, AskError> {
        let said = match self.ask::<MayAnswer>(question).await {
            Ok(None) => Err(bad_answer("there is no `allow`")),
            Ok(Some(MayAnswer { allow: true, .. })) => Ok(Ok(())),
            Ok(Some(MayAnswer { reason, .. })) => Ok(Err(log::peer(&reason.unwrap_or_default()))),
            Err(error) => Err(error),
        };
        self.results.count(match &said {
            Ok(Ok(())) => MayResult::Allowed,
            Ok(Err(_)) => MayResult::Refused,
            Err(error) if error.is_failure() => MayResult::Failed,
            Err(_) => MayResult::Refused,
        });
        said
    }

    /// A place for a question of a connection's; `None`: there are too many.
    pub(crate) fn place(self: &Arc<Self>, connection: ConnectionId) -> Option<Place> {
        let mut questions = self.questions();
        let of_connection = questions.get(&connection).copied().unwrap_or(0);
        if of_connection >= QUESTIONS_PER_CONNECTION_MAX
            || questions.values().sum::<usize>() >= QUESTIONS_MAX
        {
            self.results.count(MayResult::Overloaded);
            return None;
        }
        questions.insert(connection, of_connection + 1);
        Some(Place {
            asker: Arc::clone(self),
            connection,
        })
    }

    fn questions(&self) -> MutexGuard<'_, HashMap<ConnectionId, usize>> {
        self.questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, in its turn; `None`: the answer is empty.
    async fn ask<A: for<'a> Deserialize<'a>>(
        &self,
        question: &impl Serialize,
    ) -> Result<Option<A>, AskError> {
        // Its keys are strings, so it can always be written.
        let body = serde_json::to_vec(question).unwrap_or_default();
        let turn = timeout(self.timeout, self.at_a_time.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            ANSWERS.log(|| "the site is asked more than it answers (auth_webhook)".to_owned());
            return Err(AskError::NoAnswer(Why::Late));
        };
        let (status, body) = self.post.call(body.into()).await.map_err(|error| {
            ANSWERS.log(|| format!("the site was asked and there is no answer: {error}"));
            AskError::NoAnswer(error.why)
        })?;
        match status {
            StatusCode::NO_CONTENT => Ok(None),
            StatusCode::OK => answer(&body).map(Some),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(AskError::Refused(status.as_u16()))
            }
            status => {
                ANSWERS.log(|| format!("the site was asked and answers {status} (auth_webhook)"));
                Err(AskError::Status(status.as_u16()))
            }
        }
    }
}

/// What an answer says; it is an object.
fn answer<A: for<'a> Deserialize<'a>>(body: &[u8]) -> Result<A, AskError> {
    let body = body.trim_ascii();
    // Fields of an array would be known by their places. An empty one is PHP's empty object.
    if !(body.starts_with(b"{") || body == b"[]") {
        return Err(bad_answer("it is no JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| {
        // Where it is wrong, and nothing of what it says.
        let (line, column) = (error.line(), error.column());
        bad_answer(&format!("line {line}, column {column}"))
    })
}

fn bad_answer(why: &str) -> AskError {
    ANSWERS.log(|| format!("the site was asked and its answer is not understood: {why} (auth_webhook; docs/howto/auth-webhook.md)"));
    AskError::BadAnswer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn a_connection_has_so_many_questions_and_all_have_so_many() {
        let asker = Arc::new(Asker::new(&AuthWebhookConfig {
            url: http::Uri::from_static("http://127.0.0.1/"),
            key: Secret::new(*b"key"),
            timeout: Duration::from_secs(1),
            headers: vec![COOKIE],
        }));
        let one: Vec<_> = (0..=QUESTIONS_PER_CONNECTION_MAX)
            .map(|_| asker.place(ConnectionId(0)))
            .collect();
        let places = one.iter().filter(|place| place.is_some()).count();
        assert_eq!(places, QUESTIONS_PER_CONNECTION_MAX);
        let others: Vec<_> = (1..=1001).map(|id| asker.place(ConnectionId(id))).collect();
        let places = places + others.iter().filter(|place| place.is_some()).count();
        assert_eq!(places, QUESTIONS_MAX);
        drop((one, others));
        assert!(asker.questions().is_empty());
        assert!(!format!("{asker:?}").contains("key\""));
    }

    #[test]
    fn answers_say_what_they_may_and_nothing_else() {
        let who = |json: &str| answer::<WhoAnswer>(json.as_bytes());
        assert_eq!(who("{}").unwrap(), WhoAnswer::default());
        assert_eq!(who(" []\n").unwrap(), WhoAnswer::default());
        let whole = who(r#"{"user":5,"channels":["a"],"expires":7}"#).unwrap();
        assert_eq!(whole.user, Some(User::Number(5)));
        for bad in [
            "",
            "[\"anna\"]",
            "null",
            r#"{"usr":"a"}"#,
            r#"{"user":true}"#,
            r#"{"user":1.5}"#,
            r#"{"channels":"a"}"#,
        ] {
            assert!(who(bad).is_err(), "{bad}");
        }
        let may = |json: &str| {
            answer::<MayAnswer>(json.as_bytes())
                .ok()
                .map(|may| may.allow)
        };
        assert_eq!(may(r#"{"allow":true}"#), Some(true));
        assert_eq!(may(r#"{"allow":false,"reason":"no"}"#), Some(false));
        for bad in [
            "[]",
            "[true]",
            "true",
            "{}",
            r#"{"allow":1}"#,
            r#"{"allow":"true"}"#,
            r#"{"allow":true,"x":1}"#,
        ] {
            assert_eq!(may(bad), None, "{bad}");
        }
    }
}
