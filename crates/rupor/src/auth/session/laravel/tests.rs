//! Values that Laravel sealed with `str_repeat("\x07", 32)`: by `Illuminate\Encryption\Encrypter`, the cookies with
//! `CookieValuePrefix::create("shop_session", …)`.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const ID: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123";
const KEY: [u8; 32] = [7; 32];

/// A cookie, a session and a value that is no cookie.
const CBC: [&str; 3] = [
    "eyJpdiI6IkZhM0E4YUhHSkVLVi9BTXJ6anZuVHc9PSIsInZhbHVlIjoiWUFOcTA2WWJpQlhtNmlMRncyUzJzVzFhMU1saUJJd1JBbE5qN3ZMaHpTWjJEUnNMYzNybUVsaGhUK2s1cFdGSUY2SVVmTDZyWmxyN1RMYUVZZnY2M2lVYmk1Qzd5Q3hXRUhNaXFuaHJOc1c1bXRieHg4ZkxjZXRNRVhDa3RhWk0iLCJtYWMiOiJiNWU0OTAxYjQwODRjYThhOGQyMWFmZTBhYTZhNmY1Yzk3M2FiNjliMWFiNzU5YjU5OGJmODFlZDQ2ZWEwYzE1IiwidGFnIjoiIn0=",
    "eyJpdiI6IkhDVVQ4SjF1TEFpOVdjTFZ0T2I0R0E9PSIsInZhbHVlIjoiem1pblROWis4OG9SYVYwUWxoMzJHQ3VvdkQzQkkvcHZmb3JJclY0ZllPST0iLCJtYWMiOiJmYWRmYTBjMDdlM2VmNDI1OGY3NzMxNmExNGY2Njc2MWU2MWI0ODkwZDNmZGU0YjBiNjgzYTNiMmNhYTIyNWUxIiwidGFnIjoiIn0=",
    "eyJpdiI6IkdndkZIVnRtMlQ4ZWUrT1B0SnAvb2c9PSIsInZhbHVlIjoiWHRTVUhSUm9MY0JYU2hPQ0IwbHBldz09IiwibWFjIjoiYjk3ZWU4ZTU3NWQyN2M3YjA2ZDkwMDRjNTA5ZGU3OWNkMmY0MDNmN2JmZTZhYWM0ODUzZDc5NDcxZDhlMTU1MyIsInRhZyI6IiJ9",
];
const GCM: [&str; 3] = [
    "eyJpdiI6IkkvOFc0SGR0dDJBVURzWmgiLCJ2YWx1ZSI6InpuajI4aXU3Z1pxaFphbVlDQmZVNDhLSVBaelFQQm53S1BsQ0RTQmJIK0Uva3BsRmlFSGFtb0YrUG5IbUNhOXFhTUY0eDF2Rk9RNmx2QzFJcVJRRzFUVnV2aHFhaGorZUNsaXEySWxyYU5ZbSIsIm1hYyI6IiIsInRhZyI6IlUwbHVkWWMwc1pnUjAzRzZwSnJCMWc9PSJ9",
    "eyJpdiI6Im93WTdQTEtkQVoyNXYvOE0iLCJ2YWx1ZSI6IkErYmNUMXVOamdwWTczNVlXNzFuVnFmdy9Rb0xtVk1zOXZvPSIsIm1hYyI6IiIsInRhZyI6IkpRR211SnZuT2dzb0wwS3BHZFh2U0E9PSJ9",
    "eyJpdiI6IjZyYWo0TE9icG5ZUGNSVW4iLCJ2YWx1ZSI6ImNGK2hORzExZFVqRyIsIm1hYyI6IiIsInRhZyI6IkNySGl3K1dHWHNMTUx6RVhmSEJTQ2c9PSJ9",
];

fn opener(cipher: Cipher) -> Opener {
    Opener::new(&[KEY], cipher)
}

#[test]
fn what_laravel_sealed_is_opened() {
    for (cipher, [cookie, session, plain]) in [(Cipher::Cbc, CBC), (Cipher::Gcm, GCM)] {
        let opener = opener(cipher);
        assert_eq!(opener.cookie("shop_session", cookie).as_deref(), Ok(ID));
        let wrapped = b"s:18:\"a:1:{s:1:\"u\";i:5;}\";".to_vec();
        assert_eq!(opener.open(session.as_bytes()), Ok(wrapped));
        assert_eq!(opener.open(plain.as_bytes()), Ok(b"no prefix".to_vec()));
        let foreign = Err(SealError::Foreign);
        assert_eq!(opener.cookie("shop_session", plain), foreign);
        assert_eq!(opener.cookie("shop_session2", cookie), foreign);
        assert_eq!(opener.cookie("shop_session", session), foreign);
    }
}

#[test]
fn an_earlier_key_opens_too_and_a_wrong_one_does_not() {
    for (cipher, [cookie, ..]) in [(Cipher::Cbc, CBC), (Cipher::Gcm, GCM)] {
        let rotated = Opener::new(&[[8; 32], KEY], cipher);
        assert_eq!(rotated.cookie("shop_session", cookie).as_deref(), Ok(ID));
        let wrong = Opener::new(&[[8; 32], [9; 32]], cipher);
        assert_eq!(
            wrong.cookie("shop_session", cookie),
            Err(SealError::WrongKey)
        );
        assert!(!format!("{wrong:?}").contains('8'));
    }
    // Which cipher the app has is for the configuration to say.
    assert_eq!(
        opener(Cipher::Gcm).cookie("shop_session", CBC[0]),
        Err(SealError::WrongKey)
    );
    assert_eq!(
        opener(Cipher::Cbc).cookie("shop_session", GCM[0]),
        Err(SealError::WrongKey)
    );
}

#[test]
fn whatever_is_changed_of_a_sealed_cookie_it_is_not_believed() {
    for (cipher, [cookie, ..]) in [(Cipher::Cbc, CBC), (Cipher::Gcm, GCM)] {
        let opener = opener(cipher);
        let json = STANDARD.decode(cookie).expect("base64");
        for place in 0..json.len() {
            for change in [1, 0x80] {
                let mut changed = json.clone();
                changed[place] ^= change;
                let changed = STANDARD.encode(changed);
                if let Ok(id) = opener.cookie("shop_session", &changed) {
                    // A digit of `mac` in capitals, or the name of a field that says nothing here.
                    assert_eq!(id, ID);
                }
            }
        }
        for cut in 0..cookie.len() {
            assert!(
                opener.cookie("shop_session", &cookie[..cut]).is_err(),
                "{cut}"
            );
        }
    }
    assert_eq!(
        opener(Cipher::Cbc).cookie("x", "no envelope"),
        Err(SealError::Malformed)
    );
}

#[test]
fn a_short_tag_is_no_tag() {
    let json = STANDARD.decode(GCM[0]).expect("base64");
    let mut json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let tag = STANDARD
        .decode(json["tag"].as_str().expect("text"))
        .expect("base64");
    for length in 0..16 {
        json["tag"] = STANDARD.encode(&tag[..length]).into();
        let sealed = STANDARD.encode(json.to_string());
        assert!(
            opener(Cipher::Gcm).cookie("shop_session", &sealed).is_err(),
            "{length}"
        );
    }
}
