//! A tenant's own settings, and what may be changed in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::FieldProblem;
use super::archive::{NEVER, OwnRules, OwnRulesChange, OwnTerms, parse_duration};
use super::names::{EntityName, TenantSlug};
use crate::base::Instant;

/// The longest name of a tenant, in characters.
pub const NAME_CHARS_MAX: usize = 200;
/// How many entries `meta` may have.
pub const META_KEYS_MAX: usize = 50;
/// The longest value in `meta`, in bytes.
pub const META_VALUE_BYTES_MAX: usize = 500;

/// The largest weight.
pub const WEIGHT_MAX: u32 = 100;

/// A customer account: the unit of isolation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tenant {
    /// Its slug, which stands in every key and URL.
    pub id: TenantSlug,
    /// The name for people.
    pub name: String,
    /// Its IANA time zone, as in `Europe/Vienna`.
    pub timezone: String,
    /// Its language, a BCP 47 tag as in `de-AT`.
    pub locale: String,
    /// Whatever else the team keeps about it.
    pub meta: BTreeMap<String, String>,
    /// Its share of the jobs' time, beside that of others: 1 to 100.
    pub weight: u32,
    /// What it has instead of the durations of archive rules, by entity.
    #[schema(value_type = std::collections::BTreeMap<String, OwnTerms>)]
    pub archive: OwnRules,
    /// When it was made.
    #[serde(with = "wire_instant")]
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Instant,
    /// When it was last changed.
    #[serde(with = "wire_instant")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Instant,
}

impl Tenant {
    /// A tenant with nothing said about it: named by its slug, in UTC, English.
    pub fn new(id: TenantSlug, at: Instant) -> Self {
        Self {
            name: id.as_str().to_owned(),
            id,
            timezone: "UTC".to_owned(),
            locale: "en".to_owned(),
            meta: BTreeMap::new(),
            weight: 1,
            archive: OwnRules::new(),
            created_at: at,
            updated_at: at,
        }
    }
}

/// A change of a tenant: what is not said stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantChange {
    /// A new name, 1 to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A new IANA time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// A new BCP 47 language tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Entries to set; null removes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<BTreeMap<String, Option<String>>>,
    /// A new share of the jobs' time, 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Durations instead of those of archive rules, by entity: `after` and
    /// `purge_after`, as in `30d`; null goes back to what is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, BTreeMap<String, Option<String>>>>)]
    pub archive: Option<OwnRulesChange>,
}

impl TenantChange {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The tenant with the change made, or everything that is wrong with it.
    pub fn apply(&self, tenant: &Tenant, at: Instant) -> Result<Tenant, Vec<FieldProblem>> {
        let mut problems = self.problems();
        let mut changed = tenant.clone();
        if let Some(name) = &self.name {
            // Exactly as it was given: who looks for a name looks for that one.
            changed.name.clone_from(name);
        }
        if let Some(timezone) = &self.timezone {
            changed.timezone.clone_from(timezone);
        }
        if let Some(locale) = &self.locale {
            changed.locale.clone_from(locale);
        }
        changed.weight = self.weight.unwrap_or(changed.weight);
        self.change_archive(&mut changed.archive, &mut problems);
        for (key, value) in self.meta.iter().flatten() {
            match value {
                Some(value) => changed.meta.insert(key.clone(), value.clone()),
                None => changed.meta.remove(key),
            };
        }
        if changed.meta.len() > META_KEYS_MAX {
            problems.push(FieldProblem::new(
                "/meta",
                format!(
                    "would have {} entries; at most {META_KEYS_MAX}",
                    changed.meta.len()
                ),
            ));
        }
        changed.updated_at = at.max(tenant.updated_at);
        if problems.is_empty() {
            Ok(changed)
        } else {
            Err(problems)
        }
    }

    fn change_archive(&self, rules: &mut OwnRules, problems: &mut Vec<FieldProblem>) {
        for (name, given) in self.archive.iter().flatten() {
            let place = format!("/archive/{}", name.chars().take(80).collect::<String>());
            let entity = match EntityName::parse(name) {
                Ok(entity) => entity,
                Err(error) => {
                    problems.push(FieldProblem::new(place, error.to_string()));
                    continue;
                }
            };
            let mut terms = rules.remove(&entity).unwrap_or_default();
            match given {
                None => terms = OwnTerms::default(),
                Some(members) => {
                    for (key, value) in members {
                        let field = match key.as_str() {
                            "after" => &mut terms.after,
                            "purge_after" => &mut terms.purge_after,
                            _ => {
                                let message = "expected after or purge_after";
                                problems.push(FieldProblem::new(place.clone(), message));
                                continue;
                            }
                        };
                        let never = key == "purge_after" && value.as_deref() == Some(NEVER);
                        if let Some(text) = value.as_deref().filter(|_| !never)
                            && parse_duration(text).is_none()
                        {
                            let expected = crate::domain::duration::EXPECTED;
                            let or = if key == "purge_after" {
                                ", or never"
                            } else {
                                ""
                            };
                            problems.push(FieldProblem::new(
                                format!("{place}/{key}"),
                                format!("expected {expected}, at most 100y{or}"),
                            ));
                        }
                        field.clone_from(value);
                    }
                }
            }
            if !terms.is_empty() {
                rules.insert(entity, terms);
            }
        }
        if rules.len() > super::app_file::ENTITIES_MAX {
            problems.push(FieldProblem::new(
                "/archive",
                "more entities than there can be",
            ));
        }
    }

