//! Length-prefixed frames to one process and back, over a stream pair that is its descriptor 3.

use crate::{Measured, Result};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Instant;

/// As the gateway starts its processes.
const SHELL: &str = r#"exec 3<&0 </dev/null; exec "$@""#;
const BUFFER_BYTES: usize = 256 * 1024;

pub fn run(
    mut measured: Measured,
    in_flight: usize,
    payload: &str,
    program: &str,
    arguments: &[String],
) -> Result<Measured> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let mut child = Command::new("/bin/sh")
        .args(["-c", SHELL, "peer-handlers", program])
        .args(arguments)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()?;
    let mut frame = u32::try_from(payload.len())?.to_be_bytes().to_vec();
    frame.extend_from_slice(payload.as_bytes());
    let mut sent = VecDeque::new();
    let mut bytes = vec![0; BUFFER_BYTES];
    let mut kept = 0;
    let mut replies = in_flight;
    let mut goes_on = true;
    while goes_on {
        // As many as came back go out again, by one write.
        sent.extend(std::iter::repeat_n(Instant::now(), replies));
        ours.write_all(&frame.repeat(replies))?;
        let count = ours.read(&mut bytes[kept..])?;
        if count == 0 {
            return Err("the process ended".into());
        }
        let end = kept + count;
        replies = end / frame.len();
        for reply in bytes[..end].chunks_exact(frame.len()) {
            if reply != frame {
                return Err("another frame came back".into());
            }
            goes_on &= measured.reply(sent.pop_front().ok_or("too many came back")?);
        }
        bytes.copy_within(replies * frame.len()..end, 0);
        kept = end - replies * frame.len();
    }
    drop(ours);
    child.kill()?;
    child.wait()?;
    Ok(measured)
}
