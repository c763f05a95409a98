package records_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/apps/integrations/internal/records"
	"github.com/tandemhq/tandem/pkg/store"
)

func TestExportsHaveWhatReadsHave(t *testing.T) {
	s, _ := open(t)
	closed, yes := store.At(day.AddDate(0, 1, 0)), true
	deals := []integrationsapi.Deal{
		{ID: "c1:1", ConnectionID: "c1", Vendor: "v", Name: "Lamps", Stage: "won", ContactIDs: []string{"c1:7", "c1:8"}, CreatedAt: store.At(day), UpdatedAt: closed, ClosedAt: &closed, AmountMinor: 120000, Currency: "USD", Status: integrationsapi.DealWon},
		{ID: "c1:2", ConnectionID: "c1", Vendor: "v", Name: "Bowls", Stage: "new", CreatedAt: store.At(day.AddDate(0, 0, 1)), UpdatedAt: closed, Currency: "USD", Status: integrationsapi.DealOpen},
		{ID: "c2:1", ConnectionID: "c2", Vendor: "v", Name: "Trays", Stage: "new", CreatedAt: store.At(day), UpdatedAt: closed, Currency: "USD", Status: integrationsapi.DealOpen},
	}
	all := connector.Records{
		Deals: deals, Contacts: []integrationsapi.Contact{{ID: "c1:7", ConnectionID: "c1", Vendor: "v", Email: "ada@example.com", CreatedAt: store.At(day), UpdatedAt: store.At(day), Subscribed: &yes}},
		Performance: []integrationsapi.Performance{{ID: "c1:9:2026", ConnectionID: "c1", Vendor: "v", CampaignID: "c1:9", Day: store.At(day), SpendMinor: 1234, Currency: "USD", Conversions: 1.5}},
	}
	if _, err := s.Put(t.Context(), "o1", all); err != nil {
		t.Fatal(err)
	}
	var text, file bytes.Buffer
	if err := s.Deals.Export(t.Context(), "o1", "c1", records.Range{}, records.NDJSON, &text); err != nil {
		t.Fatal(err)
	}
	var got []integrationsapi.Deal
	for lines := json.NewDecoder(&text); ; {
		var d integrationsapi.Deal
		if err := lines.Decode(&d); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, d)
	}
	if !reflect.DeepEqual(got, deals[:2]) {
		t.Errorf("as lines: %+v", got)
	}
	if err := s.Deals.Export(t.Context(), "o1", "c1", records.Range{}, records.Parquet, &file); err != nil {
		t.Fatal(err)
	}
	type row struct {
		ID        string     `parquet:"id"`
		Name      string     `parquet:"name"`
		Contacts  []string   `parquet:"contact_ids,list"`
		CreatedAt time.Time  `parquet:"created_at,timestamp(microsecond)"`
		ClosedAt  *time.Time `parquet:"closed_at,optional,timestamp(microsecond)"`
		Amount    int64      `parquet:"amount_minor"`
	}
	rows, err := parquet.Read[row](bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].ID != "c1:1" || strings.Join(rows[0].Contacts, " ") != "c1:7 c1:8" || !rows[0].CreatedAt.Equal(day) ||
		rows[0].ClosedAt == nil || !rows[0].ClosedAt.Equal(closed.Time) || rows[0].Amount != 120000 || rows[1].ClosedAt != nil || rows[1].Name != "Bowls" || len(rows[1].Contacts) != 0 {
		t.Errorf("as Parquet: %+v", rows)
	}
	for name, export := range map[string]func(io.Writer) error{
		"contacts": func(w io.Writer) error {
			return s.Contacts.Export(t.Context(), "o1", "", records.Range{}, records.Parquet, w)
		},
		"performance": func(w io.Writer) error {
			return s.Performance.Export(t.Context(), "o1", "", records.Range{}, records.Parquet, w)
		},
		"orders": func(w io.Writer) error {
			return s.Orders.Export(t.Context(), "o1", "", records.Range{}, records.Parquet, w)
		},
	} {
		file.Reset()
		if err := export(&file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f, err := parquet.OpenFile(bytes.NewReader(file.Bytes()), int64(file.Len()))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := map[string]int64{"contacts": 1, "performance": 1}[name]; f.NumRows() != want {
			t.Errorf("%d %s, want %d", f.NumRows(), name, want)
		}
	}
	file.Reset()
	if err := s.Deals.Export(t.Context(), "o2", "", records.Range{}, records.NDJSON, &file); err != nil || file.Len() != 0 {
		t.Errorf("another organization's: %s, %v", file.String(), err)
	}
}
