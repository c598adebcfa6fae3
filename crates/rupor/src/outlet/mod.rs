//! The application on a path.
