//! From the site to the browser: who receives what, and what is counted.

use super::*;
use crate::gateway::Receipt;
use crate::gateway::deliver::COMMANDS_AT_ONCE;
use rupor_testkit::Event;

#[test]
fn all_connections_of_the_user_receive_exactly_the_text_and_nobody_else_does() {
    let site = Site::start();
    let mut mine: Vec<_> = (0..6).map(|_| site.connect("/?user=tester01")).collect();
    let mut others: Vec<_> = ["/?user=tester02", "/", "/?user=tester0", "/?user=tester011"]
        .map(|target| site.connect(target))
        .into();
    let connections = site.gateway.user("tester01").connections;
    let workers: std::collections::HashSet<_> = connections.iter().map(|id| id.0 >> 56).collect();
    assert_eq!(
        (connections.len(), workers.len()),
        (6, WORKERS),
        "on every worker"
    );
    let text = "test \u{0} \"quoted\" \u{1F600} {\"user\":\"x\"}\n";
    assert_eq!(site.publish(user("tester01"), text), Ok(6));
    for client in &mut mine {
        client.expect_text(text);
    }
    mine.append(&mut others);
    site.expect_silence(&mut mine);
}

#[test]
fn a_user_who_is_not_there_is_no_error() {
    let site = Site::start();
    assert_eq!(site.publish(user("nobody"), "test"), Ok(0));
    assert_eq!(site.publish(channel("nothing"), "test"), Ok(0));
    assert_eq!(site.publish(Target::All, "test"), Ok(0));
    assert_eq!(
        site.publish(Target::Connection(ConnectionId(7)), "test"),
        Ok(0)
    );
    assert_eq!(site.publish(Target::Cookie("none".into()), "test"), Ok(0));
    let counts = site.gateway.counts();
    assert_eq!((counts.publications, counts.publications_refused), (5, 0));
}

fn publish(target: Target, text: &str) -> Publish {
    Publish {
        target,
        exclude: None,
        body: text.into(),
        compress: true,
        key: None,
        id: None,
    }
}

#[test]
fn a_batch_is_published_in_its_order_and_answered_in_its_places() {
    let site = Site::start();
    let mut anna = site.connect("/?user=anna");
    let mut batch: Vec<_> = (0..=2 * COMMANDS_AT_ONCE)
        .map(|n| publish(user("anna"), &n.to_string()))
        .collect();
    batch[50] = publish(channel("not a name"), "x");
    let receipts = site.gateway.publish(&batch).now_or_never().unwrap();
    for (n, receipt) in receipts.into_iter().enumerate() {
        if n == 50 {
            assert_eq!(receipt.unwrap_err().code(), "bad_channel_name");
        } else {
            assert_eq!(receipt.unwrap().connections, 1);
            anna.expect_text(&n.to_string());
        }
    }
    assert_eq!(site.gateway.counts().publications_refused, 1);
}

#[test]
fn one_connection_one_cookie_several_users_everybody() {
    let site = Site::start();
    let cookie = |value: &str| {
        let header = format!("other=1; PHPSESSID={value}");
        Opening::new(site.address, "/")
            .header("Cookie", &header)
            .open()
    };
    let mut clients = [
        site.connect("/?user=anna"),
        site.connect("/?user=boris"),
        cookie("abc"),
        cookie("abcd"),
    ];
    let anna = site.gateway.user("anna").connections[0];
    assert_eq!(site.publish(Target::Connection(anna), "1"), Ok(1));
    clients[0].expect_text("1");
    assert_eq!(site.publish(Target::Cookie("abc".into()), "2"), Ok(1));
    clients[2].expect_text("2");
    let users = ["anna", "boris", "anna", "zoe"].map(Arc::from).to_vec();
    assert_eq!(site.publish(Target::Users(users), "3"), Ok(2));
    clients[0].expect_text("3");
    clients[1].expect_text("3");
    assert_eq!(site.publish(Target::All, "4"), Ok(4));
    clients
        .iter_mut()
        .for_each(|client| client.expect_text("4"));
    site.expect_silence(&mut clients);
}

#[test]
fn exclude_leaves_one_connection_out_of_every_target() {
    let site = Site::start();
    let left_out = site.connect("/?user=anna&channel=news");
    let anna = site.gateway.user("anna").connections[0];
    let mut other = site.connect("/?user=anna&channel=news");
    let targets = [
        user("anna"),
        Target::Users(vec!["anna".into()]),
        channel("news"),
        Target::All,
    ];
    for (n, target) in targets.into_iter().enumerate() {
        let text = n.to_string();
        assert_eq!(site.publish_except(target, Some(anna), &text), Ok(1));
        other.expect_text(&text);
    }
    let only = Target::Connection(anna);
    assert_eq!(site.publish_except(only, Some(anna), "x"), Ok(0));
    site.expect_silence(&mut [left_out, other]);
}

#[test]
fn channels_of_the_address_are_subscribed_to() {
    let site = Site::start();
    let mut both = site.connect("/?channel=news&channel=sport&channel=news");
    let mut one = site.connect("/?channel=sport");
    let mut none = site.connect("/");
    assert_eq!(site.gateway.channel("news").connections, 1);
    assert_eq!(site.gateway.channel("sport").connections, 2);
    let counts = site.gateway.counts();
    assert_eq!(
        (counts.connections, counts.channels, counts.subscriptions),
        (3, 2, 3)
    );
    assert_eq!(site.publish(channel("news"), "n"), Ok(1));
    both.expect_text("n");
    assert_eq!(site.publish(channel("sport"), "s"), Ok(2));
    both.expect_text("s");
    one.expect_text("s");
    site.publish(Target::All, "mark").unwrap();
    none.expect_text("mark");
}

