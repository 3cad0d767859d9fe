//! The page that the binary carries: files of `web/dist`, embedded by
//! `build.rs`. This is plain data; the route that serves it adds the headers.

/// One embedded file, with what its answer needs.
#[derive(Debug, PartialEq, Eq)]
pub struct Asset {
    /// Where it is served, with a leading slash.
    pub path: &'static str,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The value of `ETag`, with its quotes.
    pub etag: &'static str,
    /// Whether the name holds a hash of the content, so that caches may keep
    /// the file for good.
    pub immutable: bool,
    /// The content.
    pub bytes: &'static [u8],
}

impl Asset {
    /// The value of `Cache-Control`: hashed files stay, everything else is asked
    /// for again, so that a browser sees a new version at once.
    pub fn cache_control(&self) -> &'static str {
        if self.immutable {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        }
    }
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The file served at the path of a request; `/` is the page.
pub fn find(path: &str) -> Option<&'static Asset> {
    let path = if path == "/" { "/index.html" } else { path };
    let at = ASSETS.binary_search_by(|asset| asset.path.cmp(path)).ok()?;
    ASSETS.get(at)
}

/// Every embedded file, ordered by path.
pub fn all() -> &'static [Asset] {
    ASSETS
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn the_page_is_there_with_and_without_a_built_console() {
        let page = find("/").unwrap();
        assert_eq!(page.content_type, "text/html; charset=utf-8");
        assert_eq!(page.cache_control(), "no-cache");
        let text = std::str::from_utf8(page.bytes).unwrap();
        assert!(text.contains("Tenantry"), "{text}");
        let is_built = all().len() > 1;
        assert_eq!(text.contains("cargo xtask web"), !is_built);
    }

    #[test]
    fn every_file_is_found_at_its_path_and_nothing_else_is() {
        for asset in all() {
            assert_eq!(find(asset.path), Some(asset));
        }
        for path in ["", "index.html", "/assets/", "/../Cargo.toml", "/none"] {
            assert_eq!(find(path), None, "{path}");
        }
    }

    #[test]
    fn only_hashed_files_are_kept_for_good() {
        for asset in all() {
            assert_eq!(asset.immutable, asset.path.starts_with("/assets/"));
            assert!(asset.etag.starts_with('"') && asset.etag.ends_with('"'));
        }
    }

    #[test]
    fn the_page_holds_nothing_that_the_content_policy_forbids() {
        let text = std::str::from_utf8(find("/").unwrap().bytes).unwrap();
        for forbidden in [
            "<style", "style=\"", "onclick", "//cdn", "https://", "data:",
        ] {
            assert!(!text.contains(forbidden), "{forbidden}");
        }
        for script in text.split("<script").skip(1) {
            let (tag, rest) = script.split_once('>').unwrap();
            assert!(tag.contains("src=") && rest.starts_with("</script>"));
        }
    }
}
