//! `kind = "report"`: counts, sums, averages, minima and maxima of a span's records,
//! by group and by part of time, in one record of the entity `report`. What is held
//! in memory, and in the checkpoint, is the groups and one page.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Made,
    webhook::{self, Network},
};
use crate::{
    base::Instant,
    domain::{
        IndexValue,
        app_file::REPORT,
        job::{kind::report::Params, period, run::Progress},
        query::{Direction, ListRequest, TierChoice},
    },
    jobs::context::{Context, Failure},
    service::records::{Action, Operation},
};

/// The most groups of one report.
const GROUPS_MAX: usize = 5_000;
/// Records of a page.
const PAGE: usize = 500;
/// Sums are given to so many digits behind the point: what is beyond is the error of
/// adding binary fractions.
const DIGITS: i32 = 9;

/// How far a report has come.
#[derive(Default, Serialize, Deserialize)]
struct State {
    /// By group and part of time, both as JSON.
    groups: BTreeMap<String, Group>,
    done: u64,
    /// The value of the grouped index that is read now.
    value: Option<Value>,
    /// Where the page before ended.
    cursor: Option<String>,
    /// Whether all records are read.
    read: bool,
    /// Whether the report is written.
    written: bool,
}

/// One group.
#[derive(Default, Clone, Serialize, Deserialize)]
struct Group {
    key: Value,
    bucket: Option<NaiveDate>,
    count: u64,
    measures: Vec<Measure>,
}

/// What became of one field's numbers.
#[derive(Default, Clone, Copy, Serialize, Deserialize)]
struct Measure {
    count: u64,
    sum: f64,
    /// What adding to `sum` lost (Neumaier).
    lost: f64,
    min: f64,
    max: f64,
}

impl Measure {
    fn add(&mut self, number: f64) {
        let sum = self.sum + number;
        self.lost += match self.sum.abs() >= number.abs() {
            true => (self.sum - sum) + number,
            false => (number - sum) + self.sum,
        };
        self.sum = sum;
        self.min = if self.count == 0 {
            number
        } else {
            self.min.min(number)
        };
        self.max = if self.count == 0 {
            number
        } else {
            self.max.max(number)
        };
        self.count += 1;
    }

    fn join(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let (min, max) = (self.min.min(other.min), self.max.max(other.max));
        let first = self.count == 0;
        let count = self.count + other.count;
        self.add(other.sum);
        self.add(other.lost);
        self.count = count;
        (self.min, self.max) = if first {
            (other.min, other.max)
        } else {
            (min, max)
        };
    }

    fn json(&self) -> Value {
        if self.count == 0 {
            return json!({"count": 0, "sum": 0, "avg": null, "min": null, "max": null});
        }
        let sum = self.sum + self.lost;
        json!({
            "count": self.count,
            "sum": number(sum),
            "avg": number(sum / self.count as f64),
            "min": number(self.min),
            "max": number(self.max),
        })
    }
}

/// A number as people expect it: whole ones without a point.
fn number(value: f64) -> Value {
    let scale = 10_f64.powi(DIGITS);
    let rounded = match (value * scale).round() / scale {
        rounded if rounded.is_finite() => rounded,
        _ => value,
    };
    if rounded.fract() == 0.0 && rounded.abs() < 9_007_199_254_740_992.0 {
        return json!(rounded as i64);
    }
    json!(rounded)
}

