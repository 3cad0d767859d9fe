//! What is under way, on one thread: whoever is ready to go on is polled in an order
//! that the dice decide.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake},
};

use crate::dice::Dice;

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

struct Task<K, T> {
    key: K,
    future: Pin<Box<dyn Future<Output = T>>>,
    woken: Arc<Woken>,
}

/// Tasks, each with a key of its own.
pub struct Tasks<K, T>(Vec<Task<K, T>>);

impl<K: Copy, T> Tasks<K, T> {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    pub fn spawn(&mut self, key: K, future: impl Future<Output = T> + 'static) {
        self.0.push(Task {
            key,
            future: Box::pin(future),
            woken: Arc::new(Woken(AtomicBool::new(true))),
        });
    }

    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.0.iter().map(|task| task.key)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Polls one of those that are ready to go on, if there is any; what it came to, if
    /// it is done.
    pub fn step(&mut self, dice: &Dice) -> Option<(K, Option<T>)> {
        let ready = (0..self.0.len()).filter(|at| self.0[*at].woken.0.load(SeqCst));
        let ready: Vec<usize> = ready.collect();
        if ready.is_empty() {
            return None;
        }
        let at = *dice.pick(&ready);
        let task = &mut self.0[at];
        task.woken.0.store(false, SeqCst);
        let waker = task.woken.clone().into();
        let polled = task.future.as_mut().poll(&mut Context::from_waker(&waker));
        let key = task.key;
        match polled {
            Poll::Pending => Some((key, None)),
            Poll::Ready(value) => {
                self.0.remove(at);
                Some((key, Some(value)))
            }
        }
    }
}
