//! The slugs of all tenants, for work that goes through every one.

use crate::{
    domain::TenantSlug,
    service::{Core, Error, Result},
    store::{Key, Scan, Tree, keys},
};

/// The first tenant whose slug sorts after `after`; of all where `None`.
pub async fn next_slug(core: &Core, after: Option<&str>) -> Result<Option<TenantSlug>> {
    let mut scan = Scan::prefix(Tree::Hot, keys::TENANTS);
    scan.after = after.map(|slug| Key::from(format!("{}{slug}", keys::TENANTS)));
    scan.limit = 1;
    scan.values = false;
    let page = core.engine.scan(&scan).await?;
    page.rows.first().map(|(key, _)| slug_of(key)).transpose()
}

/// Every tenant's slug, in order.
pub async fn all_slugs(core: &Core) -> Result<Vec<TenantSlug>> {
    let mut scan = Scan::prefix(Tree::Hot, keys::TENANTS);
    scan.values = false;
    let mut slugs = Vec::new();
    loop {
        let page = core.engine.scan(&scan).await?;
        for (key, _) in &page.rows {
            slugs.push(slug_of(key)?);
        }
        match page.next {
            Some(next) => scan.after = Some(next),
            None => return Ok(slugs),
        }
    }
}

fn slug_of(key: &Key) -> Result<TenantSlug> {
    let slug = String::from_utf8_lossy(&key[keys::TENANTS.len()..]);
    TenantSlug::parse(&slug).map_err(Error::internal)
}
