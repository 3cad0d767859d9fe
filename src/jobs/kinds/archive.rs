//! `kind = "archive"`: moves what is due by the rules, or what a query names, into the
//! archive. `kind = "restore"`: moves what a query names back.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Made,
    moving::{Moving, Pace, Totals, move_page, settle_owed},
};
use crate::{
    domain::{Entity, RecordId, duration, job::kind::archive::Params},
    jobs::context::{Context, Failure},
    service::{
        archive::{A_COMMIT, Ask, Way, archive_end, terms},
        records::Only,
    },
    store::Tree,
};

/// How far a run has come.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct State {
    /// What was asked for, where it was not the rules.
    ask: Option<Ask>,
    /// The entity that is worked on.
    entity: Option<String>,
    /// Whether its restored records are done.
    restored_done: bool,
    /// The last row that is done.
    after: Option<Vec<u8>>,
    /// The page of the query that comes next.
    cursor: Option<String>,
    totals: Totals,
    /// Records whose children may have moved before them.
    owed: Vec<(RecordId, Only)>,
}

impl Moving for State {
    fn totals(&mut self) -> &mut Totals {
        &mut self.totals
    }

    fn owed(&mut self) -> &mut Vec<(RecordId, Only)> {
        &mut self.owed
    }
}

/// Archives.
pub async fn run(context: &Context, params: &Params) -> Result<Made, Failure> {
    let state: State = context.state()?;
    let pace = Pace::new(context, params.per_second);
    match state.ask.clone() {
        Some(ask) => by_query(context, &pace, Way::Archive, &ask, state).await,
        None => by_rules(context, &pace, params, state).await,
    }
}

/// Restores.
pub async fn restore(context: &Context) -> Result<Made, Failure> {
    let state: State = context.state()?;
    let ask = state.ask.clone().ok_or_else(|| {
        Failure::permanent("nothing was named: restore by query, as in `tenantry archive restore`")
    })?;
    by_query(
        context,
        &Pace::new(context, None),
        Way::Restore,
        &ask,
        state,
    )
    .await
}

async fn by_query(
    context: &Context,
    pace: &Pace<'_>,
    way: Way,
    ask: &Ask,
    mut state: State,
) -> Result<Made, Failure> {
    let entity = context.archive().ruled(&ask.entity).await?;
    let mut request = way.request(ask)?;
    settle_owed(context, pace, (&entity, way), &mut state).await?;
    loop {
        request.cursor.clone_from(&state.cursor);
        let page = context.page(&ask.entity, &request).await?;
        let last = page.next_cursor.is_none();
        let records = page.items.iter().map(|item| named(item, way));
        let records = records.collect::<Result<Vec<_>, _>>()?;
        let after = State {
            cursor: page.next_cursor,
            ..state.clone()
        };
        if !records.is_empty() {
            move_page(context, pace, (&entity, way), records, (&mut state, after)).await?;
        }
        if last {
            break;
        }
    }
    let totals = &state.totals;
    let verb = match way {
        Way::Archive => "archived",
        Way::Restore => "restored",
    };
    context.say(&format!(
        "{verb} {} records of {}, {} stayed",
        totals.moved, ask.entity, totals.stayed
    ));
    Ok(None)
}

/// A record of a page, by what its move depends on.
fn named(item: &RawValue, way: Way) -> Result<(RecordId, Only), Failure> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
        version: u64,
    }
    let unreadable =
        |error: String| Failure::permanent(format!("a record cannot be read: {error}"));
    let named: Named =
        serde_json::from_str(item.get()).map_err(|error| unreadable(error.to_string()))?;
    let id = RecordId::parse(&named.id).map_err(|error| unreadable(error.to_string()))?;
    let only = match way {
        Way::Archive => Only::Version(named.version),
        Way::Restore => Only::IfThere,
    };
    Ok((id, only))
}

async fn by_rules(
    context: &Context,
    pace: &Pace<'_>,
    params: &Params,
    mut state: State,
) -> Result<Made, Failure> {
    let now = context.runs().now();
    let entities = context.archive().entities().await?;
    let meant = entities.iter().filter(|entity| params.means(&entity.name));
    let tenant = context.claimed().tenant.as_ref();
    if state.totals.total.is_none() {
        let (Some(tenant), access) = (tenant, context.tenant()?) else {
            return Err(Failure::permanent("the installation has no records"));
        };
        let due = context
            .archive()
            .count_all_due(access, tenant, params)
            .await?;
        if due == 0 {
            return Err(Failure::skip("nothing is due"));
        }
        state.totals.total = Some(due);
    }
    for entity in meant {
        let name = entity.name.as_str();
        if state.entity.as_deref().is_some_and(|at| name < at) {
            continue;
        }
        let same = state.entity.as_deref() == Some(name);
        state = State {
            entity: Some(name.to_owned()),
            restored_done: state.restored_done && same,
            after: state.after.filter(|_| same),
            // What is owed of another entity belongs to a rule that is gone.
            owed: match same {
                true => state.owed,
                false => Vec::new(),
            },
            ..state
        };
        let before = state.totals.clone();
        if !context.archive().is_ready(entity).await? {
            context.say(&format!(
                "{name}: the index that finds what is due is being built"
            ));
            continue;
        }
        let Some(rule) = &entity.archive else {
            continue;
        };
        let after_ms = terms(entity, rule, tenant).after_ms;
        let end = archive_end(after_ms, now);
        let access = context.tenant()?;
        let turn = pace.turn().await;
        let fence = context.fence()?;
        let trained = context.archive().train(access, entity, end, fence).await?;
        turn.rest(0).await;
        if trained {
            context.say(&format!(
                "{name}: trained a dictionary on the tenant's own records"
            ));
        }
        let way = (&**entity, Way::Archive);
        settle_owed(context, pace, way, &mut state).await?;
        one_entity(context, pace, entity, (now, end), &mut state).await?;
        let moved = state.totals.moved - before.moved;
        if moved > 0 || state.totals.stayed > before.stayed {
            context.say(&format!(
                "{name}: archived {moved} records of {} bytes that are {} old; {} stayed",
                state.totals.bytes - before.bytes,
                duration::format(after_ms),
                state.totals.stayed - before.stayed
            ));
        }
    }
    Ok(None)
}

async fn one_entity(
    context: &Context,
    pace: &Pace<'_>,
    entity: &Entity,
    (now, end): (crate::base::Instant, crate::base::Instant),
    state: &mut State,
) -> Result<(), Failure> {
    loop {
        let range = match state.restored_done {
            false => (true, now.plus_ms(1)),
            true => (false, end),
        };
        let access = context.tenant()?;
        let after = state.after.as_deref();
        let page = context
            .archive()
            .due(access, entity, Tree::Hot, range, after, A_COMMIT)
            .await?;
        let mut then = state.clone();
        match &page.next {
            Some(_) => then.after.clone_from(&page.next),
            None => {
                (then.after, then.restored_done) = (None, true);
            }
        }
        let last = page.next.is_none() && state.restored_done;
        match page.records.is_empty() {
            true => *state = then,
            false => {
                let records = page.records.into_iter();
                let records = records.map(|(id, _)| (id, Only::Due(end))).collect();
                let way = (entity, Way::Archive);
                move_page(context, pace, way, records, (state, then)).await?;
            }
        }
        if last {
            return Ok(());
        }
    }
}
