package store_test

import (
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/tandemhq/tandem/pkg/store"
	"github.com/tandemhq/tandem/pkg/store/storetest"
)

func TestMongo(t *testing.T) {
	url := storetest.MongoServer(t)
	storetest.Run(t, func(t *testing.T) storetest.Place {
		name := storetest.MongoDatabase(t, url)
		return func(t *testing.T) store.DB { return openMongo(t, url, name) }
	})
	t.Run("KilledMigrations", func(t *testing.T) {
		name := storetest.MongoDatabase(t, url)
		testKilledMigrations(t, url+" "+name, func() store.DB { return openMongo(t, url, name) }, 90)
	})
	t.Run("UnsafeURL", func(t *testing.T) { testUnsafeURL(t, url) })
	t.Run("MessagesInLastDocument", func(t *testing.T) { testMessagesInLastDocument(t, url) })
	t.Run("TombstonesGo", func(t *testing.T) { testTombstonesGo(t, url) })
	t.Run("InterruptedDone", func(t *testing.T) { testInterruptedDone(t, url) })
}

func openMongo(t testing.TB, url, name string) store.DB {
	t.Helper()
	db, err := store.OpenMongo(t.Context(), url, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil && !strings.Contains(err.Error(), mongo.ErrClientDisconnected.Error()) {
			t.Error(err)
		}
	})
	return db
}

// raw is the collection of things as the server has it.
func raw(t *testing.T, url string) (store.DB, *store.Documents[thing], *mongo.Collection) {
	t.Helper()
	name := storetest.MongoDatabase(t, url)
	db := openMongo(t, url, name)
	client, err := mongo.Connect(options.Client().ApplyURI(url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Disconnect(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return db, things(t, db).In("acme"), client.Database(name).Collection("things")
}

// testUnsafeURL has a URL that asks for unacknowledged writes.
func testUnsafeURL(t *testing.T, url string) {
	db := openMongo(t, addOptions(url, "w=0&journal=false"), storetest.MongoDatabase(t, url))
	d := things(t, db).In("acme")
	if _, err := d.Insert(t.Context(), "1", thing{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Insert(t.Context(), "1", thing{}); err == nil {
		t.Error("a write was not acknowledged by the server")
	}
}

func addOptions(url, more string) string {
	if strings.Contains(url, "?") {
		return url + "&" + more
	}
	return strings.TrimSuffix(url, "/") + "/?" + more
}

// testMessagesInLastDocument is what makes a page's message appear only after the whole page.
func testMessagesInLastDocument(t *testing.T, url string) {
	_, d, documents := raw(t, url)
	var puts []store.Put[thing]
	for i := range 10 {
		puts = append(puts, store.Put[thing]{ID: fmt.Sprint(i), Value: thing{N: 1}})
	}
	if _, err := d.PutMany(t.Context(), puts); err != nil {
		t.Fatal(err)
	}
	puts[3].Value.N, puts[6].Value.N = 2, 2
	if _, err := d.PutMany(t.Context(), puts, store.Message{Topic: "page"}); err != nil {
		t.Fatal(err)
	}
	var holder struct {
		Key string `bson:"_id"`
	}
	if err := documents.FindOne(t.Context(), bson.D{{Key: "m.t", Value: "page"}}).Decode(&holder); err != nil {
		t.Fatal(err)
	}
	if holder.Key != "acme/6" {
		t.Errorf("the message is in %s, not in the last changed document", holder.Key)
	}
}

func testTombstonesGo(t *testing.T, url string) {
	db, d, documents := raw(t, url)
	if _, err := d.Insert(t.Context(), "1", thing{}); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(t.Context(), "1", 0, store.Message{ID: "gone", Topic: "gone"}); err != nil {
		t.Fatal(err)
	}
	wantStored(t, documents, 1)
	if err := db.Outbox().Done(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	wantStored(t, documents, 0)

	if _, err := d.Insert(t.Context(), "2", thing{}, store.Message{ID: "erased", Topic: "erased"}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.EraseOrganization(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	if err := db.Outbox().Add(t.Context(), store.Message{ID: "loose", Topic: "loose"}); err != nil {
		t.Fatal(err)
	}
	loose := documents.Database().Collection("outbox.loose")
	wantStored(t, documents, 1)
	wantStored(t, loose, 1)
	if err := db.Outbox().Done(t.Context(), "erased", "loose"); err != nil {
		t.Fatal(err)
	}
	wantStored(t, documents, 0)
	wantStored(t, loose, 0)
}

func wantStored(t *testing.T, documents *mongo.Collection, want int64) {
	t.Helper()
	n, err := documents.CountDocuments(t.Context(), bson.D{})
	if err != nil {
		t.Fatal(err)
	}
	if n != want {
		t.Errorf("the server stores %d documents, want %d", n, want)
	}
}

// testInterruptedDone has a publisher killed after the first of the steps that forget a message.
func testInterruptedDone(t *testing.T, url string) {
	db, d, documents := raw(t, url)
	for _, id := range []string{"1", "2", "3"} {
		if _, err := d.Insert(t.Context(), id, thing{}, store.Message{ID: id, Topic: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Delete(t.Context(), "2", 0); err != nil {
		t.Fatal(err)
	}
	pull := bson.D{{Key: "$pull", Value: bson.D{{Key: "m", Value: bson.D{{Key: "i", Value: bson.D{{Key: "$in", Value: []string{"1", "2"}}}}}}}}}
	if _, err := documents.UpdateMany(t.Context(), bson.D{}, pull); err != nil {
		t.Fatal(err)
	}
	messages, err := db.Outbox().Pending(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(messages) != 1 || messages[0].ID != "3" {
		t.Errorf("pending are %v, want message 3", messages)
	}
	wantStored(t, documents, 2)
}
