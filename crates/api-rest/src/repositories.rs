//! The server's repositories: made known by URL, by a folder of its host, or sent as a bundle.

use std::io::Write;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use codehost::git::{AddError, Source};
use futures::StreamExt;
use http::StatusCode;
use model::limit;
use serde::Deserialize;

use crate::Door;
use crate::status::Failure;
use crate::types::NewRepository;

fn refuse(error: AddError) -> Failure {
    match error {
        AddError::BadName { .. } | AddError::NotARepository { .. } | AddError::Git(_) => {
            Failure::bad(error.to_string())
        }
        AddError::Taken { .. } => Failure::new(StatusCode::CONFLICT, error.to_string()),
        AddError::Io { .. } => Failure::internal(&error),
    }
}

pub(crate) async fn list(State(door): State<Arc<Door>>) -> Result<Json<Vec<String>>, Failure> {
    let all = door.repositories.list();
    Ok(Json(all.iter().map(|repository| repository.name.clone()).collect()))
}

pub(crate) async fn add(
    State(door): State<Arc<Door>>,
    Json(asked): Json<NewRepository>,
) -> Result<StatusCode, Failure> {
    let source = match (asked.path, asked.url) {
        (Some(path), None) if door.local_paths => Source::Path(path.into()),
        (Some(_), None) => {
            let text = "this server takes no folders of its host; send a bundle or give a URL";
            return Err(Failure::new(StatusCode::FORBIDDEN, text));
        }
        (None, Some(url)) => Source::Url(url),
        _ => return Err(Failure::bad("give either a `path` or a `url`")),
    };
    let by_url = matches!(source, Source::Url(_));
    door.repositories.add(&asked.name, source).await.map_err(refuse)?;
    if by_url {
        let fetched = door.repositories.refresh(&asked.name, None).await;
        fetched
            .map_err(|error| Failure::bad(format!("the repository `{}`: {error}", asked.name)))?;
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
pub(crate) struct Named {
    name: String,
}

/// The body is what `git bundle create - HEAD --branches --tags` writes.
pub(crate) async fn bundle(
    State(door): State<Arc<Door>>,
    Query(Named { name }): Query<Named>,
    body: Body,
) -> Result<StatusCode, Failure> {
    door.repositories.add(&name, Source::Uploaded).await.map_err(refuse)?;
    let io = |error: std::io::Error| Failure::internal(&error);
    let mut file = tempfile::NamedTempFile::new_in(door.repositories.incoming()).map_err(io)?;
    let mut stream = body.into_data_stream();
    let mut bytes = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Failure::bad("the body did not arrive whole"))?;
        bytes += chunk.len() as u64;
        if bytes > limit::BUNDLE_BYTES {
            let most = limit::BUNDLE_BYTES >> 30;
            return Err(Failure::bad(format!("the bundle of `{name}` is larger than {most} GiB")));
        }
        file.write_all(&chunk).map_err(io)?;
    }
    let taken = door.repositories.unbundle(&name, file.path()).await;
    taken.map_err(|error| Failure::bad(format!("the bundle of `{name}`: {error}")))?;
    Ok(StatusCode::NO_CONTENT)
}
