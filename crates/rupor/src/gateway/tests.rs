//! The gateway over a real server: sockets, workers, frames.
//!
//! Start at [`Site`]: a gateway with its server on a free port of loopback.

mod admission;
mod applications;
mod channels;
mod memory;
mod order;
mod publish;
mod reference;
mod seams;

use super::{Admission, Gateway, Publish, PublishError, Settings, Target, WorkerHandler};
use crate::auth::Auth;
use crate::auth::origin::Origins;
use crate::config::{
    self, Application, ApplicationRule, ChannelRule, Jwt, JwtAlgorithm, JwtKey, JwtSources, Secret,
    WhenSlow, Who,
};
use futures_util::FutureExt as _;
use rupor_hub::ConnectionId;
use rupor_server::{Limits, Running, Server};
use rupor_testkit::{Client, DEADLINE, Opening};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Workers of a test's server.
const WORKERS: usize = 2;

/// The key that the tests' tokens are signed with.
const TOKEN_KEY: &str = "a key of the tests, with 32 bytes or more";

/// A gateway and its server, as a site runs them.
struct Site {
    gateway: Arc<Gateway>,
    running: Running,
    address: SocketAddr,
}

impl Site {
    fn start() -> Self {
        Self::with(settings(), &config::Auth::none(), Limits::default())
    }

    fn with(settings: Settings, auth: &config::Auth, limits: Limits) -> Self {
        Self::of(Gateway::new(settings), auth, limits)
    }

    fn of(gateway: Arc<Gateway>, auth: &config::Auth, mut limits: Limits) -> Self {
        gateway.settings().fit(&mut limits);
        let auth = Arc::new(Auth::new(auth).unwrap());
        let origins = Origins::new(&config::Origins::Loopback).unwrap();
        let admission = Admission::new(Arc::clone(&gateway), Arc::clone(&auth), origins);
        let for_workers = Arc::clone(&gateway);
        let running = Server::new(move |_, handle| {
            WorkerHandler::new(Arc::clone(&for_workers), Arc::clone(&auth), handle)
        })
        .admit(admission)
        .limits(limits)
        .workers(WORKERS)
        .listen("127.0.0.1:0")
        .unwrap()
        .start()
        .unwrap();
        let address = running.addresses()[0];
        Self {
            gateway,
            running,
            address,
        }
    }

    fn connect(&self, target: &str) -> Client {
        Client::connect(self.address, target)
    }

    fn connect_v1(&self, target: &str) -> Client {
        let client = Opening::new(self.address, target)
            .subprotocols(&["rupor.v1"])
            .open();
        assert_eq!(client.subprotocol(), Some("rupor.v1"));
        client
    }

    fn publish(&self, target: Target, text: &str) -> Result<usize, PublishError> {
        self.publish_except(target, None, text)
    }

    fn publish_except(
        &self,
        target: Target,
        exclude: Option<ConnectionId>,
        text: &str,
    ) -> Result<usize, PublishError> {
        let publish = Publish {
            target,
            exclude,
            body: text.into(),
            compress: true,
            key: None,
            id: None,
        };
        let receipts = self.gateway.publish(&[publish]).now_or_never();
        receipts
            .expect("memory is ready at once")
            .remove(0)
            .map(|receipt| receipt.connections)
    }

    /// Shows that a connection has received nothing but what was read: what comes next is the mark.
    #[track_caller]
    fn expect_silence(&self, clients: &mut [Client]) {
        self.publish(Target::All, "mark").unwrap();
        for client in clients {
            client.expect_text("mark");
        }
    }

    /// Waits until the gateway has noticed that everybody is gone, and that nothing is left.
    #[track_caller]
    fn expect_empty(&self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let counts = self.gateway.counts();
            let left = [
                counts.connections,
                counts.users,
                counts.channels,
                counts.subscriptions,
            ];
            if left == [0; 4] {
                return;
            }
            assert!(Instant::now() < deadline, "left: {left:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.running.handle().stop();
    }
}

fn settings() -> Settings {
    let rule = |name: &str, subscribe, publish| ChannelRule {
        name: name.to_owned(),
        subscribe,
        publish,
        slow: WhenSlow::Disconnect,
        place: format!("rupor.toml:1: {name}"),
    };
    let application = |path: &str, application, subprotocols: &[&str]| ApplicationRule {
        path: path.to_owned(),
        application,
        subprotocols: subprotocols.iter().map(|name| (*name).to_owned()).collect(),
    };
    Settings {
        channels: vec![
            rule("staff", Who::Nobody, Who::Nobody),
            rule("lobby", Who::Anyone, Who::Users),
            rule("team:*", Who::Users, Who::Nobody),
            rule("inbox:{user}", Who::Users, Who::Nobody),
            rule("private-*", Who::Token, Who::Token),
            rule("*", Who::Anyone, Who::Nobody),
        ],
        applications: vec![
            application("/echo", Application::Echo, &["soap"]),
            application("/nothing/*", Application::Echo, &[]),
            application("/chat", Application::Chat, &[]),
            application("/", Application::Chat, &[]),
        ],
        subprotocols: vec!["wamp".to_owned()],
        loopback_hosts_only: true,
        ..Settings::default()
    }
}

fn user(name: &str) -> Target {
    Target::User(name.into())
}

fn channel(name: &str) -> Target {
    Target::Channel(name.into())
}

/// Identity by a token in the first message.
fn first_message() -> config::Auth {
    config::Auth::jwt(Jwt {
        keys: vec![JwtKey {
            id: None,
            algorithm: JwtAlgorithm::Hs256,
            key: Secret::new(TOKEN_KEY.to_owned()),
        }],
        sources: JwtSources {
            query: false,
            subprotocol: true,
            first_message: true,
        },
        query_parameter: "token".to_owned(),
        user_claim: "sub".to_owned(),
        issuer: None,
        audience: None,
        leeway: Duration::from_secs(30),
    })
}

/// A token with these claims that ends in a minute.
fn channel_token(claims: &serde_json::Value) -> String {
    let mut claims = claims.clone();
    if claims.get("exp").is_none() {
        claims["exp"] = (super::Clock::system().now_ms() / 1000 + 60).into();
    }
    signed(&claims)
}

fn signed(claims: &serde_json::Value) -> String {
    jsonwebtoken::encode(
        &jsonwebtoken::Header::default(),
        claims,
        &jsonwebtoken::EncodingKey::from_secret(TOKEN_KEY.as_bytes()),
    )
    .unwrap()
}

/// A token of this user that ends in so many seconds.
fn token(user: &str, seconds: u64) -> String {
    let exp = super::Clock::system().now_ms() / 1000 + seconds;
    signed(&serde_json::json!({"sub": user, "exp": exp}))
}
