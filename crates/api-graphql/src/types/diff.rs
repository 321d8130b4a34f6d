//! Diffs, read from the byte store and taken apart.

use std::sync::Arc;

use async_graphql::{Context, Object, Result, SimpleObject};
use campaign::diff;
use model::Digest;

use crate::convert::{int, service};
use crate::page::{Connection, FIRST, PageInfo, slice};
use crate::status;
use crate::types::repository::Repository;

/// `changed` is for files that were changed line by line in the prototype's counting: the smaller of both numbers.
#[derive(SimpleObject, Clone, Copy, Default)]
pub(crate) struct DiffStat {
    added: i32,
    changed: i32,
    deleted: i32,
    files: i32,
}

impl From<campaign::execution::DiffStat> for DiffStat {
    fn from(it: campaign::execution::DiffStat) -> Self {
        let changed = it.added.min(it.deleted);
        Self {
            added: int(it.added - changed),
            changed: int(changed),
            deleted: int(it.deleted - changed),
            files: int(it.files),
        }
    }
}

/// A patch against a repository.
pub(crate) struct PreviewRepositoryComparison {
    pub repository: String,
    pub digest: String,
}

#[Object]
impl PreviewRepositoryComparison {
    async fn base_repository(&self, ctx: &Context<'_>) -> Repository {
        Repository::named(service(ctx).searcher.repositories(), &self.repository)
    }

    async fn file_diffs(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<FileDiffConnection> {
        let digest = Digest::parse_hex(&self.digest).map_err(|error| status::internal(&error))?;
        let read = move |it: &campaign::service::Service| it.cas.get(digest);
        let bytes = service(ctx).blocking(read).await.map_err(|error| status::internal(&error))?;
        let files = diff::parse(&bytes).map_err(|error| status::internal(&error))?;
        Ok(FileDiffConnection { bytes: bytes.into(), files, first, after })
    }
}

pub(crate) struct FileDiffConnection {
    bytes: Arc<[u8]>,
    files: Vec<diff::FileDiff>,
    first: Option<i32>,
    after: Option<String>,
}

impl FileDiffConnection {
    fn page(&self) -> Result<Connection<FileDiff>> {
        let all = self.files.iter().enumerate();
        let all = all.map(|(index, file)| FileDiff {
            bytes: self.bytes.clone(),
            file: file.clone(),
            index,
        });
        // Only those of the page are copied.
        let (page, _) = slice(all.collect(), self.first.or(Some(FIRST)), self.after.as_deref())?;
        let after = self.after.is_some();
        Ok(Connection::new(page, after, |file: &FileDiff| file.index.to_string()))
    }
}

#[Object]
impl FileDiffConnection {
    async fn total_count(&self) -> i32 {
        int(self.files.len() as u64)
    }

    async fn page_info(&self) -> Result<PageInfo> {
        Ok(self.page()?.info().clone())
    }

    async fn nodes(&self) -> Result<Vec<FileDiff>> {
        Ok(self.page()?.into_nodes())
    }

    async fn diff_stat(&self) -> DiffStat {
        diff::stat(&self.files).into()
    }

    /// The whole patch. Bytes that are no UTF-8 are shown as replacement characters.
    async fn raw_diff(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

pub(crate) struct FileDiff {
    bytes: Arc<[u8]>,
    file: diff::FileDiff,
    index: usize,
}

/// A file with more lines is said to be too large, and shown raw.
const LINES_MAX: u64 = 20_000;

#[Object]
impl FileDiff {
    async fn old_path(&self) -> Option<String> {
        self.file.old_path.as_deref().map(|path| String::from_utf8_lossy(path).into_owned())
    }

    async fn new_path(&self) -> Option<String> {
        self.file.new_path.as_deref().map(|path| String::from_utf8_lossy(path).into_owned())
    }

    async fn hunks(&self) -> Vec<FileDiffHunk> {
        if self.file.added() + self.file.deleted() > LINES_MAX {
            return Vec::new();
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let hunks = self.file.hunks.iter().map(|hunk| FileDiffHunk {
            old_range: FileDiffHunkRange {
                start_line: int(hunk.old_start),
                lines: int(hunk.old_lines),
            },
            old_no_newline_at: hunk.old_no_newline,
            new_range: FileDiffHunkRange {
                start_line: int(hunk.new_start),
                lines: int(hunk.new_lines),
            },
            section: Some(text(&hunk.section)).filter(|section| !section.is_empty()),
            body: text(&self.bytes[hunk.body.clone()]),
        });
        hunks.collect()
    }

    async fn stat(&self) -> DiffStat {
        let (added, deleted) = (self.file.added(), self.file.deleted());
        campaign::execution::DiffStat { files: 1, added, deleted }.into()
    }

    #[graphql(name = "internalID")]
    async fn internal_id(&self) -> String {
        blake3::hash(self.file.path()).to_hex()[..32].to_owned()
    }

    async fn is_binary(&self) -> bool {
        self.file.binary
    }

    async fn too_large(&self) -> bool {
        self.file.added() + self.file.deleted() > LINES_MAX
    }

    async fn old_mode(&self) -> Option<&str> {
        self.file.old_mode.as_deref()
    }

    async fn new_mode(&self) -> Option<&str> {
        self.file.new_mode.as_deref()
    }

    async fn is_rename(&self) -> bool {
        self.file.rename
    }
}

#[derive(SimpleObject)]
pub(crate) struct FileDiffHunk {
    old_range: FileDiffHunkRange,
    old_no_newline_at: bool,
    new_range: FileDiffHunkRange,
    section: Option<String>,
    /// Lines with ` `, `+`, `-` or `\` in front.
    body: String,
}

#[derive(SimpleObject)]
pub(crate) struct FileDiffHunkRange {
    start_line: i32,
    lines: i32,
}
