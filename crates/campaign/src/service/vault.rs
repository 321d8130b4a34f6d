//! Seals what must not be read from a copy of the database: secrets and the credentials of code hosts.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// A key that lies beside the database, not in it.
pub struct Vault {
    key: LessSafeKey,
}

/// A sealed value cannot be opened: it is damaged, or the key is another one.
#[derive(Debug, thiserror::Error)]
#[error("a secret cannot be opened: the database and `secret-key` do not belong together")]
pub struct SealError;

impl Vault {
    pub fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are a key");
        Self { key: LessSafeKey::new(key) }
    }

    /// `place` is bound to the value: what was sealed for one place opens in no other.
    pub fn seal(&self, place: &str, value: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = value.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.as_bytes()),
                &mut sealed,
            )
            .expect("a value is shorter than 64 GiB");
        [nonce.as_slice(), &sealed].concat()
    }

    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(SealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError)?;
        let mut value = sealed.to_vec();
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(place.as_bytes()), &mut value)
            .map_err(|_| SealError)?
            .len();
        value.truncate(opened);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let vault = Vault::new(&[7; 32]);
        let sealed = vault.seal("secret/A", b"value");
        assert!(!sealed.windows(5).any(|window| window == b"value"));
        assert_ne!(sealed, vault.seal("secret/A", b"value"));
        assert_eq!(vault.open("secret/A", &sealed).unwrap(), b"value");
        assert!(vault.open("secret/B", &sealed).is_err());
        assert!(Vault::new(&[8; 32]).open("secret/A", &sealed).is_err());
        assert!(vault.open("secret/A", &sealed[..5]).is_err());
    }
}
