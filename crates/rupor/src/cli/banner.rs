//! What demo mode prints at its start: what to open, what to try, and what is trusted here and must not be elsewhere.

use crate::config::InletAddress;
use crate::demo::{self, Lack};
use std::fmt::Write as _;
use std::net::SocketAddr;

/// What the text is made of: addresses as they were bound.
#[derive(Debug)]
pub(super) struct Demo<'a> {
    /// Where browsers connect.
    pub(super) listen: SocketAddr,
    /// Where lines come in; the first is shown.
    pub(super) inlets: &'a [InletAddress],
    /// The key of this run. It is printed on purpose: demo mode trusts whoever sits at this machine.
    pub(super) api_key: &'a str,
    /// Whether browsers use TLS.
    pub(super) secure: bool,
    /// Why the examples in PHP are not there, if they are not.
    pub(super) lack: Option<&'a Lack>,
    /// Whether the output is a terminal that shows colours.
    pub(super) colour: bool,
}

/// The publication of the article, which every example sends.
const PUBLICATION: &str = r#"{"user":"tester01","message":"test"}"#;

impl Demo<'_> {
    /// The whole text, with one line end at its end.
    pub(super) fn text(&self) -> String {
        let bold = |text: &str| self.paint("1", text);
        let dim = |text: &str| self.paint("2", text);
        let (http, ws) = if self.secure {
            ("https", "wss")
        } else {
            ("http", "ws")
        };
        let address = self.listen;
        let mut text = format!(
            "\n  {}\n\n",
            bold(concat!("rupor ", env!("CARGO_PKG_VERSION"), ", demo mode"))
        );
        // Writing into a String does not fail.
        let mut pages = vec![
            ("Open", "/", "a chat, and a form that sends to a user"),
            ("", "/console", "a test console"),
        ];
        if self.lack.is_none() {
            pages.push(("", demo::TANKS, "a game in PHP: play in two tabs"));
            pages.push(("", demo::CHAT, "a chat in PHP"));
        }
        for (word, path, what) in pages {
            let url = format!("{http}://{address}{path}");
            let gap = " ".repeat(36_usize.saturating_sub(url.len()).max(1));
            let _ = writeln!(text, "  {word:<10}{}{gap}{}", bold(&url), dim(what));
        }
        if let Some(lack) = self.lack {
            let what = dim("A game and a chat in PHP are not there.");
            let _ = writeln!(text, "\n  {:<10}{what} {lack}", "PHP");
        }
        let page = format!("new WebSocket(\"{ws}://{address}/?user=tester01\")");
        let _ = writeln!(text, "\n  {:<10}{page}\n", "Listen");
        let _ = writeln!(
            text,
            "  Send      {}\n",
            dim("each of these reaches tester01, from any shell here:")
        );
        for command in self.commands() {
            let _ = writeln!(text, "{command}\n");
        }
        let _ = writeln!(
            text,
            "  {}",
            self.paint("1;33", "Trusted here, and never to be in production:")
        );
        for line in TRUSTED {
            let _ = writeln!(text, "    - {line}");
        }
        text.push_str("  For a real site: rupor serve. This one ends with Ctrl-C.\n");
        text
    }

    /// Commands that work as they are printed, one a line.
    fn commands(&self) -> Vec<String> {
        let (scheme, insecure) = if self.secure {
            ("https", " -k")
        } else {
            ("http", "")
        };
        let mut commands = vec![format!(
            "curl -sS{insecure} -H 'Authorization: Bearer {}' -H 'Content-Type: application/json' \
             -d '{PUBLICATION}' {scheme}://{}/api/publish",
            self.api_key, self.listen,
        )];
        let Some(inlet) = self.inlets.first() else {
            return commands;
        };
        // -w 1 ends each kind of netcat a second after the last answer; -N and -q are not known to all of them.
        let (php, nc) = match inlet {
            InletAddress::Tcp(address) => {
                let (ip, port) = (address.ip(), address.port());
                (format!("tcp://{address}"), format!("nc -w 1 {ip} {port}"))
            }
            InletAddress::Unix(path) => {
                let path = path.display();
                (format!("unix://{path}"), format!("nc -w 1 -U {path}"))
            }
        };
        commands.push(format!(
            "php -r 'fwrite(stream_socket_client(\"{php}\"), json_encode([\"user\" => \"tester01\", \
             \"message\" => \"test\"]).\"\\n\");'"
        ));
        commands.push(format!("echo '{PUBLICATION}' | {nc}"));
        commands
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

const TRUSTED: &[&str] = &[
    "?user=NAME is believed: anybody can be anybody, and join every channel",
    "pages from any port of this machine and from files (Origin: null) may connect",
    "the line inlet asks for no password: whoever runs a program here can send to everybody",
    "the API key above is shown by the start page; it is a new one at every start",
];

#[cfg(test)]
mod tests {
    use super::{Demo, Lack};
    use crate::config::InletAddress;

    fn text(inlets: &[&str], secure: bool, colour: bool) -> String {
        text_without(None, inlets, secure, colour)
    }

    fn text_without(lack: Option<&Lack>, inlets: &[&str], secure: bool, colour: bool) -> String {
        let inlets: Vec<InletAddress> = inlets.iter().map(|inlet| inlet.parse().unwrap()).collect();
        let demo = Demo {
            listen: "[::1]:8000".parse().unwrap(),
            inlets: &inlets,
            api_key: "KEY",
            secure,
            lack,
            colour,
        };
        demo.text()
    }

    #[test]
    fn colours_come_only_where_they_are_wanted() {
        let plain = text(&["tcp://127.0.0.1:1234"], false, false);
        let coloured = text(&["tcp://127.0.0.1:1234"], false, true);
        assert!(!plain.contains('\x1b') && coloured.contains("\x1b[1m"));
        // What is to be copied has no colours in it.
        for line in coloured
            .lines()
            .filter(|line| line.starts_with("curl") || line.starts_with("php"))
        {
            assert!(!line.contains('\x1b'), "{line}");
        }
    }

    #[test]
    fn the_text_names_the_examples_or_why_they_are_not_there() {
        let there = text(&[], false, false);
        assert!(there.contains("http://[::1]:8000/demo/tanks/"), "{there}");
        assert!(!there.contains("apt install"), "{there}");
        let lack = Lack::NotThere("php".to_owned());
        let without = text_without(Some(&lack), &[], false, false);
        assert!(without.contains("apt install php-cli"), "{without}");
        assert!(!without.contains("/demo/"), "{without}");
    }

    #[test]
    fn the_text_names_what_there_is() {
        let secure = text(&["unix:///run/a.sock", "tcp://127.0.0.1:1"], true, false);
        for part in [
            "https://[::1]:8000/",
            "wss://[::1]:8000/?user=tester01",
            "curl -sS -k",
            "unix:///run/a.sock",
            "-U /run/a.sock",
        ] {
            assert!(secure.contains(part), "{part}\n{secure}");
        }
        let without = text(&[], false, false);
        assert!(
            without.contains("curl ") && !without.contains("nc -w"),
            "{without}"
        );
    }
}