#[test]
fn who_leaves_is_forgotten() {
    let site = Site::start();
    let mut clients: Vec<_> = (0..20)
        .map(|n| site.connect(&format!("/?user=u{}&channel=news", n % 3)))
        .collect();
    // Some say goodbye, some just go.
    for client in clients.iter_mut().take(10) {
        client.close(1000, "");
    }
    drop(clients);
    site.expect_empty();
    assert!(!site.gateway.user("u0").online());
    assert_eq!(site.publish(channel("news"), "x"), Ok(0));
}

#[test]
fn disconnect_closes_with_code_and_reason() {
    let site = Site::start();
    let mut anna = site.connect("/?user=anna");
    let mut boris = site.connect("/?user=boris");
    assert_eq!(site.gateway.disconnect(user("anna"), 4001, "bye"), Ok(1));
    assert_eq!(anna.expect_close(), (4001, "bye".to_owned()));
    assert_eq!(site.gateway.disconnect(user("nobody"), 4001, "bye"), Ok(0));
    for code in [0, 999, 1001, 1005, 1006, 2999, 5000] {
        let result = site.gateway.disconnect(Target::All, code, "");
        assert_eq!(result, Err(PublishError::BadCloseCode), "{code}");
    }
    let long = "x".repeat(124);
    let result = site.gateway.disconnect(Target::All, 1000, &long);
    assert_eq!(result, Err(PublishError::CloseReasonTooLong));
    assert_eq!(
        site.gateway.disconnect(Target::All, 1000, &long[1..]),
        Ok(1)
    );
    assert_eq!(boris.expect_close(), (1000, long[1..].to_owned()));
}

#[test]
fn a_full_inbox_refuses_the_whole_publication() {
    let limits = Limits {
        inbox_commands_max: 4,
        ..Limits::default()
    };
    let site = Site::with(settings(), &config::Auth::none(), limits);
    // More connections of one user than two inboxes of four have room for.
    let mut clients: Vec<_> = (0..4 * WORKERS + 1)
        .map(|_| site.connect("/?user=anna"))
        .collect();
    assert_eq!(
        site.publish(user("anna"), "x"),
        Err(PublishError::Overloaded)
    );
    let result = site.gateway.disconnect(user("anna"), 1000, "");
    assert_eq!(result, Err(PublishError::Overloaded));
    site.expect_silence(&mut clients);
    assert_eq!(site.gateway.counts().publications_overloaded, 1);
}

#[test]
fn nothing_of_a_batch_overtakes_what_there_was_no_room_for() {
    let limits = Limits {
        inbox_commands_max: 4,
        ..Limits::default()
    };
    let site = Site::with(settings(), &config::Auth::none(), limits);
    let mut boris = site.connect("/?user=boris");
    let mut others: Vec<_> = (0..4 * WORKERS + 1)
        .map(|_| site.connect("/?user=anna"))
        .collect();
    let batch = [
        publish(user("boris"), "before"),
        publish(user("anna"), "x"),
        publish(channel("not a name"), "x"),
        publish(user("boris"), "behind"),
    ];
    let receipts = site.gateway.publish(&batch).now_or_never().unwrap();
    let tail = Err(PublishError::Overloaded);
    assert_eq!(receipts, [Ok(Receipt { connections: 1 }), tail, tail, tail]);
    let counts = site.gateway.counts();
    let counted = (counts.publications, counts.publications_overloaded);
    assert_eq!((counted, counts.publications_refused), ((1, 1), 0));
    boris.expect_text("before");
    others.push(boris);
    site.expect_silence(&mut others);
}

#[test]
fn who_finds_the_inbox_full_at_opening_is_told_to_come_later() {
    let limits = Limits {
        inbox_commands_max: 3,
        ..Limits::default()
    };
    let site = Site::with(settings(), &config::Auth::none(), limits);
    let mut client = site.connect("/?user=anna&channel=a&channel=b&channel=c&channel=d");
    let (code, reason) = client.expect_close();
    assert_eq!(code, 1013);
    assert!(reason.starts_with("overloaded: "), "{reason}");
    site.expect_empty();
    let mut fits = site.connect("/?channel=a&channel=b");
    assert_eq!(site.publish(channel("b"), "x"), Ok(1));
    fits.expect_text("x");
}

#[test]
fn a_gateway_without_a_server_says_so() {
    let gateway = Gateway::new(settings());
    assert_eq!(
        gateway
            .subscribe(ConnectionId(1), "news")
            .unwrap_err()
            .code(),
        "unknown_connection"
    );
    gateway
        .open(ConnectionId(1), crate::dialect::PLAIN, None, None, vec![])
        .unwrap();
    assert_eq!(
        gateway.subscribe(ConnectionId(1), "news"),
        Err(PublishError::Unavailable)
    );
    assert_eq!(
        gateway.channel("news").connections,
        0,
        "and nothing has changed"
    );
    let publish = Publish {
        target: Target::All,
        exclude: None,
        body: "x".into(),
        compress: true,
        key: None,
        id: None,
    };
    let receipts = gateway.publish(&[publish]).now_or_never().unwrap();
    assert_eq!(receipts, [Err(PublishError::Unavailable)]);
}

#[test]
fn what_browsers_send_where_nothing_answers_is_dropped_and_counted() {
    let site = Site::start();
    let mut client = site.connect("/silence?user=anna");
    client.send_text("hello?");
    client.send_binary(b"hello?");
    client.expect_only("still there");
    assert_eq!(site.publish(user("anna"), "yes"), Ok(1));
    assert_eq!(client.receive(), Event::Text("yes".to_owned()));
    let counts = site.gateway.counts();
    assert_eq!(counts.dropped_no_application, 2);
}
