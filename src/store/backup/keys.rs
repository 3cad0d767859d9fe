//! Who a backup is encrypted for, and who opens one: age's recipients and identities.

use std::str::FromStr as _;

use age::{Identity, Recipient, x25519};

use super::BackupError;

/// Who a backup is encrypted for; nobody: it is not encrypted.
#[derive(Default)]
pub struct Recipients(pub(super) Vec<Box<dyn Recipient + Send + Sync>>);

impl Recipients {
    /// Reads public keys, `age1...`.
    pub fn parse(texts: &[String]) -> Result<Self, BackupError> {
        let read = |text: &String| {
            let recipient = x25519::Recipient::from_str(text).map_err(|error| {
                BackupError::Keys(format!(
                    "{text:?} is no public key of age ({error}); `age-keygen -y FILE` prints one, age1..."
                ))
            })?;
            Ok(Box::new(recipient) as Box<dyn Recipient + Send + Sync>)
        };
        texts.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Who opens a backup.
#[derive(Default)]
pub struct Identities(pub(super) Vec<Box<dyn Identity + Send + Sync>>);

impl Identities {
    /// Reads the text of an identity file, as `age-keygen` writes it.
    pub fn parse(text: &str) -> Result<Self, BackupError> {
        let lines = text.lines().map(str::trim);
        let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let read = keys.map(|line| {
            // What is wrong with a secret is not repeated.
            let identity = x25519::Identity::from_str(line)
                .map_err(|_| BackupError::Keys(NO_IDENTITY.into()))?;
            Ok(Box::new(identity) as Box<dyn Identity + Send + Sync>)
        });
        let all: Vec<_> = read.collect::<Result<_, BackupError>>()?;
        match all.is_empty() {
            true => Err(BackupError::Keys(NO_IDENTITY.into())),
            false => Ok(Self(all)),
        }
    }
}

const NO_IDENTITY: &str = "the identity file holds no secret key of age: expected lines AGE-SECRET-KEY-1..., as `age-keygen` writes them";
