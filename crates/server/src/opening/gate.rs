//! How many connections there may be, how many of one address, how fast they may come.
//!
//! A [`Permit`] is one connection's place; dropping it gives the place back, wherever the
//! connection is by then. One lock, held for a few hash look-ups, on the way in and on the way out
//! only.
//!
//! IPv6 addresses count by their /64: that is what one customer of a provider has. Loopback and
//! trusted proxies count only in `connections_max`, until a trusted proxy says whose a connection is:
//! from then on it is one of that address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::AddressRange;
use crate::limits::Limits;
use crate::stats::RefusalReason;

/// Addresses that are remembered before idle ones are looked for.
const SWEEP_AT_LEAST: usize = 1024;

const MICROS: u64 = 1_000_000;

/// Admission by numbers.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: Arc<Limits>,
    trusted_proxies: Vec<AddressRange>,
    started: Instant,
    places: Mutex<Places>,
}

#[derive(Debug)]
struct Places {
    connections: usize,
    accepts: Bucket,
    addresses: HashMap<AddressKey, Address>,
    sweep_at: usize,
}

#[derive(Debug, Default)]
struct Address {
    connections: usize,
    handshakes: Bucket,
}

/// An IPv4 address, or an IPv6 /64. Small, because every connection keeps its own: the network as
/// it is, and for IPv4 one of the networks of multicast (ff00::/8), from which nobody comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct AddressKey(NonZeroU64);

impl AddressKey {
    const MULTICAST: u64 = 0xff00_0000_0000_0000;

    fn v4(address: Ipv4Addr) -> Self {
        Self::new(Self::MULTICAST | u64::from(address.to_bits()))
    }

    fn v6_network(address: Ipv6Addr) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = address.octets();
        Self::new(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    fn new(bits: u64) -> Self {
        // ::/64 has addresses that the loopback one is among, and is given to nobody.
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }
}

/// One second's worth of a rate: the time at which everything taken is paid for.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    paid_us: u64,
}

impl Bucket {
    fn take(&mut self, per_second: u32, now_us: u64) -> bool {
        if per_second == 0 {
            return true;
        }
        let paid_us = self.paid_us.max(now_us) + MICROS / u64::from(per_second);
        let free = paid_us <= now_us + MICROS;
        if free {
            self.paid_us = paid_us;
        }
        free
    }
}

impl Gate {
    pub(crate) fn new(limits: Arc<Limits>, trusted_proxies: Vec<AddressRange>) -> Arc<Self> {
        let places = Places {
            connections: 0,
            accepts: Bucket::default(),
            addresses: HashMap::new(),
            sweep_at: SWEEP_AT_LEAST,
        };
        let started = Instant::now();
        Arc::new(Self {
            limits,
            trusted_proxies,
            started,
            places: Mutex::new(places),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // Nothing panics while it is held.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The address as the limits count it; `None` for one that they leave out.
    fn key(&self, address: IpAddr) -> Option<AddressKey> {
        let address = address.to_canonical();
        let mut proxies = self.trusted_proxies.iter();
        if address.is_loopback() || proxies.any(|range| range.contains(address)) {
            return None;
        }
        Some(match address {
            IpAddr::V4(address) => AddressKey::v4(address),
            IpAddr::V6(address) => AddressKey::v6_network(address),
        })
    }

    /// A place for a connection that was just accepted.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Permit, RefusalReason> {
        self.enter_at(address, self.now_us())
    }

    fn enter_at(self: &Arc<Self>, address: IpAddr, now_us: u64) -> Result<Permit, RefusalReason> {
        let limits = &self.limits;
        let key = self.key(address);
        let mut places = self.lock();
        if places.connections >= limits.connections_max {
            return Err(RefusalReason::Connections);
        }
        if let Some(key) = key {
            let most = limits.connections_per_address_max;
            if !places.has_room(key, most) {
                return Err(RefusalReason::AddressConnections);
            }
            if !places.accepts.take(limits.accepts_per_second, now_us) {
                return Err(RefusalReason::AcceptRate);
            }
            places.join(key, now_us);
        }
        places.connections += 1;
        drop(places);
        Ok(Permit {
            gate: Arc::clone(self),
            key,
        })
    }
}

impl Places {
    /// Whether this address may have one connection more; `most` 0: any number.
    fn has_room(&self, key: AddressKey, most: usize) -> bool {
        let there = self.addresses.get(&key);
        most == 0 || there.is_none_or(|address| address.connections < most)
    }

    /// One connection of this address more.
    fn join(&mut self, key: AddressKey, now_us: u64) {
        self.sweep(now_us);
        self.addresses.entry(key).or_default().connections += 1;
    }

    /// One connection of this address less.
    fn leave(&mut self, key: AddressKey, now_us: u64) {
        if let Entry::Occupied(mut entry) = self.addresses.entry(key) {
            let address = entry.get_mut();
            address.connections = address.connections.saturating_sub(1);
            if address.connections == 0 && address.handshakes.paid_us <= now_us {
                entry.remove();
            }
        }
    }

    /// Forgets addresses that nobody comes from and whose rate is paid for, when there are many.
    fn sweep(&mut self, now_us: u64) {
        if self.addresses.len() >= self.sweep_at {
            self.addresses.retain(|_, address| {
                address.connections > 0 || address.handshakes.paid_us > now_us
            });
            self.sweep_at = (2 * self.addresses.len()).max(SWEEP_AT_LEAST);
        }
    }
}

/// The place of one connection.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    key: Option<AddressKey>,
}

impl Permit {
    /// Counts the connection as one of `address` from now on: a proxy said whose it is.
    pub(crate) fn is_of(&mut self, address: IpAddr) -> Result<(), RefusalReason> {
        self.is_of_at(address, self.gate.now_us())
    }

