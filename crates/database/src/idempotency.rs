//! Idempotency keys: the answer is recorded in the transaction of the effect, so there is never one
//! without the other.

use std::time::Duration;

use macros::Refusal;
use outcome::common;
use resilience::Deadline;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Database, Fault, Transaction, TransactionError, UnitOfWork};

/// How a repeated key can be refused.
#[derive(Debug, Refusal)]
pub enum IdempotencyRefusal {
    /// 409: the first call with this key is still running.
    #[problem(
        common::IDEMPOTENCY_IN_PROGRESS,
        "wait, then send the same request with the same key"
    )]
    InProgress,
    /// 422: the key was used with another body, or on another resource.
    #[problem(
        common::IDEMPOTENCY_KEY_REUSED,
        "this key was already used for a different request"
    )]
    Reused,
}

/// The operation and the resource that an idempotency key belongs to, and the key.
#[derive(Clone, Debug)]
pub struct Target {
    /// The operation, such as `POST /v1/invoices/{id}/refunds`.
    pub route: String,
    /// The values of its path, decoded, in their order. A retry must spell them alike.
    pub path_values: Vec<String>,
    /// The key.
    pub key: String,
}

/// One intended effect: who, where, which key, and what was asked for.
#[derive(Clone, Debug)]
pub struct Effect {
    subject: String,
    route: String,
    key: String,
    fingerprint: Vec<u8>,
    retention: Duration,
}

/// An answer as it is recorded and replayed.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The JSON body, kept as text so that a replay is the same to the byte.
    pub body: String,
    /// Whether it was recorded by an earlier call.
    pub replayed: bool,
}

impl Answer {
    /// The id of the resource: the last part of its location.
    pub fn resource_id(&self) -> Option<&str> {
        self.location.as_deref()?.rsplit('/').next()
    }

    /// 201 with the new resource and where it is.
    pub fn created(location: String, resource: &impl Serialize) -> Self {
        let body = serde_json::to_string(resource).expect("answers serialize");
        Self {
            status: 201,
            location: Some(location),
            body,
            replayed: false,
        }
    }
}

impl Effect {
    /// What `subject` asks for under a key. The fingerprint is taken of the path's values and of the parsed body, so that
    /// white space and the order of fields make no difference, nor does a field that is not set: a release that has one
    /// more knows what the one before it has answered.
    pub fn new(subject: &str, target: &Target, body: &impl Serialize, retention: Duration) -> Self {
        // An object of `serde_json` is sorted.
        let mut canonical = serde_json::to_value(body).expect("requests serialize");
        drop_unset(&mut canonical);
        let mut fingerprint = Sha256::new().chain_update(canonical.to_string());
        for value in &target.path_values {
            fingerprint.update((value.len() as u64).to_be_bytes());
            fingerprint.update(value);
        }
        Self {
            subject: subject.to_owned(),
            route: target.route.clone(),
            key: target.key.clone(),
            fingerprint: fingerprint.finalize().to_vec(),
            retention,
        }
    }

    /// A 64-bit name for the advisory lock.
    fn lock(&self) -> i64 {
        let digest = Sha256::new()
            .chain_update(&self.subject)
            .chain_update([0])
            .chain_update(&self.route)
            .chain_update([0])
            .chain_update(&self.key)
            .finalize();
        i64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
    }

