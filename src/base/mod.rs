//! What every layer may use: time, randomness, sortable ids, locks and threads, a thread's
//! priority, and the data folder's lock, owner and socket.

pub mod clock;
pub mod ids;
pub mod lock;
pub mod owner;
pub mod priority;
pub mod random;
pub mod socket;
pub mod sync;

pub use clock::{Clock, Instant, ManualClock, SystemClock};
pub use ids::{id_bounds, time_of_record_id};
pub use lock::{Lock, LockError};
pub use random::{Random, RandomError};
