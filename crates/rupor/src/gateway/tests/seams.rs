//! What plugs in later: brokers that answer later, applications that answer later or fail.

use super::*;
use crate::broker::{Broker, Memory, Node, Receipts};
use crate::outlet::{Conversation, Outlet, Routes};
use futures_util::future::{BoxFuture, FutureExt as _};
use rupor_proto::Message;
use rupor_server::UpgradeRequest;
use std::sync::{Mutex, Weak, mpsc};

/// Takes publications at the call, as a broker must, and answers a little later, as one over a network does.
#[derive(Debug)]
struct Late(Memory);

impl Late {
    fn boxed(node: Weak<dyn Node>) -> Box<dyn Broker> {
        Box::new(Self(Memory::new(node)))
    }
}

impl Broker for Late {
    fn publish(&self, batch: &[Publish]) -> BoxFuture<'static, Receipts> {
        let receipts = self.0.publish(batch);
        let mut asked = false;
        let later = std::future::poll_fn(move |context| {
            if std::mem::replace(&mut asked, true) {
                return std::task::Poll::Ready(());
            }
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        });
        later.then(|()| receipts).boxed()
    }
}

#[test]
fn a_broker_that_answers_later_is_not_waited_for_on_a_worker() {
    let routes = Routes::new(&[], &settings().clock, &[], &[]);
    let gateway = Gateway::with(settings(), routes, Late::boxed);
    let site = Site::of(gateway, &config::Auth::none(), Limits::default());
    let mut client = site.connect_v1("/?user=anna&channel=lobby");
    client.receive_text();
    client.send_text(r#"{"type":"publish","channel":"lobby","message":"hi","id":1}"#);
    client.expect_text(r#"{"type":"published","id":1}"#);
    client.expect_text(r#"{"type":"message","channel":"lobby","message":"hi"}"#);
    let publish = Publish {
        target: user("anna"),
        exclude: None,
        body: "later".into(),
        compress: true,
        key: None,
        id: Some("orders-7".into()),
    };
    let pending = site.gateway.publish(&[publish]);
    client.expect_text(
        r#"{"type":"message","user":"anna","publication":"orders-7","message":"later"}"#,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let receipts = runtime.block_on(pending);
    assert_eq!(
        receipts
            .into_iter()
            .map(|receipt| receipt.unwrap().connections)
            .sum::<usize>(),
        1
    );
}

#[test]
fn a_broker_outlives_its_node_without_harm() {
    let gateway = Gateway::new(settings());
    let weak: Weak<Gateway> = Arc::downgrade(&gateway);
    let broker = Memory::new(weak);
    drop(gateway);
    let publish = Publish {
        target: Target::All,
        exclude: None,
        body: "x".into(),
        compress: true,
        key: None,
        id: None,
    };
    let receipts = broker.publish(&[publish]).now_or_never().unwrap();
    assert_eq!(receipts, [Err(PublishError::Unavailable)]);
}

/// An application elsewhere: messages go into a queue, somebody else answers through the gateway.
#[derive(Debug)]
struct Elsewhere(Mutex<mpsc::Sender<(ConnectionId, String)>>);

impl Outlet for Elsewhere {
    fn on_message(&self, conversation: &mut dyn Conversation, message: Message<'_>) {
        let text = message.as_text().unwrap_or_default().to_owned();
        self.0
            .lock()
            .unwrap()
            .send((conversation.connection(), text))
            .unwrap();
    }
}

fn with_outlet(outlet: impl Outlet + 'static) -> Site {
    let routes = Routes::everywhere(Arc::new(outlet));
    let gateway = Gateway::with(settings(), routes, |node| Box::new(Memory::new(node)));
    Site::of(gateway, &config::Auth::none(), Limits::default())
}

#[test]
fn an_application_may_answer_later_from_any_thread() {
    let (sender, receiver) = mpsc::channel();
    let site = with_outlet(Elsewhere(Mutex::new(sender)));
    let gateway = Arc::clone(&site.gateway);
    let application = std::thread::spawn(move || {
        for (connection, text) in receiver {
            let publish = |target, text: String| {
                let batch = [Publish {
                    target,
                    exclude: None,
                    body: text.into(),
                    compress: true,
                    key: None,
                    id: None,
                }];
                gateway.publish(&batch).now_or_never().unwrap()
            };
            match text.as_str() {
                "subscribe" => assert_eq!(gateway.subscribe(connection, "staff"), Ok(true)),
                "unsubscribe" => assert_eq!(gateway.unsubscribe(connection, "staff"), Ok(true)),
                "bye" => {
                    let target = Target::Connection(connection);
                    assert_eq!(gateway.disconnect(target, 4000, "bye"), Ok(1));
                    break;
                }
                _ => {}
            }
            publish(Target::Connection(connection), format!("did {text}"))[0].unwrap();
        }
    });
    let mut client = site.connect("/anywhere");
    for text in ["hello", "subscribe"] {
        client.send_text(text);
        client.expect_text(&format!("did {text}"));
    }
    // An application may subscribe to what a browser may not.
    assert_eq!(site.publish(channel("staff"), "secret"), Ok(1));
    client.expect_text("secret");
    client.send_text("unsubscribe");
    client.expect_text("did unsubscribe");
    assert_eq!(site.publish(channel("staff"), "secret"), Ok(0));
    client.send_text("bye");
    assert_eq!(client.expect_close(), (4000, "bye".to_owned()));
    application.join().unwrap();
}

/// An application with a fault in it.
#[derive(Debug)]
struct Faulty;

impl Outlet for Faulty {
    fn on_open(&self, conversation: &mut dyn Conversation, _: Option<Box<UpgradeRequest>>) {
        assert_ne!(conversation.path(), "/open", "a fault at opening");
    }

    fn on_message(&self, _: &mut dyn Conversation, _: Message<'_>) {
        panic!("a fault in the application");
    }
}

#[test]
fn a_fault_of_the_application_ends_its_connection_and_leaves_nothing_behind() {
    let site = with_outlet(Faulty);
    let response = Opening::new(site.address, "/open?user=anna&channel=news").refused();
    assert_eq!(response.status, 500);
    site.expect_empty();
    let mut client = site.connect("/message?user=anna&channel=news");
    client.send_text("x");
    assert_eq!(client.expect_close().0, 1011);
    drop(client);
    site.expect_empty();
    let mut other = site.connect("/message?user=boris");
    assert_eq!(site.publish(user("boris"), "still here"), Ok(1));
    other.expect_text("still here");
}
