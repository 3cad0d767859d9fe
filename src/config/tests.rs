#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;

use super::reader::Reader;
use super::*;

fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE_NAME);
    std::fs::write(&file, text).unwrap();
    (dir, file)
}

fn sources(file: &Path, env: &[(&str, &str)]) -> Sources {
    Sources {
        file: Some(file.to_owned()),
        env: env.iter().map(|(k, v)| (k.into(), v.into())).collect(),
        flags: Flags::default(),
    }
}

fn problems(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    let (dir, file) = written(text);
    let problems = Config::load(sources(&file, env)).unwrap_err();
    let folder = format!("{}/", dir.path().display());
    problems
        .iter()
        .map(|problem| problem.to_string().replace(&folder, ""))
        .collect()
}

fn uncommented() -> String {
    COMMENTED_DEFAULT
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_commented_default_equals_the_defaults() {
    let (_dir, file) = written(&uncommented());
    let mut of_file = Config::load(sources(&file, &[])).unwrap();
    std::fs::write(&file, "").unwrap();
    let mut of_nothing = Config::load(sources(&file, &[])).unwrap();
    let origins = |config: &mut Config| {
        let settings = config.settings.iter_mut();
        settings
            .map(|setting| std::mem::replace(&mut setting.origin, Origin::Default))
            .collect::<Vec<_>>()
    };
    // The same but for where it stands.
    let from_file = |origin: &Origin| matches!(origin, Origin::File { line: Some(_), .. });
    assert!(origins(&mut of_file).iter().all(from_file));
    assert!(
        origins(&mut of_nothing)
            .iter()
            .all(|origin| *origin == Origin::Default)
    );
    assert_eq!(of_file, of_nothing);
}

#[test]
fn the_commented_default_names_every_key_and_no_other() {
    let (_dir, file) = written("");
    let mut reader = Reader::new(BTreeMap::new(), Vec::new());
    Config::read(&mut reader, &sources(&file, &[]));
    let mut known = reader.known().to_vec();
    let table: toml::Table = uncommented().parse().unwrap();
    let mut named = Vec::new();
    for (name, value) in &table {
        match value.as_table() {
            Some(section) => named.extend(section.keys().map(|key| format!("{name}.{key}"))),
            None => named.push(name.clone()),
        }
    }
    known.sort_unstable();
    named.sort_unstable();
    assert_eq!(known, named);
}

#[test]
fn later_sources_win() {
    let (_dir, file) = written("[server]\nlisten = \"127.0.0.1:1\"\nworkers = 3\n");
    let env = [
        ("TENANTRY_SERVER__LISTEN", "127.0.0.1:2"),
        ("TENANTRY_LIMITS__PAGE_BYTES_MAX", "2_000"),
        (
            "TENANTRY_CORS__ORIGINS",
            "https://a.example, http://b.example:8080",
        ),
        ("TENANTRY_BACKTRACE", "not a setting"),
        ("HOME", "/home/x"),
    ];
    let mut all = sources(&file, &env);
    let config = Config::load(all.clone()).unwrap();
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!(config.server.workers, 3);
    assert_eq!(config.limits.page_bytes_max, 2_000);
    assert_eq!(config.cors.origins.len(), 2);
    all.flags.listen = Some("[::1]:3".to_owned());
    assert_eq!(Config::load(all).unwrap().server.listen.port(), 3);
}

#[test]
fn the_data_folder_of_the_file_is_relative_to_the_file() {
    let (dir, file) = written("data = \"store/here\"\n");
    let mut all = sources(&file, &[]);
    assert_eq!(
        Config::load(all.clone()).unwrap().data,
        dir.path().join("store/here")
    );
    all.env = vec![("TENANTRY_DATA".into(), "elsewhere".into())];
    let here = std::env::current_dir().unwrap();
    assert_eq!(
        Config::load(all.clone()).unwrap().data,
        here.join("elsewhere")
    );
    all.flags.data = Some("/by/flag".into());
    assert_eq!(Config::load(all).unwrap().data, Path::new("/by/flag"));
}

#[test]
fn every_problem_is_reported_at_once_with_its_line() {
    let text = "\
dta = \"x\"
[server]
listen = \"localhost\"
workers = 1.5
[store]
engine = \"rocks\"
cache_bytes = 5
[limits]
page_items_default = 501
body_bytes = 3
[auth]
argon2_memory_kib = 8
argon2_threads = 4
[cors]
origins = [\"*\", \"https://a.example/\"]
[log.format]
json = true
";
    let env = [
        ("TENANTRY_AUTH__SESSION_HOURS", "soon"),
        ("TENANTRY_SERVR__PORT", "1"),
    ];
    insta::assert_snapshot!(problems(text, &env).join("\n"));
}

#[test]
fn a_syntax_mistake_does_not_hide_the_rest() {
    let found = problems("[server]\nlisten = \nworkers = \"many\"\n", &[]);
    assert!(
        found.iter().any(|p| p.starts_with("config.toml:2: ")),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|p| p.starts_with("config.toml:3: server.workers: expected an integer")),
        "{found:?}"
    );
}

#[test]
fn a_missing_file_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let all = sources(&dir.path().join("no.toml"), &[]);
    let problems = Config::load(all).unwrap_err();
    assert!(problems[0].to_string().contains("no.toml: cannot be read"));
}

