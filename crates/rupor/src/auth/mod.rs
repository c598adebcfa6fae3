//! Who a connection is.
