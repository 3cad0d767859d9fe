//! "Did you mean": the known name nearest to one that is not known.

/// The candidate nearest to `text`, where one is near enough to be a slip of the
/// fingers: a distance of up to a third of the length, at most 3.
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters: Vec<char> = text.chars().take(64).collect();
    let most = (letters.len().max(3) / 3).min(3);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != text)
        .map(|candidate| (distance(&letters, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `; did you mean "x"?` or nothing, to end a message with.
pub fn hint<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(text, candidates).map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"))
}

/// Insertions, removals, replacements and swaps of neighbours, case ignored.
fn distance(a: &[char], b: &str) -> usize {
    let a: Vec<char> = a.iter().flat_map(|c| c.to_lowercase()).collect();
    let b: Vec<char> = b.chars().take(64).flat_map(char::to_lowercase).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (above[j - 1] + same).min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_slip() {
        let known = ["title", "schema", "index", "max_record_bytes"];
        assert_eq!(nearest("indx", known), Some("index"));
        assert_eq!(nearest("shcema", known), Some("schema"));
        assert_eq!(
            nearest("max_records_bytes", known),
            Some("max_record_bytes")
        );
        assert_eq!(nearest("Title", known), Some("title"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(hint("x", ["yy"]), "");
    }
}
