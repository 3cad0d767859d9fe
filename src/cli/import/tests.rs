#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufReader, Cursor};

use proptest::prelude::*;

use super::split::Refused;
use super::*;
use crate::cli::args::{Cli, Command};
use crate::cli::testing::{FakeServer, answer};

fn split(text: &str, format: Format, limits: Limits, buffer: usize) -> (Vec<Chunk>, Vec<Refused>) {
    let reader = BufReader::with_capacity(buffer, Cursor::new(text.as_bytes().to_vec()));
    let mut splitter = Splitter::new(Box::new(reader), format, limits);
    let mut chunks = Vec::new();
    while let Some(chunk) = splitter.next_chunk().unwrap() {
        chunks.push(chunk);
    }
    (chunks, splitter.take_refused())
}

fn rows(chunk_rows: usize) -> Limits {
    Limits {
        chunk_bytes: 1 << 20,
        chunk_rows,
        row_bytes_max: 1 << 20,
    }
}

fn text(chunk: &Chunk) -> (&str, u64) {
    (std::str::from_utf8(&chunk.bytes).unwrap(), chunk.first_line)
}

#[test]
fn csv_is_cut_between_rows_with_the_header_repeated() {
    let file = "a,b\n1,\"x\ny\"\n2,5\" pipe\n\n3,\"say \"\"hi\"\"\n\"\n4,\r\n5,end";
    for buffer in [1, 2, 3, 64] {
        let (chunks, _) = split(file, Format::Csv, rows(2), buffer);
        let chunks: Vec<_> = chunks.iter().map(text).collect();
        assert_eq!(
            chunks,
            [
                ("a,b\n1,\"x\ny\"\n2,5\" pipe\n", 2),
                ("a,b\n\n3,\"say \"\"hi\"\"\n\"\n4,\r\n", 5),
                ("a,b\n5,end", 9),
            ]
        );
    }
}

#[test]
fn lines_are_cut_by_bytes_too() {
    let limits = Limits {
        chunk_bytes: 5,
        chunk_rows: 100,
        row_bytes_max: 100,
    };
    let (chunks, _) = split("{}\n{}\n\n{}\n", Format::Ndjson, limits, 64);
    let chunks: Vec<_> = chunks.iter().map(text).collect();
    assert_eq!(chunks, [("{}\n{}\n", 1), ("\n{}\n", 3)]);
}

#[test]
fn a_row_beyond_the_limit_is_refused_and_the_rest_goes_on() {
    let limits = Limits {
        chunk_bytes: 100,
        chunk_rows: 100,
        row_bytes_max: 10,
    };
    let long = "x".repeat(50);
    let file = format!("{long}\n{{}}\n{long}\n{long}\n{{1}}\n");
    for buffer in [3, 64] {
        let (chunks, refused) = split(&file, Format::Ndjson, limits, buffer);
        assert_eq!(
            chunks.iter().map(text).collect::<Vec<_>>(),
            [("{}\n", 2), ("{1}\n", 5)]
        );
        assert_eq!(
            refused.iter().map(|r| r.line).collect::<Vec<_>>(),
            [1, 3, 4]
        );
        assert_eq!(refused[0].reason, "longer than 10 bytes");
    }
    let (chunks, refused) = split("a,b\n1,\"never closed\n2,3\n", Format::Csv, limits, 64);
    assert!(chunks.is_empty());
    assert!(refused[0].reason.contains("is a quote not closed?"));
}

proptest! {
    /// Whatever is written as CSV, the chunks hold the same rows as the whole, and
    /// `first_line` is where the CSV reader itself sees the first of them.
    #[test]
    fn chunks_hold_the_rows_of_the_whole(
        table in prop::collection::vec(prop::collection::vec("[a\"\n\r, ]{0,4}", 2), 1..12),
        chunk_rows in 1..4_usize,
        buffer in 1..9_usize,
    ) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["first", "second"]).unwrap();
        for row in &table {
            writer.write_record(row).unwrap();
        }
        let file = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let read = |text: &[u8]| {
            let mut reader = csv::Reader::from_reader(text);
            let rows = reader.records().map(|row| row.unwrap());
            rows.map(|row| (row.position().unwrap().line(), row.iter().map(str::to_owned).collect::<Vec<_>>())).collect::<Vec<_>>()
        };
        let whole = read(file.as_bytes());
        let (chunks, _) = split(&file, Format::Csv, rows(chunk_rows), buffer);
        let mut seen = Vec::new();
        for chunk in &chunks {
            let offset = chunk.first_line - 2;
            seen.extend(read(&chunk.bytes).into_iter().map(|(line, row)| (line + offset, row)));
        }
        prop_assert_eq!(seen, whole);
    }
}

fn import(line: &str) -> Import {
    use clap::Parser as _;
    let cli = Cli::try_parse_from(line.split(' ')).unwrap();
    match cli.command {
        Command::Import(import) => import,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_is_sent_in_chunks_and_their_answers_added_up() {
    let server = FakeServer::start(|_| {
        let errors = [json!({"line": 3, "reason": "no subject"})];
        answer(
            200,
            &json!({"rows": 2, "created": 1, "failed": 1, "errors": errors}),
        )
    });
    let dir = tempfile::tempdir().unwrap();
    let (file, errors) = (dir.path().join("t.csv"), dir.path().join("bad"));
    std::fs::write(&file, "id,s\n1,a\n2,b\n3,c\n").unwrap();
    let line = format!(
        "tenantry import -t acme -e ticket --id-field id {}",
        file.display()
    );
    let import = import(&line);
    let input = Input::open(&import.file, import.format).unwrap();
    let mut report = Report::open(Some(&errors)).unwrap();
    copy(&server.client(), &import, input, rows(2), &mut report).unwrap();
    report.flush().unwrap();

    let asked = server.asked();
    let queries: Vec<_> = asked.iter().map(|asked| asked.query.as_str()).collect();
    assert_eq!(
        queries,
        [
            "entity=ticket&format=csv&id_field=id&first_line=2",
            "entity=ticket&format=csv&id_field=id&first_line=4"
        ]
    );
    assert_eq!(
        (asked[0].method.as_str(), asked[0].path.as_str()),
        ("POST", "/v1/tenants/acme/import")
    );
    assert_eq!(asked[1].body, b"id,s\n3,c\n");
    assert_eq!((report.rows, report.created, report.failed), (4, 2, 2));
    assert!(!report.all_failed());
    assert_eq!(std::fs::read_to_string(errors).unwrap().lines().count(), 2);
}

#[test]
fn rows_can_name_their_tenant() {
    let line = "tenantry import --tenant-field c --tenant-default guest --create-tenants -e line -";
    let target = target(&import(line), Format::Ndjson);
    let expected = "/v1/import?entity=line&format=ndjson&tenant_field=c&tenant_default=guest&create_tenants=true";
    assert!(format!("{target:?}").contains(expected), "{target:?}");
}

#[test]
fn a_file_without_rows_is_sent_so_that_mistakes_are_told() {
    let server = FakeServer::start(|_| answer(404, &json!({"detail": "There is no tenant."})));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.csv");
    std::fs::write(&file, "").unwrap();
    let import = import(&format!(
        "tenantry import -t no -e ticket {}",
        file.display()
    ));
    let input = Input::open(&import.file, import.format).unwrap();
    let mut report = Report::open(None).unwrap();
    let copied = copy(&server.client(), &import, input, rows(2), &mut report);
    assert_eq!(copied.unwrap_err().to_string(), "There is no tenant.");
}
