//! No segment reaches into another, and rows sort as their values do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

fn keys_of(slug: &str) -> TenantKeys {
    TenantKeys::new(&TenantSlug::parse(slug).unwrap())
}

fn names() -> (EntityName, IndexName) {
    (
        EntityName::parse("ticket").unwrap(),
        IndexName::parse("by_status").unwrap(),
    )
}

/// Values of one kind, since a field has one.
fn value() -> impl Strategy<Value = IndexValue> {
    prop_oneof![
        Just(String::new()),
        "[a-b#\\x00 ]{0,4}",
        "[ -~]{0,12}",
        "\\PC{0,6}"
    ]
    .prop_map(IndexValue::Text)
}

fn id() -> impl Strategy<Value = RecordId> {
    "[A-Za-z0-9._~-]{0,11}[a-z]".prop_map(|text| RecordId::parse(&text).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn rows_sort_as_their_values_and_then_their_ids(
        a in (value(), value(), id()), b in (value(), value(), id()),
    ) {
        let (entity, index) = names();
        let row = |of: &(IndexValue, IndexValue, RecordId)| {
            let values = [of.0.clone(), of.1.clone()];
            keys_of("acme").index_row(&entity, &index, &values, Some(&of.2)).unwrap()
        };
        let by_value = (&a.0, &a.1, a.2.as_str()).cmp(&(&b.0, &b.1, b.2.as_str()));
        prop_assert_eq!(row(&a).cmp(&row(&b)), by_value);
        prop_assert_eq!(last_segment(&row(&a)), Some(a.2.clone()));
    }

    #[test]
    fn an_expiry_names_its_moment_and_its_key(
        at in 0..4_000_000_000_000_i64, later in 1..1_000_000_i64,
    ) {
        let key = b"acme#~idem#x#y";
        let row = expiry(Instant(at), key);
        prop_assert_eq!(&expiring_key(&row).unwrap()[..], key);
        prop_assert!(row < expiry_bound(Instant(at + later)));
        prop_assert!(row > expiry_bound(Instant(at)));
    }
}

#[test]
fn families_of_keys_are_apart() {
    let (mine, theirs) = (keys_of("acme"), keys_of("acme-2"));
    let (entity, index) = names();
    let tickets = EntityName::parse("tickets").unwrap();
    let id = RecordId::parse("1").unwrap();
    assert!(mine.record(&entity, &id).starts_with(&mine.everything()));
    assert!(!theirs.record(&entity, &id).starts_with(&mine.everything()));
    let records = mine.records(&entity);
    assert!(!mine.record(&tickets, &id).starts_with(&records));
    assert!(!mine.index(&entity, &index).starts_with(&records));
    let indexes = mine.all_indexes(&entity);
    assert!(mine.index(&entity, &index).starts_with(&indexes));
}

#[test]
fn a_row_over_a_keys_limit_is_none() {
    let (entity, index) = names();
    let long = IndexValue::Text("x".repeat(512));
    let id = RecordId::parse("1").unwrap();
    let row = |values: &[IndexValue]| keys_of("acme").index_row(&entity, &index, values, Some(&id));
    assert!(row(std::slice::from_ref(&long)).is_some());
    assert_eq!(row(&[long.clone(), long]), None);
}
