//! Containers of runners that are no more. A runner that crashed cannot remove its containers; the next one does.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::ListContainersOptions;

use super::container::force_remove;

/// Marks every container of ours.
pub const MARK: &str = "phalanx";
/// Whose it is: `PID:START:PIDNS`, see `this_process`.
pub const RUNNER: &str = "phalanx.runner";
const PATIENCE: Duration = Duration::from_secs(5);

/// Names this process for as long as the host is up. The start time tells it from a later process with its number, and the
/// process namespace keeps runners in containers, which share an engine but not their numbers, from judging each other.
pub fn this_process() -> String {
    let pid = std::process::id();
    format!("{pid}:{}:{}", start_time(pid).unwrap_or_default(), pid_namespace())
}

fn pid_namespace() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy().chars().filter(char::is_ascii_digit).collect()
}

/// Field 22 of `/proc/PID/stat`. The second may hold blanks and brackets, so counting begins behind its end.
fn start_time(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Whether `runner`, a label's value, certainly is dead. What cannot be told is not.
fn is_dead(runner: &str) -> bool {
    let parts: Vec<&str> = runner.split(':').collect();
    let [pid, start, namespace] = parts[..] else { return false };
    let (Ok(pid), Ok(start)) = (pid.parse::<u32>(), start.parse::<u64>()) else { return false };
    namespace == pid_namespace() && start_time(pid) != Some(start)
}

/// Removes the containers of dead runners of this host.
pub async fn remove(docker: &Docker) {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{MARK}=1")])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    // An engine that answers and then stalls must not keep a runner from starting.
    let listed = tokio::time::timeout(PATIENCE, docker.list_containers(Some(options))).await;
    let containers = match listed {
        Ok(Ok(containers)) => containers,
        Ok(Err(error)) => {
            tracing::warn!("containers of dead runners could not be looked for: {error}");
            return;
        }
        Err(_) => {
            tracing::warn!("the Docker engine did not list its containers in time");
            return;
        }
    };
    for container in containers {
        let runner = container.labels.as_ref().and_then(|labels| labels.get(RUNNER));
        let (Some(id), Some(runner)) = (container.id, runner) else { continue };
        if is_dead(runner) {
            tracing::info!("removing container {id} of a runner that is no more");
            force_remove(docker, &id).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_are_left_alone() {
        assert!(!is_dead(&this_process()));
        let (pid, namespace) = (std::process::id(), pid_namespace());
        assert!(is_dead(&format!("{pid}:1:{namespace}")), "another process had the number");
        assert!(is_dead(&format!("4194305:1:{namespace}")), "no process can have the number");
        assert!(!is_dead("4194305:1:7"), "another namespace");
        assert!(!is_dead("nonsense"));
    }
}
