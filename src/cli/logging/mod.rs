//! The server's log, on the standard error output.

mod output;

use std::fmt::{self, Write as _};

use anyhow::{Context as _, Result};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, fmt as lines,
    fmt::FormattedFields,
    fmt::{
        FmtContext,
        format::{FormatEvent, FormatFields, Writer},
    },
    registry::LookupSpan,
};

use self::output::Output;
use crate::{
    base::{Clock as _, SystemClock},
    config::{Log, LogFormat},
};

/// What most lines fit in.
const LINE_BYTES: usize = 320;

/// Starts logging as `[log]` says; once in a process.
pub fn start(log: &Log) -> Result<()> {
    let filter = EnvFilter::try_new(&log.filter)
        .with_context(|| format!("[log] filter = {:?} is not understood", log.filter))?;
    let builder = lines()
        .with_env_filter(filter)
        .with_writer({
            let output = Output(log.format);
            move || output
        })
        // A line that cannot be written (its disk is full, its reader is gone) would be
        // complained of on the same output, by a panic in the middle of a request.
        .log_internal_errors(false)
        .with_ansi(false);
    let started = match log.format {
        LogFormat::Text => builder.event_format(Text).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log cannot be started: {error}"))
}

/// A line for people: the moment, the level, the spans with their fields, who says
/// it, and what. As `tracing_subscriber` writes it, at a third of the cost: every
/// request has such a line.
struct Text;

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Line(String::with_capacity(LINE_BYTES));
        let about = event.metadata();
        line.0.push_str(&SystemClock.now().to_rfc3339());
        for _ in about.level().as_str().len()..6 {
            line.0.push(' ');
        }
        line.0.push_str(about.level().as_str());
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(|s| s.from_root())
        {
            line.0.push(' ');
            line.0.push_str(span.name());
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                line.0.push('{');
                line.0.push_str(fields);
                line.0.push_str("}:");
            }
        }
        line.0.push(' ');
        line.0.push_str(about.target());
        line.0.push(':');
        event.record(&mut line);
        line.0.push('\n');
        writer.write_str(&line.0)
    }
}

/// A line that an event's fields are added to.
struct Line(String);

impl Line {
    fn name(&mut self, field: &Field) {
        self.0.push(' ');
        if field.name() != "message" {
            self.0.push_str(field.name());
            self.0.push('=');
        }
    }

    fn number(&mut self, field: &Field, number: impl fmt::Display) {
        self.name(field);
        // Writing into a String does not fail.
        let _ = write!(self.0, "{number}");
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        let plain = |b: u8| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\';
        if value.bytes().all(plain) {
            self.0.push('"');
            self.0.push_str(value);
            self.0.push('"');
        } else {
            let _ = write!(self.0, "{value:?}");
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.number(field, value);
    }

    /// Also what is shown by its `Display`: it may hold anything, and stays one line.
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field);
        let start = self.0.len();
        let _ = write!(self.0, "{value:?}");
        if self.0[start..].chars().any(char::is_control) {
            let shown = self.0.split_off(start);
            for letter in shown.chars() {
                match letter.is_control() {
                    true => self.0.extend(letter.escape_default()),
                    false => self.0.push(letter),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(work: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = lines()
            .with_ansi(false)
            .event_format(Text)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, work);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        // The moment is another one each time.
        assert_eq!(&text[10..11], "T");
        assert_eq!(&text[23..24], "Z");
        text[24..].to_owned()
    }

    #[test]
    fn a_line_has_its_spans_and_fields() {
        let line = logged(|| {
            let span = tracing::info_span!("request", request_id = %"r-1");
            let _inside = span.enter();
            tracing::info!(
                route = "/v1/{a}",
                status = 200_u16,
                duration_ms = 1.25,
                "answered"
            );
        });
        assert_eq!(
            line,
            "  INFO request{request_id=r-1}: tenantry::cli::logging::tests: answered route=\"/v1/{a}\" status=200 duration_ms=1.25\n"
        );
    }

    #[test]
    fn whatever_is_logged_stays_on_one_line() {
        let line = logged(|| {
            tracing::warn!(path = "a\n\"b\"", error = %"one\ntwo\u{1b}[31m", "odd");
        });
        assert_eq!(
            line,
            "  WARN tenantry::cli::logging::tests: odd path=\"a\\n\\\"b\\\"\" error=one\\ntwo\\u{1b}[31m\n"
        );
    }
}
