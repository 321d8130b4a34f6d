//! A GitHub App: its key signs for tokens of one installation, which end after an hour and are renewed shortly before.

use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use serde_json::json;
use tokio::sync::Mutex;

use super::wire;
use crate::HostError;
use crate::connect::ConnectError;
use crate::http::Client;
use crate::place::encode;

/// A token is renewed this long before it ends, so that what starts with it also ends with it.
const BEFORE_ITS_END: Duration = Duration::from_secs(5 * 60);

pub(super) struct App {
    /// The App's id or client id.
    id: String,
    installation: String,
    key: EncodingKey,
    /// One renewal at a time.
    token: Mutex<Option<(String, Timestamp)>>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iat: i64,
    exp: i64,
    iss: &'a str,
}

impl App {
    pub fn new(id: String, installation: String, private_key: &str) -> Result<Self, ConnectError> {
        let key = EncodingKey::from_rsa_pem(private_key.as_bytes());
        let key = key.map_err(|error| ConnectError::BadKey(error.to_string()))?;
        Ok(Self { id, installation, key, token: Mutex::new(None) })
    }

    /// Asks as the App itself.
    pub fn client(&self, client: &Client) -> Result<Client, HostError> {
        let jwt = self.jwt(Timestamp::now()).map_err(|error| HostError::Unauthorized {
            host: client.host(),
            message: format!("the App's key does not sign: {error}"),
        })?;
        client.with_authorization("Bearer", &jwt)
    }

    fn jwt(&self, now: Timestamp) -> jsonwebtoken::errors::Result<String> {
        let now = now.as_second();
        // A minute back, as clocks differ; GitHub takes ten minutes at most.
        let claims = Claims { iat: now - 60, exp: now + 9 * 60, iss: &self.id };
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.key)
    }

    pub async fn token(&self, client: &Client) -> Result<String, HostError> {
        let mut token = self.token.lock().await;
        if let Some((token, ends)) = &*token
            && Timestamp::now() + BEFORE_ITS_END < *ends
        {
            return Ok(token.clone());
        }
        let path = format!("app/installations/{}/access_tokens", encode(&self.installation));
        let new: wire::InstallationToken =
            self.client(client)?.write(Method::POST, &path, &json!({})).await?;
        let ends = new.expires_at.parse().map_err(|_| {
            client.unavailable("an installation's token does not say when it ends".to_owned())
        })?;
        *token = Some((new.token.clone(), ends));
        Ok(new.token)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use serde_json::Value;

    use super::*;

    #[test]
    fn its_requests_are_signed() {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let text = STANDARD.encode(pair.as_der().unwrap().as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        let app = App::new("Iv1.abc".into(), "34".into(), &pem).ok().unwrap();
        let jwt = app.jwt(Timestamp::from_second(1_000_000).unwrap()).unwrap();
        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let json = |part: &str| serde_json::from_slice::<Value>(&bytes(part)).unwrap();
        assert_eq!(json(header), json!({"typ": "JWT", "alg": "RS256"}));
        assert_eq!(json(claims), json!({"iat": 999_940, "exp": 1_000_540, "iss": "Iv1.abc"}));
        let public = pair.public_key().as_ref();
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
        key.verify(signed.as_bytes(), &bytes(signature)).unwrap();
    }
}
