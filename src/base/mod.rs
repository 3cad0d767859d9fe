//! What every layer may use: time, sortable ids, a thread's priority, and the data
//! folder's lock, owner and socket.

pub mod clock;
pub mod ids;
pub mod lock;
pub mod owner;
pub mod priority;
pub mod socket;

pub use clock::{Clock, Instant, ManualClock, SystemClock};
pub use ids::{id_bounds, new_record_id, time_of_record_id};
pub use lock::{Lock, LockError};
