//! The numbers at `/metrics`.
