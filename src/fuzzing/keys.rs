//! Keys and the heads of stored values: what is read of one makes the same bytes again.

use bytes::Bytes;

use crate::{
    domain::value::{decode_values, encode_values},
    store::{
        codec,
        keys::{self, jobs},
        packed,
    },
};

/// More fields than an index has.
const FIELDS_MAX: usize = 9;

/// Reads `data` as every kind of key, and as a stored record.
pub fn keys(data: &[u8]) {
    of_jobs(data);
    of_records(data);
    values(data);
    record(data);
}

fn of_jobs(data: &[u8]) {
    let same = |made: bytes::Bytes| assert_eq!(made, data, "another key than was read");
    if let Some((at, owner, job)) = jobs::read_due(data) {
        same(jobs::due(at, &owner, &job));
    }
    if let Some((id, at)) = jobs::read_queued(data) {
        same(jobs::queued(&id, at));
    }
    if let Some(id) = jobs::read_running(data) {
        same(jobs::running(&id));
    }
    if let Some((id, at)) = jobs::read_listed(data) {
        same(jobs::listed(&id, at));
    }
    if let Some((id, state, at)) = jobs::read_listed_by(data) {
        same(jobs::listed_by(&id, state, at));
    }
    if let Some(id) = jobs::read_of_run(data) {
        assert!(data.ends_with(id.slot.key().as_bytes()));
    }
    if let Some(slot) = jobs::read_done(data) {
        assert!(data.ends_with(slot.key().as_bytes()));
    }
}

fn of_records(data: &[u8]) {
    if let Some(id) = keys::last_segment(data) {
        let tail = [b"#", id.as_str().as_bytes()].concat();
        assert!(data.ends_with(&tail), "{id} is not the last segment");
    }
    let key = Bytes::copy_from_slice(data);
    if let Some(inner) = keys::expiring_key(&key) {
        assert!(data.ends_with(&inner));
    }
}

/// A value's bytes are one of a kind, and sort as the values do.
fn values(data: &[u8]) {
    for count in 0..=FIELDS_MAX {
        let Some((values, rest)) = decode_values(data, count) else {
            break;
        };
        let used = &data[..data.len() - rest.len()];
        assert_eq!(encode_values(&values), used, "{values:?}");
        let Some((others, after)) = decode_values(rest, count) else {
            continue;
        };
        let other = &rest[..rest.len() - after.len()];
        let alike = values
            .iter()
            .zip(&others)
            .all(|(one, two)| std::mem::discriminant(one) == std::mem::discriminant(two));
        if alike {
            assert_eq!(
                values.cmp(&others),
                used.cmp(other),
                "{values:?}, {others:?}"
            );
        }
    }
}

fn record(data: &[u8]) {
    let value = Bytes::copy_from_slice(data);
    if let Ok((meta, json)) = codec::decode_record(&value) {
        match codec::encode_record(&meta, &json) {
            Ok(again) => assert_eq!(again, value),
            Err(error) => panic!("{meta:?}: {error}"),
        }
    }
    if let Ok(read) = packed::read(&value)
        && let Ok(plain) = read.unpack(None)
    {
        match codec::decode_record(&plain) {
            Ok((meta, json)) => assert_eq!((&meta, json.len()), (&read.meta, read.json_bytes)),
            Err(error) => panic!("{:?}: {error}", read.meta),
        }
    }
}
