//! The hub's limits: one table.

/// Bounds of everything that the hub keeps. [`Limits::default`] is what the README's table shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Channels with at least one subscription, on this node.
    pub channels_max: usize,
    /// Channels that one connection may listen to.
    pub subscriptions_per_connection_max: usize,
    /// Connections that one user may have open on this node.
    pub connections_per_user_max: usize,
    /// Connections that may have come with the same cookie value. The next one opens too, but that cookie value does
    /// not find it: a cookie is the browser's claim, and must not be able to keep others out.
    pub connections_per_cookie_max: usize,
    /// Users that one publication may name.
    pub users_per_publication_max: usize,
    /// Length of a channel's name, in bytes.
    pub channel_name_bytes_max: usize,
    /// Length of a user's name, in bytes.
    pub user_name_bytes_max: usize,
    /// Length of a cookie value that is remembered, in bytes; a longer one is not.
    pub cookie_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            channels_max: 1_000_000,
            subscriptions_per_connection_max: 128,
            connections_per_user_max: 10_000,
            connections_per_cookie_max: 10_000,
            users_per_publication_max: 1_000,
            channel_name_bytes_max: 200,
            user_name_bytes_max: 200,
            cookie_bytes_max: 256,
        }
    }
}
