//! Log lines on standard error. Text that came from a peer passes through [`peer`] before it is logged; what else is logged,
//! an error of a database's among it, through [`printed`]: nothing that is logged begins a line of its own, or tells a terminal what to do.

mod sparing;
mod writer;

pub(crate) use sparing::Sparing;

use crate::config::LogFormat;
use std::fmt;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format;
use writer::Writer;

/// The log; at its end what was logged is written, if somebody reads it.
#[derive(Debug)]
pub(crate) struct Log(Writer);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// Sends the log to standard error. `filter` has been checked by the configuration. Called once; a second call changes
/// nothing.
pub(crate) fn init(filter: &str, format: LogFormat) -> Log {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = Log(Writer::to(std::io::stderr()));
    let writer = log.0.clone();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would be told on standard error, and the program would panic where that is closed.
        .log_internal_errors(false)
        .with_writer(move || writer.clone());
    // An error says that a log is there already, which is what is wanted.
    let _ = match format {
        LogFormat::Text => builder
            .fmt_fields(fields())
            .with_ansi(is_colourful(&std::io::stderr()))
            .try_init(),
        LogFormat::Json => builder
            .with_ansi(false)
            .json()
            .flatten_event(true)
            .try_init(),
    };
    log
}

/// Writes the message and `name=value` for what goes with it.
fn fields() -> impl for<'w> FormatFields<'w> {
    let write = |writer: &mut format::Writer<'_>, field: &Field, value: &dyn fmt::Debug| {
        let shown = printed(&format!("{value:?}"));
        match field.name() {
            "message" => writer.write_str(&shown),
            name => write!(writer, "{name}={shown}"),
        }
    };
    format::debug_fn(write).delimited(" ")
}

/// Whether colours are welcome on `output`: it is a terminal, and nobody set `NO_COLOR`.
pub(crate) fn is_colourful(output: &impl std::io::IsTerminal) -> bool {
    output.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Longest part of a peer's text that a log line shows, in bytes of the escaped form.
pub(crate) const PEER_TEXT_BYTES_MAX: usize = 256;

/// Makes text from a peer safe to log: control characters, bidirectional marks and non-ASCII are escaped, and what is
/// longer than [`PEER_TEXT_BYTES_MAX`] is cut with `…` at its end.
pub(crate) fn peer(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(PEER_TEXT_BYTES_MAX) + 4);
    for character in text.chars() {
        let before = shown.len();
        match character {
            ' '..='~' if character != '\\' && character != '"' => shown.push(character),
            _ => shown.extend(character.escape_default()),
        }
        if shown.len() > PEER_TEXT_BYTES_MAX {
            shown.truncate(before);
            shown.push('…');
            break;
        }
    }
    shown
}

/// Makes a line that a handler printed safe to log: it may hold what a peer chose. Control characters and marks that turn
/// the direction of text are escaped; letters of all languages stay.
pub(crate) fn printed(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if turns || (character.is_control() && character != '\t') {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{PEER_TEXT_BYTES_MAX, fields, peer, printed};
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A database, or a row of an outbox, may say anything.
    #[test]
    fn what_others_say_begins_no_line_and_tells_a_terminal_nothing() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt()
            .fmt_fields(fields())
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let said = "ключ\u{1b}[2J\n2026 ERROR forged\r\u{202e}";
        tracing::subscriber::with_default(log, || {
            let _span = tracing::info_span!("handlers", pool = %said).entered();
            tracing::warn!(number = 7, text = "a", error = %said, "said: {said}");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let shown = "ключ\\u{1b}[2J\\n2026 ERROR forged\\r\\u{202e}";
        let end = format!("said: {shown} number=7 text=\"a\" error={shown}\n");
        assert!(text.ends_with(&end), "{text}");
        assert!(
            text.contains(&format!("handlers{{pool={shown}}}")),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn what_handlers_print_stays_readable_and_harmless() {
        let text = "PHP Warning:  \"ключ\" \u{1b}[2J \u{202e}abc\r";
        let shown = "PHP Warning:  \"ключ\" \\u{1b}[2J \\u{202e}abc\\r";
        assert_eq!(printed(text), shown);
    }

    #[test]
    fn text_of_a_peer_is_escaped() {
        assert_eq!(peer("plain / text?"), "plain / text?");
        let nasty = "a\r\nb\u{1b}[31m\0\u{202e}\u{7f}\u{9b}é\"\\";
        let shown = peer(nasty);
        assert!(
            shown.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
            "{shown:?}"
        );
        assert_eq!(
            shown,
            "a\\r\\nb\\u{1b}[31m\\u{0}\\u{202e}\\u{7f}\\u{9b}\\u{e9}\\\"\\\\"
        );
    }

    #[test]
    fn text_of_a_peer_is_cut() {
        let fits = "x".repeat(PEER_TEXT_BYTES_MAX);
        assert_eq!(peer(&fits), fits);
        let cut = peer(&"x".repeat(PEER_TEXT_BYTES_MAX + 1));
        assert_eq!(cut, format!("{fits}…"));
        assert!(peer(&"\n".repeat(1_000_000)).len() <= PEER_TEXT_BYTES_MAX + "…".len());
    }
}
