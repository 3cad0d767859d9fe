//! The layers, as `src/lib.rs` lists them: no module imports from one above it,
//! and what is to be named in one place only is named there only.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Each layer's number, read from lines such as `pub mod base; // 0`.
fn layers(lib: &str) -> BTreeMap<String, u32> {
    let lines = lib.lines().filter_map(|line| line.strip_prefix("pub mod "));
    lines
        .map(|line| {
            let (name, number) = line.split_once("; // ").expect("a layer without a number");
            (name.to_owned(), number.trim().parse().unwrap())
        })
        .collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false if path.extension().is_some_and(|e| e == "rs") => found.push(path),
            false => {}
        }
    }
}

/// The code without comments, and without the modules of tests, which may build
/// whatever they need.
fn code(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: String = lines.flat_map(|line| [line, "\n"]).collect();
    let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The layers that code imports from: `crate::store::...` and
/// `use crate::{base::..., store::{...}}`.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + 7..];
        match rest.strip_prefix('{') {
            Some(list) => found.extend(first_names(list)),
            None => found.push(name_at(rest)),
        }
    }
    found
}

fn name_at(text: &str) -> String {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    text[..end.unwrap_or(text.len())].to_owned()
}

/// The first name of each item of a list in braces, of which the opening one is gone.
fn first_names(list: &str) -> Vec<String> {
    let (mut names, mut depth, mut fresh) = (Vec::new(), 0, true);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && !c.is_whitespace() => {
                names.push(name_at(&list[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

/// What is wrong with a file that stands in `layer`.
fn wrongs(layer: &str, text: &str, layers: &BTreeMap<String, u32>) -> Vec<String> {
    let own = layers[layer];
    let code = code(text);
    let imports = imports(&code);
    let known = imports
        .iter()
        .filter_map(|name| Some((name, layers.get(name)?)));
    let mut wrong: Vec<String> = known
        .filter(|(_, number)| **number > own)
        .map(|(name, _)| format!("{layer} imports from {name}"))
        .collect();
    // A path that climbs can leave its layer unseen: such paths start at `crate`.
    if code.contains("super::super") {
        wrong.push(format!("{layer} climbs with super::super"));
    }
    wrong
}

/// Modules that exist for tests alone.
fn is_test(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    name == "tests.rs" || name.starts_with("testing")
}

/// The top-level module a file belongs to.
fn layer_of(path: &Path) -> String {
    let inner = path.strip_prefix(source()).unwrap();
    let first = inner.components().next().unwrap().as_os_str();
    first.to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn all_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&source(), &mut found);
    found.retain(|path| !is_test(path));
    found
}

#[test]
fn no_arrow_points_upwards() {
    let layers = layers(&fs::read_to_string(source().join("lib.rs")).unwrap());
    assert_eq!(layers.len(), 10);
    let mut wrong = Vec::new();
    for path in all_files() {
        let layer = layer_of(&path);
        if ["lib", "main"].contains(&layer.as_str()) {
            continue;
        }
        assert!(layers.contains_key(&layer), "{layer} is not in lib.rs");
        let text = fs::read_to_string(&path).unwrap();
        for problem in wrongs(&layer, &text, &layers) {
            wrong.push(format!("{}: {problem}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Where a library may be named: paths that begin with one of these.
const ONLY_IN: [(&str, &[&str]); 5] = [
    ("sled", &["store/engine/"]),
    ("fjall", &["store/engine/"]),
    ("bincode", &["store/codec.rs"]),
    ("age", &["store/backup/"]),
    ("actix_web", &["http/", "cli/server.rs"]),
];

fn misplaced(inner: &str, text: &str) -> Vec<&'static str> {
    let code = code(text);
    let named = ONLY_IN.iter().filter(|(library, places)| {
        names(&code, library) && !places.iter().any(|place| inner.starts_with(place))
    });
    named.map(|(library, _)| *library).collect()
}

/// Whether the code names a crate: as the head of a path, or imported whole.
fn names(code: &str, library: &str) -> bool {
    code.match_indices(library).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + library.len()..]);
        let word = |c: char| c.is_alphanumeric() || c == '_';
        if before.ends_with(word) || after.starts_with(word) {
            return false;
        }
        let imported = ["use ", "use ::", "extern crate "];
        after.starts_with("::") || imported.iter().any(|import| before.ends_with(import))
    })
}

#[test]
fn libraries_are_named_in_their_places_only() {
    for path in all_files() {
        let inner = path
            .strip_prefix(source())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(misplaced(&inner, &text), [""; 0], "{inner}");
    }
}

#[test]
fn a_planted_violation_is_found() {
    let layers = layers("pub mod base; // 0\npub mod store; // 1\npub mod http; // 2\n");
    let found = |layer, text| wrongs(layer, text, &layers).len();
    assert_eq!(found("store", "use crate::http::server;"), 1);
    assert_eq!(
        found(
            "store",
            "use crate::{\n    base::Clock,\n    http::{a, b},\n};"
        ),
        1
    );
    assert_eq!(found("base", "fn f() { crate::store::open(); }"), 1);
    assert_eq!(
        found("http", "use crate::{base::Clock, store::{Key, Tree}};"),
        0
    );
    assert_eq!(found("store", "// crate::http is above"), 0);
    assert_eq!(found("store", "use super::super::http::server;"), 1);
    assert_eq!(
        misplaced("service/x.rs", "use bincode::config;"),
        ["bincode"]
    );
    assert_eq!(misplaced("service/x.rs", "use sled;"), ["sled"]);
    assert_eq!(misplaced("jobs/x.rs", "use bincode as bin;"), ["bincode"]);
    assert_eq!(misplaced("jobs/x.rs", "let engine = sled(x);"), [""; 0]);
    assert_eq!(
        misplaced("service/x.rs", "let tree: ::sled::Tree;"),
        ["sled"]
    );
    assert_eq!(
        misplaced("store/engine/sled/mod.rs", "use ::sled::Db;"),
        [""; 0]
    );
    assert_eq!(misplaced("store/engine/mod.rs", "use sled::Db;"), [""; 0]);
}
