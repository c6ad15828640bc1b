//! [`EncryptionKey`]: encrypts what leaves this process and comes back to it.

use std::fmt;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::{Zeroize as _, Zeroizing};

use super::AuthError;
use crate::{Error, platform};

const KEY_LEN: usize = 32;

/// 32 random bytes that encrypt; overwritten when dropped, and not shown.
///
/// ```
/// use amplitude_sdk::server::oauth::EncryptionKey;
///
/// // As `openssl rand -base64 32` or `openssl rand -hex 32` prints one.
/// let key = EncryptionKey::parse("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n")?;
/// assert_eq!(format!("{key:?}"), "EncryptionKey(redacted)");
/// # Ok::<(), amplitude_sdk::server::oauth::AuthError>(())
/// ```
#[derive(Clone)]
pub struct EncryptionKey(Zeroizing<Vec<u8>>);

impl EncryptionKey {
    /// A key of these bytes. The caller's copy of them is the caller's to overwrite.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// A key from text: 64 hexadecimal digits, or base64 (either alphabet, padded or not). White space around it does not count.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for text that is not 32 bytes in one of these forms; the text is not in it.
    pub fn parse(text: &str) -> Result<Self, AuthError> {
        let text = text.trim().trim_end_matches('=').as_bytes();
        let bits: u32 = if text.len() == 2 * KEY_LEN { 4 } else { 6 };
        let invalid = || AuthError::Invalid(Error::at("encryption key", "is not 32 bytes in base64 or hexadecimal digits"));
        if bits == 6 && text.len() != (KEY_LEN * 8).div_ceil(6) {
            return Err(invalid());
        }
        // Digit by digit into the key's own memory, so that no copy stays behind.
        let mut key = Self(Zeroizing::new(vec![0; KEY_LEN]));
        let (mut held, mut count, mut at) = (0u32, 0, 0);
        for &byte in text {
            let digit = if bits == 4 { char::from(byte).to_digit(16) } else { base64_digit(byte) };
            held = (held << bits | digit.ok_or_else(invalid)?) & 0xffff;
            count += bits;
            if count >= 8 {
                count -= 8;
                key.0[at] = (held >> count & 0xff) as u8;
                at += 1;
            }
        }
        let rest = held & ((1 << count) - 1);
        held.zeroize();
        if at == KEY_LEN && rest == 0 { Ok(key) } else { Err(invalid()) }
    }

    #[cfg(feature = "keyring")]
    pub(super) fn random() -> Self {
        let mut key = Self(Zeroizing::new(vec![0; KEY_LEN]));
        platform::fill_random(&mut key.0);
        key
    }

    #[cfg(feature = "keyring")]
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The nonce, what is encrypted, and the tag.
    pub(super) fn seal(&self, text: &str, binding: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        platform::fill_random(&mut nonce);
        let tag_len = CHACHA20_POLY1305.tag_len();
        let mut sealed = Vec::with_capacity(NONCE_LEN + text.len() + tag_len);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(text.as_bytes());
        let tag = self
            .cipher()
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(binding), &mut sealed[NONCE_LEN..])
            .expect("the text is far shorter than the cipher's 256 GB");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    pub(super) fn open(&self, sealed: &[u8], binding: &[u8]) -> Option<String> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut rest = Zeroizing::new(rest.to_vec());
        let len = self.cipher().open_in_place(nonce, Aad::from(binding), &mut rest).ok()?.len();
        Some(str::from_utf8(&rest[..len]).ok()?.to_owned())
    }

    /// JSON that is encrypted, as text for a cookie or a file (base64url).
    pub(super) fn seal_json(&self, value: &impl Serialize, binding: &[u8]) -> String {
        let json = Zeroizing::new(serde_json::to_string(value).expect("texts and numbers are JSON"));
        BASE64_URL_SAFE_NO_PAD.encode(self.seal(&json, binding))
    }

    /// The reverse of [`Self::seal_json`]; `what` is how its owner calls it.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for what has another key or binding, or was changed.
    pub(super) fn open_json<T: DeserializeOwned>(&self, what: &str, sealed: &str, binding: &[u8]) -> Result<T, AuthError> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(sealed).ok();
        let json = bytes.and_then(|bytes| self.open(&bytes, binding)).map(Zeroizing::new);
        json.and_then(|json| serde_json::from_str(&json).ok()).ok_or_else(|| Self::does_not_open(what))
    }

    /// The error for what was sealed, but not with this key and for this use.
    pub(super) fn does_not_open(what: &str) -> AuthError {
        AuthError::Invalid(Error::at(
            what,
            "was changed, or sealed with another key or for another application, server or resource",
        ))
    }

    fn cipher(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &self.0).expect("the key has the cipher's length"))
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionKey(redacted)")
    }
}

fn base64_digit(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    }))
}