    /// What is wrong with the change, whatever the tenant.
    pub fn problems(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        let mut check = |pointer: &str, ok: bool, expected: &str| {
            if !ok {
                problems.push(FieldProblem::new(pointer, expected));
            }
        };
        if let Some(name) = &self.name {
            let fits = !name.trim().is_empty()
                && name.chars().count() <= NAME_CHARS_MAX
                && !name.chars().any(char::is_control);
            check(
                "/name",
                fits,
                "expected 1 to 200 characters, no control characters",
            );
        }
        if let Some(timezone) = &self.timezone {
            check(
                "/timezone",
                timezone.parse::<chrono_tz::Tz>().is_ok(),
                "expected an IANA time zone, as in Europe/Vienna or UTC",
            );
        }
        if let Some(locale) = &self.locale {
            check(
                "/locale",
                is_locale(locale),
                "expected a language tag, as in en or de-AT",
            );
        }
        if let Some(weight) = self.weight {
            let fits = (1..=WEIGHT_MAX).contains(&weight);
            check("/weight", fits, "expected a whole number from 1 to 100");
        }
        for (key, value) in self.meta.iter().flatten() {
            let pointer = format!("/meta/{}", key.chars().take(80).collect::<String>());
            check(
                &pointer,
                is_meta_key(key),
                "expected a key of 1 to 63 of a-z, 0-9 and _ . -, beginning with a letter",
            );
            check(
                &pointer,
                value
                    .as_ref()
                    .is_none_or(|value| value.len() <= META_VALUE_BYTES_MAX),
                "expected a value of up to 500 bytes",
            );
        }
        problems
    }
}

fn is_meta_key(key: &str) -> bool {
    key.len() <= 63
        && key.starts_with(|c: char| c.is_ascii_lowercase())
        && key
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b))
}

/// The shape of BCP 47: a language of 2 to 8 letters, then parts of 1 to 8 letters or digits.
fn is_locale(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    text.len() <= 35
        && (2..=8).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

/// The slug that a text suggests: lower case, everything else than ASCII letters
/// and digits becomes one hyphen; `None` where nothing is left.
pub fn slugify(text: &str) -> Option<TenantSlug> {
    let mut slug = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= 63 {
            break;
        }
    }
    TenantSlug::parse(slug.trim_end_matches('-')).ok()
}

/// RFC 3339 in JSON, plain milliseconds in stored bytes.
pub mod wire_instant {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::base::Instant;

    /// Writes the moment.
    pub fn serialize<S: Serializer>(at: &Instant, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&at.to_rfc3339())
        } else {
            at.serialize(serializer)
        }
    }

    /// Reads the moment.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Instant, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            Instant::parse_rfc3339(&text)
                .ok_or_else(|| serde::de::Error::custom("expected an RFC 3339 date-time"))
        } else {
            Instant::deserialize(deserializer)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn slug(text: &str) -> Option<String> {
        slugify(text).map(|slug| slug.as_str().to_owned())
    }

    #[test]
    fn slugs() {
        assert_eq!(slug("ACME, Inc. (Wien)").as_deref(), Some("acme-inc-wien"));
        assert_eq!(slug("  17850 ").as_deref(), Some("17850"));
        assert_eq!(slug("Österreich").as_deref(), Some("sterreich"));
        assert_eq!(slug("???"), None);
        assert_eq!(slug(&"a b".repeat(40)).unwrap().len(), 63);
    }

    #[test]
    fn a_change_says_everything_that_is_wrong() {
        let change: TenantChange = serde_json::from_str(
            r#"{"name": " ", "timezone": "Mars/Base", "locale": "x", "meta": {"Bad": "v", "ok": null}}"#,
        )
        .unwrap();
        let pointers: Vec<String> = change.problems().into_iter().map(|p| p.pointer).collect();
        assert_eq!(pointers, ["/name", "/timezone", "/locale", "/meta/Bad"]);
    }

    #[test]
    fn a_change_is_made() {
        let mut tenant = Tenant::new(TenantSlug::parse("acme").unwrap(), Instant(5));
        tenant.meta.insert("old".into(), "1".into());
        let change: TenantChange = serde_json::from_str(
            r#"{"name": "ACME", "timezone": "Europe/Vienna", "locale": "de-AT", "meta": {"tier": "gold", "old": null}}"#,
        )
        .unwrap();
        let changed = change.apply(&tenant, Instant(9)).unwrap();
        assert_eq!(
            changed.meta,
            BTreeMap::from([("tier".into(), "gold".into())])
        );
        let json = serde_json::to_value(&changed).unwrap();
        assert_eq!(json["updated_at"], "1970-01-01T00:00:00.009Z");
        assert_eq!(serde_json::from_value::<Tenant>(json).unwrap(), changed);
    }

    #[test]
    fn meta_has_an_end() {
        let tenant = Tenant::new(TenantSlug::parse("acme").unwrap(), Instant(5));
        let meta = (0..51)
            .map(|i| (format!("k{i}"), Some(String::new())))
            .collect();
        let change = TenantChange {
            meta: Some(meta),
            ..TenantChange::default()
        };
        assert_eq!(
            change.apply(&tenant, Instant(9)).unwrap_err()[0].pointer,
            "/meta"
        );
    }
}
