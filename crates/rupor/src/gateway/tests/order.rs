//! What holds while everything happens at once.

use super::*;
use rupor_testkit::Event;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_publication_right_after_the_101_is_never_missed() {
    let site = Site::start();
    for n in 0..1000 {
        let mut client = site.connect(&format!("/?user=u{n}&channel=c{n}"));
        // The client has read its 101 and nothing else has happened since.
        assert_eq!(site.publish(user(&format!("u{n}")), "user"), Ok(1));
        assert_eq!(site.publish(channel(&format!("c{n}")), "channel"), Ok(1));
        client.expect_text("user");
        client.expect_text("channel");
    }
}

#[test]
fn every_subscriber_on_every_worker_sees_one_order() {
    const PUBLISHERS: usize = 3;
    const EACH: usize = 300;
    let site = Site::start();
    let mut clients: Vec<_> = (0..4)
        .map(|n| {
            if n == 3 {
                site.connect_v1("/?channel=news")
            } else {
                site.connect("/?channel=news")
            }
        })
        .collect();
    clients[3].receive_text();
    std::thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let site = &site;
            scope.spawn(move || {
                for n in 0..EACH {
                    assert_eq!(
                        site.publish(channel("news"), &format!("{publisher} {n}")),
                        Ok(4)
                    );
                }
            });
        }
    });
    let received: Vec<Vec<String>> = clients
        .iter_mut()
        .map(|client| {
            (0..PUBLISHERS * EACH)
                .map(|_| client.receive_text())
                .collect()
        })
        .collect();
    assert_eq!(received[0], received[1]);
    assert_eq!(received[0], received[2]);
    let structured = received[0]
        .iter()
        .map(|text| format!(r#"{{"type":"message","channel":"news","message":"{text}"}}"#));
    assert!(structured.eq(received[3].iter().cloned()));
    for publisher in 0..PUBLISHERS {
        let prefix = format!("{publisher} ");
        let of_one = received[0]
            .iter()
            .filter_map(|text| text.strip_prefix(&prefix));
        assert!(of_one.eq((0..EACH).map(|n| n.to_string()).collect::<Vec<_>>().iter()));
    }
}

#[test]
fn who_comes_and_goes_while_others_publish_misses_nothing_in_between() {
    let site = Site::start();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let mut n = 0;
            while !done.load(Ordering::Relaxed) {
                match site.publish(channel("news"), &n.to_string()) {
                    Ok(_) => n += 1,
                    Err(PublishError::Overloaded) => std::thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
                std::thread::sleep(Duration::from_micros(50));
            }
            n
        });
        for visit in 0..150 {
            let mut client = site.connect("/?channel=news");
            let first: usize = client.receive_text().parse().unwrap();
            for n in 1..20 {
                assert_eq!(client.receive_text(), (first + n).to_string());
            }
            if visit % 2 == 0 {
                let (code, _) = client.close(1000, "");
                assert_eq!(code, 1000);
            }
        }
        done.store(true, Ordering::Relaxed);
        assert!(publisher.join().unwrap() > 20);
    });
    site.expect_empty();
}

#[test]
fn subscribing_and_leaving_keep_their_place_among_publications() {
    let site = Site::start();
    let mut client = site.connect_v1("/");
    client.receive_text();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while !done.load(Ordering::Relaxed) {
                if site.publish(channel("news"), &n.to_string()).is_ok() {
                    n += 1;
                }
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        for _ in 0..50 {
            client.send_text(r#"{"type":"subscribe","channel":"news"}"#);
            client.expect_text(r#"{"type":"subscribed","channel":"news"}"#);
            let first = number(&client.receive_text());
            for n in 1..5 {
                assert_eq!(number(&client.receive_text()), first + n);
            }
            client.send_text(r#"{"type":"unsubscribe","channel":"news"}"#);
            skip_to(&mut client, "unsubscribed");
            // Nothing comes between the end of one subscription and the beginning of the next.
            client.send_text(r#"{"type":"ping"}"#);
            client.expect_text(r#"{"type":"pong"}"#);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(site.gateway.channel("news").connections, 0);
}

fn number(text: &str) -> usize {
    let event: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(event["type"], "message");
    event["message"].as_str().unwrap().parse().unwrap()
}

fn skip_to(client: &mut Client, kind: &str) {
    loop {
        let event = client.receive();
        let Event::Text(text) = event else {
            panic!("{event:?}")
        };
        if text.starts_with(&format!(r#"{{"type":"{kind}""#)) {
            return;
        }
    }
}
