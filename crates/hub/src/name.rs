//! What a name may look like.

/// Whether `name` may name a channel: 1 to `bytes_max` bytes of `A-Z a-z 0-9 _ - = @ , . ; :`.
#[must_use]
pub fn is_channel_name(name: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-=@,.;:".contains(&byte))
}

/// Whether `name` may name a user: 1 to `bytes_max` bytes of UTF-8 without control characters.
#[must_use]
pub fn is_user_name(name: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&name.len()) && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::{is_channel_name, is_user_name};

    #[test]
    fn channel_names_keep_to_the_alphabet() {
        for good in ["a", "news", "A-Z_0=9@x,y.z;w:v"] {
            assert!(is_channel_name(good, 200), "{good}");
        }
        for bad in [
            "", " ", "a b", "a/b", "a*", "é", "a\n", "a\0", "{a}", "a\"b", "#a", "a+b",
        ] {
            assert!(!is_channel_name(bad, 200), "{bad:?}");
        }
    }

    #[test]
    fn names_end_at_the_limit() {
        assert!(is_channel_name(&"c".repeat(200), 200));
        assert!(!is_channel_name(&"c".repeat(201), 200));
        assert!(is_user_name(&"ы".repeat(100), 200));
        assert!(!is_user_name(&format!("{}u", "ы".repeat(100)), 200));
    }

    #[test]
    fn user_names_are_text_without_controls() {
        for good in ["tester01", "Анна", "a b", "42", "o'neil@example.org"] {
            assert!(is_user_name(good, 200), "{good}");
        }
        for bad in ["", "a\nb", "\0", "\u{1b}[31m", "a\u{85}b"] {
            assert!(!is_user_name(bad, 200), "{bad:?}");
        }
    }
}
