//! What every layer may use: time and sortable ids.

pub mod clock;
pub mod ids;

pub use clock::{Clock, Instant, ManualClock, SystemClock};
pub use ids::{id_bounds, new_record_id, time_of_record_id};
