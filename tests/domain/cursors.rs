//! A cursor is taken back only as it was given, and only for its own query.

use proptest::prelude::*;
use tenantry::domain::cursor::{Cursor, CursorError, fingerprint};
use tenantry::domain::query::{ListRequest, plan};
use tenantry::domain::{AppFile, EXAMPLE_APP, TenantSlug};

proptest! {
    #[test]
    fn a_cursor_comes_back(after: Vec<u8>, secret: [u8; 32], mark: [u8; 16]) {
        prop_assume!(after.len() <= 2048);
        let cursor = Cursor { after: after.clone(), fingerprint: mark };
        let text = cursor.to_text(&secret);
        prop_assert_eq!(Cursor::open(&text, &secret, &mark), Ok(after));
    }

    #[test]
    fn a_changed_character_is_refused(after: Vec<u8>, secret: [u8; 32], at: prop::sample::Index, with in "[A-Za-z0-9_=+/ é-]") {
        let cursor = Cursor { after, fingerprint: [9; 16] };
        let text = cursor.to_text(&secret);
        let at = at.index(text.len());
        let changed = format!("{}{with}{}", &text[..at], &text[at + 1..]);
        prop_assume!(changed != text);
        prop_assert_eq!(Cursor::from_text(&changed, &secret), Err(CursorError::Invalid));
    }

    #[test]
    fn a_cut_or_foreign_cursor_is_refused(after: Vec<u8>, secret: [u8; 32], other: [u8; 32], cut: prop::sample::Index) {
        let cursor = Cursor { after, fingerprint: [9; 16] };
        let text = cursor.to_text(&secret);
        let short = &text[..cut.index(text.len())];
        prop_assert_eq!(Cursor::from_text(short, &secret), Err(CursorError::Invalid));
        prop_assume!(secret != other);
        prop_assert_eq!(Cursor::from_text(&text, &other), Err(CursorError::Invalid));
    }

    #[test]
    fn rubbish_is_refused(text: String, secret: [u8; 32]) {
        prop_assert_eq!(Cursor::from_text(&text, &secret), Err(CursorError::Invalid));
    }
}

#[test]
fn a_cursor_is_bound_to_its_query_but_not_to_the_page_size() {
    let app = AppFile::parse(EXAMPLE_APP).unwrap();
    let mark = |tenant: &str, entity: &str, pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let request = ListRequest::from_pairs(pairs, 50, 500).unwrap();
        let entity = app.entity(entity).unwrap();
        let plan = plan(entity, &|_| true, &request).unwrap();
        fingerprint(
            &TenantSlug::parse(tenant).unwrap(),
            &entity.name,
            &request,
            &plan,
        )
    };
    let base = mark(
        "acme",
        "ticket",
        &[("status", "open"), ("opened_at[gte]", "2026-01-01")],
    );
    for same in [
        &[
            ("status", "open"),
            ("opened_at[gte]", "2026-01-01"),
            ("limit", "7"),
        ][..],
        &[
            ("opened_at[gte]", "2026-01-01"),
            ("status", "open"),
            ("explain", "true"),
        ],
        &[
            ("opened_at[gte]", "2026-01-01"),
            ("status", "open"),
            ("order", "opened_at"),
        ],
    ] {
        assert_eq!(mark("acme", "ticket", same), base, "{same:?}");
    }
    for other in [
        &[("status", "closed"), ("opened_at[gte]", "2026-01-01")][..],
        &[("status", "open"), ("opened_at[gt]", "2026-01-01")],
        &[
            ("status", "open"),
            ("opened_at[gte]", "2026-01-01"),
            ("order", "-opened_at"),
        ],
        &[
            ("status", "open"),
            ("opened_at[gte]", "2026-01-01"),
            ("tier", "all"),
        ],
        &[("status", "open")],
    ] {
        assert_ne!(mark("acme", "ticket", other), base, "{other:?}");
    }
    assert_ne!(mark("acme", "ticket", &[]), mark("acme", "comment", &[]));
    assert_ne!(mark("acme", "ticket", &[]), mark("acme-2", "ticket", &[]));
}
