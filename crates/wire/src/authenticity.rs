//! How a device knows that an answer comes from its server: a MAC over its nonce and the body. No clock, no randomness.

use sha2::{Digest as _, Sha256};

/// The header that names the device.
pub const DEVICE_HEADER: &str = "tidegate-device";
/// The header with the device's nonce: 64 lower-case hexadecimal digits.
pub const NONCE_HEADER: &str = "tidegate-nonce";
/// The header with the answer's MAC: 64 lower-case hexadecimal digits.
pub const ANSWER_HEADER: &str = "tidegate-answer";

const BLOCK_BYTES: usize = 64;

/// The key that both sides know: SHA-256 of the device's bearer token. The server keeps nothing else of the token.
#[derive(Clone, PartialEq, Eq)]
pub struct AnswerKey([u8; 32]);

impl AnswerKey {
    /// The key that belongs to a bearer token.
    pub fn of_token(token: &str) -> AnswerKey {
        AnswerKey(Sha256::digest(token.as_bytes()).into())
    }

    /// Takes a stored key.
    pub const fn from_bytes(bytes: [u8; 32]) -> AnswerKey {
        AnswerKey(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// HMAC-SHA256 (RFC 2104) over nonce and body, as hexadecimal digits.
    pub fn answer_mac(&self, nonce: &str, body: &[u8]) -> String {
        let mut pad = [0_u8; BLOCK_BYTES];
        pad[..32].copy_from_slice(&self.0);
        let inner_pad = pad.map(|b| b ^ 0x36);
        let outer_pad = pad.map(|b| b ^ 0x5c);
        let inner = Sha256::new().chain_update(inner_pad).chain_update(nonce.as_bytes()).chain_update(body).finalize();
        hex(&Sha256::new().chain_update(outer_pad).chain_update(inner).finalize())
    }

    /// Whether `mac` is right, in time that does not depend on where it is wrong.
    pub fn accepts(&self, nonce: &str, body: &[u8], mac: &str) -> bool {
        let right = self.answer_mac(nonce, body);
        right.len() == mac.len() && right.bytes().zip(mac.bytes()).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
    }
}

impl std::fmt::Debug for AnswerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AnswerKey(..)")
    }
}

/// Lower-case digits, without a formatter: this runs for every answer to a device.
fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mac_is_hmac_sha256_as_rfc_4231_case_2_prints_it() {
        // Key "Jefe" padded to a 32-byte key is not what RFC 4231 uses for HMAC input, but zero padding makes them the same key.
        let mut key = [0_u8; 32];
        key[..4].copy_from_slice(b"Jefe");
        let mac = AnswerKey::from_bytes(key).answer_mac("what do ya want ", b"for nothing?");
        assert_eq!(mac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn an_answer_to_another_nonce_is_refused() {
        let key = AnswerKey::of_token("t");
        let mac = key.answer_mac("n1", b"body");
        assert!(key.accepts("n1", b"body", &mac));
        assert!(!key.accepts("n2", b"body", &mac));
        assert!(!key.accepts("n1", b"bodY", &mac));
        assert!(!key.accepts("n1", b"body", ""));
    }
}
