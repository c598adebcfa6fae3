//! The server's `101` (RFC 6455 §4.2.2).

use alloc::vec::Vec;

use super::Upgrade;
use crate::ApiMisuse;

/// Appends the `101 Switching Protocols` that accepts `upgrade`. At an error nothing is appended.
pub fn write_response(
    upgrade: &Upgrade,
    subprotocol: Option<&str>,
    headers: &[(&str, &str)],
    out: &mut Vec<u8>,
) -> Result<(), ApiMisuse> {
    let _ = (upgrade, subprotocol, headers, out);
    unimplemented!()
}
