//! The files and what is made of them before an import.

use std::fs::File;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

pub type Rows = csv::Reader<GzDecoder<File>>;

/// The rows of a file; `None`, and a line that says so, where it is not there.
pub fn open(name: &str) -> Option<Rows> {
    let folder = std::env::var_os("TENANTRY_TEST_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let path = folder.join(name);
    match File::open(&path) {
        Ok(file) => Some(csv::Reader::from_reader(GzDecoder::new(file))),
        Err(error) => {
            println!(
                "SKIPPED: {} cannot be read ({error}); TENANTRY_TEST_DATA names another folder",
                path.display()
            );
            None
        }
    }
}

/// The number of the column `name`.
pub fn column(headers: &csv::StringRecord, name: &str) -> usize {
    headers.iter().position(|header| header == name).unwrap()
}

/// `29/2/2016 01:16` as RFC 3339. The files name no zone: UTC is as good as any.
pub fn instant_of_day_first(text: &str) -> String {
    let (date, time) = text.split_once(' ').unwrap();
    let parts: Vec<u32> = date.split('/').map(|part| part.parse().unwrap()).collect();
    format!("{}-{:02}-{:02}T{time}:00Z", parts[2], parts[1], parts[0])
}

#[test]
fn a_day_first_date() {
    let made = instant_of_day_first("9/2/2016 01:16");
    assert_eq!(made, "2016-02-09T01:16:00Z");
}
