-- The one table of the service that tests the platform.
CREATE TABLE test_notes (
    id      uuid    PRIMARY KEY,
    text    text    NOT NULL,
    removed boolean NOT NULL DEFAULT false,
    version bigint  NOT NULL DEFAULT 1,
    copy_of uuid    CONSTRAINT test_notes_one_copy UNIQUE
);
