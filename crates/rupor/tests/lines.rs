//! Lines from a site's script to its user's browser: the real program, real sockets, and writers that do not stay.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failure here is the failure of the test that called"
)]

mod program;

use program::start;
use rupor_testkit::{Client, Process};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// How many writers come, write and are gone.
const WRITERS: usize = 1000;

struct Demo {
    _process: Process,
    address: SocketAddr,
    tcp: SocketAddr,
    unix: PathBuf,
    _folder: tempfile::TempDir,
}

impl Demo {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let unix = folder.path().join("rupor.sock");
        let process = start(&[
            "demo",
            "--listen",
            "127.0.0.1:0",
            "--workers",
            "2",
            "--inlet",
            "tcp://127.0.0.1:0",
            "--inlet",
            &format!("unix://{}", unix.display()),
        ]);
        let address = process.wait_for_address("listening on ws");
        let tcp = process.wait_for_address("lines on tcp");
        Self {
            _process: process,
            address,
            tcp,
            unix,
            _folder: folder,
        }
    }

    fn writer(&self, number: usize) -> Box<dyn Write> {
        if number.is_multiple_of(2) {
            Box::new(TcpStream::connect(self.tcp).unwrap())
        } else {
            Box::new(UnixStream::connect(&self.unix).unwrap())
        }
    }
}

fn line(user: &str, number: usize) -> String {
    format!("{{\"user\":\"{user}\",\"message\":{number}}}\n")
}

#[test]
fn a_thousand_closed_writers_lose_nothing_on_the_way_to_the_browser() {
    let demo = Demo::start();
    let mut browsers: Vec<Client> = (0..3)
        .map(|_| Client::connect(demo.address, "/?user=tester01"))
        .collect();
    let mut other = Client::connect(demo.address, "/?user=other");
    for number in 0..WRITERS {
        let mut writer = demo.writer(number);
        writer
            .write_all(line("tester01", number).as_bytes())
            .unwrap();
    }
    for browser in &mut browsers {
        let mut numbers: Vec<usize> = (0..WRITERS)
            .map(|_| browser.receive_text().parse().unwrap())
            .collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(0..WRITERS));
    }
    let mut last = demo.writer(0);
    last.write_all(line("other", 7).as_bytes()).unwrap();
    other.expect_text("7");
}

#[test]
fn many_lines_in_one_write_arrive_in_their_order() {
    let demo = Demo::start();
    for writer in 0..2 {
        let mut browser = Client::connect(demo.address, "/?user=tester01");
        let lines: String = (0..WRITERS)
            .map(|number| line("tester01", number))
            .collect();
        // And the last one without a line end.
        demo.writer(writer)
            .write_all(lines.trim_end().as_bytes())
            .unwrap();
        for number in 0..WRITERS {
            browser.expect_text(&number.to_string());
        }
        browser.close(1000, "");
    }
}

#[test]
fn the_older_spellings_of_the_articles_library_find_their_connections() {
    let demo = Demo::start();
    let mut with_cookie = rupor_testkit::Opening::new(demo.address, "/?user=anna")
        .header("Cookie", "a=b; PHPSESSID=q1w2e3")
        .open();
    let mut other = Client::connect(demo.address, "/?user=42");
    let mut writer = BufReader::new(TcpStream::connect(demo.tcp).unwrap());
    let mut ask = |line: &str| {
        writer
            .get_mut()
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        writer.read_line(&mut answer).unwrap();
        answer
    };
    assert_eq!(
        ask(r#"{"PHPSESSID":"q1w2e3","message":"by cookie"}"#),
        "{\"ok\":true,\"connections\":1}\n"
    );
    with_cookie.expect_text("by cookie");
    ask(r#"{"userId":42,"message":{"text" : "by number"}}"#);
    other.expect_text(r#"{"text" : "by number"}"#);
    assert!(ask(r#"{"clientId":5,"message":"x"}"#).contains("\"code\":\"bad_value\""));
    assert_eq!(
        ask(r#"{"user":"nobody","message":"x"}"#),
        "{\"ok\":true,\"connections\":0}\n"
    );
}

#[test]
fn a_page_cannot_publish_by_posting_to_the_port() {
    let demo = Demo::start();
    let mut browser = Client::connect(demo.address, "/?user=tester01");
    let body = line("tester01", 666);
    for method in ["POST", "PUT", "X-ANY", "get"] {
        let mut page = TcpStream::connect(demo.tcp).unwrap();
        page.set_read_timeout(Some(rupor_testkit::DEADLINE))
            .unwrap();
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{body}",
            demo.tcp,
            body.len()
        );
        page.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        page.read_to_string(&mut answer).unwrap();
        assert!(
            answer.contains("\"code\":\"http\"") && answer.lines().count() == 1,
            "{answer}"
        );
    }
    demo.writer(0)
        .write_all(line("tester01", 7).as_bytes())
        .unwrap();
    browser.expect_text("7");
}
