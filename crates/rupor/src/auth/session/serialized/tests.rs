//! What PHP writes and what it does not.

use super::SerializedError::{Ambiguous, Malformed, TooDeep, TooMany, Truncated};
use super::{DEPTH_MAX, Format, Path, SerializedError, VALUES_MAX, Value, find, unwrap_text};

fn php<'a>(session: &'a str, path: &str) -> Result<Value<'a>, SerializedError> {
    find(session.as_bytes(), Format::Php, &Path::new(path).unwrap())
}

fn one<'a>(session: &'a str, path: &str) -> Result<Value<'a>, SerializedError> {
    let path = Path::new(path).unwrap();
    find(session.as_bytes(), Format::PhpSerialize, &path)
}

#[test]
fn a_path_leads_into_arrays_and_nowhere_else() {
    let session = concat!(
        "token|s:2:\"|}\";user|a:3:{s:2:\"id\";i:42;i:7;s:4:\"a\"b;\";s:4:\"name\";s:6:\"Жан\";}",
        "cart|O:4:\"Cart\":1:{s:2:\"id\";i:1;}n|N;no|b:0;yes|b:1;x|d:0.5;",
    );
    for (path, expected) in [
        ("user.id", Value::Integer(42)),
        ("user.7", Value::Text(b"a\"b;")),
        ("user.name", Value::Text("Жан".as_bytes())),
        ("token", Value::Text(b"|}")),
        ("user", Value::Other),
        ("user.none", Value::Nothing),
        ("user.id.more", Value::Nothing),
        ("cart", Value::Other),
        ("cart.id", Value::Nothing),
        ("n", Value::Nothing),
        ("no", Value::Nothing),
        ("yes", Value::Other),
        ("x", Value::Other),
        ("use", Value::Nothing),
        ("us*.id", Value::Integer(42)),
        ("user.na*", Value::Text("Жан".as_bytes())),
    ] {
        assert_eq!(php(session, path), Ok(expected), "{path}");
    }
    assert_eq!(php("", "user"), Ok(Value::Nothing));
    assert_eq!(one("a:0:{}", "user"), Ok(Value::Nothing));
    assert_eq!(one("a:1:{s:1:\"u\";i:-5;}", "u"), Ok(Value::Integer(-5)));
    for empty in ["", ".", "a.", ".a"] {
        assert_eq!(Path::new(empty), None, "{empty}");
    }
}

#[test]
fn of_one_key_twice_the_last_counts_and_of_two_keys_none() {
    assert_eq!(php("u|i:1;u|i:2;", "u"), Ok(Value::Integer(2)));
    assert_eq!(php("u|i:1;u|N;", "u"), Ok(Value::Nothing));
    assert_eq!(php("ua|i:1;ub|i:2;", "u*"), Err(Ambiguous));
    assert_eq!(php("ua|i:1;ub|N;", "u*"), Ok(Value::Integer(1)));
    assert_eq!(php("ua|N;ub|i:2;", "u*"), Ok(Value::Integer(2)));
}

#[test]
fn objects_and_references_are_walked_over_and_are_nobody() {
    for value in [
        "O:3:\"Foo\":0:{}",
        "O:3:\"Foo\":2:{s:1:\"a\";O:3:\"Bar\":1:{i:0;N;}s:1:\"b\";r:2;}",
        "C:3:\"Foo\":5:{;\"}{x}",
        "E:9:\"Suit:Club\";",
        "R:1;",
        "r:12;",
    ] {
        let session = format!("a|{value}u|i:5;");
        assert_eq!(php(&session, "u"), Ok(Value::Integer(5)), "{value}");
        assert_eq!(php(&session, "a"), Ok(Value::Other), "{value}");
        assert_eq!(php(&session, "a.a"), Ok(Value::Nothing), "{value}");
    }
}

