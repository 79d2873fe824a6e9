//! Idempotency keys. The response is recorded in the transaction of the effect, so neither exists without the other.

use std::time::Duration;

use macros::Refusal;
use outcome::{Refusal, common};
use resilience::Deadline;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Database, DatabaseError, Transaction, TransactionError, UnitOfWork};

/// A record with this status or a higher one is that of a refusal; its body is the name of the variant.
const FIRST_REFUSAL: i16 = 400;

/// The ways a repeated key can be refused.
#[derive(Debug, Refusal)]
pub enum IdempotencyRefusal {
    /// 409: the first request with this key is still running.
    #[problem(
        common::IDEMPOTENCY_IN_PROGRESS,
        "wait, then send the same request with the same key"
    )]
    InProgress,
    /// 422: the key was used with a different body, or on a different resource.
    #[problem(
        common::IDEMPOTENCY_KEY_REUSED,
        "this key was already used for a different request"
    )]
    Reused,
}

/// An idempotency key, with the operation and the resource that it applies to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The operation, such as `POST /v1/invoices/{id}/refunds`.
    pub route: String,
    /// The decoded values of the path parameters, in order. A retry must send identical values.
    pub path_values: Vec<String>,
    /// The key that the client sent.
    pub key: String,
}

/// One intended effect: the caller, the operation, the key and a fingerprint of the request.
#[derive(Clone, Debug)]
pub struct IdempotentRequest {
    subject: String,
    route: String,
    key: String,
    fingerprint: Vec<u8>,
    retention: Duration,
}

/// A response as it is recorded and replayed.
#[derive(Clone, Debug)]
pub struct RecordedResponse {
    /// The HTTP status.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The JSON body, stored as text so that a replay is byte-identical.
    pub body: String,
    /// Whether an earlier request recorded the response.
    pub replayed: bool,
}

impl RecordedResponse {
    /// The id of the resource: the last segment of `location`.
    pub fn resource_id(&self) -> Option<&str> {
        self.location.as_deref()?.rsplit('/').next()
    }

    /// A 201 response with the new resource and its location.
    ///
    /// # Panics
    /// When the resource does not serialize.
    pub fn created(location: String, resource: &impl Serialize) -> Self {
        Self::located(201, location, resource)
    }

    /// A 202 response with the location of the job that does the work.
    ///
    /// # Panics
    /// When the body does not serialize.
    pub fn accepted(location: String, body: &impl Serialize) -> Self {
        Self::located(202, location, body)
    }

    fn located(status: u16, location: String, body: &impl Serialize) -> Self {
        Self {
            status,
            location: Some(location),
            body: serde_json::to_string(body).expect("response bodies serialize"),
            replayed: false,
        }
    }
}

