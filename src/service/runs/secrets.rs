//! What signs webhooks' requests: a secret for each tenant and job, made when it is
//! first needed, shown and rotated by operators.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Runs, stored::WebhookSecret, sync::committed};
use crate::{
    domain::{TenantSlug, job::run::Owner, names::JobName},
    service::{Caller, Error, Result},
    store::{Batch, Condition, Tree, codec, keys, keys::jobs},
};

/// The one before a rotation signs too for so long, in milliseconds: a day.
const PREVIOUS_MS: i64 = 86_400_000;

/// A webhook's secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SecretView {
    /// What the receiver checks signatures with: `whsec_` and base64.
    pub secret: String,
    /// When it was made.
    pub made_at: String,
    /// Until when the one before signs too.
    #[schema(required = true)]
    pub previous_until: Option<String>,
}

impl Runs {
    /// The secrets that sign for a job and an owner, the current one first.
    pub async fn signing(&self, job: &JobName, owner: &Owner) -> Result<Vec<Vec<u8>>> {
        let secret = self.secret(job, owner).await?;
        let now = self.core.clock.now();
        let previous = secret.previous.filter(|(_, until)| *until > now);
        Ok([Some(secret.current), previous.map(|(secret, _)| secret)]
            .into_iter()
            .flatten()
            .collect())
    }

    async fn secret(&self, job: &JobName, owner: &Owner) -> Result<WebhookSecret> {
        let key = jobs::webhook_secret(owner, job);
        loop {
            if let Some(row) = self.core.engine.get(Tree::Hot, &key).await? {
                return Ok(codec::decode(&row)?);
            }
            let made = WebhookSecret {
                current: self.random_secret()?,
                previous: None,
                made_at: self.core.clock.now(),
            };
            let mut batch = Batch::default();
            if let Some(slug) = owner.tenant() {
                batch.expect(Tree::Hot, keys::tenant(&slug), Condition::Present);
            }
            batch.expect(Tree::Hot, key.clone(), Condition::Absent);
            batch.put(Tree::Hot, key.clone(), codec::encode(&made)?);
            if committed(self.core.engine.commit(batch).await)? {
                return Ok(made);
            }
            if let Some(slug) = owner.tenant() {
                self.existing(&slug).await?;
            }
        }
    }

    /// A webhook's secret for a tenant; a new one where `rotate`. For operators.
    pub async fn webhook_secret(
        &self,
        caller: &Caller,
        job: &str,
        tenant: &str,
        rotate: bool,
    ) -> Result<SecretView> {
        caller.require_operator()?;
        let job = self.declared(job).await?;
        let slug = TenantSlug::parse(tenant);
        let slug = slug.map_err(|_| Error::not_found(format!("tenant {tenant:?}")))?;
        self.existing(&slug).await?;
        let owner = Owner::from(&slug);
        let key = jobs::webhook_secret(&owner, &job.name);
        let mut secret = self.secret(&job.name, &owner).await?;
        if rotate {
            let now = self.core.clock.now();
            let before = codec::encode(&secret)?;
            secret = WebhookSecret {
                previous: Some((secret.current, now.plus_ms(PREVIOUS_MS))),
                current: self.random_secret()?,
                made_at: now,
            };
            let mut batch = Batch::default();
            batch.expect(Tree::Hot, key.clone(), Condition::Value(before));
            batch.put(Tree::Hot, key, codec::encode(&secret)?);
            if !committed(self.core.engine.commit(batch).await)? {
                // Rotated by somebody else this moment: theirs is as new.
                secret = self.secret(&job.name, &owner).await?;
            }
        }
        let previous = secret.previous.as_ref();
        Ok(SecretView {
            secret: format!("whsec_{}", BASE64_STANDARD.encode(&secret.current)),
            made_at: secret.made_at.to_rfc3339(),
            previous_until: previous.map(|(_, until)| until.to_rfc3339()),
        })
    }

    fn random_secret(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; 32];
        self.core.random.fill(&mut bytes).map_err(Error::internal)?;
        Ok(bytes)
    }
}
