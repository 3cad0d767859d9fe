//! Stored bytes, whole and damaged.

use proptest::prelude::*;
use tenantry::{
    base::Instant,
    domain::{RecordMeta, Tenant},
    store::{
        Value,
        codec::{decode, decode_counter, decode_record, encode, encode_record, record_header},
        packed::{self, Dictionary, Packing},
    },
};

fn meta() -> impl Strategy<Value = RecordMeta> {
    let numbers = (any::<u64>(), any::<i64>(), any::<i64>(), any::<u64>());
    (numbers, any::<Option<i64>>()).prop_map(
        |((version, created_at, updated_at, incarnation), restored_until)| RecordMeta {
            version,
            created_at: Instant(created_at),
            updated_at: Instant(updated_at),
            incarnation,
            restored_until: restored_until.map(Instant),
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
    fn a_packed_record_comes_back_as_it_was(
        meta in meta(),
        json in prop::collection::vec(any::<u8>(), 1..500),
        words in prop::collection::vec("[a-z]{3,9}", 1..30),
        how in 0..4,
    ) {
        let meta = RecordMeta { restored_until: None, ..meta };
        // Some that can be compressed, some that cannot.
        let json = if how % 2 == 0 { json } else { words.join(" of the ").into_bytes() };
        let dictionary = Dictionary::new(b"of the people by the people for the people".to_vec());
        let with = (how > 1).then_some((&dictionary, Packing::Own(dictionary.id())));
        let stored = packed::pack(&meta, &json, with).unwrap();
        prop_assert!(packed::is_packed(&stored));
        prop_assert!(decode_record(&stored).is_err());
        let read = packed::read(&stored).unwrap();
        prop_assert_eq!((read.meta, read.json_bytes), (meta, json.len()));
        let plain = read.unpack(Some(&dictionary)).unwrap();
        prop_assert_eq!(plain, encode_record(&meta, &json).unwrap());
        if let Packing::Own(_) = read.packing {
            prop_assert!(read.unpack(None).is_err());
        }
    }

    #[test]
    fn a_garbled_packed_record_is_damage(
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let _ = packed::read(&[&[2], &bytes[..]].concat()).map(|read| read.unpack(None));
        let meta = RecordMeta { version: 3, created_at: Instant(5), updated_at: Instant(9), incarnation: 7, restored_until: None };
        let mut stored = packed::pack(&meta, &b"{\"a\":1} ".repeat(30), None).unwrap().to_vec();
        for (place, byte) in flips {
            let place = place.index(stored.len());
            stored[place] ^= byte;
        }
        let _ = packed::read(&stored).map(|read| read.unpack(None));
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
        restored_until: None,
    };
    let mut stored = encode_record(&meta, b"{}").unwrap().to_vec();
    stored[0] = 9;
    assert!(decode_record(&stored.into()).is_err());
}
