package integrationsapi

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/currency"

	"github.com/tandemhq/tandem/pkg/store"
)

// What makes a record impossible.
var (
	errID       = errors.New("it has no usable id")
	errTime     = errors.New("its time is missing or out of range")
	errCurrency = errors.New("its currency is none")
	errNegative = errors.New("it has a negative count or amount")
)

// maxID bounds a record's id, in bytes.
const maxID = 400

// firstYear and lastYear bound the times that records may have: what is outside is a mistake, of a unit or of a default.
const firstYear, lastYear = 1970, 2100

// valid checks what records of every kind have. A currency may be empty where it need not be named.
func (h Head) valid(code string, named bool, counts ...int64) error {
	own, ours := strings.CutPrefix(h.ID, h.ConnectionID+":")
	if !ours || own == "" || len(h.ID) > maxID || !utf8.ValidString(h.ID) || strings.ContainsFunc(h.ID, unicode.IsControl) {
		return errID
	}
	if !possible(h.At.Time) {
		return errTime
	}
	if code != "" || named {
		if _, err := currency.ParseISO(code); err != nil || code != strings.ToUpper(code) {
			return fmt.Errorf("%w: %.10q", errCurrency, code)
		}
	}
	for _, n := range counts {
		if n < 0 {
			return errNegative
		}
	}
	return nil
}

func possible(t time.Time) bool {
	return t.After(time.Unix(0, 0)) && t.Year() >= firstYear && t.Year() <= lastYear
}

// changed checks when the vendor last changed something.
func changed(err error, t store.Time) error {
	if err == nil && !possible(t.Time) {
		err = errTime
	}
	return err
}

// Valid implements Record.
func (o Order) Valid() error {
	return changed(o.Head().valid(o.Currency, true, o.TotalMinor, int64(o.Items)), o.UpdatedAt)
}

// Valid implements Record.
func (c Customer) Valid() error {
	return changed(c.Head().valid(c.Currency, false, int64(c.Orders)), c.UpdatedAt)
}

// Valid implements Record.
func (p Product) Valid() error {
	return changed(p.Head().valid(p.Currency, true, p.PriceMinMinor, p.PriceMaxMinor), p.UpdatedAt)
}

// Valid implements Record.
func (p Payment) Valid() error {
	return p.Head().valid(p.Currency, true, p.AmountMinor, p.RefundedMinor)
}

// Valid implements Record.
func (c Contact) Valid() error { return changed(c.Head().valid("", false), c.UpdatedAt) }

// Valid implements Record. People enter what a deal is worth, and may think of less than nothing.
func (d Deal) Valid() error { return changed(d.Head().valid(d.Currency, true), d.UpdatedAt) }

// Valid implements Record.
func (c Campaign) Valid() error { return c.Head().valid(c.Currency, false, c.DailyBudgetMinor) }

// Valid implements Record. What was spent may be given back.
func (p Performance) Valid() error {
	return p.Head().valid(p.Currency, true, p.Impressions, p.Clicks, p.Views)
}

// Valid implements Record.
func (p EmailPerformance) Valid() error {
	return p.Head().valid(p.Currency, true, p.Recipients, p.Delivered, p.Opens, p.Clicks, p.Unsubscribes)
}
