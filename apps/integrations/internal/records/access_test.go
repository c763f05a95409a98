package records

import (
	"context"

	"github.com/tandemhq/tandem/pkg/store"
)

// Remove removes records by their ids.
func (k *Kind[T]) Remove(ctx context.Context, organization string, ids ...string) error {
	if err := k.BeginRemoval(ctx, organization, ids...); err != nil {
		return err
	}
	return k.EndRemoval(ctx, organization)
}

// BeginRemoval is as much of Remove as a crash may leave.
func (k *Kind[T]) BeginRemoval(ctx context.Context, organization string, ids ...string) error {
	var docs []store.Doc[T]
	for _, id := range ids {
		doc, err := k.documents.In(organization).Get(ctx, id)
		if err != nil {
			return err
		}
		docs = append(docs, doc)
	}
	return k.noteRemoval(ctx, organization, docs)
}

// EndRemoval does the rest.
func (k *Kind[T]) EndRemoval(ctx context.Context, organization string) error {
	_, err := k.finishRemoval(ctx, organization)
	return err
}
