//! Code hosts, repositories, secrets, tokens.

use async_graphql::{Context, ID, InputObject, Object, Result};
use campaign::service::CodeHostChange;
use codehost::{Credential, Settings};
use model::{AccessTokenId, CodeHostId};

use crate::convert::{Kind, caller, key, number, service};
use crate::status::{bad_field, refuse};
use crate::types::repository::{CodeHost, CodeHostKind, Repository};
use crate::types::site::{AccessToken, EmptyResponse, NewAccessToken, Role, Secret};

#[derive(Default)]
pub(crate) struct SiteMutations;

/// At most one credential: a token, a user's name and password, or a GitHub App.
#[derive(InputObject)]
pub(crate) struct CodeHostInput {
    name: String,
    kind: CodeHostKind,
    /// As `https://github.com`; empty for a folder of plain git repositories.
    url: String,
    /// Organisations, groups, users, `owner/name`; for plain git URLs and folders.
    include: Option<Vec<String>>,
    /// Globs over names.
    exclude: Option<Vec<String>>,
    token: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[graphql(name = "appID")]
    app_id: Option<String>,
    #[graphql(name = "installationID")]
    installation_id: Option<String>,
    private_key: Option<String>,
}

impl CodeHostInput {
    fn into_change(self) -> Result<CodeHostChange> {
        let set = |text: Option<String>| text.filter(|text| !text.is_empty());
        let (token, user, app) = (set(self.token), set(self.username), set(self.app_id));
        let credential = match (token, user, app) {
            (None, None, None) => {
                if set(self.password).is_some() {
                    return Err(bad_field(
                        "username",
                        "a password belongs to a user: give `username` too",
                    ));
                }
                if set(self.private_key).is_some() || set(self.installation_id).is_some() {
                    return Err(bad_field(
                        "appID",
                        "a private key belongs to a GitHub App: give `appID` too",
                    ));
                }
                None
            }
            (Some(token), None, None) => Some(Credential::Token { token }),
            (None, Some(user), None) => {
                Some(Credential::Basic { user, password: self.password.unwrap_or_default() })
            }
            (None, None, Some(app)) => {
                let needed = |text: Option<String>, what: &'static str| {
                    set(text).ok_or_else(|| bad_field(what, format!("a GitHub App needs `{what}`")))
                };
                Some(Credential::App {
                    app,
                    installation: needed(self.installation_id, "installationID")?,
                    private_key: needed(self.private_key, "privateKey")?,
                })
            }
            _ => return Err(bad_field("token", "give one of `token`, `username` and `appID`")),
        };
        Ok(CodeHostChange {
            name: self.name,
            settings: Settings {
                kind: self.kind.into(),
                url: self.url,
                include: self.include.unwrap_or_default(),
                exclude: self.exclude.unwrap_or_default(),
            },
            credential,
        })
    }
}

fn host_id(id: &ID) -> Result<CodeHostId> {
    Ok(CodeHostId(number(id, Kind::CodeHost)?))
}

#[Object]
impl SiteMutations {
    async fn add_code_host(&self, ctx: &Context<'_>, input: CodeHostInput) -> Result<CodeHost> {
        let new = input.into_change()?;
        service(ctx).add_code_host(caller(ctx), new).await.map(CodeHost).map_err(refuse)
    }

    /// Without a credential the one that is there stays.
    async fn update_code_host(
        &self,
        ctx: &Context<'_>,
        code_host: ID,
        input: CodeHostInput,
    ) -> Result<CodeHost> {
        let (id, new) = (host_id(&code_host)?, input.into_change()?);
        service(ctx).update_code_host(caller(ctx), id, new).await.map(CodeHost).map_err(refuse)
    }

    /// Its repositories are forgotten; nothing changes on the host.
    async fn delete_code_host(&self, ctx: &Context<'_>, code_host: ID) -> Result<EmptyResponse> {
        let id = host_id(&code_host)?;
        service(ctx).delete_code_host(caller(ctx), id).await.map_err(refuse)?;
        Ok(EmptyResponse::new())
    }

    /// Lists the host's repositories now.
    async fn sync_code_host(&self, ctx: &Context<'_>, code_host: ID) -> Result<CodeHost> {
        let id = host_id(&code_host)?;
        service(ctx).sync_code_host(caller(ctx), id).await.map(CodeHost).map_err(refuse)
    }

    /// Fetches a repository now.
    async fn sync_repository(&self, ctx: &Context<'_>, repository: ID) -> Result<Repository> {
        let name = key(&repository, Kind::Repository)?;
        service(ctx).sync_repository(caller(ctx), &name).await.map_err(refuse)?;
        Ok(Repository::named(service(ctx).searcher.repositories(), &name))
    }

    async fn set_secret(&self, ctx: &Context<'_>, name: String, value: String) -> Result<Secret> {
        service(ctx).set_secret(caller(ctx), &name, &value).await.map(Secret).map_err(refuse)
    }

    async fn delete_secret(&self, ctx: &Context<'_>, secret: ID) -> Result<EmptyResponse> {
        let name = key(&secret, Kind::Secret)?;
        service(ctx).delete_secret(caller(ctx), &name).await.map_err(refuse)?;
        Ok(EmptyResponse::new())
    }

    /// The answer is the only time that the token is shown.
    async fn create_access_token(
        &self,
        ctx: &Context<'_>,
        name: String,
        role: Role,
    ) -> Result<NewAccessToken> {
        let made = service(ctx).create_token(caller(ctx), &name, role.into()).await;
        let made = made.map_err(refuse)?;
        Ok(NewAccessToken { token: made.token, access_token: AccessToken(made.row) })
    }

    async fn delete_access_token(
        &self,
        ctx: &Context<'_>,
        access_token: ID,
    ) -> Result<EmptyResponse> {
        let id = AccessTokenId(number(&access_token, Kind::AccessToken)?);
        service(ctx).delete_token(caller(ctx), id).await.map_err(refuse)?;
        Ok(EmptyResponse::new())
    }
}
