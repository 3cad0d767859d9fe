//! Merge patches (RFC 7396) on the bytes of JSON.

use std::collections::HashMap;

use super::{JsonProblem, end_of_string, minify, parse_strict};

/// Applies a merge patch (RFC 7396) to valid, minified JSON and answers such
/// again. What the patch does not touch is taken over byte for byte.
pub fn merge_patch(target: &[u8], patch: &[u8]) -> Result<Vec<u8>, JsonProblem> {
    parse_strict(patch)?;
    let mut out = Vec::with_capacity(target.len() + patch.len());
    merge(Some(target), &minify(patch), &mut out)
        .ok_or_else(|| JsonProblem::nowhere("the document to be patched is damaged"))?;
    Ok(out)
}

fn merge(target: Option<&[u8]>, patch: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if patch.first() != Some(&b'{') {
        out.extend_from_slice(patch);
        return Some(());
    }
    let mut changes: Vec<Member<'_>> = members(patch)?;
    let place: HashMap<String, usize> = changes
        .iter()
        .enumerate()
        .map(|(i, change)| (change.name.clone(), i))
        .collect();
    let mut object = ObjectWriter::begin(out);
    if let Some(target) = target.filter(|target| target.first() == Some(&b'{')) {
        for member in members(target)? {
            match place.get(&member.name) {
                None => object.member(member.key).extend_from_slice(member.value),
                Some(i) => {
                    let change = &mut changes[*i];
                    change.met = true;
                    if change.value != b"null" {
                        merge(Some(member.value), change.value, object.member(member.key))?;
                    }
                }
            }
        }
    }
    for change in changes.iter().filter(|c| !c.met && c.value != b"null") {
        merge(None, change.value, object.member(change.key))?;
    }
    object.end();
    Some(())
}

struct Member<'a> {
    /// The key as written, in its quotes.
    key: &'a [u8],
    name: String,
    value: &'a [u8],
    met: bool,
}

/// The members of a minified object; `None` where it is damaged.
fn members(object: &[u8]) -> Option<Vec<Member<'_>>> {
    let mut found = Vec::new();
    let mut at = 1;
    if object.get(at)? == &b'}' {
        return Some(found);
    }
    loop {
        let colon = end_of_string(object, at)?;
        let end = end_of_value(object, colon + 1)?;
        let key = object.get(at..colon)?;
        found.push(Member {
            key,
            name: serde_json::from_slice(key).ok()?,
            value: object.get(colon + 1..end)?,
            met: false,
        });
        match object.get(end)? {
            b',' => at = end + 1,
            b'}' => return Some(found),
            _ => return None,
        }
    }
}

/// The place behind the value that begins at `at`.
fn end_of_value(bytes: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut place = at;
    loop {
        match bytes.get(place) {
            Some(b'"') => {
                place = end_of_string(bytes, place)?;
                if depth == 0 {
                    return Some(place);
                }
                continue;
            }
            Some(b'{' | b'[') => depth += 1,
            Some(b'}' | b']') if depth == 1 => return Some(place + 1),
            Some(b'}' | b']') if depth > 1 => depth -= 1,
            Some(b',' | b'}' | b']') | None if depth == 0 => {
                return (place > at).then_some(place);
            }
            None => return None,
            Some(_) => {}
        }
        place += 1;
    }
}

struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> ObjectWriter<'a> {
    fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    fn member(&mut self, key: &[u8]) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.extend_from_slice(key);
        self.out.push(b':');
        self.out
    }

    fn end(self) {
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn untouched_numbers_keep_their_digits() {
        let target = br#"{"a":1.10,"b":123456789012345678901234567890,"c":{"x":1e2,"y":2}}"#;
        let patched = merge_patch(
            target,
            br#" { "c" : { "y" : null, "z": 3.0 }, "d": {"n": null, "m": 1} } "#,
        )
        .unwrap();
        let want =
            r#"{"a":1.10,"b":123456789012345678901234567890,"c":{"x":1e2,"z":3.0},"d":{"m":1}}"#;
        assert_eq!(String::from_utf8(patched).unwrap(), want);
    }

    #[test]
    fn a_damaged_target_is_an_error_not_a_panic() {
        for bad in [
            "{",
            "{\"a",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":[1",
            "{\"a\":}",
            "{\"a\":\"\\",
        ] {
            assert!(merge_patch(bad.as_bytes(), b"{\"b\":1}").is_err(), "{bad}");
        }
        assert_eq!(merge_patch(b"", b"{\"b\":1}").unwrap(), b"{\"b\":1}");
    }
}
