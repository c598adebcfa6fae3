//! What is measured with: short messages of JSON.

/// Message `n` of a connection, as chats and dashboards send them: about 105 bytes.
pub(crate) fn json(connection: usize, n: usize) -> String {
    format!(
        r#"{{"type":"message","channel":"news","id":{},"user":"user{:03}","text":"the price of item {} is {}.{:02}"}}"#,
        connection * 1000 + n,
        connection * 7 % 500,
        n * 37 % 90,
        connection * 31 % 80 + n,
        n * 13 % 100,
    )
}
