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
    pub async fn enqueue(&self, kind: &str, payload: Value, attempts: i32, count: i32) -> Uuid {
        let statement = sqlx::query_scalar(
            "WITH run AS (
               INSERT INTO job_runs (id, subject, kind, payload, attempts_allowed)
               SELECT gen_random_uuid(), 'alice', $1, $2, $3 FROM generate_series(1, $4) RETURNING id, delivery
             ), delivered AS (
               SELECT run.id, (graphile_worker.add_job('run', json_build_object('run', run.id, 'delivery', run.delivery))).id AS job
               FROM run
             )
             SELECT id FROM delivered ORDER BY job DESC LIMIT 1",
        );
        let statement = statement.bind(kind).bind(payload).bind(attempts).bind(count);
        statement
            .fetch_one(&mut self.connect().await)
            .await
            .expect("the jobs are enqueued")
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

    /// Waits until a run has this status; returns its number of attempts and last error.
    ///
    /// # Panics
    /// After 40 s.
    pub async fn wait_for_job(&self, id: Uuid, expected: &str) -> (i32, String) {
        let started = std::time::Instant::now();
        loop {
            let (status, attempt, error) = self.job(id).await;
            if status == expected {
                return (attempt, error);
            }
            assert!(
                started.elapsed() < Duration::from_secs(40),
                "still {status} after {attempt} attempts: {error}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
