//! The opening side: from an accepted connection to an admitted upgrade, or to the HTTP service.

mod tls;

pub use tls::Tls;
