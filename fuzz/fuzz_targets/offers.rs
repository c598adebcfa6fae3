//! `Sec-WebSocket-Extensions`: what breaks the grammar fails an upgrade and nothing else does, what is
//! answered is right by the grammar and by the offer, and our client and our server come to the same
//! agreement.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rupor_fuzz::{ends::upgrade, grammar::is_extension_list};
use rupor_proto::handshake::{
    ClientHandshake, HandshakeError, HeadLimits, parse_request, write_response_with,
};
use rupor_proto::{DeflateAgreement, DeflateConfig, DeflateOffer};

fuzz_target!(|bytes: &[u8]| {
    let Some((settings, lines)) = bytes.split_first_chunk::<4>() else {
        return;
    };
    let (ours, theirs) = (
        config(settings[0], settings[1]),
        config(settings[2], settings[3]),
    );
    both(&ours, &theirs);
    any(&ours, lines);
});

fn config(flags: u8, windows: u8) -> DeflateConfig {
    DeflateConfig {
        server_no_context_takeover: flags & 1 != 0,
        client_no_context_takeover: flags & 2 != 0,
        server_window_bits_max: windows & 15,
        client_window_bits_max: windows >> 4,
        ..DeflateConfig::default()
    }
}

/// Our client's offer and our server's answer.
fn both(server: &DeflateConfig, client: &DeflateConfig) {
    let handshake = ClientHandshake::new("example.org", "/", [7; 16], &[], &[]);
    let mut handshake = handshake.expect("a right request").offer_deflate(client);
    let (request, _) = parse_request(handshake.request(), &HeadLimits::default())
        .expect("a right request")
        .expect("whole");
    let upgrade = request.upgrade().expect("a right request");
    let agreed = server.accept(&upgrade.deflate_offers, None);
    let mut response = Vec::new();
    write_response_with(&upgrade, None, agreed.as_ref(), &[], &mut response)
        .expect("it answers the offer");
    let accepted = handshake.receive(&response);
    let (accepted, _) = accepted.expect("a right answer").expect("whole");
    match (accepted.deflate, agreed) {
        (None, None) => {}
        (Some(client), Some(server)) => {
            assert_eq!(terms(&client).0, terms(&server).0);
            // Each side may hold itself to less than was agreed, never take the other for less.
            let (client, server) = (terms(&client).1, terms(&server).1);
            assert!(client.1 >= server.1 || client.0 >= server.0);
        }
        other => panic!("{other:?}"),
    }
}

/// Context takeover and windows, the server's first.
fn terms(agreed: &DeflateAgreement) -> (bool, (u8, u8)) {
    let windows = (
        agreed.server_max_window_bits(),
        agreed.client_max_window_bits(),
    );
    (agreed.server_context_takeover(), windows)
}

/// Any header lines at all.
fn any(config: &DeflateConfig, lines: &[u8]) {
    let lines: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').collect();
    let upgrade = match (upgrade(&lines), is_extension_list(&lines.join(&b','))) {
        (Ok(upgrade), true) => upgrade,
        (Err(HandshakeError::BadExtensions), false) => return,
        other => panic!("{other:?}"),
    };
    assert!(upgrade.deflate_offers.len() <= DeflateOffer::OFFERS_MAX);
    let Some(agreed) = config.accept(&upgrade.deflate_offers, None) else {
        return;
    };
    let mut response = Vec::new();
    write_response_with(&upgrade, None, Some(&agreed), &[], &mut response)
        .expect("it answers an offer");
    let answer = granted(&agreed.to_string());
    let fits = |offer: &DeflateOffer| {
        // RFC 7692 §7.1.1.1, §7.1.2.1, §7.1.2.2.
        (!offer.server_no_context_takeover || answer.server_no_context_takeover)
            && offer
                .server_max_window_bits
                .is_none_or(|bits| answer.server_bits.is_some_and(|granted| granted <= bits))
            && match (answer.client_bits, offer.client_max_window_bits) {
                (Some(granted), Some(bits)) => granted <= bits,
                (Some(_), None) => false,
                (None, _) => true,
            }
    };
    assert!(upgrade.deflate_offers.iter().any(fits), "{agreed}");
    assert_eq!(
        answer.server_no_context_takeover,
        !agreed.server_context_takeover()
    );
    assert_eq!(
        answer.client_no_context_takeover,
        !agreed.client_context_takeover()
    );
    assert_eq!(
        answer.server_bits.unwrap_or(15),
        agreed.server_max_window_bits()
    );
    assert_eq!(
        answer.client_bits.unwrap_or(15),
        agreed.client_max_window_bits()
    );
}

#[derive(Default)]
struct Granted {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_bits: Option<u8>,
    client_bits: Option<u8>,
}

/// Reads a response by the grammar of RFC 7692 §7.1.
fn granted(value: &str) -> Granted {
    let mut parts = value.split("; ");
    assert_eq!(parts.next(), Some("permessage-deflate"));
    let mut granted = Granted::default();
    let mut seen = Vec::new();
    for part in parts {
        let (name, number) = match part.split_once('=') {
            Some((name, number)) => (name, Some(number.parse::<u8>().expect("a number"))),
            None => (part, None),
        };
        assert!(!seen.contains(&name), "twice");
        seen.push(name);
        assert!(number.is_none_or(|bits| (8..=15).contains(&bits)));
        match (name, number) {
            ("server_no_context_takeover", None) => granted.server_no_context_takeover = true,
            ("client_no_context_takeover", None) => granted.client_no_context_takeover = true,
            ("server_max_window_bits", Some(bits)) => granted.server_bits = Some(bits),
            ("client_max_window_bits", Some(bits)) => granted.client_bits = Some(bits),
            _ => panic!("{part}"),
        }
    }
    granted
}
