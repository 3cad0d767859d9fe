//! What happens, as a number that two equal lives share, and on demand in words.

use std::{cell::Cell, hash::Hasher};

/// A trace.
pub struct Trace {
    hash: Cell<u64>,
    aloud: bool,
}

impl Trace {
    pub fn new(aloud: bool) -> Self {
        Self {
            hash: Cell::new(0),
            aloud,
        }
    }

    pub fn say(&self, what: impl FnOnce() -> String) {
        let what = what();
        // Keys of the standard hasher are fixed where it is made by hand.
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write_u64(self.hash.get());
        hasher.write(what.as_bytes());
        self.hash.set(hasher.finish());
        if self.aloud {
            println!("{what}");
        }
    }

    pub fn hash(&self) -> u64 {
        self.hash.get()
    }
}
