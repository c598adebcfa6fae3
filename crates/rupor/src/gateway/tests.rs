//! Tests over sockets.
