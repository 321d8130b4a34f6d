//! Which repositories somebody can see: GitHub asks in another way for each kind of owner and credential.

use super::{GitHub, Who, wire};
use crate::HostError;
use crate::http::Client;
use crate::place::{Found, encode};

impl GitHub {
    /// Of an organisation or a user.
    pub(super) async fn repositories_of(
        &self,
        client: &Client,
        owner: &str,
    ) -> Result<Vec<wire::Repository>, HostError> {
        let is_owner = |repository: &wire::Repository| {
            repository.full_name.split('/').next().is_some_and(|it| it.eq_ignore_ascii_case(owner))
        };
        // Only what is installed: an App sees more of what is public than it may change.
        if matches!(self.who, Who::App(_)) {
            let mut all = self.visible(client).await?;
            all.retain(is_owner);
            return Ok(all);
        }
        let path = format!("orgs/{}/repos?per_page=100", encode(owner));
        match client.pages(&path).await {
            Err(HostError::NotFound { .. }) => {}
            listed => return listed,
        }
        // GitHub lists private repositories of a user only as `user/repos`.
        if let Who::Token(_) = self.who
            && client.get::<wire::User>("user").await?.login.eq_ignore_ascii_case(owner)
        {
            return client.pages("user/repos?affiliation=owner&per_page=100").await;
        }
        client.pages(&format!("users/{}/repos?per_page=100", encode(owner))).await
    }

    /// All that the credential can see.
    pub(super) async fn visible(
        &self,
        client: &Client,
    ) -> Result<Vec<wire::Repository>, HostError> {
        match self.who {
            Who::Token(_) => client.pages("user/repos?per_page=100").await,
            Who::App(_) => {
                let list = |page: wire::InstallationRepositories| page.repositories;
                client.pages_of("installation/repositories?per_page=100", list).await
            }
            Who::Nobody => Err(HostError::Refused {
                host: client.host(),
                message: "without a credential it lists only what `include` names".to_owned(),
            }),
        }
    }
}

pub(super) fn found(repository: wire::Repository) -> Found {
    Found {
        external_id: repository.id.to_string(),
        repository: repository.full_name,
        default_branch: repository.default_branch,
        fork: repository.fork,
        archived: repository.archived.unwrap_or_default(),
        private: repository.private,
        topics: repository.topics.unwrap_or_default(),
        description: repository.description.unwrap_or_default(),
    }
}
