//! Backups: the whole store in one file, as of one moment, taken while it is written to.
//!
//! `create.rs` reads both trees page by page and, between the pages, writes down every
//! change that was committed meanwhile (`committer/tee.rs`); whoever applies the file in
//! order has the store as it was when the tee was closed. No engine needs snapshots for
//! it, and nothing is kept aside. `file.rs` is the file around the frames of `frame.rs`:
//! compressed, perhaps encrypted. `restore.rs` makes a store of it.

mod create;
mod file;
mod frame;
mod keys;
mod problem;
mod restore;

pub use create::{CreateProgress, Created, create};
pub use file::{BackupReader, EXTENSION, Facts, Next, PARTIAL, facts};
pub use frame::Trailer;
pub use keys::{Identities, Recipients};
pub use problem::BackupError;
pub use restore::{Restored, into_folder, need_room, settle, switch};
