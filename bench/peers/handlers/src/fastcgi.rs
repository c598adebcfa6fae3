//! A bare FastCGI client: kept connections to php-fpm, a request at a time on each, with the variables that the gateway sends.

use crate::{Measured, Result};
use std::io::{BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Instant;

const BEGIN: u8 = 1;
const END: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const HEAD_BYTES: usize = 8;

pub fn run(
    mut measured: Measured,
    connections: usize,
    payload: &str,
    socket: &str,
    script: &str,
) -> Result<Measured> {
    let request = request(payload, script)?;
    let (from, until) = (measured.from, measured.until);
    let all = thread::scope(|scope| {
        let one = || {
            let mine = Measured {
                from,
                until,
                replies: 0,
                latencies_ns: Vec::new(),
            };
            ask(mine, UnixStream::connect(socket)?, &request, payload)
        };
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(one)).collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended
            .map(|ended| ended.map_err(|_| "a thread panicked")?)
            .collect::<Result<Vec<_>>>()
    })?;
    for one in all {
        measured.replies += one.replies;
        measured.latencies_ns.extend(one.latencies_ns);
    }
    Ok(measured)
}

fn ask(
    mut measured: Measured,
    stream: UnixStream,
    request: &[u8],
    payload: &str,
) -> Result<Measured> {
    let mut reader = BufReader::with_capacity(64 * 1024, stream.try_clone()?);
    let mut writer = stream;
    let mut answer = Vec::new();
    loop {
        let sent = Instant::now();
        writer.write_all(request)?;
        answer.clear();
        loop {
            let mut head = [0; HEAD_BYTES];
            reader.read_exact(&mut head)?;
            let [_, kind, _, _, high, low, padding, _] = head;
            let length = usize::from(u16::from_be_bytes([high, low]));
            let before = answer.len();
            answer.resize(before + length + usize::from(padding), 0);
            reader.read_exact(&mut answer[before..])?;
            answer.truncate(if kind == STDOUT {
                before + length
            } else {
                before
            });
            if kind == END {
                break;
            }
        }
        let text = String::from_utf8_lossy(&answer);
        if !text.ends_with(&format!("[{{\"do\":\"send\",\"message\":\"{payload}\"}}]")) {
            return Err(format!("php-fpm answers {text}").into());
        }
        if !measured.reply(sent) {
            return Ok(measured);
        }
    }
}

/// What the gateway sends for a message.
fn request(payload: &str, script: &str) -> Result<Vec<u8>> {
    let (root, name) = script
        .rsplit_once('/')
        .ok_or("the script's full path, please")?;
    let length = payload.len().to_string();
    let (name, agent) = (format!("/{name}"), "rupor-bench");
    let params = [
        ("GATEWAY_INTERFACE", "FastCGI/1.0"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_SOFTWARE", agent),
        ("REQUEST_METHOD", "POST"),
        ("SCRIPT_FILENAME", script),
        ("SCRIPT_NAME", &name),
        ("DOCUMENT_ROOT", root),
        ("DOCUMENT_URI", &name),
        ("REQUEST_URI", "/"),
        ("QUERY_STRING", ""),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_PORT", "50000"),
        ("SERVER_NAME", "127.0.0.1"),
        ("CONTENT_TYPE", "text/plain; charset=utf-8"),
        ("CONTENT_LENGTH", &length),
        ("RUPOR_EVENT", "message"),
        ("RUPOR_CONNECTION", "0123456789abcdef"),
        ("RUPOR_TYPE", "text"),
        ("HTTP_HOST", "127.0.0.1:50000"),
        ("HTTP_CONNECTION", "Upgrade"),
        ("HTTP_UPGRADE", "websocket"),
        ("HTTP_SEC_WEBSOCKET_VERSION", "13"),
        ("HTTP_SEC_WEBSOCKET_KEY", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let mut pairs = Vec::new();
    for (name, value) in params {
        for text in [name, value] {
            // Lengths of 128 and more have four bytes and the highest bit.
            let length = u32::try_from(text.len())?;
            match u8::try_from(length) {
                Ok(length) if length < 128 => pairs.push(length),
                _ => pairs.extend_from_slice(&(length | 1 << 31).to_be_bytes()),
            }
        }
        pairs.extend_from_slice(name.as_bytes());
        pairs.extend_from_slice(value.as_bytes());
    }
    let mut bytes = Vec::new();
    // A responder (1) whose connection is kept (1).
    record(&mut bytes, BEGIN, &[0, 1, 1, 0, 0, 0, 0, 0])?;
    record(&mut bytes, PARAMS, &pairs)?;
    record(&mut bytes, PARAMS, &[])?;
    record(&mut bytes, STDIN, payload.as_bytes())?;
    record(&mut bytes, STDIN, &[])?;
    Ok(bytes)
}

fn record(out: &mut Vec<u8>, kind: u8, content: &[u8]) -> Result<()> {
    let [high, low] = u16::try_from(content.len())?.to_be_bytes();
    out.extend_from_slice(&[1, kind, 0, 1, high, low, 0, 0]);
    out.extend_from_slice(content);
    Ok(())
}