#[test]
fn plain_http_to_other_machines_takes_a_word() {
    let told = problems("[server]\nlisten = \"0.0.0.0:80\"\n", &[]);
    assert_eq!(told.len(), 1, "{told:?}");
    let start = "config.toml:2: server.listen: 0.0.0.0:80 can be reached from other machines";
    assert!(told[0].starts_with(start), "{told:?}");
    assert!(
        told[0].contains("server.allow_plain_http = true"),
        "{told:?}"
    );
    for fine in [
        "[server]\nlisten = \"[::1]:80\"\n",
        "[server]\nlisten = \"[::ffff:127.0.0.2]:80\"\n",
        "[server]\nlisten = \"0.0.0.0:80\"\nallow_plain_http = true\n",
        "[server]\nlisten = \"[::]:443\"\n[tls]\ncertificate = \"a.pem\"\nkey = \"b.pem\"\n",
    ] {
        let (_dir, file) = written(fine);
        Config::load(sources(&file, &[])).unwrap();
    }
}

#[test]
fn a_certificate_comes_with_its_key() {
    let (dir, file) = written("[tls]\ncertificate = \"a.pem\"\n");
    let env = [("TENANTRY_TLS__KEY", "/k/b.pem")];
    let config = Config::load(sources(&file, &env)).unwrap();
    let files = config.tls.files.unwrap();
    assert_eq!(files.certificate, dir.path().join("a.pem"));
    assert_eq!(files.key, Path::new("/k/b.pem"));

    let alone = problems("[tls]\nkey = \"b.pem\"\n", &[]);
    let told = "default: tls.certificate: expected a file's path beside tls.key, found none";
    assert_eq!(alone, [told]);
    let wrong = problems("[tls]\ncertificate = 1\nkey = [\"b.pem\"]\n", &[]);
    assert_eq!(
        wrong,
        [
            "config.toml:2: tls.certificate: expected a file's path, found the integer 1",
            "config.toml:3: tls.key: expected a file's path, found a list",
        ]
    );
    let (_dir, file) = written("[tls]\ncertificate = \"\"\n");
    assert_eq!(Config::load(sources(&file, &[])).unwrap().tls.files, None);
}

#[test]
fn proxies_are_addresses_and_networks() {
    let (_dir, file) = written("[server]\ntrusted_proxies = [\"10.0.0.7\", \"2001:db8::/64\"]\n");
    let named = Config::load(sources(&file, &[]))
        .unwrap()
        .server
        .trusted_proxies;
    let named: Vec<String> = named.iter().map(ToString::to_string).collect();
    assert_eq!(named, ["10.0.0.7/32", "2001:db8::/64"]);
    let wrong = problems(
        "[server]\ntrusted_proxies = [\"proxy.local\", \"10.0.0.0/33\"]\n",
        &[],
    );
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong[0].contains("found \"proxy.local\""), "{wrong:?}");
    let none = problems("[server]\nproxy_header = \"x-real-ip\"\n", &[]);
    assert!(
        none[0].contains("\"x-forwarded-for\" or \"forwarded\""),
        "{none:?}"
    );
}
