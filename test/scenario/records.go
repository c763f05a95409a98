package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
)

// kinds are the kinds of records, each with the GraphQL fields that tell one from another and the same as we name it.
var kinds = map[string]struct{ fields, ours []string }{
	"orders":    {[]string{"name", "updatedAt", "totalPriceSet.shopMoney.amount"}, []string{"number", "updated_at", "total_minor"}},
	"customers": {[]string{"email", "updatedAt", "amountSpent.amount", "numberOfOrders"}, []string{"email", "updated_at", "spent_minor", "orders"}},
	"products":  {[]string{"title", "updatedAt", "priceRangeV2.maxVariantPrice.amount"}, []string{"title", "updated_at", "price_max_minor"}},
}

// Records is about every kind of record: a sync of each brings what the vendor has, exactly, and later what changed there.
func Records(t *testing.T, site Site) {
	ours, theirs := map[string]string{"shop": "records"}, map[string]string{}
	Play(t, site, ours, Register(ours, "records"))
	Play(t, site, theirs, Register(theirs, "norecords"))
	Play(t, site, ours, Connect())
	Play(t, site, ours, []Step{{
		Name: "nothing is synced", Method: http.MethodGet, Path: "/api/integrations/shopify/status", Want: http.StatusOK,
		Has: map[string]any{"items.0.streams.#": len(kinds), "items.0.streams.2.synced_at": nil},
	}})
	for kind := range kinds {
		Play(t, site, ours, []Step{StartSyncOf(kind, "backfill")})
		ours[kind] = ours["run"]
	}
	for kind := range kinds {
		ours["run"] = ours[kind]
		Play(t, site, ours, SyncEnds(false))
		compare(t, site, ours, kind)
	}
	inCatalogue(t, site, ours, "shopify", "healthy")
	Play(t, site, ours, []Step{
		{
			Name: "everything is", Method: http.MethodGet, Path: "/api/integrations/shopify/status", Want: http.StatusOK,
			Has: map[string]any{"items.0.streams.0.synced_at": Present, "items.0.streams.1.synced_at": Present, "items.0.streams.2.synced_at": Present},
		},
		{
			Name: "an order comes in", Method: http.MethodPost, Path: site.shop("/orders"), Want: http.StatusCreated,
			Body: map[string]any{"orders": []any{map[string]any{"customer_id": 990001, "total": "42.00"}}},
		},
		{
			Name: "a price changes", Method: http.MethodPost, Path: site.shop("/products"), Want: http.StatusNoContent,
			Body: map[string]any{"products": []any{map[string]any{"id": 7001, "title": "Linen Lamp", "price": "12.34"}}},
		},
	})
	for kind := range kinds {
		Play(t, site, ours, []Step{StartSyncOf(kind, "incremental"), {
			Name: "what changed is read", Method: http.MethodGet, Path: syncRun, Want: http.StatusOK, Within: time.Minute,
			Has: map[string]any{"status": "succeeded", "changed": 1, "pages": 1},
		}})
		compare(t, site, ours, kind)
		exported(t, site, ours, kind)
		Play(t, site, theirs, []Step{{
			Name: "another organization has none", Method: http.MethodGet, Path: "/api/integrations/records/" + kind, Want: http.StatusOK,
			Has: map[string]any{"items.#": 0},
		}})
	}
	for kind := range kinds { // after all else, as changes can be read a while after they are made
		changed(t, site, ours, kind)
	}
	quarantined(t, site, ours, theirs)
	Play(t, site, ours, []Step{StartSyncOf("products", "full"), {
		Name: "all is read anew, and nothing removed", Method: http.MethodGet, Path: syncRun, Want: http.StatusOK, Within: time.Minute,
		Has: map[string]any{"status": "succeeded", "mode": "full", "changed": 0, "removed": 0},
	}})
	compare(t, site, ours, "products")
	keep := Step{
		Name: "orders are kept for a century", Method: http.MethodPut, Path: "/api/integrations/records/retention", Want: http.StatusOK,
		Body: map[string]any{"kind": "orders", "days": 36500}, Has: map[string]any{"items.#": 9, "items.0.kind": "orders", "items.0.days": 36500, "items.1.days": 0},
	}
	bad := keep
	bad.Body = map[string]any{"kind": "orders", "days": -1}
	Play(t, site, ours, []Step{keep, not(bad, "not for less than no time", http.StatusUnprocessableEntity, "validation_failed")})
	Play(t, site, theirs, []Step{{
		Name: "others have their own", Method: http.MethodGet, Path: "/api/integrations/records/retention", Want: http.StatusOK, Has: map[string]any{"items.0.days": 0},
	}})
}

