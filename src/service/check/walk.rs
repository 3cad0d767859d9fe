//! All keys of both trees, jumping over what `family.rs` will read: what belongs
//! nowhere is named, and the system's own rows are read (`system.rs`).

use super::{Kind, Run, pages::Pages};
use crate::{
    domain::{EntityName, TenantSlug},
    service::{Result, apps::AppState, tenants},
    store::{Key, Scan, Tree, codec, engine::prefix_end, keys, packed},
};

/// What owns the rows that belong to no tenant.
const INSTALLATION: &str = "~";

/// The first two segments of a key.
pub(super) struct Place {
    /// A tenant, or `~` for the installation.
    pub owner: String,
    /// An entity, an entity's index after an `@`, or a family of system rows
    /// after a `~`.
    pub family: String,
    /// What every key of the family begins with.
    pub prefix: Key,
}

/// What an entity or index is to the applied app.
enum Standing {
    /// Rows are read with their entity.
    Declared,
    /// Rows are on their way out, or kept by nobody for now.
    Leaving,
    Unknown,
}

impl Run<'_> {
    /// Goes through both trees.
    pub(super) async fn walk(&mut self) -> Result<()> {
        for tree in Tree::ALL {
            let mut scan = Scan::prefix(tree, Key::new());
            (scan.limit, scan.values) = (1, false);
            let mut tenant: (String, bool) = (String::new(), false);
            while let Some((key, _)) = self.core.engine.scan(&scan).await?.rows.pop() {
                let Some(place) = Place::of(&key) else {
                    self.report.keys += 1;
                    let detail = "the key is none that this version writes";
                    self.report.add(Kind::UnknownKey, &key, detail);
                    scan.after = Some(key);
                    continue;
                };
                if place.owner == INSTALLATION {
                    self.system(tree, &place, &place.family).await?;
                } else {
                    if tenant.0 != place.owner {
                        tenant = (place.owner.clone(), self.exists(&place.owner).await?);
                    }
                    match tenant.1 {
                        true => self.of_tenant(tree, &place).await?,
                        false if self.leaving(&place.owner).await? => {
                            self.count_keys(tree, &place).await?;
                        }
                        false => self.orphan(tree, &place).await?,
                    }
                }
                match prefix_end(&place.prefix) {
                    Some(next) => (scan.start, scan.after) = (next, None),
                    None => break,
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    async fn exists(&self, slug: &str) -> Result<bool> {
        let Ok(slug) = TenantSlug::parse(slug) else {
            return Ok(false);
        };
        let row = keys::tenant(&slug);
        Ok(self.core.engine.get(Tree::Hot, &row).await?.is_some())
    }

    /// Whether the tenant was deleted and its rows are being removed, or is arriving out of
    /// a backup.
    async fn leaving(&self, slug: &str) -> Result<bool> {
        let Ok(slug) = TenantSlug::parse(slug) else {
            return Ok(false);
        };
        tenants::in_between(self.core, &slug).await
    }

    async fn orphan(&mut self, tree: Tree, place: &Place) -> Result<()> {
        let rows = self.count_keys(tree, place).await?;
        // A tenant made meanwhile is none the less one; of one erased meanwhile nothing is left.
        let still = !self
            .core
            .engine
            .scan(&one(tree, place))
            .await?
            .rows
            .is_empty();
        if still && !self.exists(&place.owner).await? && !self.leaving(&place.owner).await? {
            let detail = format!("{rows} keys of a tenant that does not exist");
            self.report.add(Kind::Orphan, &place.prefix, detail);
        }
        Ok(())
    }

    pub(super) async fn count_keys(&mut self, tree: Tree, place: &Place) -> Result<u64> {
        let mut scan = Scan::prefix(tree, place.prefix.clone());
        scan.values = false;
        let mut pages = Pages::new(&self.core.engine, scan);
        while !pages.page().await?.is_empty() {}
        self.report.keys += pages.read;
        Ok(pages.read)
    }

    async fn of_tenant(&mut self, tree: Tree, place: &Place) -> Result<()> {
        match place.family.strip_prefix('~') {
            Some("count") if tree == Tree::Hot => self.counters(place).await,
            Some(_) => self.system(tree, place, &place.family).await,
            None => {
                let state = self.apps.refresh().await?;
                match standing(&state, &place.family) {
                    Standing::Declared => Ok(()),
                    Standing::Leaving => self.count_keys(tree, place).await.map(drop),
                    Standing::Unknown => self.undeclared(&state, tree, place).await,
                }
            }
        }
    }

    /// Rows of something that no app file declares. Index rows are removed by a
    /// repair; records never are.
    async fn undeclared(&mut self, state: &AppState, tree: Tree, place: &Place) -> Result<()> {
        let mut pages = Pages::new(&self.core.engine, Scan::prefix(tree, place.prefix.clone()));
        let is_index = place.family.contains('@');
        let mut left = 0_u64;
        while let Some((key, value)) = pages.next().await? {
            self.report.keys += 1;
            if !is_index {
                self.report.records += 1;
                // The dictionary of a packed one may be gone with what declared it.
                let error = match packed::is_packed(&value) {
                    true => packed::read(&value).err(),
                    false => codec::decode_record(&value).err(),
                };
                if let Some(error) = error {
                    self.report.add(Kind::Record, &key, error.to_string());
                }
            }
            let removed =
                is_index && self.options.repair && self.remove(state, tree, &key, &value).await?;
            left += u64::from(!removed);
        }
        let what = if is_index { "index rows" } else { "records" };
        let detail = format!(
            "{} {what}, and the applied app file does not declare {}",
            pages.read, place.family
        );
        if pages.read > 0 {
            self.report
                .push(Kind::Undeclared, &place.prefix, detail, left == 0);
        }
        Ok(())
    }

    /// A tenant's counters: each must be of something declared.
    async fn counters(&mut self, place: &Place) -> Result<()> {
        let state = self.apps.refresh().await?;
        let scan = Scan::prefix(Tree::Hot, place.prefix.clone());
        let mut pages = Pages::new(&self.core.engine, scan);
        while let Some((key, value)) = pages.next().await? {
            self.report.keys += 1;
            self.report.counters += 1;
            let rest = &key[place.prefix.len()..];
            let end = rest.iter().position(|b| *b == b'#').unwrap_or(rest.len());
            let of = String::from_utf8_lossy(&rest[..end]);
            let known = match standing(&state, &of) {
                Standing::Declared => names_a_tier(&rest[end..]),
                Standing::Leaving => true,
                Standing::Unknown => false,
            };
            if known {
                continue;
            }
            let repaired =
                self.options.repair && self.remove(&state, Tree::Hot, &key, &value).await?;
            let detail = format!("a counter of {of}, which the applied app file does not declare");
            self.report.push(Kind::Undeclared, &key, detail, repaired);
        }
        Ok(())
    }
}

impl Place {
    fn of(key: &Key) -> Option<Self> {
        let first = key.iter().position(|b| *b == b'#')?;
        let rest = &key[first + 1..];
        let second = rest.iter().position(|b| *b == b'#');
        let end = first + 1 + second.unwrap_or(rest.len());
        let text = |range| String::from_utf8(key.slice(range).to_vec()).ok();
        let (owner, family) = (text(0..first)?, text(first + 1..end)?);
        let is_system = owner == INSTALLATION || family.starts_with('~');
        if family.is_empty() || owner.is_empty() || (second.is_none() && !is_system) {
            return None;
        }
        let prefix = key.slice(..key.len().min(end + 1));
        Some(Self {
            owner,
            family,
            prefix,
        })
    }
}

fn one(tree: Tree, place: &Place) -> Scan {
    let mut scan = Scan::prefix(tree, place.prefix.clone());
    (scan.limit, scan.values) = (1, false);
    scan
}

/// What the app says of an entity, or of an index named `entity@index`.
fn standing(state: &AppState, family: &str) -> Standing {
    let (entity, index) = match family.split_once('@') {
        Some((entity, index)) => (entity, Some(index)),
        None => (family, None),
    };
    if state.head.purging.iter().any(|name| name == entity) {
        return Standing::Leaving;
    }
    let declared = EntityName::parse(entity)
        .ok()
        .is_some_and(|name| state.file.entities.contains_key(&name));
    match (declared, index) {
        (false, _) => Standing::Unknown,
        (true, None) => Standing::Declared,
        (true, Some(index)) => match state.head.entry(entity, index) {
            None => Standing::Unknown,
            Some(entry) if entry.state.is_maintained() => Standing::Declared,
            Some(_) => Standing::Leaving,
        },
    }
}

/// Whether what follows an entity or index in a counter's key begins with a tier.
fn names_a_tier(rest: &[u8]) -> bool {
    Tree::ALL.into_iter().any(|tree| {
        rest.strip_prefix(b"#")
            .and_then(|rest| rest.strip_prefix(tree.name().as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&b'#'))
    })
}
