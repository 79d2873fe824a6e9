//! Enqueuing and inspecting jobs in the database of a test.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::TestDatabase;

impl TestDatabase {
    /// Enqueues `count` jobs as `jobs::enqueue` does; returns the id of the last one.
    ///
    /// # Panics
    /// When the statement fails.
    pub async fn enqueue(&self, kind: &str, payload: Value, count: i32) -> Uuid {
        let statement = sqlx::query_scalar(
            "WITH run AS (
               INSERT INTO job_runs (id, subject, kind, payload)
               SELECT gen_random_uuid(), 'alice', $1, $2 FROM generate_series(1, $3) RETURNING id
             )
             SELECT id FROM run, pg_notify('job_runs', '')",
        );
        let ids: Vec<Uuid> = statement
            .bind(kind)
            .bind(payload)
            .bind(count)
            .fetch_all(&mut self.connect().await)
            .await
            .expect("the jobs are enqueued");
        *ids.last().expect("at least one job")
    }

    /// The status, number of attempts and last error of a run.
    ///
    /// # Panics
    /// When there is no such run.
    pub async fn job(&self, id: Uuid) -> (String, i32, String) {
        let row =
            sqlx::query_as("SELECT status, attempt, COALESCE(last_error, '') FROM job_runs WHERE id = $1");
        row.bind(id)
            .fetch_one(&mut self.connect().await)
            .await
            .expect("the run exists")
    }

    /// Waits until a run has started this many attempts.
    ///
    /// # Panics
    /// After a minute.
    pub async fn wait_for_attempt(&self, id: Uuid, attempt: i32) {
        let attempts = format!("SELECT attempt::bigint FROM job_runs WHERE id = '{id}'");
        self.wait_until(&attempts, |started| started >= i64::from(attempt))
            .await;
    }

    /// Waits until a run has this status; returns its number of attempts and last error.
    ///
    /// # Panics
    /// After 90 s.
    pub async fn wait_for_job(&self, id: Uuid, expected: &str) -> (i32, String) {
        let started = std::time::Instant::now();
        loop {
            let (status, attempt, error) = self.job(id).await;
            if status == expected {
                return (attempt, error);
            }
            assert!(
                started.elapsed() < Duration::from_secs(90),
                "still {status} after {attempt} attempts: {error}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
