//! Open pages: what a browser does that shows one while its content changes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::cli::bench::server::ServerProcess;

/// Pages as people leave them open, and the topics that they listen to.
pub const OPEN: [(&str, &str); 5] = [
    ("/", "everything"),
    ("/executions/1", "execution:1"),
    ("/executions/1?state=ERRORED", "execution:1"),
    ("/jobs", "everything"),
    ("/runners", "everything"),
];

/// The page's script asks no sooner again.
const MOST_OFTEN: Duration = Duration::from_secs(1);

/// Asks for a page again whenever the server says that something changed. Never ends by itself; gives what each answer took.
pub async fn watch(
    server: Arc<ServerProcess>,
    (page, topic): (&str, &str),
    took: tokio::sync::mpsc::UnboundedSender<f64>,
) -> anyhow::Result<()> {
    let cookie = format!("Cookie: phalanx_session={}\r\n", server.token);
    let mut rings = server.user().await?;
    let mut pages = server.user().await?;
    rings.open_stream(&format!("/live?topic={topic}"), &cookie).await?;
    let headers = format!("{cookie}X-Fragment: 1\r\n");
    loop {
        let heard = rings.stream().await?;
        if !heard.windows(13).any(|bytes| bytes == b"data: changed") {
            continue;
        }
        let asked = Instant::now();
        let (status, _) = pages.get(page, &headers).await?;
        ensure!(status == 200, "{page}: {status}");
        if took.send(asked.elapsed().as_secs_f64() * 1e3).is_err() {
            return Ok(());
        }
        tokio::time::sleep(MOST_OFTEN.saturating_sub(asked.elapsed())).await;
    }
}
