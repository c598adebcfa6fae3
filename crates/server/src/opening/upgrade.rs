//! From a correct upgrade request to a worker: is there room, does `Admit` agree, which worker.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use rupor_proto::handshake::{Upgrade, write_response_with};
use rupor_proto::{ApiMisuse, DeflateAgreement};
use tokio::time::timeout;

use super::answer::Answer;
use super::gate::Permit;
use super::stream::Stream;
use super::{Opening, Waiting};
use crate::admit::{Admit, Admitted, UpgradeRequest};
use crate::stats::RefusalReason;
use crate::worker::{Adoption, Arrival, Socket};

/// An upgrade that was admitted and waits for its socket.
#[derive(Debug)]
pub(crate) struct Decided<A, R = Vec<u8>> {
    pub(crate) admitted: Admitted<A>,
    /// The 101, or what else says yes.
    pub(crate) response: R,
    /// What of permessage-deflate it agrees to.
    pub(crate) deflate: Option<DeflateAgreement>,
    pub(crate) remote: std::net::SocketAddr,
}

/// Writes the answer that accepts an upgrade, from its subprotocol, compression and more headers.
type Write<R> =
    fn(&Upgrade, Option<&str>, Option<&DeflateAgreement>, &[(&str, &str)]) -> Result<R, ApiMisuse>;

/// The 101.
fn switching_protocols(
    upgrade: &Upgrade,
    subprotocol: Option<&str>,
    deflate: Option<&DeflateAgreement>,
    headers: &[(&str, &str)],
) -> Result<Vec<u8>, ApiMisuse> {
    let mut response = Vec::with_capacity(256);
    write_response_with(upgrade, subprotocol, deflate, headers, &mut response)?;
    Ok(response)
}

impl<A: Admit> Opening<A> {
    /// Decides about an upgrade of HTTP/1.1.
    pub(crate) async fn decide(
        &self,
        upgrade: &Upgrade,
        request: UpgradeRequest,
        permit: &Permit,
    ) -> Result<Decided<A::Admission>, Answer> {
        self.decide_with(upgrade, request, permit, switching_protocols)
            .await
    }

    /// Decides about an upgrade; `write` writes the answer that accepts it.
    pub(crate) async fn decide_with<R>(
        &self,
        upgrade: &Upgrade,
        request: UpgradeRequest,
        permit: &Permit,
        write: Write<R>,
    ) -> Result<Decided<A::Admission, R>, Answer> {
        let remote = request.remote;
        if self.is_ending() {
            return Err(self.refuse(RefusalReason::Ending, "the server is going down"));
        }
        if !permit.handshake() {
            return Err(self.refuse(
                RefusalReason::AddressRate,
                "too many upgrades of one address",
            ));
        }
        if self.least_loaded().is_none() {
            return Err(self.refuse(RefusalReason::Adoptions, "the server is overloaded"));
        }
        let deflate = self.agree_to_deflate(upgrade, &request.headers);
        let patience = Duration::from_millis(u64::from(self.limits.admit_timeout_ms));
        let admitted = match timeout(patience, self.admit.admit(request)).await {
            Ok(Ok(admitted)) => admitted,
            Ok(Err(refusal)) => {
                self.counters.refused(RefusalReason::NotAdmitted);
                return Err(refusal.into());
            }
            Err(_) => {
                return Err(self.refuse(RefusalReason::AdmitFailed, "no decision in time"));
            }
        };
        let deflate = deflate.filter(|_| admitted.deflate);
        let headers: Vec<(&str, &str)> = admitted
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let subprotocol = admitted.subprotocol.as_deref();
        match write(upgrade, subprotocol, deflate.as_ref(), &headers) {
            Ok(response) => Ok(Decided {
                admitted,
                response,
                deflate,
                remote,
            }),
            Err(error) => {
                tracing::error!(%error, "an upgrade was admitted with what no answer can carry");
                self.counters.refused(RefusalReason::AdmitFailed);
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Err(Answer::new(status, "the server could not answer"))
            }
        }
    }

    /// What of the client's offers is agreed to, unless `Admit` says no.
    fn agree_to_deflate(&self, upgrade: &Upgrade, headers: &HeaderMap) -> Option<DeflateAgreement> {
        let config = self.deflate.as_ref()?;
        // Some write other letters than ASCII into it; what is vetoed may stand beside them.
        let user_agent = headers.get(header::USER_AGENT);
        let user_agent = user_agent.map(|value| String::from_utf8_lossy(value.as_bytes()));
        config.accept(&upgrade.deflate_offers, user_agent.as_deref())
    }

    pub(super) fn refuse(&self, reason: RefusalReason, text: &str) -> Answer {
        self.counters.refused(reason);
        Answer::unavailable(text)
    }

    /// The worker with the fewest connections, of those that take more.
    pub(super) fn least_loaded(&self) -> Option<&Arc<Waiting<A>>> {
        let load = |index: usize| {
            self.workers.get(index).map_or(u64::MAX, |worker| {
                let assigned = worker.counters.assigned.load(Ordering::Relaxed);
                assigned.saturating_sub(worker.counters.gone.load(Ordering::Relaxed))
            })
        };
        (0..self.workers.len())
            .filter(|index| {
                self.workers
                    .get(*index)
                    .is_some_and(|worker| worker.adoptions.has_room())
            })
            .min_by_key(|index| load(*index))
            .and_then(|index| self.workers.get(index))
    }

    /// Hands the socket of an admitted upgrade to a worker; gives it back with an answer when none
    /// takes it.
    pub(crate) fn adopt(
        &self,
        stream: Stream,
        decided: Decided<A::Admission>,
        received: Vec<u8>,
        permit: Permit,
    ) -> Option<(Stream, Answer)> {
        let Some(worker) = self.least_loaded() else {
            let answer = self.refuse(RefusalReason::Adoptions, "the server is overloaded");
            return Some((stream, answer));
        };
        let transport = match stream.into_socket() {
            Ok(transport) => transport,
            Err(error) => {
                tracing::warn!(%error, "a socket could not be handed over; it is closed");
                return None;
            }
        };
        let Decided {
            admitted,
            response,
            deflate,
            remote,
        } = decided;
        let adoption = Adoption {
            transport,
            response,
            received,
            admission: admitted.admission,
            arrival: Arrival {
                remote,
                subprotocol: admitted.subprotocol.map(Into::into),
                deflate,
                permit: Some(permit),
            },
        };
        if let Err(adoption) = worker.give(adoption) {
            // Others were faster. What the socket takes at once is all it gets.
            let answer = self.refuse(RefusalReason::Adoptions, "the server is overloaded");
            let mut socket = adoption.transport;
            let _ = std::io::Write::write(&mut socket, &answer.to_bytes());
        }
        None
    }
}

impl<A: Admit> Waiting<A> {
    /// Gives the worker an opened connection, or gives it back when too many wait.
    pub(super) fn give(
        &self,
        adoption: Adoption<A::Admission, Socket>,
    ) -> Result<(), Box<Adoption<A::Admission, Socket>>> {
        self.counters.assigned.fetch_add(1, Ordering::Relaxed);
        match self.adoptions.push(adoption) {
            Ok(()) => {
                self.signal();
                Ok(())
            }
            Err(adoption) => {
                self.counters.assigned.fetch_sub(1, Ordering::Relaxed);
                Err(Box::new(adoption))
            }
        }
    }
}
