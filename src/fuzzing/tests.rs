//! A short run of every target: the kept corpus, and mutations of it by a generator
//! that is the same every time. `cargo xtask fuzz` runs them for long, guided by what
//! the code does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, path::Path};

use super::*;

/// Mutations of each target.
const MUTATIONS: usize = 10_000;
/// Mutated inputs are not longer, in bytes.
const LONGEST: usize = 2_048;

/// The kept inputs of a target, in the order of their names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut files: Vec<_> = fs::read_dir(folder.join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Numbers that depend on nothing but the first one (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most.max(1) as u64) as usize
    }

    /// One of the inputs, changed in up to eight places.
    fn mutation(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = inputs[self.below(inputs.len())].clone();
        for _ in 0..=self.below(8) {
            let at = self.below(bytes.len() + 1);
            match self.below(5) {
                0 => bytes.insert(at, self.below(256) as u8),
                1 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 => bytes.truncate(at.max(1)),
                _ => {
                    let other = &inputs[self.below(inputs.len())];
                    let from = self.below(other.len());
                    let piece = &other[from..(from + self.below(32)).min(other.len())];
                    bytes.splice(at..at, piece.iter().copied());
                }
            }
        }
        bytes.truncate(LONGEST);
        bytes
    }
}

fn run(target: &str, call: fn(&[u8])) {
    let inputs = corpus(target);
    assert!(inputs.len() > 3, "the corpus of {target} is gone");
    inputs.iter().for_each(|input| call(input));
    let mut dice = Dice(0x7e4a_4711);
    for number in 0..MUTATIONS {
        let input = dice.mutation(&inputs);
        let called = std::panic::catch_unwind(|| call(&input));
        assert!(
            called.is_ok(),
            "mutation {number} of {target}: {}",
            input.escape_ascii()
        );
    }
}

#[test]
fn keys_for_a_moment() {
    run("keys", keys);
}

#[test]
fn cursors_for_a_moment() {
    run("cursors", cursors);
}

#[test]
fn queries_for_a_moment() {
    run("queries", queries);
}

#[test]
fn app_files_for_a_moment() {
    run("app_files", app_files);
}

#[test]
fn import_rows_for_a_moment() {
    run("import_rows", import_rows);
}
