//! `POST /v1/test/notes/{id}/copies`: an idempotent write on a resource in the path, at most once per resource.

use database::{
    DatabaseError, Transaction, TransactionError, UniqueViolation, UnitOfWork,
    idempotency::{IdempotencyRefusal, IdempotentRequest, RecordedResponse},
};
use http_server::{
    Created, Recorded, Refusal,
    extract::{Caller, Context, IdempotencyKey, Path, State},
    operation,
};
use outcome::{ErrorStatus, Origin, ProblemType, Retry, common};
use uuid::Uuid;

use super::operations::{Stored, TestWrite};

/// The note has already been copied.
pub(super) static NOTE_COPIED: ProblemType = ProblemType {
    code: "note-copied",
    status: ErrorStatus::new(409),
    title: "The note has already been copied",
    origin: Origin::Client,
    retry: Retry::Never,
    advice: "Use the existing copy.",
    user_message: "This note has already been copied.",
    operator_hint: "Expected: a note can be copied once.",
};

/// The problem types specific to notes.
pub(super) const PROBLEMS: &[&ProblemType] = &[&NOTE_COPIED];

/// Refusals of `POST /v1/test/notes/{id}/copies`.
#[derive(Debug, Refusal)]
pub(super) enum CopyNoteRefusal {
    /// 404: there is no note with this id.
    #[problem(common::ROUTE_NOT_FOUND, "no note with this id exists")]
    NotFound,
    /// 409: the note has already been copied.
    #[problem(NOTE_COPIED, "this note has already been copied")]
    Copied,
    /// Any [`IdempotencyRefusal`].
    #[refusal(transparent)]
    Idempotency(IdempotencyRefusal),
    /// Any [`DatabaseError`].
    #[refusal(transparent)]
    Database(DatabaseError),
}

/// Copies a note.
#[operation(POST "/v1/test/notes/{id}/copies", scope = TestWrite)]
pub(crate) async fn copy_note(
    caller: Caller,
    id: Path<Uuid>,
    key: IdempotencyKey,
    context: Context,
    state: State<super::State>,
) -> Result<Recorded<Created<Stored>>, CopyNoteRefusal> {
    let copy = CopyNote {
        idempotency: key.request(&caller, &(), state.retention),
        id: id.0,
    };
    state
        .database
        .transaction(copy, &context)
        .await
        .map(Recorded::from)
}

struct CopyNote {
    idempotency: IdempotentRequest,
    id: Uuid,
}

impl UnitOfWork for CopyNote {
    const NAME: &'static str = "copy_note";
    type Output = RecordedResponse;
    type Refusal = CopyNoteRefusal;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<RecordedResponse, TransactionError<CopyNoteRefusal>> {
        if let Some(recorded) = self.idempotency.begin(transaction).await? {
            return Ok(recorded);
        }
        let copy = sqlx::query_as::<_, Stored>(
            "INSERT INTO test_notes (id, text, copy_of) SELECT $1, text, id FROM test_notes WHERE id = $2 RETURNING *",
        );
        let copy = copy
            .bind(Uuid::now_v7())
            .bind(self.id)
            .fetch_optional(&mut **transaction)
            .await
            .or_refuse("test_notes_one_copy", CopyNoteRefusal::Copied)?;
        let Some(copy) = copy else {
            return Err(self
                .idempotency
                .refuse(transaction, CopyNoteRefusal::NotFound)
                .await);
        };
        let response = RecordedResponse::created(format!("/v1/test/notes/{}", copy.id), &copy);
        self.idempotency.record(transaction, &response).await?;
        Ok(response)
    }
}
