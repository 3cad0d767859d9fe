//! The system's own rows: each is decoded, API keys are looked for in both of
//! their places, and the counter of tenants is compared with a recount.

use super::{Kind, PAUSE, Run, TRIES_MAX, pages::Pages, quiet, walk::Place};
use crate::{
    domain::{Tenant, TenantSlug},
    service::{
        Result,
        apps::{AppHead, AppVersion, BuildProgress},
        archive::Receipt,
        dictionaries::DictionaryNow,
        holds::Hold,
        keys::{owner_of_hash, stored_hash},
        runs, tenants,
    },
    store::{
        Batch, Condition, Key, Scan, StoreError, Tree, Value,
        codec::{self, Stored},
        keys::{self, TenantKeys},
        packed::Dictionary,
    },
};

impl Run<'_> {
    /// Reads the rows of a system family.
    pub(super) async fn system(&mut self, tree: Tree, place: &Place, family: &str) -> Result<()> {
        let mut pages = Pages::new(&self.core.engine, Scan::prefix(tree, place.prefix.clone()));
        while let Some((key, value)) = pages.next().await? {
            self.report.keys += 1;
            let wrong = match tree {
                Tree::Hot => self.wrong(place, family, &key, &value).await?,
                Tree::Archive => Some("a system row in the archive".to_owned()),
            };
            let Some(detail) = wrong else { continue };
            // It may have been replaced meanwhile.
            if self.core.engine.get(tree, &key).await? == Some(value) {
                self.report.add(Kind::System, &key, detail);
            }
        }
        Ok(())
    }

    /// What is wrong with a system row.
    async fn wrong(
        &self,
        place: &Place,
        family: &str,
        key: &Key,
        value: &Value,
    ) -> Result<Option<String>> {
        if let Err(detail) = read(family, key, value, place.prefix.len()) {
            return Ok(Some(detail));
        }
        match family {
            "key" => self.finds_nothing(key, value).await,
            "~key" => self.found_by_nothing(place, key, value).await,
            _ => Ok(None),
        }
    }

    /// The row that finds an API key names one that is there and has that hash.
    async fn finds_nothing(&self, key: &Key, value: &Value) -> Result<Option<String>> {
        let Ok((tenant, id)) = owner_of_hash(value) else {
            return Ok(Some("the row cannot be read".to_owned()));
        };
        let Ok(slug) = TenantSlug::parse(&tenant) else {
            return Ok(Some(format!("the row names the tenant {tenant:?}")));
        };
        let described = TenantKeys::new(&slug).api_key(&id);
        let described = self.core.engine.get(Tree::Hot, &described).await?;
        let hash = described.and_then(|row| stored_hash(&row).ok());
        let right = hash.is_some_and(|hash| keys::api_key_by_hash(&hash) == *key);
        Ok((!right).then(|| format!("the tenant {tenant} has no API key {id} with this hash")))
    }

    /// An API key's description has its row that finds it by the hash.
    async fn found_by_nothing(
        &self,
        place: &Place,
        key: &Key,
        value: &Value,
    ) -> Result<Option<String>> {
        let Ok(hash) = stored_hash(value) else {
            return Ok(Some("the API key cannot be read".to_owned()));
        };
        let id = String::from_utf8_lossy(&key[place.prefix.len()..]);
        let finder = keys::api_key_by_hash(&hash);
        let finder = self.core.engine.get(Tree::Hot, &finder).await?;
        let found = finder.and_then(|row| owner_of_hash(&row).ok());
        let right = found.is_some_and(|(tenant, found)| tenant == place.owner && found == id);
        Ok((!right).then(|| {
            "no row finds this API key by its secret; revoke it and make another".to_owned()
        }))
    }

    /// The counter of tenants against their rows.
    pub(super) async fn tenants_counted(&mut self) -> Result<()> {
        let counter = Key::from_static(keys::TENANT_COUNT.as_bytes());
        for _ in 0..TRIES_MAX {
            let before = self.core.engine.generation(keys::TENANTS.as_bytes());
            let value = self.core.engine.get(Tree::Hot, &counter).await?;
            let mut scan = Scan::prefix(Tree::Hot, keys::TENANTS);
            scan.values = false;
            let mut pages = Pages::new(&self.core.engine, scan);
            while !pages.page().await?.is_empty() {}
            let count = i64::try_from(pages.read).unwrap_or(i64::MAX);
            let says = codec::decode_counter(value.as_ref()).ok();
            if says == Some(count) {
                return Ok(());
            }
            if !quiet(
                before,
                self.core.engine.generation(keys::TENANTS.as_bytes()),
            ) {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let mut repaired = false;
            if self.options.repair {
                let mut batch = Batch::default();
                let as_read = value.map_or(Condition::Absent, Condition::Value);
                batch.expect(Tree::Hot, counter.clone(), as_read);
                match count {
                    0 => batch.delete(Tree::Hot, counter.clone()),
                    count => batch.put(Tree::Hot, counter.clone(), codec::encode_counter(count)),
                }
                match self.core.engine.commit(batch).await {
                    Ok(()) => repaired = true,
                    Err(StoreError::Conflict { .. }) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            let says = says.map_or("nothing readable".to_owned(), |says| says.to_string());
            let detail = format!("the counter says {says}, there are {count} tenants");
            self.report.push(Kind::Counter, &counter, detail, repaired);
            return Ok(());
        }
        self.report.unsettled += 1;
        Ok(())
    }
}

/// Reads a system row; what is wrong with it otherwise. Rows of a family that
/// this check does not know are left to their owners, but are never empty.
fn read(family: &str, key: &Key, value: &Value, prefix: usize) -> Result<(), String> {
    if let Some(row) = runs::check_row(family, key, value) {
        return row;
    }
    let name = String::from_utf8_lossy(&key[prefix..]);
    match (family, &*name) {
        ("tenant", slug) => match codec::decode::<Tenant>(value) {
            Ok(tenant) if tenant.id.as_str() == slug => Ok(()),
            Ok(tenant) => Err(format!("the row is of the tenant {}", tenant.id)),
            Err(error) => Err(error.to_string()),
        },
        ("app", "head") => readable::<AppHead>(value),
        ("app", _) => readable::<AppVersion>(value),
        ("work", work) if work.starts_with("index#") => readable::<BuildProgress>(value),
        ("expire", _) => match keys::expiring_key(key) {
            Some(_) => Ok(()),
            None => Err("an order to remove nothing".to_owned()),
        },
        ("~hold" | "~lifted", _) => readable::<Hold>(value),
        ("~held", _) | ("holds", _) => match codec::decode_counter(Some(value)) {
            Ok(count) if count > 0 => Ok(()),
            Ok(count) => Err(format!("a counter of {count}")),
            Err(error) => Err(error.to_string()),
        },
        ("~dict" | "dict", name) => {
            let id = format!("{:08x}", Dictionary::new(value.to_vec()).id());
            match name.rsplit('#').next() == Some(&id) {
                true => Ok(()),
                false => Err(format!("the bytes are those of the dictionary {id}")),
            }
        }
        ("~receipt", _) => readable::<Receipt>(value),
        ("~dictnow", _) => readable::<DictionaryNow>(value),
        ("work", work) if tenants::is_erasure(work) || tenants::is_arrival(work) => Ok(()),
        _ if value.is_empty() => Err("an empty row".to_owned()),
        _ => Ok(()),
    }
}

fn readable<T: Stored>(value: &Value) -> Result<(), String> {
    codec::decode::<T>(value)
        .map(drop)
        .map_err(|error| error.to_string())
}
