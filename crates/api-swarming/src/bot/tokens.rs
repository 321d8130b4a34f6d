//! `oauth_token` and `id_token`: this server has no accounts to lend.

use bytes::Bytes;
use http::Response;

use super::wire::{TokenRequest, TokenResponse};
use super::{json, read};
use crate::prpc::Status;

pub(super) fn handle(body: &[u8]) -> Result<Response<Bytes>, Status> {
    let _: TokenRequest = read(body)?;
    json(&TokenResponse {
        service_account: "none",
        access_token: None,
        id_token: None,
        expiry: None,
    })
}
