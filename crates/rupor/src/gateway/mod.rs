//! The glue between `rupor-server` and `rupor-hub`.
