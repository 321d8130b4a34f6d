//! Lease tokens: derived from a key, so that they can be made again after a restart and are stored nowhere.

use model::{AttemptNumber, JobId, LeaseToken, RunnerName, Session};

/// The token for one attempt on one runner's session. A keyed digest: nobody without the key can make one.
pub(crate) fn derive(
    key: &[u8; 32],
    job: JobId,
    attempt: AttemptNumber,
    runner: &RunnerName,
    session: Session,
) -> LeaseToken {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(b"phalanx lease v1");
    hasher.update(&job.0.to_be_bytes());
    hasher.update(&attempt.0.to_be_bytes());
    hasher.update(&session.0.to_be_bytes());
    hasher.update(runner.as_str().as_bytes());
    let digest = hasher.finalize();
    let mut token = [0u8; 20];
    token[..4].copy_from_slice(&attempt.0.to_be_bytes());
    token[4..].copy_from_slice(&digest.as_bytes()[..16]);
    LeaseToken(token)
}

/// Compares without telling by its duration where two tokens differ.
pub(crate) fn equal(a: &LeaseToken, b: &LeaseToken) -> bool {
    a.0.iter().zip(&b.0).fold(0u8, |difference, (x, y)| difference | (x ^ y)) == 0
}