/// Makes the report.
pub async fn run(context: &Context, network: &Network, params: &Params) -> Result<Made, Failure> {
    let claimed = context.claimed();
    let zone = claimed.job.zone(claimed.tenant.as_ref());
    let (from, to) = params.period.bounds(claimed.run.id.slot.at, zone);
    let mut state: State = context.state()?;
    if state.done > 0 {
        context.say(&format!("goes on behind {} records", state.done));
    }
    let read = Read {
        context,
        params,
        from,
        to,
        zone,
    };
    while !state.read {
        read.step(&mut state).await?;
    }
    let id = format!("{}.{}", claimed.run.id.job, claimed.run.id.slot.key());
    let report = read.report(&state);
    if !state.written {
        state.written = true;
        read.write(&id, &report, &state).await?;
    }
    if let Some(target) = &params.send {
        let data = json!({"id": id, "tenant": claimed.run.id.owner.as_str(), "report": report});
        let message = claimed.run.id.to_string();
        match webhook::url(context, target) {
            Ok(url) => {
                webhook::post(context, network, &url, &message, "report.created", &data).await?
            }
            // The report is there all the same.
            Err(nowhere) => context.say(&format!("not sent: {}", nowhere.error)),
        }
    }
    Ok(Some((REPORT.into(), id)))
}

fn progress(state: &State) -> Progress {
    Progress {
        done: state.done,
        total: state.read.then_some(state.done),
    }
}

struct Read<'a> {
    context: &'a Context,
    params: &'a Params,
    from: Instant,
    to: Instant,
    zone: chrono_tz::Tz,
}

