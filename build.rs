//! Embeds the page that `cargo xtask web` left in `web/dist`, and where nothing
//! is, a page that names that command. It runs neither Node nor the network, so
//! that distributions and offline builds work.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const DIST: &str = "web/dist";
const NOT_BUILT: &str = "web/not-built.html";
/// Vite names what it writes below this folder by a hash of the content.
const HASHED: &str = "/assets/";

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?);
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    let dist = root.join(DIST);

    // cargo rebuilds each time while a watched path is missing; where the source
    // tree cannot be written that is all that is lost.
    let _ = fs::create_dir_all(&dist);
    println!("cargo:rerun-if-changed={DIST}");
    println!("cargo:rerun-if-changed={NOT_BUILT}");
    println!("cargo:rerun-if-changed=build.rs");

    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        collect(&dist, "", &mut files)?;
    } else {
        println!(
            "cargo:warning=built without the console: `cargo xtask web` (it needs Node.js) makes it, \
             the next build embeds it"
        );
        files.push(("/index.html".to_owned(), root.join(NOT_BUILT)));
    }
    files.sort();
    fs::write(out.join("assets.rs"), table(&files)?)
}

/// Every file below `folder` with the path it is served at.
fn collect(folder: &Path, served: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|name| io::Error::other(format!("{name:?} is no UTF-8")))?;
        let path = format!("{served}/{name}");
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &path, files)?;
        } else {
            files.push((path, entry.path()));
        }
    }
    Ok(())
}

/// The Rust source of the table, ordered by path.
fn table(files: &[(String, PathBuf)]) -> io::Result<String> {
    let mut source = String::from("static ASSETS: &[Asset] = &[\n");
    for (served, file) in files {
        let etag = format!("\"{:016x}\"", fnv1a(&fs::read(file)?));
        let content_type = content_type(file);
        let immutable = served.starts_with(HASHED);
        writeln!(
            source,
            "    Asset {{ path: {served:?}, content_type: {content_type:?}, etag: {etag:?}, \
             immutable: {immutable}, bytes: include_bytes!({file:?}) }},"
        )
        .map_err(io::Error::other)?;
    }
    source.push_str("];\n");
    Ok(source)
}

fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("txt") => "text/plain; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webp") => "image/webp",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// Tells contents apart in an ETag; nothing here resists an attacker, and
/// nothing needs to.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
