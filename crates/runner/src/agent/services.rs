//! What a running job needs, over HTTP. Nothing is written once the lease is lost.

use std::collections::HashSet;
use std::sync::Arc;

use spec::CachedStep;

use super::lease::Held;
use super::{Agent, ClientError};
use crate::job::{BoxFuture, ServiceError, Services};

pub(crate) struct HttpServices {
    pub agent: Arc<Agent>,
    pub held: Held,
    /// What this job uploaded already: its last step's patch is also its result.
    stored: Arc<parking_lot::Mutex<HashSet<model::Digest>>>,
}

impl HttpServices {
    pub fn new(agent: Arc<Agent>, held: Held) -> Arc<Self> {
        Arc::new(Self { agent, held, stored: Default::default() })
    }
}

fn fail(error: &ClientError) -> ServiceError {
    ServiceError(error.to_string().into())
}

impl Services for HttpServices {
    fn blob_get(&self, digest: model::Digest) -> BoxFuture<Result<Vec<u8>, ServiceError>> {
        let (agent, held) = (self.agent.clone(), self.held.clone());
        Box::pin(async move {
            let ask = || agent.client.blob_get(digest);
            agent.client.until_answered(&held.fenced, ask).await.map_err(|error| fail(&error))
        })
    }

    fn blob_put(&self, bytes: Vec<u8>) -> BoxFuture<Result<model::Digest, ServiceError>> {
        let (agent, held, stored) = (self.agent.clone(), self.held.clone(), self.stored.clone());
        let bytes = bytes::Bytes::from(bytes);
        Box::pin(async move {
            let digest = blobs::digest_of(&bytes);
            if stored.lock().contains(&digest) {
                return Ok(digest);
            }
            let ask = || agent.client.blob_put(digest, bytes.clone());
            agent.client.until_answered(&held.fenced, ask).await.map_err(|error| fail(&error))?;
            stored.lock().insert(digest);
            Ok(digest)
        })
    }

    fn cache_get(&self, key: String) -> BoxFuture<Result<Option<CachedStep>, ServiceError>> {
        let (agent, held) = (self.agent.clone(), self.held.clone());
        Box::pin(async move {
            let ask = || agent.client.cache_get(&key);
            agent.client.until_answered(&held.fenced, ask).await.map_err(|error| fail(&error))
        })
    }

    fn cache_put(&self, key: String, step: CachedStep) -> BoxFuture<Result<(), ServiceError>> {
        let (agent, held) = (self.agent.clone(), self.held.clone());
        Box::pin(async move {
            let ask = || agent.client.cache_put(&key, &step);
            agent.client.until_answered(&held.fenced, ask).await.map_err(|error| fail(&error))
        })
    }
}
