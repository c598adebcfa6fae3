//! The application on a path.

mod chat;
