//! The store: the contract every engine keeps, and what is built once above
//! all embedded ones (committer, caches, change sequence). Only `engine/` names
//! an engine.

pub mod backup;
pub mod codec;
pub mod committer;
mod copy;
pub mod engine;
mod folder;
pub mod keys;
mod open;
pub mod packed;

pub use committer::{ByHand, Committed, CommitterMetrics, CommitterOptions};
pub use copy::{Copied, CopyProgress, Stage, compact, convert, drop_converted};
pub use open::{OpenStore, StoreOptions, memory, open};

pub use engine::{
    Batch, Condition, DiskEngine, Embedded, Engine, Expectation, KEY_BYTES_MAX, Key, Maintenance,
    Order, Page, Scan, Stats, StoreError, Tree, VALUE_BYTES_MAX, Value, Write,
};