// quarantined is about a record that does not validate: it stops no other, is kept where only its organization sees it, and is read again.
func quarantined(t *testing.T, site Site, ours, theirs map[string]string) {
	t.Helper()
	const at = "/api/integrations/sync/quarantine"
	Play(t, site, ours, []Step{
		{Name: "a record without a currency", Method: http.MethodPost, Path: site.shop("/faults"), Want: http.StatusCreated, Body: map[string]any{"kind": "spoil_record", "field": "currencyCode", "times": 1}},
		StartSyncOf("orders", "backfill"),
		{Name: "stops no other", Method: http.MethodGet, Path: syncRun, Want: http.StatusOK, Within: time.Minute, Has: map[string]any{"status": "succeeded", "quarantined": 1}},
		{
			Name: "it is in quarantine", Method: http.MethodGet, Path: at + "?connection_id=${connection}", Want: http.StatusOK, Save: map[string]string{"bad": "items.0.id"},
			Has: map[string]any{"items.#": 1, "items.0.stream": "orders", "items.0.problem": Present, "items.0.record_id": Present, "items.0.raw": nil},
		},
		{Name: "with what the vendor wrote", Method: http.MethodGet, Path: at + "/${bad}", Want: http.StatusOK, Has: map[string]any{"raw": Present}},
	})
	theirs["bad"] = ours["bad"]
	show := Step{Method: http.MethodGet, Path: at + "/${bad}"}
	replay := Step{Name: "it is read again", Method: http.MethodPost, Path: at + "/${bad}/replay", Want: http.StatusAccepted, Save: map[string]string{"run": "id"}}
	drop := Step{Method: http.MethodDelete, Path: at + "/${bad}"}
	Play(t, site, theirs, []Step{
		{Name: "others see none", Method: http.MethodGet, Path: at, Want: http.StatusOK, Has: map[string]any{"items.#": 0}},
		not(show, "nor that one", http.StatusNotFound, "not_found"), not(replay, "nor can they read it", http.StatusNotFound, "not_found"), not(drop, "nor discard it", http.StatusNotFound, "not_found"),
	})
	Play(t, site, ours, []Step{replay})
	Play(t, site, ours, SyncEnds(false))
	Play(t, site, ours, []Step{
		{Name: "and is good", Method: http.MethodGet, Path: at, Want: http.StatusOK, Has: map[string]any{"items.#": 0}},
		not(show, "it is in quarantine no more", http.StatusNotFound, "not_found"),
	})
	compare(t, site, ours, "orders")
}

// compare holds the records of a kind against what the vendor has, each once.
func compare(t *testing.T, site Site, vars map[string]string, kind string) {
	t.Helper()
	got, want := recordsOf(t, site, vars, kind), nodesOf(t, site, vars, kind)
	if len(want) == 0 || !maps.Equal(got, want) {
		t.Errorf("%d %s, want %d", len(got), kind, len(want))
		for id := range want {
			if got[id] != want[id] {
				t.Fatalf("%s %s is %q, want %q", kind, id, got[id], want[id])
			}
		}
	}
}

// exported holds the exports of a kind against its records: as many lines, and a Parquet file of as many rows.
func exported(t *testing.T, site Site, vars map[string]string, kind string) {
	t.Helper()
	records := len(recordsOf(t, site, vars, kind))
	for format, count := range map[string]func([]byte) int64{
		"ndjson": func(body []byte) int64 { return int64(bytes.Count(body, []byte("\n"))) },
		"parquet": func(body []byte) int64 {
			f, err := parquet.OpenFile(bytes.NewReader(body), int64(len(body)))
			if err != nil {
				t.Fatal(err)
			}
			return f.NumRows()
		},
	} {
		_, body, err := Step{Method: http.MethodGet, Path: "/api/integrations/records/" + kind + "/export?format=" + format, Want: http.StatusOK}.Do(t.Context(), site, vars)
		if err != nil {
			t.Fatal(err)
		}
		if n := count(body); n != int64(records) {
			t.Errorf("the export of %s as %s has %d, want %d", kind, format, n, records)
		}
	}
}