    fn is_of_at(&mut self, address: IpAddr, now_us: u64) -> Result<(), RefusalReason> {
        let key = self.gate.key(address);
        if key == self.key {
            return Ok(());
        }
        let mut places = self.gate.lock();
        if let Some(key) = key {
            if !places.has_room(key, self.gate.limits.connections_per_address_max) {
                return Err(RefusalReason::AddressConnections);
            }
            places.join(key, now_us);
        }
        if let Some(before) = self.key {
            places.leave(before, now_us);
        }
        self.key = key;
        Ok(())
    }

    /// Whether its address may upgrade once more now.
    pub(crate) fn handshake(&self) -> bool {
        self.handshake_at(self.gate.now_us())
    }

    fn handshake_at(&self, now_us: u64) -> bool {
        let Some(key) = self.key else { return true };
        let per_second = self.gate.limits.handshakes_per_address_per_second;
        let mut places = self.gate.lock();
        let address = places.addresses.entry(key).or_default();
        address.handshakes.take(per_second, now_us)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now_us = self.gate.now_us();
        let mut places = self.gate.lock();
        places.connections = places.connections.saturating_sub(1);
        if let Some(key) = self.key {
            places.leave(key, now_us);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(limits: Limits) -> Arc<Gate> {
        Gate::new(Arc::new(limits), vec!["198.51.100.0/24".parse().unwrap()])
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_has_its_places_and_no_more() {
        let gate = gate(Limits {
            connections_per_address_max: 2,
            ..Limits::default()
        });
        let first = gate.enter_at(ip("192.0.2.1"), 0).unwrap();
        let _second = gate.enter_at(ip("::ffff:192.0.2.1"), 0).unwrap();
        assert_eq!(
            gate.enter_at(ip("192.0.2.1"), 0).unwrap_err(),
            RefusalReason::AddressConnections
        );
        let _other = gate.enter_at(ip("192.0.2.2"), 0).unwrap();
        drop(first);
        assert!(gate.enter_at(ip("192.0.2.1"), 0).is_ok());
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let gate = gate(Limits {
            connections_per_address_max: 1,
            ..Limits::default()
        });
        let _first = gate.enter_at(ip("2001:db8:1:2::1"), 0).unwrap();
        assert!(gate.enter_at(ip("2001:db8:1:2:ffff::9"), 0).is_err());
        assert!(gate.enter_at(ip("2001:db8:1:3::1"), 0).is_ok());
    }

    #[test]
    fn loopback_and_trusted_proxies_are_left_out_but_for_the_total() {
        let gate = gate(Limits {
            connections_per_address_max: 1,
            accepts_per_second: 1,
            handshakes_per_address_per_second: 1,
            connections_max: 6,
            ..Limits::default()
        });
        let permits: Vec<Permit> = [
            "127.0.0.1",
            "127.0.0.1",
            "::1",
            "::1",
            "198.51.100.7",
            "198.51.100.7",
        ]
        .map(|address| gate.enter_at(ip(address), 0).unwrap())
        .into();
        assert!(
            permits
                .iter()
                .all(|permit| permit.handshake_at(0) && permit.handshake_at(0))
        );
        assert_eq!(
            gate.enter_at(ip("127.0.0.1"), 0).unwrap_err(),
            RefusalReason::Connections
        );
        drop(permits);
        assert_eq!(gate.lock().connections, 0);
    }

    #[test]
    fn a_connection_counts_as_whose_the_proxy_says_it_is() {
        let gate = gate(Limits {
            connections_per_address_max: 1,
            ..Limits::default()
        });
        let mut first = gate.enter_at(ip("198.51.100.7"), 0).unwrap();
        let mut second = gate.enter_at(ip("198.51.100.7"), 0).unwrap();
        first.is_of(ip("192.0.2.1")).unwrap();
        assert_eq!(
            second.is_of(ip("192.0.2.1")),
            Err(RefusalReason::AddressConnections)
        );
        first.is_of(ip("192.0.2.2")).unwrap();
        second.is_of(ip("192.0.2.1")).unwrap();
        drop((first, second));
        assert!(gate.lock().addresses.is_empty());
    }

    #[test]
    fn rates_have_a_second_of_burst() {
        let gate = gate(Limits {
            accepts_per_second: 3,
            handshakes_per_address_per_second: 2,
            ..Limits::default()
        });
        let permits: Vec<_> = (0..4).map(|_| gate.enter_at(ip("192.0.2.1"), 0)).collect();
        assert_eq!(permits.iter().filter(|permit| permit.is_ok()).count(), 3);
        assert_eq!(
            permits.last().unwrap().as_ref().unwrap_err(),
            &RefusalReason::AcceptRate
        );
        assert!(gate.enter_at(ip("192.0.2.1"), 400_000).is_ok());
        let permit = permits.first().unwrap().as_ref().unwrap();
        assert!(permit.handshake_at(0) && permit.handshake_at(0));
        assert!(!permit.handshake_at(0));
        assert!(permit.handshake_at(500_000));
    }

    #[test]
    fn clients_behind_a_proxy_have_a_rate_each_and_are_forgotten() {
        let gate = gate(Limits {
            handshakes_per_address_per_second: 1,
            ..Limits::default()
        });
        let upgrade = |address, now_us| {
            let mut permit = gate.enter_at(ip("198.51.100.7"), now_us).unwrap();
            permit.is_of_at(address, now_us).unwrap();
            permit.handshake_at(now_us)
        };
        assert!(upgrade(ip("192.0.2.1"), 0));
        assert!(!upgrade(ip("192.0.2.1"), 0));
        assert!(upgrade(ip("192.0.2.2"), 0));
        assert!(upgrade(ip("198.51.100.7"), 0) && upgrade(ip("198.51.100.7"), 0));
        for n in 0..10_000_u32 {
            let now_us = u64::from(n / 2000) * 10 * MICROS;
            let address = IpAddr::V4(Ipv4Addr::from(0xcb00_0000 + n));
            assert!(upgrade(address, now_us));
        }
        let remembered = gate.lock().addresses.len();
        assert!(remembered <= 5000, "{remembered}");
    }

    #[test]
    fn addresses_that_left_are_forgotten() {
        let gate = gate(Limits {
            accepts_per_second: 0,
            ..Limits::default()
        });
        for n in 0..10_000_u32 {
            // The second half comes when the first half's upgrades are long paid for.
            let now_us = u64::from(n / 5000) * 10 * MICROS;
            let address = IpAddr::V4(Ipv4Addr::from(0xc000_0000 + n));
            let permit = gate.enter_at(address, now_us).unwrap();
            assert!(permit.handshake_at(now_us));
        }
        let remembered = gate.lock().addresses.len();
        assert!(remembered <= 5000, "{remembered}");
    }
}
