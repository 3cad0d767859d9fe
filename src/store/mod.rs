//! The store: the contract every engine keeps, and what is built once above
//! all embedded ones (committer, caches, change sequence). Only `engine/` names
//! an engine.

pub mod codec;
pub mod engine;
pub mod keys;

pub use engine::{
    Batch, Condition, Engine, Expectation, KEY_BYTES_MAX, Key, Order, Page, Scan, StoreError, Tree,
    Value, Write,
};
