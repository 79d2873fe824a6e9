//! The operations on notes: a validated and idempotent write, a cached read, a list and a removal.

use cache::{Cacheable, Load, ReadCache};
use database::{
    DatabaseError, Transaction, TransactionError, UnitOfWork,
    idempotency::{IdempotencyRefusal, IdempotentRequest, RecordedResponse},
};
use http_server::{
    Cached, Conditional, Created, Json, NoContent, Recorded, Refusal, Scope,
    extract::{Body, Caller, Context, IdempotencyKey, IfNoneMatch, Path, State},
    operation,
};
use outcome::common;
use runtime::RequestContext;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use validator::Validate;

struct TestRead;

impl Scope for TestRead {
    const NAME: &'static str = "test:read";
}

pub(super) struct TestWrite;

impl Scope for TestWrite {
    const NAME: &'static str = "test:write";
}

#[derive(Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewNote {
    #[validate(length(min = 1, max = 100_000, message = "must not be empty"))]
    text: String,
}

/// A note.
#[derive(Clone, Debug, Serialize, Deserialize, sqlx::FromRow, ToSchema)]
#[schema(as = Note)]
pub(super) struct Stored {
    pub(super) id: Uuid,
    text: String,
    removed: bool,
    version: i64,
}

impl Cacheable for Stored {
    const KIND: &'static str = "note";
    type Id = Uuid;

    fn id(&self) -> Uuid {
        self.id
    }

    fn version(&self) -> i64 {
        self.version
    }
}

/// Refusals of the operations on notes.
#[derive(Debug, Refusal)]
pub(super) enum NoteRefusal {
    /// 404: the note does not exist, or it was removed.
    #[problem(common::ROUTE_NOT_FOUND, "no note with this id exists")]
    NotFound,
    /// Any [`IdempotencyRefusal`].
    #[refusal(transparent)]
    Idempotency(IdempotencyRefusal),
    /// Any [`DatabaseError`].
    #[refusal(transparent)]
    Database(DatabaseError),
}

/// Writes a note.
#[operation(POST "/v1/test/notes", scope = TestWrite)]
pub(crate) async fn write_note(
    caller: Caller,
    key: IdempotencyKey,
    note: Body<NewNote>,
    context: Context,
    state: State<super::State>,
) -> Result<Recorded<Created<Stored>>, NoteRefusal> {
    let idempotency = key.request(&caller, &note.0, state.retention);
    state
        .database
        .transaction(
            WriteNote {
                idempotency,
                text: note.0.text,
            },
            &context,
        )
        .await
        .map(Recorded::from)
}

struct WriteNote {
    idempotency: IdempotentRequest,
    text: String,
}

impl UnitOfWork for WriteNote {
    const NAME: &'static str = "write_note";
    type Output = RecordedResponse;
    type Refusal = NoteRefusal;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<RecordedResponse, TransactionError<NoteRefusal>> {
        if let Some(recorded) = self.idempotency.begin(transaction).await? {
            return Ok(recorded);
        }
        let note =
            sqlx::query_as::<_, Stored>("INSERT INTO test_notes (id, text) VALUES ($1, $2) RETURNING *");
        let note = note
            .bind(Uuid::now_v7())
            .bind(&self.text)
            .fetch_one(&mut **transaction)
            .await?;
        let response = RecordedResponse::created(format!("/v1/test/notes/{}", note.id), &note);
        self.idempotency.record(transaction, &response).await?;
        Ok(response)
    }
}

/// Reads a note.
#[operation(GET "/v1/test/notes/{id}", scope = TestRead)]
pub(crate) async fn read_note(
    id: Path<Uuid>,
    known: IfNoneMatch,
    context: Context,
    state: State<super::State>,
) -> Result<Conditional<Cached<Stored>>, NoteRefusal> {
    let found = state.notes.read(&context, NoteById(id.0)).await?;
    let found = found
        .filter(|found| !found.value.removed)
        .ok_or(NoteRefusal::NotFound)?;
    let version = found.value.version;
    let note = Cached::new(found.value, found.stale_for);
    Ok(Conditional::new(&known, version, note))
}

struct NoteById(Uuid);

impl UnitOfWork for NoteById {
    const NAME: &'static str = "read_note";
    type Output = Option<Stored>;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Option<Stored>, TransactionError<DatabaseError>> {
        let row = sqlx::query_as("SELECT * FROM test_notes WHERE id = $1").bind(self.0);
        Ok(row.fetch_optional(&mut **transaction).await?)
    }
}

impl Load for NoteById {
    type Value = Stored;

    fn id(&self) -> Uuid {
        self.0
    }
}

/// Lists notes.
#[operation(GET "/v1/test/notes", scope = TestRead)]
pub(crate) async fn list_notes(
    context: Context,
    state: State<super::State>,
) -> Result<Json<Vec<Stored>>, NoteRefusal> {
    Ok(Json(state.database.read(&AllNotes, &context).await?))
}

struct AllNotes;

impl UnitOfWork for AllNotes {
    const NAME: &'static str = "list_notes";
    type Output = Vec<Stored>;
    type Refusal = DatabaseError;

    async fn run(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Vec<Stored>, TransactionError<DatabaseError>> {
        Ok(
            sqlx::query_as("SELECT * FROM test_notes WHERE NOT removed LIMIT 100")
                .fetch_all(&mut **transaction)
                .await?,
        )
    }
}

/// Removes a note.
#[operation(DELETE "/v1/test/notes/{id}", scope = TestWrite)]
pub(crate) async fn remove_note(
    id: Path<Uuid>,
    context: Context,
    state: State<super::State>,
) -> Result<NoContent, NoteRefusal> {
    let remove = RemoveNote {
        id: id.0,
        cache: state.notes.clone(),
        context: context.clone(),
    };
    state.database.transaction(remove, &context).await?;
    Ok(NoContent)
}

struct RemoveNote {
    id: Uuid,
    cache: ReadCache<Stored>,
    context: RequestContext,
}

impl UnitOfWork for RemoveNote {
    const NAME: &'static str = "remove_note";
    type Output = ();
    type Refusal = NoteRefusal;

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<(), TransactionError<NoteRefusal>> {
        let removed = sqlx::query_as(
            "UPDATE test_notes SET removed = true, version = version + 1 WHERE id = $1 AND NOT removed RETURNING *",
        );
        let removed = removed.bind(self.id).fetch_optional(&mut **transaction).await?;
        let removed = removed.ok_or(TransactionError::Refused(NoteRefusal::NotFound))?;
        self.cache
            .update_after_commit(transaction, &self.context, removed);
        Ok(())
    }
}