impl Read<'_> {
    /// Keeps the report as a record, together with how far the run has come.
    async fn write(&self, id: &str, report: &Value, state: &State) -> Result<(), Failure> {
        let body = serde_json::to_vec(report);
        let body = body.map_err(|error| Failure::permanent(error.to_string()))?;
        let write = Operation {
            entity: REPORT.into(),
            action: Action::Put { id: id.into() },
            body: Bytes::from(body),
            if_match: None,
            if_none_match: None,
        };
        self.context.write(&[write], state, progress(state)).await?;
        self.context.say(&format!(
            "{} records of {} from {} to {} in {} groups: {REPORT}/{id}",
            state.done,
            self.params.entity,
            self.from.to_rfc3339(),
            self.to.to_rfc3339(),
            state.groups.len()
        ));
        Ok(())
    }

    /// Reads the next page, and keeps how far that is.
    async fn step(&self, state: &mut State) -> Result<(), Failure> {
        if self.params.grouped_index && state.value.is_none() && !self.advance(state).await? {
            return Ok(());
        }
        let request = self.request(state)?;
        let page = self
            .context
            .page(self.params.entity.as_str(), &request)
            .await?;
        for record in &page.items {
            self.count(state, record.get())?;
        }
        state.done += page.items.len() as u64;
        state.cursor = page.next_cursor;
        if state.cursor.is_none() {
            match self.params.grouped_index {
                true => drop(self.advance(state).await?),
                false => state.read = true,
            }
        }
        // The last step's is kept with the report itself.
        if !state.read && !page.items.is_empty() {
            self.context.checkpoint(state, progress(state)).await?;
        }
        Ok(())
    }

    /// Goes on to the index's next value; false at the end.
    async fn advance(&self, state: &mut State) -> Result<bool, Failure> {
        let before = state.value.as_ref().and_then(index_value);
        let params = self.params;
        let next = self.context.records().next_value(
            self.context.tenant()?,
            &params.entity,
            &params.index,
            before.as_ref(),
        );
        tokio::task::yield_now().await;
        state.value = next.await?.and_then(|value| match value {
            IndexValue::Text(text) => Some(Value::from(text)),
            IndexValue::Bool(value) => Some(Value::from(value)),
            // No index that groups has these first.
            IndexValue::Number(_) | IndexValue::Instant { .. } => None,
        });
        state.read = state.value.is_none();
        Ok(!state.read)
    }

    fn request(&self, state: &State) -> Result<ListRequest, Failure> {
        let by = &self.params.by;
        let mut pairs = vec![
            (format!("{by}[gte]"), self.from.to_rfc3339()),
            (format!("{by}[lt]"), self.to.to_rfc3339()),
            ("order".to_owned(), by.clone()),
        ];
        if let (Some(group), Some(value)) = (&self.params.group_by, &state.value) {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            pairs.push((group.path.clone(), text));
        }
        let mut request = ListRequest::from_pairs(pairs, PAGE, PAGE)
            .map_err(|problem| Failure::permanent(problem.detail))?;
        debug_assert!(matches!(request.order, Some((_, Direction::Ascending))));
        // What was archived meanwhile counts as before.
        request.tier = TierChoice::All;
        request.cursor.clone_from(&state.cursor);
        Ok(request)
    }

    fn count(&self, state: &mut State, record: &str) -> Result<(), Failure> {
        let record: Value = serde_json::from_str(record)
            .map_err(|error| Failure::permanent(format!("a record cannot be read: {error}")))?;
        let field = |path: &str| match path {
            "created_at" | "updated_at" => record.get(path),
            _ => path
                .split('.')
                .try_fold(&record["data"], |value, key| value.get(key)),
        };
        let group_by = self.params.group_by.as_ref();
        let key = group_by.and_then(|group| field(&group.path)).cloned();
        let key = key.unwrap_or(Value::Null);
        let bucket = match self.params.bucket {
            None => None,
            Some(bucket) => {
                let at = field(&self.params.by).and_then(Value::as_str);
                at.and_then(moment)
                    .map(|at| bucket.first_day(period::local_day(at, self.zone)))
            }
        };
        let name = json!([key, bucket]).to_string();
        if !state.groups.contains_key(&name) && state.groups.len() >= GROUPS_MAX {
            return Err(Failure::permanent(format!(
                "more than {GROUPS_MAX} groups: group by a field with fewer values, or over a shorter period"
            )));
        }
        let group = state.groups.entry(name).or_insert_with(|| Group {
            key,
            bucket,
            count: 0,
            measures: vec![Measure::default(); self.params.measures.len()],
        });
        group.count += 1;
        for (path, measure) in self.params.measures.iter().zip(&mut group.measures) {
            if let Some(number) = field(path).and_then(Value::as_f64) {
                measure.add(number);
            }
        }
        Ok(())
    }

    fn report(&self, state: &State) -> Value {
        let params = self.params;
        let measured = |object: &mut Map<String, Value>, measures: &[Measure]| {
            for (path, measure) in params.measures.iter().zip(measures) {
                object.insert(path.clone(), measure.json());
            }
        };
        let mut groups: Vec<&Group> = state.groups.values().collect();
        groups.sort_by_key(|group| (group.key.to_string(), group.bucket));
        let rows = groups.iter().map(|group| {
            let mut row = Map::new();
            row.insert("key".into(), group.key.clone());
            if let Some(bucket) = group.bucket {
                row.insert("bucket".into(), json!(bucket));
            }
            row.insert("count".into(), json!(group.count));
            measured(&mut row, &group.measures);
            Value::Object(row)
        });
        let rows: Vec<Value> = rows.collect();
        let mut all = vec![Measure::default(); params.measures.len()];
        for group in &groups {
            for (all, one) in all.iter_mut().zip(&group.measures) {
                all.join(one);
            }
        }
        let mut totals = Map::new();
        measured(&mut totals, &all);
        json!({
            "job": self.context.claimed().run.id.job,
            "run": self.context.claimed().run.id.to_string(),
            "entity": params.entity,
            "by": params.by,
            "from": self.from.to_rfc3339(),
            "to": self.to.to_rfc3339(),
            "timezone": self.zone.name(),
            "group_by": params.group_by.as_ref().map(|group| &group.path),
            "bucket": params.bucket,
            "total": state.done,
            "totals": totals,
            "groups": rows,
        })
    }
}

/// A value that was read from the grouped index.
fn index_value(value: &Value) -> Option<IndexValue> {
    match value {
        Value::String(text) => Some(IndexValue::Text(text.clone())),
        Value::Bool(value) => Some(IndexValue::Bool(*value)),
        _ => None,
    }
}

/// A date-time, or a date: its midnight in UTC, as indexes order it.
fn moment(text: &str) -> Option<Instant> {
    Instant::parse_rfc3339(text).or_else(|| {
        let day: NaiveDate = text.parse().ok()?;
        let midnight = day.and_hms_opt(0, 0, 0)?;
        Some(Instant(midnight.and_utc().timestamp_millis()))
    })
}
