//! Lines out of bytes, however they are cut.

use super::{Framer, Item, KEPT_BYTES_MAX, Protocol};
use proptest::prelude::{any, prop, proptest};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Owned {
    Line(Vec<u8>),
    TooLong,
    NotLines(Protocol),
}

fn owned(item: Item<'_>) -> Owned {
    match item {
        Item::Line(line) => Owned::Line(line.to_vec()),
        Item::TooLong => Owned::TooLong,
        Item::NotLines(protocol) => Owned::NotLines(protocol),
    }
}

fn items<'a>(line_bytes_max: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Owned> {
    let mut framer = Framer::new(line_bytes_max);
    let mut found = Vec::new();
    for piece in pieces {
        let mut input = piece;
        while let Some(item) = framer.next(&mut input) {
            found.push(owned(item));
        }
        assert!(input.is_empty());
        assert!(framer.pending.len() <= line_bytes_max + 1);
    }
    found.extend(framer.finish().map(owned));
    assert_eq!(framer.finish(), None);
    found
}

fn whole(bytes: &[u8]) -> Vec<Owned> {
    items(16, [bytes])
}

fn lines(lines: &[&str]) -> Vec<Owned> {
    lines
        .iter()
        .map(|line| Owned::Line(line.as_bytes().to_vec()))
        .collect()
}

#[test]
fn lines_end_with_a_line_feed_or_the_end() {
    for (bytes, expected) in [
        ("", &[] as &[&str]),
        ("{}\n", &["{}"]),
        ("{}\r\n", &["{}"]),
        ("{}", &["{}"]),
        ("{}\r", &["{}"]),
        ("{}\n{}", &["{}", "{}"]),
        ("\n\r\n{}\n\n", &["", "", "{}", ""]),
        ("a\rb\n", &["a\rb"]),
        ("a\r\r\n", &["a\r"]),
        ("a\0b\n", &["a\0b"]),
    ] {
        assert_eq!(whole(bytes.as_bytes()), lines(expected), "{bytes:?}");
    }
}

#[test]
fn the_limit_is_exact_and_the_next_line_works() {
    let at = |length: usize, end: &str| {
        let line = format!("{{{}{end}{{}}\n", "x".repeat(length - 1));
        items(16, [line.as_bytes()])
    };
    for end in ["\n", "\r\n"] {
        assert_eq!(
            at(16, end)[0],
            Owned::Line(format!("{{{}", "x".repeat(15)).into_bytes())
        );
        for length in [17, 18, 19, 1000] {
            let expected = [Owned::TooLong, Owned::Line(b"{}".to_vec())];
            assert_eq!(at(length, end), expected, "{length} {end:?}");
        }
    }
    // The last line has no end.
    assert_eq!(items(2, [b"{}".as_slice()]), lines(&["{}"]));
    assert_eq!(items(2, [b"{}\r".as_slice()]), lines(&["{}"]));
    assert_eq!(items(2, [b"{}x".as_slice()]), [Owned::TooLong]);
    assert_eq!(items(2, [b"{}xyz".as_slice()]), [Owned::TooLong]);
    // Twice in a row, and then a good one.
    let twice = [Owned::TooLong, Owned::TooLong, Owned::Line(b"{}".to_vec())];
    assert_eq!(items(2, [b"{xxx\n{yyyyyy\n{}\n".as_slice()]), twice);
}

#[test]
fn a_first_line_of_http_ends_everything() {
    for first in [
        "GET / HTTP/1.1",
        "POST /api?x=y HTTP/1.0",
        "PUT http://a/ HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT a:1 HTTP/1.1",
        "PRI * HTTP/2.0",
        "X-own!#$%&'*+.^_`|~1 / HTTP/1.1",
        "get / http/1.1",
        "GET  /  HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/\tHTTP/1.1",
        "  GET / HTTP/1.1",
    ] {
        for end in ["\r\n", "\n"] {
            let bytes = format!("{first}{end}Host: a{end}{end}{{}}\n{{}}\n");
            let cut = [Owned::NotLines(Protocol::Http)];
            assert_eq!(items(64, [bytes.as_bytes()]), cut, "{first}");
            // Blank lines before it, in their own pieces, change nothing.
            let mut blank = lines(&["", ""]);
            blank.extend(cut);
            assert_eq!(
                items(64, [b"\r\n\n".as_slice(), bytes.as_bytes()]),
                blank,
                "{first}"
            );
        }
        let cut = [Owned::NotLines(Protocol::Http)];
        assert_eq!(items(64, [first.as_bytes()]), cut, "no line end");
    }
}

