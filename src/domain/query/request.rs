//! The parameters of a list, read but not yet held against an entity.

/// Parameters with a meaning of their own, which no field can have as its name.
pub const RESERVED_PARAMETERS: [&str; 9] = [
    "order", "limit", "cursor", "tier", "count", "explain", "tenant", "id", "confirm",
];

/// How many filters a list takes: an index has at most 8 fields, the last of
/// them two bounds.
const FILTERS_MAX: usize = 16;
/// The longest filter value, in bytes.
const VALUE_BYTES_MAX: usize = 4096;

/// How a filter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// `field=value`
    Eq,
    /// `field[gt]=value`
    Gt,
    /// `field[gte]=value`
    Gte,
    /// `field[lt]=value`
    Lt,
    /// `field[lte]=value`
    Lte,
    /// `field[prefix]=value`
    Prefix,
}

impl Op {
    const ALL: [Op; 6] = [Op::Eq, Op::Gt, Op::Gte, Op::Lt, Op::Lte, Op::Prefix];

    /// The operator's name between the brackets.
    pub fn name(self) -> &'static str {
        match self {
            Op::Eq => "eq",
            Op::Gt => "gt",
            Op::Gte => "gte",
            Op::Lt => "lt",
            Op::Lte => "lte",
            Op::Prefix => "prefix",
        }
    }
}

/// One condition on a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The field, a dotted path.
    pub field: String,
    /// The comparison.
    pub op: Op,
    /// The value, as it stood in the URL.
    pub value: String,
}

/// The direction of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Smallest first.
    #[default]
    Ascending,
    /// Largest first.
    Descending,
}

/// Which of the two trees a list reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TierChoice {
    /// Living records.
    #[default]
    Hot,
    /// Archived records.
    Archive,
    /// Both.
    All,
}

impl TierChoice {
    /// The name, as in the parameter.
    pub fn name(self) -> &'static str {
        match self {
            TierChoice::Hot => "hot",
            TierChoice::Archive => "archive",
            TierChoice::All => "all",
        }
    }
}

/// A parameter that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct QueryProblem {
    /// The stable code of the problem.
    pub code: &'static str,
    /// What is wrong, and what was expected.
    pub detail: String,
}

/// A list as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// The conditions, in the order given.
    pub filters: Vec<Filter>,
    /// The field to order by.
    pub order: Option<(String, Direction)>,
    /// At most so many records.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Which trees to read.
    pub tier: TierChoice,
    /// Whether the number of all matching records is wanted.
    pub count: bool,
    /// Whether the reader wants to know how the list was answered.
    pub explain: bool,
}

impl ListRequest {
    /// A list of everything: no filters, `limit` records a page.
    pub fn all(limit: usize) -> Self {
        Self {
            filters: Vec::new(),
            order: None,
            limit,
            cursor: None,
            tier: TierChoice::Hot,
            count: false,
            explain: false,
        }
    }

    /// Reads a URL's decoded parameters. Whatever is not a parameter of lists is a
    /// filter on the field of that name.
    pub fn from_pairs(
        pairs: impl IntoIterator<Item = (String, String)>,
        limit_default: usize,
        limit_max: usize,
    ) -> Result<Self, QueryProblem> {
        let mut request = Self::all(limit_default);
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in pairs {
            if seen.contains(&name) {
                return Err(problem(format!(
                    "the parameter {} stands twice",
                    short(&name)
                )));
            }
            match name.as_str() {
                "order" => request.order = Some(read_order(&value)?),
                "limit" => request.limit = read_limit(&value, limit_max)?,
                "cursor" => request.cursor = Some(value).filter(|text| !text.is_empty()),
                "tier" => request.tier = read_tier(&value)?,
                "count" => request.count = read_flag("count", &value)?,
                "explain" => request.explain = read_flag("explain", &value)?,
                "tenant" | "confirm" => {
                    return Err(problem(format!("{name} is no parameter of a list")));
                }
                _ => request.filters.push(read_filter(&name, value)?),
            }
            if request.filters.len() > FILTERS_MAX {
                return Err(problem(format!("more than {FILTERS_MAX} filters")));
            }
            seen.push(name);
        }
        Ok(request)
    }
}

fn problem(detail: String) -> QueryProblem {
    QueryProblem {
        code: "invalid_query",
        detail,
    }
}

/// Texts from outside are echoed only so far.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

