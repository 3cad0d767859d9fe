//! `kind = "webhook"`: posts a tenant's records to a URL, batch by batch, each signed
//! and sent until it is taken. A batch that was taken is not sent again; one whose
//! answer was lost is, under the same `webhook-id`.

mod address;
mod breaker;
mod network;
mod signature;

use bytes::Bytes;
pub use network::{Message, Network};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Made;
use crate::{
    domain::{
        job::{
            kind::webhook::{Params, Target},
            run::Progress,
        },
        query::ListRequest,
    },
    jobs::context::{Context, Failure},
};

/// How far the records are sent.
#[derive(Default, Serialize, Deserialize)]
struct State {
    cursor: Option<String>,
    batches: u64,
    done: u64,
}

/// Posts the records.
pub async fn run(context: &Context, network: &Network, params: &Params) -> Result<Made, Failure> {
    let url = url(context, &params.target)?;
    let mut state: State = context.state()?;
    loop {
        let request = request(context, params, &state)?;
        let page = context.page(params.entity.as_str(), &request).await?;
        if !page.items.is_empty() {
            let claimed = context.claimed();
            let id = format!("{}.{}", claimed.run.id, state.batches + 1);
            let data = json!({
                "job": claimed.run.id.job,
                "run": claimed.run.id.to_string(),
                "tenant": claimed.run.id.owner.as_str(),
                "entity": params.entity,
                "batch": state.batches + 1,
                "records": page.items,
            });
            post(context, network, &url, &id, "records.batch", &data).await?;
            state.batches += 1;
            state.done += page.items.len() as u64;
        }
        state.cursor = page.next_cursor;
        let total = state.cursor.is_none().then_some(state.done);
        let progress = Progress {
            done: state.done,
            total,
        };
        context.checkpoint(&state, progress).await?;
        if state.cursor.is_none() {
            context.say(&format!(
                "{} records sent in {} requests",
                state.done, state.batches
            ));
            return Ok(None);
        }
    }
}

/// Sends one signed message.
pub async fn post(
    context: &Context,
    network: &Network,
    url: &str,
    id: &str,
    kind: &str,
    data: &Value,
) -> Result<(), Failure> {
    let run = &context.claimed().run.id;
    let secrets = context.runs().signing(&run.job, &run.owner).await?;
    let now = context.runs().now();
    let body = json!({"type": kind, "timestamp": now.to_rfc3339(), "data": data}).to_string();
    let message = Message {
        url,
        id,
        timestamp_s: now.0.div_euclid(1_000),
        secrets: &secrets,
        body: Bytes::from(body),
    };
    let bytes = message.body.len();
    let answered = network.send(&message).await.inspect_err(|failure| {
        context.say(&format!("{id} was not taken: {}", failure.error));
    })?;
    context.say(&format!("{id}, {bytes} bytes: {answered}"));
    Ok(())
}

/// Where a tenant's messages go.
pub fn url(context: &Context, target: &Target) -> Result<String, Failure> {
    match target {
        Target::Url(url) => Ok(url.clone()),
        Target::From(setting) => {
            let tenant = context.claimed().tenant.as_ref();
            let url = tenant.and_then(|tenant| setting.of(tenant));
            url.map(str::to_owned)
                .ok_or_else(|| Failure::skip("the tenant's meta has no address to send to"))
        }
    }
}

fn request(context: &Context, params: &Params, state: &State) -> Result<ListRequest, Failure> {
    let mut pairs = params.filters.clone();
    if let Some((by, period)) = &params.span {
        let claimed = context.claimed();
        let zone = claimed.job.zone(claimed.tenant.as_ref());
        let (from, to) = period.bounds(claimed.run.id.slot.at, zone);
        pairs.push((format!("{by}[gte]"), from.to_rfc3339()));
        pairs.push((format!("{by}[lt]"), to.to_rfc3339()));
        pairs.push(("order".into(), by.clone()));
    }
    let mut request = ListRequest::from_pairs(pairs, params.batch, params.batch)
        .map_err(|problem| Failure::permanent(problem.detail))?;
    request.cursor.clone_from(&state.cursor);
    Ok(request)
}
