//! What is worth a loud line at the start of `serve`: settings that are taken and that are dangerous.

use crate::config::{Config, InletAddress, SessionPlace, Way};

/// The warnings for a configuration, each a sentence that names the option.
pub(super) fn of(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let public: Vec<String> = config
        .listen
        .iter()
        .filter(|address| !address.ip().is_loopback())
        .map(ToString::to_string)
        .collect();
    if matches!(config.auth.ways[..], [Way::None]) {
        warnings.push(if public.is_empty() {
            "auth = \"none\": ?user=NAME is believed, whoever reaches this server can be anybody".to_owned()
        } else {
            format!(
                "DANGER: auth = \"none\" and the public address {}: anybody on the network can be any user, and read what \
                 your site sends to him. Use [[jwt]] keys, or listen on 127.0.0.1",
                public.join(", ")
            )
        });
    }
    for inlet in &config.inlet {
        if let InletAddress::Tcp(address) = inlet
            && !inlet.is_local()
        {
            warnings.push(format!(
                "DANGER: the inlet {inlet} is not on loopback and asks for no password: whoever reaches it sends to \
                 everybody. Use --inlet tcp://127.0.0.1:{}, a Unix socket, or the HTTP API",
                address.port()
            ));
        }
    }
    if config.api_key.is_some() && config.tls.is_none() && !public.is_empty() {
        warnings.push(format!(
            "the API key crosses the network unencrypted on {}: give --tls-cert and --tls-key, or let a proxy on this \
             machine do TLS",
            public.join(", ")
        ));
    }
    if let Some(session) = &config.auth.session
        && let SessionPlace::Files { folder, .. } = &session.place
        && !folder.is_dir()
    {
        warnings.push(format!(
            "session.files: {} is no folder that the user who runs rupor sees: nobody will be known by a session. Write what \
             session_save_path() gives on the site; behind PrivateTmp a service has a /tmp of its own",
            folder.display()
        ));
    }
    if let Some(deflate) = &config.deflate
        && !deflate.server_no_context_takeover
    {
        warnings.push(
            "deflate.server_takeover: a secret in any compressed message of a connection can be guessed at by those who \
             choose the text of later ones. Send secrets with \"compress\":false; see docs/explanation/compression.md"
                .to_owned(),
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::config::{Config, Mode, load};
    use std::ffi::OsString;

    /// The warnings of `rupor serve` with these variables.
    fn warnings(variables: &[(&str, &str)]) -> Vec<String> {
        let flags = crate::cli::arguments::command().get_matches_from(["rupor", "serve"]);
        let (_, flags) = flags.subcommand().unwrap();
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let config: Config = load::load(Mode::Serve, None, &variable, flags).unwrap();
        of(&config)
    }

    #[test]
    fn nobody_asked_on_a_public_address_is_a_danger() {
        let none = ("RUPOR_AUTH", "none");
        let loopback = warnings(&[none]);
        assert_eq!(loopback.len(), 1);
        assert!(!loopback[0].contains("DANGER"), "{loopback:?}");
        for listen in ["0.0.0.0:8000", "[::]:8000", "127.0.0.1:1 192.0.2.1:2"] {
            let public = warnings(&[none, ("RUPOR_LISTEN", listen)]);
            assert!(public[0].contains("DANGER"), "{public:?}");
        }
    }

    #[test]
    fn an_inlet_that_others_reach_is_a_danger() {
        let flags = [
            ("RUPOR_AUTH", "none"),
            ("RUPOR_INLET", "tcp://0.0.0.0:1234 unix:///tmp/a"),
        ];
        let warnings = warnings(&flags);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[1].contains("tcp://0.0.0.0:1234"), "{warnings:?}");
    }

    #[test]
    fn a_folder_of_sessions_that_is_none_is_told() {
        let folder = |path| [("RUPOR_AUTH", "session"), ("RUPOR_SESSION_FILES", path)];
        assert!(warnings(&folder("/nowhere/sessions"))[0].contains("/nowhere/sessions"));
        assert_eq!(warnings(&folder("2;/")), [""; 0]);
    }

    #[test]
    fn takeover_of_the_server_is_told_where_it_is_used() {
        let takeover = ("RUPOR_DEFLATE_SERVER_TAKEOVER", "true");
        let none = ("RUPOR_AUTH", "none");
        assert_eq!(warnings(&[none, takeover]).len(), 1);
        let on = ("RUPOR_DEFLATE_ENABLED", "true");
        assert_eq!(warnings(&[none, on]).len(), 1);
        let warnings = warnings(&[none, on, takeover]);
        assert!(warnings[1].contains("\"compress\":false"), "{warnings:?}");
    }

    #[test]
    fn a_key_in_the_clear_is_told() {
        let key = (
            "RUPOR_API_KEY",
            "c4f1e09a7b3d58264e9f10b2a6d7c835f0e1d2c3b4a59687",
        );
        let warnings = warnings(&[("RUPOR_AUTH", "none"), key, ("RUPOR_LISTEN", "0.0.0.0:1")]);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(!warnings.concat().contains(key.1));
    }
}
