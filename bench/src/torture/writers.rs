//! Those who write, and note what they are told.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use serde_json::Value;
use tokio::{task::LocalSet, time::timeout};

use super::ledger::{Ledger, Name, content};
use crate::{
    data::Numbers,
    http::{Connection, write_request},
};

/// Nobody waits longer for an answer.
pub const PATIENCE: Duration = Duration::from_secs(20);
const WRITERS: usize = 12;
/// Records of each writer.
const RECORDS: usize = 24;

/// What the writers share.
#[derive(Clone)]
pub struct Shared {
    pub ledger: Rc<RefCell<Ledger>>,
    /// Each tenant's API key.
    pub keys: Rc<Vec<String>>,
    /// The number of the next content.
    pub next: Rc<Cell<u64>>,
    /// Ends the writers.
    pub stop: Rc<Cell<bool>>,
    /// What was answered instead of a success.
    pub refusals: Rc<RefCell<Vec<Refusal>>>,
}

/// An answer that is no success.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub status: u16,
    pub body: Value,
}

impl Shared {
    pub fn new(keys: Vec<String>) -> Self {
        Self {
            ledger: Rc::default(),
            keys: Rc::new(keys),
            next: Rc::new(Cell::new(1)),
            stop: Rc::default(),
            refusals: Rc::default(),
        }
    }

    /// Writes until told to stop, or until the server closes the connections.
    /// `meanwhile` runs beside the writers.
    pub async fn write(&self, address: SocketAddr, meanwhile: impl Future<Output = ()>) {
        self.stop.set(false);
        self.refusals.borrow_mut().clear();
        let local = LocalSet::new();
        let writers = (0..WRITERS).map(|writer| {
            let shared = self.clone();
            local.spawn_local(async move { shared.writer(address, writer).await })
        });
        let writers: Vec<_> = writers.collect();
        local
            .run_until(async {
                meanwhile.await;
                self.stop.set(true);
                for writer in writers {
                    // A writer that panicked is a defect here, and shows as a hang would.
                    if writer.await.is_err() {
                        self.refuse(0, "a writer broke off".into());
                    }
                }
            })
            .await;
    }

    fn refuse(&self, status: u16, body: Value) {
        self.refusals.borrow_mut().push(Refusal { status, body });
    }

    async fn writer(&self, address: SocketAddr, writer: usize) {
        let Ok(mut connection) = Connection::open(address).await else {
            return;
        };
        let tenant = writer % self.keys.len();
        let mut numbers = Numbers::new(self.next.get() ^ (writer as u64) << 40);
        let mut request = Vec::new();
        while !self.stop.get() {
            let id = format!("w{writer:02}-{}", numbers.below(RECORDS));
            let name = (tenant, id);
            let number = self.next.get();
            self.next.set(number + 1);
            let wanted = (numbers.below(6) != 0).then_some(number);
            self.request(&mut request, &name, wanted);
            self.ledger.borrow_mut().ask(&name, wanted);
            match timeout(PATIENCE, connection.call(&request)).await {
                Err(_) => return self.refuse(0, "no answer: it hangs".into()),
                // The server is gone.
                Ok(Err(_)) => return,
                Ok(Ok(status)) => {
                    if (200..300).contains(&status) {
                        self.ledger.borrow_mut().acknowledge(&name, wanted);
                    } else if wanted.is_none() && status == 404 {
                        self.ledger.borrow_mut().withdraw(&name);
                    } else {
                        let body = serde_json::from_slice(&connection.body);
                        self.refuse(status, body.unwrap_or_default());
                    }
                }
            }
        }
    }

    fn request(&self, out: &mut Vec<u8>, (tenant, id): &Name, wanted: Option<u64>) {
        let path = format!("/v1/tenants/t{tenant}/records/ticket/{id}");
        let key = &self.keys[*tenant];
        match wanted {
            Some(number) => {
                let body = content(number).to_string();
                write_request(out, "PUT", &path, key, body.as_bytes());
            }
            None => write_request(out, "DELETE", &path, key, b""),
        }
    }
}
