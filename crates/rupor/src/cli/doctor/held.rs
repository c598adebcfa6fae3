//! A test connection that is held: whether something in between ends it before rupor's next ping.

use super::findings::Findings;
use super::tee::Tee;
use crate::cli::url::Stream;
use crate::config::Config;
use rupor_server::WebSocket;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const CHECK: &str = "time-out";

/// Holds the connection for `time`; answers pings and sends nothing of itself.
pub(super) async fn check(
    mut socket: WebSocket<Tee<Box<dyn Stream>>>,
    time: Duration,
    config: &Config,
    findings: &mut Findings,
) {
    let began = Instant::now();
    let ended = async { while socket.recv().await.is_some() {} };
    let is_held = timeout(time, ended).await.is_err();
    let seconds = began.elapsed().as_secs_f32().round();
    let interval =
        Duration::from_millis(config.limits.protocol.ping_interval_ms.into()).as_secs_f32();
    if is_held {
        findings.ok(
            CHECK,
            format!("the connection was held for {seconds} s, with a ping every {interval} s"),
        );
        return;
    }
    match socket.ended() {
        Some(close) if close.clean => {
            let what = format!("rupor closed the connection after {seconds} s with {close:?}");
            findings.warning(CHECK, what, "hold it while rupor is not being restarted");
        }
        _ => {
            let what = format!(
                "the connection was cut after {seconds} s: something in between ends what is silent, and rupor pings every {interval} s"
            );
            let fix = "let the proxy wait for more than twice the pings' interval (nginx: proxy_read_timeout 60s; HAProxy: timeout tunnel), \
                 or lower ping_interval_ms";
            findings.problem(CHECK, what, fix);
        }
    }
}