    /// Opens the effect's transaction: takes the lock without waiting and looks for a recorded answer,
    /// in one round trip.
    ///
    /// # Errors
    /// [`IdempotencyRefusal`], or a failed statement.
    pub async fn begin<R: From<IdempotencyRefusal>>(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Option<Answer>, TransactionError<R>> {
        let row = sqlx::query!(
            r#"/* idempotency_begin */
            SELECT pg_try_advisory_xact_lock($1) AS "locked!",
                   record.fingerprint AS "fingerprint?", record.status AS "status?",
                   record.location, record.body AS "body?"
            FROM (SELECT) AS one
            LEFT JOIN idempotency_keys AS record
              ON record.subject = $2 AND record.route = $3 AND record.key = $4 AND record.expires_at > now()"#,
            self.lock(),
            self.subject,
            self.route,
            self.key,
        )
        .fetch_one(&mut **transaction)
        .await?;
        let refuse = |refusal: IdempotencyRefusal| Err(TransactionError::Refused(refusal.into()));
        match (row.fingerprint, row.status, row.body) {
            (Some(fingerprint), ..) if fingerprint != self.fingerprint => refuse(IdempotencyRefusal::Reused),
            (Some(_), Some(status), Some(body)) => Ok(Some(Answer {
                status: status as u16,
                location: row.location,
                body,
                replayed: true,
            })),
            _ if !row.locked => refuse(IdempotencyRefusal::InProgress),
            _ => Ok(None),
        }
    }

    /// Records the answer. An expired record of the same key makes room.
    ///
    /// # Errors
    /// A failed statement, or the refusal when another call was faster between our look and our lock.
    pub async fn record<R: From<IdempotencyRefusal>>(
        &self,
        transaction: &mut Transaction<'_>,
        answer: &Answer,
    ) -> Result<(), TransactionError<R>> {
        let recorded = sqlx::query!(
            "/* idempotency_record */
            INSERT INTO idempotency_keys AS record
              (subject, route, key, fingerprint, status, location, body, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, now() + make_interval(secs => $8))
            ON CONFLICT (subject, route, key) DO UPDATE
              SET fingerprint = excluded.fingerprint, status = excluded.status, location = excluded.location,
                  body = excluded.body, created_at = now(), expires_at = excluded.expires_at
              WHERE record.expires_at <= now()",
            self.subject,
            self.route,
            self.key,
            self.fingerprint,
            answer.status as i16,
            answer.location,
            answer.body,
            self.retention.as_secs_f64(),
        )
        .execute(&mut **transaction)
        .await?;
        if recorded.rows_affected() == 0 {
            return Err(TransactionError::Refused(IdempotencyRefusal::InProgress.into()));
        }
        Ok(())
    }
}

/// The period in which expired keys are deleted.
pub const CLEAR_EVERY: Duration = Duration::from_secs(60);

/// Deletes expired keys every [`CLEAR_EVERY`] until the future is dropped: for a service without jobs, whose worker
/// would do it.
pub async fn keep_clearing(database: &Database) {
    loop {
        let deadline = Deadline::after(CLEAR_EVERY);
        if let Err(fault) = database.one_statement(&ClearKeys, deadline, || ()).await {
            tracing::debug!(?fault, "expired idempotency keys are still there");
        }
        tokio::time::sleep(CLEAR_EVERY).await;
    }
}

struct ClearKeys;

impl UnitOfWork for ClearKeys {
    const NAME: &'static str = "clear_keys";
    type Output = ();
    type Refusal = Fault;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<Fault>> {
        Ok(delete_expired(transaction).await?)
    }
}

/// Deletes keys that have expired, at most ten thousand of them.
///
/// # Errors
/// A failed statement.
pub async fn delete_expired(transaction: &mut Transaction<'_>) -> sqlx::Result<()> {
    let deleted = sqlx::query!(
        "/* clear_keys */
            DELETE FROM idempotency_keys WHERE ctid IN
              (SELECT ctid FROM idempotency_keys WHERE expires_at <= now() LIMIT 10000)"
    );
    deleted.execute(&mut **transaction).await.map(drop)
}

fn drop_unset(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_unset);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_unset),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(request: &impl Serialize) -> Vec<u8> {
        let target = Target {
            route: "POST /things".to_owned(),
            path_values: Vec::new(),
            key: "k".to_owned(),
        };
        Effect::new("s", &target, request, Duration::ZERO).fingerprint
    }

    /// A call that an old release has answered is sent again to a new one.
    #[test]
    fn another_release_knows_the_same_request() {
        #[derive(Serialize)]
        struct Old {
            items: Vec<OldItem>,
            currency: &'static str,
        }
        #[derive(Serialize)]
        struct OldItem {
            sku: &'static str,
        }
        #[derive(Serialize)]
        struct New {
            currency: &'static str,
            note: Option<&'static str>,
            items: Vec<NewItem>,
        }
        #[derive(Serialize)]
        struct NewItem {
            quantity: Option<u32>,
            sku: &'static str,
        }
        let old = Old {
            items: vec![OldItem { sku: "A" }],
            currency: "EUR",
        };
        let new = |note| New {
            currency: "EUR",
            note,
            items: vec![NewItem {
                quantity: None,
                sku: "A",
            }],
        };
        assert_eq!(fingerprint(&old), fingerprint(&new(None)));
        assert_ne!(fingerprint(&old), fingerprint(&new(Some("ring twice"))));
    }
}
