//! Stored bytes, whole and damaged.

use proptest::prelude::*;
use tenantry::{
    base::Instant,
    domain::{RecordMeta, Tenant},
    store::{
        Value,
        codec::{decode, decode_counter, decode_record, encode, encode_record, record_header},
    },
};

fn meta() -> impl Strategy<Value = RecordMeta> {
    (any::<u64>(), any::<i64>(), any::<i64>(), any::<u64>()).prop_map(
        |(version, created_at, updated_at, incarnation)| RecordMeta {
            version,
            created_at: Instant(created_at),
            updated_at: Instant(updated_at),
            incarnation,
        },
    )
}

proptest! {
    #[test]
    fn a_record_comes_back_as_it_was(meta in meta(), json in prop::collection::vec(any::<u8>(), 1..500)) {
        let stored = encode_record(&meta, &json).unwrap();
        let (read, bytes) = decode_record(&stored).unwrap();
        prop_assert_eq!(read, meta);
        prop_assert_eq!(&bytes[..], &json[..]);
        let header = record_header(&stored).unwrap();
        prop_assert_eq!(header.len() + json.len(), stored.len());
        prop_assert!(stored.starts_with(&header));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let value = Value::from(bytes);
        let _ = decode_record(&value);
        let _ = decode::<Tenant>(&value);
        prop_assert_eq!(decode_counter(Some(&value)).is_ok(), value.len() == 8);
    }

    #[test]
    fn a_tenant_cut_short_is_damage(cut in 0..100usize) {
        let tenant = Tenant::new("acme".parse().unwrap(), Instant(1_772_323_200_000));
        let whole = encode(&tenant).unwrap();
        let cut = cut % whole.len();
        prop_assert!(decode::<Tenant>(&whole[..cut]).is_err());
        let longer = [&whole[..], b"x"].concat();
        prop_assert!(decode::<Tenant>(&longer).is_err());
        prop_assert_eq!(decode::<Tenant>(&whole).unwrap(), tenant);
    }
}

#[test]
fn an_unknown_version_is_named() {
    let tenant = Tenant::new("acme".parse().unwrap(), Instant(0));
    let mut stored = encode(&tenant).unwrap().to_vec();
    stored[0] = 99;
    let error = decode::<Tenant>(&stored).unwrap_err().to_string();
    assert!(error.contains("tenant") && error.contains("99"), "{error}");
    let meta = RecordMeta {
        version: 1,
        created_at: Instant(0),
        updated_at: Instant(0),
        incarnation: 1,
    };
    let mut stored = encode_record(&meta, b"{}").unwrap().to_vec();
    stored[0] = 9;
    assert!(decode_record(&stored.into()).is_err());
}