#[test]
fn what_php_does_not_write_is_refused() {
    for bad in [
        "i:05;",
        "i:+5;",
        "i:-0;",
        "i:;",
        "i:-;",
        "i:9223372036854775808;",
        "i:1.0;",
        "b:2;",
        "b:;",
        "b:10;",
        "N:;",
        "d:;",
        "d:1,5;",
        "d:0x1;",
        "d:nan;",
        "s:1:\"ab\";",
        "s:2:\"a\";x",
        "s:-1:\"\";",
        "s:01:\"a\";",
        "s:1:'a';",
        "S:1:\"a\";",
        "a:1:{i:0;}",
        "a:1:{d:0.5;N;}",
        "a:1:{N;N;}",
        "a:0:{i:0;N;}",
        "a:2:{i:0;N;}",
        "a:-1:{}",
        "O:3:\"Foo\":1:{}",
        "C:3:\"Foo\":1:{ab}",
        "E:3:\"a:b\"}",
        "R:0;",
        "R:-1;",
        "o:1:{}",
        "m:1:{}",
        "x",
        "O:+3:\"Foo\":0:{}",
        "N;N;",
        "N;\n",
        " N;",
    ] {
        assert_eq!(one(bad, "u"), Err(Malformed), "{bad}");
    }
    assert_eq!(php("|i:1;", "u"), Err(Malformed));
    assert_eq!(php("u|i:1;\n", "u"), Err(Truncated));
    let digits = |count| format!("d:{};", "1".repeat(count));
    assert_eq!(one(&digits(40), "u"), Ok(Value::Nothing));
    assert_eq!(one(&digits(41), "u"), Err(Malformed));
    let long = format!("{}|i:1;", "n".repeat(1025));
    assert_eq!(php(&long, "u"), Err(Malformed));
    assert_eq!(php(&long[1..], "u"), Ok(Value::Nothing));
}

#[test]
fn whatever_is_cut_off_is_told_so() {
    let whole = concat!(
        "a:3:{s:1:\"u\";i:42;i:1;O:3:\"Foo\":1:{s:1:\"a\";C:1:\"B\":2:{xy}}s:1:\"x\";",
        "a:3:{i:0;E:3:\"A:b\";i:1;R:1;i:2;d:1.5E-7;}}",
    );
    assert_eq!(one(whole, "u"), Ok(Value::Integer(42)));
    for cut in 0..whole.len() {
        assert_eq!(one(&whole[..cut], "u"), Err(Truncated), "{cut}");
    }
    assert_eq!(one("s:99999999999999:\"a\";", "u"), Err(Truncated));
    assert_eq!(one("a:99999999999999:{", "u"), Err(Truncated));
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let nested = |depth: usize| format!("{}i:1;{}", "a:1:{i:0;".repeat(depth), "}".repeat(depth));
    assert_eq!(one(&nested(DEPTH_MAX), "u"), Ok(Value::Nothing));
    assert_eq!(one(&nested(DEPTH_MAX + 1), "u"), Err(TooDeep));
    let objects = "O:1:\"A\":1:{i:0;".repeat(100_000);
    assert_eq!(one(&objects, "u"), Err(TooDeep));
    let wide = |values: usize| format!("a:{values}:{{{}}}", "i:0;N;".repeat(values));
    // The array is one of them.
    assert_eq!(one(&wide(VALUES_MAX - 1), "u"), Ok(Value::Nothing));
    assert_eq!(one(&wide(VALUES_MAX), "u"), Err(TooMany));
}

#[test]
fn a_wrapped_session_is_one_string() {
    assert_eq!(unwrap_text(b"s:6:\"a:0:{}\";"), Ok(Some(&b"a:0:{}"[..])));
    assert_eq!(unwrap_text(b"a:0:{}"), Ok(None));
    assert_eq!(unwrap_text(b"s:7:\"a:0:{}\";"), Err(Malformed));
    assert_eq!(unwrap_text(b"s:9:\"a:0:{}\";"), Err(Truncated));
    assert_eq!(unwrap_text(b"s:0:\"\";x"), Err(Malformed));
}
