//! What PHP alone costs, without a gateway: the floors of handlers. Measures itself and prints what came of it as JSON, with the
//! names of `rupor bench --json`.
//!
//! ```text
//! peer-handlers pipe WARMUP_MS DURATION_MS IN_FLIGHT PAYLOAD_BYTES COMMAND…
//! peer-handlers fastcgi WARMUP_MS DURATION_MS CONNECTIONS PAYLOAD_BYTES SOCKET SCRIPT
//! ```

mod fastcgi;
mod pipe;

use std::error::Error;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// When it is measured, and what comes of it.
struct Measured {
    from: Instant,
    until: Instant,
    /// Replies of the warm-up too.
    replies: u64,
    latencies_ns: Vec<u64>,
}

impl Measured {
    fn new(warmup: Duration, duration: Duration) -> Self {
        let from = Instant::now() + warmup;
        Self {
            from,
            until: from + duration,
            replies: 0,
            latencies_ns: Vec::new(),
        }
    }

    /// A reply came to what was sent then; `false`: it is over.
    fn reply(&mut self, sent: Instant) -> bool {
        let now = Instant::now();
        self.replies += 1;
        if now >= self.from && now < self.until {
            let latency = u64::try_from((now - sent).as_nanos()).unwrap_or(u64::MAX);
            self.latencies_ns.push(latency);
        }
        now < self.until
    }

    fn print(mut self) {
        self.latencies_ns.sort_unstable();
        let count = self.latencies_ns.len();
        let at = |share: f64| {
            let index = (count as f64 * share) as usize;
            self.latencies_ns
                .get(index)
                .map_or(0.0, |ns| *ns as f64 / 1e3)
        };
        let rate = count as f64 / (self.until - self.from).as_secs_f64();
        println!(
            "{{\"messages\":{count},\"messages_per_s\":{rate},\"latency\":{{\"p50_us\":{},\"p99_us\":{}}},\
             \"cpu_us_per_message\":{},\"error\":null}}",
            at(0.5),
            at(0.99),
            cpu_us() as f64 / self.replies as f64,
        );
    }
}

/// CPU time of this process so far, in microseconds; zero where the system does not tell.
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which may have spaces, user and system time are the 12th and 13th, in hundredths of a second.
    let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
    let times = fields.split_whitespace().skip(11).take(2);
    times
        .filter_map(|time| time.parse::<u64>().ok())
        .sum::<u64>()
        * 10_000
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, warmup, duration, many, payload, rest @ ..] = arguments.as_slice() else {
        return Err("see the first lines of main.rs".into());
    };
    let milliseconds = |text: &str| text.parse().map(Duration::from_millis);
    let measured = Measured::new(milliseconds(warmup)?, milliseconds(duration)?);
    let (many, payload) = (many.parse()?, "x".repeat(payload.parse()?));
    let measured = match (kind.as_str(), rest) {
        ("pipe", [program, arguments @ ..]) => {
            pipe::run(measured, many, &payload, program, arguments)?
        }
        ("fastcgi", [socket, script]) => fastcgi::run(measured, many, &payload, socket, script)?,
        _ => return Err("see the first lines of main.rs".into()),
    };
    measured.print();
    Ok(())
}
