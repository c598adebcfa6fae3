//! What is printed of what came.

use rupor_proto::{Close, Initiator, Message};
use std::borrow::Cow;
use std::io::{self, Write};

/// How much of a binary message is shown, in bytes.
const SHOWN_BYTES_MAX: usize = 32;

/// Where messages are printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    /// A terminal: control characters are shown and not carried out. Otherwise text is printed as it came.
    pub(super) for_people: bool,
}

impl Output {
    /// Prints a message.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub(super) fn message(self, message: Message<'_>) -> io::Result<()> {
        let line = match message {
            Message::Text(text) if self.for_people => printable(text),
            Message::Text(text) => Cow::Borrowed(text),
            Message::Binary(bytes) => Cow::Owned(binary(bytes)),
        };
        let mut output = io::stdout().lock();
        writeln!(output, "{line}")?;
        output.flush()
    }
}

/// Text whose control characters cannot do anything to a terminal.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let is_harmless = |character: char| {
        !character.is_control()
            && !matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().map(|character| {
        if is_harmless(character) {
            character.to_string()
        } else {
            character.escape_default().to_string()
        }
    });
    Cow::Owned(escaped.collect())
}

fn binary(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    let hex: Vec<String> = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    let more = if bytes.len() > shown.len() {
        " …"
    } else {
        ""
    };
    format!("[binary, {} bytes] {}{more}", bytes.len(), hex.join(" "))
}

/// How a connection ended, for people.
pub(super) fn close(close: &Close) -> String {
    let who = match close.initiator {
        Initiator::Local => "by us",
        Initiator::Peer => "by the server",
    };
    let reason = if close.reason.is_empty() {
        String::new()
    } else {
        format!(": {}", printable(&close.reason))
    };
    let broken = close
        .error
        .map(|error| format!("; {error}"))
        .unwrap_or_default();
    format!(
        "closed {who}, code {} ({}){reason}{broken}",
        close.code,
        close.code.meaning()
    )
}

#[cfg(test)]
mod tests {
    use super::{SHOWN_BYTES_MAX, binary, close, printable};
    use rupor_proto::{Close, CloseCode, Initiator};

    #[test]
    fn control_characters_do_nothing_to_a_terminal() {
        assert_eq!(printable("Анна 😀"), "Анна 😀");
        assert_eq!(
            printable("a\x1b[31m\n\u{202e}b\u{7f}"),
            "a\\u{1b}[31m\\n\\u{202e}b\\u{7f}"
        );
    }

    #[test]
    fn binary_is_shown_by_length_and_begin() {
        assert_eq!(binary(&[]), "[binary, 0 bytes] ");
        assert_eq!(binary(&[0, 255]), "[binary, 2 bytes] 00 ff");
        assert!(!binary(&[0; SHOWN_BYTES_MAX]).ends_with('…'));
        let long = binary(&[0; SHOWN_BYTES_MAX + 1]);
        assert!(
            long.starts_with("[binary, 33 bytes] 00 ") && long.ends_with(" 00 …"),
            "{long}"
        );
    }

    #[test]
    fn a_close_is_told_with_code_meaning_and_reason() {
        let mut ended = Close {
            code: CloseCode::NORMAL,
            reason: String::new(),
            initiator: Initiator::Local,
            clean: true,
            error: None,
        };
        assert_eq!(close(&ended), "closed by us, code 1000 (normal closure)");
        ended.initiator = Initiator::Peer;
        ended.code = CloseCode::new(4001);
        ended.reason = "signed\nout".to_owned();
        let text = close(&ended);
        assert!(
            text.starts_with("closed by the server, code 4001 ("),
            "{text}"
        );
        assert!(text.ends_with(": signed\\nout"), "{text}");
    }
}
