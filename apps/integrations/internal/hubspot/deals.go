package hubspot

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandemhq/tandem/apps/integrations/integrationsapi"
	"github.com/tandemhq/tandem/apps/integrations/internal/connector"
	"github.com/tandemhq/tandem/pkg/money"
	"github.com/tandemhq/tandem/pkg/store"
)

// pipeline is a pipeline of deals (PublicApiSpecs/CRM/Pipelines of the specifications).
type pipeline struct {
	ID     string  `json:"id"`
	Label  string  `json:"label"`
	Order  int     `json:"displayOrder"`
	Stages []stage `json:"stages"`
}

// stage is where a deal can be in a pipeline. What becomes of the deal follows from it.
type stage struct {
	ID       string `json:"id"`
	Label    string `json:"label"`
	Order    int    `json:"displayOrder"`
	Metadata struct {
		Closed      string `json:"isClosed"`
		Probability string `json:"probability"`
	} `json:"metadata"`
}

// status is that of deals in the stage.
func (s stage) status() string {
	chance, err := strconv.ParseFloat(s.Metadata.Probability, 64)
	switch {
	case s.Metadata.Closed != "true":
		return integrationsapi.DealOpen
	case err == nil && chance == 1:
		return integrationsapi.DealWon
	}
	return integrationsapi.DealLost
}

func (c *Connector) pipelines(ctx context.Context, a connector.Account) ([]pipeline, error) {
	var got struct {
		Results []pipeline `json:"results"`
	}
	if err := c.get(ctx, a, "/crm/pipelines/"+Version+"/deals", nil, &got); err != nil {
		return nil, err
	}
	slices.SortStableFunc(got.Results, func(a, b pipeline) int { return cmp.Compare(a.Order, b.Order) })
	for _, p := range got.Results {
		slices.SortStableFunc(p.Stages, func(a, b stage) int { return cmp.Compare(a.Order, b.Order) })
	}
	return got.Results, nil
}

// Pipelines implements connector.DealWriter.
func (c *Connector) Pipelines(ctx context.Context, a connector.Account) ([]connector.Pipeline, error) {
	got, err := c.pipelines(ctx, a)
	if err != nil {
		return nil, err
	}
	var all []connector.Pipeline
	for _, p := range got {
		one := connector.Pipeline{ID: p.ID, Name: p.Label, Stages: []connector.Stage{}}
		for _, s := range p.Stages {
			one.Stages = append(one.Stages, connector.Stage{ID: s.ID, Name: s.Label})
		}
		all = append(all, one)
	}
	return all, nil
}

// stage is the stage that a deal is to be in: the first one of the pipeline with the status that is meant, or the one that is named, which
// has to have it.
func (c *Connector) stage(ctx context.Context, a connector.Account, d connector.DealFields) (stage, error) {
	all, err := c.pipelines(ctx, a)
	if err != nil {
		return stage{}, err
	}
	at := slices.IndexFunc(all, func(p pipeline) bool { return p.ID == d.Pipeline })
	if at < 0 {
		return stage{}, connector.InputRefused("HubSpot has no such pipeline of deals", nil)
	}
	for _, s := range all[at].Stages {
		if (d.Stage == "" || d.Stage == s.ID) && (d.Status == "" || d.Status == s.status()) {
			return s, nil
		}
	}
	return stage{}, connector.InputRefused("the pipeline has no such stage; at HubSpot what becomes of a deal follows from its stage", nil)
}

// dealContact is the type of the association of a deal with a contact
// (https://developers.hubspot.com/docs/api-reference/2026-03/crm/associations/associate-records/guide).
const dealContact = 3

