//! What is written and asked: the same for every subject.

/// A small generator of numbers that need not be good (xorshift, Marsaglia 2003).
#[derive(Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }
}

/// A minute of the last month that tickets are opened in.
#[derive(Debug, Clone, Copy)]
pub struct Minute {
    /// From 1.
    pub day: usize,
    /// The hour.
    pub hour: usize,
    /// The minute.
    pub minute: usize,
}

impl Minute {
    /// One of forty thousand.
    pub fn any(numbers: &mut Numbers) -> Self {
        Self {
            day: numbers.below(28) + 1,
            hour: numbers.below(24),
            minute: numbers.below(60),
        }
    }

    /// As a timestamp, with this between date and time.
    pub fn text(self, between: char) -> String {
        let Self { day, hour, minute } = self;
        format!("2026-12-{day:02}{between}{hour:02}:{minute:02}:00.000Z")
    }
}

const WORDS: [&str; 24] = [
    "printer",
    "invoice",
    "delivery",
    "login",
    "password",
    "error",
    "screen",
    "network",
    "update",
    "customer",
    "refund",
    "order",
    "account",
    "browser",
    "server",
    "email",
    "report",
    "export",
    "missing",
    "slow",
    "broken",
    "since",
    "yesterday",
    "again",
];
const STATUSES: [&str; 3] = ["open", "pending", "closed"];
const BODY_BYTES: usize = 640;

/// A ticket's members as JSON, 0.8 KB long, without the braces.
pub fn ticket(numbers: &mut Numbers) -> String {
    let mut body = String::with_capacity(BODY_BYTES + 16);
    while body.len() < BODY_BYTES {
        body.push_str(WORDS[numbers.below(WORDS.len())]);
        body.push(' ');
    }
    let (day, hour, minute) = (numbers.below(28) + 1, numbers.below(24), numbers.below(60));
    format!(
        r#""subject":"The {} is {}","status":"{}","opened_at":"2026-{:02}-{day:02}T{hour:02}:{minute:02}:00.000Z","body":"{body}""#,
        WORDS[numbers.below(16)],
        WORDS[numbers.below(WORDS.len())],
        STATUSES[numbers.below(2)],
        numbers.below(12) + 1,
    )
}

/// A patch of a ticket.
pub fn patch(numbers: &mut Numbers) -> String {
    format!(r#"{{"status":"{}"}}"#, STATUSES[numbers.below(3)])
}
