//! Signatures by the Standard Webhooks specification 1.0
//! (<https://www.standardwebhooks.com>): HMAC-SHA256 over `id.timestamp.body`.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The header `webhook-signature`: one signature for each secret, the current first.
pub fn header(secrets: &[Vec<u8>], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let signatures = secrets.iter().filter_map(|secret| {
        // Keys of any length are taken.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
        mac.update(format!("{id}.{timestamp_s}.").as_bytes());
        mac.update(body);
        let code = mac.finalize().into_bytes();
        Some(format!("v1,{}", BASE64_STANDARD.encode(code)))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn as_the_specification_signs() {
        let secret = BASE64_STANDARD
            .decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
            .unwrap();
        let body = br#"{"test": 2432232314}"#;
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let signed = header(std::slice::from_ref(&secret), id, 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let both = header(&[secret, vec![1; 32]], id, 1_614_265_330, body);
        assert!(both.starts_with(&signed) && both.matches("v1,").count() == 2);
    }
}