impl IdempotentRequest {
    /// A request of `subject` under an idempotency key. The fingerprint covers the path values and the parsed body, so
    /// white space, the order of fields and unset fields make no difference: a release that adds an optional field
    /// still recognizes the requests of the previous release.
    ///
    /// # Panics
    /// When the body does not serialize.
    pub fn new(subject: &str, target: &Target, body: &impl Serialize, retention: Duration) -> Self {
        // `serde_json` sorts the fields of objects.
        let mut canonical = serde_json::to_value(body).expect("request bodies serialize");
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

    /// The 64-bit id of the key's advisory lock.
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

    /// Takes the key's lock without waiting and looks up the recorded response, in one round trip. It belongs at the
    /// start of the effect's transaction, before the operation's own refusals.
    ///
    /// # Errors
    /// [`IdempotencyRefusal`], the refusal that an earlier request has recorded, or a failed statement.
    pub async fn begin<R: Refusal + From<IdempotencyRefusal>>(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Option<RecordedResponse>, TransactionError<R>> {
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
            (Some(_), Some(FIRST_REFUSAL..), Some(variant))
                if let Some(refusal) = R::from_variant(&variant) =>
            {
                Err(TransactionError::Refused(refusal))
            }
            (Some(_), Some(status @ ..FIRST_REFUSAL), Some(body)) => Ok(Some(RecordedResponse {
                status: status.cast_unsigned(),
                location: row.location,
                body,
                replayed: true,
            })),
            _ if !row.locked => refuse(IdempotencyRefusal::InProgress),
            // A refusal that this release does not know had no effect, so the request runs again.
            (Some(_), ..) => self.forget(transaction).await.map(|()| None),
            _ => Ok(None),
        }
    }

    async fn forget<R>(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<R>> {
        let forgotten = sqlx::query!(
            "/* idempotency_forget */ DELETE FROM idempotency_keys WHERE subject = $1 AND route = $2 AND key = $3",
            self.subject,
            self.route,
            self.key
        );
        forgotten.execute(&mut **transaction).await?;
        Ok(())
    }

    /// Records a refusal that depends on the state, and ends the transaction with it: a repeated request is refused for
    /// the same reason, even if the state has changed. What the work has written before is committed with the
    /// record, so call it before the first write. Only a variant without a value can be recorded; with another one, the
    /// transaction is rolled back and the key stays unused. After a failed statement nothing can be recorded: find out
    /// with `SELECT` or `ON CONFLICT DO NOTHING` instead.
    pub async fn refuse<R: Refusal + From<IdempotencyRefusal>>(
        &self,
        transaction: &mut Transaction<'_>,
        refusal: R,
    ) -> TransactionError<R> {
        let Some(variant) = refusal.variant() else {
            return TransactionError::Refused(refusal);
        };
        let response = RecordedResponse {
            status: refusal.problem_type().status.as_u16(),
            location: None,
            body: variant.to_owned(),
            replayed: false,
        };
        match self.record(transaction, &response).await {
            Ok(()) => TransactionError::RefusedAndRecorded(refusal),
            Err(error) => error,
        }
    }

    /// Records the response, and replaces an expired record of the same key.
    ///
    /// # Errors
    /// A failed statement, or [`IdempotencyRefusal::InProgress`] if another request committed between the lookup and
    /// the lock of [`begin`](Self::begin).
    pub async fn record<R: From<IdempotencyRefusal>>(
        &self,
        transaction: &mut Transaction<'_>,
        response: &RecordedResponse,
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
            response.status.cast_signed(),
            response.location,
            response.body,
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

/// The interval at which expired keys are deleted.
pub const PURGE_INTERVAL: Duration = Duration::from_mins(1);
/// The maximum number of rows that one transaction deletes.
pub const PURGE_BATCH: i64 = 10_000;

/// Deletes expired keys every [`PURGE_INTERVAL`] until the future is dropped. For services without jobs: otherwise a
/// maintenance job does it.
pub async fn purge_periodically(database: &Database) {
    loop {
        loop {
            let deadline = Deadline::after(PURGE_INTERVAL);
            match database.run_idempotent(&PurgeKeys, deadline, || ()).await {
                Ok(deleted) if deleted == PURGE_BATCH.unsigned_abs() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "expired idempotency keys were not deleted; retrying");
                    break;
                }
            }
        }
        tokio::time::sleep(PURGE_INTERVAL).await;
    }
}

/// Deletes at most [`PURGE_BATCH`] expired keys; returns their number.
#[derive(Clone, Copy, Debug)]
pub struct PurgeKeys;

impl UnitOfWork for PurgeKeys {
    const NAME: &'static str = "purge_keys";
    type Output = u64;
    type Refusal = DatabaseError;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<u64, TransactionError<DatabaseError>> {
        let deleted = sqlx::query!(
            "/* purge_keys */
            DELETE FROM idempotency_keys WHERE ctid IN
              (SELECT ctid FROM idempotency_keys WHERE expires_at <= now() ORDER BY expires_at LIMIT $1)",
            PURGE_BATCH
        );
        Ok(deleted.execute(&mut **transaction).await?.rows_affected())
    }
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
        IdempotentRequest::new("s", &target, request, Duration::ZERO).fingerprint
    }

    /// A client can repeat a request to a newer release than the one that recorded the response.
    #[test]
    fn the_next_release_recognizes_the_same_request() {
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