// changed reads the changes of a kind in pages: all records, each once, and none that is new since then.
func changed(t *testing.T, site Site, vars map[string]string, kind string) {
	t.Helper()
	at, watermark := "/api/integrations/records/"+kind+"/changes?limit=1000", ""
	want := recordsOf(t, site, vars, kind)
	complete := Step{Name: "all changes", Method: http.MethodGet, Path: at, Want: http.StatusOK, Within: 30 * time.Second, Then: func(ctx context.Context, body []byte, vars map[string]string) error {
		got := map[string]bool{}
		for {
			var page struct {
				Items     []struct{ ID string }
				Next      string `json:"next_cursor"`
				Watermark string
			}
			if err := json.Unmarshal(body, &page); err != nil {
				return err
			}
			for _, item := range page.Items {
				_, id, _ := strings.Cut(item.ID, ":")
				if got[id] {
					return fmt.Errorf("%s %s twice", kind, id)
				}
				got[id] = true
			}
			if watermark = page.Watermark; page.Next == "" {
				break
			}
			var err error
			if _, body, err = (Step{Method: http.MethodGet, Path: at + "&cursor=" + url.QueryEscape(page.Next), Want: http.StatusOK}).Do(ctx, site, vars); err != nil {
				return err
			}
		}
		if len(got) != len(want) { // what is new cannot be read at once
			return fmt.Errorf("%d %s, want %d", len(got), kind, len(want))
		}
		return nil
	}}
	Play(t, site, vars, []Step{complete})
	Play(t, site, vars, []Step{
		{Name: "nothing since then", Method: http.MethodGet, Path: at + "&since=" + url.QueryEscape(watermark), Want: http.StatusOK, Has: map[string]any{"items.#": 0, "watermark": Present}},
		{Name: "nor with rubbish", Method: http.MethodGet, Path: at + "&cursor=rubbish", Want: http.StatusUnprocessableEntity},
	})
}

// recordsOf are the organization's records of a kind, by the vendor's ids.
func recordsOf(t *testing.T, site Site, vars map[string]string, kind string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for cursor := ""; ; {
		var page struct {
			Items []map[string]any `json:"items"`
			Next  string           `json:"next_cursor"`
		}
		ask(t, site, vars, Step{
			Method: http.MethodGet, Path: "/api/integrations/records/" + kind + "?limit=1000&cursor=" + url.QueryEscape(cursor), Want: http.StatusOK,
		}, &page)
		for _, item := range page.Items {
			_, id, _ := strings.Cut(fmt.Sprint(item["id"]), ":")
			if all[id] != "" {
				t.Errorf("%s %s twice", kind, id)
			}
			all[id] = describe(item, kinds[kind].ours)
		}
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

// nodesOf are what the vendor itself says.
func nodesOf(t *testing.T, site Site, vars map[string]string, kind string) map[string]string {
	t.Helper()
	selected := "legacyResourceId"
	for _, field := range kinds[kind].fields {
		selected += " " + strings.ReplaceAll(field, ".", " { ") + strings.Repeat(" }", strings.Count(field, "."))
	}
	all := map[string]string{}
	for after := ""; ; {
		var got struct {
			Data struct {
				Page struct {
					Nodes    []map[string]any
					PageInfo struct{ EndCursor *string }
				}
			}
		}
		query := `{ page: ` + kind + `(first: 250` + after + `) { nodes { ` + selected + ` } pageInfo { endCursor } } }`
		ask(t, site, vars, Step{
			Method: http.MethodPost, Path: site.Devstack + "/shopify/${shop}/admin/api/2026-10/graphql.json", Want: http.StatusOK,
			Header: map[string]string{"Authorization": "", "X-Shopify-Access-Token": shopToken}, Body: map[string]string{"query": query},
		}, &got)
		for _, node := range got.Data.Page.Nodes {
			all[fmt.Sprint(node["legacyResourceId"])] = describe(node, kinds[kind].fields)
		}
		if got.Data.Page.PageInfo.EndCursor == nil {
			return all
		}
		after = `, after: "` + *got.Data.Page.PageInfo.EndCursor + `"`
	}
}

// describe is what fields say, amounts in hundredths and instants to the second.
func describe(v map[string]any, fields []string) string {
	var words []string
	for _, field := range fields {
		word, _ := At(v, field)
		if strings.HasSuffix(field, "amount") {
			var amount float64
			if _, err := fmt.Sscan(word, &amount); err != nil {
				return err.Error()
			}
			word = fmt.Sprintf("%.0f", amount*100)
		}
		words = append(words, strings.TrimSuffix(strings.TrimSuffix(word, "Z"), ".000000"))
	}
	return strings.Join(words, " ")
}

// ask does a step and decodes its answer.
func ask(t *testing.T, site Site, vars map[string]string, s Step, into any) {
	t.Helper()
	_, body, err := s.Do(t.Context(), site, vars)
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", s.Path, err)
	}
}
