use super::*;
use crate::inlet::request;

fn row(id: i64, payload: &str, until: Instant) -> Claimed {
    let publish = request::publish(payload.as_bytes()).outcome.unwrap();
    Claimed { id, publish, until }
}

fn to(id: i64, target: &str, until: Instant) -> Claimed {
    row(id, &format!(r#"{{{target},"message":"test"}}"#), until)
}

fn ids(released: &Released) -> (Vec<i64>, &[i64]) {
    (
        released.ready.iter().map(|row| row.id).collect(),
        &released.unheard,
    )
}

const SECOND: Duration = Duration::from_secs(1);
const ANNA: &str = r#""user":"anna""#;
const BERTA: &str = r#""user":"berta""#;
const BOTH: &str = r#""users":["anna","berta"]"#;

#[tokio::test]
async fn what_is_for_nobody_waits_and_leaves_in_its_order() {
    let (mut hold, now) = (Hold::default(), Instant::now());
    let until = now + SECOND;
    let fresh = vec![to(1, ANNA, until), to(2, BERTA, until), to(3, ANNA, until)];
    let berta_is_there = |target: &Target| *target == Target::User("berta".into());
    let released = hold.pass(fresh, now, berta_is_there);
    assert_eq!(ids(&released), (vec![2], &[][..]));
    assert_eq!(hold.ids().collect::<Vec<_>>(), [1, 3]);
    // Anna came since it was looked: her next row must not overtake those that wait.
    let released = hold.pass(vec![to(4, ANNA, until)], now, |_| true);
    assert_eq!(ids(&released), (vec![], &[][..]));
    let released = hold.pass(vec![to(5, ANNA, until)], now + LOOK_INTERVAL, |_| true);
    assert_eq!(ids(&released), (vec![1, 3, 4, 5], &[][..]));
    assert_eq!(hold.len(), 0);
}

#[tokio::test]
async fn a_row_for_several_users_keeps_its_place_among_those_for_each() {
    let (mut hold, now) = (Hold::default(), Instant::now());
    let until = now + SECOND;
    hold.pass(vec![to(1, BOTH, until)], now, |_| false);
    let released = hold.pass(vec![to(2, ANNA, until)], now, |_| true);
    assert_eq!(ids(&released), (vec![], &[][..]));
    let released = hold.pass(vec![], now + LOOK_INTERVAL, |_| true);
    assert_eq!(ids(&released), (vec![1, 2], &[][..]));
}

#[tokio::test]
async fn a_row_waits_no_longer_than_it_should() {
    let (mut hold, now) = (Hold::default(), Instant::now());
    let fresh = vec![to(1, ANNA, now + SECOND), to(2, BERTA, now)];
    let released = hold.pass(fresh, now, |_| false);
    assert_eq!(ids(&released), (vec![], &[2][..]));
    let released = hold.pass(vec![], now + SECOND, |_| false);
    assert_eq!(ids(&released), (vec![], &[1][..]));
}

#[tokio::test]
async fn one_row_or_byte_more_than_is_held_lets_the_oldest_go() {
    let (mut hold, now) = (Hold::default(), Instant::now());
    let until = now + SECOND;
    let rows = (0..=ROWS_MAX).map(|id| to(id.try_into().unwrap(), ANNA, until));
    let released = hold.pass(rows.collect(), now, |_| false);
    assert_eq!(ids(&released), (vec![], &[0][..]));
    assert_eq!(hold.len(), ROWS_MAX);

    let mut hold = Hold::default();
    let long = |id, bytes| {
        row(
            id,
            &format!(r#"{{{ANNA},"message":"{}"}}"#, "x".repeat(bytes)),
            until,
        )
    };
    let released = hold.pass(vec![long(1, BYTES_MAX)], now, |_| false);
    assert_eq!(ids(&released), (vec![], &[][..]));
    let released = hold.pass(vec![long(2, 1)], now, |_| false);
    assert_eq!(ids(&released), (vec![], &[1][..]));

    let mut hold = Hold::default();
    let names = |id, count| to(id, &format!(r#""users":[1{}]"#, ",1".repeat(count)), until);
    let released = hold.pass(vec![names(1, BYTES_MAX / 130)], now, |_| false);
    assert_eq!(ids(&released), (vec![], &[][..]));
    let released = hold.pass(vec![names(2, BYTES_MAX / 130)], now, |_| false);
    assert_eq!(ids(&released), (vec![], &[1][..]));
}
