//! Sessions as PHP writes them: any bytes are read or refused, a session that breaks off is never taken for a whole one, and
//! in what was written from a tree the reader finds what stands in the tree.
#![no_main]

#[allow(dead_code, reason = "the program uses all of it")]
#[path = "../../crates/rupor/src/auth/session/serialized.rs"]
mod serialized;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use serialized::{Format, Path, Value, find, unwrap_text};

/// Deeper trees are cut: how deep is too deep has a test of its own.
const DEPTH_MAX: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
enum Key {
    Integer(i64),
    Letter(u8),
}

#[derive(Debug, Arbitrary)]
enum Node<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(&'a [u8]),
    Array(Vec<(Key, Node<'a>)>),
    Object(Vec<(Key, Node<'a>)>),
    Custom(&'a [u8]),
    Enumeration,
    Reference(u32),
}

fuzz_target!(|bytes: &[u8]| {
    any(bytes);
    if let Ok(root) = Vec::<(Key, Node)>::arbitrary(&mut Unstructured::new(bytes)) {
        written(&root);
    }
});

fn any(bytes: &[u8]) {
    for path in ["a", "user.id", "login_*", "*", "0.0.0"] {
        let path = Path::new(path).expect("a path");
        for format in [Format::Php, Format::PhpSerialize] {
            let found = find(bytes, format, &path);
            if format == Format::PhpSerialize && found.is_ok() {
                let cut = &bytes[..bytes.len() - 1];
                assert!(
                    find(cut, format, &path).is_err(),
                    "it is whole before its end"
                );
            }
        }
    }
    if let Ok(Some(text)) = unwrap_text(bytes) {
        assert!(text.len() + 5 <= bytes.len());
    }
}

fn written(root: &[(Key, Node)]) {
    let mut one = Vec::new();
    array(root, 0, &mut one);
    let mut php = Vec::new();
    for (key, node) in root {
        php.extend(name(*key).bytes());
        php.push(b'|');
        write(node, 1, &mut php);
    }
    for (key, _) in root {
        // As in PHP, of two with the same name the last counts.
        let same = |(other, _): &&(Key, Node)| name(*other) == name(*key);
        let last = root.iter().rev().find(same).map(|(_, node)| node);
        let expected = value(last.expect("it is there"));
        let path = Path::new(&name(*key)).expect("a path");
        assert_eq!(find(&php, Format::Php, &path), Ok(expected));
        let ambiguous = root
            .iter()
            .any(|(other, _)| other != key && name(*other) == name(*key));
        if !ambiguous {
            assert_eq!(find(&one, Format::PhpSerialize, &path), Ok(expected));
        }
        if let Some(Node::Array(inner)) = last {
            for (key_below, below) in inner {
                let path = Path::new(&format!("{}.{}", name(*key), name(*key_below)));
                let twice = inner
                    .iter()
                    .filter(|(other, _)| name(*other) == name(*key_below));
                if twice.count() == 1 {
                    let found = find(&php, Format::Php, &path.expect("a path"));
                    assert_eq!(found, Ok(value(below)));
                }
            }
        }
    }
}

fn name(key: Key) -> String {
    match key {
        Key::Integer(number) => number.to_string(),
        Key::Letter(letter) => char::from(b'a' + letter % 26).to_string(),
    }
}

/// What the reader should say of a node.
fn value<'a>(node: &Node<'a>) -> Value<'a> {
    match node {
        Node::Null | Node::Bool(false) => Value::Nothing,
        Node::Integer(number) => Value::Integer(*number),
        Node::Text(text) => Value::Text(text),
        _ => Value::Other,
    }
}

fn array(entries: &[(Key, Node)], depth: usize, out: &mut Vec<u8>) {
    let entries = if depth >= DEPTH_MAX { &[] } else { entries };
    out.extend(format!("a:{}:{{", entries.len()).bytes());
    for (key, node) in entries {
        match key {
            Key::Integer(number) => out.extend(format!("i:{number};").bytes()),
            Key::Letter(_) => out.extend(format!("s:1:\"{}\";", name(*key)).bytes()),
        }
        write(node, depth + 1, out);
    }
    out.push(b'}');
}

fn write(node: &Node, depth: usize, out: &mut Vec<u8>) {
    match node {
        Node::Null => out.extend(b"N;"),
        Node::Bool(yes) => out.extend(format!("b:{};", u8::from(*yes)).bytes()),
        Node::Integer(number) => out.extend(format!("i:{number};").bytes()),
        Node::Float(float) if float.is_nan() => out.extend(b"d:NAN;"),
        Node::Float(float) if float.is_infinite() => out.extend(b"d:-INF;"),
        Node::Float(float) => out.extend(format!("d:{float:E};").bytes()),
        Node::Text(text) => {
            out.extend(format!("s:{}:\"", text.len()).bytes());
            out.extend(*text);
            out.extend(b"\";");
        }
        Node::Array(entries) => array(entries, depth, out),
        Node::Object(entries) => {
            out.extend(b"O:1:\"A\":");
            let mut inner = Vec::new();
            array(entries, depth, &mut inner);
            out.extend(&inner[2..]);
        }
        Node::Custom(bytes) => {
            out.extend(format!("C:1:\"A\":{}:{{", bytes.len()).bytes());
            out.extend(*bytes);
            out.push(b'}');
        }
        Node::Enumeration => out.extend(b"E:3:\"A:b\";"),
        Node::Reference(number) => out.extend(format!("R:{};", number.max(&1)).bytes()),
    }
}
