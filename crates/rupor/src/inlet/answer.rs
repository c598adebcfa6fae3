//! What a request is answered: one JSON object, the same for lines and for HTTP.
//!
//! `{"ok":true,"connections":2}` or `{"ok":false,"error":"…","code":"…"}`, with the request's `id` at its end if it had
//! one. `error` is for people and may change, `code` is for programs and does not.

use super::request::Id;
use serde_json::to_writer;

/// Appends the answer to a request that was carried out: how many connections it reached.
pub(crate) fn write_ok(out: &mut Vec<u8>, connections: usize, id: Option<&Id>) {
    out.extend_from_slice(b"{\"ok\":true,\"connections\":");
    write_json(out, &connections);
    write_end(out, id);
}

/// Appends the answer to a request that was not.
pub(crate) fn write_error(out: &mut Vec<u8>, code: &str, error: &str, id: Option<&Id>) {
    out.extend_from_slice(b"{\"ok\":false,\"error\":");
    write_json(out, error);
    out.extend_from_slice(b",\"code\":");
    write_json(out, code);
    write_end(out, id);
}

fn write_end(out: &mut Vec<u8>, id: Option<&Id>) {
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        out.extend_from_slice(id.as_json().as_bytes());
    }
    out.push(b'}');
}

fn write_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    if to_writer(&mut *out, value).is_err() {
        // A Vec takes everything, and text and numbers are JSON; there is nothing else to say here.
        out.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use super::{write_error, write_ok};
    use crate::inlet::request::publish;

    #[test]
    fn answers_are_as_the_reference_shows_them() {
        let mut out = Vec::new();
        write_ok(&mut out, 2, None);
        assert_eq!(out, br#"{"ok":true,"connections":2}"#);
        out.clear();
        write_error(&mut out, "no_target", "to \"whom\"?\n", None);
        assert_eq!(
            out,
            br#"{"ok":false,"error":"to \"whom\"?\n","code":"no_target"}"#
        );
    }

    #[test]
    fn an_id_is_repeated_as_it_was_written() {
        for id in [
            "7",
            "-1.50e3",
            r#""a""#,
            r#""\u0041\"""#,
            "18446744073709551616",
        ] {
            let request = publish(format!(r#"{{"all":true,"message":1,"id":{id}}}"#).as_bytes());
            let mut out = Vec::new();
            write_ok(&mut out, 0, request.id.as_ref());
            let expected = format!(r#"{{"ok":true,"connections":0,"id":{id}}}"#);
            assert_eq!(String::from_utf8(out), Ok(expected));
        }
    }
}
