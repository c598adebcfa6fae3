//! The chat of demo mode: names, join and leave, lines of text, the last lines for whoever joins.
//!
//! # Frames
//!
//! The browser sends a line as a plain text frame: the line itself, no JSON. The chat sends JSON text frames:
//!
//! ```json
//! {"type":"hello","you":"anna","connection":"01a4…16 hex digits","online":["anna","boris"],"history":[{"user":"boris","text":"hi","at":1700000000000}]}
//! {"type":"join","user":"boris","online":2}
//! {"type":"leave","user":"boris","online":1}
//! {"type":"message","user":"boris","text":"hi","at":1700000000000}
//! {"type":"error","text":"not so fast: 5 lines at once, then one a second"}
//! ```
//!
//! - `hello` comes first and once, to whoever joined. `you` is the name that the others see: the connection's user, or
//!   `guest-…` when it has none. `online` is sorted, has each name once, includes `you` and is cut at 100 names.
//!   `history` is oldest first, at most 50 lines.
//! - `join` and `leave` come when a *name* comes and goes: a second tab of the same user is neither. `online` counts
//!   names. Whoever joins does not receive its own `join`.
//! - `message` comes to everybody in the chat, its sender too. `at` is milliseconds since 1970.
//! - `error` comes to the sender only; the connection stays.
//!
//! One joins at opening on the path `/chat`; on other paths with the first line sent, so that a page that only listens
//! gets exactly what the site sends, and nothing of the chat.
