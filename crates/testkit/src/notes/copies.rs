//! `POST /v1/test/notes/{id}/copies`: an effect on a resource in the path, at most once for each.

use database::{
    Fault, Transaction, TransactionError, UniqueViolation, UnitOfWork,
    idempotency::{Answer, Effect, IdempotencyRefusal},
};
use http_server::{
    Created, Recorded, Refusal,
    extract::{Caller, Context, IdempotencyKey, Path, State},
    operation,
};
use outcome::{Actor, ErrorStatus, ProblemType, Retry, common};
use uuid::Uuid;

use super::operations::{Stored, TestWrite};

/// The note has a copy.
pub static NOTE_COPIED: ProblemType = ProblemType {
    code: "note-copied",
    status: ErrorStatus::new(409),
    title: "The note has a copy",
    actor: Actor::Caller,
    retry: Retry::Never,
    advice: "Use the copy that exists.",
    user_message: "This note was copied before.",
    runbook: "Expected: a note has one copy at most.",
};

/// The problem types of the notes.
pub(super) const PROBLEMS: &[&ProblemType] = &[&NOTE_COPIED];

/// How copying a note can be refused.
#[derive(Debug, Refusal)]
pub enum CopyNoteRefusal {
    /// 404: there is no note with this id.
    #[problem(common::ROUTE_NOT_FOUND, "there is no such note")]
    NotFound,
    /// 409: it has a copy.
    #[problem(NOTE_COPIED, "this note has a copy")]
    Copied,
    /// Everything in [`IdempotencyRefusal`].
    #[refusal(transparent)]
    Idempotency(IdempotencyRefusal),
    /// Everything in [`Fault`].
    #[refusal(transparent)]
    Database(Fault),
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
        effect: key.effect(&caller, &(), state.retention),
        id: id.0,
    };
    state
        .database
        .transaction(copy, &context)
        .await
        .map(Recorded::from)
}

struct CopyNote {
    effect: Effect,
    id: Uuid,
}

impl UnitOfWork for CopyNote {
    const NAME: &'static str = "copy_note";
    type Output = Answer;
    type Refusal = CopyNoteRefusal;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Answer, TransactionError<CopyNoteRefusal>> {
        if let Some(recorded) = self.effect.begin(transaction).await? {
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
        let copy = copy.ok_or(TransactionError::Refused(CopyNoteRefusal::NotFound))?;
        let answer = Answer::created(format!("/v1/test/notes/{}", copy.id), &copy);
        self.effect.record(transaction, &answer).await?;
        Ok(answer)
    }
}
