//! What tests do to the notes, and to the jobs of their service, in the database.

use jobs::Job;
use serde_json::json;
use uuid::Uuid;

use super::jobs::{Effect, Poison};
use crate::{Lock, TestDatabase};

impl TestDatabase {
    /// Makes inserting a note fail with this SQLSTATE, the first `times` times.
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

    /// Makes inserting a note take so long.
    pub async fn slow_inserts(&self, seconds: f64) {
        self.execute(&format!(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$;
             CREATE TRIGGER slow BEFORE INSERT ON test_notes FOR EACH ROW EXECUTE FUNCTION slow();",
        ))
        .await;
    }

    /// Holds up every statement on the notes, until the lock is released or dropped.
    pub async fn lock_notes(&self) -> Lock {
        self.hold("LOCK TABLE test_notes").await
    }

    /// Holds up every commit that has written a note, as the line of those that notify does behind a slow disk.
    pub async fn hold_commits(&self) -> Lock {
        self.execute(
            "CREATE FUNCTION stand_in_line() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER stand_in_line AFTER INSERT OR UPDATE ON test_notes
               DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stand_in_line();",
        )
        .await;
        self.hold("SELECT pg_advisory_xact_lock(1)").await
    }

    /// Enqueues a job that goes wrong like this.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn enqueue_poison(&self, poison: Poison) -> Uuid {
        self.enqueue(Poison::KIND, json!(poison), Poison::ATTEMPTS, 1)
            .await
    }

    /// Enqueues a job that takes so long and then writes a note.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn enqueue_effect(&self, millis: u64) -> Uuid {
        self.enqueue(Effect::KIND, json!({ "millis": millis }), Effect::ATTEMPTS, 1)
            .await
    }
}
