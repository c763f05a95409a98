package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
)

const (
	createOutbox = `CREATE TABLE IF NOT EXISTS outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, topic TEXT NOT NULL, data BLOB)`
	indexOutbox  = `CREATE INDEX IF NOT EXISTS outbox_id ON outbox (id)`

	insertMessage  = `INSERT INTO outbox (id, topic, data) VALUES (?, ?, ?)`
	selectMessages = `SELECT id, topic, data FROM outbox ORDER BY seq LIMIT ?`
	deleteMessages = `DELETE FROM outbox WHERE id IN (SELECT value FROM json_each(?))`
)

// outboxSchema names the outbox in errors.
var outboxSchema = &schema{name: "outbox"}

// sqliteOutbox is a table: in SQLite a transaction spans the document and its messages.
type sqliteOutbox struct{ db *sqliteDB }

func (db *sqliteDB) Outbox() Outbox { return sqliteOutbox{db} }

// createTables makes what a database has beside its collections.
func (db *sqliteDB) createTables(ctx context.Context) error {
	for _, statement := range []string{createOutbox, indexOutbox, createCollections} {
		if _, err := db.writer.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("create tables: %w", err)
		}
	}
	return nil
}

func (o sqliteOutbox) Add(ctx context.Context, messages ...Message) error {
	messages, err := complete(messages)
	if err == nil && len(messages) > 0 {
		err = o.db.transaction(ctx, messages, func(*sql.Tx) (bool, error) { return true, nil })
	}
	if err != nil {
		return fmt.Errorf("add to outbox: %w", outboxSchema.translate(err))
	}
	return nil
}

func (o sqliteOutbox) Pending(ctx context.Context, limit int) ([]Message, error) {
	rows, err := o.db.query(ctx, selectMessages, limit)
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	defer rows.Close()
	var messages []Message
	for rows.Next() {
		var m Message
		if err := rows.Scan(&m.ID, &m.Topic, &m.Data); err != nil {
			return nil, fmt.Errorf("read outbox: %w", err)
		}
		messages = append(messages, m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	return messages, nil
}

func (o sqliteOutbox) Done(ctx context.Context, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return fmt.Errorf("forget published messages: %w", err)
	}
	done, err := o.db.writer.statement(ctx, deleteMessages)
	if err == nil {
		_, err = done.ExecContext(ctx, string(list))
	}
	if err != nil {
		return fmt.Errorf("forget published messages: %w", outboxSchema.translate(err))
	}
	return nil
}

func (o sqliteOutbox) Wake() <-chan struct{} { return o.db.wake }
