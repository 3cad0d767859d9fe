//! A closed loop: so many connections, each sending its next request when the
//! answer to the last one is there.

use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::{
    runtime::Runtime,
    task::{JoinHandle, LocalSet},
};

use crate::http::Connection;

/// The first part of a run that is not counted.
const WARM_UP: f64 = 0.1;

/// Writes the next request of one connection.
pub type Maker = Box<dyn FnMut(&mut Vec<u8>)>;

/// What a run gave.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Answers a second.
    pub rate: f64,
    /// Latencies in microseconds, sorted.
    latencies: Vec<u32>,
}

impl Report {
    /// The latency in milliseconds that this share of the answers kept.
    pub fn percentile_ms(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        f64::from(self.latencies.get(at).copied().unwrap_or(0)) / 1000.0
    }

    /// A report over latencies alone.
    pub fn of(mut latencies: Vec<u32>, seconds: f64) -> Self {
        latencies.sort_unstable();
        Self {
            rate: latencies.len() as f64 / seconds,
            latencies,
        }
    }
}

/// Runs `makers.len()` connections for a time. Connections of the same class are
/// reported together; any answer that is no success ends the run.
pub async fn run(
    address: SocketAddr,
    time: Duration,
    makers: Vec<(usize, Maker)>,
) -> Result<Vec<Report>> {
    let classes = makers.iter().map(|(class, _)| class + 1).max().unwrap_or(0);
    let latencies = Rc::new(RefCell::new(vec![Vec::new(); classes]));
    let mut connections = Vec::new();
    for (class, maker) in makers {
        connections.push((class, maker, Connection::open(address).await?));
    }
    let begin = Instant::now() + time.mul_f64(WARM_UP);
    let end = Instant::now() + time;
    let local = LocalSet::new();
    let tasks: Vec<_> = connections
        .into_iter()
        .map(|(class, mut maker, mut connection)| {
            let latencies = latencies.clone();
            local.spawn_local(async move {
                let mut request = Vec::new();
                loop {
                    maker(&mut request);
                    let sent = Instant::now();
                    connection.succeed(&request).await?;
                    let now = Instant::now();
                    if now >= end {
                        return Ok(());
                    }
                    if now >= begin {
                        let took = u32::try_from((now - sent).as_micros()).unwrap_or(u32::MAX);
                        latencies.borrow_mut()[class].push(took);
                    }
                }
            })
        })
        .collect();
    finish(&local, tasks).await?;
    let seconds = (end - begin).as_secs_f64();
    let latencies = latencies.take();
    Ok(latencies
        .into_iter()
        .map(|latencies| Report::of(latencies, seconds))
        .collect())
}

async fn finish(local: &LocalSet, tasks: Vec<JoinHandle<Result<()>>>) -> Result<()> {
    let all = async {
        for task in tasks {
            task.await??;
        }
        Ok(())
    };
    local.run_until(all).await
}

/// The runtime of the client: one thread, which everything shares.
pub fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().build()?)
}

/// Sends `count` requests over `connections` and hands every answer's body on,
/// with the number of its request.
pub async fn fill(
    address: SocketAddr,
    connections: usize,
    count: usize,
    mut make: impl FnMut(usize, &mut Vec<u8>) + 'static,
    mut answered: impl FnMut(usize, &[u8]) -> Result<()> + 'static,
) -> Result<Report> {
    let started = Instant::now();
    let latencies = Rc::new(RefCell::new(Vec::with_capacity(count)));
    let next = Rc::new(RefCell::new(0..count));
    let make = Rc::new(RefCell::new(move |number: usize, request: &mut Vec<u8>| {
        make(number, request)
    }));
    let answered = Rc::new(RefCell::new(move |number: usize, body: &[u8]| {
        answered(number, body)
    }));
    let local = LocalSet::new();
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let mut connection = Connection::open(address).await?;
        let (latencies, next) = (latencies.clone(), next.clone());
        let (make, answered) = (make.clone(), answered.clone());
        tasks.push(local.spawn_local(async move {
            let mut request = Vec::new();
            loop {
                let number = next.borrow_mut().next();
                let Some(number) = number else {
                    return Ok(());
                };
                (make.borrow_mut())(number, &mut request);
                let sent = Instant::now();
                connection.succeed(&request).await?;
                let took = u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX);
                (answered.borrow_mut())(number, &connection.body)?;
                latencies.borrow_mut().push(took);
            }
        }));
    }
    finish(&local, tasks).await?;
    let latencies = latencies.take();
    Ok(Report::of(latencies, started.elapsed().as_secs_f64()))
}