fn read_order(value: &str) -> Result<(String, Direction), QueryProblem> {
    let (field, direction) = match value.strip_prefix('-') {
        Some(field) => (field, Direction::Descending),
        None => (value, Direction::Ascending),
    };
    if !is_field_path(field) {
        return Err(problem(format!(
            "order={}: expected one field, as in opened_at, or -opened_at for largest first",
            short(value)
        )));
    }
    Ok((field.to_owned(), direction))
}

fn read_limit(value: &str, limit_max: usize) -> Result<usize, QueryProblem> {
    let limit = value
        .parse()
        .ok()
        .filter(|limit| (1..=limit_max).contains(limit));
    limit.ok_or_else(|| {
        problem(format!(
            "limit={}: expected 1 to {limit_max}; follow next_cursor for more",
            short(value)
        ))
    })
}

fn read_tier(value: &str) -> Result<TierChoice, QueryProblem> {
    [TierChoice::Hot, TierChoice::Archive, TierChoice::All]
        .into_iter()
        .find(|tier| tier.name() == value)
        .ok_or_else(|| {
            problem(format!(
                "tier={}: expected hot, archive or all",
                short(value)
            ))
        })
}

fn read_flag(name: &str, value: &str) -> Result<bool, QueryProblem> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(problem(format!(
            "{name}={}: expected true or false",
            short(value)
        ))),
    }
}

fn read_filter(name: &str, value: String) -> Result<Filter, QueryProblem> {
    let (field, op) = match name.split_once('[') {
        None => (name, Op::Eq),
        Some((field, rest)) => {
            let op = rest
                .strip_suffix(']')
                .and_then(|op| Op::ALL.into_iter().find(|known| known.name() == op));
            (
                field,
                op.ok_or_else(|| {
                    problem(format!(
                        "{}: expected {}[gt], [gte], [lt], [lte] or [prefix]",
                        short(name),
                        short(field)
                    ))
                })?,
            )
        }
    };
    if !is_field_path(field) {
        return Err(problem(format!(
            "\"{}\" is no parameter and no field",
            short(name)
        )));
    }
    if value.len() > VALUE_BYTES_MAX {
        return Err(problem(format!(
            "the value of {} is longer than {VALUE_BYTES_MAX} bytes",
            short(name)
        )));
    }
    Ok(Filter {
        field: field.to_owned(),
        op,
        value,
    })
}

/// The longest path of a field, in bytes.
const PATH_BYTES_MAX: usize = 200;

/// Whether `text` can name a field: segments between dots, none of them empty,
/// without brackets (which carry operators) and control characters.
pub(crate) fn is_field_path(text: &str) -> bool {
    text.len() <= PATH_BYTES_MAX
        && text.split('.').all(|segment| !segment.is_empty())
        && !text.starts_with('-')
        && !text
            .chars()
            .any(|c| c == '[' || c == ']' || c == ',' || c.is_control())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<ListRequest, QueryProblem> {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        ListRequest::from_pairs(pairs, 50, 500)
    }

    #[test]
    fn everything_at_once() {
        let request = read(&[
            ("status", "open"),
            ("opened_at[gte]", "2026-01-01"),
            ("order", "-opened_at"),
            ("limit", "500"),
            ("cursor", "abc"),
            ("tier", "all"),
            ("count", "true"),
            ("explain", "1"),
        ])
        .unwrap();
        assert_eq!(request.filters.len(), 2);
        assert_eq!(request.filters[1].op, Op::Gte);
        assert_eq!(
            request.order,
            Some(("opened_at".into(), Direction::Descending))
        );
        assert_eq!((request.limit, request.tier), (500, TierChoice::All));
        assert!(request.count && request.explain);
        assert_eq!(read(&[]).unwrap(), ListRequest::all(50));
    }

    #[test]
    fn refusals_say_what_was_expected() {
        for (pairs, detail) in [
            (
                &[("limit", "501")][..],
                "limit=501: expected 1 to 500; follow next_cursor for more",
            ),
            (
                &[("limit", "0")],
                "limit=0: expected 1 to 500; follow next_cursor for more",
            ),
            (
                &[("tier", "cold")],
                "tier=cold: expected hot, archive or all",
            ),
            (
                &[("a[ne]", "1")],
                "a[ne]: expected a[gt], [gte], [lt], [lte] or [prefix]",
            ),
            (&[("a", "1"), ("a", "2")], "the parameter a stands twice"),
            (
                &[("order", "a,b")],
                "order=a,b: expected one field, as in opened_at, or -opened_at for largest first",
            ),
            (&[("tenant", "acme")], "tenant is no parameter of a list"),
            (&[("a..b", "1")], "\"a..b\" is no parameter and no field"),
        ] {
            assert_eq!(read(pairs).unwrap_err().detail, detail);
        }
    }
}
