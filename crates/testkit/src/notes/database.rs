//! Failures, delays, locks and jobs that tests add to the database of the notes service.

use jobs::Job;
use serde_json::json;
use uuid::Uuid;

use super::jobs::{Effect, FailingJob};
use crate::{Lock, TestDatabase};

impl TestDatabase {
    /// Makes the first `times` inserts of a note fail with this SQLSTATE.
    pub async fn fail_inserts(&self, sqlstate: &str, times: u32) {
        self.execute(&format!(
            "CREATE SEQUENCE failures;
             CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF nextval('failures') <= {times} THEN RAISE EXCEPTION 'provoked' USING ERRCODE = '{sqlstate}'; END IF;
               RETURN NEW;
             END $$;
             CREATE TRIGGER fail BEFORE INSERT ON test_notes FOR EACH ROW EXECUTE FUNCTION fail();"
        ))
        .await;
    }

    /// Makes every insert of a note take `seconds` longer.
    pub async fn slow_inserts(&self, seconds: f64) {
        self.execute(&format!(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$;
             CREATE TRIGGER slow BEFORE INSERT ON test_notes FOR EACH ROW EXECUTE FUNCTION slow();",
        ))
        .await;
    }

    /// Blocks every statement on the notes until the lock is released or dropped.
    pub async fn lock_notes(&self) -> Lock {
        self.hold("LOCK TABLE test_notes").await
    }

    /// Blocks every commit that has written a note, as the queue of notifying commits does on a slow disk.
    pub async fn block_commits(&self) -> Lock {
        self.execute(
            "CREATE FUNCTION stand_in_line() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER stand_in_line AFTER INSERT OR UPDATE ON test_notes
               DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stand_in_line();",
        )
        .await;
        self.hold("SELECT pg_advisory_xact_lock(1)").await
    }

    /// Enqueues a job that fails in this way.
    ///
    /// # Panics
    /// When the statement fails.
    pub async fn enqueue_failing_job(&self, poison: FailingJob) -> Uuid {
        self.enqueue(FailingJob::KIND, json!(poison), 1).await
    }

    /// Enqueues a job that takes `millis` milliseconds and then writes a note.
    ///
    /// # Panics
    /// When the statement fails.
    pub async fn enqueue_note_job(&self, millis: u64) -> Uuid {
        self.enqueue(Effect::KIND, json!({ "millis": millis }), 1).await
    }
}
