//! Pauses of kinds whose dependency is unavailable.

use std::time::Duration;

use database::{DatabaseError, Transaction, TransactionError, UnitOfWork};

use crate::{backoff::LONGEST_WAIT, claim::CHANNEL};

/// The shortest pause, so that probes stay rare.
const SHORTEST: Duration = Duration::from_secs(1);

/// Pauses a kind in all workers, or prolongs its pause.
pub(crate) struct Pause {
    pub(crate) kind: &'static str,
    pub(crate) wait: Duration,
    pub(crate) reason: String,
    /// Whether a probe has found the dependency unavailable; its wait is the latest one.
    pub(crate) is_probe: bool,
}

impl UnitOfWork for Pause {
    const NAME: &'static str = "pause_kind";
    type Output = ();
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<DatabaseError>> {
        sqlx::query!(
            "/* pause_kind */
            INSERT INTO job_pauses (kind, until, reason) VALUES ($1, now() + make_interval(secs => $2), $3)
            ON CONFLICT (kind) DO UPDATE
              SET until = CASE WHEN $4 THEN EXCLUDED.until ELSE greatest(job_pauses.until, EXCLUDED.until) END,
                  reason = EXCLUDED.reason",
            self.kind,
            self.wait.clamp(SHORTEST, LONGEST_WAIT).as_secs_f64(),
            self.reason,
            self.is_probe
        )
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }
}

/// Ends the pause of a kind: its probe has reached the dependency.
pub(crate) struct Resume {
    pub(crate) kind: &'static str,
}

impl UnitOfWork for Resume {
    const NAME: &'static str = "resume_kind";
    type Output = ();
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<DatabaseError>> {
        let ended = sqlx::query!(
            "/* resume_kind */ DELETE FROM job_pauses WHERE kind = $1",
            self.kind
        );
        if ended.execute(&mut **transaction).await?.rows_affected() > 0 {
            tracing::info!(
                job = self.kind,
                "the dependency of a kind of job is available again; the kind is resumed"
            );
            // The runs that were postponed when the pause began need not wait any longer.
            sqlx::query!(
                "/* advance_postponed */
                UPDATE job_runs SET due_at = now()
                WHERE id IN (SELECT id FROM job_runs WHERE kind = $1 AND status = 'queued' AND crashes < 2
                               AND due_at > now() AND postponed_since IS NOT NULL
                             ORDER BY due_at LIMIT 1000 FOR UPDATE SKIP LOCKED)",
                self.kind
            )
            .execute(&mut **transaction)
            .await?;
            transaction.notify(CHANNEL);
        }
        Ok(())
    }
}
