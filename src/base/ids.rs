//! Ids that sort by the time they were made (UUIDv7, RFC 9562).

use uuid::Uuid;

use super::Instant;

/// The moment in an id that [`Random::id`](super::Random::id) made; `None` for any other id,
/// also for a UUID in another spelling.
pub fn time_of_record_id(id: &str) -> Option<Instant> {
    let uuid = Uuid::try_parse(id)
        .ok()
        .filter(|u| u.get_version_num() == 7)?;
    let mut buffer = Uuid::encode_buffer();
    if uuid.hyphenated().encode_lower(&mut buffer) != id {
        return None;
    }
    let (seconds, nanos) = uuid.get_timestamp()?.to_unix();
    i64::try_from(seconds * 1000 + u64::from(nanos / 1_000_000))
        .ok()
        .map(Instant)
}

/// The smallest and the largest text that an id made in the millisecond `at` can have,
/// for ranges over ids by time.
pub fn id_bounds(at: Instant) -> (String, String) {
    let ms = u64::try_from(at.0).unwrap_or(0) & 0xffff_ffff_ffff;
    let head = format!("{:08x}-{:04x}-7", ms >> 16, ms & 0xffff);
    (
        format!("{head}000-0000-000000000000"),
        format!("{head}fff-ffff-ffffffffffff"),
    )
}