// CreateDeal implements connector.DealWriter.
func (c *Connector) CreateDeal(ctx context.Context, a connector.Account, d connector.DealFields) (integrationsapi.Deal, error) {
	of, err := c.details(ctx, a)
	if err != nil {
		return integrationsapi.Deal{}, err
	}
	if d.Status == "" && d.Stage == "" {
		d.Status = integrationsapi.DealOpen
	}
	in, err := c.stage(ctx, a, d)
	if err != nil {
		return integrationsapi.Deal{}, err
	}
	d.Stage = in.ID
	body := map[string]any{"properties": dealSaid(d, of.Currency), "associations": []any{map[string]any{
		"to": map[string]string{"id": d.ContactID}, "types": []any{map[string]any{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": dealContact}},
	}}}
	var made object
	if err := c.post(ctx, a, deals.path, body, &made); err != nil {
		return integrationsapi.Deal{}, connector.OfObject(err)
	}
	with := []string{a.Connection + ":" + d.ContactID}
	if whole, err := c.deal(ctx, a, made.ID); err == nil {
		deal, err := writtenDeal(whole, a, of.Currency)
		deal.ContactIDs = with
		return deal, err
	}
	// It is there though it cannot be read anew: this is what was said of it.
	if made.ID == "" || made.CreatedAt.IsZero() || made.UpdatedAt.IsZero() {
		return integrationsapi.Deal{}, connector.BadAnswer("a deal, which was entered: %w", errIncomplete)
	}
	deal := integrationsapi.Deal{
		ID: a.Connection + ":" + made.ID, ConnectionID: a.Connection, Vendor: Vendor, Name: d.Name, Pipeline: d.Pipeline, Stage: d.Stage, ContactIDs: with,
		CreatedAt: store.At(made.CreatedAt), UpdatedAt: store.At(made.UpdatedAt), Currency: of.Currency, Status: in.status(),
	}
	if d.AmountMinor != nil {
		deal.AmountMinor = *d.AmountMinor
	}
	if !d.Expected.IsZero() {
		at := store.At(d.Expected)
		deal.ClosedAt = &at
	}
	return deal, nil
}

// UpdateDeal implements connector.DealWriter.
func (c *Connector) UpdateDeal(ctx context.Context, a connector.Account, id string, d connector.DealFields) (integrationsapi.Deal, error) {
	of, err := c.details(ctx, a)
	if err != nil {
		return integrationsapi.Deal{}, err
	}
	now, err := c.deal(ctx, a, id)
	if err != nil {
		return integrationsapi.Deal{}, err
	}
	if d.Status != "" || d.Pipeline != "" || d.Stage != "" {
		d.Pipeline = cmp.Or(d.Pipeline, now.property("pipeline"))
		in, err := c.stage(ctx, a, d)
		if err != nil {
			return integrationsapi.Deal{}, err
		}
		d.Stage = in.ID
	}
	said := dealSaid(d, cmp.Or(now.property("deal_currency_code"), of.Currency))
	if err := c.write(ctx, http.MethodPatch, a, deals.path+"/"+url.PathEscape(id), map[string]any{"properties": said}, nil); err != nil {
		return integrationsapi.Deal{}, connector.OfObject(err)
	}
	changed, err := c.deal(ctx, a, id)
	if err != nil {
		return integrationsapi.Deal{}, err
	}
	return c.withContacts(ctx, a, changed, of.Currency)
}

// dealSaid are the properties that are said of a deal.
func dealSaid(d connector.DealFields, currency string) map[string]string {
	said := map[string]string{}
	for name, text := range map[string]string{"dealname": d.Name, "pipeline": d.Pipeline, "dealstage": d.Stage} {
		if text != "" {
			said[name] = text
		}
	}
	if d.AmountMinor != nil {
		said["amount"] = money.Amount{Minor: *d.AmountMinor, Digits: money.MinorDigits(currency)}.String()
	}
	if !d.Expected.IsZero() {
		said["closedate"] = d.Expected.UTC().Format(time.RFC3339)
	}
	return said
}

// deal reads one.
func (c *Connector) deal(ctx context.Context, a connector.Account, id string) (o object, err error) {
	err = c.get(ctx, a, deals.path+"/"+url.PathEscape(id), url.Values{"properties": {strings.Join(deals.properties, ",")}}, &o)
	return o, connector.OfObject(err)
}

// withContacts is a deal that was written, and whom it is with.
func (c *Connector) withContacts(ctx context.Context, a connector.Account, o object, currency string) (integrationsapi.Deal, error) {
	deal, err := writtenDeal(o, a, currency)
	if err != nil {
		return deal, err
	}
	with, err := c.contactsOf(ctx, a, []connector.Row[object]{{Value: o}})
	for _, id := range with[o.ID] {
		deal.ContactIDs = append(deal.ContactIDs, a.Connection+":"+strconv.FormatInt(id, 10))
	}
	return deal, err
}

func writtenDeal(o object, a connector.Account, currency string) (integrationsapi.Deal, error) {
	deal, err := dealOf(o, a.Connection, currency)
	if err != nil {
		return deal, connector.BadAnswer("deal %.60q, which was written: %w", o.ID, err)
	}
	return deal, nil
}