#[test]
fn a_long_first_line_is_not_a_way_around() {
    let long = format!("POST /{} HTTP/1.1\r\n\r\n{{}}\n", "a".repeat(100));
    assert_eq!(whole(long.as_bytes()), [Owned::NotLines(Protocol::Http)]);
    // In pieces, so that nothing of the method is in the piece that goes over the limit.
    let pieces = long.as_bytes().chunks(3);
    assert_eq!(items(16, pieces), [Owned::NotLines(Protocol::Http)]);
    // Without a space it is only a long line.
    let long = format!("{}\n{{}}\n", "a".repeat(100));
    assert_eq!(
        whole(long.as_bytes()),
        [Owned::TooLong, Owned::Line(b"{}".to_vec())]
    );
    let spaces = format!("{}GET / HTTP/1.1\n{{}}\n", " ".repeat(100));
    // So many spaces that the method is out of sight: the rest is skipped up to the line's end, and the next line is
    // not asked any more. No browser sends white space before the method.
    assert_eq!(
        whole(spaces.as_bytes()),
        [Owned::TooLong, Owned::Line(b"{}".to_vec())]
    );
}

#[test]
fn binary_protocols_are_cut_at_their_first_byte() {
    for first in [
        b"\x16\x03\x01\x02\x00".as_slice(),
        b"\x00\x03\x00\x08",
        b"\x7f",
        b"\x01",
    ] {
        let binary = [Owned::NotLines(Protocol::Binary)];
        assert_eq!(whole(first), binary, "{first:?}");
        let mut framer = Framer::new(16);
        let mut input = &first[..1];
        assert_eq!(
            framer.next(&mut input),
            Some(Item::NotLines(Protocol::Binary))
        );
        let mut input = b"\n{}\n".as_slice();
        assert_eq!(framer.next(&mut input), None);
        assert_eq!(framer.finish(), None);
    }
}

#[test]
fn what_is_merely_wrong_is_a_line() {
    for first in [
        "hello",
        "hello world",
        "GET /",
        "GET / HTTP",
        "HTTP/1.1 200 OK",
        "GET/ HTTP/1.1x",
        "{\"user\":\"a\",\"message\":\"GET / HTTP/1.1\"}",
        "{ / HTTP/1.1",
        "\"GET / HTTP/1.1\"",
        "ы / HTTP/1.1",
        "true",
    ] {
        if first == "GET/ HTTP/1.1x" {
            // Method `GET/`: a slash is no token.
            assert!(!super::looks_like_http(first.as_bytes()));
        }
        let found = items(64, [format!("{first}\n{{}}\n").as_bytes()]);
        assert_eq!(found, lines(&[first, "{}"]), "{first}");
    }
    // Only the first line is asked.
    let later = items(64, [b"{}\nGET / HTTP/1.1\n\x16\n{}\n".as_slice()]);
    assert_eq!(later, lines(&["{}", "GET / HTTP/1.1", "\u{16}", "{}"]));
}

#[test]
fn a_long_line_does_not_keep_its_buffer() {
    let mut framer = Framer::new(1 << 20);
    let long = vec![b'{'; 1 << 20];
    let mut input = long.as_slice();
    assert_eq!(framer.next(&mut input), None);
    let mut input = b"\n".as_slice();
    assert!(matches!(framer.next(&mut input), Some(Item::Line(line)) if line.len() == 1 << 20));
    let mut input = [].as_slice();
    assert_eq!(framer.next(&mut input), None);
    assert!(framer.pending.capacity() <= KEPT_BYTES_MAX);
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_lines(
        bytes in prop::collection::vec(
            prop::sample::select(b"{}\n\r aGET/HP1.\x16".to_vec()), 0..200,
        ),
        cuts in prop::collection::vec(0_usize..200, 0..20),
    ) {
        let expected = items(16, [bytes.as_slice()]);
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let mut begin = 0;
        let pieces: Vec<&[u8]> = cuts
            .into_iter()
            .map(|cut| {
                let piece = &bytes[begin..cut];
                begin = cut;
                piece
            })
            .collect();
        assert_eq!(items(16, pieces), expected);
        assert_eq!(items(16, bytes.chunks(1)), expected);
    }

    #[test]
    fn lines_are_what_splitting_says(text in "[a-z{}]{0,10}(\n[a-z{}]{0,10}){0,8}") {
        let mut expected: Vec<&str> = text.split('\n').collect();
        if expected.last() == Some(&"") {
            expected.pop();
        }
        assert_eq!(whole(text.as_bytes()), lines(&expected));
    }

    #[test]
    fn no_bytes_panic(pieces in any::<Vec<Vec<u8>>>(), limit in 0_usize..8) {
        let _ = items(limit, pieces.iter().map(Vec::as_slice));
    }
}
