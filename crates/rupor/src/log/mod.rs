//! Log lines on standard error. Text that came from a peer passes through [`peer`] before it is logged.

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
