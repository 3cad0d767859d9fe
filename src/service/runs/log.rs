//! A run's log: its first lines and its last ones, whatever was said between.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{base::Instant, store::codec::Stored};

/// A longer line is cut.
pub const LOG_LINE_CHARS_MAX: usize = 2_000;
/// What a line costs beside its text.
const LINE_BYTES: usize = 32;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its number, from 1.
    pub number: u64,
    /// When it was said.
    pub at: Instant,
    /// What.
    pub text: String,
}

/// The log of a run, over all of its attempts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLog {
    head: Vec<LogLine>,
    tail: VecDeque<LogLine>,
    head_bytes: usize,
    tail_bytes: usize,
    /// Half of what the log may take.
    half: usize,
    lines: u64,
    /// Lines between the first and the last ones that were not kept.
    pub cut_lines: u64,
    /// Bytes of those.
    pub cut_bytes: u64,
}

impl Stored for RunLog {
    const KIND: &'static str = "run's log";
    const VERSION: u8 = 1;
}

impl RunLog {
    /// An empty log of at most so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            half: bytes_max / 2,
            ..Self::default()
        }
    }

    /// Adds what was said, as one line.
    pub fn add(&mut self, at: Instant, text: &str) {
        // A line stays a line, whatever is in it.
        let text: String = text
            .chars()
            .take(LOG_LINE_CHARS_MAX)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        self.lines += 1;
        let line = LogLine {
            number: self.lines,
            at,
            text,
        };
        let bytes = line.text.len() + LINE_BYTES;
        if self.tail.is_empty() && self.head_bytes + bytes <= self.half {
            self.head_bytes += bytes;
            self.head.push(line);
            return;
        }
        self.tail_bytes += bytes;
        self.tail.push_back(line);
        while self.tail_bytes > self.half
            && let Some(gone) = self.tail.pop_front()
        {
            let bytes = gone.text.len() + LINE_BYTES;
            self.tail_bytes -= bytes;
            self.cut_lines += 1;
            self.cut_bytes += gone.text.len() as u64;
        }
    }

    /// The lines that were kept, in order.
    pub fn lines(&self) -> impl Iterator<Item = &LogLine> {
        self.head.iter().chain(&self.tail)
    }

    /// The number of the last line before the cut; 0 where nothing was cut.
    pub fn cut_after(&self) -> u64 {
        match self.cut_lines {
            0 => 0,
            _ => self.head.last().map_or(0, |line| line.number),
        }
    }

    /// Bytes of all texts kept.
    pub fn bytes(&self) -> usize {
        self.lines().map(|line| line.text.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_flood_leaves_the_first_and_the_last_lines() {
        let mut log = RunLog::new(4_096);
        for number in 1..=10_000 {
            log.add(
                Instant(number),
                &format!("line {number}\u{7}\n{}", "x".repeat(20)),
            );
        }
        let numbers: Vec<_> = log.lines().map(|line| line.number).collect();
        assert_eq!((numbers[0], *numbers.last().unwrap()), (1, 10_000));
        assert!(log.bytes() <= 4_096);
        let cut = log.cut_after();
        assert_eq!(numbers.len() as u64 + log.cut_lines, 10_000);
        let at = numbers.iter().position(|n| *n == cut).unwrap();
        assert_eq!(numbers[at + 1], cut + 1 + log.cut_lines);
        assert!(log.lines().all(|line| !line.text.contains('\n')));
    }

    #[test]
    fn a_line_has_an_end() {
        let mut log = RunLog::new(100_000);
        log.add(Instant(1), &"ä".repeat(1_000_000));
        assert_eq!(log.bytes(), 2 * LOG_LINE_CHARS_MAX);
        let mut small = RunLog::new(1_024);
        small.add(Instant(1), &"ä".repeat(1_000));
        assert_eq!((small.lines().count(), small.cut_lines), (0, 1));
    }
}
