//! Where an operator's password comes from: standard input, the terminal, or made
//! here and shown once.

use std::io::{self, BufRead as _, IsTerminal as _};

use anyhow::{Context as _, Result, bail};

use super::WrongUse;

/// The letters of a made password: none that looks like another.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 24 letters of 5 bits each: 120 bits.
const LENGTH: usize = 24;
/// No password of a person is longer; a file given by mistake is.
const INPUT_BYTES_MAX: u64 = 4_096;

/// A password, and whether it was made here and must be shown.
pub struct Password {
    /// The password itself.
    pub text: String,
    /// Whether the person does not know it yet.
    pub made: bool,
}

/// Reads it from standard input, asks on a terminal (where `ask`), or makes one.
pub fn obtain(from_stdin: bool, ask: bool, whose: &str) -> Result<Password> {
    if from_stdin {
        let text = first_line(io::stdin().lock())?;
        return Ok(Password { text, made: false });
    }
    if ask && io::stdin().is_terminal() {
        let prompt = format!("Password for {whose} (empty: one is made): ");
        let text = rpassword::prompt_password(prompt).context("cannot ask for the password")?;
        if !text.is_empty() {
            let again = rpassword::prompt_password("The same again: ")?;
            if again != text {
                bail!("the two passwords differ");
            }
            return Ok(Password { text, made: false });
        }
    }
    let text = make()?;
    Ok(Password { text, made: true })
}

fn first_line(input: impl io::BufRead) -> Result<String> {
    let mut line = String::new();
    input.take(INPUT_BYTES_MAX).read_line(&mut line)?;
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Err(WrongUse("standard input holds no password".to_owned()).into());
    }
    Ok(line.to_owned())
}

fn make() -> Result<String> {
    let mut bytes = [0_u8; LENGTH];
    if let Err(error) = getrandom::fill(&mut bytes) {
        bail!("the system gives no random bytes: {error}");
    }
    // 32 letters divide 256 evenly, so none is likelier than another.
    let letter = |byte: &u8| char::from(LETTERS[usize::from(byte % 32)]);
    Ok(bytes.iter().map(letter).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn only_the_first_line_counts_and_it_must_be_there() {
        assert_eq!(
            first_line(&b"secret words\r\nmore"[..]).unwrap(),
            "secret words"
        );
        assert!(first_line(&b""[..]).is_err());
        assert!(first_line(&b"\nsecret"[..]).is_err());
    }

    #[test]
    fn made_passwords_differ() {
        let (a, b) = (make().unwrap(), make().unwrap());
        assert_eq!(a.len(), LENGTH);
        assert_ne!(a, b);
    }
}
